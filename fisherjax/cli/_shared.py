"""What several commands do alike: settings, tables, parts of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fisherjax import _runtime, connectivity, datasets, fisher, geometry
from fisherjax.connectivity._gain_matrix import population_sizes
from fisherjax.geometry._measured import GeometryCurve
from fisherjax.report import Figure, Section, Table, html_report

from ._arguments import Optimize, Structured
from ._limits import UsageError
from ._session import Session

CURVE_HEADER = ("time", "theory", "bare operator", "simulation", "standard error", "simulation / theory")
ESTIMATE_HEADER = ("method", "information", "standard error", "95 % from", "to", "uncorrected")


def dynamics_settings(command: Optimize | Structured) -> dict[str, Any]:
    """Arguments of all that follows networks of a structure through time."""
    return {"noise_std": command.noise_std, "num_steps": command.steps, "nonlinearity": command.nonlinearity}


def curve_settings(command: Optimize | Structured) -> dict[str, Any]:
    """Arguments that the predicted and the simulated curve share."""
    stimulus = command.stimulus[0] if isinstance(command, Structured) else command.stimulus
    return {**dynamics_settings(command), "stimulus": stimulus, "num_units": command.units}


def check_memory(what: str, size: int) -> None:
    """Refuse what would take more than half of the memory that is free.

    Raises
    ------
    UsageError
        That says how much there is.
    """
    free = _runtime.available_bytes()
    if 2 * size > free:
        raise UsageError(f"{what} need {size / 2**30:.3g} GiB, more than half of the {free / 2**30:.3g} GiB free")


def check_networks(gains: connectivity.GainMatrix, units: int, draws: int = 1) -> None:
    """Refuse networks that lack a unit for a population, or that do not fit into memory, before any is drawn.

    Raises
    ------
    ValueError, UsageError
        That names the number of units.
    """
    population_sizes(gains, units)
    check_memory(f"the weights of {draws} networks of --units {units}", 4 * draws * units**2)


def follow_images(
    gains: connectivity.GainMatrix, command: Optimize, *, size: int, trials: int, draws: int, key: jax.Array
) -> geometry.GeometryComparison:
    """Send natural image patches through networks drawn from a structure."""
    image_key, projection_key, simulation_key = jax.random.split(key, 3)
    images = datasets.natural_patches(command.images, key=image_key, size=size)
    return geometry.compare_geometry(
        gains,
        geometry.initial_patterns(images, gains, command.units, key=projection_key),
        noise_std=command.noise_std,
        num_steps=command.steps,
        num_trials=trials,
        num_draws=draws,
        key=simulation_key,
        nonlinearity=command.nonlinearity,
    )


def curve_rows(
    theory: fisher.FisherCurve, bare: fisher.FisherCurve, measured: fisher.FisherCurve | None
) -> list[list[object]]:
    """One row per time: theory, bare operator, and simulation where there is one."""
    rows: list[list[object]] = []
    for index in range(len(theory.times)):
        row: list[object] = [int(theory.times[index]), float(theory.total[index]), float(bare.total[index])]
        if measured is None or measured.standard_error is None:
            row += ["", "", ""]
        else:
            value, error = float(measured.total[index]), float(measured.standard_error[index])
            row += [value, error, value / float(theory.total[index])]
        rows.append(row)
    return rows


def geometry_table(measured: GeometryCurve, theory: GeometryCurve | None = None) -> Table:
    """Correlations, stress, neighbors and dimension over time, one row per step."""
    columns = {
        "time": measured.times.astype(int),
        **({} if theory is None else {"Pearson, theory": theory.pearson}),
        "Pearson, simulation": measured.pearson,
        "Spearman": measured.spearman,
        "Kendall": measured.kendall,
        "stress-1": measured.stress,
        "neighbors kept": measured.neighbors,
        "least stretch": measured.smallest_stretch,
        "largest stretch": measured.largest_stretch,
    }
    optional = {
        "dimension": measured.participation_ratio,
        "class neighbors": measured.class_neighbors,
        "linear probe": measured.probe_accuracy,
    }
    columns |= {name: column for name, column in optional.items() if column is not None}
    return Table(tuple(columns), [list(row) for row in zip(*(c.tolist() for c in columns.values()), strict=True)])


def geometry_section(figure: Path, table: Table, source: str) -> Section:
    """The part of a report that is about images."""
    return Section(
        "Geometry of images",
        [
            f"{source[0].upper()}{source[1:]}, projected on population 0, start the network.",
            (
                "Shepard diagrams compare the distance of every pair before with the distance between the states they "
                "lead to (blue: trial averages in simulation, green: predicted pair by pair)."
            ),
        ],
        [
            Figure(figure, "Shepard diagrams and correlation of distances over time, with 95 % bootstrap intervals."),
            table,
        ],
    )


def named_arrays(distances: geometry.GeometryComparison) -> dict[str, np.ndarray]:
    """Distances under the names they have in arrays.npz."""
    named = {"original": distances.original, "simulated": distances.simulated, "predicted": distances.predicted}
    return {f"distances_{name}": np.asarray(value) for name, value in named.items()}


def write_report(session: Session, title: str, sections: list[Section]) -> None:
    """Write report.html."""
    subtitle = f"fisherjax {session.name}, seed {session.command.seed}"
    footer = f"{session.device} · " + " · ".join(
        f"{stage}: {seconds:.1f} s" for stage, seconds in session.timings.items()
    )
    session.write("report.html", html_report(title, subtitle, sections, footer))


def say_where(session: Session) -> None:
    """Say where the report is."""
    print(f"wrote {session.folder / 'report.html'}")


def estimate_rows(found: Mapping[str, fisher.FisherEstimate]) -> list[list[Any]]:
    """Rows of the table of estimates, one per method."""
    return [
        [name, float(one.value), float(one.standard_error), *(float(end) for end in one.interval), float(one.naive)]
        for name, one in found.items()
    ]
