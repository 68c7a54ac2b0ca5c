"""Labeled images that a command names: data sets by their names, and what a path holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fisherjax import datasets
from fisherjax.datasets._cifar import CIFAR10, CIFAR100, cifar100
from fisherjax.datasets._offline import SHAPES
from fisherjax.datasets._prepared import find_prepared
from fisherjax.datasets._sources import Pictures
from fisherjax.datasets._variants import CIFAR10_CLASSES, CIFAR100_CLASSES

from ._convnet_arguments import DATA
from ._files import reading
from ._values import UsageError, suggestion

_SYNTHETIC_SIZE, _SYNTHETIC_IMAGES, _TEST_IMAGES = 28, 2000, 500
_SET_ASIDE = 0.1  # of pictures that have no part to test on

Pair = tuple[np.ndarray, np.ndarray]
"""Images with intensities in [0, 1], and their labels."""


class ImageData(NamedTuple):
    """Images to learn from and to test on, in memory or to be read, names of their classes, and what suits them."""

    train: Pair | Pictures
    test: Pair | Pictures
    classes: tuple[str, ...]
    preset: str


def named_images(data: str, count: int, key: jax.Array) -> ImageData:
    """The data set of this name, or what is at this path; `count` matters to synthetic ones."""
    with reading("--data", data):
        if data in _NAMED:
            return _NAMED[data](count, key)
        path = Path(data).expanduser()
        if not path.exists():
            words = f"; it is neither a data set nor a file or folder{suggestion(data, DATA)}"
            raise UsageError(f"--data {data}{words}")
        return _at(path)


def size_of(part: Pair | Pictures) -> int:
    """Number of images."""
    return len(part) if isinstance(part, Pictures) else len(part[1])


def spaced(pictures: Pictures, count: int) -> Pictures:
    """So many pictures, of all classes as they come; all, if there are fewer."""
    if count >= len(pictures):
        return pictures
    return pictures.select(np.linspace(0, len(pictures) - 1, count).round().astype(int))


def fewer(part: Pair | Pictures, command: Any, data: str) -> Pair | Pictures:
    """The first ``--images``, of pictures some of every class; all for 0. A small version takes what there is."""
    count = min(command.images, size_of(part)) if command.quick else command.images
    if count > size_of(part):
        raise UsageError(f"--images: {data} has {size_of(part)} images, got {count}")
    if count == 0:
        return part
    return spaced(part, count) if isinstance(part, Pictures) else (part[0][:count], part[1][:count])


def set_aside(part: Pair | Pictures, share: float) -> tuple[Pair | Pictures, Pair | Pictures]:
    """Most images, and a share to validate on: the first ones, or of pictures some of every class."""
    if isinstance(part, Pictures):
        return part.split(share)
    held = max(1, round(share * len(part[1])))
    return (part[0][held:], part[1][held:]), (part[0][:held], part[1][:held])


def _digits(_: int, __: jax.Array) -> ImageData:
    train, test = datasets.digits(), datasets.digits(split="test")
    return ImageData(train, test, tuple("0123456789"), "R4-8")


def _synthetic(draw: Callable[..., Any], classes: tuple[str, ...]) -> Callable[[int, jax.Array], ImageData]:
    def drawn(count: int, key: jax.Array) -> ImageData:
        sizes = (count or _SYNTHETIC_IMAGES, _TEST_IMAGES)
        pairs = [draw(n, key=k, size=_SYNTHETIC_SIZE) for n, k in zip(sizes, jax.random.split(key), strict=True)]
        train, test = [(np.asarray(images), np.asarray(labels)) for images, labels in pairs]
        return ImageData(train, test, classes, "R4-28")

    return drawn


def _bytes(
    load: Callable[..., Any], classes: tuple[str, ...], preset: str, path: Path | None = None
) -> Callable[[int, jax.Array], ImageData]:
    def loaded(_: int, __: jax.Array) -> ImageData:
        parts = [load(path, split=split) for split in ("train", "test")]
        train, test = [(np.asarray(images, np.float32) / np.float32(255), labels) for images, labels in parts]
        return ImageData(train, test, classes, preset)

    return loaded


_CLOTHES = "T-shirt trouser pullover dress coat sandal shirt sneaker bag boot"
_DIGITS, _ORIENTATIONS = tuple("0123456789"), tuple(f"{180 * k / 8:g}°" for k in range(8))
_NAMED: dict[str, Callable[[int, jax.Array], ImageData]] = {
    "digits": _digits,
    "gratings": _synthetic(datasets.oriented_gratings, _ORIENTATIONS),
    "shapes": _synthetic(datasets.shapes, SHAPES),
    "mnist": _bytes(datasets.mnist, _DIGITS, "R4-28"),
    "fashion-mnist": _bytes(datasets.fashion_mnist, tuple(_CLOTHES.split()), "R4-28"),
    "cifar10": _bytes(datasets.cifar10, CIFAR10_CLASSES, "R4-32"),
    "cifar100": _bytes(cifar100, CIFAR100_CLASSES, "R4-32"),
}


def _at(path: Path) -> ImageData:
    """What a file or a folder holds, told by its content."""
    if path.is_file() and path.suffix.lower() in {".npz", ".mat"}:
        return _of_arrays(path)
    for variant, load, classes in (
        (CIFAR10, datasets.cifar10, CIFAR10_CLASSES), (CIFAR100, cifar100, CIFAR100_CLASSES)
    ):  # fmt: skip
        names = (*variant.archives, *variant.folders)
        inside = path.is_dir() and any((path / name).exists() for name in names)
        inside = inside or ((path / variant.name).is_dir() and find_prepared(path, variant) is not None)
        if inside or path.name in names:
            return _bytes(load, classes, "R4-32", path)(0, jax.random.key(0))
    if path.is_file():
        raise UsageError(
            f"--data {path}: a file must be an .npz or .mat with images and labels, or an archive of CIFAR"
        )
    for folder, load, classes in (
        ("MNIST/raw", datasets.mnist, _DIGITS), ("FashionMNIST/raw", datasets.fashion_mnist, tuple(_CLOTHES.split())),
        (".", datasets.mnist, tuple(f"class {label}" for label in range(10))),
    ):  # fmt: skip
        if any((path / folder).glob("train-images-idx3-ubyte*")):
            return _bytes(load, classes, "R4-28", path)(0, jax.random.key(0))
    return _of_pictures(path)


def _of_pictures(path: Path) -> ImageData:
    """ImageNet's archives, folders to train and to test on, or one folder of which a tenth is set aside."""
    if any(path.glob("ILSVRC2012_*")):
        train, test = datasets.imagenet(path), datasets.imagenet(path, split="validation")
        return ImageData(train, test, train.classes, "R8")
    pair = [next((path / name for name in names if (path / name).is_dir()), None) for names in _PARTS]
    if pair[0] is None or pair[1] is None:
        train, test = datasets.image_folder(path).split(_SET_ASIDE)
        return ImageData(train, test, train.classes, "R4-32")
    train, test = datasets.image_folder(pair[0]), datasets.image_folder(pair[1])
    if train.classes != test.classes:
        raise UsageError(f"--data {path}: {pair[0].name} and {pair[1].name} have different classes")
    return ImageData(train, test, train.classes, "R4-32")


_PARTS = (("train", "training"), ("test", "val", "validation"))


def _of_arrays(path: Path) -> ImageData:
    """Images and labels of one file; every tenth image of a class is set aside."""
    images, labels = datasets.read_images(path)
    if labels is None:
        raise UsageError(f"--data {path} has no labels: an array 'labels' beside 'images' must hold them")
    names, numbers = np.unique(labels, return_inverse=True)
    whole = np.asarray(datasets.intensities(images), np.float32)
    whole = whole[..., None] if whole.ndim == 3 else whole
    place = np.zeros(len(numbers), int)
    for number in range(len(names)):
        own = np.flatnonzero(numbers == number)
        if len(own) < 2:
            raise UsageError(f"--data {path}: class {names[number]} has one image; two are needed")
        place[own] = np.arange(len(own))
    aside = place % 10 == 1
    pairs = [(whole[chosen], numbers[chosen].astype(np.int32)) for chosen in (~aside, aside)]
    known = {8: "R4-8", 28: "R4-28", 32: "R4-32"}
    return ImageData(pairs[0], pairs[1], tuple(map(str, names)), known.get(whole.shape[1], "R4-32"))
