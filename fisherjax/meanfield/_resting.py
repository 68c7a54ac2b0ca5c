"""Fixed points of the order parameters, differentiated implicitly, and how fast what disturbs them grows."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fisherjax._arrays import as_real
from fisherjax._linalg import spectral_radius
from fisherjax._theory import as_structure, fixed_point, largest_variance, variance_from_above
from fisherjax._types import ArrayLike, Record
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._conditional import Kind, ResponseMoments, SlopeMoments, conditional_moments


class Resting(NamedTuple):
    """A structure and what enters it all the time; None for what it has not, which costs nothing."""

    total_gain: Float[Array, "P P"]
    noise: Float[Array, " P"]  # σ²
    mean_gain: Float[Array, "P P"] | None = None
    bias: Float[Array, " P"] | None = None
    frozen: Float[Array, " P"] | None = None  # β²

    @property
    def has_means(self) -> bool:
        """Whether the state may have a mean."""
        return self.mean_gain is not None or self.bias is not None

    @property
    def entering(self) -> Float[Array, " P"]:
        """σ² + β²."""
        return self.noise if self.frozen is None else self.noise + self.frozen


def as_resting(
    gain_matrix: GainMatrix, noise_std: Any, bias: ArrayLike | None = None, bias_std: ArrayLike | None = None
) -> Resting:
    """A structure and what enters it all the time, checked.

    Raises
    ------
    TypeError, ValueError
        If a shape does not fit, or a spread is negative.
    """
    check_gain_matrix(gain_matrix, means=True)
    structure = as_structure(gain_matrix, noise_std, means=True)
    count, dtype = gain_matrix.num_populations, structure.total_gain.dtype

    def each(name: str, value: ArrayLike | None, minimum: float | None = None) -> Array | None:
        if value is None:
            return None
        return jnp.broadcast_to(as_real(name, value, "", str(count), dtype=dtype, minimum=minimum), (count,))

    spread = each("bias_std", bias_std, 0.0)
    return Resting(
        structure.total_gain,
        structure.intensity,
        None if gain_matrix.centered else gain_matrix.mean_gain,
        each("bias", bias),
        None if spread is None else spread**2,
    )


class StationaryState(Record):
    """Fixed point of the order parameters, per population.

    `overlap` is the branch reached from independent replicas (C = 0), `overlap_from_identical` the one
    reached from identical replicas (V = 0). Where they differ, two replicas of one network with the same
    weights remember whether they started alike.
    """

    mean: Float[Array, " P"]
    """μ, mean of the state over units and noise"""
    variance: Float[Array, " P"]
    """Δ, its second moment"""
    overlap: Float[Array, " P"]
    """Δ − V, mean square of what a unit's noise averages to"""
    noise_variance: Float[Array, " P"]
    """V"""
    overlap_from_identical: Float[Array, " P"]
    growth: Float[Array, ""]
    """Factor by which a small change of the means and variances grows per step, in the long run."""
    residual: Float[Array, ""]
    converged: Bool[Array, ""]
    """False where the iteration did not settle, for instance where a linear network diverges."""

    @property
    def bistable(self) -> Bool[Array, ""]:
        """Whether the two branches of the overlap differ."""
        scale = jnp.max(self.variance)
        return jnp.max(jnp.abs(self.overlap - self.overlap_from_identical)) > 1e-6 * scale

    @property
    def stable(self) -> Bool[Array, ""]:
        """Whether means and variances stay: else activity leaves, for another state or into an oscillation."""
        return self.growth < 1


class Start(NamedTuple):
    """Where to begin: at means and a spread about them."""

    mean: Float[Array, " P"]
    spread: Float[Array, " P"]


@jax.jit(static_argnames=("phi", "settle"))
def solve_stationary(
    resting: Resting, phi: Nonlinearity, start: Start | None = None, *, settle: bool = True
) -> StationaryState:
    """The state that iteration from a start leads to; with `settle` off, the one that Newton's method finds from it."""
    total_gain, noise = resting.total_gain, resting.noise
    if resting.has_means:
        mean, spread, growth, missed = _settled(resting, phi, start, settle=settle)
    else:
        spread = variance_from_above(total_gain, resting.entering, phi)
        mean = jnp.zeros_like(spread)
        growth = spectral_radius(total_gain * phi.second_moment_slope(spread))
        missed = jnp.max(jnp.abs(spread - resting.entering - total_gain @ phi.second_moment(spread)))

    def noise_map(noise_variance: Array, args: tuple[Array, Array, Array, Array]) -> Array:
        gain, sigma2, average, delta = args
        if not resting.has_means:
            return sigma2 + gain @ phi.spread(delta, noise_variance)
        return sigma2 + gain @ sent_noise(phi, average, jnp.maximum(delta - noise_variance, 0), noise_variance)

    arguments = (total_gain, noise, mean, spread)
    noise_variance = fixed_point(noise_map, spread, arguments)
    least_noise = fixed_point(noise_map, jnp.zeros_like(spread), arguments)
    residual = missed + jnp.max(jnp.abs(noise_variance - noise_map(noise_variance, arguments)))
    variance = spread + mean**2
    scale = jnp.max(variance) + jnp.max(noise)
    eps = float(jnp.finfo(residual.dtype).eps)
    # without noise the silent state is approached, and reached to rounding of what an active one would be
    least = jnp.where(jnp.max(noise) > 0, 1e-12, max(1e-12, 1e3 * eps)).astype(residual.dtype)
    tolerance = 1e3 * eps * jnp.maximum(scale, least)
    # Newton may land on the negative variance that a linear network above threshold has for a root; without noise
    # that root is the silent state, which rounding may put below zero (at the transition, where it is double, far)
    slack = jnp.where(jnp.max(noise) > 0, tolerance, eps**0.5)
    physical = jnp.all(spread >= -slack) & jnp.all(noise_variance >= -slack)
    converged = jnp.isfinite(residual) & (residual <= tolerance) & physical
    overlaps = (variance - noise_variance, variance - least_noise)
    return StationaryState(mean, variance, overlaps[0], noise_variance, overlaps[1], growth, residual, converged)


