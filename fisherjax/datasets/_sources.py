"""Labeled pictures that stay where they are, in folders or archives, and are read when they are needed."""

import os
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from fisherjax._arrays import host_real
from fisherjax._errors import (
    as_path,
    check_choice,
    check_instance,
    check_integer,
    check_optional,
    listed,
    require,
    warn,
)

from ._pictures import Place, Preprocessing

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_LISTED = 5
_MOST_THREADS = 32
_TRAIN, _VALIDATION, _DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12"
_SPLITS = {"train": ("train",), "validation": ("val", "validation")}


class Pictures:
    """Labeled pictures in files or archives, none of them in memory; `image_folder` and `imagenet` make them.

    Names, labels and classes are known beforehand; `pixels` reads some of them as a network expects them.
    """

    def __init__(self, places: Sequence[Place], labels: Any, classes: Sequence[str], *, bad: str = "refuse"):
        self.places, self.classes = tuple(places), tuple(classes)
        self.labels: Int[np.ndarray, " n"] = np.asarray(labels, np.int32)
        self.bad = check_choice("bad", bad, ("refuse", "skip"))

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return f"Pictures({len(self)} of {len(self.classes)} classes: {listed(self.classes, _LISTED)})"

    @property
    def names(self) -> list[str]:
        """Of the files."""
        return [place.name for place in self.places]

    def pixels(
        self, preprocessing: Preprocessing, indices: Any = None, *, num_threads: int | None = None
    ) -> tuple[UInt8[np.ndarray, "n height width colors"], Int[np.ndarray, " n"]]:
        """Some of the pictures as a network expects them, in eight bits, and their labels; read in threads.

        A picture that cannot be read is an error with its name; with ``bad="skip"`` it is left out, and told in a
        warning.

        Parameters
        ----------
        preprocessing
            Size and cut (its mean and std are not used: ``(pixels / 255 − mean)/std``).
        indices
            Which pictures (n,); all by default.
        num_threads
            Threads that decode; as many as there are cores by default.

        Raises
        ------
        ValueError
            If a picture is damaged, an index is out of range, or none is left.
        """
        check_instance("preprocessing", preprocessing, Preprocessing, "datasets.Preprocessing((224, 224, 3))")
        threads = check_optional(check_integer, "num_threads", num_threads, minimum=1)
        chosen = self._chosen(np.arange(len(self)) if indices is None else indices)
        with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
            read = list(pool.map(lambda index: self._read(preprocessing, int(index)), chosen))
        damaged = [item for item in read if isinstance(item, str)]
        if damaged:
            warn(f"{len(damaged)} of {len(read)} pictures were left out: {listed(damaged, _LISTED)}")
        kept = [place for place, item in enumerate(read) if not isinstance(item, str)]
        require(bool(kept), f"none of {len(read)} pictures can be read: {listed(damaged, _LISTED)}")
        return np.stack([np.asarray(read[place]) for place in kept]), self.labels[chosen[kept]]

    def select(self, indices: Any) -> "Pictures":
        """Some of them, in the given order.

        Raises
        ------
        ValueError
            If an index is out of range.
        """
        chosen = self._chosen(indices)
        return Pictures([self.places[index] for index in chosen], self.labels[chosen], self.classes, bad=self.bad)

    def _chosen(self, indices: Any) -> Int[np.ndarray, " n"]:
        chosen = host_real("indices", indices, "n").astype(np.int64)
        inside = bool(len(chosen)) and bool(chosen.min() >= 0 and chosen.max() < len(self))
        require(inside, f"indices must be from 0 to {len(self) - 1}, and at least one")
        return chosen

    def _read(self, preprocessing: Preprocessing, index: int) -> np.ndarray | str:
        """A picture, or why it cannot be read."""
        place = self.places[index]
        try:
            return preprocessing.pixels(place)
        except (OSError, ValueError) as error:
            if self.bad == "refuse":
                raise ValueError(f'{error}; bad="skip" leaves such pictures out') from error
            return str(error)


def image_folder(path: str | os.PathLike[str], *, bad: str = "refuse") -> Pictures:
    """Pictures in a folder that has a subfolder for each class, named by it, with pictures at any depth.

    Parameters
    ----------
    path
        The folder. Classes are its subfolders in alphabetical order, as torchvision numbers them.
    bad
        What is done about a picture that cannot be read: ``"refuse"`` or ``"skip"`` (told in a warning).

    Returns
    -------
    Pictures

    Raises
    ------
    OSError
        If there is no such folder, or it may not be read.
    ValueError
        If it has no subfolders with pictures, or one is empty.
    """
    folder = as_path("path", path).expanduser()
    if not folder.is_dir():
        raise (
            NotADirectoryError(f"path {folder} is no folder")
            if folder.exists()
            else FileNotFoundError(f"path {folder} does not exist")
        )
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    loose = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    hint = f"; it holds pictures itself ({listed(loose, _LISTED)}): put those of a class into a folder" if loose else ""
    require(bool(classes), f"{folder} has no subfolder for a class{hint}")
    places, labels, empty = [], [], []
    for number, name in enumerate(classes):
        files = sorted(file for file in (folder / name).rglob("*") if file.suffix.lower() in SUFFIXES)
        empty += [] if files else [name]
        places += [Place(file, str(file)) for file in files]
        labels += [number] * len(files)
    require(not empty, f"{folder}: no pictures in {listed(empty, _LISTED)}; classes are subfolders of pictures")
    return Pictures(places, labels, classes, bad=bad)


