"""Fisher information along a stimulus, with trials put where they are needed; one compiled call."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import (
    check_callable,
    check_confidence,
    check_flag,
    check_integer,
    check_key,
    check_positive,
    require,
    warn,
)
from fisherjax._runtime import Devices, full_precision, on_devices, spread_map
from fisherjax._types import ArrayLike, Key, Record

from ._interval import student_interval
from ._moments import PathMoments, path_value, scalar_if
from ._pathwise import pathwise
from ._respond import Respond, check_paths_continuous, check_respond, path, sample_paths

_BLOCKS = 20
_PROBED = 512  # trials in which differentiability is looked at, at one stimulus
_CLEARLY = 1.25  # times the target: an error beyond is no chance (its own error is a sixth of it)
_SAFETY = 1.4  # on the trials that the pilot asks for, since its own estimate of the variance is uncertain


class InformationProfile(Record):
    """Fisher information at M stimuli, each with its own number of trials."""

    stimuli: Float[Array, "M *K"]
    value: Float[Array, "M *KK"]
    standard_error: Float[Array, "M *KK"]
    interval: Float[Array, "M 2 *KK"]
    num_trials: Int[Array, " M"]
    """Trials behind `value`; the pilot's are not among them."""
    converged: Array
    """Whether the error is within the target at each stimulus (M,); never where the value is not finite."""
    total_trials: Int[Array, ""]
    """All trials drawn, the pilot's included."""
    relative_error: float = eqx.field(static=True, default=0.05)
    """The target."""


class _Sums(NamedTuple):
    """Sums over the trials of each stimulus and block, of deviations from the pilot's means."""

    trials: Array  # (M, B)
    value: Array  # (M, B, p)
    slope: Array  # (M, B, K, p)
    square: Array  # (M, B, p, p)
    slope_square: Array  # (M, B, K, K, p, p)


