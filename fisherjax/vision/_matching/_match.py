"""What a comparison in time returns: values for all areas and times, and the area and the delay that fit best."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from fisherjax._types import Record

_SAME_DELAY = 1e-6  # of the span of all delays
_RESOLVED = 2  # standard errors above 0


class BestMatch(Record):
    """The area that fits best, and how much later the recording shows what the model showed."""

    area: str = eqx.field(static=True)
    area_share: float
    """of resamples of the stimuli in which this area fits best"""
    delay: float
    """recorded time less time of the model"""
    delay_error: float
    """standard deviation over resamples of the delay at which this area fits best; 0 if it is the same in all"""
    value: float
    """mean over the times that are this delay apart, as a share of the noise ceiling"""
    standard_error: float
    probability: float | None
    """that no area fits better than by chance: of permutations of the stimuli, the largest over areas and delays"""


class ModelMatch(Record):
    """How well each area of a model at each time fits a recording at each time.

    Errors are standard deviations over resamples of the stimuli.
    """

    areas: tuple[str, ...] = eqx.field(static=True)
    times: Float[np.ndarray, " T"]
    recorded_times: Float[np.ndarray, " B"]
    value: Float[np.ndarray, "A T B"]
    """similarity, or explained variance; NaN where an area does not tell the stimuli apart at all"""
    standard_error: Float[np.ndarray, "A T B"]
    probability: Float[np.ndarray, "A T B"] | None
    """share of permutations of the stimuli in which any area at any time fits as well: corrected for all of them"""
    ceiling: Float[np.ndarray, " B"]
    """estimate of the value of a model that is right; NaN where the recording has no signal, 1 if it was not split"""
    lower_ceiling: Float[np.ndarray, " B"]
    upper_ceiling: Float[np.ndarray, " B"]
    """bounds of what a model can reach; NaN if the trials were not split"""
    delays: Float[np.ndarray, " D"]
    """recorded time less time of the model"""
    by_delay: Float[np.ndarray, "A D"]
    """sum of the values over the times that are so far apart, as a share of that of the ceilings"""
    by_delay_error: Float[np.ndarray, "A D"]
    best: BestMatch | None
    """None if the stimuli do not differ by more than the noise at any time"""
    measure: str = eqx.field(static=True)
    time_unit: str = eqx.field(static=True)
    distances: Float[np.ndarray, "B K K"] | None = None
    """between stimuli of the recording, mean over the splits"""
    unit_value: tuple[Float[np.ndarray, "A T _"], ...] | None = None
    """explained variance of each unit, for each recorded time"""
    unit_ceiling: tuple[Float[np.ndarray, " _"], ...] | None = None

    @property
    def of_ceiling(self) -> Float[np.ndarray, "A T B"]:
        """Values as a share of the noise ceiling."""
        return self.value / self.ceiling


class Draws(NamedTuple):
    """The same numbers of resampled and of permuted stimuli."""

    value: Float[np.ndarray, "C A T B"]
    ceiling: Float[np.ndarray, "C B"]
    null: Float[np.ndarray, "R A T B"]


class Delays(NamedTuple):
    """Which times are how far apart."""

    delays: Float[np.ndarray, " D"]
    member: Float[np.ndarray, "TB D"]
    """1 where two times are so far apart, else 0"""
    usable: Bool[np.ndarray, "A T B"]
    """where there is a value, and the recording a signal"""
    enough: Bool[np.ndarray, "A D"]
    """where so many usable times meet that means compare"""

    def means(
        self, value: Float[np.ndarray, "*n A T B"], ceiling: Float[np.ndarray, "*m B"]
    ) -> Float[np.ndarray, "*n A D"]:
        """Sums of values over sums of ceilings, along each delay."""
        flat = np.where(self.usable, value, 0).reshape(*value.shape[:-2], len(self.member))
        member = self.member.reshape(*value.shape[-2:], -1)
        below = np.tensordot(ceiling, np.einsum("atb,tbd->bad", self.usable.astype(float), member), 1)
        return (flat @ self.member) / np.where(self.enough & (below > 0), below, np.nan)


def delays_between(
    times: Float[np.ndarray, " T"], recorded_times: Float[np.ndarray, " B"], usable: Bool[np.ndarray, "A T B"]
) -> Delays:
    """Delays at which at least half as many times meet as at the one where most do."""
    difference = recorded_times - times[:, None]
    step = _SAME_DELAY * float(np.ptp(difference))
    ordered = np.sort(difference.ravel())
    delays = ordered[np.concatenate([[True], np.diff(ordered) > step])]
    place = np.searchsorted(delays, difference.ravel() + step, side="right") - 1
    member = (place[:, None] == np.arange(len(delays))).astype(float)
    counts = usable.reshape(len(usable), -1) @ member
    enough = (2 * counts >= counts.max()) & (counts > 0)
    kept = enough.any(axis=0)
    return Delays(delays[kept], member[:, kept], usable, enough[:, kept])


def matched(
    sides: tuple[tuple[str, ...], Float[np.ndarray, " T"], Float[np.ndarray, " B"]],
    value: Float[np.ndarray, "A T B"],
    ceiling: Float[np.ndarray, " B"],
    bounds: tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]],
    has_signal: Bool[np.ndarray, " B"],
    draws: Draws,
    **told: Any,
) -> ModelMatch:
    """Errors, probabilities, delays and the best match, from the values and what chance makes of them."""
    areas, times, recorded_times = sides
    delays = delays_between(times, recorded_times, np.isfinite(value) & has_signal)
    by_delay, null = delays.means(value, ceiling), delays.means(draws.null, ceiling)
    resampled = delays.means(draws.value, draws.ceiling)
    return ModelMatch(
        areas, times, recorded_times, value, _spread(draws.value), _corrected(value, draws.null),
        np.where(has_signal, ceiling, np.nan), *bounds, delays.delays, by_delay, _spread(resampled),
        _best(areas, delays.delays, by_delay, resampled, null), **told,
    )  # fmt: skip


def resolved(value: Float[np.ndarray, "*n"], samples: Float[np.ndarray, "C *n"]) -> Bool[np.ndarray, "*n"]:
    """Whether a number is above 0 by more than chance would have it."""
    return value > _RESOLVED * _spread(samples)


def _spread(samples: Float[np.ndarray, "C *n"]) -> Float[np.ndarray, "*n"]:
    """Standard deviation over resamples, of those in which there is a value."""
    there = np.isfinite(samples)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, samples, 0).sum(axis=0) / count
    squares = (np.where(there, samples - mean, 0) ** 2).sum(axis=0)
    return np.sqrt(np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan))


def _corrected(
    value: Float[np.ndarray, "A T B"], null: Float[np.ndarray, "R A T B"]
) -> Float[np.ndarray, "A T B"] | None:
    """Share of permutations whose largest standardized value anywhere is at least that of a place."""
    if len(null) == 0:
        return None
    # as one of the permutations, what was recorded counts in the mean and the spread too: the test is then exact
    every = np.concatenate([value[None], null])
    spread = every.std(axis=0)
    varies = np.isfinite(value) & (spread > 0)
    standard = np.where(varies, (every - every.mean(axis=0)) / np.where(varies, spread, 1), -np.inf)
    largest = standard.reshape(len(every), -1).max(axis=1)
    above = np.mean(largest[:, None] >= standard[0].ravel(), axis=0).reshape(value.shape)
    return np.where(varies, above, np.nan)


def _best(
    areas: tuple[str, ...],
    delays: Float[np.ndarray, " D"],
    by_delay: Float[np.ndarray, "A D"],
    resampled: Float[np.ndarray, "C A D"],
    null: Float[np.ndarray, "R A D"],
) -> BestMatch | None:
    if not np.isfinite(by_delay).any():
        return None
    lowest = np.where(np.isfinite(by_delay), by_delay, -np.inf)
    area, place = np.unravel_index(np.argmax(lowest), lowest.shape)
    drawn = np.where(np.isfinite(resampled), resampled, -np.inf)
    chosen = delays[np.argmax(drawn[:, area], axis=-1)]
    most = np.where(np.isfinite(null), null, -np.inf).max(axis=(1, 2), initial=-np.inf)
    return BestMatch(
        areas[area],
        float(np.mean(np.argmax(drawn.max(axis=2), axis=1) == area)),
        float(delays[place]),
        float(np.std(chosen, ddof=1)),
        float(by_delay[area, place]),
        float(_spread(resampled)[area, place]),
        float((1 + np.sum(most >= by_delay[area, place])) / (1 + len(null))) if len(null) else None,
    )
