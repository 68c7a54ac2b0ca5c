"""A structured network from the arguments that describe it, and its information through time as a table."""

from typing import Any

import numpy as np

from fisherjax import _runtime, connectivity, fisher
from fisherjax.connectivity._gain_matrix import population_sizes
from fisherjax.datasets._tables import read_numbers
from fisherjax.report import Table

from ._arguments import Dmft, Optimize, Structured
from ._files import load_record, part_of, reading
from ._values import UsageError

_CURVE_HEADER = ("time", "theory", "bare operator", "simulation", "standard error", "simulation / theory")


def load_gain_matrix(command: Structured | Dmft) -> connectivity.GainMatrix:
    """The gain matrix that a command names: a file, or a homogeneous network."""
    path, fractions = command.gains, command.fractions or None
    if path is None:
        return connectivity.homogeneous(command.gain, len(command.fractions) or 1, fractions)
    if path.suffix == ".npz":
        saved = load_record(path, "--gains")
        matrix = part_of(saved, connectivity.GainMatrix, f"--gains {path}", "gain matrix")
        return connectivity.GainMatrix(matrix.gains, matrix.fractions)
    with reading("--gains", path):
        gains = read_numbers(path, header="no")
    if gains.shape[0] != gains.shape[1]:
        raise UsageError(f"--gains {path}: expected a square table, got shape {gains.shape}")
    return connectivity.GainMatrix(gains, None if fractions is None else np.array(fractions))


def dynamics_settings(command: Optimize | Structured) -> dict[str, Any]:
    """Arguments of all that follows networks of a structure through time."""
    return {"noise_std": command.noise_std, "num_steps": command.steps, "nonlinearity": command.nonlinearity}


def curve_settings(command: Optimize | Structured) -> dict[str, Any]:
    """Arguments that the predicted and the simulated curve share."""
    stimulus = command.stimulus[0] if isinstance(command, Structured) else command.stimulus
    return {**dynamics_settings(command), "stimulus": stimulus, "num_units": command.units}


def check_memory(what: str, size: int) -> None:
    """Refuse what would take more than half of the memory that is free."""
    free = _runtime.available_bytes()
    if 2 * size > free:
        raise UsageError(f"{what} need {size / 2**30:.3g} GiB, more than half of the {free / 2**30:.3g} GiB free")


def check_networks(gains: connectivity.GainMatrix, units: int, draws: int = 1) -> None:
    """Refuse networks that lack a unit for a population, or that do not fit into memory, before any is drawn."""
    population_sizes(gains, units)
    check_memory(f"the weights of {draws} networks of --units {units}", 4 * draws * units**2)


def curve_table(
    theory: fisher.FisherCurve, bare: fisher.FisherCurve, measured: fisher.FisherCurve | None = None
) -> Table:
    """One row per time: theory, bare operator, and simulation where there is one."""
    times, total, operator = (np.asarray(part).tolist() for part in (theory.times, theory.total, bare.total))
    rows: list[list[object]] = [[int(t), f, b, "", "", ""] for t, f, b in zip(times, total, operator, strict=True)]
    if measured is not None and measured.standard_error is not None:
        for row, value, error in zip(rows, measured.total.tolist(), measured.standard_error.tolist(), strict=True):
            row[3:] = [value, error, value / row[1]]  # pyright: ignore[reportOperatorIssue]
    return Table(_CURVE_HEADER, rows)
