"""Nonlinearities that are mixtures of error functions: erf, tanh, logistic. All moments are closed forms."""

import functools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_scalar

from ._mixture import kolmogorov_rule
from ._nonlinearity import Moments, Nonlinearity, TwoPointMoments
from ._quadrature import shifted_moment

_SHIFTED_NODES = 97  # poles at ±iπ/2 (tanh), ±iπ (logistic): relative error below 1e-13 at any mean and variance


class ErfMixture(Nonlinearity):
    """φ(x) = offset + amplitude · Σ_j w_j erf(x / (√2 v_j)), its moments exact for the sum.

    With A = Δ_a + v², B = Δ_b + w² and S = AB − C², one pair of components has

        E[erf erf] = (2/π) arcsin(C/√(AB)),   E[erf′ erf′] = (2/π) S^(−1/2),
        E[erf″ erf″] = (2/π) C S^(−3/2),      E[erf‴ erf′] = −(2/π) B S^(−3/2),
        E[erf″ erf] = −(2/π) C S^(−1/2) / A,

    the first factor at a. Written in Δ and V = Δ − C, S is a sum of positive terms, so that nothing cancels
    at |C| → Δ or Δ → 0, in float32 either.
    """

    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Scales v_j and weights w_j of the error functions, each (n,)."""
        raise NotImplementedError

    def tail_components(self) -> tuple[np.ndarray, np.ndarray]:
        """Components that keep their relative accuracy at a mean several units from zero, where φ saturates."""
        return self.components()

    @property
    def odd(self) -> bool:
        return self.offset == 0

    @property
    def amplitude(self) -> float:
        """Half the distance between the two asymptotes."""
        return 1.0

    @property
    def offset(self) -> float:
        """Value at zero."""
        return 0.0

    def mean(self, variance: Moments) -> Moments:
        return jnp.full_like(variance, self.offset)

    def mean_slope(self, variance: Moments) -> Moments:
        scales, weights = self.components()
        squares = jnp.asarray(scales**2, variance.dtype)
        factors = jnp.asarray(self.amplitude * np.sqrt(2 / np.pi) * weights, variance.dtype)
        return jnp.sum(factors / jnp.sqrt(variance[..., None] + squares), axis=-1)

    def second_moment(self, variance: Moments) -> Moments:
        pairs, variance = self._pairs(variance.dtype), variance[..., None]
        return self.offset**2 + pairs.sum(arctan(variance / jnp.sqrt(pairs.one_point(variance))))

    def second_moment_slope(self, variance: Moments) -> Moments:
        pairs, variance = self._pairs(variance.dtype), variance[..., None]
        one_point = pairs.one_point(variance)
        # of A w² + B v², with A = Δ + v² and B = Δ + w², half is one_point + v² w² shared out
        share = (one_point + pairs.product) / (2 * (one_point + variance**2))
        return pairs.sum(share / jnp.sqrt(one_point))

    def overlap(self, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
        scales, weights = self.components()
        squares = jnp.asarray(scales**2, jnp.result_type(variance_a, variance_b, covariance))
        factors = jnp.asarray(2 / np.pi * self.amplitude**2 * weights[:, None] * weights, squares.dtype)
        variance_a, variance_b, covariance = (x[..., None, None] for x in (variance_a, variance_b, covariance))
        rows, columns = squares[:, None], squares
        excess = variance_a * variance_b - covariance**2
        determinant = jnp.maximum(excess, 0) + variance_a * columns + variance_b * rows + rows * columns
        angle = arctan(covariance / jnp.sqrt(determinant))
        return self.offset**2 + jnp.tensordot(angle, factors, 2, precision=jax.lax.Precision.HIGHEST)

    def spread(self, variance: Moments, noise_variance: Moments) -> Moments:
        pairs = self._pairs(jnp.result_type(variance, noise_variance))
        variance, noise_variance = variance[..., None], noise_variance[..., None]
        covariance = variance - noise_variance
        one_point = pairs.one_point(variance)
        root_one = jnp.sqrt(one_point)
        root_two = jnp.sqrt(one_point + noise_variance * (variance + covariance))
        # arcsin(Δ/√AB) − arcsin(C/√AB) as twice the angle of a half, its sine a sum of positive terms
        sine = noise_variance * (variance * (variance + covariance) / (root_one + root_two) + root_one)
        cosine = root_one * root_two + variance * covariance
        return pairs.sum(2 * arctan(sine / (one_point + variance**2 + cosine)))

    def two_point(self, variance: Moments, noise_variance: Moments) -> TwoPointMoments:
        pairs = self._pairs(jnp.result_type(variance, noise_variance))
        variance, noise_variance = variance[..., None], noise_variance[..., None]
        covariance = variance - noise_variance
        one_point = pairs.one_point(variance)
        inverse_root = 1 / jnp.sqrt(one_point + noise_variance * (variance + covariance))
        cubed = inverse_root * inverse_root * inverse_root
        mean = variance + pairs.mean
        return TwoPointMoments(
            overlap=self.offset**2 + pairs.sum(arctan(covariance * inverse_root)),
            slope_overlap=pairs.sum(inverse_root),
            curvature_value=-pairs.sum(inverse_root * covariance * mean / (one_point + variance**2)),
            curvature_overlap=pairs.sum(cubed * covariance),
            slope_third=-pairs.sum(cubed * mean),
        )

    def spread_slope(self, variance: Moments, noise_variance: Moments) -> Moments:
        """Without cancellation.

        With A = (Δ + v²)(Δ + w²), s = A − Δ², S as above, and m, p the mean and the product of v² and w², a pair has
        V S^(−1/2) / A · {(Δm + p)(Δ + C) / (√s (√s + √S)) − (m + Δ)}.
        """
        pairs = self._pairs(jnp.result_type(variance, noise_variance))
        variance, noise_variance = variance[..., None], noise_variance[..., None]
        total = 2 * variance - noise_variance
        one_point = pairs.one_point(variance)
        root_one, root_two = jnp.sqrt(one_point), jnp.sqrt(one_point + noise_variance * total)
        gained = (variance * pairs.mean + pairs.product) * total / (root_one * (root_one + root_two))
        outside = noise_variance / (root_two * (one_point + variance**2))
        return pairs.sum(outside * (gained - pairs.mean - variance))

    def derivative_means(self, mean: Moments, variance: Moments, order: int) -> tuple[Moments, ...]:
        scales, weights = self.tail_components()
        mean, variance = jnp.broadcast_arrays(mean, variance)
        inverse_root = 1 / jnp.sqrt(variance[..., None] + jnp.asarray(scales**2, variance.dtype))
        place = mean[..., None] * inverse_root
        factors = jnp.asarray(self.amplitude * weights, variance.dtype)
        means = [self.offset + jnp.sum(factors * jax.lax.erf(place / math.sqrt(2)), axis=-1)]
        # the k-th derivative of erf(x/√2) is √(2/π) (−1)^(k−1) He_{k−1}(x) exp(−x²/2)
        term = factors * math.sqrt(2 / math.pi) * jnp.exp(-(place**2) / 2) * inverse_root
        before = jnp.zeros_like(term)
        for k in range(1, order + 1):
            means.append(jnp.sum(term, axis=-1))
            term, before = -inverse_root * (place * term + (k - 1) * inverse_root * before), term
        return tuple(means)

    def value_variance(self, mean: Moments, variance: Moments) -> Moments:
        return shifted_moment(self, _SHIFTED_NODES, 2, *jnp.broadcast_arrays(mean, variance))

    def value_third_cumulant(self, mean: Moments, variance: Moments) -> Moments:
        return shifted_moment(self, _SHIFTED_NODES, 3, *jnp.broadcast_arrays(mean, variance))

    def value_fourth_moment(self, mean: Moments, variance: Moments) -> Moments:
        return shifted_moment(self, _SHIFTED_NODES, 4, *jnp.broadcast_arrays(mean, variance))

    def _pairs(self, dtype: jnp.dtype) -> "_Pairs":
        """Unordered pairs of components."""
        scales, weights = self.components()
        row, column = np.triu_indices(len(scales))
        multiplicity = np.where(row == column, 1.0, 2.0)
        weight = 2 / np.pi * self.amplitude**2 * multiplicity * weights[row] * weights[column]
        squares = scales**2
        mean, product = (squares[row] + squares[column]) / 2, squares[row] * squares[column]
        return _Pairs(*(jnp.asarray(x, dtype) for x in (weight, mean, product)))


class _Pairs(NamedTuple):
    """Weight, mean and product of the squared scales v², w² of pairs of components."""

    weight: jax.Array
    mean: jax.Array
    product: jax.Array

    def sum(self, terms: Moments) -> Moments:
        """Weighted sum over the pairs, the last axis: as a product, which compilers do fast."""
        return jnp.matmul(terms, self.weight, precision=jax.lax.Precision.HIGHEST)

    def one_point(self, variance: Moments) -> Moments:
        """(Δ + v²)(Δ + w²) − Δ², without cancellation."""
        return 2 * variance * self.mean + self.product


class Erf(ErfMixture):
    """φ(x) = erf(√π s x / 2), of slope s at the origin, by default 1."""

    slope: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        check_scalar("slope", self.slope, minimum=0.0, strict=True)

    def __call__(self, x: Moments) -> Moments:
        return jax.lax.erf(x * (self.slope * math.sqrt(math.pi) / 2))

    def components(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([np.sqrt(2 / np.pi) / self.slope]), np.array([1.0])


class _Kolmogorov(ErfMixture):
    """A mixture by Kolmogorov's law: relative error of its moments 1e-14 with 16 nodes, 1e-9 with 8.

    With fewer than 16 the moments over shifted variables are coarse as well, to 1e-4 at variances around 1.
    """

    num_nodes: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        check_integer("num_nodes", self.num_nodes, minimum=2, maximum=64)

    @property
    def num_points(self) -> tuple[int, int]:
        return super().num_points if self.num_nodes >= 16 else (17, 21)


class Tanh(_Kolmogorov):
    """φ(x) = tanh(x)."""

    def __call__(self, x: Moments) -> Moments:
        return jnp.tanh(x)

    def components(self) -> tuple[np.ndarray, np.ndarray]:
        return kolmogorov_rule(self.num_nodes)

    def tail_components(self) -> tuple[np.ndarray, np.ndarray]:
        return kolmogorov_rule(2 * self.num_nodes)


class Logistic(_Kolmogorov):
    """φ(x) = 1 / (1 + e^(−x)) = ½ + ½ tanh(x/2)."""

    def __call__(self, x: Moments) -> Moments:
        return jax.nn.sigmoid(x)

    def components(self) -> tuple[np.ndarray, np.ndarray]:
        return _doubled(*kolmogorov_rule(self.num_nodes))

    def tail_components(self) -> tuple[np.ndarray, np.ndarray]:
        return _doubled(*kolmogorov_rule(2 * self.num_nodes))

    @property
    def amplitude(self) -> float:
        return 0.5

    @property
    def offset(self) -> float:
        return 0.5


def _doubled(scales: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 2 * scales, weights


_TERMS = 11  # of the Chebyshev series: the first one left out is 1e-17 of the angle


@jax.custom_jvp
def arctan(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    r"""The inverse tangent, to rounding; several times as fast as `jax.numpy.arctan` in float64 on a CPU.

    .. math::
        \arctan x = 2 \arctan \frac{x}{1 + \sqrt{1 + x^2}}

    twice, which leaves at most tan(π/8), and a Chebyshev series there. Derivatives of every order are those of
    1/(1 + x²). The square of x must be a finite number, so |x| up to 1e154, in float32 up to 1e19.
    """
    tangent = x
    for _ in range(2):
        tangent /= 1 + jnp.sqrt(1 + tangent * tangent)
    return 4 * tangent * jnp.polyval(jnp.asarray(_coefficients(), x.dtype), tangent * tangent)


@arctan.defjvp
def _arctan_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (change,) = primals, tangents
    return arctan(x), change / (1 + x * x)


@functools.cache
def _coefficients() -> tuple[float, ...]:
    """Of arctan(t)/t in powers of t², highest first, on |t| ≤ tan(π/8).

    From arctan(t) = 2 Σ_n (−1)^n q^(2n+1) / (2n+1) T_{2n+1}(t / tan(π/8)), q = tan(π/16).
    """
    order = 2 * np.arange(_TERMS) + 1
    chebyshev = np.zeros(2 * _TERMS)
    chebyshev[order] = 2 * (-1.0) ** np.arange(_TERMS) * math.tan(math.pi / 16) ** order / order
    powers = np.polynomial.chebyshev.cheb2poly(chebyshev)[order] / math.tan(math.pi / 8) ** order
    return tuple(powers[::-1].tolist())
