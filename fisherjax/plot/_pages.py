"""Whole figures of several panels, saved as PNG: what a report shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fisherjax._errors import check_instance
from fisherjax.connectivity import GainMatrix
from fisherjax.fisher import FisherCurve, FisherEstimate
from fisherjax.fisher._saturation import InformationScaling
from fisherjax.fisher._temporal import TemporalMatrix
from fisherjax.optimize._problem import History

from . import _figures as panel
from . import _information as sampled
from ._checks import check_results, checked
from ._style import COLORS, PAGE_WIDTH, page, tiles
from ._temporal import temporal_matrix


@checked
def save_network(path: Path, gain_matrix: GainMatrix, weights: Any) -> Path:
    """Gains beside the eigenvalues of one network."""
    with tiles(path, 2, columns=2, height=4.4) as (left, right):
        panel.gain_matrix(gain_matrix, left)
        panel.weight_spectrum(weights, gain_matrix, right)
    return path


@checked
def save_curves(
    path: Path,
    independent: FisherCurve,
    linear: FisherCurve | None,
    bare: FisherCurve | None = None,
    measured: FisherCurve | None = None,
) -> Path:
    """Fisher information of a structure over time: by population, if it has several, and in total."""
    counted = linear is not None and measured is not None and measured.form == "linear"
    several = independent.by_population.shape[1] > 1
    with tiles(path, 1 + several, columns=2, height=4.6) as axes:
        right, points = axes[-1], "" if measured is None else ", points: simulation ± s.e."
        if several:
            panel.fisher_curve(linear if counted and linear is not None else independent, axes[0])
            if measured is not None:
                panel.fisher_curve(measured, axes[0])
            form = "each read out alone" if counted else "units independent"
            axes[0].set_title(f"by population, {form}\nlines: theory{points}")
        panel.fisher_curve(independent, right, label="independent form", by_population=False, color=COLORS[0])
        if linear is not None:
            panel.fisher_curve(linear, right, label="linear form", by_population=False)
        if bare is not None:
            panel.fisher_curve(bare, right, label="bare operator", by_population=False, dashed=True, color=COLORS[0])
        if measured is not None:
            look: Any = {"by_population": False, "color": "black" if counted else COLORS[0]}
            panel.fisher_curve(measured, right, label=f"simulation, {measured.form} form", **look)
        right.set_title(f"total\nlines: theory{points}")
    return path


@checked
def save_streams(path: Path, found: Mapping[str, TemporalMatrix]) -> Path:
    """What is known of each input of a stream, a row of panels for every form or method (by its name)."""
    check_results("found", found, TemporalMatrix)
    with page(path, (PAGE_WIDTH, 3.4 * len(found))) as figure:
        for row, (name, matrix) in zip(figure.subplots(len(found), 3, squeeze=False), found.items(), strict=True):
            temporal_matrix(matrix, tuple(row))
            row[0].set_ylabel(f"{name}\n\n{row[0].get_ylabel()}")
    return path


@checked
def save_optima(path: Path, forms: Mapping[str, Mapping[str, Sequence[FisherCurve]]]) -> Path:
    """Total information of several structures over time, one panel for every form (by its title).

    Each structure has a color; its curves are theory (a line) and perhaps measurements (points).
    """
    with tiles(path, len(forms), columns=2, height=4.4) as axes:
        for ax, (title, structures) in zip(axes, forms.items(), strict=True):
            for index, (name, curves) in enumerate(structures.items()):
                check_results("forms", dict(enumerate(curves)), FisherCurve)
                for curve in curves:
                    panel.fisher_curve(curve, ax, label=name, by_population=False, color=COLORS[index])
            ax.set_title(f"{title}\nlines: theory at large N, points: simulation ± s.e.")
    return path


@checked
def save_network_curves(path: Path, panels: Mapping[str, Mapping[str, FisherCurve]]) -> Path:
    """Fisher information of one network over time, for each panel (a parameter of the stimulus) curves by their name.

    Where there is one panel, and the network has populations, the first curve and what was measured are shown by
    population as well.
    """
    for curves in check_instance("panels", panels, Mapping, "titles and their curves").values():
        check_results("panels", curves, FisherCurve)
    only = list(next(iter(panels.values())).values()) if len(panels) == 1 else []
    by_population = bool(only) and only[0].by_population.shape[1] > 1
    with tiles(path, len(panels) + by_population, columns=2, height=4.4) as axes:
        if by_population:
            panel.fisher_curve(only[0], axes[0])
            for curve in only[1:]:
                if curve.standard_error is not None:
                    panel.fisher_curve(curve, axes[0])
            axes[0].set_title(f"by population (lines: {next(iter(next(iter(panels.values()))))})")
        for ax, (title, curves) in zip(axes[by_population:], panels.items(), strict=True):
            for index, (name, curve) in enumerate(curves.items()):
                panel.fisher_curve(curve, ax, label=name, by_population=False, dashed=index > 0)
            ax.set_title(title)
    return path


@checked
def save_history(path: Path, record: History, *, objective: str = "objective") -> Path:
    """The search; `objective` is what its value is called."""
    with tiles(path, 2, columns=2, height=3.9) as axes:
        panel.history(record, (axes[0], axes[1]), objective=objective)
    return path


@checked
def save_estimates(
    path: Path,
    found: Mapping[str, FisherEstimate],
    scaling: InformationScaling | None = None,
    reference: float | None = None,
    *,
    unit: str = "1/θ²",
) -> Path:
    """Estimates side by side, and how information grows with the units if that was asked."""
    with tiles(path, 1 if scaling is None else 2, columns=2, height=max(3.8, 0.4 * len(found) + 1.5)) as axes:
        sampled.estimates(found, axes[0], reference=reference, unit=unit)
        if scaling is not None:
            sampled.information_scaling(scaling, axes[1])
    return path
