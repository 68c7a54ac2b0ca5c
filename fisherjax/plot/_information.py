"""Pictures of sampled information: profiles, estimates side by side, where their variance comes from."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from fisherjax._arrays import host_real
from fisherjax._errors import check_instance
from fisherjax.fisher import FisherEstimate
from fisherjax.fisher._cramer_rao import CramerRao
from fisherjax.fisher._profile import InformationProfile
from fisherjax.fisher._saturation import InformationScaling

from ._checks import checked, drawable
from ._style import COLORS, SMALL, axes_or_new, legend_below

_SAME = 1e-3  # relative difference of lengths of a turn
_NAME_WIDTH = 22  # letters of a line of a name beside the axes
_ERROR_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@checked
def information_profile(
    profile: InformationProfile,
    ax: Axes | None = None,
    *,
    label: str = "",
    color: str = COLORS[0],
    line: str = "-",
    period: float | None = None,
) -> Axes:
    """Information over the stimulus with one standard error.

    On polar axes a turn is a whole number of periods: an angle with period π, in radians, is drawn twice, where it
    is; of a stimulus that is no angle in radians (180 for degrees, 24 for hours) one period fills the turn, and the
    numbers around it are those of the stimulus. Stimuli that are evenly spaced around a circle tell their `period`.
    """
    ax = axes_or_new(ax)
    stimuli, value, error = (np.asarray(x) for x in (profile.stimuli, profile.value, profile.standard_error))
    if ax.name == "polar":
        period = _period_of(stimuli) if period is None else period
        times = _periods_in_a_turn(period)
        turn = times * period
        angles = np.concatenate([stimuli + place * period for place in range(times)]) * (2 * np.pi / turn)
        value, error = np.tile(value, times), np.tile(error, times)
        stimuli, value, error = (
            np.append(x, y) for x, y in ((angles, angles[0] + 2 * np.pi), (value, value[0]), (error, error[0]))
        )
        ax.set_ylim(0, 1.1 * float(np.nanmax(value + np.nan_to_num(error))))
        # the numbers of the radius stand where the curve is low
        ax.set_rlabel_position(float(np.degrees(angles[np.nanargmin(value[: len(angles)])])))  # pyright: ignore[reportAttributeAccessIssue]
        if not np.isclose(turn, 2 * np.pi, rtol=_SAME):
            marks_around(ax, turn)
    else:
        ax.set(xlabel="stimulus θ", ylabel="Fisher information (1/θ²)")
    ax.plot(stimuli, drawable(ax, value), line, color=color, label=label)
    ax.fill_between(stimuli, value - error, value + error, color=color, alpha=0.3, linewidth=0)
    return ax


def marks_around(ax: Axes, turn: float, unit: str = "") -> None:
    """Numbers of a stimulus around polar axes whose turn is so long."""
    marks = np.arange(8) / 8
    ax.set_xticks(2 * np.pi * marks, [f"{turn * mark:.4g}{unit and ' ' + unit}" for mark in marks])


def _period_of(stimuli: np.ndarray) -> float:
    """The circle on which so many stimuli are evenly spaced, its end among them or not."""
    reach = float(np.ptp(stimuli)) or 2 * np.pi
    open_end = reach * len(stimuli) / max(len(stimuli) - 1, 1)
    whole = np.isclose(_periods_in_a_turn(reach) * reach, 2 * np.pi, rtol=_SAME)
    return reach if whole else open_end


def _periods_in_a_turn(period: float) -> int:
    """How often an angle in radians of this period is drawn in a turn; once if it is no such angle."""
    times = max(1, round(2 * np.pi / period))
    return times if np.isclose(times * period, 2 * np.pi, rtol=_SAME) else 1


@checked
def estimates(
    found: Mapping[str, FisherEstimate], ax: Axes | None = None, *, reference: float | None = None, unit: str = "1/θ²"
) -> Axes:
    """Several estimates of the same information: points with one standard error, lines for the interval."""
    ax = axes_or_new(ax)
    for index, one in enumerate(found.values()):
        value, error = float(drawable(ax, one.value)), float(one.standard_error)
        low, high = (float(end) for end in one.interval)
        ax.plot([low, high], [index, index], color="0.7", linewidth=1.2, zorder=1)
        ax.errorbar(value, index, xerr=error, fmt="o", color=COLORS[index % 6], capsize=3, markersize=5)
    ax.set_yticks(range(len(found)), [textwrap.fill(name, _NAME_WIDTH) for name in found])
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_xlabel(f"Fisher information ({unit})\n± 1 s.e., gray: {_told_confidence(found)}")
    if reference is not None:
        ax.axvline(reference, color="black", linewidth=0.9, linestyle="--", label="exact")
        legend_below(ax)
    return ax


def _told_confidence(found: Mapping[str, FisherEstimate]) -> str:
    """What the intervals are, if all are the same."""
    shares = {one.confidence for one in found.values()}
    return f"{100 * shares.pop():g} % interval" if len(shares) == 1 else "interval"


def log_ticks(ax: Axes, values: Sequence[float | int]) -> None:
    """A logarithmic axis that is labeled at the given values and nowhere else."""
    ax.set_xscale("log")
    ax.set_xticks(list(values), [f"{value:g}" for value in values])
    ax.minorticks_off()


def covariance_ellipses(stimuli: Any, means: Any, covariances: Any, ax: Axes | None = None) -> Axes:
    """One-standard-deviation ellipses of a two-dimensional response at several stimuli, along their mean curve."""
    angles = host_real("stimuli", stimuli, "stimuli")
    count = len(angles)
    means = host_real("means", means, f"{count} 2")
    covariances = host_real("covariances", covariances, f"{count} 2 2")
    ax = axes_or_new(ax)
    turn = colormaps["twilight"]
    closed = np.concatenate([means, means[:1]])
    ax.plot(closed[:, 0], closed[:, 1], color="0.6", linewidth=0.9)
    for index, (angle, mean, covariance) in enumerate(zip(angles, means, covariances, strict=True)):
        values, vectors = np.linalg.eigh(covariance)
        tilt = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        color = turn(index / count)
        ax.add_patch(
            Ellipse(
                tuple(mean), 2 * np.sqrt(values[1]), 2 * np.sqrt(values[0]), angle=tilt, facecolor=color, alpha=0.25
            )
        )
        ax.plot(*mean, "o", color=color, markersize=4)
        ax.annotate(f"{np.degrees(angle):.0f}°", mean, textcoords="offset points", xytext=(4, 4), fontsize=SMALL)
    ax.set_aspect("equal", adjustable="datalim")
    ax.autoscale_view()
    ax.set(xlabel="output 1", ylabel="output 2")
    return ax


def estimator_errors(
    values: Sequence[float | int],
    errors: Mapping[str, Any],
    axis_label: str,
    ax: Axes | None = None,
    *,
    uncertainty: Mapping[str, Any] | None = None,
    floor: Any = None,
) -> Axes:
    """Relative errors of estimators against a setting (step, number of trials), on logarithmic axes.

    `uncertainty`, under the same names, is one standard error of each; without it points are hollow.
    """
    settings = host_real("values", values, "settings")
    axes = f"{len(settings)}"
    check_instance("errors", errors, Mapping, "names of estimators and their errors")
    known = {name: host_real(f"errors[{name!r}]", error, axes, finite=False) for name, error in errors.items()}
    bars = {} if uncertainty is None else check_instance("uncertainty", uncertainty, Mapping, "as errors")
    bars = {name: host_real(f"uncertainty[{name!r}]", bar, axes, finite=False) for name, bar in bars.items()}
    ax = axes_or_new(ax)
    for index, (name, error) in enumerate(known.items()):
        shown = drawable(ax, error, positive=True)
        style: Any = {"markersize": 4, "color": COLORS[index % 6], "label": name}
        if name in bars:
            # on a logarithmic axis a bar must not reach zero
            lower = np.minimum(bars[name], 0.999 * shown)
            ax.errorbar(settings, shown, [lower, bars[name]], fmt="o-", capsize=2, **style)
        else:
            ax.plot(settings, shown, "o-", markerfacecolor="none", **style)
    if floor is not None:
        ax.plot(settings, np.broadcast_to(floor, (len(settings),)), "--", color="black", linewidth=1, label="√(2/ν)")
    ax.set_yscale("log")
    ax.set_yticks(_ERROR_TICKS, [f"{tick:g}" for tick in _ERROR_TICKS])
    every = np.concatenate([np.ravel(part) for part in [*known.values(), *([] if floor is None else [floor])]])
    every = np.concatenate([every, *(known[name] + bar for name, bar in bars.items() if name in known)])
    every = every[np.isfinite(every) & (every > 0)]
    if every.size:
        ax.set_ylim(0.8 * float(every.min()), 1.25 * float(every.max()))
    log_ticks(ax, list(settings))
    ax.set(xlabel=axis_label, ylabel="relative error")
    legend_below(ax)
    return ax


def biases(
    values: Sequence[float | int], found: Mapping[str, tuple[Any, Any]], axis_label: str, ax: Axes | None = None
) -> Axes:
    """Relative biases of estimators, each with one standard error, against a setting on a logarithmic axis."""
    ax = axes_or_new(ax)
    for index, (name, (bias, error)) in enumerate(found.items()):
        # side by side: points at the same setting must not hide each other's bars
        places = np.asarray(values, float) * 1.03 ** (index - (len(found) - 1) / 2)
        shown = drawable(ax, bias)
        ax.errorbar(places, shown, error, fmt="o-", markersize=4, capsize=2, color=COLORS[index % 6], label=name)
    ax.axhline(0, color="0.6", linewidth=0.8)
    log_ticks(ax, values)
    ax.set(xlabel=axis_label, ylabel="relative bias ± 1 s.e.")
    legend_below(ax)
    return ax


@checked
def information_scaling(found: InformationScaling, ax: Axes | None = None) -> Axes:
    """Information against the number of units, with the fitted saturation."""
    ax = axes_or_new(ax)
    ax.errorbar(
        found.num_units, found.value, found.standard_error, fmt="o", color=COLORS[0], capsize=2, label="subsets"
    )
    sizes = np.linspace(1, 1.3 * float(found.num_units[-1]), 200)
    ax.plot(
        sizes,
        drawable(ax, found.predict(sizes)),
        color=COLORS[1],
        label=f"limiting noise ε = {float(found.limiting_noise):.2g} ± {float(found.limiting_noise_error):.1g}",
    )
    ax.plot(sizes, float(found.information_per_unit) * sizes, ":", color="0.5", label="no saturation")
    # whole error bars, and of the line without saturation what is near
    bars = np.asarray(found.value) + np.nan_to_num(np.asarray(found.standard_error))
    top = max(1.1 * float(np.nanmax(bars)), 1.4 * float(np.nanmax(found.value)))
    ax.set(ylim=(0, top), xlabel="units read out", ylabel="Fisher information (1/θ²)")
    legend_below(ax)
    return ax


_MANY = 6e-4  # outliers of a decoder; among normal errors are 6e-5


@checked
def cramer_rao(found: CramerRao, ax: Axes | None = None) -> Axes:
    """A decoder's variance with its error, with and without outliers, and the least that its bias allows."""
    ax = axes_or_new(ax)
    ax.errorbar(
        found.stimuli,
        drawable(ax, found.variance),
        found.variance_error,
        fmt="o",
        color=COLORS[0],
        markersize=4,
        label="variance of the decoder",
    )
    share = float(np.mean(np.asarray(found.outliers)))
    if share > _MANY:
        label = f"without outliers ({100 * share:.2g} % of the trials)"
        ax.plot(found.stimuli, found.robust_variance, "o", color=COLORS[0], markerfacecolor="none", label=label)
    ax.plot(found.stimuli, drawable(ax, found.bound), color=COLORS[1], label="bound (1 + b′)²/I")
    ax.set(ylim=(0, 1.3 * float(np.nanmax(found.variance))), xlabel="stimulus θ", ylabel="variance (θ²)")
    legend_below(ax)
    return ax
