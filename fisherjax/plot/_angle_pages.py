"""Figures of networks that read angles: one of them, several, and where the variance of estimates comes from."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from fisherjax.vision._orientation._case import OrientationCase
from fisherjax.vision._orientation._estimates import EstimatorVariance
from fisherjax.vision._orientation._study import OrientationStudy

from . import _information as sampled
from ._checks import checked, drawable
from ._style import COLORS, PAGE_WIDTH, legend_below, page

_SEPARATION = "separation Δθ (rad)"
_LINES = ("-", "--", ":", "-.")


@checked
def save_angle_case(path: Path, case: OrientationCase) -> Path:
    """Information about the angle as a polar curve, the responses it comes from, and the decoder's error."""
    period = 2 * math.pi / case.network.symmetry
    with page(path, (PAGE_WIDTH, 4)) as figure:
        left = figure.add_subplot(1, 3, 1, projection="polar")
        shown = {"fresh images": case.fresh.profile, "outliers set aside": case.fresh.robust}
        shown["training images"] = None if case.trained is None else case.trained.profile
        highest = []
        for index, (name, profile) in enumerate(shown.items()):
            if profile is not None:
                look = {"color": COLORS[index], "line": "--" if index == 1 else "-", "period": period}
                sampled.information_profile(profile, left, label=name, **look)
                highest.append(left.get_ylim()[1])
        _finish_polar(left, max(highest))
        if len(highest) > 1:
            legend_below(left)
        middle, right = figure.add_subplot(1, 3, 2), figure.add_subplot(1, 3, 3)
        _responses(case, middle)
        sampled.cramer_rao(case.fresh.decoder, right)
        right.set(xlabel="angle (rad)", ylabel="variance of the decoded angle (rad²)", title="decoder, fresh images")
        legend_below(right)
    return path


def _finish_polar(ax: Any, highest: float) -> None:
    ax.set_ylim(0, highest)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_title("Fisher information\nabout the angle (1/rad²)")


def _responses(case: OrientationCase, ax: Any) -> None:
    """Two outputs as ellipses, others against the angle."""
    angles, means, covariances = (
        np.asarray(part) for part in (case.fresh.profile.stimuli, case.fresh.means, case.fresh.covariances)
    )
    if means.shape[1] == 2:
        every = max(1, len(angles) // 12)
        sampled.covariance_ellipses(angles[::every], means[::every], covariances[::every], ax=ax)
        ax.set_title("outputs: mean and one s.d. at each angle")
        return
    deviations = np.sqrt(covariances.diagonal(axis1=1, axis2=2))
    for index, (mean, deviation) in enumerate(zip(means.T, deviations.T, strict=True)):
        color = COLORS[index % len(COLORS)]
        ax.plot(angles, mean, _LINES[index // len(COLORS)], color=color)
        ax.fill_between(angles, mean - deviation, mean + deviation, color=color, alpha=0.15, linewidth=0)
    ax.set(xlabel="angle (rad)", ylabel="output", title="outputs: mean ± one s.d.")


@checked
def save_angle_study(path: Path, study: OrientationStudy) -> Path:
    """Information about the angle of networks trained in several ways, and the variance of their decoders."""
    period = 2 * math.pi / study.cases[0].network.symmetry
    columns = 2
    with page(path, (PAGE_WIDTH, 4.6 + 0.22 * math.ceil(len(study.cases) / columns))) as figure:
        polar, right = figure.add_subplot(1, 2, 1, projection="polar"), figure.add_subplot(1, 2, 2)
        highest = []
        for index, case in enumerate(study.cases):
            color, line = COLORS[index % len(COLORS)], _LINES[index // len(COLORS) % len(_LINES)]
            profile, decoder = case.fresh.profile, case.fresh.decoder
            sampled.information_profile(profile, polar, color=color, line=line, period=period)
            highest.append(polar.get_ylim()[1])
            variance = drawable(right, decoder.variance, positive=True)
            right.semilogy(decoder.stimuli, variance, line, color=color, label=case.label)
            right.semilogy(decoder.stimuli, drawable(right, decoder.bound, positive=True), color=color, linewidth=0.6)
        _finish_polar(polar, max(highest))
        # a bound of hardly any information is far off, and not to be told from none
        spread = np.concatenate([np.asarray(case.fresh.decoder.variance) for case in study.cases])
        if spread.max() > 0:
            right.set_ylim(0.1 * spread[spread > 0].min(), 3 * spread.max())
        right.set(xlabel="angle (rad)", ylabel="variance of the decoded angle (rad²)")
        right.set_title("thin: the least that the bias allows")
        figure.legend(loc="outside lower center", ncols=columns)
    return path


@checked
def save_variance_study(path: Path, variance: EstimatorVariance) -> Path:
    """Where the variance comes from: the step of the differences, and the number of trials."""
    separations, trials = variance.separations, variance.num_trials
    floor = np.sqrt(2 / (2 * np.asarray(trials) - 2.0))
    with page(path, (PAGE_WIDTH, 4)) as figure:
        left, middle, right = figure.subplots(1, 3)
        sampled.biases(separations, {name: tuple(pair) for name, pair in variance.bias.items()}, _SEPARATION, left)
        left.set_title("bias of the step")
        _deviations(separations, variance.spread, _SEPARATION, middle, floor[len(trials) // 2])
        middle.set_title(f"standard deviation, {trials[len(trials) // 2]} trials")
        _deviations(trials, variance.spread_by_trials, "trials T", right, floor)
        right.set_title(f"standard deviation, Δθ = {separations[len(separations) // 2]:g}")
    return path


def _deviations(values: Sequence[float | int], spread: Mapping[str, Any], axis_label: str, ax: Any, floor: Any) -> None:
    deviations, errors = ({name: pair[place] for name, pair in spread.items()} for place in (0, 1))
    sampled.estimator_errors(values, deviations, axis_label, ax, uncertainty=errors, floor=floor)
