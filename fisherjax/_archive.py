"""Archives of arrays (.npz): one writer whose files show any damage, and one reader that looks before it reads.

A file that the library writes ends with a SHA-256 over all that stands before it, as the comment of the zip archive:
NumPy reads such a file as any other, and a bit that flipped anywhere in it is noticed. Files of others have only the
zip format's own checksums (CRC-32 of every entry), which notice a flip in the contents.

What a reader believes is checked first against what is there: sizes in the zip directory and in the headers of arrays
must agree with each other, and their sum is bounded by the size of the file, so that a small file cannot fill memory.
"""

import ast
import hashlib
import io
import math
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

_SEAL = b"fisherjax sha256 "
_DIGITS = 64
_CHUNK = 2**22
_FREE_SIZE, _MOST_EXPANSION = 2**28, 100  # an archive may hold 256 MiB, or a hundred times its own size
_NPY = b"\x93NUMPY"
_MOST_HEADER = 2**16
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNREADABLE_FLAGS = 0x2061  # encrypted in any way, or a patch of another file

# what zipfile raises for a damaged archive, RuntimeError and NotImplementedError included; a failing disk is an OSError
_BROKEN = (zipfile.BadZipFile, EOFError, struct.error, UnicodeDecodeError, RuntimeError, OverflowError)

Source = str | os.PathLike[str] | bytes


class DamagedFileError(ValueError):
    """A file that is truncated or was changed since it was written."""


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz archive of these arrays, sealed with its checksum; the same arrays give the same bytes.

    It is compressed, unless that would make it so small that `read_npz` would take it for a bomb.
    """
    data = _zipped(arrays, zipfile.ZIP_DEFLATED)
    if sum(array.nbytes for array in arrays.values()) > _most_bytes(len(data)) // 2:
        data = _zipped(arrays, zipfile.ZIP_STORED)
    return data + hashlib.sha256(data).hexdigest().encode()


def read_npz(source: Source, name: object = None, *, sealed: bool = False) -> dict[str, np.ndarray]:
    """All arrays of an .npz archive by name, in the order of the file.

    Parameters
    ----------
    source
        A path, or the contents.
    name
        What messages call it; by default the path.
    sealed
        Whether the checksum that `npz_bytes` adds must be there; where it is there, it must hold in any case.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    ValueError
        If it is refused: it is empty, truncated, another format, or fails a checksum; an entry is encrypted, packed in
        another way than NumPy does, named twice, named as a path outside the archive, or no array; an array is of
        objects or records (only numbers, Booleans and text are read); a header claims another size than the entry has;
        or the arrays would take more than 256 MiB and more than a hundred times the size of the file.
    """
    label = str(source) if name is None and not isinstance(source, bytes) else str(name or "data")
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), label, sealed=sealed)
    with Path(source).open("rb") as stream:
        return _read(stream, label, sealed=sealed)


def read_npy(source: Source, name: object = None) -> np.ndarray:
    """The array of an .npy file; refused, as by `read_npz`, are other formats, objects, and sizes that do not agree.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    ValueError
        If it is refused.
    """
    label = str(source) if name is None and not isinstance(source, bytes) else str(name or "data")
    if isinstance(source, bytes):
        return _array(io.BytesIO(source), len(source), label)
    with Path(source).open("rb") as stream:
        return _array(stream, os.fstat(stream.fileno()).st_size, label)


def _zipped(arrays: Mapping[str, np.ndarray], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=array.nbytes >= 2**30) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
        archive.comment = _SEAL + bytes(_DIGITS)  # its length is part of what is sealed
    return buffer.getvalue()[:-_DIGITS]


def _read(stream: BinaryIO, label: str, *, sealed: bool) -> dict[str, np.ndarray]:
    size = stream.seek(0, os.SEEK_END)
    _check_start(stream, size, label)
    if not _check_seal(stream, size, label) and sealed:
        raise DamagedFileError(f"{label} cannot be read: it lacks the checksum that fisherjax writes at the end")
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            _check_count(stream, size - len(archive.comment), len(entries), label)
            _check_entries(entries, size, label)
            return {entry.filename.removesuffix(".npy"): _entry(archive, entry, label) for entry in entries}
    except _BROKEN as error:
        raise DamagedFileError(f"{label} cannot be read: it is truncated or damaged") from error


def _check_start(stream: BinaryIO, size: int, label: str) -> None:
    stream.seek(0)
    start = stream.read(6)
    if not size:
        raise DamagedFileError(f"{label} cannot be read: it is empty")
    if not start.startswith(b"PK"):
        what = "an .npy file" if start == _NPY else "a Python pickle" if start[:1] == b"\x80" else "another format"
        raise DamagedFileError(f"{label} cannot be read: it is no .npz archive but {what}")


def _check_seal(stream: BinaryIO, size: int, label: str) -> bool:
    """Whether the file ends with a checksum; it must be the right one."""
    length = size - _DIGITS
    if length < len(_SEAL):
        return False
    stream.seek(length - len(_SEAL))
    if stream.read(len(_SEAL)) != _SEAL:
        return False
    stored = stream.read(_DIGITS)
    summary = hashlib.sha256()
    stream.seek(0)
    while length:
        block = stream.read(min(length, _CHUNK))
        summary.update(block)
        length -= len(block)
    if summary.hexdigest().encode() != stored:
        raise DamagedFileError(
            f"{label} cannot be read: it was changed or damaged since it was written (its checksum differs)"
        )
    return True


def _check_count(stream: BinaryIO, end: int, count: int, label: str) -> None:
    """A damaged length in the directory swallows the entries that follow; zipfile does not notice."""
    stream.seek(end - 12)
    stored = int.from_bytes(stream.read(2), "little")
    if stored not in {count, 0xFFFF}:
        raise DamagedFileError(f"{label} cannot be read: it is damaged; of its {stored} entries {count} are listed")


def _check_entries(entries: list[zipfile.ZipInfo], size: int, label: str) -> None:
    """Everything that the directory of the archive says, before any entry is read."""
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        where = f"{label} cannot be read: its entry {name[:80]!r}"
        if name in names:
            raise ValueError(f"{where} is there twice")
        names.add(name)
        if name.startswith("/") or "\\" in name or ".." in name.split("/") or "\0" in entry.orig_filename:
            raise ValueError(f"{where} is named as a path outside the archive")
        if entry.flag_bits & _UNREADABLE_FLAGS:
            raise ValueError(f"{where} is encrypted")
        if entry.compress_type not in _READABLE:
            raise ValueError(f"{where} is packed in a way that NumPy does not use (method {entry.compress_type})")
        if not name.endswith(".npy"):
            raise ValueError(f"{where} is no array")
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise DamagedFileError(f"{where} has two sizes, {entry.compress_size} and {entry.file_size} bytes")
    total = sum(entry.file_size for entry in entries)
    if total > _most_bytes(size):
        raise ValueError(
            f"{label} cannot be read: it would unpack to {told_bytes(total)}, more than {_MOST_EXPANSION} times its "
            f"{told_bytes(size)}; if you trust it, write it again without compression (numpy.savez)"
        )


def _most_bytes(size: int) -> int:
    """What an archive of this size may hold; zeros compress a thousandfold, so that only what is large is bounded."""
    return max(_FREE_SIZE, _MOST_EXPANSION * size)


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, label: str) -> np.ndarray:
    name = f"{label}: array {entry.filename.removesuffix('.npy')[:80]!r}"
    try:
        with archive.open(entry) as stream:
            array = _array(stream, entry.file_size, name)
            stream.read(1)  # at the end of an entry its checksum is looked at
            return array
    except (*_BROKEN, zlib.error) as error:
        raise DamagedFileError(f"{name} cannot be read: it is truncated or damaged") from error


def _array(stream: IO[bytes], size: int, name: str) -> np.ndarray:
    """One array in NumPy's format, `size` bytes long with its header."""
    start = stream.read(8)
    if start[:6] != _NPY or len(start) < 8:
        what = "it is empty" if not start else "it is truncated or not in NumPy's format (.npy)"
        raise DamagedFileError(f"{name} cannot be read: {what}")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if start[6] not in {1, 2, 3} or length > _MOST_HEADER:
        raise DamagedFileError(f"{name} cannot be read: its header is damaged")
    dtype, shape, by_columns = _header(stream.read(length), name)
    count, there = math.prod(shape), size - 8 - width - length
    if count * dtype.itemsize != there:
        claimed = f"its header claims {told_bytes(count * dtype.itemsize)} (shape {shape}, {dtype})"
        raise DamagedFileError(f"{name} cannot be read: {claimed}, but {told_bytes(max(there, 0))} are there")
    try:
        contents = np.empty(there, np.uint8)
        _fill(memoryview(contents), stream, name)
        flat = contents != 0 if dtype.kind == "b" else contents.view(dtype).astype(dtype.newbyteorder("="), copy=False)
        array = flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    except MemoryError as error:
        raise ValueError(f"{name} cannot be read: there is no memory for its {told_bytes(there)}") from error
    except ValueError as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{name} cannot be read: the shape {shape} is impossible") from error
    if dtype.kind == "U" and count and int(flat.view(np.uint32).max()) > sys.maxunicode:
        raise DamagedFileError(f"{name} cannot be read: its text holds what is no character")
    return array