def _settled(
    resting: Resting, phi: Nonlinearity, start: Start | None, *, settle: bool
) -> tuple[Array, Array, Array, Array]:
    """μ and the spread of a state about it; the growth of a small change of both; what the iteration misses by."""

    def one_step(point: Array, resting: Resting) -> Array:
        mean, spread = point
        value = phi.derivative_means(mean, spread, 0)[0]
        following = jnp.zeros_like(mean)
        if resting.mean_gain is not None:
            following += resting.mean_gain @ value
        if resting.bias is not None:
            following += resting.bias
        second = phi.value_variance(mean, spread) + value**2
        return jnp.stack([following, resting.entering + resting.total_gain @ second])

    if start is None:
        spread = largest_variance(resting.total_gain, resting.entering, phi)
        start = Start(jnp.zeros_like(spread), spread)
    # half steps: an oscillation about a state ends at it
    point = fixed_point(one_step, jnp.stack(start), resting, share=0.5, num_steps=_HALF_STEPS if settle else 0)
    slopes = jax.jacfwd(one_step)(point, resting)
    growth = spectral_radius(slopes.reshape(point.size, point.size))
    return *point, growth, jnp.max(jnp.abs(point - one_step(point, resting)))


_HALF_STEPS = 120


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def sent_noise(phi: Nonlinearity, mean: Array, overlap: Array, noise_variance: Array) -> Float[Array, " P"]:
    """⟨Var(φ | m)⟩ over m ~ N(mean, overlap), x ~ N(m, noise_variance)."""
    weights, stacked = _over_field(ResponseMoments, phi, mean, overlap, noise_variance)
    return jnp.sum(weights * ResponseMoments(*stacked).variance, axis=-1)


@sent_noise.defjvp
def _sent_noise_jvp(phi, primals, tangents):
    """In the overlap half the mean of the second derivative, which is there at C = 0 where that of √C is not."""
    weights, stacked = _over_field(ResponseMoments, phi, *primals)
    moments = ResponseMoments(*stacked)

    def average(terms: Array) -> Array:
        return jnp.sum(weights * terms, axis=-1)

    by_variance = average(moments.by_variance)
    by_overlap = by_variance - average(moments.slope**2)
    slopes = (average(moments.by_mean), by_overlap, by_variance)
    return average(moments.variance), sum(slope * tangent for slope, tangent in zip(slopes, tangents, strict=True))


def _over_field(
    kind: Kind, phi: Nonlinearity, mean: Array, overlap: Array, noise_variance: Array
) -> tuple[Float[Array, "P n"], Float[Array, "moments P n"]]:
    """Weights and moments of a kind over the nodes of m."""
    z, weights = phi.field_points(mean, overlap, jnp.sqrt(1 + noise_variance))
    active = overlap > 0
    root = jnp.where(active, jnp.sqrt(jnp.where(active, overlap, 1)), 0)
    field = mean[:, None] + root[:, None] * z
    return weights, conditional_moments(kind, phi, field, noise_variance[:, None])


def slope_overlap(resting: Resting, phi: Nonlinearity, state: StationaryState) -> Float[Array, " P"]:
    """κ = ⟨a²⟩, the overlap of the slopes of two replicas."""
    if not resting.has_means:
        return phi.two_point(state.variance, state.noise_variance).slope_overlap
    spread = jnp.maximum(state.overlap - state.mean**2, 0)
    weights, stacked = _over_field(SlopeMoments, phi, state.mean, spread, state.noise_variance)
    return jnp.sum(weights * SlopeMoments(*stacked).slope ** 2, axis=-1)


def slope_second_moment(resting: Resting, phi: Nonlinearity, state: StationaryState) -> Float[Array, " P"]:
    """⟨φ′²⟩."""
    if not resting.has_means:
        return phi.slope_second_moment(state.variance)
    return phi.slope_square(state.mean, state.variance - state.mean**2)
