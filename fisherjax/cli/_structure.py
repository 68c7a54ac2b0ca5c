"""A structured network from the arguments that describe it, and its information through time as a table."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisherjax import _runtime, connectivity, fisher
from fisherjax.connectivity._gain_matrix import population_sizes
from fisherjax.datasets._tables import read_numbers
from fisherjax.report import Table

from ._arguments import SMOOTH, Dmft, Entered, Optimize, Structured
from ._files import load_record, part_of, reading
from ._values import UsageError


def load_gain_matrix(command: Structured | Dmft) -> connectivity.GainMatrix:
    """The gain matrix that a command names: a file, or a homogeneous network."""
    path, fractions = command.gains, command.fractions or None
    means = _table("--means", command.means) if isinstance(command, Entered) and command.means is not None else None
    if path is None:
        plain = connectivity.homogeneous(command.gain, len(command.fractions) or 1, fractions)
        return connectivity.GainMatrix(plain.gains, plain.fractions, means)
    if path.suffix == ".npz":
        saved = load_record(path, "--gains")
        matrix = part_of(saved, connectivity.GainMatrix, f"--gains {path}", "gain matrix")
        return connectivity.GainMatrix(matrix.gains, matrix.fractions, None if matrix.centered else matrix.means)
    gains = _table("--gains", path)
    return connectivity.GainMatrix(gains, None if fractions is None else np.array(fractions), means)


def _table(name: str, path: Path) -> np.ndarray:
    """A square table of numbers."""
    with reading(name, path):
        numbers = read_numbers(path, header="no")
    if numbers.shape[0] != numbers.shape[1]:
        raise UsageError(f"{name} {path}: expected a square table, got shape {numbers.shape}")
    return numbers


def dynamics_settings(command: Optimize | Structured) -> dict[str, Any]:
    """Arguments of all that follows networks of a structure through time."""
    return {"noise_std": command.noise_std, "num_steps": command.steps, "nonlinearity": command.nonlinearity}


def curve_settings(command: Optimize | Structured) -> dict[str, Any]:
    """Arguments that the predicted and the simulated curve share."""
    stimulus = command.stimulus[0] if isinstance(command, Structured) else command.stimulus
    settings = {**dynamics_settings(command), "stimulus": stimulus, "num_units": command.units}
    if isinstance(command, Entered):
        settings |= {"observation_noise_std": command.observation_noise_std or 0.0}
        settings |= {} if command.protocol == "pulse" else {"protocol": command.protocol}
        for name in ("observed", "bias", "bias_std"):
            values = np.asarray(getattr(command, name), float)
            settings |= {name: values[0] if name != "observed" and len(values) == 1 else values} if len(values) else {}
    return settings


def check_memory(what: str, size: int) -> None:
    """Refuse what would take more than half of the memory that is free."""
    free = _runtime.available_bytes()
    if 2 * size > free:
        raise UsageError(f"{what} need {size / 2**30:.3g} GiB, more than half of the {free / 2**30:.3g} GiB free")


def check_networks(gains: connectivity.GainMatrix, units: int, draws: int = 1) -> None:
    """Refuse networks that lack a unit for a population, or that do not fit into memory, before any is drawn."""
    population_sizes(gains, units)
    check_memory(f"the weights of {draws} networks of --units {units}", 4 * draws * units**2)


class Predictions(NamedTuple):
    """What theory says of a structure: in both forms, and by the bare operator.

    There is no linear form if φ has a kink, and no bare operator where something has a mean or lasts, nor of what is
    read in part, or with noise of its own.
    """

    independent: fisher.FisherCurve
    linear: fisher.FisherCurve | None
    bare: fisher.FisherCurve | None

    @property
    def forms(self) -> tuple[str, ...]:
        """Forms in which theory knows the structure."""
        return ("independent",) if self.linear is None else ("linear", "independent")

    def of_form(self, form: str) -> fisher.FisherCurve:
        """The prediction of what is measured in a form; where there is none, units are counted as independent."""
        return self.linear if form == "linear" and self.linear is not None else self.independent

    def by_population(self) -> dict[str, Any]:
        """For arrays.npz."""
        curves = {"theory": self.independent, "linear": self.linear, "bare": self.bare}
        return {name: curve.by_population for name, curve in curves.items() if curve is not None}

    def totals(self) -> dict[str, Any]:
        """Totals for results.json."""
        found = {"theory": self.independent.total}
        return found if self.linear is None else found | {"linear": self.linear.total}


def predicted(gains: connectivity.GainMatrix, settings: dict[str, Any]) -> Predictions:
    """Both forms and the bare operator; `settings` as of `curve_settings`."""
    read = {name: settings[name] for name in ("observed", "observation_noise_std") if name in settings}
    plain = {name: value for name, value in settings.items() if name not in read}
    still = gains.centered and not {"protocol", "bias", "bias_std"} & set(settings)
    whole = still and not any(np.any(value) for value in read.values())
    return Predictions(
        fisher.meanfield_curve(gains, **settings),
        fisher.meanfield_curve(gains, **settings, form="linear") if settings["nonlinearity"] in SMOOTH else None,
        fisher.operator_curve(gains, **plain) if whole else None,
    )


def curve_table(theory: Predictions, measured: fisher.FisherCurve | None = None) -> Table:
    """One row per time: what theory there is, and simulation, beside the form that it is of."""
    curves = {"independent form": theory.independent, "linear form": theory.linear, "bare operator": theory.bare}
    columns: dict[str, list[Any]] = {"time": [int(time) for time in theory.independent.times.tolist()]}
    columns |= {name: curve.total.tolist() for name, curve in curves.items() if curve is not None}
    if measured is not None:
        expected = theory.of_form(measured.form)
        ratio = np.asarray(measured.total, float) / np.asarray(expected.total, float)
        columns |= {
            "simulation": measured.total.tolist(),
            "standard error": np.asarray(measured.standard_error).tolist(),
        }
        columns["simulation / theory"] = ratio.tolist()
    return Table(tuple(columns), list(zip(*columns.values(), strict=True)))
