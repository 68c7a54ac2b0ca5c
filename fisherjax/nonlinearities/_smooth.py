"""Gaussian moments of any smooth function, by quadrature whose derivatives are exact.

Derivatives never pass through the nodes: Price's theorem turns them into moments of derivatives of the
function, which the same quadrature computes. So they are exact wherever the moments are, and finite at
|C| → Δ and Δ → 0, where a parametrization by √(1 − ρ²) has none.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._errors import check_callable, check_integer

from ._nonlinearity import Moments, Nonlinearity, TwoPointMoments
from ._quadrature import shifted_mean, shifted_moment, shifted_points
from ._regularity import REACH, derivative, is_odd, regularity

_GRADED_NODES = 241


class SmoothFunction(Nonlinearity):
    """A user's smooth function φ, its Gaussian moments by trapezoid rules.

    The pair moment is E_m[(E_d φ(m+d))²] with m ~ N(0, C), d ~ N(0, Δ − C). The outer rule is graded
    (spacing grows away from the origin), so one-point moments hold for variances up to 10⁴ if φ varies
    near the origin only; the inner rule is uniform and resolves features of size one while
    √(Δ − C) ≲ `num_nodes` / 60: relative error 1e-10 up to Δ − C = 100 with the default.

    Parameters
    ----------
    function
        Elementwise, smooth, differentiable by JAX four times.
    num_nodes
        Nodes of the inner rule; cost grows in proportion.
    """

    function: Callable[[jax.Array], jax.Array] = eqx.field(static=True)
    num_nodes: int = eqx.field(static=True, default=641)

    def __check_init__(self) -> None:
        check_callable("nonlinearity", self.function)
        check_integer("num_nodes", self.num_nodes, minimum=9)
        seen = regularity(self.function)
        if seen is not None and not seen.smooth:
            steepest = min(seen.breaks, key=lambda placed: placed[1])[0]
            what = f"has a kink at {seen.kinks[0]:.6g}" if seen.kinks else f"is steep at {steepest:.6g}"
            raise ValueError(
                f"nonlinearity must be smooth for SmoothFunction, but it {what}; give the function itself for the "
                "nonlinearity, which is then integrated piece by piece"
            )

    def __call__(self, x: Moments) -> Moments:
        return self.function(x)

    @property
    def largest_variance(self) -> float:
        """Features of size one are resolved up to here by the inner rule."""
        return min(1e4, (self.num_nodes / 60) ** 2)

    @property
    def odd(self) -> bool:
        return is_odd(self.function)

    def points(self, mean: Moments, variance: Moments) -> tuple[Moments, Moments]:
        return shifted_points(_GRADED_NODES, mean, variance)

    def mean(self, variance: Moments) -> Moments:
        return _one_point(self.function, (0,), variance)

    def mean_slope(self, variance: Moments) -> Moments:
        return _one_point(self.function, (1,), variance)

    def second_moment(self, variance: Moments) -> Moments:
        return _one_point(self.function, (0, 0), variance)

    def second_moment_slope(self, variance: Moments) -> Moments:
        slopes = _one_point(self.function, (1, 1), variance)
        return slopes + _one_point(self.function, (0, 2), variance)

    def slope_second_moment(self, variance: Moments) -> Moments:
        return _one_point(self.function, (1, 1), variance)

    def overlap(self, variance_a: Moments, variance_b: Moments, covariance: Moments) -> Moments:
        arguments = jnp.broadcast_arrays(variance_a, variance_b, covariance)
        return _pair(self.function, self.num_nodes, 0, 0, *arguments)

    def spread(self, variance: Moments, noise_variance: Moments) -> Moments:
        arguments = jnp.broadcast_arrays(variance, noise_variance)
        return _spread(self.function, self.num_nodes, 0, 0, *arguments)

    def two_point(self, variance: Moments, noise_variance: Moments) -> TwoPointMoments:
        variance, covariance = jnp.broadcast_arrays(variance, variance - noise_variance)
        orders = ((0, 0), (1, 1), (2, 0), (2, 2), (1, 3))
        moments = [_pair(self.function, self.num_nodes, i, j, variance, variance, covariance) for i, j in orders]
        return TwoPointMoments(*moments)

    def derivative_means(self, mean: Moments, variance: Moments, order: int) -> tuple[Moments, ...]:
        mean, variance = jnp.broadcast_arrays(mean, variance)
        return tuple(shifted_mean(self.function, _GRADED_NODES, k, mean, variance) for k in range(order + 1))

    def value_variance(self, mean: Moments, variance: Moments) -> Moments:
        return shifted_moment(self.function, _GRADED_NODES, 2, *jnp.broadcast_arrays(mean, variance))

    def value_third_cumulant(self, mean: Moments, variance: Moments) -> Moments:
        return shifted_moment(self.function, _GRADED_NODES, 3, *jnp.broadcast_arrays(mean, variance))

    def value_fourth_moment(self, mean: Moments, variance: Moments) -> Moments:
        return shifted_moment(self.function, _GRADED_NODES, 4, *jnp.broadcast_arrays(mean, variance))


def _graded_nodes(scale: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nodes z and weights (..., n) of E over N(0, 1), spaced so that scale · z is dense at the origin."""
    scale = jnp.maximum(scale, 1e-3)[..., None]
    unit = jnp.asarray(np.linspace(-1, 1, _GRADED_NODES), scale.dtype)
    top = jnp.arcsinh(REACH * scale)
    nodes = jnp.sinh(top * unit) / scale
    jacobian = top * jnp.cosh(top * unit) / scale * (2 / (_GRADED_NODES - 1))
    return nodes, jacobian * jnp.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)