def imagenet(path: str | os.PathLike[str], *, split: str = "train", bad: str = "refuse") -> Pictures:
    """ILSVRC 2012 from its own archives, which are never unpacked, or from folders; nothing is downloaded.

    Parameters
    ----------
    path
        A folder with ``ILSVRC2012_img_train.tar`` (1000 archives of a class within), or ``ILSVRC2012_img_val.tar`` and
        ``ILSVRC2012_devkit_t12.tar.gz`` (or what it unpacks to); or with folders ``train`` and ``val`` of a folder for
        each class.
    split
        ``"train"`` or ``"validation"``.
    bad
        As for `image_folder`.

    Returns
    -------
    Pictures
        Classes are WordNet's numbers in alphabetical order, as published networks number them.

    Raises
    ------
    OSError
        If there is no such folder, or a file may not be read.
    ValueError
        If neither archive nor folder is there (what is needed is told), or an archive is damaged or another.

    References
    ----------
    Russakovsky et al. (2015), ImageNet large scale visual recognition challenge, Int. J. Comput. Vis. 115, 211–252.
    """
    folder = as_path("path", path).expanduser()
    check_choice("split", split, tuple(_SPLITS))
    if not folder.is_dir():
        raise FileNotFoundError(f"path {folder} is no folder")
    for name in _SPLITS[split]:
        if (folder / name).is_dir():
            return image_folder(folder / name, bad=bad)
    if split == "train":
        return _of_training(folder, bad)
    return _of_validation(folder, bad)


def _of_training(folder: Path, bad: str) -> Pictures:
    archive = folder / _TRAIN
    require(archive.is_file(), f"{folder} has neither a folder train nor {_TRAIN}")
    places, names = [], []
    with _opened(archive) as outer:
        for member in outer:
            if not member.isfile():
                continue
            require(member.name.endswith(".tar"), f"{archive} holds {member.name!r}, which is no archive of a class")
            with _opened(archive, outer.extractfile(member)) as inner:
                files = [file for file in inner if file.isfile()]
            # the archives are not packed: a picture is where it is in the file
            places += [Place(archive, file.name, member.offset_data + file.offset_data, file.size) for file in files]
            names += [Path(member.name).stem] * len(files)
    require(bool(places), f"{archive} holds no pictures")
    classes = sorted(set(names))
    return Pictures(places, [classes.index(name) for name in names], classes, bad=bad)


def _of_validation(folder: Path, bad: str) -> Pictures:
    archive = folder / _VALIDATION
    require(archive.is_file(), f"{folder} has neither a folder val nor {_VALIDATION}")
    truth, wordnet = _devkit(folder)
    with _opened(archive) as opened:
        files = sorted((member for member in opened if member.isfile()), key=lambda member: member.name)
    require(
        len(files) == len(truth),
        f"{archive} holds {len(files)} pictures, and {_DEVKIT} the classes of {len(truth)}: they belong together",
    )
    classes = sorted(wordnet.values())
    number = {identity: classes.index(name) for identity, name in wordnet.items()}
    unknown = sorted(set(truth) - set(number))
    require(not unknown, f"{folder / _DEVKIT} names classes that it does not describe: {listed(unknown, _LISTED)}")
    places = [Place(archive, member.name, member.offset_data, member.size) for member in files]
    return Pictures(places, [number[identity] for identity in truth], classes, bad=bad)


def _devkit(folder: Path) -> tuple[list[int], dict[int, str]]:
    """Class of every validation picture, and the WordNet number of every class, of the leaves of the hierarchy."""
    import scipy.io  # noqa: PLC0415  slow to import

    wanted = ("data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat")
    unpacked, packed = folder / _DEVKIT, folder / f"{_DEVKIT}.tar.gz"
    if unpacked.is_dir():
        held: list[Any] = [unpacked / name for name in wanted]
        for file in held:
            require(file.is_file(), f"{file} does not exist")
        truth, meta = held[0].read_text(), held[1]
        table = _meta(scipy.io, meta)
    else:
        require(
            packed.is_file(), f"{folder} has neither {_DEVKIT}.tar.gz nor what it unpacks to, which names the classes"
        )
        with _opened(packed) as opened:
            streams = [opened.extractfile(f"{_DEVKIT}/{name}") for name in wanted]
            require(all(streams), f"{packed} lacks {' or '.join(wanted)}")
            text, meta = streams
            truth, table = text.read().decode() if text else "", _meta(scipy.io, meta)
    leaves = {int(row[0]): str(row[1]) for row in table if int(row[4]) == 0}
    return [int(word) for word in truth.split()], leaves


def _meta(reader: Any, source: Any) -> Any:
    try:
        return reader.loadmat(source, squeeze_me=True)["synsets"]
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise ValueError(f"{_DEVKIT}: data/meta.mat cannot be read as the table of classes") from error


class _opened:  # noqa: N801  used as a function
    """A tar archive, whose damage is told with its name."""

    def __init__(self, path: Path, stream: Any = None):
        self.path, self.stream = path, stream

    def __enter__(self) -> tarfile.TarFile:
        try:
            self.archive = tarfile.open(None if self.stream else self.path, fileobj=self.stream)
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{self.path} is no tar archive, or is damaged") from error
        return self.archive

    def __exit__(self, kind: Any, error: Any, _trace: Any) -> None:
        self.archive.close()
        if isinstance(error, tarfile.TarError | EOFError):
            raise ValueError(f"{self.path} is truncated or damaged") from error
