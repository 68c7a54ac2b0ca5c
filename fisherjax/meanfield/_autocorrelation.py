"""Stationary dynamic mean-field theory in continuous time: autocorrelation, chaos, memory."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_finite, check_integer, check_scalar, is_traced, require
from fisherjax._types import Result, Scalar, as_float
from fisherjax.connectivity import GainMatrix
from fisherjax.numerics import (
    LobattoRule,
    Nonlinearity,
    as_nonlinearity,
    interpolate,
    lobatto_rule,
    perron_vectors,
    spectral_radius,
)

from ._energy import starting_variance
from ._growth import lyapunov_of_profile
from ._profile import Structure, Unknowns, decay_rate, memory_matrix, relax, solve_profile
from ._stationary import variance_from_above

NUM_NODES = 97
_REACH = 14.0  # relaxation times that are solved for: the linear tail beyond is exact to e^{−28} relative to Δ₀
_SHORTEST = 6.0
_LAGS = 257
_RELAXATIONS = 60
_DEEPEST = 1e-6  # lowest decay rate whose interval is still resolved


class Autocorrelation(Result):
    """Stationary autocorrelation Δ(τ) = ⟨x(t) x(t+τ)⟩ of the units, and what follows from it.

    For one population given by its gain, the population axis is absent. Time is in units of the time constant τ.

    Parameters
    ----------
    lags
        τ (T,), at least 0.
    values
        Δ(τ), second moment over units and time (T,) or (T, P).
    variance
        Δ(0), () or (P,).
    static_variance
        Δ(∞), the variance over units of their time averages; 0 for an odd nonlinearity.
    noise
        s₂, the variance that an unconnected unit would have.
    lyapunov_exponent
        Largest exponent λ, with the noise the same in both trajectories.
    local_growth
        Right edge of the spectrum of the Jacobian at one moment, −1 + √ρ(G ∘ E[φ′²]): above 0, the state is
        expanded in some directions at every moment, which does not yet make it chaotic.
    memory
        ρ(M), M_pq = G_pq E[φ′(a)φ′(b)] for replicas with independent noise: the spectral radius of the Fisher
        diffusion operator, by which information about a pulse decays as exp(−2 (1 − √ρ) t).
    relaxation_time
        1/κ = 1/√(1 − ρ(M)), decay time of Δ(τ) − Δ(∞) at long lags.
    residual
        Size of the last Newton step relative to the variance.
    converged
        False where there is no stationary state or the residual is above the tolerance.
    """

    lags: Float[Array, " T"]
    values: Float[Array, "T *P"]
    variance: Float[Array, "*P"]
    static_variance: Float[Array, "*P"]
    noise: Float[Array, "*P"]
    lyapunov_exponent: Float[Array, ""]
    local_growth: Float[Array, ""]
    memory: Float[Array, ""]
    relaxation_time: Float[Array, ""]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]

    @property
    def ground_state_energy(self) -> Float[Array, ""]:
        """E₀ = 1 − (1 + λ)², negative in chaos."""
        return 1 - (1 + self.lyapunov_exponent) ** 2

    @property
    def regime(self) -> str:
        """One of `REGIMES`: silent, fixed (static but not silent), driven, expanding, chaotic."""
        return REGIMES[int(regime_index(self))]


REGIMES = ("silent", "fixed", "driven", "expanding", "chaotic")
"""Regimes of a network: no activity; a heterogeneous fixed point; driven by noise and stable; driven, with a
Jacobian that expands at every moment and yet no chaos; chaotic."""


def regime_index(state: Autocorrelation) -> Array:
    """Place in `REGIMES`, also for batches of results."""
    quiet = jnp.max(jnp.atleast_1d(state.noise), axis=-1) == 0
    active = jnp.max(jnp.atleast_1d(state.variance), axis=-1) > 0
    ordered = jnp.where(quiet, jnp.where(active, 1, 0), jnp.where(state.local_growth > 0, 3, 2))
    return jnp.where(state.lyapunov_exponent > 0, 4, ordered)


def autocorrelation(
    gain: Scalar | GainMatrix,
    *,
    noise: Scalar | Float[Array | np.ndarray, " P"] = 0.0,
    nonlinearity: object = "tanh",
    lags: object = None,
    max_lag: Scalar | None = None,
    num_nodes: int = NUM_NODES,
    tolerance: float | None = None,
) -> Autocorrelation:
    """Solve the stationary dynamic mean-field theory of ẋ = −x + J φ(x) + √(2 s₂) ξ(t) for N → ∞.

    Δ_p″ = Δ_p − Σ_q G_pq E[φ(a)φ(b)], (a, b) Gaussian with variance Δ_q(0) and covariance Δ_q(τ), and Δ_p′(0⁺) = −s₂_p.
    Below the transition without noise the state is silent (or, where φ(0) ≠ 0, a fixed point): this is what
    is returned then, with `regime` "silent" (or "fixed"). One population starts from the energy condition,
    several from a relaxation of the coupled profile; Newton's method on Legendre nodes follows. φ need not be
    odd; then Δ(∞) > 0, the variance of the units' time averages, is solved for too.

    Parameters
    ----------
    gain
        g, standard deviation of √N J of one population, or a `GainMatrix`.
    noise
        s₂ = σ², intensity of white noise, ⟨ξ(t)ξ(s)⟩ = δ(t − s): the variance of an unconnected unit. One number, or
        one per population.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`. A function of yours takes seconds, tanh and the other
        mixtures of error functions milliseconds.
    lags
        Lags to return, in units of τ; by default 257 from 0 to `max_lag`.
    max_lag
        End of the interval that is solved, 14 relaxation times by default.
    num_nodes
        Collocation nodes; 97 give 1e-12 up to g ≈ 10 and 1e-9 at g = 100.
    tolerance
        Largest last Newton step relative to the variance; 1e-10 in float64, 1e-4 in float32. Near the
        transition rounding alone limits it to about 1e-16 / κ².

    Returns
    -------
    Autocorrelation, differentiable (implicitly) in gain, fractions and noise. Under a transformation (jit, vmap)
    a network without stationary state gives NaN and `.converged` False instead of an error.

    Raises
    ------
    ValueError
        If gain or noise is negative, the interval is too short, the tolerance is below what the float type
        can reach, or the activity grows without bound.

    References
    ----------
    Sompolinsky, Crisanti & Sommers (1988), Chaos in random neural networks, Phys. Rev. Lett. 61, 259.
    Schuecker, Goedeke & Helias (2018), Optimal sequence memory in driven random networks, Phys. Rev. X 8, 041029.
    """
    phi = as_nonlinearity(nonlinearity)
    structure = as_structure(gain, noise)
    dtype = structure.total_gain.dtype
    accuracy = _checked_tolerance(tolerance, dtype)
    rule = lobatto_rule(check_integer("num_nodes", num_nodes, minimum=9))
    if max_lag is not None:
        check_scalar("max_lag", max_lag, minimum=0.0, strict=True)
    length = None if max_lag is None else jnp.asarray(max_lag, dtype)
    places = None if lags is None else _checked_lags(lags, dtype)
    solve = functools.partial(stationary_autocorrelation, phi, rule, structure)
    limit = jnp.asarray(accuracy, dtype)
    found = solve(length, places, limit)
    if max_lag is not None and not is_traced(found):
        _require_decay(solve(None, places, limit), max_lag)
    _require_solution(found, accuracy)
    return found if isinstance(gain, GainMatrix) else _of_one_population(found)


def as_structure(gain: Scalar | GainMatrix, noise: object) -> Structure:
    """Total gains and noise of every population, checked."""
    if isinstance(gain, GainMatrix):
        total_gain = gain.variance_gain
    else:
        check_scalar("gain", gain, minimum=0.0)
        total_gain = as_float(gain).reshape(1, 1) ** 2
    populations = total_gain.shape[0]
    intensity = jnp.asarray(noise).astype(total_gain.dtype)
    require(
        intensity.shape in {(), (populations,)},
        f"noise must be a number or have shape ({populations},), one per population; got shape {intensity.shape}",
    )
    check_finite("noise", intensity)
    if not is_traced(intensity):
        lowest = float(np.asarray(intensity).min())
        require(lowest >= 0, f"noise must be at least 0, got {lowest:g}")
    return Structure(total_gain, jnp.broadcast_to(intensity, (populations,)))


@functools.partial(jax.jit, static_argnums=0)
def stationary_autocorrelation(
    phi: Nonlinearity,
    rule: LobattoRule,
    structure: Structure,
    length: Float[Array, ""] | None,
    lags: Float[Array, " T"] | None,
    tolerance: Float[Array, ""],
) -> Autocorrelation:
    """`autocorrelation` after its checks, with a population axis throughout."""
    fixed, resting = _fixed_state(phi, structure)
    # where the network rests, a harmless problem stands in for the one that has no decaying solution
    safe = Structure(jnp.where(fixed, 0, structure.total_gain), jnp.where(fixed, 1, structure.noise))
    moving = _moving(phi, rule, safe, length, lags)
    slope2 = phi.slope_second_moment(jnp.where(fixed, resting, moving.variance))
    radius = spectral_radius(structure.total_gain * slope2)
    quiet_decay = jnp.sqrt(jnp.maximum(1 - radius, jnp.finfo(radius.dtype).eps))
    shown = moving.lags if length is not None or lags is not None else jnp.linspace(0, _REACH / quiet_decay, _LAGS)
    excess = moving.residual <= jnp.maximum(tolerance, 100 * jnp.finfo(radius.dtype).eps * moving.relaxation_time**2)
    converged = jnp.where(fixed, jnp.all(jnp.isfinite(resting)), moving.converged & excess)

    def chosen(at_rest: Array, in_motion: Array) -> Array:
        return jnp.where(fixed, at_rest, jnp.where(converged, in_motion, jnp.nan))

    return Autocorrelation(
        lags=jnp.where(fixed, shown, moving.lags),
        values=chosen(jnp.broadcast_to(resting, moving.values.shape), moving.values),
        variance=chosen(resting, moving.variance),
        static_variance=chosen(resting, moving.static_variance),
        noise=structure.noise,
        lyapunov_exponent=chosen(jnp.sqrt(radius) - 1, moving.lyapunov_exponent),
        local_growth=chosen(jnp.sqrt(radius) - 1, jnp.sqrt(radius) - 1),
        memory=chosen(radius, moving.memory),
        relaxation_time=chosen(1 / quiet_decay, moving.relaxation_time),
        residual=jnp.where(fixed, 0, moving.residual),
        converged=converged,
    )


def _fixed_state(phi: Nonlinearity, structure: Structure) -> tuple[Array, Array]:
    """Whether the network rests at a stable fixed point for want of noise, and its variance there."""
    quiet = jnp.zeros_like(structure.noise)
    resting = variance_from_above(structure.total_gain, quiet, phi)
    negligible = 1e3 * jnp.finfo(resting.dtype).eps * jnp.max(phi.second_moment(jnp.ones_like(resting)))
    resting = jnp.where(jnp.abs(resting) < negligible * jnp.max(structure.total_gain), 0, resting)
    stable = spectral_radius(structure.total_gain * phi.slope_second_moment(resting)) <= 1
    return jnp.all(structure.noise == 0) & stable, resting


def _moving(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, length: Array | None, lags: Array | None
) -> Autocorrelation:
    """The solution with a decaying autocorrelation: driven by noise, or chaotic."""
    length, guess, bounded = jax.lax.stop_gradient(_start(phi, rule, structure, length))
    unknowns, last_step = solve_profile(phi, rule, structure, length, guess)
    profile, variance, limit = unknowns[:-1], unknowns[0], unknowns[-1]
    memory = spectral_radius(memory_matrix(phi, structure, variance, limit))
    kappa = decay_rate(phi, structure, variance, limit)
    shown = jnp.linspace(0, length, _LAGS) if lags is None else lags
    scale = jnp.max(variance)
    within = (scale > 1e-3 * jnp.max(guess[0])) & (scale < 1e3 * jnp.max(guess[0]))
    decays = jnp.all(profile[-1] - limit <= 0.02 * scale) & jnp.all(profile - limit >= -1e-5 * scale)
    return Autocorrelation(
        lags=shown,
        values=_at(rule, unknowns, length, kappa, shown),
        variance=variance,
        static_variance=limit,
        noise=structure.noise,
        lyapunov_exponent=lyapunov_of_profile(phi, rule, structure, length, unknowns),
        local_growth=jnp.zeros_like(kappa),
        memory=memory,
        relaxation_time=1 / kappa,
        residual=last_step,
        converged=bounded & within & decays & (memory < 1) & jnp.isfinite(last_step),
    )


def _start(
    phi: Nonlinearity, rule: LobattoRule, structure: Structure, length: Array | None
) -> tuple[Array, Unknowns, Array]:
    """Length of the interval and a profile that Newton's method converges from."""
    populations = len(structure.noise)
    gain2 = spectral_radius(structure.total_gain)
    one = starting_variance(phi, gain2, jnp.mean(structure.noise))
    effective = Structure(gain2.reshape(1, 1), jnp.mean(structure.noise).reshape(1))
    kappa = _shown_rate(decay_rate(phi, effective, one.variance[None], one.limit[None]))
    reach = _REACH / kappa if length is None else length
    lags = jnp.asarray(rule.nodes + 1, reach.dtype) / 2 * reach
    # from rest the profile starts flat, pushed by noise it starts with a kink
    shape = jnp.where(effective.noise > 0, jnp.exp(-kappa * lags), 1 / jnp.cosh(kappa * lags))
    share = jnp.ones(1, reach.dtype) if populations == 1 else _shares(structure.total_gain)
    profile = one.limit + (one.variance - one.limit) * jnp.append(shape, 0)
    guess = profile[:, None] * share
    if populations == 1:
        return reach, guess, one.bounded
    guess = relax(phi, rule, structure, reach, guess, _RELAXATIONS)
    if length is None:
        kappa = _shown_rate(decay_rate(phi, structure, guess[0], guess[-1]))
        longer = _REACH / kappa
        moved = _at(rule, guess, reach, kappa, lags * (longer / reach))
        reach, guess = longer, jnp.concatenate([moved, guess[-1:]])
    return reach, guess, one.bounded


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


def _checked_tolerance(tolerance: float | None, dtype: Any) -> float:
    single = dtype == jnp.float32
    if tolerance is None:
        return 1e-4 if single else 1e-10
    check_scalar("tolerance", tolerance, minimum=0.0, strict=True)
    reachable = 100 * float(jnp.finfo(dtype).eps)
    hint = "; call jax.config.update('jax_enable_x64', True), or pass a float64 gain" if single else ""
    require(
        tolerance >= reachable, f"tolerance {tolerance:g} cannot be reached in {dtype}, at best {reachable:.1g}{hint}"
    )
    return float(tolerance)


def _checked_lags(lags: object, dtype: Any) -> Float[Array, " T"]:
    places = jnp.asarray(lags).astype(dtype)
    require(places.ndim == 1 and places.size > 0, f"lags must have shape (T,), got {places.shape}")
    check_finite("lags", places)
    if not is_traced(places):
        require(bool(np.asarray(places).min() >= 0), "lags must be at least 0")
    return places


def _require_decay(whole: Autocorrelation, max_lag: Scalar) -> None:
    """Refuse an interval at whose end the correlation has not decayed, as the solution on a long one tells."""
    active = bool(whole.converged) and float(np.max(np.asarray(whole.variance - whole.static_variance))) > 0
    needed = _SHORTEST * float(whole.relaxation_time)
    require(
        not active or float(max_lag) >= needed,
        f"max_lag {float(max_lag):g} is too short for the correlation to decay; it must be at least {needed:.3g}",
    )


def _require_solution(found: Autocorrelation, tolerance: float) -> None:
    """Refuse what is known (not traced) to be no solution."""
    if is_traced(found):
        return
    require(
        bool(found.converged),
        "the activity has no stationary state: the nonlinearity grows without bound and the gain is above its "
        f"threshold; or Newton's method failed (last step {float(found.residual):.1g}, tolerance {tolerance:g}), "
        "which more num_nodes may cure",
    )


def _of_one_population(found: Autocorrelation) -> Autocorrelation:
    names = ("variance", "static_variance", "noise", "values")
    return eqx.tree_at(
        lambda r: [getattr(r, name) for name in names], found, [getattr(found, name)[..., 0] for name in names]
    )
