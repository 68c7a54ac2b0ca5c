"""Fisher information of anything that responds to a stimulus: a network, a trajectory, a trained classifier."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import (
    check_callable,
    check_choice,
    check_confidence,
    check_flag,
    check_integer,
    check_key,
    check_scalar,
    is_traced,
    require,
    told,
)
from fisherjax._functions import output_of
from fisherjax._runtime import Devices, full_precision, on_devices, spread_map
from fisherjax._types import Key, Stimulus

from ._decoder import decoder
from ._direct import direct
from ._estimate import FisherEstimate
from ._pathwise import pathwise
from ._resampling import jackknife
from ._total import gaussian_total

Respond = Callable[[Array, Key], Array]
METHODS = ("pathwise", "common", "direct", "decoder", "neural", "total")
_BATCH = 256  # trials that are simulated at once
_PROBED = 512  # trials in which differentiability is looked at
_PROBE = 0.5  # of a just discriminable stimulus difference, 1/√I


@full_precision
def estimate(
    respond: Respond,
    stimulus: Stimulus,
    *,
    key: Key,
    num_trials: int,
    method: str = "pathwise",
    error: str = "jackknife",
    separation: float | None = None,
    check: bool = True,
    confidence: float = 0.95,
    devices: Devices = None,
) -> FisherEstimate:
    """Estimate the Fisher information that responses hold about a stimulus.

    Parameters
    ----------
    respond
        ``respond(stimulus, key) -> (p,)``: one noisy response. Any function that JAX can trace; for
        ``"pathwise"`` and ``"total"`` it must be differentiable in the stimulus at a fixed key.
    stimulus
        θ, a scalar, or (K,) for a Fisher matrix (``"pathwise"``, ``"common"`` and ``"total"`` only).
    key
        JAX random key.
    num_trials
        Responses drawn; for methods with two conditions, per condition.
    method
        ``"pathwise"``: exact derivatives at fixed randomness, the best choice where it is valid.
        ``"common"``: differences over `separation` at common random numbers; for responses that jump.
        ``"direct"``: differences of independent trials, as in an experiment.
        ``"decoder"``, ``"neural"``: what a held-out linear decoder, or a small network, reaches.
        ``"total"``: the Gaussian total, see `gaussian_total`; it warns.
    error
        ``"jackknife"`` (blocks of trials, no assumption on the distribution) or ``"influence"`` (that of
        `pathwise`), for ``"pathwise"`` and ``"common"``.
    separation
        Δθ of the methods that need one, the total separation.
    check
        Whether to look, before a pathwise estimate, if responses jump as the stimulus changes. Two more
        evaluations of up to 512 trials; not done under jit.
    confidence
        Coverage of the interval.
    devices
        Divide the trials among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Returns
    -------
    FisherEstimate

    Raises
    ------
    ValueError
        If the responses are not vectors of finite numbers, jump with the stimulus (pathwise), or there are
        too few trials; if a separation is needed and absent.
    TypeError
        If `respond` is not callable, the responses are integers (pathwise), or `key` is not a JAX key.
    """
    check_callable("respond", respond)
    check_choice("method", method, METHODS)
    check_choice("error", error, ("jackknife", "influence"))
    key, confidence = check_key("key", key), check_confidence(confidence)
    check = check_flag("check", check)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    theta = as_stimulus(stimulus)
    _check_options(method, error, separation, theta)
    check_respond(respond, theta, key, needs_derivative=method in {"pathwise", "total"})
    with on_devices(devices):
        if method in {"pathwise", "total"}:
            keys = jax.random.split(key, num_trials)
            values, slopes = sample_paths(respond, theta, keys)
            _check_random(values)
            if check and not is_traced((values, slopes)):
                check_paths_continuous(respond, theta, keys[:_PROBED], values[:_PROBED], slopes[:_PROBED])
            if method == "total":
                return gaussian_total(values, slopes, confidence=confidence)
            return _paths(values, slopes, error, confidence)
        step = jnp.asarray(separation, theta.dtype)
        if method == "common":
            values, slopes = _differences(respond, theta, step, jax.random.split(key, num_trials))
            _check_random(values)
            found = _paths(values, slopes, error, confidence)
            return dataclasses.replace(found, method=f"common random numbers, {found.method}")
        minus_key, plus_key, train_key = jax.random.split(key, 3)
        minus = sample(respond, theta - step / 2, jax.random.split(minus_key, num_trials))
        plus = sample(respond, theta + step / 2, jax.random.split(plus_key, num_trials))
        _check_random(minus)
        if method == "direct":
            return direct(minus, plus, step, confidence=confidence)
        kind = "neural" if method == "neural" else "held-out"
        return decoder(minus, plus, step, key=train_key, method=kind, confidence=confidence)


def _check_options(method: str, error: str, separation: float | None, theta: Array) -> None:
    """Refuse options that the method needs and lacks, or has no use for."""
    differs = method not in {"pathwise", "total"}
    if differs:
        require(separation is not None, f"method={method!r} needs separation, the total difference Δθ of the stimuli")
        check_scalar("separation", separation, minimum=0.0, strict=True)
        moves = is_traced((theta, separation)) or bool(
            jnp.all(theta + jnp.asarray(separation, theta.dtype) / 2 > theta)
        )
        require(moves, f"separation = {separation} is lost in the rounding of the stimulus; measure θ from elsewhere")
    else:
        require(separation is None, f"separation has no meaning for method={method!r}, which takes exact derivatives")
    blocks = method in {"pathwise", "common"}
    require(blocks or error == "jackknife", f"error={error!r} is for 'pathwise' and 'common', not method={method!r}")
    scalar = method in {"direct", "decoder", "neural"}
    require(not scalar or theta.ndim == 0, f"stimulus must be a scalar for method={method!r}, got shape {theta.shape}")


def _check_random(values: Array) -> None:
    """Refuse responses that are the same at every key."""
    if not is_traced(values) and len(values) > 1:
        require(
            bool(jnp.any(values != values[0])),
            "respond returns the same response for every key: information is that of noisy responses; draw the noise "
            "from the key that it is given",
        )


def as_stimulus(stimulus: Any) -> Array:
    """The stimulus as a float array, a scalar or a vector."""
    theta = as_real("stimulus", stimulus, "", "parameters")
    require(theta.size > 0, "stimulus must hold at least one parameter")
    return theta


def check_respond(respond: Respond, theta: Array, key: Key, *, needs_derivative: bool) -> int:
    """Number of units p of a response, after checking its shape and type without running it."""
    try:
        inspect.signature(respond).bind(theta, key)
    except TypeError as error:
        raise TypeError(f"respond must take (stimulus, key), but: {error}") from None
    except ValueError:  # has no signature
        pass
    shape: Any = output_of("respond", respond, theta, key)
    is_array = hasattr(shape, "shape") and hasattr(shape, "dtype")
    if not is_array:
        raise TypeError(f"respond must return one vector (p,), got {told(shape)}")
    require(
        len(shape.shape) == 1 and shape.shape[0] > 0,
        f"respond must return one vector (p,), got shape {shape.shape}; a single number is r[None], a trajectory "
        "r.ravel()",
    )
    if not (jnp.issubdtype(shape.dtype, jnp.number) or shape.dtype == bool) or jnp.issubdtype(
        shape.dtype, jnp.complexfloating
    ):
        raise TypeError(f"respond must return real numbers, got {shape.dtype}")
    if needs_derivative and not jnp.issubdtype(shape.dtype, jnp.floating):
        raise TypeError(
            f"respond returns {shape.dtype}, which has no derivative in the stimulus: a pathwise estimate would be "
            "meaningless. Use method='common' (differences at common random numbers) or method='direct'"
        )
    return shape.shape[0]


@eqx.filter_jit
def sample(respond: Respond, theta: Array, keys: Key) -> Float[Array, "trials p"]:
    """Responses to one stimulus, one per key."""
    values = spread_map(lambda k, respond, theta: respond(theta, k), keys, respond, theta, batch_size=_BATCH)
    return values if jnp.issubdtype(values.dtype, jnp.floating) else values.astype(theta.dtype)


@eqx.filter_jit
def sample_paths(
    respond: Respond, theta: Array, keys: Key
) -> tuple[Float[Array, "trials p"], Float[Array, "trials *K p"]]:
    """Responses and their derivatives at fixed randomness, one per key."""
    return spread_map(lambda k, respond, theta: path(respond, theta, k), keys, respond, theta, batch_size=_BATCH)


def path(respond: Respond, theta: Array, key: Key) -> tuple[Float[Array, " p"], Float[Array, "*K p"]]:
    """One response and its derivative, forward mode."""

    def push(tangent: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda value: respond(value, key), (theta,), (tangent,))

    if theta.ndim == 0:
        return push(jnp.ones_like(theta))
    return jax.vmap(push, out_axes=(None, 0))(jnp.eye(theta.size, dtype=theta.dtype))


def _paths(values: Array, slopes: Array, error: str, confidence: float) -> FisherEstimate:
    if error == "influence":
        return pathwise(values, slopes, confidence=confidence)
    return jackknife(values, slopes, estimator="pathwise", confidence=confidence)


def _differences(respond: Respond, theta: Array, step: Array, keys: Key) -> tuple[Array, Array]:
    """Responses, and their central differences at the same keys, in place of derivatives."""

    def difference(direction: Array) -> Array:
        offset = direction * step / 2
        plus, minus = (sample(respond, theta + sign * offset, keys) for sign in (1, -1))
        return (plus - minus) / step

    values = sample(respond, theta, keys)
    if theta.ndim == 0:
        return values, difference(jnp.ones_like(theta))
    return values, jnp.stack([difference(row) for row in jnp.eye(theta.size, dtype=theta.dtype)], axis=1)


def check_paths_continuous(respond: Respond, theta: Array, keys: Key, values: Array, slopes: Array) -> None:
    """Refuse responses that jump as the stimulus moves: their derivative leaves the jumps out.

    What a derivative misses over a step h, squared and averaged over trials, falls like h³ or faster where
    paths are continuous (h⁶ if smooth), but like h where a share of the trials ∝ h jumps.
    """
    if not np.any(np.asarray(slopes)):
        raise ValueError(
            "the derivative of the responses is zero in every trial: they do not depend on the stimulus, or only by "
            "jumps (thresholds, rounding, counts), which a pathwise estimate cannot see. Use 'common' or 'direct'"
        )
    spread = jnp.std(values, axis=0)
    spread = jnp.where(spread > 0, spread, 1)
    rows, basis = slopes.reshape(len(values), -1, values.shape[1]), jnp.eye(max(1, theta.size), dtype=theta.dtype)
    for axis, direction in enumerate(basis.reshape(-1, *theta.shape)):
        signal = float(jnp.linalg.norm(jnp.mean(rows[:, axis], axis=0) / spread))
        step = _PROBE / signal if signal > 0 else 0.1 * max(1.0, float(jnp.max(jnp.abs(theta))))
        missed = []
        for size in (step, step / 4):
            moved = sample(respond, theta + direction * jnp.asarray(size, theta.dtype), keys)
            residual = (moved - values - rows[:, axis] * jnp.asarray(size, values.dtype)) / spread
            missed.append(float(jnp.mean(residual**2)))
        if _falls_like_jumps(missed[0], missed[1], float(jnp.finfo(values.dtype).eps)):
            raise ValueError(
                "responses jump as the stimulus changes (θ-dependent thinning, thresholds, counts): their derivative "
                "leaves the jumps out and a pathwise estimate would be wrong. Use method='common' or 'direct', or "
                "check=False if the jumps do not matter"
            )


def _falls_like_jumps(missed: float, missed_at_quarter: float, rounding: float) -> bool:
    """Whether the exponent is near 1; near 0 are chaotic paths, which a smaller step would show to be smooth."""
    if not (missed > 0 and missed_at_quarter > (100 * rounding) ** 2):
        return False
    return 0.3 < math.log(missed / missed_at_quarter) / math.log(4) < 2
