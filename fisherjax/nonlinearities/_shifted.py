"""Moments of a function of one Gaussian variable with any mean, by a graded trapezoid rule.

Derivatives in mean and variance are taken through x = mean + √variance z at fixed z, which is exact for any
positive variance. At variance 0 the derivative in the variance is given as 0.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ._nonlinearity import Moments

_REACH = 9.0  # standard deviations; the tail beyond holds 1e-19 of the mass
_SMALLEST = 1e-3  # standard deviation below which nodes stay where they are, to divide by it safely


@functools.cache
def derivative(function: Callable[[jax.Array], jax.Array], order: int) -> Callable[[jax.Array], jax.Array]:
    """The derivative of the given order of an elementwise function, itself elementwise."""
    if order == 0:
        return function
    lower = derivative(function, order - 1)
    return lambda x: jax.jvp(lower, (x,), (jnp.ones_like(x),))[1]


def shifted_mean(function: Callable, num_nodes: int, order: int, mean: Moments, variance: Moments) -> Moments:
    """E[φ^(order)(x)] for x ~ N(mean, variance)."""
    points, weights = _points(num_nodes, mean, variance)
    return jnp.sum(weights * derivative(function, order)(points), axis=-1)


def shifted_cumulant(function: Callable, num_nodes: int, order: int, mean: Moments, variance: Moments) -> Moments:
    """Central moment E[(φ(x) − Eφ)^order] for x ~ N(mean, variance): the cumulant of order 2 or 3."""
    points, weights = _points(num_nodes, mean, variance)
    values = function(points)
    centered = values - jnp.sum(weights * values, axis=-1, keepdims=True)
    return jnp.sum(weights * centered**order, axis=-1)


def _points(num_nodes: int, mean: Moments, variance: Moments) -> tuple[jax.Array, jax.Array]:
    """Points x = mean + √variance z (…, n), differentiable at fixed z, and weights of E over them."""
    z, weights = _nodes(num_nodes, *(jax.lax.stop_gradient(part) for part in (mean, variance)))
    positive = variance > 0
    deviation = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)
    return mean[..., None] + deviation[..., None] * z, weights


def _nodes(num_nodes: int, mean: Moments, variance: Moments) -> tuple[jax.Array, jax.Array]:
    """Nodes z (…, n) and weights of E over N(0, 1), dense where mean + √variance z is near the origin."""
    mean, scale = mean[..., None], jnp.maximum(jnp.sqrt(variance), _SMALLEST)[..., None]
    low, high = jnp.arcsinh(mean - _REACH * scale), jnp.arcsinh(mean + _REACH * scale)
    unit = jnp.asarray(np.linspace(0, 1, num_nodes), scale.dtype)
    place = low + (high - low) * unit
    z = (jnp.sinh(place) - mean) / scale
    weights = jnp.cosh(place) * jnp.exp(-(z**2) / 2)
    # normalized: exact for constants, so that the mean of a saturated function is right to the last digit
    return z, weights / jnp.sum(weights, axis=-1, keepdims=True)
