"""Stationary state of the population theory, differentiated implicitly; where it becomes chaotic, and its regimes."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax import _theory
from fisherjax._errors import check_not_negative, is_traced
from fisherjax._linalg import spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._theory import as_structure, fixed_point, variance_from_above
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike


class StationaryState(Record):
    """Fixed point of the variance Δ and of the overlap C of two replicas, per population.

    `overlap` is the branch reached from independent replicas (C = 0), `overlap_from_identical` the one
    reached from identical replicas (C = Δ). Where they differ, two replicas of one network with the same
    weights remember whether they started alike.
    """

    variance: Float[Array, " P"]
    overlap: Float[Array, " P"]
    noise_variance: Float[Array, " P"]
    overlap_from_identical: Float[Array, " P"]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]
    """False where the iteration did not settle, for instance where a linear network diverges."""

    @property
    def bistable(self) -> Bool[Array, ""]:
        """Whether the two branches of the overlap differ."""
        scale = jnp.max(self.variance)
        return jnp.max(jnp.abs(self.overlap - self.overlap_from_identical)) > 1e-6 * scale


@full_precision
def stationary_state(
    gain_matrix: GainMatrix, *, noise_std: Scalar, nonlinearity: NonlinearityLike = "tanh"
) -> StationaryState:
    """Solve Δ = σ² + G E[φ²] and C = G E[φ(a)φ(b)] for their stationary values.

    The variance is reached from above, so that at σ = 0 an active state is preferred to the silent
    one. Plain iteration comes first, then Newton steps; derivatives are by the implicit function theorem.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    noise_std
        σ, at least 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Returns
    -------
    StationaryState, differentiable in the gains, the fractions and σ. Check `.converged`: an unbounded
    nonlinearity above its threshold has no stationary state.

    Raises
    ------
    ValueError
        If `noise_std` is negative.
    """
    phi = as_nonlinearity(nonlinearity)
    check_not_negative(noise_std=noise_std)
    structure = as_structure(check_gain_matrix(gain_matrix), noise_std)
    return solve_stationary(structure.total_gain, structure.intensity[0], phi)


@jax.jit(static_argnums=2)
def solve_stationary(total_gain: Array, noise: Array, phi: Nonlinearity) -> StationaryState:
    variance = variance_from_above(total_gain, noise, phi)

    def overlap_map(noise_variance: Array, args: tuple[Array, Array, Array]) -> Array:
        gain, sigma2, delta = args
        return sigma2 + gain @ phi.spread(delta, noise_variance)

    arguments = (total_gain, noise, variance)
    noise_variance = fixed_point(overlap_map, variance, arguments)
    from_identical = variance - fixed_point(overlap_map, jnp.zeros_like(variance), arguments)
    residual = jnp.max(jnp.abs(variance - noise - total_gain @ phi.second_moment(variance)))
    residual += jnp.max(jnp.abs(noise_variance - overlap_map(noise_variance, arguments)))
    scale = jnp.max(variance) + noise
    eps = float(jnp.finfo(residual.dtype).eps)
    # without noise the silent state is approached, and reached to rounding of what an active one would be
    least = jnp.where(jnp.max(noise) > 0, 1e-12, max(1e-12, 1e3 * eps)).astype(residual.dtype)
    tolerance = 1e3 * eps * jnp.maximum(scale, least)
    # Newton may land on the negative variance that a linear network above threshold has for a root; without noise
    # that root is the silent state, which rounding may put below zero (at the transition, where it is double, far)
    slack = jnp.where(jnp.max(noise) > 0, tolerance, eps**0.5)
    physical = jnp.all(variance >= -slack) & jnp.all(noise_variance >= -slack)
    converged = jnp.isfinite(residual) & (residual <= tolerance) & physical
    overlap = variance - noise_variance
    return StationaryState(variance, overlap, noise_variance, from_identical, residual, converged)


def require_convergence(state: StationaryState, what: str) -> None:
    """Refuse to go on from a state that is known (not traced) not to have settled."""
    if is_traced(state.converged) or bool(state.converged):
        return
    raise ValueError(
        f"{what} needs a stationary state, and the variance does not settle (residual {float(state.residual):.3g}): "
        "the nonlinearity grows without bound and the gain is above its threshold; lower the gains"
    )


@jax.jit(static_argnums=2)
def growth_rate(gain_matrix: GainMatrix, variance: Array, phi: Nonlinearity) -> Array:
    """½ ln ρ(G ∘ E[φ′²]), the growth rate of an infinitesimal perturbation."""
    # of gains relative to the largest, whose squares neither overflow nor vanish
    largest = jnp.max(gain_matrix.gains)
    relative = gain_matrix.gains / jnp.where(largest > 0, largest, 1)
    radius = spectral_radius(relative**2 * gain_matrix.fractions * phi.slope_second_moment(variance))
    return jnp.log(radius) / 2 + jnp.where(largest > 0, jnp.log(jnp.where(largest > 0, largest, 1)), -jnp.inf)


@full_precision
def lyapunov_exponent(
    gain_matrix: GainMatrix, *, noise_std: Scalar, nonlinearity: NonlinearityLike = "tanh"
) -> Float[Array, ""]:
    """Largest Lyapunov exponent of the discrete-time network, per step: λ = ½ ln ρ(G ∘ E[φ′_q²]); −∞ without weights.

    Under a transformation (jit, vmap) a network without stationary state gives NaN instead of an error.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    noise_std
        σ, at least 0; the same noise drives both neighboring trajectories.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Raises
    ------
    ValueError
        If the network has no stationary state.

    References
    ----------
    Molgedey, Schuchhardt & Schuster (1992), Suppressing chaos in neural networks by noise,
    Phys. Rev. Lett. 69, 3717.
    """
    phi = as_nonlinearity(nonlinearity)
    state = stationary_state(gain_matrix, noise_std=noise_std, nonlinearity=phi)
    require_convergence(state, "the Lyapunov exponent")
    return jnp.where(state.converged, growth_rate(gain_matrix, state.variance, phi), jnp.nan)


_WIDEST = 9.2  # range of log gain that is searched


@full_precision
def critical_gain(
    *, noise_std: Scalar, nonlinearity: NonlinearityLike = "tanh", gain_matrix: GainMatrix | None = None
) -> Float[Array, ""]:
    """Gain at which x(t+1) = J φ(x(t)) + σ ξ(t) becomes chaotic: λ(g_c) = 0, λ = ½ ln ρ(G ∘ E[φ′²]).

    The gains of `gain_matrix` are scaled by one factor, which is returned. For continuous time see
    `dmft.critical_gain`.

    Parameters
    ----------
    noise_std
        σ ≥ 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure to scale; one population of gain 1 by default, so that the factor is the gain.

    Returns
    -------
    Scalar, differentiable in the noise and in the structure. NaN where there is no such gain: for a nonlinearity
    whose activity grows without bound first, or that never becomes chaotic within 10⁴ + 10⁴ σ times the gain below
    which no network can; a RuntimeWarning says so.

    Raises
    ------
    ValueError
        If `noise_std` is negative.
    """
    phi = as_nonlinearity(nonlinearity)
    shape = _theory.structure_or_one(gain_matrix)
    check_not_negative(noise_std=noise_std)
    return _theory.warn_if_missing(_critical(shape, _theory.as_structure(shape, noise_std).noise_std[0], phi))


@jax.jit(static_argnums=2)
def _critical(shape: GainMatrix, sigma: Array, phi: Nonlinearity) -> Float[Array, ""]:
    def growth(log_factor: Array, parameters: tuple[GainMatrix, Array]) -> Array:
        structure, sigma = parameters
        scaled = GainMatrix(structure.gains * jnp.exp(log_factor), structure.fractions)
        return growth_rate(scaled, _theory.variance_from_above(scaled.variance_gain, sigma**2, phi), phi)

    lower = _theory.ordered_below(phi, shape.variance_gain)
    critical = _theory.crossing(growth, (shape, sigma), lower, lower + _WIDEST + jnp.log1p(sigma))
    return _theory.unless_silent(phi, shape.variance_gain, sigma, critical)


@full_precision
def phase_diagram(
    gains: ArrayLike,
    noise_stds: ArrayLike,
    *,
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
    progress: bool = False,
) -> _theory.PhaseDiagram:
    """Stationary states of x(t+1) = J φ(x(t)) + σ ξ(t) on a grid of gains and noise levels, a row of gains at a time.

    As `stationary_state` and `lyapunov_exponent` have them; local expansion and chaos are the same here.

    Parameters
    ----------
    gains
        g (n,), at least 0.
    noise_stds
        σ (m,), at least 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure whose gains are multiplied by `gains`; one population of gain 1 by default.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    TypeError, ValueError
        If a grid is not one-dimensional, not finite or negative.
    """
    phi = as_nonlinearity(nonlinearity)
    return _theory.diagram(functools.partial(_row, phi), gains, noise_stds, gain_matrix, progress=progress)


@jax.jit(static_argnums=0)
def _row(phi: Nonlinearity, total_gain: Array, gains: Array, noise_std: Array) -> _theory.Point:
    intensity = noise_std**2

    def point(gain: Array) -> _theory.Point:
        scaled = total_gain * gain**2
        state = solve_stationary(scaled, intensity, phi)
        # the gain apart: its square may leave the float range
        slopes = total_gain * phi.slope_second_moment(state.variance)
        exponent = jnp.log(gain) + jnp.log(spectral_radius(slopes)) / 2
        pair = phi.two_point(state.variance, state.noise_variance)
        memory = spectral_radius(scaled * pair.slope_overlap)
        active = jnp.max(state.variance) > 1e3 * jnp.finfo(intensity.dtype).eps
        ordered = jnp.where(intensity > 0, 2, jnp.where(active, 1, 0))
        known = (exponent, exponent, memory, -1 / jnp.log(memory))
        kept = [jnp.where(state.converged, value, jnp.nan) for value in (state.variance, *known)]
        return _theory.Point(*kept, regime=jnp.where(exponent > 0, 4, ordered), converged=state.converged)

    return jax.vmap(point)(gains)
