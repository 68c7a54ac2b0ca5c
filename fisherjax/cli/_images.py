"""Images from where the command line says: photographs, CIFAR, or a user's file."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from fisherjax import datasets

from ._arguments import Geometry
from ._limits import UsageError

_CIFAR = {"cifar10": datasets.cifar10, "cifar100": datasets.cifar100}


class Images(NamedTuple):
    """Images as they are shown and as stimuli."""

    pixels: np.ndarray  # (S, height, width[, 3]), what a reader recognizes
    stimuli: jax.Array  # after preprocessing
    labels: np.ndarray | None
    source: str


def load_images(command: Geometry, key: jax.Array) -> Images:
    """The images that a command names, and what becomes of them before the network sees them."""
    try:
        pixels, labels, source = _pixels(command, key)
        return Images(pixels, _preprocessed(pixels, command.preprocess), labels, source)
    except OSError as error:
        # the system says what is wrong beside the file, the library in one sentence
        what = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
        raise UsageError(f"--data {what}") from error
    except (ValueError, TypeError, ImportError) as error:
        message = str(error)
        raise UsageError(
            f"--data {message if message.startswith(command.data) else f'{command.data}: {message}'}"
        ) from error


def _pixels(command: Geometry, key: jax.Array) -> tuple[np.ndarray, np.ndarray | None, str]:
    if command.data == "natural":
        patches = datasets.natural_patches(command.images, key=key, size=command.size, color=command.color)
        return np.asarray(patches), None, f"{command.images} patches of photographs"
    images: np.ndarray
    labels: np.ndarray | None
    path = Path(command.data)
    if command.data in _CIFAR:
        images, labels = _CIFAR[command.data](split=command.split, num_images=command.images)
        source = f"the first {command.images} {command.split} images of {command.data.upper()}"
    else:
        images, labels = datasets.read_images(path, split=command.split, num_images=command.images)
        arrays = path.suffix in {".npy", ".npz", ".mat"}
        source = f"{'' if arrays else f'the first {command.split} '}{len(images)} images from {path.name}"
    gray = images.ndim == 4 and images.shape[-1] == 3 and not command.color
    return np.asarray(datasets.gray(images) if gray else datasets.intensities(images)), labels, source


def _preprocessed(pixels: np.ndarray, how: str) -> jax.Array:
    if how == "contrast":
        return datasets.normalize_contrast(pixels)
    if how == "whiten":
        return datasets.whiten(pixels, datasets.fit_whitening(pixels)).reshape(pixels.shape)
    return datasets.intensities(pixels)
