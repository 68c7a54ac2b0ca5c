"""The stationary state of the continuous-time theory, compiled once whatever lags are asked for."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax._linalg import perron_vectors, spectral_radius
from fisherjax._theory import Structure, variance_from_above
from fisherjax.nonlinearities import Nonlinearity

from ._energy import starting_variance
from ._growth import lyapunov_of_profile
from ._legendre import LobattoRule, interpolate
from ._profile import Interval, Unknowns, decay_rate, memory_matrix, relax, solve_profile

NUM_NODES = 97
_REACH = 14.0  # relaxation times that are solved for: the linear tail beyond is exact to e^{−28} relative to Δ₀
_RELAXATIONS = 60
_GRADING = 0.5  # the moments change within 1/√Δ₀ of zero lag
_LARGEST = 1e10  # variance: beyond, λ is uncertain by more than a few 10⁻⁴ of it
_DEEPEST = 1e-6  # lowest decay rate whose interval is still resolved


class SteadyState(NamedTuple):
    """Profile at the nodes of an interval and what follows from it; fields as in `Autocorrelation`."""

    unknowns: Unknowns
    interval: Interval
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
    tolerance: Float[Array, ""],
) -> SteadyState:
    """Solve on 14 relaxation times; NaN where there is no solution."""
    fixed, resting = _fixed_state(phi, structure)
    # where the network rests, a harmless problem stands in for the one that has no decaying solution
    safe = Structure(jnp.where(fixed, 0, structure.total_gain), jnp.where(fixed, 1, structure.noise_std))
    moving = _moving(phi, rule, safe)
    radius = spectral_radius(structure.total_gain * phi.slope_second_moment(jnp.where(fixed, resting, moving.variance)))
    eps = jnp.finfo(radius.dtype).eps
    slowest = 1 / jnp.sqrt(jnp.maximum(1 - radius, eps))
    reached = moving.residual <= jnp.maximum(tolerance, 100 * eps * moving.relaxation_time**2)
    reached &= jnp.max(moving.variance) <= _LARGEST
    converged = jnp.where(fixed, jnp.all(jnp.isfinite(resting)), moving.converged & reached)

    def chosen(at_rest: Array, in_motion: Array) -> Array:
        return jnp.where(fixed, at_rest, jnp.where(converged, in_motion, jnp.nan))

    growth, still = jnp.sqrt(radius) - 1, Interval(_REACH * slowest, _REACH * slowest)
    return SteadyState(
        unknowns=chosen(jnp.broadcast_to(resting, moving.unknowns.shape), moving.unknowns),
        interval=jax.tree.map(lambda rest, move: jnp.where(fixed, rest, move), still, moving.interval),
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
    return _at(rule, state.unknowns, state.interval, 1 / state.relaxation_time, lags)


def _fixed_state(phi: Nonlinearity, structure: Structure) -> tuple[Array, Array]:
    """Whether the network rests at a stable fixed point for want of noise, and its variance there."""
    quiet = jnp.zeros_like(structure.intensity)
    resting = variance_from_above(structure.total_gain, quiet, phi)
    negligible = 1e3 * jnp.finfo(resting.dtype).eps * jnp.max(phi.second_moment(jnp.ones_like(resting)))
    resting = jnp.where(jnp.abs(resting) < negligible * jnp.max(structure.total_gain), 0, resting)
    stable = spectral_radius(structure.total_gain * phi.slope_second_moment(resting)) <= 1
    return jnp.all(structure.intensity == 0) & stable, resting


def _moving(phi: Nonlinearity, rule: LobattoRule, structure: Structure) -> SteadyState:
    """The solution with a decaying autocorrelation: driven by noise, or chaotic."""
    interval, guess, bounded = jax.lax.stop_gradient(_start(phi, rule, structure))
    unknowns, last_step = solve_profile(phi, rule, structure, interval, guess)
    profile, variance, limit = unknowns[:-1], unknowns[0], unknowns[-1]
    memory = spectral_radius(memory_matrix(phi, structure, variance, limit))
    scale = jnp.max(variance)
    within = (scale > 1e-3 * jnp.max(guess[0])) & (scale < 1e3 * jnp.max(guess[0]))
    decays = jnp.all(profile[-1] - limit <= 0.02 * scale) & jnp.all(profile - limit >= -1e-5 * scale)
    return SteadyState(
        unknowns=unknowns,
        interval=interval,
        lyapunov_exponent=lyapunov_of_profile(phi, rule, structure, interval, unknowns),
        local_growth=jnp.zeros_like(memory),
        memory=memory,
        relaxation_time=1 / decay_rate(phi, structure, variance, limit),
        residual=last_step,
        converged=bounded & within & decays & (memory < 1) & jnp.isfinite(last_step),
    )


def _start(phi: Nonlinearity, rule: LobattoRule, structure: Structure) -> tuple[Interval, Unknowns, Array]:
    """An interval and a profile that Newton's method converges from."""
    populations = len(structure.intensity)
    gain2 = spectral_radius(structure.total_gain)
    one = starting_variance(phi, gain2, jnp.mean(structure.intensity))
    effective = Structure(gain2.reshape(1, 1), jnp.sqrt(jnp.mean(structure.intensity)).reshape(1))
    kappa = decay_rate(phi, effective, one.variance[None], one.limit[None])
    interval = _interval(kappa, one.variance)
    lags = interval.lags(rule.nodes)
    # from rest the profile starts flat, pushed by noise it starts with a kink
    shape = jnp.where(effective.intensity > 0, jnp.exp(-kappa * lags), 1 / jnp.cosh(kappa * lags))
    share = jnp.ones(1, lags.dtype) if populations == 1 else _shares(structure.total_gain)
    profile = one.limit + (one.variance - one.limit) * jnp.append(shape, 0)
    guess = profile[:, None] * share
    if populations == 1:
        return interval, guess, one.bounded
    guess = relax(phi, rule, structure, interval, guess, _RELAXATIONS)
    kappa = decay_rate(phi, structure, guess[0], guess[-1])
    better = _interval(kappa, jnp.max(guess[0]))
    moved = _at(rule, guess, interval, kappa, better.lags(rule.nodes))
    return better, jnp.concatenate([moved, guess[-1:]]), one.bounded


def _interval(kappa: Array, variance: Array) -> Interval:
    """As long as correlations last, dense where the moments of a network of this variance change."""
    length = _REACH / jnp.maximum(kappa, _DEEPEST)
    return Interval(length, length / (1 + variance) ** _GRADING)


def _shares(total_gain: Array) -> Array:
    """Right Perron vector with mean one, no population left out."""
    share = perron_vectors(total_gain)[1] * len(total_gain)
    return jnp.maximum(jnp.where(jnp.isfinite(share), share, 1), 0.1)


def _at(rule: LobattoRule, unknowns: Unknowns, interval: Interval, kappa: Array, lags: Array) -> Array:
    """Δ(τ) at any lags: the collocation polynomial, and its exponential tail beyond the interval."""
    inside = interpolate(rule, unknowns[:-1], interval.points(jnp.minimum(lags, interval.length)))
    fade = jnp.exp(-kappa * jnp.maximum(lags - interval.length, 0))
    return unknowns[-1] + (inside - unknowns[-1]) * fade[:, None]
