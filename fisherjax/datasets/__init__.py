"""Stimuli."""

from ._cifar import cifar10, cifar100
from ._gratings import grating_angles, grating_moments, gratings
from ._images import read_images
from ._labeled import SHAPES, digits, oriented_gratings, shapes
from ._natural import PHOTOGRAPHS, natural_patches, photograph
from ._pictures import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, gabor
from ._preprocess import Whitening, fit_whitening, gray, intensities, normalize_contrast, whiten
from ._recorded import Responses, read_responses
from ._tables import read_numbers
from ._variants import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR100_SUPERCLASSES

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR100_CLASSES",
    "CIFAR100_SUPERCLASSES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PHOTOGRAPHS",
    "SHAPES",
    "Preprocessing",
    "Responses",
    "Whitening",
    "cifar10",
    "cifar100",
    "digits",
    "fit_whitening",
    "gabor",
    "grating_angles",
    "grating_moments",
    "gratings",
    "gray",
    "intensities",
    "natural_patches",
    "normalize_contrast",
    "oriented_gratings",
    "photograph",
    "read_images",
    "read_numbers",
    "read_responses",
    "shapes",
    "whiten",
]
