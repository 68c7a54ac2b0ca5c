"""Pictures of results: each takes a result and optionally axes, and returns the axes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_instance
from fisherjax.connectivity import GainMatrix, spectral_radius
from fisherjax.fisher import FisherCurve
from fisherjax.geometry import DistanceCorrelation, ShepardDiagram
from fisherjax.geometry._measured import GeometryCurve
from fisherjax.optimize._problem import History

from ._checks import axes_of, checked, drawable
from ._style import COLORS, SMALL, axes_or_new, draw_circle, legend_below, page, population_color, whole_numbers

_LINES = ("-", "--", ":", "-.")
_DECADES = 1e-5  # of the total that the logarithmic axis reaches down to


@checked
def gain_matrix(matrix: GainMatrix, ax: Axes | None = None) -> Axes:
    """Gains as a heat map: rows receive, columns send; the fractions of the populations on the axes."""
    ax = axes_or_new(ax)
    gains, fractions = np.asarray(matrix.gains), np.asarray(matrix.fractions)
    top = float(gains.max()) or 1.0
    image = ax.imshow(gains, cmap="viridis", vmin=0, vmax=top)
    if len(gains) <= 8:
        for (row, column), value in np.ndenumerate(gains):
            color = "white" if value < 0.6 * top else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=SMALL)
    labels = [f"{index}\n({share:.2g})" for index, share in enumerate(fractions)]
    ax.set_xticks(range(len(gains)), labels)
    ax.set_yticks(range(len(gains)), [f"{index}" for index in range(len(gains))])
    ax.set(xlabel="from population (fraction of units)", ylabel="to population")
    ax.figure.colorbar(image, ax=ax, label="gain $g_{pq}$", shrink=0.8)
    ax.set_title(f"gains, mean synaptic budget {float(matrix.mean_synaptic_budget):.3g}")
    return ax


@checked
def weight_spectrum(
    weights: Any, matrix: GainMatrix | None = None, ax: Axes | None = None, *, continuous: bool = False
) -> Axes:
    """Eigenvalues of the weights in the complex plane with the predicted radius and where silence loses stability.

    That is the unit circle in discrete time, and the line Re λ = 1 in continuous time.
    """
    values = np.linalg.eigvals(host_real("weights", weights, "units units"))
    ax = axes_or_new(ax)
    ax.scatter(values.real, values.imag, s=3, color=COLORS[0], alpha=0.5, linewidths=0, label="eigenvalues of J")
    if continuous:
        reach = 1.05 * float(np.abs(values).max())
        ax.plot([1, 1], [-reach, reach], color="black", linewidth=1, label="silence unstable: Re λ > 1")
    else:
        draw_circle(ax, color="black", linewidth=1, label="unit circle")
    reach = max(1.0, float(np.abs(values).max()))
    if matrix is not None:
        radius = float(spectral_radius(matrix))
        reach = max(reach, radius)
        draw_circle(ax, radius, "--", color=COLORS[1], linewidth=1.2, label=f"theory, √ρ(G) = {radius:.3f}")
    ax.set(
        aspect="equal", xlim=(-1.1 * reach, 1.1 * reach), ylim=(-1.1 * reach, 1.1 * reach), xlabel="Re λ", ylabel="Im λ"
    )
    legend_below(ax)
    return ax


@checked
def fisher_curve(
    curve: FisherCurve,
    ax: Axes | None = None,
    *,
    label: str = "",
    by_population: bool | None = None,
    dashed: bool = False,
    color: str | None = None,
) -> Axes:
    """Fisher information over time: theory as lines, measurement as points with one standard error.

    Populations keep their colors, the total is black. With a `color` it is the total alone, by default: several curves
    beside one another. Where there is more than one curve, or a `label`, a legend below the axes tells them apart.
    Values that are not positive cannot be shown on the logarithmic axis; they are gaps, and counted beside the axes.
    """
    ax = axes_or_new(ax)
    times, prefix = np.asarray(curve.times), f"{label} " if label else ""
    measured = curve.standard_error is not None
    count = curve.by_population.shape[1]
    several = (color is None if by_population is None else by_population) and count > 1
    color = color or "black"
    rows = [(np.asarray(curve.total), curve.standard_error, color, f"{prefix}total" if several else label or "total")]
    if several:
        errors = curve.by_population_error
        rows += [
            (
                np.asarray(curve.by_population[:, index]),
                None if errors is None else errors[:, index],
                population_color(index),
                f"{prefix}population {index}",
            )
            for index in range(count)
        ]
    ax.set_yscale("log")
    for value, error, shade, name in rows:
        shown = drawable(ax, value, positive=True)
        if measured:
            bars = None if error is None else np.minimum(np.asarray(error), 0.999 * np.abs(shown))
            ax.errorbar(times, shown, bars, fmt="o", markersize=4, capsize=2, color=shade, label=name)
        else:
            ax.plot(times, shown, "--" if dashed else "-", color=shade, alpha=0.8 if dashed else 1, label=name)
    # a population that a stimulus has not reached would stretch the axis over empty decades
    top = float(np.max(np.asarray(curve.total), initial=0, where=np.isfinite(curve.total)))
    if top > 0 and ax.get_ylim()[0] < _DECADES * top:
        ax.set_ylim(bottom=_DECADES * top)
    counts_steps = bool(np.all(times == np.round(times)))
    ax.set(xlabel="time (steps)" if counts_steps else "time (time constants)", ylabel="Fisher information (1/θ²)")
    if counts_steps:
        whole_numbers(ax.xaxis)
    if label or len(set(ax.get_legend_handles_labels()[1])) > 1:
        legend_below(ax)
    return ax


@checked
def history(
    record: History, axes: tuple[Axes, Axes] | None = None, *, objective: str = "objective"
) -> tuple[Axes, Axes]:
    """How a search got there: the objective, and the spectral radii and the alignment, at every step.

    `objective` is what the axis of its value is called.
    """
    both = value_axes, spectrum_axes = axes_of(axes, 1, 2, (9, 3.4))
    steps = np.arange(1, len(record.value) + 1)
    value_axes.plot(steps, drawable(value_axes, record.value), color=COLORS[0])
    value_axes.set_ylabel(objective)
    # the first generations are far below the rest and would hide what follows
    low, high = np.nanquantile(np.asarray(record.value), [0.02, 1.0])
    if high > low:
        value_axes.set_ylim(low - 0.05 * (high - low), high + 0.08 * (high - low))
    spectrum_axes.plot(steps, record.weight_spectral_radius, color=COLORS[1], label="√ρ(G), radius of the weights")
    if record.diffusion_spectral_radius is not None:
        spectrum_axes.plot(steps, record.diffusion_spectral_radius, color=COLORS[0], label="ρ(A), Fisher diffusion")
    if record.alignment is not None:
        spectrum_axes.plot(steps, record.alignment, color=COLORS[2], label="alignment of the input")
    spectrum_axes.axhline(1, color="0.6", linewidth=0.8)
    spectrum_axes.set(ylim=(0, None), ylabel="spectral radius, alignment")
    climbed = record.num_generations < len(steps)
    for ax in both:
        if climbed:
            ax.axvline(record.num_generations + 0.5, color="0.5", linewidth=0.8, linestyle=":")
        ax.set_xlabel("step (right of the dotted line: by gradient)" if climbed else "step")
    legend_below(spectrum_axes)
    return both


@checked
def shepard(diagram: ShepardDiagram, ax: Axes | None = None) -> Axes:
    """Shepard diagram: latent against original distance of every pair, and the monotone fit."""
    ax = axes_or_new(ax)
    order = np.argsort(diagram.original)
    ax.scatter(diagram.original, diagram.latent, s=3, color=COLORS[0], alpha=0.3, linewidths=0, rasterized=True,
               label="pairs")  # fmt: skip
    ax.plot(diagram.original[order], diagram.fitted[order], color=COLORS[1], label="monotone fit")
    ax.set(xlabel="original distance", ylabel="latent distance", xlim=(0, None), ylim=(0, None))
    legend_below(ax)
    resolved = np.isfinite(diagram.pearson)
    ax.set_title(
        f"r = {diagram.pearson:.2f}, stress {diagram.stress:.2f}" if resolved else "all latent distances equal"
    )
    return ax


@checked
def distance_correlation(
    curve: DistanceCorrelation | GeometryCurve,
    ax: Axes | None = None,
    *,
    label: str = "",
    measured: bool = False,
    color: str | None = None,
) -> Axes:
    """Correlation between original and latent distances over time; points with intervals if measured, else a line.

    Points whose interval is not known, since no resamples were asked for, are hollow.
    """
    ax = axes_or_new(ax)
    values = drawable(ax, curve.pearson)
    style = {"color": color or COLORS[0], "markersize": 4, "label": label}
    if measured and curve.pearson_interval is not None:
        low, high = curve.pearson_interval.T
        reach = np.maximum([values - low, high - values], 0)
        ax.errorbar(curve.times, values, reach, fmt="o", capsize=2, linewidth=1, **style)
    else:
        ax.plot(curve.times, values, "o" if measured else "-", markerfacecolor="none", **style)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(ylim=(None, 1.03), xlabel="time (steps)", ylabel="Pearson correlation of distances")
    whole_numbers(ax.xaxis)
    if label:
        legend_below(ax)
    return ax


def sweep(
    columns: Mapping[str, Sequence[Any]],
    *,
    x: str,
    y: str,
    color: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean and standard error of column `y` over the rows that agree in `x` and `color`.

    What rows differ in beside these, as their seed, counts as chance: there is an error where they are several and not
    all equal.

    Parameters
    ----------
    columns
        Columns of a table by name, equally long; rows whose `y` is not a finite number are left out, and counted
        beside the axes. Where others are means of several rows, what is one row alone is hollow: its error is unknown.
    x, y
        Names of the columns to draw.
    color
        Column, or columns, whose values become lines of their own.
    ax
        Where to draw.
    """
    check_instance("columns", columns, Mapping, "names of columns and their values")
    own = [] if color is None else [color] if isinstance(color, str) else list(color)
    for name, column in [("x", x), ("y", y), *(("color", column) for column in own)]:
        check_choice(name, column, columns)
    axes = axes_or_new(ax)
    kinds = [tuple(str(columns[column][row]) for column in own) for row in range(len(columns[x]))]
    lines = [
        _means(axes, columns, x, y, [row for row, kind in enumerate(kinds) if kind == group])
        for group in dict.fromkeys(kinds)
    ]
    repeated = any(count > 1 for line in lines for count in line.rows)
    for index, (group, line) in enumerate(zip(dict.fromkeys(kinds), lines, strict=True)):
        told = [f"{name.replace('_', ' ')} = {value}" for name, value in zip(own, group, strict=True)]
        look: Any = {"color": population_color(index), "linestyle": _LINES[index // len(COLORS) % len(_LINES)]}
        axes.errorbar(line.place, line.mean, line.error, marker="o", capsize=2, label=", ".join(told) or None, **look)
        alone = (line.rows == 1) & repeated
        if alone.any():
            look = {"color": look["color"], "markerfacecolor": "white", "zorder": 3}
            axes.plot(line.place[alone], line.mean[alone], "o", **look)
    axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
    if own:
        legend_below(axes)
    return axes


class _Line(NamedTuple):
    """Means over rows that agree."""

    place: np.ndarray
    mean: np.ndarray
    error: np.ndarray  # NaN where it is not known, or where there is no chance
    rows: np.ndarray


def _means(axes: Axes, columns: Mapping[str, Sequence[Any]], x: str, y: str, rows: Sequence[int]) -> _Line:
    """Means of `y` over the rows that agree in `x`."""
    values = drawable(axes, [_number(columns[y][row]) for row in rows])
    places = np.array([float(columns[x][row]) for row in rows])
    places, values = places[np.isfinite(values)], values[np.isfinite(values)]
    every = np.unique(places)
    samples = [values[places == place] for place in every]
    errors = [
        np.std(one, ddof=1) / np.sqrt(len(one)) if len(one) > 1 and np.ptp(one) > 0 else np.nan for one in samples
    ]
    return _Line(
        every, np.array([one.mean() for one in samples]), np.array(errors), np.array([*map(len, samples)], int)
    )


@checked
def save_sweep(
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    *,
    x: str,
    y: str,
    color: str | Sequence[str] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> Path:
    """`sweep` as a file, with other names for the axes than those of the columns if there are better ones."""
    with page(path, (6.5, 4.4)) as figure:
        ax = sweep(columns, x=x, y=y, color=color, ax=figure.subplots())
        ax.set(xlabel=xlabel or ax.get_xlabel(), ylabel=ylabel or ax.get_ylabel())
    return path


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else np.nan