def _uniform_nodes(num_nodes: int, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
    nodes = np.linspace(-REACH, REACH, num_nodes)
    weights = np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi) * (2 * REACH / (num_nodes - 1))
    return jnp.asarray(nodes, dtype), jnp.asarray(weights, dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _one_point(function: Callable, orders: tuple[int, ...], variance: Moments) -> Moments:
    """E[Π φ^(order)(x)] over x ~ N(0, variance)."""
    deviation = jnp.sqrt(variance)
    nodes, weights = _graded_nodes(deviation)
    x = deviation[..., None] * nodes
    for order in orders:
        weights = weights * derivative(function, order)(x)
    return jnp.sum(weights, axis=-1)


@_one_point.defjvp
def _one_point_jvp(function, orders, primals, tangents):
    (variance,) = primals
    half_laplacian = sum(
        0.5 * _one_point(function, tuple(order + (k == i) + (k == j) for k, order in enumerate(orders)), variance)
        for i in range(len(orders))
        for j in range(len(orders))
    )
    return _one_point(function, orders, variance), half_laplacian * tangents[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _pair(
    function: Callable, num_nodes: int, i: int, j: int, variance_a: Moments, variance_b: Moments, covariance: Moments
) -> Moments:
    """E[φ^(i)(a) φ^(j)(b)], conditional on the part common to a and b."""
    common_a, common_b, sign, private_a, private_b = split_pair(variance_a, variance_b, covariance)
    outer, outer_weights = _graded_nodes(jnp.maximum(common_a, common_b))
    inner, inner_weights = _uniform_nodes(num_nodes, outer.dtype)

    def conditional_mean(order: int, common: jax.Array, private: jax.Array) -> jax.Array:
        x = (common[..., None] * outer)[..., None] + private[..., None, None] * inner
        return jnp.sum(derivative(function, order)(x) * inner_weights, axis=-1)

    means = conditional_mean(i, common_a, private_a) * conditional_mean(j, sign * common_b, private_b)
    return jnp.sum(outer_weights * means, axis=-1)


@_pair.defjvp
def _pair_jvp(function, num_nodes, i, j, primals, tangents):
    moment = functools.partial(_pair, function, num_nodes)
    tangent = (
        0.5 * moment(i + 2, j, *primals) * tangents[0]
        + 0.5 * moment(i, j + 2, *primals) * tangents[1]
        + moment(i + 1, j + 1, *primals) * tangents[2]
    )
    return moment(i, j, *primals), tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _spread(function: Callable, num_nodes: int, i: int, j: int, variance: Moments, noise_variance: Moments) -> Moments:
    """E[f(x) h(x)] − E[f(a) h(b)] at covariance Δ − V, as the mean of a conditional covariance."""
    common, _, sign, private, _ = split_equal(variance, noise_variance)
    outer, outer_weights = _graded_nodes(common)
    inner, inner_weights = _uniform_nodes(num_nodes, outer.dtype)
    center = (common[..., None] * outer)[..., None]
    offset = private[..., None, None] * inner
    f, h = derivative(function, i), derivative(function, j)
    first, second = f(center + offset), h(center + offset)
    first_mean = jnp.sum(first * inner_weights, axis=-1, keepdims=True)
    second_mean = jnp.sum(second * inner_weights, axis=-1, keepdims=True)
    inside = jnp.sum((first - first_mean) * (second - second_mean) * inner_weights, axis=-1)
    mirrored = jnp.sum(h(sign[..., None, None] * center + offset) * inner_weights, axis=-1, keepdims=True)
    across = first_mean * (second_mean - mirrored)
    return jnp.sum(outer_weights * (inside + across[..., 0]), axis=-1)


@_spread.defjvp
def _spread_jvp(function, num_nodes, i, j, primals, tangents):
    variance, noise_variance = primals
    moment = functools.partial(_spread, function, num_nodes)
    by_variance = 0.5 * moment(i + 2, j, *primals) + moment(i + 1, j + 1, *primals) + 0.5 * moment(i, j + 2, *primals)
    by_noise = _pair(function, num_nodes, i + 1, j + 1, variance, variance, variance - noise_variance)
    return moment(i, j, *primals), by_variance * tangents[0] + by_noise * tangents[1]


class Split(NamedTuple):
    """Standard deviations of the parts that a pair shares and has to itself, and the sign of its correlation."""

    common_a: jax.Array
    common_b: jax.Array
    sign: jax.Array
    private_a: jax.Array
    private_b: jax.Array


def split_pair(variance_a: Moments, variance_b: Moments, covariance: Moments) -> Split:
    """The parts of a pair of any variances."""
    product = jnp.sqrt(variance_a * variance_b)
    correlation = jnp.clip(covariance / jnp.where(product > 0, product, 1), -1, 1)
    shared = jnp.sqrt(jnp.abs(correlation))
    private = jnp.sqrt(1 - jnp.abs(correlation))
    deviation_a, deviation_b = jnp.sqrt(variance_a), jnp.sqrt(variance_b)
    sign = jnp.where(correlation < 0, -1, 1).astype(shared.dtype)
    return Split(deviation_a * shared, deviation_b * shared, sign, deviation_a * private, deviation_b * private)


def split_equal(variance: Moments, noise_variance: Moments) -> Split:
    """The parts of a pair of variances Δ and covariance Δ − V: the private variance is V, to its own rounding."""
    covariance = variance - noise_variance
    sign = jnp.where(covariance < 0, -1, 1).astype(covariance.dtype)
    common = jnp.sqrt(jnp.abs(covariance))
    private = jnp.sqrt(jnp.maximum(jnp.where(covariance < 0, variance + covariance, noise_variance), 0))
    return Split(common, common, sign, private, private)
