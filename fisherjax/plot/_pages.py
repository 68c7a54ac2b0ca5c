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
from ._style import COLORS, page
from ._temporal import temporal_matrix


@checked
def save_network(path: Path, gain_matrix: GainMatrix, weights: Any) -> Path:
    """Gains beside the eigenvalues of one network."""
    with page(path, (10, 4.4)) as figure:
        left, right = figure.subplots(1, 2)
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
    """Fisher information of a structure over time: by population in the form that was measured, and totals."""
    counted = linear is not None and measured is not None and measured.form == "linear"
    with page(path, (11, 4.4)) as figure:
        left, right = figure.subplots(1, 2)
        panel.fisher_curve(linear if counted and linear is not None else independent, left)
        if measured is not None:
            panel.fisher_curve(measured, left)
        form = "each read out alone" if counted else "units independent"
        points = "" if measured is None else ", points: simulation ± s.e."
        left.set_title(f"by population, {form} (lines: theory{points})")
        _unique_legend(left)
        panel.fisher_curve(independent, right, label="independent form,", by_population=False, color=COLORS[0])
        if linear is not None:
            panel.fisher_curve(linear, right, label="linear form,", by_population=False)
        if bare is not None:
            panel.fisher_curve(bare, right, label="bare operator,", by_population=False, dashed=True, color=COLORS[0])
        if measured is not None:
            panel.fisher_curve(measured, right, label=f"simulation ({measured.form}),", by_population=False)
        right.set_title("total")
        right.legend()
    return path


@checked
def save_streams(path: Path, found: Mapping[str, TemporalMatrix]) -> Path:
    """What is known of each input of a stream, a row of panels for every form or method (by its name)."""
    check_results("found", found, TemporalMatrix)
    with page(path, (14, 3.9 * len(found))) as figure:
        for row, (name, matrix) in zip(figure.subplots(len(found), 3, squeeze=False), found.items(), strict=True):
            temporal_matrix(matrix, tuple(row))
            row[0].set_ylabel(f"{name}\n\n{row[0].get_ylabel()}")
    return path


@checked
def save_optima(path: Path, forms: Mapping[str, Mapping[str, Sequence[FisherCurve]]]) -> Path:
    """Total information of several structures over time, one panel for every form (by its title).

    Each structure has a color; its curves are theory (a line) and perhaps measurements (points).
    """
    with page(path, (5.5 * len(forms), 4.4)) as figure:
        for ax, (title, structures) in zip(
            figure.subplots(1, len(forms), squeeze=False)[0], forms.items(), strict=True
        ):
            for index, (name, curves) in enumerate(structures.items()):
                check_results("forms", dict(enumerate(curves)), FisherCurve)
                for curve in curves:
                    panel.fisher_curve(curve, ax, label=name, by_population=False, color=COLORS[index])
            first = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
            ax.legend([first[f"{name} total"] for name in structures], list(structures))
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
    columns = len(panels) + by_population
    with page(path, (5.5 * columns, 4.4)) as figure:
        (axes,) = figure.subplots(1, columns, squeeze=False)
        if by_population:
            panel.fisher_curve(only[0], axes[0])
            for curve in only[1:]:
                if curve.standard_error is not None:
                    panel.fisher_curve(curve, axes[0])
            axes[0].set_title(f"by population (lines: {next(iter(next(iter(panels.values()))))})")
            _unique_legend(axes[0])
        for ax, (title, curves) in zip(axes[by_population:], panels.items(), strict=True):
            for index, (name, curve) in enumerate(curves.items()):
                panel.fisher_curve(curve, ax, label=f"{name},", by_population=False, dashed=index > 0)
            ax.set_title(title)
            ax.legend()
    return path


@checked
def save_history(path: Path, record: History) -> Path:
    """The search."""
    with page(path, (10, 3.6)) as figure:
        axes = figure.subplots(1, 2)
        panel.history(record, tuple(axes))
    return path


@checked
def save_estimates(
    path: Path,
    found: Mapping[str, FisherEstimate],
    scaling: InformationScaling | None = None,
    reference: float | None = None,
) -> Path:
    """Estimates side by side, and how information grows with the units if that was asked."""
    columns = 1 if scaling is None else 2
    with page(path, (7.0 * columns, 0.5 * len(found) + 2)) as figure:
        (axes,) = figure.subplots(1, columns, squeeze=False)
        sampled.estimates(found, axes[0], reference=reference)
        if reference is not None:
            axes[0].legend(*(part[-1:] for part in axes[0].get_legend_handles_labels()))
        if scaling is not None:
            sampled.information_scaling(scaling, axes[1])
    return path


def _unique_legend(ax: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    first = dict(zip(reversed(labels), reversed(handles), strict=True))
    ax.legend([first[name] for name in sorted(first)], sorted(first))