@full_precision
def information_profile(
    respond: Respond,
    stimuli: ArrayLike,
    *,
    key: Key,
    relative_error: float = 0.05,
    max_trials: int = 1_000_000,
    pilot_trials: int | None = None,
    batch_size: int | None = None,
    check: bool = True,
    confidence: float = 0.95,
    devices: Devices = None,
) -> InformationProfile:
    """Estimate a curve of Fisher information over the stimulus to a target error, within a budget of trials.

    Two stages. A pilot at every stimulus tells how many trials the target needs there; if all together are
    more than the budget, all get the same share of what they need. Then fresh trials give the value and,
    by a jackknife over 20 blocks, its error: the trials that decided when to stop are not used again, so the
    stopping biases neither. What was not reached is said by `converged`, and in a warning. Everything, pilot included,
    is one compiled call, but for the look for jumps.

    Parameters
    ----------
    respond
        ``respond(stimulus, key) -> (p,)``, differentiable in the stimulus at a fixed key (see `estimate`).
    stimuli
        θ (M,), or (M, K) for Fisher matrices; then the target is for the worst diagonal entry.
    key
        JAX random key.
    relative_error
        Target of the standard error relative to the value.
    max_trials
        Budget of all trials together, the pilot's included.
    pilot_trials
        Trials of the pilot per stimulus; by default max(200, 5 (p + 2)).
    batch_size
        Trials simulated at once, a multiple of 20; by default a tenth of the 2/ε² that the covariance alone asks
        for at relative error ε, or of the budget; within 100 and 1000.
    check
        Whether to look first, at the stimulus in the middle, if responses jump as it changes, as `estimate` does.
    confidence
        Coverage of the intervals.
    devices
        Divide the trials of every batch among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Returns
    -------
    InformationProfile

    Raises
    ------
    ValueError
        If the budget does not allow the pilot and the fewest trials that an estimate needs, a stimulus is not finite,
        responses jump, or information is finite at no stimulus. Where it is not finite at some, a warning names them.
    TypeError
        If `respond` is not callable or returns integers, or `key` is not a JAX key.
    """
    check_callable("respond", respond)
    key, confidence = check_key("key", key), check_confidence(confidence)
    check_positive(relative_error=relative_error)
    max_trials, check = check_integer("max_trials", max_trials, minimum=1), check_flag("check", check)
    theta = as_real("stimuli", stimuli, "stimuli", "stimuli parameters")
    require(theta.size > 0, f"stimuli must hold at least one stimulus, got shape {theta.shape}")
    units = check_respond(respond, theta[0], key, needs_derivative=True)
    given = max(200, 5 * (units + 2)) if pilot_trials is None else pilot_trials
    pilot = check_integer("pilot_trials", given, minimum=units + 6)
    if batch_size is None:
        asked = min(0.2 / float(relative_error) ** 2, (max_trials / len(theta) - pilot) / 10)
        batch_size = int(min(max(asked, 100), 1000)) // _BLOCKS * _BLOCKS
    batch_size = check_integer("batch_size", batch_size, minimum=_BLOCKS)
    require(batch_size % _BLOCKS == 0, f"batch_size must be a multiple of {_BLOCKS}, got {batch_size}")
    fewest = -(-2 * (units + 6) // batch_size) * batch_size
    needed = len(theta) * (pilot + fewest)
    require(
        max_trials >= needed,
        f"max_trials={max_trials} is too small: {len(theta)} stimuli of {units} units need at least {needed} trials "
        f"({pilot} in the pilot and {fewest} after it, each)",
    )
    settings = (float(relative_error), max_trials, pilot, fewest, batch_size, confidence)
    with on_devices(devices):
        if check:
            middle = theta[len(theta) // 2]
            keys = jax.random.split(jax.random.fold_in(key, 1), min(_PROBED, pilot))
            check_paths_continuous(respond, middle, keys, *sample_paths(respond, middle, keys))
        profile = _profile(respond, theta, key, *settings)
    _warn_of_the_rest(profile)
    return profile


def _warn_of_the_rest(profile: InformationProfile) -> None:
    """Say where there is no value, and where the error is clearly above the target."""
    count = len(profile.stimuli)
    value, error = (np.asarray(part).reshape(count, -1) for part in (profile.value, profile.standard_error))
    bad = np.flatnonzero(~(np.isfinite(value) & np.isfinite(error)).all(axis=1))
    message = (
        f"information is not finite at stimuli {bad[:5].tolist()}: responses are not finite there, or their "
        "covariance is singular (units that never vary or are sums of others)"
    )
    require(bad.size < count, message)
    if bad.size:
        warn(message)
    parameters = profile.stimuli.shape[-1] if profile.stimuli.ndim == 2 else 1
    own = np.arange(parameters) * (parameters + 1)
    target = profile.relative_error * _CLEARLY
    short = np.flatnonzero((error[:, own] > target * np.abs(value[:, own])).any(axis=1))
    if short.size:
        warn(
            f"the target of {profile.relative_error:.2g} relative error is not reached at {short.size} of {count} "
            f"stimuli (indices {short[:5].tolist()}) within max_trials; `converged` says where. Raise max_trials or "
            "relative_error, or there is hardly any information"
        )


@eqx.filter_jit
def _profile(
    respond: Respond,
    stimuli: Array,
    key: Key,
    relative_error: float,
    max_trials: int,
    pilot: int,
    fewest: int,
    batch_size: int,
    confidence: float,
) -> InformationProfile:
    pilot_key, main_key = jax.random.split(key)
    count = len(stimuli)

    def draw(index: Array, trial_key: Key) -> tuple[Array, Array]:
        theta = stimuli[index]
        keys = jax.random.split(trial_key, batch_size)
        values, slopes = spread_map(lambda k, respond, theta: path(respond, theta, k), keys, respond, theta)
        return values, slopes if theta.ndim else slopes[:, None]

    def look(index: Array) -> tuple[Array, Array, Array]:
        """Means of the pilot and its relative variance per trial."""
        theta = stimuli[index]
        values, slopes = sample_paths(respond, theta, jax.random.split(jax.random.fold_in(pilot_key, index), pilot))
        slopes = slopes if theta.ndim else slopes[:, None]
        pilot_estimate = pathwise(values, slopes)
        size = jnp.maximum(jnp.abs(jnp.diagonal(pilot_estimate.value)), 1e-30)
        own = jnp.diagonal(pilot_estimate.standard_error) / size
        return jnp.mean(values, axis=0), jnp.mean(slopes, axis=0), pilot * jnp.max(own) ** 2

    center, slope_center, variance = jax.lax.map(look, jnp.arange(count))
    batches = _allocate(variance / relative_error**2, max_trials - count * pilot, fewest, batch_size)
    sums = _accumulate(draw, main_key, batches, center, slope_center, batch_size)
    value, error = jax.lax.map(lambda part: _jackknife(*part), (sums, slope_center))
    # an error of 0 belongs to derivatives that are 0 in every trial, which say nothing of jumps
    own = jnp.diagonal(error, axis1=1, axis2=2)
    own = (own > 0) & (own <= relative_error * jnp.abs(jnp.diagonal(value, axis1=1, axis2=2)))
    value, error = scalar_if(stimuli.ndim == 1, (value, error))
    trials = batches * batch_size
    return InformationProfile(
        stimuli=stimuli,
        value=value,
        standard_error=error,
        interval=jnp.moveaxis(student_interval(value, error, confidence, _BLOCKS - 1), 0, 1),
        num_trials=trials,
        converged=jnp.all(own, axis=1),
        total_trials=jnp.sum(trials) + count * pilot,
        relative_error=relative_error,
    )


def _allocate(wanted: Array, budget: int, fewest: int, batch_size: int) -> Int[Array, " M"]:
    """Batches for each stimulus: what it wants, or an equal share of that, within the budget."""
    least = fewest // batch_size
    # without a signal the pilot wants any number: more than the whole budget has no meaning
    wanted = jnp.minimum(jnp.nan_to_num(_SAFETY * wanted, nan=jnp.inf), budget) / batch_size
    spare = budget // batch_size - least * len(wanted)
    more = jnp.maximum(jnp.ceil(wanted) - least, 0)
    share = jnp.minimum(1, spare / jnp.maximum(jnp.sum(more), 1))
    return least + jnp.floor(share * more).astype(int)


def _accumulate(draw, key: Key, batches: Array, center: Array, slope_center: Array, batch_size: int) -> _Sums:
    """Sums over all batches, in a loop whose length is decided on the device."""
    count, units = center.shape
    parameters = slope_center.shape[1]
    dtype = center.dtype
    shapes = ((), (units,), (parameters, units), (units, units), (parameters, parameters, units, units))
    empty = _Sums(*(jnp.zeros((count, _BLOCKS, *shape), dtype) for shape in shapes))
    ends = jnp.cumsum(batches)

    def add(step: Array, sums: _Sums) -> _Sums:
        index = jnp.searchsorted(ends, step, side="right")
        values, slopes = draw(index, jax.random.fold_in(key, step))
        values = (values - center[index]).reshape(_BLOCKS, -1, units)
        slopes = (slopes - slope_center[index]).reshape(_BLOCKS, -1, parameters, units)
        new = _Sums(
            jnp.full(_BLOCKS, batch_size // _BLOCKS, dtype),
            jnp.sum(values, axis=1),
            jnp.sum(slopes, axis=1),
            jnp.einsum("bni,bnj->bij", values, values),
            jnp.einsum("bnki,bnlj->bklij", slopes, slopes),
        )
        return jax.tree.map(lambda total, part: total.at[index].add(part), sums, new)

    return jax.lax.fori_loop(0, ends[-1], add, empty)


def _jackknife(sums: _Sums, slope_center: Array) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Estimate of one stimulus and its error from leaving out each block."""

    def value(kept: _Sums) -> Array:
        mean, slope = kept.value / kept.trials, kept.slope / kept.trials
        scatter = kept.square - kept.trials * mean[:, None] * mean
        slope_scatter = kept.slope_square - kept.trials * slope[:, None, :, None] * slope[None, :, None, :]
        return path_value(PathMoments(kept.trials, slope_center + slope, scatter, slope_scatter))[0]

    total = jax.tree.map(lambda part: jnp.sum(part, axis=0), sums)
    parts = jax.lax.map(lambda block: value(jax.tree.map(jnp.subtract, total, block)), sums)
    return value(total), jnp.std(parts, axis=0) * jnp.sqrt(jnp.asarray(_BLOCKS - 1, parts.dtype))
