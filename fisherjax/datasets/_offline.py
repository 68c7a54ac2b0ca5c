"""Images that are there offline: handwritten digits, two synthetic labeled sets, and patches of natural photographs."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, UInt8

from fisherjax._errors import check_choice, check_flag, check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Scalar

from ._preprocess import LUMINANCE

SHAPES = ("square", "disc", "triangle", "cross")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")
_TEST_DIGITS = 360


def digits(*, split: str = "train") -> tuple[Float[np.ndarray, "n 8 8 1"], Int32[np.ndarray, " n"]]:
    """Handwritten digits of 8 × 8 pixels that ship inside scikit-learn: 1437 for training, 360 for tests.

    Parameters
    ----------
    split
        "train", "test" or "all"; the split is fixed, and shuffled, since the original order is by writer.

    Returns
    -------
    Intensities in [0, 1], float32, and labels 0…9, int32.

    Raises
    ------
    ValueError
        If `split` is misspelt.

    References
    ----------
    Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI machine learning repository (test part).
    """
    check_choice("split", split, ("train", "test", "all"))
    from sklearn.datasets import load_digits  # noqa: PLC0415

    stored: Any = load_digits()
    images, labels = (stored.images[..., None] / 16).astype(np.float32), stored.target.astype(np.int32)
    if split == "all":
        return images, labels
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = order[:-_TEST_DIGITS] if split == "train" else order[-_TEST_DIGITS:]
    return images[chosen], labels[chosen]


def oriented_gratings(
    num_images: int, *, key: Key, size: int = 32, num_classes: int = 8, noise_std: Scalar = 0.2
) -> tuple[Float[Array, "n size size 1"], Int[Array, " n"]]:
    """Gratings of random phase and frequency in noise; the class is the orientation, k π/num_classes.

    Parameters
    ----------
    num_images
        n.
    key
        JAX random key.
    size
        Side in pixels.
    num_classes
        K.
    noise_std
        Of Gaussian pixel noise; the grating itself has amplitude 1.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    count, side = check_integer("num_images", num_images, minimum=1), check_integer("size", size, minimum=4)
    classes = check_integer("num_classes", num_classes, minimum=2)
    check_scalar("noise_std", noise_std, minimum=0.0)
    label_key, phase_key, frequency_key, noise_key = jax.random.split(key, 4)
    labels = jax.random.randint(label_key, (count,), 0, classes)
    phase = jax.random.uniform(phase_key, (count, 1, 1), maxval=2 * math.pi)
    cycles = jax.random.uniform(frequency_key, (count, 1, 1), minval=side / 12, maxval=side / 6)
    angle = (math.pi / classes) * labels.astype(phase.dtype)[:, None, None]
    axis = (jnp.arange(side, dtype=phase.dtype) + 0.5) / side
    wave = jnp.cos(2 * math.pi * cycles * (axis[None, :] * jnp.cos(angle) + axis[:, None] * jnp.sin(angle)) + phase)
    noise = jnp.asarray(noise_std, wave.dtype) * jax.random.normal(noise_key, wave.shape, wave.dtype)
    return (wave + noise)[..., None], labels


def shapes(
    num_images: int, *, key: Key, size: int = 28, noise_std: Scalar = 0.2
) -> tuple[Float[Array, "n size size 1"], Int[Array, " n"]]:
    """Bright squares, discs, triangles and crosses of random place, size and contrast in noise (`SHAPES`).

    Parameters and errors are those of `oriented_gratings`.
    """
    key = check_key("key", key)
    count, side = check_integer("num_images", num_images, minimum=1), check_integer("size", size, minimum=8)
    check_scalar("noise_std", noise_std, minimum=0.0)
    label_key, place_key, size_key, contrast_key, noise_key = jax.random.split(key, 5)
    labels = jax.random.randint(label_key, (count,), 0, len(SHAPES))
    radius = jax.random.uniform(size_key, (count, 1, 1), minval=side / 8, maxval=side / 4)
    center = radius[..., 0] + jax.random.uniform(place_key, (count, 2)) * (side - 2 * radius[..., 0])
    axis = jnp.arange(side, dtype=radius.dtype) + 0.5
    down, across = axis[:, None] - center[:, 0, None, None], axis[None, :] - center[:, 1, None, None]
    within = (jnp.abs(down) < radius) & (jnp.abs(across) < radius)
    inside = jnp.stack([
        within,
        down**2 + across**2 < radius**2,
        within & (jnp.abs(across) < (down + radius) / 2),
        within & ((jnp.abs(down) < radius / 3) | (jnp.abs(across) < radius / 3)),
    ])  # fmt: skip
    chosen = inside[labels, jnp.arange(count)].astype(radius.dtype)
    contrast = jax.random.uniform(contrast_key, (count, 1, 1), minval=0.5, maxval=1.5)
    noise = jnp.asarray(noise_std, radius.dtype) * jax.random.normal(noise_key, chosen.shape, radius.dtype)
    return (contrast * chosen + noise)[..., None], labels


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
