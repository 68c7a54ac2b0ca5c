"""CIFAR-10 and CIFAR-100 from an archive, a folder, or TensorFlow Datasets; never through TensorFlow or torch."""

import io
import os
import tarfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int32, UInt8

from fisherjax._errors import as_path, check_choice, check_integer, check_optional, require
from fisherjax._npy import told_bytes

from ._prepared import SPLITS, data_folder, download, find_prepared, first_images, read_prepared
from ._variants import CIFAR10, CIFAR100, COARSE, Variant, parse_binary, parse_python

_GZIP = b"\x1f\x8b"
_LARGEST = 2**28  # bytes of an archive, packed or not: those of CIFAR have 170 and 186 million
_CHUNK = 2**20


def cifar10(
    path: str | os.PathLike[str] | None = None, *, split: str = "train", num_images: int | None = None
) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Load CIFAR-10: 50 000 training and 10 000 test images of ten classes.

    They are airplane, automobile, bird, cat, deer, dog, frog, horse, ship and truck, from 0.

    Parameters
    ----------
    path
        An archive (``cifar-10-binary.tar.gz`` or ``cifar-10-python.tar.gz``), a folder that holds it or its unpacked
        files (as torchvision's ``root``), or a folder that TensorFlow Datasets has prepared as array_record. Without
        it: what TensorFlow Datasets has
        in its data directory (``TFDS_DATA_DIR``, by default ``~/tensorflow_datasets``), else a download to there
        with the registered size and checksum, once.
    split
        ``"train"`` or ``"test"``.
    num_images
        The first so many; their order is random already. All by default.

    Returns
    -------
    Images (n, 32, 32, 3) uint8, and labels (n,) int32, in the order of the original files.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`, or a folder without the files; if some are there, which are missing.
    OSError
        If a file may not be read, or the data directory not be written.
    ValueError
        If the data are truncated, damaged or something else, a checksum is wrong, `split` is misspelt, or there
        are fewer images than asked for. Python pickles are read without running anything in them.
    ImportError
        If TensorFlow Datasets is needed (``pip install 'fisherjax[cifar]'``).
    ConnectionError
        If there is no network; the message says what to download, and where to put it.

    References
    ----------
    Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    return _load(CIFAR10, path, split, num_images)


def cifar100(
    path: str | os.PathLike[str] | None = None,
    *,
    split: str = "train",
    labels: str = "fine",
    num_images: int | None = None,
) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Load CIFAR-100: as `cifar10`, with 100 classes (`CIFAR100_CLASSES`).

    Parameters
    ----------
    path, split, num_images
        As for `cifar10`.
    labels
        ``"fine"`` (100 classes) or ``"coarse"`` (the 20 of `CIFAR100_SUPERCLASSES`).
    """
    check_choice("labels", labels, ("fine", "coarse"))
    return _load(CIFAR100 if labels == "fine" else CIFAR100._replace(labels=COARSE), path, split, num_images)


def _load(
    variant: Variant, path: str | os.PathLike[str] | None, split: str, num_images: int | None
) -> tuple[np.ndarray, np.ndarray]:
    check_choice("split", split, SPLITS)
    wanted = check_optional(check_integer, "num_images", num_images, minimum=1)
    if path is None:
        folder = data_folder()
        prepared = find_prepared(folder, variant)
        images, labels = (
            read_prepared(prepared, variant, split)
            if prepared
            else _read_archive(variant, download(variant, folder), split)
        )
    else:
        images, labels = _read(variant, as_path("path", path).expanduser(), split)
    return first_images(images, labels, wanted, split)


def _read(variant: Variant, path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    if path.is_file():
        return _read_archive(variant, path, split)
    if not path.is_dir():
        what = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise FileNotFoundError(f"{path} {what}")
    prepared = find_prepared(path, variant)
    if prepared:
        return read_prepared(prepared, variant, split)
    incomplete = []
    for folder in (path, *(path / name for name in variant.folders)):
        for files in (variant.binary_files[split], variant.python_files[split]):
            missing = [name for name in files if not (folder / name).is_file()]
            if not missing:
                return _parse(variant, str(folder), {name: _sized(folder / name).read_bytes() for name in files}, split)
            if len(missing) < len(files):
                incomplete.append(f"{folder} lacks {', '.join(missing)}")
    for name in variant.archives:
        if (path / name).is_file():
            return _read_archive(variant, path / name, split)
    if incomplete:
        raise FileNotFoundError(f"{'; '.join(incomplete)}, of the {split} split of {variant.name}")
    raise FileNotFoundError(
        f"{path} holds no {variant.name}: neither {', '.join(variant.binary_files[split])}, nor "
        f"{', '.join(variant.python_files[split])}, nor {' or '.join(variant.archives[:2])}, nor a folder prepared by "
        "TensorFlow Datasets"
    )


def _read_archive(variant: Variant, path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    members = _read_members(path, {*variant.binary_files[split], *variant.python_files[split]})
    return _parse(variant, str(path), members, split)


def _parse(variant: Variant, where: str, members: Mapping[str, bytes], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Batches of one split in their order, of whichever format is there."""
    for files, parse in ((variant.binary_files[split], parse_binary), (variant.python_files[split], parse_python)):
        present = [name for name in files if name in members]
        if present:
            missing = [name for name in files if name not in members]
            require(not missing, f"{where} lacks {', '.join(missing)}")
            parts = [parse(variant, f"{where}: {name}", members[name]) for name in files]
            # written into place: concatenation would keep the planes of the files as its memory order
            images = np.empty((sum(len(part[1]) for part in parts), 32, 32, 3), np.uint8)
            np.concatenate([part[0] for part in parts], out=images)
            return images, np.concatenate([part[1] for part in parts])
    raise ValueError(f"{where} is not an archive of {variant.name}: it has no {variant.binary_files[split][0]}")


def _read_members(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Contents of the wanted files, by base name, of a tar archive that may be gzipped.

    Raises
    ------
    ValueError
        If it is not such an archive, is larger than the data sets here are, packed or unpacked, is truncated (which
        member, how many bytes short) or damaged, holds a member that points outside, or a wanted file that is not a
        regular one.
    """
    data, whole = _contents(path)
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{path}: the member {member.name!r} points outside of the archive")
                if name.name in wanted:
                    members[name.name] = _member(path, member, data)
    except (tarfile.TarError, OSError, OverflowError, IndexError, KeyError, TypeError, UnicodeError) as error:
        if not members:
            raise ValueError(f"{path} is not a tar archive, or is damaged") from error
        raise ValueError(f"{path} is damaged after {list(members)[-1]}") from error
    if not whole:
        after = f" after {list(members)[-1]}" if members else ""
        raise ValueError(f"{path} is truncated{after}: the compressed data ends early")
    return members


def _sized(path: Path) -> Path:
    """The path, unless the file is larger than any file of the data sets here."""
    size = path.stat().st_size
    require(size <= _LARGEST, f"{path} has {told_bytes(size)}, more than {_LARGEST} bytes: not the file it should be")
    return path


def _contents(path: Path) -> tuple[bytes, bool]:
    """Bytes of the archive, unpacked piece by piece, and whether they came to their end."""
    with _sized(path).open("rb") as stream:
        packed = stream.read(len(_GZIP)) == _GZIP
        stream.seek(0)
        if not packed:
            return stream.read(), True
        engine, data = zlib.decompressobj(wbits=31), bytearray()
        try:
            while not engine.eof and (block := stream.read(_CHUNK)):
                data += engine.decompress(block, _LARGEST + 1 - len(data))
                if len(data) > _LARGEST:
                    raise ValueError(f"{path} unpacks to more than {_LARGEST} bytes: not the archive it should be")
        except zlib.error as error:
            raise ValueError(f"{path} is damaged: it cannot be unpacked by gzip") from error
        return bytes(data), engine.eof


def _member(path: Path, member: tarfile.TarInfo, data: bytes) -> bytes:
    regular = member.isreg() and not member.issparse()
    require(regular, f"{path}: the member {member.name!r} is not a regular file")
    contents = data[member.offset_data : member.offset_data + member.size]
    missing = member.size - len(contents)
    short = f"the member {member.name!r} is {missing} bytes short of {member.size}"
    require(not missing, f"{path} is truncated: {short}")
    return contents
