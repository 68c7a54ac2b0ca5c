"""Numeric arrays of MATLAB 5 files (.mat as `save -v7` or `-v6` writes them).

SciPy's reader is written in C and trusts the sizes in a file: one flipped byte can end the process. Here every size is
compared with what is there before it is used.

References
----------
The MathWorks, MAT-File Format, version 5.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fisherjax._errors import require
from fisherjax._npy import told_bytes

_MOST_BYTES = 2**31
_FREE_SIZE, _MOST_EXPANSION = 2**28, 100  # as for .npz: 256 MiB, or a hundred times the file
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHERS = {1: "cells", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse matrix", 16: "a function"}
_COMPLEX = 0x0800
_AXES = 32


class _DamagedError(Exception):
    """Sizes that do not agree with each other."""


class _Element(NamedTuple):
    kind: int
    body: memoryview


def read_matlab(path: Path) -> dict[str, np.ndarray]:
    """Numeric variables by name.

    Raises
    ------
    OSError
        If it may not be read.
    ValueError
        If it is too large, truncated or damaged, or holds no numeric arrays.
    """
    size = path.stat().st_size
    require(
        size <= _MOST_BYTES, f"{path} has {told_bytes(size)}; MATLAB files are read up to {told_bytes(_MOST_BYTES)}"
    )
    data = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:_HEADER]))
    variables: dict[str, np.ndarray] = {}
    others: list[str] = []
    room = max(_FREE_SIZE, _MOST_EXPANSION * size)
    try:
        if order is None:
            raise _DamagedError
        for element in _elements(data[_HEADER:], order):
            matrix, room = _unpacked(path, element, order, room)
            if matrix is None:
                continue
            name, array = _variable(matrix.body, order)
            if isinstance(array, str):
                others.append(f"{name} ({array})")
            else:
                variables[name] = array
    except (_DamagedError, zlib.error, struct.error) as error:
        raise ValueError(f"{path} is a MATLAB file that is truncated or damaged") from error
    name = next((other.split(" (")[0] for other in others if "(a structure)" in other), None)
    hint = f"; save its fields apart: save('file.mat', '-struct', '{name}')" if name else ""
    require(len(variables) > 0, f"{path} holds no numeric arrays, only {', '.join(others) or 'nothing'}{hint}")
    return variables


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """Elements one after another; four bytes or fewer stand within the tag."""
    place = 0
    while place < len(data):
        first, second = struct.unpack_from(f"{order}II", data, place)
        kind, count, start = first, second, place + 8
        if first >> 16:
            kind, count, start = first & 0xFFFF, first >> 16, place + 4
        end = start + count
        if end > len(data) or (first >> 16 and count > 4):
            raise _DamagedError
        yield _Element(kind, data[start:end])
        place = place + 8 if first >> 16 else end if kind == _COMPRESSED else end + -count % 8


def _unpacked(path: Path, element: _Element, order: str, room: int) -> tuple[_Element | None, int]:
    """The matrix that an element is or holds, if it is one, and how many bytes may still be unpacked."""
    if element.kind == _MATRIX:
        return element, room
    if element.kind != _COMPRESSED:
        return None, room
    engine = zlib.decompressobj()
    data = engine.decompress(element.body, room + 1)
    require(len(data) <= room, f"{path} unpacks to more than {told_bytes(room)}, which is more than it should hold")
    inner = next(_elements(memoryview(data), order), None)
    if not engine.eof or inner is None:
        raise _DamagedError
    return (inner if inner.kind == _MATRIX else None), room - len(data)


def _variable(body: memoryview, order: str) -> tuple[str, np.ndarray | str]:
    """Name and array of a matrix; of what is not numeric its kind in words."""
    parts = _elements(body, order)
    flags, axes, name = (next(parts, None) for _ in range(3))
    if flags is None or axes is None or name is None or len(flags.body) != 8 or len(axes.body) % 4:
        raise _DamagedError
    word = struct.unpack_from(f"{order}I", flags.body)[0]
    called = bytes(name.body).decode("latin1")
    kind = _CLASSES.get(word & 0xFF)
    if kind is None:
        return called, _OTHERS.get(word & 0xFF, "of an unknown kind")
    shape = tuple(int(length) for length in np.frombuffer(axes.body, f"{order}i4"))
    if not 2 <= len(shape) <= _AXES or min(shape) < 0:
        raise _DamagedError
    real = _numbers(next(parts, None), shape, kind, order)
    if word & _COMPLEX:
        return called, real + 1j * _numbers(next(parts, None), shape, kind, order)
    return called, real


def _numbers(part: _Element | None, shape: tuple[int, ...], kind: str, order: str) -> np.ndarray:
    """Numbers, which may be stored in a smaller type than they have."""
    if part is None or part.kind not in _STORED:
        raise _DamagedError
    stored = np.dtype(order + _STORED[part.kind])
    if math.prod(shape) * stored.itemsize != len(part.body):
        raise _DamagedError
    return np.frombuffer(part.body, stored).astype(kind).reshape(shape, order="F")
