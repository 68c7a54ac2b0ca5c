"""Quadrature over N(mean, variance) for functions that vary near the origin: a trapezoid rule graded towards it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ._regularity import REACH, derivative

Array = jax.Array

_HALF_REACH = 8.25  # standard deviations; the tail beyond holds 1e-12 of a fourth moment
_SMALLEST = 1e-3  # standard deviation below which nodes stay where they are, to divide by it safely


def shifted_mean(function: Callable, num_nodes: int, order: int, mean: Array, variance: Array) -> Array:
    """E[φ^(order)(x)] for x ~ N(mean, variance)."""
    points, weights = shifted_points(num_nodes, mean, variance)
    return jnp.sum(weights * derivative(function, order)(points), axis=-1)


def shifted_moment(function: Callable, num_nodes: int, order: int, mean: Array, variance: Array) -> Array:
    """Central moment E[(φ(x) − Eφ)^order] for x ~ N(mean, variance)."""
    points, weights = shifted_points(num_nodes, mean, variance)
    values = function(points)
    centered = values - jnp.sum(weights * values, axis=-1, keepdims=True)
    return jnp.sum(weights * centered**order, axis=-1)


def shifted_points(num_nodes: int, mean: Array, variance: Array) -> tuple[jax.Array, jax.Array]:
    """Points x = mean + √variance z (…, n) and weights of E over them, by a trapezoid rule graded towards the origin.

    Derivatives are taken at fixed z, which is exact for any positive variance; that in a variance of 0 is given as 0.
    """
    z, weights = graded_nodes(num_nodes, *(jax.lax.stop_gradient(part) for part in (mean, variance)))
    positive = variance > 0
    deviation = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)
    return mean[..., None] + deviation[..., None] * z, weights


def graded_nodes(num_nodes: int, mean: Array, variance: Array, width: Array | None = None) -> tuple[Array, Array]:
    """Nodes z (…, n) and weights of E over N(0, 1), dense where mean + √variance z is within `width` (1) of 0."""
    near = 1.0 if width is None else width[..., None]
    mean, scale = mean[..., None], jnp.maximum(jnp.sqrt(variance), _SMALLEST)[..., None]
    low, high = (jnp.arcsinh((mean + side * REACH * scale) / near) for side in (-1, 1))
    unit = jnp.asarray(np.linspace(0, 1, num_nodes), scale.dtype)
    place = low + (high - low) * unit
    # sinh and cosh of one exponential
    grown = jnp.exp(place)
    shrunk = 1 / grown
    z = (near * (grown - shrunk) / 2 - mean) / scale
    weights = (grown + shrunk) * jnp.exp(-(z**2) / 2)
    # normalized: exact for constants, so that the mean of a saturated function is right to the last digit
    return z, weights / jnp.sum(weights, axis=-1, keepdims=True)


def half_points(num_nodes: int, variance: Array, width: Array) -> tuple[jax.Array, jax.Array]:
    """Points z ≥ 0 and weights (…, n) of E over N(0, 1), for even functions of √variance z that vary within `width`."""
    width, scale = width[..., None], jnp.maximum(jnp.sqrt(variance), _SMALLEST)[..., None]
    unit = jnp.asarray(np.linspace(0, 1, num_nodes), scale.dtype)
    place = jnp.arcsinh(_HALF_REACH * scale / width) * unit
    z = width * jnp.sinh(place) / scale
    weights = jnp.cosh(place) * jnp.exp(-(z**2) / 2)
    # half of a rule that is symmetric about the origin
    weights = jnp.where(unit == 0, weights / 2, weights)
    return z, weights / jnp.sum(weights, axis=-1, keepdims=True)
