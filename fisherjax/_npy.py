"""Arrays in NumPy's format (.npy), read after a look at their sizes, and what all readers of files share."""

import ast
import io
import math
import os
import re
import sys

import numpy as np

from fisherjax._errors import as_path, check_regular

CHUNK = 2**22
"""Bytes that are read at a time."""

MAGIC = b"\x93NUMPY"
"""What a file of one array begins with."""

_MOST_HEADER = 2**16

Source = str | os.PathLike[str] | bytes
"""A path, or the contents of a file."""


class DamagedFileError(ValueError):
    """A file that is truncated or was changed since it was written."""


def read_npy(source: Source, name: object = None) -> np.ndarray:
    """The array of an .npy file; refused, as by `read_npz`, are other formats, objects, and sizes that do not agree.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    ValueError
        If it is refused.
    """
    label = label_of(source, name)
    if isinstance(source, bytes):
        return read_array(io.BytesIO(source), len(source), f"{label} cannot be read as .npy: it")
    path = as_path("path", source)
    check_regular(path)
    with path.open("rb") as stream:
        return read_array(stream, os.fstat(stream.fileno()).st_size, f"{label} cannot be read as .npy: it")


def label_of(source: Source, name: object = None) -> str:
    """What messages call a file: its path, unless it has another name."""
    return str(source) if name is None and not isinstance(source, bytes) else str(name or "data")


def read_array(stream: io.BufferedIOBase, size: int, subject: str) -> np.ndarray:
    """One array in NumPy's format, `size` bytes long with its header; messages begin with `subject`."""
    start = stream.read(8)
    if start[:6] != MAGIC or len(start) < 8:
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
        block = stream.read(min(CHUNK, len(target) - start))
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
