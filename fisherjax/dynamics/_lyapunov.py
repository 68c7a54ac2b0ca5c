"""Lyapunov exponents of a step function by repeated QR decomposition."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Result, Scalar
from fisherjax.numerics import full_precision

from ._step import StepFunction, apply, as_states, check_step, prepared

BLOCKS = 20  # of steps, whose means give the standard error


class LyapunovSpectrum(Result):
    """Lyapunov exponents, largest first, with standard errors over blocks of the trajectory.

    Parameters
    ----------
    exponents
        Per unit of time (K,); −∞ for directions that the Jacobian takes to zero, to rounding, at some step.
    standard_error
        From 20 blocks (K,), 0 for −∞; it misses correlations longer than a block.
    """

    exponents: Float[np.ndarray, " K"]
    standard_error: Float[np.ndarray, " K"]

    @property
    def dimension(self) -> float:
        """Kaplan–Yorke dimension; as large as the number of exponents where their sum is positive."""
        total = np.cumsum(np.where(np.isneginf(self.exponents), -1e300, self.exponents))
        positive = np.flatnonzero(total >= 0)
        if not positive.size:
            return 0.0
        last = int(positive[-1])
        if last + 1 == len(self.exponents):
            return float(len(self.exponents))
        return last + 1 + float(total[last] / abs(self.exponents[last + 1]))


@full_precision
def lyapunov_spectrum(
    step: StepFunction,
    initial_state: object,
    inputs: object = None,
    *,
    key: Key,
    num_steps: int,
    num_exponents: int | None = None,
    warm_up: int = 100,
    dt: Scalar = 1.0,
    steps_per_qr: int = 1,
) -> LyapunovSpectrum:
    """Lyapunov exponents λ_k = lim (1/T) Σ ln |R_kk| of a map, by QR decomposition along a trajectory.

    Parameters
    ----------
    step
        F(x, u), or F(x), or a network: the next state. For a flow, one step of an integrator of length `dt`.
    initial_state
        x(0) (N,), or several (trials, N), whose exponents are averaged: they share the reading of the weights, which
        is what a large network's step costs.
    inputs
        u(t) (T, I) with T = `warm_up` + `num_steps`, or one that is held (I,), or None.
    key
        JAX random key of the first tangent vectors.
    num_steps
        Steps that are averaged over; rounded down to 20 blocks of whole QR intervals.
    num_exponents
        How many, from the largest; all N by default. Cost grows in proportion.
    warm_up
        Steps before, in which state and tangent vectors settle.
    dt
        Time of one step.
    steps_per_qr
        Steps between decompositions.

    Raises
    ------
    ValueError
        If shapes do not match, a number is out of range, there are too few steps, or the trajectory diverges.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Benettin, Galgani, Giorgilli & Strelcyn (1980), Lyapunov characteristic exponents for smooth dynamical systems,
    Meccanica 15, 9–30.
    """
    states = as_states("initial_state", initial_state)
    check_scalar("dt", dt, minimum=0.0, strict=True)
    warm_up = check_integer("warm_up", warm_up, minimum=0)
    interval = check_integer("steps_per_qr", steps_per_qr, minimum=1)
    per_block = check_integer("num_steps", num_steps, minimum=1) // (BLOCKS * interval)
    require(per_block >= 1, f"num_steps must be at least {BLOCKS * interval} (20 QR intervals), got {num_steps}")
    size = states.shape[1]
    count = size if num_exponents is None else check_integer("num_exponents", num_exponents, minimum=1)
    require(count <= size, f"num_exponents must be at most the state's length {size}, got {count}")
    step, check = prepared(step), check_key("key", key)
    used = per_block * BLOCKS * interval
    warm = warm_up // interval
    driven = _driven(inputs, warm * interval + used, warm_up + num_steps, states.dtype)
    check_step(step, states[:1], None if driven is None else driven[:1])
    growth = _growth(step, states, driven, check, count, warm, used // interval, interval)
    rates = np.asarray(growth, np.float64).mean(axis=0)
    require(not np.any(np.isnan(rates) | (rates == np.inf)), "the trajectory or its tangent vectors diverge")
    blocks = rates.reshape(BLOCKS, -1, count).mean(axis=1) / (interval * float(dt))
    exponents = blocks.mean(axis=0)
    lost = np.isneginf(exponents)
    errors = np.where(lost, 0, np.where(lost, 0, blocks).std(axis=0, ddof=1) / np.sqrt(BLOCKS))
    order = np.argsort(-exponents, kind="stable")
    return LyapunovSpectrum(exponents[order], errors[order])


@eqx.filter_jit
def _growth(
    step: StepFunction,
    states: Array,
    inputs: Array | None,
    key: Key,
    count: int,
    warm: int,
    kept: int,
    interval: int,
) -> Float[Array, "trials intervals K"]:
    """Ln |R_kk| of every interval after the warm-up, from every initial state."""

    def move(carry: tuple[Array, Array], given: Array | None) -> tuple[tuple[Array, Array], None]:
        state, tangents = carry
        moved, push = jax.linearize(lambda x: apply(step, x, given), state)
        return (moved, jax.vmap(push, in_axes=1, out_axes=1)(tangents)), None

    def stretch(carry: tuple[Array, Array], given: Array | None) -> tuple[tuple[Array, Array], Array]:
        (state, tangents), _ = jax.lax.scan(move, carry, given, length=interval)
        tangents, triangle = jnp.linalg.qr(tangents)
        size = jnp.abs(jnp.diagonal(triangle))
        lost = size <= len(size) * jnp.finfo(size.dtype).eps * jnp.max(size)
        return (state, tangents), jnp.where(lost, -jnp.inf, jnp.log(jnp.where(lost, 1, size)))

    grouped = None if inputs is None else inputs.reshape(-1, interval, inputs.shape[-1])

    def one(state: Array, key: Key) -> Array:
        start = jnp.linalg.qr(jax.random.normal(key, (len(state), count), state.dtype))[0]
        return jax.lax.scan(stretch, (state, start), grouped, length=warm + kept)[1][warm:]

    if len(states) == 1:
        return one(states[0], key)[None]
    return jax.vmap(one)(states, jax.random.split(key, len(states)))


def _driven(inputs: object, used: int, asked: int, dtype: Any) -> Array | None:
    """Inputs of every step that is made."""
    if inputs is None:
        return None
    array = jnp.asarray(inputs).astype(dtype)
    require(
        array.ndim == 1 or (array.ndim == 2 and len(array) == asked),
        f"inputs must have shape (I,) or ({asked}, I), one per step of warm-up and average; got {array.shape}",
    )
    return jnp.broadcast_to(array, (used, array.shape[-1])) if array.ndim == 1 else array[:used]
