"""A user's own images from files of arrays, or CIFAR-10 from its path."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Num, Shaped

from fisherjax._arrays import as_labels, host_real
from fisherjax._errors import as_path, check_integer, check_optional, listed, require

from ._cifar import cifar10
from ._formats import kind_of_file, read_arrays
from ._prepared import SPLITS

_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
_LISTED = 3
_HOW = "put them into one array (n, height, width) or (n, height, width, 3) and write it by numpy.save"


def read_images(
    path: str | os.PathLike[str], *, split: str = "train", num_images: int | None = None
) -> tuple[Num[np.ndarray, "n height width *channels"], Shaped[np.ndarray, " n"] | None]:
    """Read images, and their labels if there are any.

    Parameters
    ----------
    path
        An .npy of images (n, height, width) or (n, height, width, channels) with 1 or 3 channels; an .npz or a MATLAB
        5 file with `images` and perhaps `labels`; or what `cifar10` reads.
    split
        Of CIFAR-10.
    num_images
        The first so many; all by default.

    Returns
    -------
    Images in the type that they have in the file (`intensities` makes them floats), and labels: whole numbers of any
    base, or text.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    TypeError, ValueError
        If it is another format (which is said), damaged, holds no images, fewer than asked for, values that are not
        finite, or not one label for each.
    """
    place = as_path("path", path).expanduser()
    count = check_optional(check_integer, "num_images", num_images, minimum=1)
    require(split in SPLITS, f"split must be one of {', '.join(map(repr, SPLITS))}; got {split!r}")
    if place.is_dir():
        _check_folder(place)
        return cifar10(place, split=split, num_images=count)
    kind = kind_of_file(place)
    if kind in {"gzip", "a tar archive"}:
        return cifar10(place, split=split, num_images=count)
    require("picture" not in kind, f"{place} is {kind}; of several pictures {_HOW}")
    require(kind in {"npy", "npz", "mat"}, f"{place} is {'text' if kind == 'text' else kind}, no images; {_HOW}")
    return _from_arrays(place, read_arrays(place), count)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that is empty, or full of pictures, in words that say so."""
    names = sorted(path.name for path in folder.iterdir())
    require(len(names) > 0, f"{folder} is an empty folder")
    pictures = [name for name in names if Path(name).suffix.lower() in _PICTURES]
    if 2 * len(pictures) > len(names):
        raise ValueError(f"{folder} holds pictures ({listed(pictures, _LISTED)}); {_HOW}")


def _from_arrays(path: Path, held: dict[str, np.ndarray], count: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    name = "" if "" in held else "images"
    require(name in held, f"{path} has no array 'images', only {', '.join(held) or 'nothing'}")
    images, labels = held[name], held.get("labels")
    shape = images.shape
    hint = ""
    if len(shape) == 4 and shape[1] in {1, 3}:
        hint = "; channels are last here: numpy.moveaxis(images, 1, -1)"
    elif len(shape) == 4 and shape[-1] == 4:
        hint = "; of red, green, blue and transparency take the first three: images[..., :3]"
    require(
        len(shape) == 3 or (len(shape) == 4 and shape[-1] in {1, 3}),
        f"{path}: images must have shape (n, height, width) or (n, height, width, 3), got {shape}{hint}",
    )
    require(images.size > 0, f"{path} holds no pixels: its images have shape {shape}")
    wanted = len(images) if count is None else count
    require(wanted <= len(images), f"{path} holds {len(images)} images, fewer than the {wanted} asked for")
    if labels is not None:
        labels = labels.reshape(-1) if labels.size == len(images) else labels
        as_labels(f"{path}: labels", labels, len(images))
        labels = labels[:wanted]
    host_real(f"{path}: images", images[:wanted])
    return images[:wanted], labels
