"""Pictures of convolutional recurrent networks: training, spectra, decisions, relaxation, information, distortions."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from fisherjax._arrays import host_real
from fisherjax.fisher import FisherCurve
from fisherjax.fisher._eigendistortions import Eigendistortion
from fisherjax.training import TrainingHistory
from fisherjax.vision import Response
from fisherjax.vision._convolution_spectrum import StabilityCertificate
from fisherjax.vision._corruptions import UNITS
from fisherjax.vision._decisions import Decisions
from fisherjax.vision._relaxation import Relaxation
from fisherjax.vision._response_curve import UNITS as UNITS_VARIED
from fisherjax.vision._response_curve import ResponseCurve
from fisherjax.vision._robustness import Robustness
from fisherjax.vision._spectra import TrajectorySpectrum, TransientGrowth

from ._checks import axes_of, checked, drawable
from ._style import COLORS, axes_or_new, draw_circle, legend_below, whole_numbers


@checked
def stages(
    histories: Mapping[str, TrainingHistory], ax: Axes | None = None, *, color: str | None = None, label: str = ""
) -> Axes:
    """Validation accuracy over the updates of all stages of training, one after another, as a line.

    Stages in which nothing is classified leave a gap. With a label, all are drawn in one color as one course.
    """
    ax = axes_or_new(ax)
    done = 0
    for index, (name, history) in enumerate(histories.items()):
        shade = color or COLORS[index % len(COLORS)]
        known = np.isfinite(history.held_out_accuracy)
        if known.any():
            text = (label if index == 0 else None) if label else name
            ax.plot(done + history.evaluated[known], history.held_out_accuracy[known], "-", color=shade, label=text)
        if not label:
            ax.axvspan(done, done + len(history.loss), color=shade, alpha=0.07, linewidth=0)
        done += len(history.loss)
    ax.set(xlabel="updates", ylabel="validation accuracy", ylim=(None, 1.02))
    legend_below(ax)
    return ax


@checked
def certificate(found: StabilityCertificate, ax: Axes | None = None) -> Axes:
    """Bounds per area: of the largest singular value and of the symmetric part; below the line is certified."""
    ax = axes_or_new(ax)
    areas = np.arange(len(found.singular))
    ax.axhline(1, color="black", linewidth=1)
    ax.plot(areas, found.singular, "o", color=COLORS[0], label="σ: one fixed point for every image below 1")
    ax.plot(areas, found.jacobian_radius, "s", color=COLORS[1], label="Jacobian's radius: local stability below 1")
    ax.plot(areas, found.symmetric, "^", color=COLORS[2], label="ω of the symmetric part")
    ax.set(xticks=areas, xlabel="area", ylabel="certified upper bound")
    legend_below(ax)
    return ax


@checked
def trajectory_spectrum(found: TrajectorySpectrum, ax: Axes | None = None) -> Axes:
    """|λ| of the leading eigenvalues of the Jacobian over time; unconverged ones are hollow."""
    ax = axes_or_new(ax)
    sizes = drawable(ax, np.abs(found.eigenvalues))
    times = np.broadcast_to(found.steps[:, None], sizes.shape)
    sure = found.converged & np.isfinite(sizes)
    ax.axhline(1, color="black", linewidth=1)
    ax.plot(times[sure], sizes[sure], ".", color=COLORS[0])
    unsure = ~found.converged & np.isfinite(sizes)
    if unsure.any():
        ax.plot(times[unsure], sizes[unsure], "o", color=COLORS[0], markerfacecolor="none", label="not converged")
    ax.set(xlabel="time (steps)", ylabel="|λ| of the Jacobian")
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


@checked
def decisions(found: Decisions, ax: Axes | None = None, *, onset: int | None = None) -> Axes:
    """Accuracy, with a band of one standard error over images, and mean confidence at every step.

    Ticks below are the reaction times of images that are decided.
    """
    ax = axes_or_new(ax)
    times = np.arange(1, len(found.accuracy) + 1)
    accuracy = drawable(ax, found.accuracy)
    ax.plot(times, accuracy, color=COLORS[0], label="accuracy")
    error = np.sqrt(accuracy * (1 - accuracy) / len(found.reaction_time))
    ax.fill_between(times, accuracy - error, accuracy + error, color=COLORS[0], alpha=0.25, linewidth=0)
    ax.plot(times, found.confidence, color=COLORS[1], label="mean confidence")
    if onset is not None:
        ax.axvline(onset, color="0.6", linewidth=1, linestyle=":", label="image appears")
    known = found.reaction_time[np.isfinite(found.reaction_time)] + (onset or 0)
    if len(known):
        share = f" ({len(known)} of {len(found.reaction_time)} images)"
        ax.plot(known, np.full(len(known), -0.04), "|", color=COLORS[2], alpha=0.4, label=f"reaction times{share}")
    ax.set(xlabel="time (steps)", ylabel="share of images; confidence", ylim=(-0.08, 1.03))
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


@checked
def robustness(found: Robustness, ax: Axes | None = None, *, label: str = "", color: str = COLORS[0]) -> Axes:
    """Accuracy against the strength of a corruption, with standard errors."""
    ax = axes_or_new(ax)
    accuracy = drawable(ax, found.accuracy)
    ax.errorbar(found.levels, accuracy, found.standard_error, fmt="o-", color=color, capsize=2, label=label or None)
    ax.set(xlabel=UNITS[found.corruption], ylabel="accuracy", ylim=(0, 1.03))
    if label:
        legend_below(ax)
    return ax


@checked
def relaxation(found: Relaxation, ax: Axes | None = None) -> Axes:
    """Change of activity at every step, and its distance to the state before the image once that is gone, by image."""
    ax = axes_or_new(ax)
    faint = min(1, 5 / found.distance.shape[1])
    moved, distance = (drawable(ax, part, positive=True) for part in (found.speed, found.distance))
    ax.axvspan(found.onset, found.offset, color="0.9", linewidth=0, zorder=0, label="image")
    for color, label, times, lines in (
        (COLORS[0], "change in a step", np.arange(1, len(moved) + 1), moved),
        (COLORS[1], "distance to the state before", found.offset + np.arange(len(distance)), distance),
    ):
        ax.plot(times, lines, color=color, alpha=faint, label=[label, *[None] * (lines.shape[1] - 1)])
    ax.set(yscale="log", xlabel="time (steps)", ylabel="r.m.s. over units")
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


@checked
def response_curve(found: ResponseCurve, ax: Axes | None = None) -> Axes:
    """Largest response of every area, mean over images with its error, or for intervals the second over the first."""
    ax = axes_or_new(ax)
    again = found.first_peak is not None
    for area, color in zip(range(found.peak.shape[1]), cycle(COLORS), strict=False):
        values = drawable(ax, (found.ratio if again else found.peak)[:, area])
        error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5 if values.shape[1] > 1 else None
        ax.errorbar(found.values, values.mean(axis=1), error, fmt="o-", color=color, capsize=2, label=f"area {area}")
    if again:
        ax.axhline(1, color="0.6", linewidth=1, linestyle="--")
    ylabel = "second response over the first" if again else "response (r.m.s. from baseline)"
    ax.set(xlabel=UNITS_VARIED[found.varied], ylabel=ylabel)
    if not again:
        ax.set_ylim(bottom=0)
    legend_below(ax)
    return ax


@checked
def information_in_time(
    theory: FisherCurve,
    ax: Axes | None = None,
    *,
    measured: FisherCurve | None = None,
    onset: int | None = None,
    unit: str = "1/θ²",
) -> Axes:
    """Fisher information through time: theory as a line, a measured curve as points with error bars."""
    ax = axes_or_new(ax)
    ax.plot(theory.times, drawable(ax, theory.total), color=COLORS[0], label="linearized noise")
    if measured is not None:
        value, error = drawable(ax, measured.total), measured.standard_error
        ax.errorbar(measured.times, value, error, fmt="o", color=COLORS[0], capsize=2, label="simulation")
    if onset is not None:
        ax.axvline(onset, color="0.6", linewidth=1, linestyle=":", label="image appears")
    ax.set(xlabel="time (steps)", ylabel=f"Fisher information ({unit})")
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


@checked
def eigendistortions(image: Any, most: Eigendistortion, least: Eigendistortion, axes: Any = None) -> Any:
    """An image, and the changes of it that a response shows most and least.

    Changes of color are drawn about gray, those of gray images in red and blue about zero.
    """
    picture = host_real("image", image, "height width channels")
    axes = axes_of(axes, 1, 3, (9, 3))
    low, high = picture.min(), picture.max()
    shown = (picture - low) / ((high - low) or 1)
    axes[0].imshow(shown if shown.shape[-1] == 3 else shown.mean(-1), cmap="gray")
    axes[0].set_title("image")
    for ax, found, word in zip(axes[1:], (most, least), ("most", "least"), strict=True):
        change = found.direction
        top = float(np.abs(change).max()) or 1.0
        if change.shape[-1] == 3:
            ax.imshow(0.5 + change / (2 * top))
        else:
            ax.imshow(change.mean(-1), cmap="RdBu_r", vmin=-top, vmax=top)
        ax.set_title(f"{word} noticeable, I = {found.information:.3g}")
    for ax in axes:
        ax.set(xticks=[], yticks=[])
    return axes


@checked
def class_probabilities(
    response: Response, names: Sequence[str], ax: Axes | None = None, *, top: int = 5, image: int | None = None
) -> Axes:
    """Probabilities through time of the classes that are most probable at the end.

    `image` is the place in the batch; None for a response to one image without batch.
    """
    ax = axes_or_new(ax)
    found = np.asarray(response.probabilities)
    found = found if image is None else found[:, image]
    times = np.arange(1, len(found) + 1)
    last = found[response.offset - 1]
    for color, index in zip(COLORS * 3, np.argsort(-last)[:top], strict=False):
        ax.plot(times, found[:, index], color=color, label=names[index])
    _mark_phases(response, ax)
    ax.set(xlabel="time (steps)", ylabel="probability", ylim=(-0.03, 1.03))
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


@checked
def area_activity(response: Response, ax: Axes | None = None, *, image: int | None = None) -> Axes:
    """Mean of ρ(r) over every recorded area through time, relative to its largest."""
    ax = axes_or_new(ax)
    shades = colormaps["viridis"](np.linspace(0, 0.9, max(len(response.areas), 2)))
    for shade, area, maps in zip(shades, response.areas, response.activity, strict=False):
        values = maps if image is None else maps[:, image]
        mean = np.maximum(np.asarray(values), 0).mean(axis=(1, 2, 3))
        ax.plot(response.recorded, mean / (mean.max() or 1), color=shade, label=f"area {area}")
    _mark_phases(response, ax)
    ax.set(xlabel="time (steps)", ylabel="mean activity / its largest")
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


def spectra(found: Sequence[Any], alpha: Sequence[float], ax: Axes | None = None) -> Axes:
    """Leading eigenvalues of (1 − α) + αW of every area in the complex plane, from those of its convolution W."""
    ax = axes_or_new(ax)
    draw_circle(ax, color="0.7", linewidth=1)
    shades = colormaps["viridis"](np.linspace(0, 0.9, max(len(found), 2)))
    for index, (shade, one, step) in enumerate(zip(shades, found, alpha, strict=False)):
        values = 1 - step + step * np.asarray(one)
        ax.plot(values.real, values.imag, "o", markersize=4, color=shade, label=f"area {index}")
    every = np.concatenate([1 - step + step * np.asarray(one) for one, step in zip(found, alpha, strict=False)])
    reach = 1.15 * max(1 - every.real.min(), every.real.max() - 1, np.abs(every.imag).max(), 0.05)
    ax.set(xlim=(1 - 1.6 * reach, 1 + 0.4 * reach), ylim=(-reach, reach), aspect="equal", xlabel="Re λ", ylabel="Im λ")
    legend_below(ax)
    return ax


@checked
def transient_growth(found: TransientGrowth, ax: Axes | None = None) -> Axes:
    """Largest factor by which a perturbation has grown, against the steps since."""
    ax = axes_or_new(ax)
    ax.axhline(1, color="black", linewidth=1)
    ax.plot(found.steps, drawable(ax, found.growth), "o-", color=COLORS[0])
    ax.set(xlabel="steps since the perturbation", ylabel="largest growth (a factor)")
    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    return ax


def _mark_phases(response: Response, ax: Axes) -> None:
    """Dotted lines where the image appears and vanishes."""
    for step, what in ((response.onset, "appears"), (response.offset, "vanishes")):
        if 0 < step < len(response.logits):
            ax.axvline(step, color="0.6", linewidth=1, linestyle=":", label=f"image {what}")
