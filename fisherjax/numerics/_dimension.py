"""Dimension of a cloud of points."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import require


def participation_ratio(states: Float[Array | np.ndarray, "*batch S N"]) -> Float[Array, "*batch"]:
    """Dimension of a cloud of states, (Σ λ)²/Σ λ² of the eigenvalues of their covariance.

    Between 1 (a line) and min(S − 1, N).

    Raises
    ------
    ValueError
        If there are fewer than two states.
    """
    array = jnp.asarray(states)
    require(array.ndim >= 2 and array.shape[-2] >= 2, f"states must have shape (…, S ≥ 2, N), got {array.shape}")
    if array.shape[-2] > array.shape[-1]:
        # the covariance has the same eigenvalues and is the smaller of the two
        array = jnp.swapaxes(array - jnp.mean(array, axis=-2, keepdims=True), -1, -2)
        return dimension_of_gram(_products(array))
    return dimension_of_gram(centred_gram(array))


def dimension_of_gram(gram: Float[Array, "*batch S S"]) -> Float[Array, "*batch"]:
    """Participation ratio from the scalar products of centred states, whose traces are Σλ and Σλ²."""
    trace = jnp.trace(gram, axis1=-2, axis2=-1)
    square = jnp.sum(gram**2, axis=(-2, -1))
    return jnp.where(square > 0, trace**2 / jnp.where(square > 0, square, 1), 0)


def centred_gram(states: Float[Array, "*batch S N"]) -> Float[Array, "*batch S S"]:
    """Scalar products of all pairs of states less their mean."""
    return _products(states - jnp.mean(states, axis=-2, keepdims=True))


def _products(rows: Float[Array, "*batch S N"]) -> Float[Array, "*batch S S"]:
    return jnp.einsum("...in,...jn->...ij", rows, rows, precision=jax.lax.Precision.HIGHEST)
