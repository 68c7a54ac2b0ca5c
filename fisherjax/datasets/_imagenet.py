"""ILSVRC 2012 (ImageNet) in the archives that it is handed out in."""

import os
import tarfile
from pathlib import Path
from typing import Any

from fisherjax._errors import as_path, check_choice, listed, require

from ._pictures import Place, Preprocessing
from ._sources import Pictures, image_folder

_TRAIN, _VALIDATION, _DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12"
_LISTED = 5
_SPLITS = {"train": ("train",), "validation": ("val", "validation")}

Listing = tuple[list[Place], list[int], list[str]]  # pictures, their classes, and the names of these


def imagenet(
    path: str | os.PathLike[str],
    *,
    split: str = "train",
    preprocessing: Preprocessing | None = None,
    bad: str = "refuse",
) -> Pictures:
    """ILSVRC 2012 from its own archives, which are never unpacked, or from folders; nothing is downloaded.

    Parameters
    ----------
    path
        A folder with ``ILSVRC2012_img_train.tar`` (1000 archives of a class within), or ``ILSVRC2012_img_val.tar`` and
        ``ILSVRC2012_devkit_t12.tar.gz`` (or what it unpacks to); or with folders ``train`` and ``val`` of a folder for
        each class.
    split
        ``"train"`` or ``"validation"``.
    preprocessing, bad
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
            return image_folder(folder / name, preprocessing=preprocessing, bad=bad)
    listing = _of_training(folder) if split == "train" else _of_validation(folder)
    return Pictures(*listing, preprocessing=preprocessing, bad=bad)


def _of_training(folder: Path) -> Listing:
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
    return places, [classes.index(name) for name in names], classes


def _of_validation(folder: Path) -> Listing:
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
    return places, [number[identity] for identity in truth], classes


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
