"""Figures of the geometry of stimuli."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from fisherjax import geometry

from . import _figures as panel
from ._files import new_figure, write_figure
from ._style import COLORS, style


def save_geometry(path: Path, found: geometry.GeometryComparison) -> Path:
    """Shepard diagrams at the kept times, then the correlation of distances over time."""
    pairs = np.triu_indices(len(found.original), 1)
    order = np.argsort(found.original[pairs])
    with style():
        figure, (axes,) = new_figure(1, len(found.kept_times) + 1, (3.6 * (len(found.kept_times) + 1), 3.6))
        for ax, time, simulated, predicted in zip(
            axes, found.kept_times, found.simulated, found.predicted, strict=False
        ):
            panel.shepard(geometry.shepard(found.original, simulated), ax)
            ax.scatter(
                found.original[pairs][order], predicted[pairs][order], s=2, color=COLORS[2], alpha=0.5,
                linewidths=0, label="theory", rasterized=True,
            )  # fmt: skip
            ax.set_title(f"t = {time}: {ax.get_title()}")
        axes[0].legend(markerscale=4)
        panel.distance_correlation(found.theory, axes[-1], label="theory")
        panel.distance_correlation(found.measured, axes[-1], label="simulation", measured=True, color=COLORS[1])
        return write_figure(figure, path)


def save_extreme_pairs(path: Path, found: geometry.GeometryComparison, images: Any, count: int = 5) -> Path:
    """The pairs of images that were stretched and shrunk most at the last kept time, and where they lie."""
    rows, columns = np.triu_indices(len(found.original), 1)
    before, after = (np.asarray(part)[rows, columns] for part in (found.original, found.simulated[-1]))
    stretch = np.where(before > 0, after / np.where(before > 0, before, 1), np.nan)
    stretch /= np.sqrt(np.sum(after**2) / np.sum(before**2))
    order = np.argsort(stretch)[: np.count_nonzero(before > 0)]
    count = min(count, len(order) // 2)
    chosen = {"stretched most": order[::-1][:count], "shrunk most": order[:count]}
    with style():
        figure = plt.figure(figsize=(5 + 1.3 * count, 5))
        halves: Any = figure.subfigures(1, 2, width_ratios=(5, 1.3 * count))
        left, right = halves
        ax = left.subplots()
        panel.shepard(geometry.shepard(found.original, found.simulated[-1]), ax)
        ax.set_title(f"t = {found.kept_times[-1]}: {ax.get_title()}")
        cells = right.subplots(4, count, squeeze=False)
        for place, (name, pairs) in enumerate(chosen.items()):
            color = COLORS[2 + place]
            ax.scatter(before[pairs], after[pairs], s=40, facecolors="none", edgecolors=color, label=name)
            for column, pair in enumerate(pairs):
                for row, image in enumerate((rows[pair], columns[pair])):
                    cell = cells[2 * place + row, column]
                    cell.imshow(
                        np.clip(np.asarray(images[image]), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
                    )
                    cell.set_xticks([])
                    cell.set_yticks([])
                    cell.spines[:].set(visible=True, color=color)
                cells[2 * place, column].set_title(f"× {stretch[pair]:.2f}", fontsize=8, color=color)
        ax.legend()
        return write_figure(figure, path)


def save_geometry_measures(path: Path, found: geometry.GeometryComparison) -> Path:
    """Rank correlations, extremes of the stretch, neighbours, and dimension or classes over time."""
    measured, theory = found.measured, found.theory
    panels: list[tuple[str, dict[str, tuple[Any, Any]]]] = [
        (
            "rank correlations",
            {name: (getattr(measured, name), getattr(theory, name)) for name in ("spearman", "kendall")},
        ),
        (
            "stretch / its r.m.s.",
            {
                "largest": (measured.largest_stretch, theory.largest_stretch),
                "smallest": (measured.smallest_stretch, theory.smallest_stretch),
            },
        ),
        ("nearest neighbours kept", {"": (measured.neighbours, theory.neighbours)}),
        ("participation ratio", {"": (measured.participation_ratio, None)}),
    ]
    if measured.class_neighbours is not None:
        classes = {"neighbours of the same class": (measured.class_neighbours, theory.class_neighbours)}
        panels.append(("labels", classes | {"linear probe": (measured.probe_accuracy, None)}))
    with style():
        figure, (axes,) = new_figure(1, len(panels), (3.3 * len(panels), 3.2))
        for ax, (title, curves) in zip(axes, panels, strict=True):
            for index, (name, (points, line)) in enumerate(curves.items()):
                ax.plot(measured.times, points, "o", markersize=4, color=COLORS[index], label=name)
                if line is not None:
                    ax.plot(theory.times, line, color=COLORS[index])
            if title.startswith("stretch"):
                ax.set_yscale("log")
            else:
                ax.set_ylim(bottom=0)
            ax.set_title(title)
            ax.set_xlabel("time (steps)")
            if len(curves) > 1:
                ax.legend()
        return write_figure(figure, path)
