"""Ways to spoil an image, each with a strength that begins at 0."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._types import Key

Spoil = Callable[[Array, Array, Key], Array]

_DEVIATIONS = 4  # standard deviations of the Gaussian that blurs which are kept


def noise(image: Float[Array, "h w c"], level: Array, key: Key) -> Float[Array, "h w c"]:
    """Gaussian noise of this standard deviation on every pixel and color."""
    return image + level * jax.random.normal(key, image.shape, image.dtype)


def contrast(image: Float[Array, "h w c"], level: Array, key: Key) -> Float[Array, "h w c"]:  # noqa: ARG001
    """Contrast reduced by this share: pixels move to the image's mean of their color."""
    mean = jnp.mean(image, axis=(0, 1))
    return mean + (1 - level) * (image - mean)


def occlusion(image: Float[Array, "h w c"], level: Array, key: Key) -> Float[Array, "h w c"]:
    """A rectangle at a random place, of the image's aspect and this share of its area, has the image's mean color.

    Pixels that it covers in part are mixed, so that its area is exact.
    """
    height, width, _ = image.shape
    down, across = jax.random.uniform(key, (2,), image.dtype)
    side = jnp.sqrt(level)

    def covered(size: int, place: Array) -> Array:
        begin = place * (1 - side) * size
        edges = jnp.arange(size, dtype=image.dtype)
        return jnp.clip(jnp.minimum(edges + 1, begin + side * size) - jnp.maximum(edges, begin), 0, 1)

    share = covered(height, down)[:, None, None] * covered(width, across)[None, :, None]
    return share * jnp.mean(image, axis=(0, 1)) + (1 - share) * image


def blur(image: Float[Array, "h w c"], level: Array, key: Key) -> Float[Array, "h w c"]:  # noqa: ARG001
    """Mean under a Gaussian of this standard deviation in pixels; beyond the edge the image is mirrored."""
    for axis in (0, 1):
        image = jnp.moveaxis(jnp.tensordot(_smoothing(image.shape[axis], level), image, axes=(1, axis)), 0, axis)
    return image


def _smoothing(size: int, level: Array) -> Float[Array, "size size"]:
    """Weights of all pixels of a line in each of its smoothed ones, of sum one.

    A line is mirrored at both ends, as often as the width of the Gaussian asks for, up to as many times its length.
    """
    copies = 2 * _DEVIATIONS + 1
    places = np.arange(copies * size) - (copies // 2) * size
    # 0 … size − 1, size − 1 … 0, and so on: the pixel that lies at a place beyond the edge
    within = np.mod(places, 2 * size)
    pixel = np.where(within < size, within, 2 * size - 1 - within)
    distance = jnp.asarray(places[None, :] - np.arange(size)[:, None], level.dtype)
    width = jnp.maximum(level, 1e-3)  # far below a pixel: the identity
    weights = jnp.exp(-0.5 * (distance / width) ** 2)
    folded = jax.ops.segment_sum(weights.T, jnp.asarray(pixel), num_segments=size).T
    return folded / jnp.sum(folded, axis=1, keepdims=True)


CORRUPTIONS: dict[str, Spoil] = {"noise": noise, "contrast": contrast, "occlusion": occlusion, "blur": blur}
UNITS = {
    "noise": "s.d. of a pixel", "state": "σ of the state", "contrast": "share of contrast lost",
    "occlusion": "share of area covered", "blur": "s.d. of the blur (pixels)",
}  # fmt: skip
"""What the strength of each is, for axes."""
LARGEST = {"noise": math.inf, "state": math.inf, "contrast": 1.0, "occlusion": 1.0, "blur": math.inf}
