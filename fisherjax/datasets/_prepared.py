"""CIFAR through TensorFlow Datasets, without TensorFlow: prepared array_record data, and its checked download."""

import io
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from fisherjax._errors import require

from ._variants import Variant

_PATIENCE = 15  # seconds to find out whether there is a network
_INSTALL = "pip install 'fisherjax[cifar]'"


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
    from PIL import Image  # noqa: PLC0415

    try:
        builder = tfds.builder_from_directory(str(folder))
        require(builder.name == variant.name, f"{folder} holds {builder.name}, not {variant.name}")
        kind = builder.info.file_format.value
        require(
            kind == "array_record",
            f"{folder} was prepared as {kind}, which needs TensorFlow; prepare it with file_format='array_record'",
        )
        require(split in builder.info.splits, f"{folder} has no split {split!r}, only {sorted(builder.info.splits)}")
        skip = {"image": tfds.decode.SkipDecoding()}
        source = builder.as_data_source(split=split, decoders=skip)
        rows = [source[index] for index in range(len(source))]
        names = [row["id"].decode() if isinstance(row["id"], bytes) else str(row["id"]) for row in rows]
        order = np.argsort(names, kind="stable")
        images = np.stack([np.asarray(Image.open(io.BytesIO(rows[index]["image"])).convert("RGB")) for index in order])
        labels = np.array([rows[index][variant.labels.feature] for index in order], np.int32)
    except ValueError:
        raise
    except Exception as error:
        # array_record, protobuf and pillow each have errors of their own for damaged data
        raise ValueError(f"{folder} cannot be read as a prepared data set: {error}") from error
    return images, labels


def download(variant: Variant, folder: Path, *, url_infos: dict[str, Any] | None = None) -> Path:
    """The archive from TensorFlow Datasets' cache, or downloaded into it with the registered size and checksum.

    A file put by hand into ``folder/downloads/manual`` is checked and used. What fails leaves the cache as it was.

    Raises
    ------
    ImportError
        If tensorflow-datasets is not installed.
    ConnectionError
        If the archive is not there and cannot be reached; says what to download, and where to put it.
    ValueError
        If size or checksum are not the registered ones.
    """
    tfds = _import_tfds(f"downloading {variant.name}")
    downloads, manual = folder / "downloads", folder / "downloads" / "manual"
    existed = downloads.is_dir()
    before = set(downloads.rglob("*")) if existed else set()
    try:
        manager = tfds.download.DownloadManager(
            download_dir=downloads,
            manual_dir=manual if manual.is_dir() else None,
            dataset_name=variant.name,
            url_infos=url_infos,
            force_checksums_validation=True,
        )
        cached = any((downloads / variant.name).glob("*.INFO")) or (manual / variant.archive).is_file()
        if not cached:
            _check_reachable(variant, manual)
        return Path(os.fspath(manager.download(variant.url)))
    except ConnectionError:
        _restore(downloads, before, existed=existed)
        raise
    except Exception as error:
        _restore(downloads, before, existed=existed)
        if type(error).__name__ == "NonMatchingChecksumError":
            raise ValueError(f"{variant.archive} has a wrong size or checksum and was not kept: {error}") from error
        raise ConnectionError(f"the download failed: {error}. {_by_hand(variant, manual)}") from error


def _check_reachable(variant: Variant, manual: Path) -> None:
    """Find out quickly whether there is a network: the download itself would try again for minutes."""
    try:
        request = urllib.request.Request(variant.url, method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310
            pass
    except (urllib.error.URLError, OSError) as error:
        raise ConnectionError(f"{variant.url} cannot be reached ({error}). {_by_hand(variant, manual)}") from error


def _by_hand(variant: Variant, manual: Path) -> str:
    return (
        f"Download {variant.url} where there is a network and put it at {manual / variant.archive}, "
        f"or anywhere and give its path: {variant.name}('…/{variant.archive}')"
    )


def _restore(downloads: Path, before: set[Path], *, existed: bool) -> None:
    """Remove what a failed download has left."""
    if not existed:
        shutil.rmtree(downloads, ignore_errors=True)
        return
    for path in sorted(set(downloads.rglob("*")) - before, reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


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
