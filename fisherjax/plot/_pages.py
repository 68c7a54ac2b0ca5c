"""Whole figures of several panels, saved as PNG: what a report shows."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from fisherjax import geometry
from fisherjax.connectivity import GainMatrix
from fisherjax.fisher import FisherCurve
from fisherjax.optimize import History

from . import _figures as panel
from ._style import COLORS, style


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    return plt.subplots(rows, columns, figsize=size, squeeze=False)


def _write(figure: Any, path: Path) -> Path:
    figure.savefig(path)
    plt.close(figure)
    return path


def save_network(path: Path, gain_matrix: GainMatrix, weights: Any) -> Path:
    """Gains beside the eigenvalues of one network."""
    with style():
        figure, ((left, right),) = _figure(1, 2, (10, 4.4))
        panel.gain_matrix(gain_matrix, left)
        panel.weight_spectrum(weights, gain_matrix, right)
        return _write(figure, path)


def save_curves(
    path: Path,
    theory: FisherCurve,
    bare: FisherCurve,
    measured: FisherCurve | None,
    reference: FisherCurve | None = None,
) -> Path:
    """Fisher information over time: by population on the left, totals on the right."""
    with style():
        figure, ((left, right),) = _figure(1, 2, (11, 4.4))
        panel.fisher_curve(theory, left)
        if measured is not None:
            panel.fisher_curve(measured, left)
        left.set_title("by population (lines: theory, points: simulation ± s.e.)")
        _unique_legend(left)
        panel.fisher_curve(theory, right, label="exact theory,", by_population=False)
        panel.fisher_curve(bare, right, label="bare operator,", by_population=False, dashed=True)
        if measured is not None:
            panel.fisher_curve(measured, right, label="simulation,", by_population=False)
        if reference is not None:
            panel.fisher_curve(reference, right, label="homogeneous g = 1,", by_population=False, color="0.55")
        right.set_title("total")
        right.legend()
        return _write(figure, path)


def save_history(path: Path, record: History) -> Path:
    """The search."""
    with style():
        figure, (axes,) = _figure(1, 2, (10, 3.6))
        panel.history(record, tuple(axes))
        return _write(figure, path)


def save_geometry(path: Path, measured: geometry.GeometryComparison) -> Path:
    """Shepard diagrams at several times, then the correlation of distances over time."""
    steps = len(measured.simulated)
    shown = sorted({0, (steps - 1) // 3, steps - 1})
    with style():
        figure, (axes,) = _figure(1, len(shown) + 1, (3.6 * (len(shown) + 1), 3.6))
        for ax, step in zip(axes, shown, strict=False):
            panel.shepard(geometry.shepard(measured.original, measured.simulated[step]), ax)
            order = np.argsort(measured.original[np.triu_indices(len(measured.original), 1)])
            pairs = np.triu_indices(len(measured.original), 1)
            ax.scatter(
                measured.original[pairs][order], measured.predicted[step][pairs][order], s=2, color=COLORS[2],
                alpha=0.5, linewidths=0, label="theory", rasterized=True,
            )  # fmt: skip
            ax.set_title(f"t = {step + 1}: {ax.get_title()}")
        axes[0].legend(markerscale=4)
        predicted = geometry.distance_correlation(measured.original, measured.predicted)
        simulated = geometry.distance_correlation(measured.original, measured.simulated)
        panel.distance_correlation(predicted, axes[-1], label="theory")
        panel.distance_correlation(simulated, axes[-1], label="simulation", measured=True, color=COLORS[1])
        return _write(figure, path)


def _unique_legend(ax: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    first = dict(zip(reversed(labels), reversed(handles), strict=True))
    ax.legend([first[name] for name in sorted(first)], sorted(first))
