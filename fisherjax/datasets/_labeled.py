"""Small labeled sets of images that are there offline: handwritten digits, and two synthetic ones."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from fisherjax._errors import check_choice, check_integer, check_key, check_scalar
from fisherjax._types import Key, Scalar

SHAPES = ("square", "disc", "triangle", "cross")
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

    found: Any = load_digits()
    images, labels = (found.images[..., None] / 16).astype(np.float32), found.target.astype(np.int32)
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
