"""Files of weights as torch writes them, for tests of what reads them."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fisherjax.networks._weight_files import _STORAGES


def write_torch(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write tensors as torch's own zip checkpoint, which `torch.load` reads."""
    kinds = {np.dtype(kind): name for name, kind in _STORAGES.items()}
    program = [pickle.PROTO, b"\x02", *_ORDERED_DICT, pickle.MARK]
    blocks = []
    for key, (name, value) in enumerate(tensors.items()):
        array = np.ascontiguousarray(value)
        blocks.append(array.tobytes())
        strides = tuple(step // array.itemsize for step in array.strides)
        storage = (_text("storage"), _class("torch", kinds[array.dtype]), _text(str(key)), _text("cpu"))
        program += [_text(name), _class("torch._utils", "_rebuild_tensor_v2"), pickle.MARK]
        program += [pickle.MARK, *storage, _int(array.size), pickle.TUPLE, pickle.BINPERSID, _int(0)]
        program += [_ints(array.shape), _ints(strides), pickle.NEWFALSE, *_ORDERED_DICT, pickle.TUPLE, pickle.REDUCE]
    program += [pickle.SETITEMS, pickle.STOP]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"".join(program))
        archive.writestr("archive/byteorder", b"little")
        for key, block in enumerate(blocks):
            archive.writestr(f"archive/data/{key}", block)
        archive.writestr("archive/version", b"3\n")
    path.write_bytes(buffer.getvalue())


def _class(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    if value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    data = pickle.encode_long(value)
    return pickle.LONG1 + bytes([len(data)]) + data


def _ints(values: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(_int(value) for value in values) + pickle.TUPLE


_ORDERED_DICT = (_class("collections", "OrderedDict"), pickle.EMPTY_TUPLE, pickle.REDUCE)
