"""Nonlinearities with corners or none: identity and threshold-linear, with closed-form moments."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from fisherjax._errors import check_scalar

from ._nonlinearity import Moments, Nonlinearity
from ._piecewise import PiecewiseSmooth

_ANGLES, _ANGLE_WEIGHTS = np.polynomial.legendre.leggauss(96)

# of (sin ϑ − ϑ cos ϑ)/ϑ³ in powers of ϑ², highest first: (−1)^k (2k + 2)/(2k + 3)!
_SINE_GAP = tuple((-1) ** k * (2 * k + 2) / math.factorial(2 * k + 3) for k in range(7, -1, -1))


class Identity(Nonlinearity):
    """φ(x) = x."""

    @property
    def odd(self) -> bool:
        return True

    def points(self, mean: Moments, variance: Moments) -> tuple[Moments, Moments]:
        # Gauss's rule: exact for what is a polynomial
        nodes, weights = np.polynomial.hermite_e.hermegauss(6)
        spread = jnp.sqrt(variance)[..., None] * jnp.asarray(nodes, variance.dtype)
        return mean[..., None] + spread, jnp.asarray(weights / np.sqrt(2 * np.pi), variance.dtype)

    def __call__(self, x: Moments) -> Moments:
        return x

    def mean(self, variance: Moments) -> Moments:
        return jnp.zeros_like(variance)

    def mean_slope(self, variance: Moments) -> Moments:
        return jnp.ones_like(variance)

    def second_moment(self, variance: Moments) -> Moments:
        return variance

    def overlap(self, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
        return covariance + 0 * (variance_a + variance_b)

    def spread(self, variance: Moments, noise_variance: Moments) -> Moments:
        return noise_variance + 0 * variance

    def derivative_means(self, mean: Moments, variance: Moments, order: int) -> tuple[Moments, ...]:
        mean = mean + 0 * variance
        constants = [jnp.ones_like(mean), *[jnp.zeros_like(mean)] * (order - 1)]
        return tuple([mean, *constants][: order + 1])

    def value_variance(self, mean: Moments, variance: Moments) -> Moments:
        return variance + 0 * mean

    def value_third_cumulant(self, mean: Moments, variance: Moments) -> Moments:
        return 0 * (mean + variance)

    def value_fourth_moment(self, mean: Moments, variance: Moments) -> Moments:
        return 3 * variance**2 + 0 * mean


class ThresholdLinear(Nonlinearity):
    """φ(x) = max(x − threshold, 0); the rectified linear unit at threshold 0.

    The pair moment follows from Plackett's identity, ∂² E[φφ] / ∂C² = density of (a, b) at the corner,
    integrated twice over the angle t with C = √(Δ_a Δ_b) sin t (Gauss–Legendre, 96 nodes).

    References
    ----------
    Plackett (1954), A reduction formula for normal multivariate integrals, Biometrika 41, 351–360.
    """

    threshold: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        check_scalar("threshold", self.threshold)

    def __call__(self, x: Moments) -> Moments:
        return jnp.maximum(x - self.threshold, 0)

    def mean(self, variance: Moments) -> Moments:
        return _ramp(-jnp.full_like(variance, self.threshold), variance)

    def mean_slope(self, variance: Moments) -> Moments:
        return _step(-jnp.full_like(variance, self.threshold), variance)

    def second_moment(self, variance: Moments) -> Moments:
        below = -jnp.full_like(variance, self.threshold)
        return below * _ramp(below, variance) + variance * _step(below, variance)

    def slope_second_moment(self, variance: Moments) -> Moments:
        return self.mean_slope(variance)

    def slope_square(self, mean: Moments, variance: Moments) -> Moments:
        return self.derivative_means(mean, variance, 1)[1]

    def overlap(self, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
        return _ramp_overlap(self.threshold, *jnp.broadcast_arrays(variance_a, variance_b, covariance))

    def spread(self, variance: Moments, noise_variance: Moments) -> Moments:
        if self.threshold:
            return self._by_pieces.spread(variance, noise_variance)
        return _ramp_spread(*jnp.broadcast_arrays(variance, noise_variance))

    @property
    def _by_pieces(self) -> PiecewiseSmooth:
        return PiecewiseSmooth(self, tuple(sorted({(0.0, 1.0), (self.threshold, 1.0)})), (self.threshold,))

    def derivative_means(self, mean: Moments, variance: Moments, order: int) -> tuple[Moments, ...]:
        above, variance = jnp.broadcast_arrays(mean - self.threshold, variance)
        means = [_ramp(above, variance), _step(above, variance)]
        inverse_root = jnp.where(variance > 0, 1 / jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)
        place = above * inverse_root
        term, before = norm.pdf(place) * inverse_root, jnp.zeros_like(place)
        for k in range(2, order + 1):
            means.append(term)
            term, before = -inverse_root * (place * term + (k - 2) * inverse_root * before), term
        return tuple(means[: order + 1])

    def value_variance(self, mean: Moments, variance: Moments) -> Moments:
        above, variance = jnp.broadcast_arrays(mean - self.threshold, variance)
        safe = jnp.where(variance > 0, variance, 1)
        place = above / jnp.sqrt(safe)
        # as `abs`, whose slope at the corner itself would be zero
        distance = jnp.where(place > 0, place, -place)
        tail = norm.cdf(-distance)
        spill = norm.pdf(distance) - distance * tail
        # E[φ²] − E[φ]² from whichever side is the smaller, so that neither leaves a difference of large numbers
        share = jnp.where(place > 0, 1 - tail, tail) - distance * spill - spill**2
        return jnp.where(variance > 0, variance * share, 0)

    def value_third_cumulant(self, mean: Moments, variance: Moments) -> Moments:
        above, variance = jnp.broadcast_arrays(mean - self.threshold, variance)
        positive = variance > 0
        deviation = jnp.sqrt(jnp.where(positive, variance, 1))
        # eight deviations from the corner the cumulant is below rounding
        place = jnp.clip(above / deviation, -8, 8)
        step, density = norm.cdf(place), norm.pdf(place)
        first, second = place * step + density, (place**2 + 1) * step + place * density
        third = (place**3 + 3 * place) * step + (place**2 + 2) * density
        return jnp.where(positive, deviation**3 * (third - 3 * first * second + 2 * first**3), 0)

    def value_fourth_moment(self, mean: Moments, variance: Moments) -> Moments:
        above, variance = jnp.broadcast_arrays(mean - self.threshold, variance)
        safe = jnp.where(variance > 0, variance, 1)
        place = above / jnp.sqrt(safe)
        distance = jnp.where(place > 0, place, -place)
        tail, density = norm.cdf(-distance), norm.pdf(distance)
        # E[s^k] of the ramp s on the side where it is small, so that nothing large cancels
        first = density - distance * tail
        second = (distance**2 + 1) * tail - distance * density
        third = (distance**2 + 2) * density - (distance**3 + 3 * distance) * tail
        fourth = (distance**4 + 6 * distance**2 + 3) * tail - (distance**3 + 5 * distance) * density
        ramp = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
        # on the other side φ = x + s, with E[z^j s^k] = (−1)^j E[(distance + s)^j s^k] where s > 0
        once, twice = -(distance * first + second), -(distance * second + third)
        thrice = -(distance * third + fourth)
        squared = distance**2 * second + 2 * distance * third + fourth
        squared_once = distance**2 * first + 2 * distance * second + third
        cubed_once = -(distance**3 * first + 3 * distance**2 * second + 3 * distance * third + fourth)
        mixed = 4 * cubed_once + 6 * (squared - 2 * first * squared_once + first**2)
        mixed += 4 * (thrice - 3 * first * twice + 3 * first**2 * once)
        return jnp.where(variance > 0, variance**2 * jnp.where(place > 0, 3 + mixed + ramp, ramp), 0)


def _ramp_spread(variance: Moments, noise_variance: Moments) -> Moments:
    """Δ/2 − E[φφ] of max(x, 0), written in the angle ϑ of the pair, cos ϑ = C/Δ, without a difference at small ϑ.

    E[φφ] = Δ/(2π) (sin ϑ + (π − ϑ) cos ϑ), so that what is left is Δ/(2π) {π (1 − cos ϑ) − (sin ϑ − ϑ cos ϑ)}.
    """
    safe = jnp.where(variance > 0, variance, 1)
    share = jnp.clip(noise_variance / safe, 0, 2)  # 1 − cos ϑ
    inside = (share > 0) & (share < 2)
    angle = 2 * jnp.arcsin(jnp.sqrt(jnp.where(inside, share, 1) / 2))
    angle = jnp.where(inside, angle, jnp.where(share > 0, np.pi, 0))
    small = angle < 0.5
    square = jnp.where(small, angle, 0) ** 2
    series = jnp.where(small, angle, 0) ** 3 * jnp.polyval(jnp.asarray(_SINE_GAP, square.dtype), square)
    wide = jnp.where(small, 1, angle)
    gap = jnp.where(small, series, jnp.sin(wide) - wide * jnp.cos(wide))
    return jnp.where(variance > 0, variance * (share / 2 - gap / (2 * np.pi)), 0)


def _density(x: Moments, variance: Moments) -> Moments:
    """Density of N(0, variance) at x; at zero variance a point mass, infinite at zero."""
    safe = jnp.where(variance > 0, variance, 1)
    point = jnp.where(x == 0, jnp.inf, 0).astype(x.dtype)
    return jnp.where(variance > 0, norm.pdf(x / jnp.sqrt(safe)) / jnp.sqrt(safe), point)


def _step(mean: Moments, variance: Moments) -> Moments:
    """P(x > 0) for x ~ N(mean, variance)."""
    safe = jnp.where(variance > 0, variance, 1)
    return jnp.where(variance > 0, norm.cdf(mean / jnp.sqrt(safe)), jnp.heaviside(mean, jnp.asarray(0.5, mean.dtype)))


def _ramp(mean: Moments, variance: Moments) -> Moments:
    """E[max(x, 0)] for x ~ N(mean, variance)."""
    safe = jnp.where(variance > 0, variance, 1)
    spill = jnp.where(variance > 0, jnp.sqrt(safe) * norm.pdf(mean / jnp.sqrt(safe)), 0)
    return mean * _step(mean, variance) + spill


def _corner_integral(
    threshold: float, power: int, variance_a: Moments, variance_b: Moments, covariance: Moments
) -> Moments:
    """∫ (C − c)^power · (density of the pair at the corner, covariance c) dc from 0 to C."""
    scale = jnp.sqrt(variance_a * variance_b)
    safe_scale = jnp.where(scale > 0, scale, 1)
    top = jnp.arcsin(jnp.clip(covariance / safe_scale, -1, 1))[..., None]
    nodes = jnp.asarray((_ANGLES + 1) / 2, top.dtype)
    weights = jnp.asarray(_ANGLE_WEIGHTS / 2, top.dtype)
    sine, cosine = jnp.sin(top * nodes), jnp.cos(top * nodes)
    a, b = jnp.sqrt(variance_a)[..., None], jnp.sqrt(variance_b)[..., None]
    # written as squares so that it stays exact where the two variances agree and cos t → 0
    gap = (a - b) ** 2 / cosine**2 + 2 * a * b / (1 + sine)
    safe = jnp.where(scale > 0, variance_a * variance_b, 1)[..., None]
    corner = jnp.exp(-(threshold**2) / 2 * gap / safe) if threshold else jnp.ones_like(sine)
    lever = (covariance[..., None] - scale[..., None] * sine) ** power
    return jnp.sum(top * weights * lever * corner, axis=-1) / (2 * np.pi)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _ramp_overlap(threshold: float, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
    below = -jnp.full_like(covariance, threshold)
    independent = _ramp(below, variance_a) * _ramp(below, variance_b)
    linear = covariance * _step(below, variance_a) * _step(below, variance_b)
    return independent + linear + _corner_integral(threshold, 1, variance_a, variance_b, covariance)


@_ramp_overlap.defjvp
def _ramp_overlap_jvp(threshold, primals, tangents):
    return _ramp_overlap(threshold, *primals), _price_tangent(_step_overlap, _kink_ramp, threshold, primals, tangents)


def _price_tangent(by_covariance, by_variance, threshold, primals, tangents):
    """Price's theorem: ∂_C by moments of both slopes, ∂_{Δ_a} and ∂_{Δ_b} by half of those of one curvature."""
    variance_a, variance_b, covariance = primals
    return (
        by_covariance(threshold, *primals) * tangents[2]
        + 0.5 * by_variance(threshold, variance_a, variance_b, covariance) * tangents[0]
        + 0.5 * by_variance(threshold, variance_b, variance_a, covariance) * tangents[1]
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _step_overlap(threshold: float, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
    """P(a > threshold, b > threshold)."""
    below = -jnp.full_like(covariance, threshold)
    independent = _step(below, variance_a) * _step(below, variance_b)
    return independent + _corner_integral(threshold, 0, variance_a, variance_b, covariance)


@_step_overlap.defjvp
def _step_overlap_jvp(threshold, primals, tangents):
    return _step_overlap(threshold, *primals), _price_tangent(
        _kink_kink, _kink_slope_step, threshold, primals, tangents
    )


def _conditional(
    threshold: float, variance_a: Moments, variance_b: Moments, covariance: Moments
) -> tuple[Moments, Moments]:
    """Mean (above the threshold) and variance of b given a at the threshold."""
    safe = jnp.where(variance_a > 0, variance_a, 1)
    slope = covariance / safe
    return threshold * (slope - 1), jnp.maximum(variance_b - slope * covariance, 0)


def _kink_ramp(threshold: float, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
    """E[δ(a − threshold) φ(b)]."""
    corner = jnp.full_like(variance_a, threshold)
    return _density(corner, variance_a) * _ramp(*_conditional(threshold, variance_a, variance_b, covariance))


def _kink_kink(threshold: float, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
    """Density of the pair at the corner."""
    corner = jnp.full_like(variance_a, threshold)
    return _density(corner, variance_a) * _density(*_conditional(threshold, variance_a, variance_b, covariance))


def _kink_slope_step(threshold: float, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
    """E[δ′(a − threshold) φ′(b)] = −d/dy [density of a at y · P(b > threshold | a = y)]."""
    corner = jnp.full_like(variance_a, threshold)
    safe = jnp.where(variance_a > 0, variance_a, 1)
    mean, variance = _conditional(threshold, variance_a, variance_b, covariance)
    return _density(corner, variance_a) * (
        corner / safe * _step(mean, variance) - covariance / safe * _density(mean, variance)
    )
