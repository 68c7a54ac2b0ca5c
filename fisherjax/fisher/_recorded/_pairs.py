"""Moments of pairs of stimuli in a recording: padded to one shape, so that one program serves unequal trial numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import float_type
from fisherjax._errors import check_instance, is_traced, listed, require, warn
from fisherjax.fisher._gate import FisherEstimate
from fisherjax.fisher._moments import PairMoments, without_silent

from ._recording import Recording

T = TypeVar("T")
_LISTED = 5
_FEWEST = 2  # trials at each stimulus


def as_recording(name: str, value: Any, *, whole: str = "") -> Recording:
    """A recording that can be asked; `whole` names what needs all units in every trial.

    Raises
    ------
    TypeError
        If it is none, or traced.
    ValueError
        If values are missing that are needed.
    """
    check_instance(name, value, Recording, "fisher.Recording(responses, stimulus)")
    if is_traced(value):
        raise TypeError(f"{name} must hold concrete numbers, not traced ones: call this outside of jit, grad and vmap")
    lost = bool(whole) and bool(np.isnan(value.responses).any())
    require(not lost, f"{name}: {whole} need all units in every trial (no pairwise)")
    return value


def check_blocks_of(recording: Recording) -> None:
    """Refuse blocks of which none can be left out, so that they say nothing of an error."""
    if recording.block is None:
        return
    count = int(recording.block.max()) + 1
    require(count >= 2, f"block: all {len(recording.block)} trials are of one block; errors are between blocks")
    codes = np.searchsorted(recording.stimuli, recording.stimulus)
    table = np.zeros((len(recording.stimuli), count), int)
    np.add.at(table, (codes, recording.block), 1)
    left = table.sum(axis=1) - table.max(axis=1)
    few = recording.stimuli[left < _FEWEST]
    told = listed((f"{value:g}" for value in few), _LISTED)
    require(len(few) == 0, f"block: without its largest block a stimulus has fewer than {_FEWEST} trials ({told})")


class Grouped(NamedTuple):
    """Trials by stimulus, padded; units in a frame in which rounding is least."""

    responses: Float[Array, "K T p"]
    present: Float[Array, "K T"]
    """1 where there is a trial, 0 where there is none"""
    block: Int[np.ndarray, "K T"]
    """labels of blocks, 0 … ; runs of trials where the recording has none"""
    num_blocks: int

    @property
    def shares(self) -> Float[np.ndarray, " B"]:
        """Share of the trials that is in each block."""
        sizes = np.bincount(self.block.ravel(), np.asarray(self.present).ravel(), self.num_blocks)
        return sizes / sizes.sum()


class Pairs(NamedTuple):
    """Which stimuli are compared."""

    members: Int[np.ndarray, "M 2"]
    """indices into the stimuli"""
    middle: Float[np.ndarray, " M"]
    separation: Float[np.ndarray, " M"]

    def arrays(self, dtype: Any) -> tuple[Int[Array, "M 2"], Float[Array, " M"]]:
        """Indices and separations, for a compiled program."""
        return jnp.asarray(self.members), jnp.asarray(self.separation, dtype)


def pairs_of(recording: Recording) -> Pairs:
    """Neighbouring stimuli, in the order of the circle.

    Raises
    ------
    ValueError
        If there are fewer than two stimuli, or one has fewer than two trials: stimuli are then continuous.
    """
    stimuli, counts = recording.stimuli, recording.num_trials
    few = np.flatnonzero(counts < _FEWEST)
    many = len(few) > len(stimuli) / 2
    hint = "they look continuous: fisher.smooth_information needs no pairs" if many else "leave those trials out"
    told = listed((f"{value:g}" for value in stimuli[few]), _LISTED)
    require(
        len(few) == 0, f"pairs need two trials at each stimulus; {len(few)} of {len(stimuli)} have one ({told}); {hint}"
    )
    still = [value for place, value in enumerate(stimuli) if not _varies(recording.at(place))]
    told = listed((f"{value:g}" for value in still), _LISTED)
    require(not still, f"all responses are the same in every trial of {len(still)} stimuli ({told}): there is no noise")
    index = recording.neighbors
    ends = stimuli[index]
    if recording.period is not None:
        # the last with the first, across the end of the circle; of two stimuli the shorter way
        forward = np.mod(ends[:, 1] - ends[:, 0], recording.period)
        turned = forward > recording.period / 2
        start = np.where(turned, ends[:, 1], ends[:, 0])
        middle = np.mod(start + recording.separation(index) / 2, recording.period)
    else:
        middle = ends.mean(axis=1)
    return Pairs(index, middle, recording.separation(index))


def _padded(count: int) -> int:
    """The next number of trials that has a program: at most an eighth larger."""
    step = max(1, 2 ** (count.bit_length() - 4))
    return -(-count // step) * step


def _varies(responses: Float[np.ndarray, "trials units"]) -> bool:
    there = responses[:, ~np.isnan(responses).all(axis=0)]
    return bool(np.any(np.nanmax(there, axis=0) > np.nanmin(there, axis=0)))


def grouped(recording: Recording, num_blocks: int, scale: Any = None) -> Grouped:
    """Trials by stimulus; blocks are the recording's own, or runs of consecutive trials of each stimulus.

    Each unit is measured from its mean, and in units near `scale`, by default its largest deviation.
    """
    values = recording.responses - recording.responses.mean(axis=0)
    largest = np.abs(values).max(axis=0) if scale is None else scale
    values = values * 2.0 ** -np.round(np.log2(np.where(largest > 0, largest, 1)))
    codes = np.searchsorted(recording.stimuli, recording.stimulus)
    counts = recording.num_trials
    place = np.empty(len(codes), int)
    for code in range(len(counts)):
        place[codes == code] = np.arange(counts[code])
    shape = (len(counts), _padded(int(counts.max())))
    padded, present, block = np.zeros((*shape, values.shape[1])), np.zeros(shape), np.zeros(shape, np.int64)
    padded[codes, place], present[codes, place] = values, 1
    own = recording.block
    num_blocks = min(num_blocks, int(counts.min()))
    block[codes, place] = place * num_blocks // counts[codes] if own is None else own
    kind = float_type()
    return Grouped(
        jnp.asarray(padded, kind), jnp.asarray(present, kind), block, num_blocks if own is None else int(own.max()) + 1
    )


class Trials(NamedTuple):
    """Trials of two conditions with weights: 1 for those that count, 0 for those that are left out or padding."""

    responses: Float[Array, "2 T p"]
    weight: Float[Array, "2 T"]
    step: Float[Array, ""]


class Moments(NamedTuple):
    """Sums of two conditions from which all questions start."""

    trials: Float[Array, "2"]
    mean: Float[Array, "2 p"]
    scatter: Float[Array, "2 p p"]
    """centered at each condition's mean"""
    square: Float[Array, " p"]
    """mean square of each unit, against which a variance may be rounding"""


