"""Labeled pictures that stay where they are, in folders or archives, and are read when they are needed."""

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

from ._pictures import Part, Place, Preprocessing

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_LISTED = 5
_MOST_THREADS = 32
_AHEAD = 2  # batches that are decoded while one is worked on


class Pictures:
    """Labeled pictures in files or archives, none of them in memory; `image_folder` and `imagenet` make them.

    Names, labels and classes are known beforehand; `pixels` reads some of them as a network expects them. Training and
    evaluation of `vision` take them in place of images and labels, and read them in threads while the device works.
    """

    def __init__(
        self,
        places: Sequence[Place],
        labels: Any,
        classes: Sequence[str],
        *,
        preprocessing: Preprocessing | None = None,
        bad: str = "refuse",
    ):
        self.places: tuple[Place, ...] = tuple(places)
        self.classes: tuple[str, ...] = tuple(classes)
        self.labels: Int[np.ndarray, " n"] = np.asarray(labels, np.int32)
        usual = Preprocessing() if preprocessing is None else preprocessing
        self.preprocessing: Preprocessing = check_instance(
            "preprocessing", usual, Preprocessing, "datasets.Preprocessing()"
        )
        self.bad: str = check_choice("bad", bad, ("refuse", "skip"))
        self._told: set[int] = set()

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return f"Pictures({len(self)} of {len(self.classes)} classes: {listed(self.classes, _LISTED)})"

    @property
    def names(self) -> list[str]:
        """Of the files."""
        return [place.name for place in self.places]

    def pixels(
        self, indices: Any = None, *, num_threads: int | None = None
    ) -> tuple[UInt8[np.ndarray, "n height width colors"], Int[np.ndarray, " n"]]:
        """Some of the pictures, shrunk and cut as `preprocessing` says, in eight bits, and their labels.

        A picture that cannot be read is an error with its name; with ``bad="skip"`` it is left out, and told in a
        warning. A network expects ``preprocessing.standardized(pixels)``.

        Parameters
        ----------
        indices
            Which pictures (n,); all by default.
        num_threads
            Threads that decode; as many as there are cores by default.

        Raises
        ------
        ValueError
            If a picture is damaged, an index is out of range, or none is left.
        """
        chosen = self._chosen(np.arange(len(self)) if indices is None else indices)
        with ThreadPoolExecutor(threads_for(num_threads)) as pool:
            read = list(pool.map(lambda index: self._read(int(index)), chosen))
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
        places, options = [self.places[index] for index in chosen], {"bad": self.bad}
        return Pictures(places, self.labels[chosen], self.classes, preprocessing=self.preprocessing, **options)

    def prepared(self, preprocessing: Preprocessing, *, bad: str | None = None) -> "Pictures":
        """The same pictures as another network expects them, or with another answer to bad ones."""
        return Pictures(self.places, self.labels, self.classes, preprocessing=preprocessing, bad=bad or self.bad)

    def split(self, share: float) -> tuple["Pictures", "Pictures"]:
        """Most of them, and of every class a share (at least one) that is set aside.

        Which ones follows from the names of the files, as good as at random, and is the same every time.

        Raises
        ------
        ValueError
            If a class has no two pictures.
        """
        aside: list[int] = []
        for number, name in enumerate(self.classes):
            own = np.flatnonzero(self.labels == number)
            require(len(own) != 1, f"class {name} has one picture; one to learn and one to set aside are needed")
            count = max(1, round(share * len(own)))
            aside += sorted(own.tolist(), key=lambda index: zlib.crc32(Path(self.places[index].name).name.encode()))[
                : count if len(own) else 0
            ]
        kept = np.setdiff1d(np.arange(len(self)), aside)
        return self.select(kept), self.select(np.sort(aside))

    @property
    def fingerprint(self) -> str:
        """Of names, sizes, labels and preprocessing; the pictures themselves are not read."""
        summary = hashlib.sha256(repr((self.classes, self.preprocessing)).encode())
        summary.update(self.labels.tobytes())
        for place in self.places:
            summary.update(f"{Path(place.name).name} {place.num_bytes}\n".encode())
        return summary.hexdigest()

    def read_or_next(self, index: int, part: Part | None = None) -> tuple[np.ndarray, int]:
        """Pixels and label of a picture, with ``bad="skip"`` of the next one that can be read; each bad one is told."""
        for step in range(len(self)):
            place = (index + step) % len(self)
            read = self._read(place, part)
            if not isinstance(read, str):
                return read, int(self.labels[place])
            if place not in self._told:
                self._told.add(place)
                warn(f"the picture after it is shown instead of {read}")
        raise ValueError(f"none of {len(self)} pictures can be read")

    def _chosen(self, indices: Any) -> Int[np.ndarray, " n"]:
        chosen = host_real("indices", indices, "n").astype(np.int64)
        inside = bool(len(chosen)) and bool(chosen.min() >= 0 and chosen.max() < len(self))
        require(inside, f"indices must be from 0 to {len(self) - 1}, and at least one")
        return chosen

    def _read(self, index: int, part: Part | None = None) -> np.ndarray | str:
        """A picture, or why it cannot be read."""
        place = self.places[index]
        try:
            return self.preprocessing.pixels(place, part)
        except (OSError, ValueError) as error:
            if self.bad == "refuse":
                raise ValueError(f'{error}; bad="skip" leaves such pictures out') from error
            return str(error)


