"""Moment closure of one given network in continuous time."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax.networks import FlowNetwork, Protocol, entered_with_slopes, runge_kutta
from fisherjax.numerics import with_slopes

from ._closure_step import State


def flow_scan(
    network: FlowNetwork,
    protocol: Protocol,
    theta: Array,
    num_steps: int,
    read_out: Callable[[State, State], Any],
) -> tuple[Any, Float[Array, " T"]]:
    """`read_out(state, slope)` after every step, NaN from the first failure on; zeros for what it cannot account for.

    ṁ = −m + J E φ + b + w u and Σ̇ = −2Σ + J C + (J C)ᵀ + 2σ², C = Cov(φ(x), x) = diag(E φ′) Σ (Stein), which is exact
    where the state is Gaussian, in the Runge–Kutta steps of the network itself. The first step is linearized around
    the initial state, whose variance is zero.
    """
    (state, inputs), (slope, input_slopes) = entered_with_slopes(network, protocol, theta, num_steps)

    def begin(state: Array, given: Array | None) -> State:
        zero = jnp.zeros_like(state)
        spread = jax.jacfwd(lambda noise: network.step(state, given, noise))(zero)
        return State(network.step(state, given), spread @ spread.T, None)

    @jax.checkpoint
    def step(carry: Any, now: Any) -> tuple[Any, Any]:
        moments, slope, failed = carry
        given, given_slope = now
        new = with_slopes(functools.partial(_moved, network), (moments, given), (slope, given_slope))
        failed = failed | _broken(jax.lax.stop_gradient(new))
        kept = jax.tree.map(lambda old, part: jnp.where(failed, old, part), (moments, slope), new)
        moments, slope = kept
        return (moments, slope, failed), seen(moments, slope, failed)

    def seen(moments: State, slope: State, failed: Array) -> tuple[Any, Array]:
        values = jax.tree.map(lambda part: jnp.where(failed, jnp.nan, part), read_out(moments, slope))
        return values, jnp.zeros((), theta.dtype)

    given, given_slope = (None, None) if inputs is None else (inputs[0], input_slopes[0])  # pyright: ignore[reportOptionalSubscript]
    first, slope = with_slopes(begin, (state, given), (slope, given_slope))
    failed = _broken(jax.lax.stop_gradient((first, slope)))
    rest = (None, None) if inputs is None else (inputs[1:], input_slopes[1:])  # pyright: ignore[reportOptionalSubscript]
    _, values = jax.lax.scan(step, (first, slope, failed), rest, length=num_steps - 1)
    return jax.tree.map(lambda row, rows: jnp.concatenate([row[None], rows]), seen(first, slope, failed), values)


def _moved(network: FlowNetwork, moments: State, given: Array | None) -> State:
    noise = 2 * network.noise_std**2 * jnp.eye(network.num_units, dtype=moments.mean.dtype)

    def velocity(moments: State) -> State:
        mean, covariance, _ = moments
        response, slope = network.nonlinearity.derivative_means(mean, jnp.diagonal(covariance), 1)
        carried = network.weights @ (slope[:, None] * covariance)
        return State(network.received(response, given) - mean, noise - 2 * covariance + carried + carried.T, None)

    return runge_kutta(velocity, moments, network.dt)


def _broken(moments: tuple[State, State]) -> Array:
    """Whether moments left the floats, or a variance is not positive."""
    finite = jnp.stack([jnp.all(jnp.isfinite(part)) for part in jax.tree.leaves(moments)])
    return ~jnp.all(finite) | jnp.any(jnp.diagonal(moments[0].covariance) <= 0)
