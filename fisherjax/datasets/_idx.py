"""MNIST and Fashion-MNIST in their own format, IDX: from files or a checked download; never through TensorFlow."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from fisherjax._errors import as_path, check_choice, check_integer, check_optional, require

from ._formats import read_packed
from ._prepared import SPLITS, Remote, data_folder, download, first_images

_BYTES = 0x08  # the only type of number that these data sets have
_LARGEST = 2**27  # bytes of a file, unpacked: 47 million at most
_STEMS = {"train": "train", "test": "t10k"}


class IdxSet(NamedTuple):
    """Four files of one data set."""

    name: str
    url: str
    folders: tuple[str, ...]  # that others unpack it to


MNIST = IdxSet("mnist", "https://storage.googleapis.com/cvdf-datasets/mnist", ("MNIST/raw", "raw"))
FASHION_MNIST = IdxSet(
    "fashion_mnist", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", ("FashionMNIST/raw", "raw")
)


def mnist(
    path: str | os.PathLike[str] | None = None, *, split: str = "train", num_images: int | None = None
) -> tuple[UInt8[np.ndarray, "n 28 28 1"], Int32[np.ndarray, " n"]]:
    """Load MNIST: 60 000 training and 10 000 test images of handwritten digits.

    Parameters
    ----------
    path
        A folder that holds ``train-images-idx3-ubyte`` and the other three files, packed by gzip or not (also as
        torchvision's ``root``). Without it they are downloaded once, with the size and checksum that TensorFlow
        Datasets has registered, into its data directory (``TFDS_DATA_DIR``, by default ``~/tensorflow_datasets``).
    split
        ``"train"`` or ``"test"``.
    num_images
        The first so many; their order is random already. All by default.

    Returns
    -------
    Images (n, 28, 28, 1) uint8, and labels (n,) int32.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`, or a folder without the files.
    OSError
        If a file may not be read, or the data directory not be written.
    ValueError
        If a file is truncated, damaged or something else, a checksum is wrong, `split` is misspelt, or there are fewer
        images than asked for.
    ImportError
        If TensorFlow Datasets is needed (``pip install 'fisherjax[cifar]'``).
    ConnectionError
        If there is no network; the message says what to download, and where to put it.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition, Proc. IEEE 86.
    """
    return _load(MNIST, path, split, num_images)


def fashion_mnist(
    path: str | os.PathLike[str] | None = None, *, split: str = "train", num_images: int | None = None
) -> tuple[UInt8[np.ndarray, "n 28 28 1"], Int32[np.ndarray, " n"]]:
    """Load Fashion-MNIST, images of clothes in ten classes, in the format of `mnist`; parameters and errors as there.

    References
    ----------
    Xiao, Rasul & Vollgraf (2017), Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms.
    """
    return _load(FASHION_MNIST, path, split, num_images)


def _load(
    known: IdxSet, path: str | os.PathLike[str] | None, split: str, num_images: int | None
) -> tuple[np.ndarray, np.ndarray]:
    check_choice("split", split, SPLITS)
    wanted = check_optional(check_integer, "num_images", num_images, minimum=1)
    names = tuple(f"{_STEMS[split]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    if path is None:
        files = [download(Remote(known.name, f"{known.url}/{name}.gz"), data_folder()) for name in names]
    else:
        files = _found(known, as_path("path", path).expanduser(), names)
    images, labels = read_idx(files[0], 3), read_idx(files[1], 1)
    require(images.shape[1:] == (28, 28), f"{files[0]} holds images of {images.shape[1:]} pixels, not 28 × 28")
    require(len(images) == len(labels), f"{files[0]} holds {len(images)} images, {files[1]} {len(labels)} labels")
    largest = int(labels.max(initial=0))
    require(largest < 10, f"{files[1]} has the label {largest}, of ten classes")
    return first_images(images[..., None], labels.astype(np.int32), wanted, split)


def _found(known: IdxSet, path: Path, names: tuple[str, ...]) -> list[Path]:
    """The files in a folder, or in the one that torchvision makes of it."""
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise FileNotFoundError(f"{path} {what}: give the folder that holds {names[0]} (or .gz)")
    for folder in (path, *(path / name for name in known.folders)):
        there = [next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None) for name in names]
        files = [file for file in there if file is not None]
        if len(files) == len(names):
            return files
        if files:
            missing = ", ".join(name for name, file in zip(names, there, strict=True) if file is None)
            raise FileNotFoundError(f"{folder} lacks {missing}, of {known.name}")
    raise FileNotFoundError(f"{path} holds no {known.name}: neither {names[0]} nor {names[0]}.gz")


def read_idx(path: Path, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """Bytes of an IDX file, packed by gzip or not: two zeros, the type, the number of axes, their lengths, the numbers.

    Raises
    ------
    ValueError
        If it is something else, of another type or number of axes, truncated, too long, or damaged.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        data = b"" if packed else stream.read(_LARGEST + 1)
    if packed:
        data = read_packed(path, _LARGEST + 1)
    require(len(data) <= _LARGEST, f"{path} has more than {_LARGEST} bytes: not the file it should be")
    head = 4 * (1 + dimensions)
    right = len(data) >= head and data[:4] == bytes([0, 0, _BYTES, dimensions])
    require(right, f"{path} is not an IDX file of bytes in {dimensions} axes: it begins with {data[:4].hex(' ')}")
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", dimensions, 4))
    found, expected = len(data) - head, math.prod(shape)
    short = "truncated" if found < expected else "longer than it says"
    require(found == expected, f"{path} is {short}: {found} numbers of {' × '.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, expected, head).reshape(shape)
