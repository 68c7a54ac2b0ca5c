"""Clouds of points: what only depends on differences between them, and their dimension."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from fisherjax._arrays import as_real, host_real
from fisherjax._errors import is_traced, require


def less_first(name: str, value: Any, *axes: str, dtype: Any = None) -> Float[Array, "*batch S N"]:
    """States of which only differences count; from the host less the first of them, taken off before the cast.

    So float64 data keep small differences where JAX computes in float32.
    """
    if isinstance(value, jax.Array) or is_traced(value):
        return as_real(name, value, *axes, dtype=dtype)
    array = host_real(name, value, *axes)
    return as_real(name, array - array[..., :1, :], dtype=dtype)


@jax.jit
def magnitude(states: Float[Array, "*batch S N"]) -> Float[Array, "*batch 1 1"]:
    """A power of two near the largest number of each cloud, to divide by before taking squares: nothing is rounded.

    A constant to the derivative.
    """
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(states), axis=(-2, -1), keepdims=True, initial=0))
    return jnp.where(top > 0, jnp.ldexp(jnp.ones_like(top), jnp.frexp(top)[1] - 1), 1)


def participation_ratio(states: Shaped[Array | np.ndarray, "*batch S N"]) -> Float[Array, "*batch"]:
    """Dimension of a cloud of states, (Σ λ)²/Σ λ² of the eigenvalues of their covariance.

    Between 1 (a line) and min(S − 1, N); 0 where all states are the same.

    Raises
    ------
    ValueError
        If there are fewer than two states, or one is not finite.
    TypeError
        If they are not real numbers.
    """
    array = less_first("states", states, "... stimuli units")
    require(array.shape[-2] >= 2, f"states must have shape (…, S ≥ 2, N), got {array.shape}")
    array = array - array[..., :1, :]
    array = array / magnitude(array)
    if array.shape[-2] > array.shape[-1]:
        # the covariance has the same eigenvalues and is the smaller of the two
        array = jnp.swapaxes(array - jnp.mean(array, axis=-2, keepdims=True), -1, -2)
        return dimension_of_gram(_products(array))
    return dimension_of_gram(centered_gram(array))


def dimension_of_gram(gram: Float[Array, "*batch S S"]) -> Float[Array, "*batch"]:
    """Participation ratio from the scalar products of centered states, whose traces are Σλ and Σλ²."""
    trace = jnp.trace(gram, axis1=-2, axis2=-1)
    there = trace > 0
    # divided by the trace first: the squares of small products would vanish
    share = gram / jnp.where(there, trace, 1)[..., None, None]
    return jnp.where(there, 1 / jnp.where(there, jnp.sum(share**2, axis=(-2, -1)), 1), 0)


def centered_gram(states: Float[Array, "*batch S N"]) -> Float[Array, "*batch S S"]:
    """Scalar products of all pairs of states less their mean."""
    return _products(states - jnp.mean(states, axis=-2, keepdims=True))


def _products(rows: Float[Array, "*batch S N"]) -> Float[Array, "*batch S S"]:
    return jnp.einsum("...in,...jn->...ij", rows, rows, precision=jax.lax.Precision.HIGHEST)
