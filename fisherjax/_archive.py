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


def read_npz(source: Source, name: object = None) -> dict[str, np.ndarray]:
    """All arrays of an .npz archive by name, in the order of the file.

    Parameters
    ----------
    source
        A path, or the contents.
    name
        What messages call it; by default the path.

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
        return _read(io.BytesIO(source), label)
    with Path(source).open("rb") as stream:
        return _read(stream, label)


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
        return _array(io.BytesIO(source), len(source), f"{label} cannot be read as .npy: it")
    with Path(source).open("rb") as stream:
        return _array(stream, os.fstat(stream.fileno()).st_size, f"{label} cannot be read as .npy: it")


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


def _read(stream: io.BufferedIOBase, label: str) -> dict[str, np.ndarray]:
    refused = f"{label} cannot be read as .npz:"
    size = stream.seek(0, os.SEEK_END)
    _check_start(stream, size, refused)
    _check_seal(stream, size, refused)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            _check_end(stream, size - len(archive.comment), len(archive.comment), len(entries), refused)
            _check_entries(entries, size, refused)
            return {entry.filename.removesuffix(".npy"): _entry(archive, entry, refused) for entry in entries}
    except _BROKEN as error:
        raise DamagedFileError(f"{refused} it is truncated or damaged") from error


def _check_start(stream: io.BufferedIOBase, size: int, refused: str) -> None:
    stream.seek(0)
    start = stream.read(6)
    if not size:
        raise DamagedFileError(f"{refused} it is empty")
    if not start.startswith(b"PK"):
        what = "an .npy file" if start == _NPY else "a Python pickle" if start[:1] == b"\x80" else "another format"
        raise DamagedFileError(f"{refused} it is {what}, or damaged")


def _check_seal(stream: io.BufferedIOBase, size: int, refused: str) -> None:
    """If the file ends with our checksum, it must be the right one."""
    length = size - _DIGITS
    if length < len(_SEAL):
        return
    stream.seek(length - len(_SEAL))
    if stream.read(len(_SEAL)) != _SEAL:
        return
    stored = stream.read(_DIGITS)
    summary = hashlib.sha256()
    stream.seek(0)
    while length:
        block = stream.read(min(length, _CHUNK))
        summary.update(block)
        length -= len(block)
    if summary.hexdigest().encode() != stored:
        raise DamagedFileError(f"{refused} it was changed or damaged since it was written (its checksum differs)")


def _check_end(stream: io.BufferedIOBase, end: int, comment: int, count: int, refused: str) -> None:
    """What zipfile does not notice: entries that a damaged length hides in the one before, and a comment cut short."""
    stream.seek(end - 12)
    stored_count, _, _, stored_comment = struct.unpack("<HIIH", stream.read(12))
    if stored_count not in {count, 0xFFFF}:
        raise DamagedFileError(f"{refused} it is damaged; of its {stored_count} entries {count} are listed")
    if stored_comment != comment:
        raise DamagedFileError(f"{refused} it is truncated")


def _check_entries(entries: list[zipfile.ZipInfo], size: int, refused: str) -> None:
    """Everything that the directory of the archive says, before any entry is read."""
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        where = f"{refused} its entry {name[:80]!r}"
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
            f"{refused} it would unpack to {told_bytes(total)}, more than {_MOST_EXPANSION} times its "
            f"{told_bytes(size)}; if you trust it, write it again without compression (numpy.savez)"
        )


def _most_bytes(size: int) -> int:
    """What an archive of this size may hold; zeros compress a thousandfold, so that only what is large is bounded."""
    return max(_FREE_SIZE, _MOST_EXPANSION * size)


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, refused: str) -> np.ndarray:
    subject = f"{refused} its array {entry.filename.removesuffix('.npy')[:80]!r}"
    try:
        with archive.open(entry) as stream:
            array = _array(stream, entry.file_size, subject)
            stream.read(1)  # at the end of an entry its checksum is looked at
            return array
    except (*_BROKEN, zlib.error) as error:
        raise DamagedFileError(f"{subject} is truncated or damaged") from error


def _array(stream: io.BufferedIOBase, size: int, subject: str) -> np.ndarray:
    """One array in NumPy's format, `size` bytes long with its header; messages begin with `subject`."""
    start = stream.read(8)
    if start[:6] != _NPY or len(start) < 8:
        raise DamagedFileError(f"{subject} is {'truncated or not in NumPy format' if start else 'empty'}")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if start[6] not in {1, 2, 3} or length > _MOST_HEADER:
        raise DamagedFileError(f"{subject} has a damaged header")
    dtype, shape, by_columns = _header(stream.read(length), subject)
    claimed, there = math.prod(shape) * dtype.itemsize, max(size - 8 - width - length, 0)
    if claimed != there:
        raise DamagedFileError(
            f"{subject} has a header that claims {told_bytes(claimed)} (shape {shape}, {dtype}), "
            f"but {told_bytes(there)} are there"
        )
    try:
        contents = np.empty(there, np.uint8)
        _fill(contents.data, stream, subject)
        flat = contents != 0 if dtype.kind == "b" else contents.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    except MemoryError as error:
        raise ValueError(f"{subject} does not fit into memory ({told_bytes(there)})") from error
    if dtype.kind == "U" and there and int(flat.view(np.uint32).max()) > sys.maxunicode:
        raise DamagedFileError(f"{subject} holds text with what is no character")
    try:
        return flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    except ValueError as error:
        raise DamagedFileError(f"{subject} has the impossible shape {shape}") from error


def _header(data: bytes, subject: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Type, shape and order of an array; nothing but a plain literal is understood."""
    try:
        header = ast.literal_eval(data.decode("latin1").strip())
        described, shape, by_columns = header["descr"], header["shape"], header["fortran_order"]
    except (SyntaxError, ValueError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise DamagedFileError(f"{subject} has a damaged header") from error
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise DamagedFileError(f"{subject} has a damaged header")
    readable = "only numbers, Booleans and text are read"
    if not isinstance(described, str):
        raise ValueError(f"{subject} holds records of several fields; {readable}")
    kind = described.lstrip("<>|=")
    others = {"O": "Python objects", "V": f"raw bytes ({kind})", "M": f"dates ({kind})", "m": f"times ({kind})"}
    if kind[:1] in others:
        raise ValueError(f"{subject} holds {others[kind[0]]}; {readable}")
    try:
        dtype = np.dtype(described) if re.fullmatch(r"[biufcSU][0-9]{1,9}", kind) else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or not dtype.itemsize:
        raise DamagedFileError(f"{subject} has the unknown type {described[:20]!r}")
    return dtype, shape, bool(by_columns)


def _fill(target: memoryview, stream: io.BufferedIOBase, subject: str) -> None:
    start = 0
    while start < len(target):
        block = stream.read(min(_CHUNK, len(target) - start))
        if not block:
            raise DamagedFileError(f"{subject} is truncated")
        target[start : start + len(block)] = block
        start += len(block)


def told_bytes(count: int) -> str:
    """A number of bytes in words."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
