"""Images from where the command line says: photographs, CIFAR, or a user's file."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fisherjax import datasets

from ._arguments import Geometry
from ._parse import UsageError

_CIFAR = {"cifar10": datasets.cifar10, "cifar100": datasets.cifar100}


class Images(NamedTuple):
    """Images as they are shown and as stimuli."""

    pixels: np.ndarray  # (S, height, width[, 3]), what a reader recognises
    stimuli: jax.Array  # after preprocessing
    labels: np.ndarray | None
    source: str


def load_images(command: Geometry, key: jax.Array) -> Images:
    """The images that a command names, and what becomes of them before the network sees them."""
    try:
        pixels, labels, source = _pixels(command, key)
        return Images(pixels, _preprocessed(pixels, command.preprocess), labels, source)
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(f"--data {command.data}: {error}") from error


def _pixels(command: Geometry, key: jax.Array) -> tuple[np.ndarray, np.ndarray | None, str]:
    if command.data == "natural":
        patches = datasets.natural_patches(command.images, key=key, size=command.size, color=command.color)
        return np.asarray(patches), None, f"{command.images} patches of photographs"
    labels: np.ndarray | None
    if command.data in _CIFAR:
        found, labels = _CIFAR[command.data](split=command.split, num_images=command.images)
        source = f"the first {command.images} {command.split} images of {command.data.upper()}"
    elif Path(command.data).suffix in {".npy", ".npz"}:
        found, labels = _from_arrays(Path(command.data), command.images)
        source = f"{len(found)} images from {Path(command.data).name}"
    else:
        found, labels = datasets.cifar10(command.data, split=command.split, num_images=command.images)
        source = f"the first {command.images} {command.split} images of {Path(command.data).name}"
    grey = found.ndim == 4 and found.shape[-1] == 3 and not command.color
    return np.asarray(datasets.grey(found) if grey else datasets.intensities(found)), labels, source


def _from_arrays(path: Path, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Images (S, height, width[, 3]) from .npy, or `images` and perhaps `labels` from .npz."""
    loaded: Any = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        images, labels = loaded, None
    else:
        if "images" not in loaded:
            raise ValueError(f"it has no array 'images', only {', '.join(loaded)}")
        images, labels = loaded["images"], loaded["labels"][:count] if "labels" in loaded else None
    if images.ndim not in {3, 4}:
        raise ValueError(f"images must have shape (n, height, width) or (n, height, width, 3), got {images.shape}")
    if len(images) < count:
        raise ValueError(f"it holds {len(images)} images, fewer than the {count} asked for")
    return images[:count], labels


def _preprocessed(pixels: np.ndarray, how: str) -> jax.Array:
    if how == "contrast":
        return datasets.normalize_contrast(pixels)
    if how == "whiten":
        return datasets.whiten(pixels, datasets.fit_whitening(pixels)).reshape(pixels.shape)
    return datasets.intensities(pixels)
