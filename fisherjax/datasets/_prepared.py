"""CIFAR through TensorFlow Datasets, without TensorFlow: prepared array_record data, and its checked download."""

import contextlib
import errno
import io
import os
import shutil
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisherjax._errors import require

from ._variants import Variant

_PATIENCE = 15  # seconds to find out whether there is a network
_LOCAL = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST}
SPLITS = ("train", "test")
_INSTALL = "pip install 'fisherjax[cifar]'"


class Remote(NamedTuple):
    """A file that TensorFlow Datasets has registered, with its size and checksum."""

    name: str  # of the data set
    url: str

    @property
    def archive(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


def first_images(
    images: np.ndarray, labels: np.ndarray, count: int | None, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """The first so many images of a split and their labels, all for None; ValueError if there are fewer."""
    held = len(labels)
    require(count is None or count <= held, f"num_images={count}, but the {split} split holds {held} images")
    return images[:count], labels[:count]


def data_folder() -> Path:
    """The data directory of TensorFlow Datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def find_prepared(folder: Path, variant: Variant) -> Path | None:
    """A prepared version of the data set in this folder, the newest one, or the folder itself."""
    if (folder / "dataset_info.json").is_file():
        return folder
    versions = sorted((folder / variant.name).glob("*/dataset_info.json"), key=lambda path: _version(path.parent.name))
    return versions[-1].parent if versions else None


def read_prepared(folder: Path, variant: Variant, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of array_record files that TensorFlow Datasets has prepared, in their original order.

    Raises
    ------
    ImportError
        If tensorflow-datasets, importlib_resources or pillow is not installed.
    ValueError
        If the folder holds another data set, another file format, or is damaged.
    """
    tfds = _import_tfds(f"reading {folder}")
    try:
        builder = tfds.builder_from_directory(str(folder))
        kind = builder.info.file_format.value
        splits = sorted(builder.info.splits)
    except Exception as error:
        # tfds and protobuf each have errors of their own for damaged data
        raise ValueError(f"{folder} cannot be read as a prepared data set: what describes it is damaged") from error
    require(builder.name == variant.name, f"{folder} holds {builder.name}, not {variant.name}")
    require(
        kind == "array_record",
        f"{folder} was prepared as {kind}, which needs TensorFlow; prepare it with file_format='array_record'",
    )
    require(split in splits, f"{folder} has no split {split!r}, only {splits}")
    try:
        source = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        rows = [source[index] for index in range(len(source))]
        names = [row["id"].decode() if isinstance(row["id"], bytes) else str(row["id"]) for row in rows]
        order = np.argsort(names, kind="stable")
        images = np.stack([_pixels(rows[index]["image"]) for index in order])
        labels = np.array([rows[index][variant.labels.feature] for index in order], np.int32)
    except Exception as error:
        # and so have array_record and pillow
        raise ValueError(f"{folder} cannot be read as a prepared data set: it is truncated or damaged") from error
    wrong = labels[(labels < 0) | (labels >= len(variant.labels.classes))]
    require(
        wrong.size == 0, f"{folder} has label {wrong[:1]}; {variant.name} has {len(variant.labels.classes)} classes"
    )
    return images, labels


def _pixels(picture: bytes) -> np.ndarray:
    from PIL import Image  # noqa: PLC0415

    opened = Image.open(io.BytesIO(picture))
    # a few bytes can claim a picture that fills the memory
    require(opened.size == (32, 32), f"pictures must have 32 × 32 pixels, got {opened.size}")
    return np.asarray(opened.convert("RGB"))


def download(variant: Variant | Remote, folder: Path, *, url_infos: dict[str, Any] | None = None) -> Path:
    """The archive from TensorFlow Datasets' cache, or downloaded into it with the registered size and checksum.

    A file put by hand into ``folder/downloads/manual`` is checked and used. What fails leaves nothing.

    Raises
    ------
    ImportError
        If tensorflow-datasets is not installed.
    ConnectionError
        If the archive is not there and cannot be reached; says what to download, and where to put it.
    OSError
        If the cache cannot be written.
    ValueError
        If size or checksum are not the registered ones.
    """
    tfds = _import_tfds(f"downloading {variant.name}")
    from tensorflow_datasets.core.download import checksums, resource  # noqa: PLC0415

    downloads, manual = folder / "downloads", folder / "downloads" / "manual"
    expected = {**checksums.get_all_url_infos(), **(url_infos or {})}[variant.url]
    name = resource.get_dl_fname(variant.url, expected.checksum)
    for cached in (downloads / variant.name / name, downloads / name):
        described = cached.with_name(f"{name}.INFO").is_file()
        if described and cached.is_file() and cached.stat().st_size == expected.size:
            return cached
    by_hand = (manual / variant.archive).is_file()
    if not by_hand:
        _check_reachable(variant, manual)
    # the innermost first
    made = [path for path in (downloads, *downloads.parents) if not path.exists()]
    # what others download at the same time is theirs: this process writes into a folder of its own and renames
    own = downloads / f".fisherjax-{uuid.uuid4().hex[:12]}"
    try:
        own.mkdir(parents=True)
        manager = tfds.download.DownloadManager(
            download_dir=own / "downloads",
            extract_dir=own / "extracted",
            manual_dir=manual if by_hand else None,
            dataset_name=variant.name,
            url_infos=url_infos,
            force_checksums_validation=True,
        )
        written = Path(os.fspath(manager.download(variant.url)))
        return written if by_hand else _kept(written, downloads / variant.name / name)
    except Exception as error:
        raise _told(error, variant, downloads, manual, expected.size) from error
    finally:
        shutil.rmtree(own, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()  # only if it is empty


def _kept(written: Path, target: Path) -> Path:
    """Rename a download to its place in the cache, its description first: both must be there to count."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for ending in (".INFO", ""):
        written.with_name(written.name + ending).replace(target.with_name(target.name + ending))
    return target


def _told(error: Exception, variant: Variant | Remote, downloads: Path, manual: Path, size: int) -> Exception:
    """What went wrong: this machine's disk, the file, or the network."""
    if type(error).__name__ == "NonMatchingChecksumError":
        return ValueError(
            f"{variant.archive} has a wrong size or checksum and was not kept; the right one has {size} bytes"
        )
    if isinstance(error, OSError) and error.errno in _LOCAL:
        return type(error)(
            f"{error.filename or downloads} cannot be written ({error.strerror}); set TFDS_DATA_DIR to a folder that "
            f"can. {_by_hand(variant, manual)}"
        )
    return ConnectionError(f"the download of {variant.url} failed. {_by_hand(variant, manual)}")


def _check_reachable(variant: Variant | Remote, manual: Path) -> None:
    """Find out quickly whether there is a network: the download itself would try again for minutes."""
    try:
        request = urllib.request.Request(variant.url, method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310
            pass
    except (urllib.error.URLError, OSError) as error:
        raise ConnectionError(
            f"{variant.url} cannot be reached ({_reason(error)}). {_by_hand(variant, manual)}"
        ) from error


def _reason(error: OSError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code}"
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return f"no answer within {_PATIENCE} seconds"
    return (inner.strerror if isinstance(inner, OSError) else None) or "no connection"


def _by_hand(variant: Variant | Remote, manual: Path) -> str:
    return (
        f"Download {variant.url} where there is a network and put it at {manual / variant.archive}, "
        f"or anywhere and give its path to {variant.name}"
    )


def _import_tfds(purpose: str) -> Any:
    try:
        import PIL  # noqa: F401, PLC0415
        import tensorflow_datasets as tfds  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs TensorFlow Datasets (without TensorFlow): {_INSTALL}. A CIFAR archive or folder given by "
            "its path needs nothing"
        ) from error
    return tfds


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in name.split("."))