def moments_of(trials: Trials) -> Moments:
    """Counts, means and scatters of the trials that count."""
    count = jnp.sum(trials.weight, axis=1)
    mean = jnp.einsum("ct,cti->ci", trials.weight, trials.responses) / jnp.maximum(count, 1)[:, None]
    centered = (trials.responses - mean[:, None]) * trials.weight[..., None]
    scatter = jnp.einsum("cti,ctj->cij", centered, centered)
    square = jnp.einsum("ct,cti->i", trials.weight, trials.responses**2) / jnp.maximum(jnp.sum(count), 1)
    return Moments(count, mean, scatter, square)


def paired(moments: Moments, step: Array) -> tuple[PairMoments, Array]:
    """Derivative, pooled covariance, n₀ (with an axis for one parameter), and ν."""
    freedom = jnp.sum(moments.trials) - 2
    covariance = without_silent(jnp.sum(moments.scatter, axis=0) / freedom, moments.square)
    slope = (moments.mean[1] - moments.mean[0]) / step
    precision = step**2 / jnp.sum(1 / moments.trials)
    return PairMoments(slope[None], covariance, precision[None]), freedom


def map_pairs(
    responses: Float[Array, "K T p"], weight: Float[Array, "K T"], index: Array, steps: Array, values: Callable[..., T]
) -> T:
    """``values(trials)`` of each pair, one after another: no two factorizations at once."""

    def of_pair(item: tuple[Array, Array]) -> T:
        pair, step = item
        return values(Trials(responses[pair], weight[pair], step))

    return jax.lax.map(of_pair, (index, steps))


def warn_of_singular(pairs: Pairs, estimates: Sequence[FisherEstimate]) -> None:
    """Say where values or errors are not finite: in all trials, or where a block of them is left out."""
    finite = [np.isfinite(np.asarray(one.value) + np.asarray(one.standard_error)) for one in estimates]
    bad = pairs.middle[~np.all(finite, axis=0)]
    if len(bad):
        warn(
            f"information or its error is not finite at {len(bad)} of {len(pairs.middle)} pairs "
            f"({listed(bad.round(3), _LISTED)}): units that vary there are sums of others, or hardly ever respond; "
            "leave out units (drop_rare=True), or use .principal_components(k)"
        )
