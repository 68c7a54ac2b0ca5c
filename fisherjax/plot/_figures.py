"""Pictures of results: each takes a result and optionally axes, and returns the axes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_instance
from fisherjax.connectivity import GainMatrix, spectral_radius
from fisherjax.fisher import FisherCurve
from fisherjax.geometry import DistanceCorrelation, ShepardDiagram
from fisherjax.geometry._measured import GeometryCurve
from fisherjax.optimize._problem import History

from ._checks import axes_of, checked, drawable
from ._style import COLORS, axes_or_new, draw_circle, page, population_color

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
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8)
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
        aspect="equal",
        xlim=(-1.1 * reach, 1.1 * reach),
        ylim=(-1.1 * reach, 1.45 * reach),
        xlabel="Re λ",
        ylabel="Im λ",
    )
    ax.legend(loc="upper center", ncols=2)
    return ax


@checked
def fisher_curve(
    curve: FisherCurve,
    ax: Axes | None = None,
    *,
    label: str = "",
    by_population: bool = True,
    dashed: bool = False,
    color: str = "black",
) -> Axes:
    """Fisher information over time: theory as lines, measurement as points with one standard error.

    Populations keep their colors; the total is black, or `color`. Values that are not positive cannot be
    shown on the logarithmic axis; they are gaps, and counted in a corner.
    """
    ax = axes_or_new(ax)
    times, prefix = np.asarray(curve.times), f"{label} " if label else ""
    measured = curve.standard_error is not None
    rows = [(np.asarray(curve.total), curve.standard_error, color, f"{prefix}total")]
    count = curve.by_population.shape[1]
    if by_population and count > 1:
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
    for value, error, shade, name in rows:
        shown = drawable(ax, value, positive=True)
        if measured:
            bars = None if error is None else np.minimum(np.asarray(error), 0.999 * np.abs(shown))
            ax.errorbar(times, shown, bars, fmt="o", markersize=4, capsize=2, color=shade, label=name)
        else:
            ax.plot(times, shown, "--" if dashed else "-", color=shade, alpha=0.8 if dashed else 1, label=name)
    ax.set_yscale("log")
    # a population that a stimulus has not reached would stretch the axis over empty decades
    top = float(np.max(np.asarray(curve.total), initial=0, where=np.isfinite(curve.total)))
    if top > 0 and ax.get_ylim()[0] < _DECADES * top:
        ax.set_ylim(bottom=_DECADES * top)
    counts_steps = bool(np.all(times == np.round(times)))
    ax.set(xlabel="time (steps)" if counts_steps else "time (time constants)", ylabel="Fisher information (1/θ²)")
    if counts_steps:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


@checked
def history(record: History, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """How a search got there: the objective, and the spectral radii and the alignment, at every step."""
    both = value_axes, spectrum_axes = axes_of(axes, 1, 2, (9, 3.4))
    steps = np.arange(1, len(record.value) + 1)
    value_axes.plot(steps, drawable(value_axes, record.value), color=COLORS[0])
    value_axes.set_ylabel("objective")
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
    spectrum_axes.set_ylim(bottom=0)
    spectrum_axes.legend()
    for ax in both:
        if record.num_generations < len(steps):
            ax.axvline(record.num_generations + 0.5, color="0.5", linewidth=0.8, linestyle=":")
        ax.set_xlabel("step (dotted: search → gradient)")
    return both


@checked
def shepard(diagram: ShepardDiagram, ax: Axes | None = None) -> Axes:
    """Shepard diagram: latent against original distance of every pair, and the monotone fit."""
    ax = axes_or_new(ax)
    order = np.argsort(diagram.original)
    ax.scatter(diagram.original, diagram.latent, s=3, color=COLORS[0], alpha=0.3, linewidths=0, rasterized=True)
    ax.plot(diagram.original[order], diagram.fitted[order], color=COLORS[1], label="monotone fit")
    ax.set(xlabel="original distance", ylabel="latent distance", xlim=(0, None), ylim=(0, None))
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
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if label:
        ax.legend()
    return ax


def sweep(
    columns: Mapping[str, Sequence[Any]], *, x: str, y: str, color: str | None = None, ax: Axes | None = None
) -> Axes:
    """Mean and standard error of column `y` over the rows that agree in `x` and `color`.

    Parameters
    ----------
    columns
        Columns of a table by name, equally long; rows whose `y` is not a finite number are left out, and counted in a
        corner. A mean of one row has no error and is hollow.
    x, y
        Names of the columns to draw.
    color
        Column whose values become lines of their own.
    ax
        Where to draw.
    """
    check_instance("columns", columns, Mapping, "names of columns and their values")
    for name, column in {"x": x, "y": y, **({} if color is None else {"color": color})}.items():
        check_choice(name, column, columns)
    axes = axes_or_new(ax)
    groups = list(dict.fromkeys(columns[color])) if color else [None]
    for index, group in enumerate(groups):
        rows = [i for i in range(len(columns[x])) if color is None or columns[color][i] == group]
        values = drawable(axes, [_number(columns[y][i]) for i in rows])
        rows = [i for i, value in zip(rows, values, strict=True) if np.isfinite(value)]
        places = sorted({float(columns[x][i]) for i in rows})
        samples = [np.array([columns[y][i] for i in rows if float(columns[x][i]) == place]) for place in places]
        means = [sample.mean() for sample in samples]
        errors = [sample.std(ddof=1) / np.sqrt(len(sample)) if len(sample) > 1 else np.nan for sample in samples]
        label = None if group is None else f"{color} = {group}"
        shade = population_color(index)
        axes.errorbar(places, means, errors, color=shade, marker="o", capsize=2, label=label)
        alone = np.isnan(errors)
        axes.plot(np.array(places)[alone], np.array(means)[alone], "o", color=shade, markerfacecolor="white", zorder=3)
    axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
    if color:
        axes.legend(frameon=False)
    return axes


@checked
def save_sweep(path: Path, columns: Mapping[str, Sequence[Any]], *, x: str, y: str, color: str | None = None) -> Path:
    """`sweep` as a file."""
    with page(path, (6.0, 4.2)) as figure:
        sweep(columns, x=x, y=y, color=color, ax=figure.subplots())
    return path


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else np.nan
