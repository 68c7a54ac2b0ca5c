"""Stimuli."""

from ._cifar import cifar10, cifar100
from ._gabor import gabor
from ._gratings import grating_moments, gratings
from ._idx import fashion_mnist, mnist
from ._imagenet import imagenet
from ._images import read_images
from ._offline import digits, natural_patches, oriented_gratings, photograph, shapes
from ._pictures import Preprocessing
from ._preprocess import fit_whitening, gray, intensities, normalize_contrast, whiten
from ._recorded import read_responses
from ._sources import image_folder
from ._turned import turned_pictures

__all__ = [
    "Preprocessing", "cifar10", "cifar100", "digits", "fashion_mnist", "fit_whitening", "gabor", "grating_moments",
    "gratings", "gray", "image_folder", "imagenet", "intensities", "mnist", "natural_patches", "normalize_contrast",
    "oriented_gratings", "photograph", "read_images", "read_responses", "shapes", "turned_pictures", "whiten",
]  # fmt: skip
