"""Stimuli."""

from ._cifar import cifar10, cifar100
from ._gratings import grating_angles, grating_moments, gratings
from ._labelled import SHAPES, digits, oriented_gratings, shapes
from ._natural import natural_patches
from ._preprocess import Whitening, fit_whitening, grey, intensities, normalize_contrast, whiten
from ._variants import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR100_SUPERCLASSES

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR100_CLASSES",
    "CIFAR100_SUPERCLASSES",
    "SHAPES",
    "Whitening",
    "cifar10",
    "cifar100",
    "digits",
    "fit_whitening",
    "grating_angles",
    "grating_moments",
    "gratings",
    "grey",
    "intensities",
    "natural_patches",
    "normalize_contrast",
    "oriented_gratings",
    "shapes",
    "whiten",
]
