"""Figures of the geometry of stimuli."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fisherjax import geometry
from fisherjax._errors import check_integer
from fisherjax.geometry._measured import GeometryCurve

from . import _figures as panel
from ._checks import checked, drawable
from ._style import COLORS, PAGE_WIDTH, SMALL, legend_below, page, tiles, whole_numbers

Geometry: TypeAlias = geometry.GeometryComparison | geometry.NetworkGeometry


@checked
def save_geometry(path: Path, found: Geometry) -> Path:
    """Shepard diagrams at the kept times, then the correlation of distances over time, with theory if there is one."""
    pairs = np.triu_indices(len(found.original), 1)
    order = np.argsort(found.original[pairs])
    compared = isinstance(found, geometry.GeometryComparison)
    count = len(found.kept_times) + 1
    with tiles(path, count, columns=2 if count in {2, 4} else 3, height=3.8) as axes:
        for index, (ax, time) in enumerate(zip(axes, found.kept_times, strict=False)):
            simulated = found.simulated[index] if compared else found.distances[index]
            panel.shepard(geometry.shepard(found.original, simulated), ax)
            if compared:
                ax.scatter(
                    found.original[pairs][order], found.predicted[index][pairs][order], s=2, color=COLORS[2], alpha=0.5,
                    linewidths=0, label="theory", rasterized=True,
                )  # fmt: skip
                legend_below(ax)
            ax.set_title(f"t = {time}: {ax.get_title()}")
        if compared:
            panel.distance_correlation(found.theory, axes[-1], label="theory")
        panel.distance_correlation(found.measured, axes[-1], label="simulation", measured=True, color=COLORS[1])
    return path


@checked
def save_extreme_pairs(path: Path, found: geometry.GeometryComparison, images: Any, count: int = 5) -> Path:
    """The pairs of images that were stretched and shrunk most at the last kept time, and where they lie."""
    count = check_integer("count", count, minimum=1)
    rows, columns = np.triu_indices(len(found.original), 1)
    before, after = (np.asarray(part)[rows, columns] for part in (found.original, found.simulated[-1]))
    stretch = np.where(before > 0, after / np.where(before > 0, before, 1), np.nan)
    stretch /= np.sqrt(np.sum(after**2) / np.sum(before**2))
    order = np.argsort(stretch)[: np.count_nonzero(before > 0)]
    count = min(count, len(order) // 2)
    chosen = {"stretched most": order[::-1][:count], "shrunk most": order[:count]}
    with page(path, (PAGE_WIDTH, 4.8)) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(5, 1.3 * count))
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
                    cell.set(xticks=[], yticks=[])
                    cell.spines[:].set(visible=True, color=color)
                cells[2 * place, column].set_title(f"× {stretch[pair]:.2f}", fontsize=SMALL, color=color)
        legend_below(ax)
    return path


@checked
def save_geometry_measures(path: Path, found: Geometry) -> Path:
    """Rank correlations, extremes of the stretch, neighbors, and dimension or classes over time.

    Simulation as points with one standard error over networks, or with the interval of its bootstrap; hollow where
    one network only was simulated and there is none.
    """
    measured = found.measured
    theory = found.theory if isinstance(found, geometry.GeometryComparison) else None
    panels: list[tuple[str, str, dict[str, str]]] = [
        ("rank correlations", "correlation", {"Spearman": "spearman", "Kendall": "kendall"}),
        ("stretch of distances", "stretch / its r.m.s.", {"largest": "largest_stretch", "least": "smallest_stretch"}),
        ("nearest neighbors kept", "share of neighbors", {"": "neighbors"}),
        ("dimension", "participation ratio", {"": "participation_ratio"}),
    ]
    if measured.class_neighbors is not None:
        labels = {"neighbors of the same class": "class_neighbors", "linear probe": "probe_accuracy"}
        panels.append(("labels", "share that is right", labels))
    with tiles(path, len(panels), columns=2 if len(panels) == 4 else 3, height=3.4) as axes:
        for ax, (title, ylabel, curves) in zip(axes, panels, strict=True):
            stretched = title.startswith("stretch")
            for index, (name, field) in enumerate(curves.items()):
                points, line = drawable(ax, getattr(measured, field), positive=stretched), getattr(theory, field, None)
                _points(ax, measured, field, points, COLORS[index], name)
                if theory is not None and line is not None:
                    ax.plot(theory.times, drawable(ax, line, positive=stretched), color=COLORS[index])
            if stretched:
                ax.set_yscale("log")
            elif not title.startswith("rank"):  # a correlation may be below zero
                ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
            ax.set(title=title, xlabel="time (steps)", ylabel=ylabel)
            whole_numbers(ax.xaxis)
            if len(curves) > 1:
                legend_below(ax)
    return path


def _points(ax: Any, measured: GeometryCurve, field: str, values: np.ndarray, color: str, name: str) -> None:
    """Points with the interval of their bootstrap, else with the standard error over networks, else hollow."""
    interval, error = getattr(measured, f"{field}_interval", None), getattr(measured, f"{field}_error", None)
    style: Any = {"markersize": 4, "color": color, "label": name}
    if interval is None and error is None:
        ax.plot(measured.times, values, "o", markerfacecolor="none", **style)
        return
    reach = error if interval is None else np.maximum([values - interval[:, 0], interval[:, 1] - values], 0)
    ax.errorbar(measured.times, values, reach, fmt="o", capsize=2, linewidth=1, **style)
