"""The changes of an image that a response shows most and least."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_callable, check_key, float_output_of, require
from fisherjax._linalg import largest_symmetric
from fisherjax._runtime import full_precision
from fisherjax._types import Key, Record


class Eigendistortion(Record):
    """The change of an image that a response shows most, or least.

    Parameters
    ----------
    direction
        Of unit norm, (height, width, colors) or of a movie (T, height, width, colors).
    information
        ‖J direction‖²: Fisher information about its amplitude under unit noise on every response.
    """

    direction: Float[np.ndarray, "*T height width colors"]
    information: float


@full_precision
def eigendistortions(
    response: Callable[[Any], Array], image: Float[Array | np.ndarray, "*T height width colors"], *, key: Key
) -> tuple[Eigendistortion, Eigendistortion]:
    """Most and least noticeable distortion of an image: extreme eigenvectors of JᵀJ, J the slope of the response.

    By Lanczos's method on products with J and Jᵀ; nothing of the size pixels × pixels is formed. Where there are more
    pixels than responses, the least noticeable one cannot be seen at all and is one of many.

    Parameters
    ----------
    response
        From an image (height, width, colors) to a vector, differentiable; for instance the network itself, or means
        of an area. Or from a movie, with time first.
    image
        Where: an image, or a movie (T, height, width, colors).
    key
        JAX random key of the starting vectors.

    Raises
    ------
    TypeError
        If `key` is not a JAX key, or `response` does not map the image to floats.
    ValueError
        If the image is none, or not finite.

    References
    ----------
    Berardino, Ballé, Laparra & Simoncelli (2017), Eigen-distortions of hierarchical representations, NeurIPS.
    """
    check_callable("response", response)
    key, picture = check_key("key", key), as_real("image", image, "... height width colors")
    require(picture.size > 0, f"image must hold at least one pixel, got shape {picture.shape}")
    float_output_of("response", response, picture)

    product = jax.tree_util.Partial(_squared_slope, response, picture)

    starts = [np.asarray(jax.random.normal(start_key, (picture.size,))) for start_key in jax.random.split(key)]
    largest, most = largest_symmetric(product, starts[0], dtype=picture.dtype)
    # the smallest of JᵀJ is the largest of λ_max − JᵀJ
    shift = jnp.asarray(largest, picture.dtype)
    rest, least = largest_symmetric(jax.tree_util.Partial(_shifted, product, shift), starts[1], dtype=picture.dtype)
    # λ_max less nearly λ_max keeps no digits: ‖J v‖² of the direction itself does
    if np.isfinite(rest):
        _, moved = jax.jvp(response, (picture,), (jnp.asarray(least.reshape(picture.shape), picture.dtype),))
        rest = float(jnp.sum(moved**2))
    return (
        Eigendistortion(most.reshape(picture.shape).astype(picture.dtype), float(largest)),
        Eigendistortion(least.reshape(picture.shape).astype(picture.dtype), float(rest)),
    )


def _squared_slope(response: Callable[[Any], Array], picture: Array, vector: Array) -> Array:
    """JᵀJ v."""
    _, moved = jax.jvp(response, (picture,), (vector.reshape(picture.shape),))
    return jax.vjp(response, picture)[1](moved)[0].reshape(-1)


def _shifted(product: Callable[[Array], Array], shift: Array, vector: Array) -> Array:
    return shift * vector - product(vector)
