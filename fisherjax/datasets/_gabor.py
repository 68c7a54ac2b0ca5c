"""A Gabor patch whose parameters can be differentiated."""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar
from fisherjax._types import Scalar

from ._pictures import checked_shape


def gabor(
    image_shape: tuple[int, int, int],
    *,
    angle: Scalar = 0.6,
    contrast: Scalar = 1.0,
    position: Scalar = 0.0,
    cycles: Scalar = 2.0,
    width: Scalar = 0.2,
) -> Float[Array, "height width colors"]:
    r"""A Gabor patch; every parameter can be differentiated.

    .. math:: c \, e^{-(x^2 + y^2)/(2w^2)} \cos\big(2π k (x \cos θ + y \sin θ)\big),

    x and y from the middle of the patch in units of the shorter side of the image.

    Parameters
    ----------
    image_shape
        Height, width and colors; all colors are alike.
    angle
        θ in radians.
    contrast
        c, in the units of the images that the network was trained on (standard deviations, where those are
        standardized).
    position
        How far the patch is right of the center, in pixels.
    cycles
        k, cycles over the shorter side.
    width
        w, as a share of the shorter side.

    Raises
    ------
    ValueError
        If the width is not positive, or a number not finite.
    """
    height, across, colors = checked_shape(image_shape)
    for name, value in (("angle", angle), ("contrast", contrast), ("position", position), ("cycles", cycles)):
        check_scalar(name, value)
    check_scalar("width", width, minimum=0.0, strict=True)
    return _patch(
        *(jnp.asarray(value, float) for value in (angle, contrast, position, cycles, width)), (height, across, colors)
    )


@functools.partial(jax.jit, static_argnames="image_shape", inline=True)
def _patch(
    theta: Array, c: Array, shift: Array, k: Array, w: Array, image_shape: tuple[int, int, int]
) -> Float[Array, "height width colors"]:
    height, across, colors = image_shape
    side = min(height, across)
    x = (jnp.arange(across, dtype=theta.dtype)[None, :] - (across - 1) / 2 - shift) / side
    y = (jnp.arange(height, dtype=theta.dtype)[:, None] - (height - 1) / 2) / side
    envelope = jnp.exp(-(x**2 + y**2) / (2 * w**2))
    wave = c * envelope * jnp.cos(2 * math.pi * k * (x * jnp.cos(theta) + y * jnp.sin(theta)))
    return jnp.broadcast_to(wave[..., None], (height, across, colors))