def _header(data: bytes, name: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Type, shape and order of an array; nothing but a plain literal is understood."""
    try:
        found = ast.literal_eval(data.decode("latin1").strip())
        described, shape, by_columns = found["descr"], found["shape"], found["fortran_order"]
    except (SyntaxError, ValueError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise DamagedFileError(f"{name} cannot be read: its header is damaged") from error
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise DamagedFileError(f"{name} cannot be read: its header is damaged")
    if not isinstance(described, str):
        raise ValueError(f"{name} holds records of several fields; only numbers, Booleans and text are read")
    kind = described.lstrip("<>|=")
    if kind[:1] == "O":
        raise ValueError(f"{name} holds Python objects; only numbers, Booleans and text are read")
    if kind[:1] in {"V", "M", "m"}:
        what = "raw bytes" if kind[0] == "V" else "dates or times"
        raise ValueError(f"{name} holds {what} ({kind}); only numbers, Booleans and text are read")
    try:
        dtype = np.dtype(described) if re.fullmatch(r"[biufcSU][0-9]{1,9}", kind) else None
    except TypeError:
        dtype = None
    if dtype is None or not dtype.itemsize:
        raise DamagedFileError(f"{name} cannot be read: it has the unknown type {described[:20]!r}")
    return dtype, shape, bool(by_columns)


def _fill(target: memoryview, stream: IO[bytes], name: str) -> None:
    start = 0
    while start < len(target):
        block = stream.read(min(_CHUNK, len(target) - start))
        if not block:
            raise DamagedFileError(f"{name} cannot be read: it is truncated")
        target[start : start + len(block)] = block
        start += len(block)


def told_bytes(count: int) -> str:
    """A number of bytes in words."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
