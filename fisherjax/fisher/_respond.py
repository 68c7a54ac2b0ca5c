"""Responses drawn from a function of stimulus and key, and a look at it before: its shapes, and whether it jumps."""

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
from fisherjax._errors import output_of, require, told
from fisherjax._runtime import chunk_length, spread_map
from fisherjax._types import Key

Respond = Callable[[Array, Key], Array]
_BATCH = 256  # trials that are simulated at once on a CPU, and at least elsewhere
_WORK = 1000  # numbers that a response takes on its way, for each that it gives
_PROBED = 512  # trials in which differentiability is looked at
_PROBE = 0.5  # of a just discriminable stimulus difference, 1/√I


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
    at_once = trials_at_once(respond, theta, keys)
    values = spread_map(lambda k, respond, theta: respond(theta, k), keys, respond, theta, batch_size=at_once)
    return values if jnp.issubdtype(values.dtype, jnp.floating) else values.astype(theta.dtype)


@eqx.filter_jit
def sample_paths(
    respond: Respond, theta: Array, keys: Key
) -> tuple[Float[Array, "trials p"], Float[Array, "trials *K p"]]:
    """Responses and their derivatives at fixed randomness, one per key."""
    at_once = trials_at_once(respond, theta, keys, 1 + theta.size)
    return spread_map(lambda k, respond, theta: path(respond, theta, k), keys, respond, theta, batch_size=at_once)


def trials_at_once(respond: Respond, theta: Array, keys: Key, copies: int = 1) -> int:
    """How many trials to simulate at once: on an accelerator, as many as there is likely room for."""
    if jax.default_backend() == "cpu":
        return _BATCH
    shown = jax.eval_shape(respond, theta, keys[0])
    return max(_BATCH, chunk_length(len(keys), copies * _WORK * math.prod(shown.shape) * theta.dtype.itemsize))


def path(respond: Respond, theta: Array, key: Key) -> tuple[Float[Array, " p"], Float[Array, "*K p"]]:
    """One response and its derivative, forward mode."""

    def push(tangent: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda value: respond(value, key), (theta,), (tangent,))

    if theta.ndim == 0:
        return push(jnp.ones_like(theta))
    return jax.vmap(push, out_axes=(None, 0))(jnp.eye(theta.size, dtype=theta.dtype))


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
    known, point, kind = np.asarray(values), np.asarray(theta), values.dtype
    spread = np.std(known, axis=0)
    spread = np.where(spread > 0, spread, np.ones_like(spread))
    rows = np.asarray(slopes).reshape(len(known), -1, known.shape[1])
    for axis, direction in enumerate(np.eye(max(1, point.size), dtype=point.dtype).reshape(-1, *point.shape)):
        signal = float(np.linalg.norm(rows[:, axis].mean(axis=0) / spread))
        step = _PROBE / signal if signal > 0 else 0.1 * max(1.0, float(np.abs(point).max()))
        missed = []
        for size in (step, step / 4):
            moved = np.asarray(sample(respond, jnp.asarray(point + direction * point.dtype.type(size)), keys))
            residual = (moved - known - rows[:, axis] * kind.type(size)) / spread
            missed.append(float(np.mean(residual**2)))
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
