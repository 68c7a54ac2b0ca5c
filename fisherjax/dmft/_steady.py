"""The stationary state of the continuous-time theory, compiled once whatever lags are asked for."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._linalg import perron_vectors, spectral_radius
from fisherjax._theory import Structure, variance_from_above
from fisherjax.nonlinearities import Nonlinearity

from ._profile import (
    Interval,
    LobattoRule,
    Unknowns,
    decay_rate,
    interpolate,
    matrices,
    memory_matrix,
    pair_moments,
    relax,
    solve_profile,
    solve_tangent,
)

_LOWEST, _HIGHEST = 1e-14, 1e10  # range of Δ₀ relative to its scale
_QUADRATURE = 48
_BISECTIONS = 40  # to 5e-11 in log Δ₀: near the transition κ² is a small difference of terms of the size of Δ₀


def _energy(phi: Nonlinearity, gain2: Array, intensity: Array, variance: Array) -> tuple[Array, Array]:
    """Left-hand side of the energy condition of one population over Δ₀², positive where Δ₀ is too small; and Δ(∞).

    Read τ as time: Δ″ = −V′(Δ) is a particle that leaves Δ₀ with velocity −s₂ and comes to rest at Δ(∞), so that

        ½ s₂² + ∫ (g² C_φ(c; Δ₀) − c) dc = 0,   c from Δ(∞) to Δ₀,   Δ(∞) = g² C_φ(Δ(∞); Δ₀).

    Without noise and for odd φ, Δ(∞) = 0 and this is Δ₀²/2 = g² (E[Φ²] − E[Φ]²) with Φ = ∫φ.

    The smallest root of c = g² C_φ(c) is where the particle can rest. C_φ is convex, so that Newton's method
    reaches it from zero without passing it. Where there is none, or where it is unstable, Δ₀ is too small.

    References
    ----------
    Sompolinsky, Crisanti & Sommers (1988), Chaos in random neural networks, Phys. Rev. Lett. 61, 259.
    Schuecker, Goedeke & Helias (2018), Optimal sequence memory in driven random networks, Phys. Rev. X 8, 041029.
    """

    def approach(_: int | Array, limit: Array) -> Array:
        moments = pair_moments(phi, variance, limit)
        slope = 1 - gain2 * moments.slope_overlap
        step = (limit - gain2 * moments.overlap) / jnp.where(slope > 0, slope, 1)
        return jnp.clip(jnp.where(slope > 0, limit - step, limit), 0, variance)

    limit = jax.lax.fori_loop(0, 30, approach, jnp.zeros_like(variance))
    rests = gain2 * pair_moments(phi, variance, limit).slope_overlap < 1
    # in the angle of c = Δ₀ sin t, the square-root singularity of the moments at c = Δ₀ is gone
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
    lowest = jnp.arcsin(limit / variance)
    half = (np.pi / 2 - lowest) / 2
    angle = lowest + half * (1 + jnp.asarray(nodes, variance.dtype))
    place = jnp.minimum(variance * jnp.sin(angle), variance)
    force = gain2 * pair_moments(phi, variance, place).overlap - place
    work = half * jnp.sum(jnp.asarray(weights, variance.dtype) * force * jnp.cos(angle)) / variance
    return jnp.where(rests, (intensity / variance) ** 2 / 2 + work, 1.0), limit


def _starting_variance(phi: Nonlinearity, gain2: Array, intensity: Array) -> tuple[Array, Array, Array]:
    """Δ₀ by bisection in its logarithm from the side of large variances, Δ(∞), and whether Δ₀ is bounded."""
    scale = intensity + gain2 * phi.second_moment(jnp.ones_like(gain2))
    lower, upper = jnp.log(_LOWEST * scale), jnp.log(_HIGHEST * scale)
    bounded = _energy(phi, gain2, intensity, jnp.exp(upper))[0] < 0

    def halve(_: int | Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        lower, upper = bracket
        middle = (lower + upper) / 2
        too_small = _energy(phi, gain2, intensity, jnp.exp(middle))[0] > 0
        return jnp.where(too_small, middle, lower), jnp.where(too_small, upper, middle)

    lower, upper = jax.lax.fori_loop(0, _BISECTIONS, halve, (lower, upper))
    variance = jnp.exp((lower + upper) / 2)
    return variance, _energy(phi, gain2, intensity, variance)[1], bounded


_NEWTON_STEPS = 12


class _GroundState(NamedTuple):
    """Eigenfunction at the nodes, and its decay rate k beyond the last."""

    function: Float[Array, "n P"]
    decay: Float[Array, ""]


def _lyapunov_of_profile(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, interval: Interval, unknowns: Unknowns
) -> Float[Array, ""]:
    """Largest exponent λ = −1 + √μ of a stationary profile, differentiable in the structure and the profile.

    Two neighboring trajectories with the same weights and noise drift apart as e^{λt}, where (1 + λ)² is the
    largest eigenvalue μ of ψ_p″ + Σ_q G_pq E[φ′(a)φ′(b)]_q(τ) ψ_q; for one population 1 − μ = E₀ is the ground-state
    energy of −∂² + 1 − g² C_{φ′}(Δ(τ)). Beyond the interval the eigenfunction decays as e^{−kτ}, k² = μ − ρ(M). Written
    in k instead of μ the problem stays regular when the well is so shallow that its state hardly decays.
    """
    slopes = structure.total_gain * pair_moments(phi, unknowns[0], unknowns).slope_overlap[:, None, :]
    highest, radius = spectral_radius(slopes[0]), spectral_radius(slopes[-1])
    stiffness, mass = matrices(rule, interval)
    guess = _ground_state(stiffness, mass, *jax.lax.stop_gradient((slopes[:-1], highest, radius)))

    def equations(state: _GroundState) -> _GroundState:
        function, decay = state
        weak = stiffness @ function + mass[:, None] * (
            (radius + decay**2) * function - jnp.einsum("npq,nq->np", slopes[:-1], function)
        )
        weak = weak.at[-1].add(decay * function[-1])
        return _GroundState(weak, jnp.sum(mass[:, None] * guess.function * function) - 1)

    def solve(_: Callable, start: _GroundState) -> _GroundState:
        def step(_: int | Array, state: _GroundState) -> _GroundState:
            residual, linear = jax.linearize(equations, state)
            return jax.tree.map(jnp.subtract, state, solve_tangent(linear, residual))

        return jax.lax.fori_loop(0, _NEWTON_STEPS, step, start)

    state = jax.lax.custom_root(equations, guess, solve, solve_tangent)
    return jnp.sqrt(radius + state.decay**2) - 1


def _ground_state(
    stiffness: Array, mass: Array, slopes: Float[Array, "n P P"], highest: Array, radius: Array
) -> _GroundState:
    """Leading eigenpair with a free end at L, from which Newton's method sets out.

    That of the inverse: −∂² of these nodes reaches 10⁶, next to which single precision loses what is sought. No
    eigenvalue of the slopes at any lag exceeds `highest`, that at lag zero, so that what is inverted is positive.
    """
    nodes, populations, _ = slopes.shape
    root, size = jnp.sqrt(mass), nodes * populations
    shift = highest + jnp.square(jnp.pi / jnp.sum(mass))
    unit, each = jnp.eye(populations, dtype=mass.dtype), jnp.arange(nodes)
    matrix = jnp.einsum("ij,pq->ipjq", stiffness / (root[:, None] * root), unit)
    matrix = matrix.at[each, :, each, :].add(shift * unit - slopes)
    inverse = jnp.linalg.inv(matrix.reshape(size, size))
    if populations == 1:
        values, vectors = jnp.linalg.eigh((inverse + inverse.T) / 2)
        largest, vector = values[-1], vectors[:, -1]
    else:
        values, vectors = jnp.linalg.eig(inverse)
        best = jnp.argmax(values.real)
        largest, vector = values[best].real, vectors[:, best].real
    function = vector.reshape(nodes, populations) / jnp.linalg.norm(vector) / root[:, None]
    gap = jnp.maximum(shift - 1 / largest - radius, jnp.finfo(mass.dtype).eps * radius)
    return _GroundState(function, jnp.sqrt(gap))


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


@jax.jit(static_argnums=0)
def steady_state(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, tolerance: Float[Array, ""]
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
        lyapunov_exponent=_lyapunov_of_profile(phi, rule, structure, interval, unknowns),
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
    # one population in place of all, of the same spectral radius and mean noise
    variance, limit, bounded = _starting_variance(phi, gain2, jnp.mean(structure.intensity))
    effective = Structure(gain2.reshape(1, 1), jnp.sqrt(jnp.mean(structure.intensity)).reshape(1))
    kappa = decay_rate(phi, effective, variance[None], limit[None])
    interval = _interval(kappa, variance)
    lags = interval.lags(rule.nodes)
    # from rest the profile starts flat, pushed by noise it starts with a kink
    shape = jnp.where(effective.intensity > 0, jnp.exp(-kappa * lags), 1 / jnp.cosh(kappa * lags))
    share = jnp.ones(1, lags.dtype) if populations == 1 else _shares(structure.total_gain)
    guess = (limit + (variance - limit) * jnp.append(shape, 0))[:, None] * share
    if populations == 1:
        return interval, guess, bounded
    guess = relax(phi, rule, structure, interval, guess, _RELAXATIONS)
    kappa = decay_rate(phi, structure, guess[0], guess[-1])
    better = _interval(kappa, jnp.max(guess[0]))
    moved = _at(rule, guess, interval, kappa, better.lags(rule.nodes))
    return better, jnp.concatenate([moved, guess[-1:]]), bounded


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
