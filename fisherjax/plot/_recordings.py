"""Pictures of recordings: tuning, information against the stimulus, what decoders reach, what a reservoir computes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fisherjax._errors import check_choice, require
from fisherjax.fisher._capacity import ProcessingCapacity
from fisherjax.fisher._recorded._decoding import RecordedDecoding
from fisherjax.fisher._recorded._information import RecordedInformation
from fisherjax.fisher._recorded._smooth import SmoothInformation
from fisherjax.fisher._recorded._tuning import Tuning
from fisherjax.fisher._saturation import InformationScaling

from . import _information as sampled
from ._checks import checked, drawable
from ._style import COLORS, axes_or_new, legend_below, tiles

_MOST_MARKS = 6  # stimuli that are named below a map
_SHOWN = ("direct", "shuffled", "diagonal", "poisson")
_WORDS = {"direct": "direct", "shuffled": "without correlations", "diagonal": "blind to correlations",
          "poisson": "if Poisson and independent"}  # fmt: skip


def _per(unit: str) -> str:
    return f"1/{unit}²" if unit else "1/θ²"


def _places(ax: Axes, stimuli: np.ndarray, period: float | None) -> np.ndarray:
    """Where stimuli are on the axes: on polar ones a period is a turn."""
    if ax.name != "polar":
        return stimuli
    require(period is not None, "on polar axes a recording must have a period")
    return stimuli * (2 * np.pi / (period or 1))


def _stimulus_axis(ax: Axes, unit: str, period: float | None) -> None:
    if ax.name == "polar":
        sampled.marks_around(ax, period or 2 * np.pi, unit)
        return
    ax.set_xlabel(f"stimulus ({unit})" if unit else "stimulus θ")
    if period is not None:
        ax.set_xlim(0, period)
        ax.set_xticks(np.linspace(0, period, 5))


@checked
def recorded_information(
    found: RecordedInformation,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    label: str = "",
    color: str | None = None,
) -> Axes:
    """Information between neighbouring stimuli, with the interval of each estimate; `label` stands before its name."""
    ax = axes_or_new(ax)
    shown = [name for name in _SHOWN if name in found.estimates] if names is None else list(names)
    for name in shown:
        check_choice("names", name, tuple(found.estimates))
    step = float(np.min(found.separation))
    order = np.argsort(found.stimuli)
    for index, name in enumerate(shown):
        one = found.estimates[name]
        beside = step * 0.08 * (index - (len(shown) - 1) / 2)
        places = _places(ax, found.stimuli[order] + beside, found.period)
        value, (low, high) = np.asarray(one.value)[order], np.asarray(one.interval)[:, order]
        bars = np.maximum(np.stack([value - low, high - value]), 0)
        look: Any = {"markersize": 3.5, "linewidth": 1, "capsize": 2, "color": color or COLORS[index % len(COLORS)]}
        said = f"{label} {_WORDS.get(name, name)}".strip()
        ax.errorbar(places, drawable(ax, value), bars, fmt="o-", label=said, **look)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    _stimulus_axis(ax, found.stimulus_unit, found.period)
    confidence = next(iter(found.estimates.values())).confidence
    ax.set_ylabel(f"Fisher information ({_per(found.stimulus_unit)})")
    ax.set_title(f"between neighbouring stimuli\n({100 * confidence:g} % intervals)")
    legend_below(ax)
    return ax


@checked
def smooth_information(found: SmoothInformation, ax: Axes | None = None) -> Axes:
    """Information at any stimulus, by smooth tuning, with its interval as a band."""
    ax = axes_or_new(ax)
    order = np.argsort(found.stimuli)
    stimuli = _places(ax, found.stimuli[order], found.period)
    for index, (name, one) in enumerate(found.estimates.items()):
        value, (low, high) = np.asarray(one.value)[order], np.asarray(one.interval)[:, order]
        ax.plot(stimuli, drawable(ax, value), color=COLORS[index], label=f"{_WORDS.get(name, name)}, smooth tuning")
        ax.fill_between(stimuli, low, high, color=COLORS[index], alpha=0.25, linewidth=0)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    _stimulus_axis(ax, found.stimulus_unit, found.period)
    ax.set_ylabel(f"Fisher information ({_per(found.stimulus_unit)})")
    legend_below(ax)
    return ax


@checked
def tuning(found: Tuning, ax: Axes | None = None) -> Axes:
    """Mean responses of all units, each on its own scale from 0 to 1, in the order of what they prefer."""
    ax = axes_or_new(ax)
    low, high = found.mean.min(axis=0), found.mean.max(axis=0)
    scaled = (found.mean - low) / np.where(high > low, high - low, 1)
    image = ax.imshow(scaled[:, np.argsort(found.preferred)].T, aspect="auto", cmap="viridis", interpolation="nearest")
    count = len(found.stimuli)
    places = np.arange(0, count, -(-count // _MOST_MARKS))
    ax.set_xticks(places, [f"{found.stimuli[place]:g}" for place in places])
    ax.set_xlabel(f"stimulus ({found.stimulus_unit})" if found.stimulus_unit else "stimulus θ")
    ax.set_ylabel("unit, by preferred stimulus")
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.figure.colorbar(image, ax=ax, label="mean response, 0 … 1 of its range")
    return ax


@checked
def processing_capacity(found: ProcessingCapacity, ax: Axes | None = None, *, memory: Any = None) -> Axes:
    """Memory capacity at each delay with its error; beside it, if given, Fisher memory (delays,), scaled to its first.

    `memory` is what `fisher.memory_curve` returns.
    """
    ax = axes_or_new(ax)
    delays = np.arange(1, len(found.memory) + 1)
    ax.errorbar(delays, drawable(ax, found.memory), found.memory_error, fmt="o-", markersize=3, color=COLORS[0],
                label="capacity, ± s.e.")  # fmt: skip
    if memory is not None:
        curve = np.asarray(memory, float)
        require(curve.ndim == 1 and curve.size > 0, f"memory must have shape (delays,), got {curve.shape}")
        ax.plot(np.arange(1, len(curve) + 1), curve / curve[0], color=COLORS[1], label="Fisher memory, of its first")
    degrees = ", ".join(f"degree {index + 1}: {value:.2f}" for index, value in enumerate(found.by_degree))
    ax.set(xlabel="delay (steps)", ylabel="share of the input's variance",
           title=f"in all {found.total:.2f} of {found.rank} ({degrees})")  # fmt: skip
    legend_below(ax)
    return ax


def _means(found: tuple[RecordedInformation | None, Mapping[str, RecordedDecoding]], ax: Axes) -> Axes:
    """Means over the pairs: of what there is, and of what decoders reach on held-out trials."""
    information, decodings = found
    shown = (
        {}
        if information is None
        else {name: information.averages[name] for name in _SHOWN if name in information.averages}
    )
    shown = {_WORDS[name]: one for name, one in shown.items()}
    shown |= {f"{name} decoder": one.average for name, one in decodings.items()}
    sampled.estimates(shown, ax, unit=_per("" if information is None else information.stimulus_unit))
    return ax


def _growth(found: tuple[InformationScaling, str], ax: Axes) -> Axes:
    """Growth with the number of units, in the unit of the stimulus."""
    scaling, unit = found
    sampled.information_scaling(scaling, ax)
    ax.set_ylabel(f"Fisher information ({_per(unit)})")
    return ax


def _variability(found: Tuning, ax: Axes) -> Axes:
    """Variance against mean of every unit at every stimulus, beside that of Poisson counts."""
    mean, variance = found.mean.ravel(), found.variance.ravel()
    shown = (mean > 0) & (variance > 0)
    ax.plot(mean[shown], variance[shown], ".", markersize=2.5, color=COLORS[0], alpha=0.5)
    ends = np.array([mean[shown].min(), mean[shown].max()])
    ax.plot(ends, ends, "--", color="0.4", linewidth=1, label="variance = mean (Poisson)")
    ax.set(xscale="log", yscale="log", xlabel="mean response", ylabel="variance of the response")
    for axis in (ax.xaxis, ax.yaxis):  # hardly a decade: plain numbers
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    legend_below(ax)
    return ax


def save_recording(
    path: Path,
    curves: Tuning | None,
    information: RecordedInformation | None,
    smooth: SmoothInformation | None,
    decodings: Mapping[str, RecordedDecoding],
    scaling: InformationScaling | None,
) -> Path:
    """Tuning, information against the stimulus, decoders and scaling of a recording on one page."""
    known = next((found for found in (curves, information, smooth) if found is not None), None)
    unit = "" if known is None else known.stimulus_unit
    panels = [
        (tuning, curves, "tuning"),
        (recorded_information, information, None),
        (smooth_information, smooth, "at any stimulus, by smooth tuning; bands: intervals"),
        (_means, (information, decodings) if information or decodings else None, "means; decoders on held-out trials"),
        (_growth, None if scaling is None else (scaling, unit), "growth with the number of units"),
        (_variability, curves if curves is not None and bool((curves.mean > 0).any()) else None, "variability"),
    ]
    panels = [part for part in panels if part[1] is not None]
    with tiles(path, len(panels), columns=2, height=4.2) as axes:
        for ax, (draw, result, title) in zip(axes, panels, strict=False):
            draw(result, ax)
            if title:
                ax.set_title(title)
        limits = [ax.get_ylim()[1] for ax, part in zip(axes, panels, strict=False) if part[0] in _SAME_SCALE]
        for ax, part in zip(axes, panels, strict=False):
            if part[0] in _SAME_SCALE:
                ax.set_ylim(top=max(limits))
    return path


_SAME_SCALE = (recorded_information, smooth_information)
