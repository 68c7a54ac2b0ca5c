"""The stationary state of the continuous-time theory, compiled once whatever lags are asked for."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax.numerics import LobattoRule, Nonlinearity, interpolate, perron_vectors, spectral_radius

from ._energy import starting_variance
from ._growth import lyapunov_of_profile
from ._profile import Structure, Unknowns, decay_rate, memory_matrix, relax, solve_profile
from ._stationary import variance_from_above

NUM_NODES = 97
_REACH = 14.0  # relaxation times that are solved for: the linear tail beyond is exact to e^{−28} relative to Δ₀
_RELAXATIONS = 60
_DEEPEST = 1e-6  # lowest decay rate whose interval is still resolved


class SteadyState(NamedTuple):
    """Profile at the nodes of [0, length] and what follows from it; fields as in `Autocorrelation`."""

    unknowns: Unknowns
    length: Float[Array, ""]
    lyapunov_exponent: Float[Array, ""]
    local_growth: Float[Array, ""]
    memory: Float[Array, ""]
    relaxation_time: Float[Array, ""]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]

    @property
    def variance(self) -> Float[Array, "*batch P"]:
        """Δ(0)."""
        return self.unknowns[..., 0, :]


@functools.partial(jax.jit, static_argnums=0)
def steady_state(
    phi: Nonlinearity,
    rule: LobattoRule,
    structure: Structure,
    length: Float[Array, ""],
    tolerance: Float[Array, ""],
) -> SteadyState:
    """Solve on [0, length], or on 14 relaxation times where `length` is 0; NaN where there is no solution."""
    fixed, resting = _fixed_state(phi, structure)
    # where the network rests, a harmless problem stands in for the one that has no decaying solution
    safe = Structure(jnp.where(fixed, 0, structure.total_gain), jnp.where(fixed, 1, structure.noise))
    moving = _moving(phi, rule, safe, length)
    radius = spectral_radius(structure.total_gain * phi.slope_second_moment(jnp.where(fixed, resting, moving.variance)))
    eps = jnp.finfo(radius.dtype).eps
    slowest = 1 / jnp.sqrt(jnp.maximum(1 - radius, eps))
    reached = moving.residual <= jnp.maximum(tolerance, 100 * eps * moving.relaxation_time**2)
    converged = jnp.where(fixed, jnp.all(jnp.isfinite(resting)), moving.converged & reached)

    def chosen(at_rest: Array, in_motion: Array) -> Array:
        return jnp.where(fixed, at_rest, jnp.where(converged, in_motion, jnp.nan))

    growth = jnp.sqrt(radius) - 1
    return SteadyState(
        unknowns=chosen(jnp.broadcast_to(resting, moving.unknowns.shape), moving.unknowns),
        length=jnp.where(fixed & (length == 0), _REACH * slowest, moving.length),
        lyapunov_exponent=chosen(growth, moving.lyapunov_exponent),
        local_growth=chosen(growth, growth),
        memory=chosen(radius, moving.memory),
        relaxation_time=chosen(slowest, moving.relaxation_time),
        residual=jnp.where(fixed, 0, moving.residual),
        converged=converged,
    )


@jax.jit
def profile_at(rule: LobattoRule, state: SteadyState, lags: Float[Array, " T"]) -> Float[Array, "T P"]:
    """Δ(τ) at any lags."""
    return _at(rule, state.unknowns, state.length, 1 / state.relaxation_time, lags)


def _fixed_state(phi: Nonlinearity, structure: Structure) -> tuple[Array, Array]:
    """Whether the network rests at a stable fixed point for want of noise, and its variance there."""
    quiet = jnp.zeros_like(structure.noise)
    resting = variance_from_above(structure.total_gain, quiet, phi)
    negligible = 1e3 * jnp.finfo(resting.dtype).eps * jnp.max(phi.second_moment(jnp.ones_like(resting)))
    resting = jnp.where(jnp.abs(resting) < negligible * jnp.max(structure.total_gain), 0, resting)
    stable = spectral_radius(structure.total_gain * phi.slope_second_moment(resting)) <= 1
    return jnp.all(structure.noise == 0) & stable, resting


def _moving(phi: Nonlinearity, rule: LobattoRule, structure: Structure, length: Array) -> SteadyState:
    """The solution with a decaying autocorrelation: driven by noise, or chaotic."""
    length, guess, bounded = jax.lax.stop_gradient(_start(phi, rule, structure, length))
    unknowns, last_step = solve_profile(phi, rule, structure, length, guess)
    profile, variance, limit = unknowns[:-1], unknowns[0], unknowns[-1]
    memory = spectral_radius(memory_matrix(phi, structure, variance, limit))
    scale = jnp.max(variance)
    within = (scale > 1e-3 * jnp.max(guess[0])) & (scale < 1e3 * jnp.max(guess[0]))
    decays = jnp.all(profile[-1] - limit <= 0.02 * scale) & jnp.all(profile - limit >= -1e-5 * scale)
    return SteadyState(
        unknowns=unknowns,
        length=length,
        lyapunov_exponent=lyapunov_of_profile(phi, rule, structure, length, unknowns),
        local_growth=jnp.zeros_like(memory),
        memory=memory,
        relaxation_time=1 / decay_rate(phi, structure, variance, limit),
        residual=last_step,
        converged=bounded & within & decays & (memory < 1) & jnp.isfinite(last_step),
    )


def _start(phi: Nonlinearity, rule: LobattoRule, structure: Structure, length: Array) -> tuple[Array, Unknowns, Array]:
    """Length of the interval and a profile that Newton's method converges from."""
    populations = len(structure.noise)
    gain2 = spectral_radius(structure.total_gain)
    one = starting_variance(phi, gain2, jnp.mean(structure.noise))
    effective = Structure(gain2.reshape(1, 1), jnp.mean(structure.noise).reshape(1))
    kappa = _shown_rate(decay_rate(phi, effective, one.variance[None], one.limit[None]))
    reach = jnp.where(length > 0, length, _REACH / kappa)
    lags = jnp.asarray(rule.nodes + 1, reach.dtype) / 2 * reach
    # from rest the profile starts flat, pushed by noise it starts with a kink
    shape = jnp.where(effective.noise > 0, jnp.exp(-kappa * lags), 1 / jnp.cosh(kappa * lags))
    share = jnp.ones(1, reach.dtype) if populations == 1 else _shares(structure.total_gain)
    profile = one.limit + (one.variance - one.limit) * jnp.append(shape, 0)
    guess = profile[:, None] * share
    if populations == 1:
        return reach, guess, one.bounded
    guess = relax(phi, rule, structure, reach, guess, _RELAXATIONS)
    kappa = _shown_rate(decay_rate(phi, structure, guess[0], guess[-1]))
    better = jnp.where(length > 0, length, _REACH / kappa)
    moved = _at(rule, guess, reach, kappa, lags * (better / reach))
    return better, jnp.concatenate([moved, guess[-1:]]), one.bounded


def _shown_rate(kappa: Array) -> Array:
    return jnp.maximum(kappa, _DEEPEST)


def _shares(total_gain: Array) -> Array:
    """Right Perron vector with mean one, no population left out."""
    share = perron_vectors(total_gain)[1] * len(total_gain)
    return jnp.maximum(jnp.where(jnp.isfinite(share), share, 1), 0.1)


def _at(rule: LobattoRule, unknowns: Unknowns, length: Array, kappa: Array, lags: Array) -> Array:
    """Δ(τ) at any lags: the collocation polynomial, and its exponential tail beyond the interval."""
    inside = interpolate(rule, unknowns[:-1], 2 * jnp.minimum(lags, length) / length - 1)
    fade = jnp.exp(-kappa * jnp.maximum(lags - length, 0))
    return unknowns[-1] + (inside - unknowns[-1]) * fade[:, None]