class Reader:
    """Batches of pictures, decoded in threads ahead of their use."""

    def __init__(self, pictures: Pictures, num_threads: int | None = None):
        self.pictures = pictures
        self.pool = ThreadPoolExecutor(threads_for(num_threads))
        self.ahead: dict[int, list[Future[tuple[np.ndarray, int]]]] = {}

    def order(self, number: int, indices: Any, parts: Sequence[Part] | None = None) -> None:
        """Begin to decode batch `number`, unless that was begun before."""
        if number not in self.ahead:
            cuts = [None] * len(indices) if parts is None else parts
            pairs = zip(indices, cuts, strict=True)
            self.ahead[number] = [self.pool.submit(self.pictures.read_or_next, int(i), part) for i, part in pairs]

    def take(self, number: int) -> tuple[UInt8[np.ndarray, "n height width colors"], Int[np.ndarray, " n"]]:
        """Pixels and labels of a batch that was ordered."""
        read = [future.result() for future in self.ahead.pop(number)]
        return np.stack([pixels for pixels, _ in read]), np.array([label for _, label in read], np.int32)

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All pictures in order, in batches."""
        parts = [
            np.arange(begin, min(begin + size, len(self.pictures))) for begin in range(0, len(self.pictures), size)
        ]
        try:
            for number in range(len(parts)):
                for following in range(number, min(number + 1 + _AHEAD, len(parts))):
                    self.order(following, parts[following])
                yield self.take(number)
        finally:
            self.close()

    def close(self) -> None:
        """What was ordered and not begun is not decoded."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def threads_for(num_threads: int | None) -> int:
    """How many threads decode: the cores, unless told."""
    asked = check_optional(check_integer, "num_threads", num_threads, minimum=1)
    return asked or min(os.cpu_count() or 1, _MOST_THREADS)


def image_folder(
    path: str | os.PathLike[str], *, preprocessing: Preprocessing | None = None, bad: str = "refuse"
) -> Pictures:
    """Pictures in a folder that has a subfolder for each class, named by it, with pictures at any depth.

    Parameters
    ----------
    path
        The folder. Classes are its subfolders in alphabetical order, as torchvision numbers them.
    preprocessing
        Size, cut, mean and deviation; ``Preprocessing()``, that of networks trained on ImageNet, by default.
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
    return Pictures(places, labels, classes, preprocessing=preprocessing, bad=bad)
