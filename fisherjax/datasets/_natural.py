"""Patches of natural photographs that ship inside scikit-image, so that they are there offline."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from fisherjax._errors import check_choice, check_flag, check_integer, check_key, require
from fisherjax._types import Key

from ._preprocess import LUMINANCE

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")


def photograph(name: str) -> UInt8[np.ndarray, "height width 3"]:
    """One of the five photographs that `natural_patches` cuts from (`PHOTOGRAPHS`), as it ships with scikit-image.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    return _photograph(check_choice("name", name, PHOTOGRAPHS)).copy()


@functools.cache
def _photograph(name: str) -> np.ndarray:
    from skimage import data  # noqa: PLC0415

    image = getattr(data, name)()
    image = image[0] if isinstance(image, tuple) else image
    return np.asarray(image, np.uint8)[..., :3]


def natural_patches(
    num_images: int, *, key: Key, size: int = 16, color: bool = False, reduction: int = 2
) -> Float[Array, "num_images size size *channels"]:
    """Cut square patches at random places of five natural photographs.

    Parameters
    ----------
    num_images
        How many patches.
    key
        JAX random key; the same key gives the same patches.
    size
        Side of a patch in pixels.
    color
        Whether to keep three channels; luminance otherwise.
    reduction
        The photographs are averaged over squares of this side first, so that a patch shows more.

    Returns
    -------
    Intensities in [0, 1], (num_images, size, size) or (num_images, size, size, 3), float32.

    Raises
    ------
    ValueError
        If a patch would be larger than the smallest photograph.
    TypeError
        If `key` is not a JAX key.

    Notes
    -----
    Photographs: astronaut (NASA), chelsea (S. van der Walt), coffee (R. Michel), rocket (SpaceX),
    stereo_motorcycle (Middlebury 2014), as distributed with scikit-image.
    """
    key = check_key("key", key)
    check_flag("color", color)
    num_images = check_integer("num_images", num_images, minimum=1)
    size = check_integer("size", size, minimum=1)
    reduction = check_integer("reduction", reduction, minimum=1)
    smallest = min(min(_photograph(name).shape[:2]) for name in PHOTOGRAPHS) // reduction
    require(
        size <= smallest,
        f"size must be at most {smallest}, the smallest photograph at reduction={reduction}; got {size}",
    )
    photographs = [_reduced(name, reduction) for name in PHOTOGRAPHS]
    choice_key, place_key = jax.random.split(key)
    choices = np.asarray(jax.random.randint(choice_key, (num_images,), 0, len(photographs)))
    places = np.asarray(jax.random.uniform(place_key, (num_images, 2), jnp.float32))
    patches = []
    for choice, place in zip(choices, places, strict=True):
        image = photographs[choice]
        top, left = (int(share * (extent - size + 1)) for share, extent in zip(place, image.shape[:2], strict=True))
        patches.append(image[top : top + size, left : left + size])
    stack = np.stack(patches)
    return jnp.asarray(stack if color else stack @ np.array(LUMINANCE, np.float32))


@functools.cache
def _reduced(name: str, reduction: int) -> np.ndarray:
    image = _photograph(name).astype(np.float32) / 255
    height, width = (extent // reduction for extent in image.shape[:2])
    cells = image[: height * reduction, : width * reduction].reshape(height, reduction, width, reduction, 3)
    return cells.mean(axis=(1, 3))
