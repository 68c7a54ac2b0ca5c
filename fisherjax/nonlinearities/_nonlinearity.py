"""What a nonlinearity must offer: its values, and its Gaussian moments with exact derivatives."""

import abc
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._quadrature import graded_nodes, half_points, shifted_points
from ._regularity import derivative

Moments = Float[Array, "..."]

_NODES = 65  # of conditional moments: 1e-12 up to variances of 100, where poles are at ±iπ/2 (tanh), ±iπ (logistic)
_HALF_NODES = 73  # over the field: 1e-10 up to gains of 6, 1e-9 up to 10


class TwoPointMoments(NamedTuple):
    """Moments of φ over a zero-mean Gaussian pair (a, b) with equal variances Δ and covariance C."""

    overlap: Moments  # E[φ(a) φ(b)]
    slope_overlap: Moments  # E[φ′(a) φ′(b)]
    curvature_value: Moments  # E[φ″(a) φ(b)]
    curvature_overlap: Moments  # E[φ″(a) φ″(b)]
    slope_third: Moments  # E[φ′(a) φ‴(b)]


class Nonlinearity(eqx.Module):
    """A scalar function φ applied to every unit, with the Gaussian moments that mean-field theory needs.

    Subclasses provide the abstract methods; each must be differentiable to second order in its
    arguments, because by Price's theorem those derivatives *are* the moments of φ′, φ″ and φ‴:
    ∂_C E[f(a) h(b)] = E[f′(a) h′(b)] and ∂_{Δa} E[f(a) h(b)] = ½ E[f″(a) h(b)].
    All methods are elementwise over arrays that broadcast. Moments are about a mean of zero unless one is given.
    """

    @abc.abstractmethod
    def __call__(self, x: Moments) -> Moments:
        """Values φ(x)."""

    @abc.abstractmethod
    def mean(self, variance: Moments) -> Moments:
        """E[φ(x)] for x ~ N(0, variance)."""

    @abc.abstractmethod
    def mean_slope(self, variance: Moments) -> Moments:
        """E[φ′(x)] for x ~ N(0, variance)."""

    @abc.abstractmethod
    def second_moment(self, variance: Moments) -> Moments:
        """E[φ(x)²] for x ~ N(0, variance)."""

    @abc.abstractmethod
    def overlap(self, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
        """E[φ(a) φ(b)] for a zero-mean Gaussian pair with the given second moments."""

    @abc.abstractmethod
    def derivative_means(self, mean: Moments, variance: Moments, order: int) -> tuple[Moments, ...]:
        """E[φ^(k)(x)] for x ~ N(mean, variance) and k = 0 … order; Hermite coefficients over variance^(k/2)."""

    @abc.abstractmethod
    def value_variance(self, mean: Moments, variance: Moments) -> Moments:
        """Var φ(x) for x ~ N(mean, variance), accurate for a small variance."""

    @abc.abstractmethod
    def value_third_cumulant(self, mean: Moments, variance: Moments) -> Moments:
        """E[(φ(x) − Eφ)³] for x ~ N(mean, variance)."""

    @abc.abstractmethod
    def value_fourth_moment(self, mean: Moments, variance: Moments) -> Moments:
        """E[(φ(x) − Eφ)⁴] for x ~ N(mean, variance)."""

    def spread(self, variance: Moments, noise_variance: Moments) -> Moments:
        """E[φ(x)²] − E[φ(a) φ(b)] for variances Δ and covariance Δ − V, accurate for small V."""
        return self.second_moment(variance) - self.overlap(variance, variance, variance - noise_variance)

    def slope_second_moment(self, variance: Moments) -> Moments:
        """E[φ′(x)²] for x ~ N(0, variance)."""
        return self.two_point(variance, jnp.zeros_like(variance)).slope_overlap

    def slope_square(self, mean: Moments, variance: Moments) -> Moments:
        """E[φ′(x)²] for x ~ N(mean, variance)."""
        points, weights = self.points(mean, variance)
        return jnp.sum(weights * derivative(self, 1)(points) ** 2, axis=-1)

    def second_moment_slope(self, variance: Moments) -> Moments:
        """D E[φ(x)²] / dΔ = E[φ′² + φ φ″]."""
        return jax.jvp(self.second_moment, (variance,), (jnp.ones_like(variance),))[1]

    @property
    def odd(self) -> bool:
        """Whether φ(−x) = −φ(x)."""
        return False

    @property
    def num_points(self) -> tuple[int, int]:
        """How many points `points` and `half_points` have."""
        return _NODES, _HALF_NODES

    def points(self, mean: Moments, variance: Moments) -> tuple[Moments, Moments]:
        """Points and weights (…, n) of E over N(mean, variance), for smooth functions of φ and its derivatives."""
        return shifted_points(self.num_points[0], mean, variance)

    def half_points(self, variance: Moments, width: Moments) -> tuple[Moments, Moments]:
        """Points z ≥ 0 and weights (…, n) of E over N(0, 1), for even functions of m = √variance z.

        The functions are moments of φ, φ′ … over N(m, width² − 1) and smooth combinations of them.
        """
        return half_points(self.num_points[1], *jax.lax.stop_gradient((variance, width)))

    def field_points(self, mean: Moments, variance: Moments, width: Moments) -> tuple[Moments, Moments]:
        """Points z and weights (…, n) of E over N(0, 1), for such functions of m = mean + √variance z of any parity."""
        return graded_nodes(2 * self.num_points[1] - 1, *jax.lax.stop_gradient((mean, variance, width)))

    @property
    def largest_variance(self) -> float:
        """Up to which variance the moments hold; by default as far as the float type reaches."""
        return math.inf

    def spread_slope(self, variance: Moments, noise_variance: Moments) -> Moments:
        """d/dΔ of `spread` while V = Δ − C stays: E[φ′² + φφ″] − E[φ′(a) φ′(b)] − E[φ″(a) φ(b)]."""
        pair = self.two_point(variance, noise_variance)
        return self.second_moment_slope(variance) - pair.slope_overlap - pair.curvature_value

    def two_point(self, variance: Moments, noise_variance: Moments) -> TwoPointMoments:
        """Moments of φ, φ′, φ″ and φ‴ over a pair with variances Δ and covariance Δ − V."""
        variance, noise_variance = jnp.broadcast_arrays(variance, noise_variance)
        covariance, one = variance - noise_variance, jnp.ones_like(variance)

        def overlap_and_slope(variance_a: Moments, covariance: Moments) -> tuple[Moments, Moments]:
            return jax.jvp(lambda c: self.overlap(variance_a, variance, c), (covariance,), (one,))

        (overlap, slope), (_, curvature) = jax.jvp(lambda c: overlap_and_slope(variance, c), (covariance,), (one,))
        _, (half_value, half_third) = jax.jvp(lambda v: overlap_and_slope(v, covariance), (variance,), (one,))
        return TwoPointMoments(overlap, slope, 2 * half_value, curvature, 2 * half_third)
