"""Labeled images that a command names: data sets by their names, and what a path holds."""

import functools
from collections.abc import Callable, Sequence
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


Part = Pair | Pictures
Load = Callable[[str], Part]
"""Opens the part to learn from, "train", or to test on, "test"."""


class ImageData(NamedTuple):
    """Parts of a data set, in memory or to be read, names of its classes, and the architecture that suits it."""

    parts: dict[str, Part]
    classes: tuple[str, ...]
    preset: str


class _Source(NamedTuple):
    """Where the parts come from; pictures name their classes themselves."""

    load: Load
    classes: tuple[str, ...]
    preset: str


def named_images(data: str, splits: Sequence[str], count: int, key: jax.Array) -> ImageData:
    """Those parts of the data set of this name, or of what is at this path; `count` matters to synthetic ones."""
    with reading("--data", data):
        source = _named(data, count, key) if data in DATA else _at(data)
        parts = {split: source.load(split) for split in splits}
        names = [part.classes for part in parts.values() if isinstance(part, Pictures)]
        return ImageData(parts, names[0] if names else source.classes, source.preset)


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


_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
_DIGITS, _ORIENTATIONS = tuple("0123456789"), tuple(f"{180 * k / 8:g}°" for k in range(8))


def _named(data: str, count: int, key: jax.Array) -> _Source:
    if data == "digits":
        return _Source(lambda split: datasets.digits(split=split), _DIGITS, "R4-8")
    if data in _SYNTHETIC:
        draw, classes = _SYNTHETIC[data]
        return _Source(functools.partial(_drawn, draw, count, key), classes, "R4-28")
    return _of_bytes(*_DOWNLOADED[data])


def _drawn(draw: Callable[..., Any], count: int, key: jax.Array, split: str) -> Pair:
    train_key, test_key = jax.random.split(key)
    number = (count or _SYNTHETIC_IMAGES) if split == "train" else _TEST_IMAGES
    images, labels = draw(number, key=train_key if split == "train" else test_key, size=_SYNTHETIC_SIZE)
    return np.asarray(images), np.asarray(labels)


def _of_bytes(load: Callable[..., Any], classes: tuple[str, ...], preset: str, path: Path | None = None) -> _Source:
    def loaded(split: str) -> Pair:
        images, labels = load(path, split=split)
        return np.asarray(images, np.float32) / np.float32(255), labels

    return _Source(loaded, classes, preset)


_SYNTHETIC: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "gratings": (datasets.oriented_gratings, _ORIENTATIONS),
    "shapes": (datasets.shapes, SHAPES),
}
_DOWNLOADED: dict[str, tuple[Callable[..., Any], tuple[str, ...], str]] = {
    "mnist": (datasets.mnist, _DIGITS, "R4-28"),
    "fashion-mnist": (datasets.fashion_mnist, _CLOTHES, "R4-28"),
    "cifar10": (datasets.cifar10, CIFAR10_CLASSES, "R4-32"),
    "cifar100": (cifar100, CIFAR100_CLASSES, "R4-32"),
}


def _at(data: str) -> _Source:
    """What a file or a folder holds, told by its content."""
    path = Path(data).expanduser()
    if not path.exists():
        raise UsageError(f"--data {data}; it is neither a data set nor a file or folder{suggestion(data, DATA)}")
    if path.is_file() and path.suffix.lower() in {".npz", ".mat"}:
        return _of_arrays(path)
    for variant in (CIFAR10, CIFAR100):
        names = (*variant.archives, *variant.folders)
        inside = path.is_dir() and any((path / name).exists() for name in names)
        inside = inside or ((path / variant.name).is_dir() and find_prepared(path, variant) is not None)
        if inside or path.name in names:
            return _of_bytes(*_DOWNLOADED[variant.name], path)
    if path.is_file():
        raise UsageError(
            f"--data {path}: a file must be an .npz or .mat with images and labels, or an archive of CIFAR"
        )
    unknown = tuple(f"class {label}" for label in range(10))
    for folder, classes in (("MNIST/raw", _DIGITS), ("FashionMNIST/raw", _CLOTHES), (".", unknown)):
        if any((path / folder).glob("train-images-idx3-ubyte*")):
            load = datasets.fashion_mnist if classes is _CLOTHES else datasets.mnist
            return _of_bytes(load, classes, "R4-28", path)
    return _of_pictures(path)


def _of_pictures(path: Path) -> _Source:
    """ImageNet's archives, folders to train and to test on, or one folder of which a tenth is set aside."""
    if any(path.glob("ILSVRC2012_*")):
        splits = {"train": "train", "test": "validation"}
        return _Source(lambda split: datasets.imagenet(path, split=splits[split]), (), "R8")
    pair = [next((path / name for name in names if (path / name).is_dir()), None) for names in _PARTS]
    if pair[0] is None or pair[1] is None:
        train, test = datasets.image_folder(path).split(_SET_ASIDE)
    else:
        train, test = datasets.image_folder(pair[0]), datasets.image_folder(pair[1])
        if train.classes != test.classes:
            raise UsageError(f"--data {path}: {pair[0].name} and {pair[1].name} have different classes")
    return _Source({"train": train, "test": test}.__getitem__, train.classes, "R4-32")


_PARTS = (("train", "training"), ("test", "val", "validation"))


def _of_arrays(path: Path) -> _Source:
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
    chosen = {"train": ~aside, "test": aside}
    known = {8: "R4-8", 28: "R4-28", 32: "R4-32"}
    return _Source(
        lambda split: (whole[chosen[split]], numbers[chosen[split]].astype(np.int32)),
        tuple(map(str, names)), known.get(whole.shape[1], "R4-32"),
    )  # fmt: skip
