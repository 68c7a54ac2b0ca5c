"""Files of weights by name: torch's zip format, safetensors and npz, told apart by what they hold.

Those of torch are read with NumPy alone, and nothing is run that a pickle asks for.
"""

import collections
import hashlib
import io
import math
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np

from fisherjax._archive import npz_bytes, opened_zip, read_npz
from fisherjax._errors import as_path, check_regular, require
from fisherjax._npy import DamagedFileError
from fisherjax._types import write_atomically

_DIGEST = "fisherjax_sha256"
_STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
# what a number of NumPy beside the tensors asks for, such as the best loss so far
_OF_NUMBERS = {
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "scalar"),
    ("_codecs", "encode"),
}


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name: torch's zip format, safetensors, or .npz.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none of them, truncated, or a pickle that asks for anything but tensors.
    """
    return _tensors_in(read_checkpoint(path), path)


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """All that a checkpoint holds: arrays by name, among other things in a file of torch.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_weights`.
    """
    source = as_path("path", path)
    check_regular(source)
    with source.open("rb") as stream:
        start = stream.read(2)
    if source.suffix == ".safetensors":
        return _read_safetensors(source)
    if start == b"PK":
        return read_npz(source) if source.suffix == ".npz" else _read_torch(source)
    if start[:1] == b"\x80":
        raise ValueError(f"{path} is a bare pickle, from torch before 1.6; save it anew with a later torch")
    raise ValueError(f"{path} is neither a zip checkpoint of torch (or is truncated), nor .safetensors, nor .npz")


def write_weights(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]) -> Path:
    """Write arrays by name; the ending of the path says how.

    Raises
    ------
    ValueError
        If the path ends neither in ``.safetensors`` nor in ``.npz``.
    """
    target = as_path("path", path)
    require(target.suffix in {".safetensors", ".npz"}, f"path must end in .safetensors or .npz, got {target.name}")
    if target.suffix == ".npz":
        # NumPy's format has no bfloat16; float32 holds it exactly
        half = {name: value.astype(np.float32) for name, value in tensors.items() if value.dtype == jnp.bfloat16}
        write_atomically(target, npz_bytes({**tensors, **half}))
    else:
        from safetensors.numpy import save  # noqa: PLC0415

        write_atomically(target, save(dict(tensors), {_DIGEST: _digest(tensors)}))
    return target


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import safe_open  # noqa: PLC0415

    refused = f"{path} cannot be read as safetensors:"
    try:
        with safe_open(path, framework="np") as file:
            stored = (file.metadata() or {}).get(_DIGEST)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except OSError:
        raise
    except Exception as error:
        # a damaged file can fail in as many ways as it can be damaged
        raise DamagedFileError(f"{refused} it is truncated, damaged, or another format") from error
    if stored is not None and stored != _digest(tensors):
        raise DamagedFileError(f"{refused} it was changed or damaged since it was written (its checksum differs)")
    return tensors


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    """A fingerprint of names, types, shapes and numbers; safetensors has none of its own."""
    summary = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        summary.update(f"{name!r} {value.dtype} {value.shape}\n".encode())
        summary.update(np.ascontiguousarray(value).tobytes())
    return summary.hexdigest()


class _RefusedError(ValueError):
    """What makes a checkpoint unreadable, in our words."""


class _Storage(NamedTuple):
    """Numbers of one block of the archive, of one type."""

    numbers: np.ndarray


class _Ignored:
    """Stands for what is not read."""

    def __init__(self, *_: Any):
        """Nothing."""

    def __setstate__(self, _: Any) -> None:
        """Nothing."""


class _Unpickler(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Rebuilds tensors as NumPy arrays; every class that is not part of a tensor is refused.

    It is the unpickler in Python: the one in C makes room for as many memos as a file says it has.
    """

    def __init__(self, archive: zipfile.ZipFile, folder: str):
        super().__init__(io.BytesIO(archive.read(f"{folder}/data.pkl")))
        self.archive, self.folder = archive, folder
        self.sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        self.blocks: dict[str, bytes] = {}
        byte_order = f"{folder}/byteorder"
        self.big = byte_order in self.sizes and archive.read(byte_order).strip() == b"big"

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) in _OF_NUMBERS:
            return _Ignored
        raise _RefusedError(
            f"it asks for {f'{module}.{name}'[:80]}; only tensors are allowed; save the state_dict of a model"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, length = pid
        dtype, block = np.dtype(_STORAGES[kind]), f"{self.folder}/data/{key}"
        if block not in self.sizes:
            raise _RefusedError(f"it has no item named {block[:80]!r}")
        expected = length * dtype.itemsize
        if self.sizes[block] != expected:
            raise _RefusedError(f"block {str(key)[:80]} has {self.sizes[block]} bytes, expected {expected}")
        if block not in self.blocks:  # several tensors may lie in one
            self.blocks[block] = self.archive.read(block)
        data = self.blocks[block]
        # blocks are in the byte order of the machine that wrote them; ours is little-endian, as JAX's all are
        return _Storage(np.frombuffer(data, dtype.newbyteorder(">") if self.big else dtype))


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    numbers = storage.numbers
    layout = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(length) is not int or length < 0 for length in layout):
        raise _RefusedError("it has a tensor of an impossible layout")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # a tensor that repeats its numbers (strides of 0) could have any size
    if math.prod(shape) and (last >= len(numbers) or math.prod(shape) > len(numbers)):
        raise _RefusedError(f"it has a tensor of shape {shape} that reaches beyond its {len(numbers)} numbers")
    steps = [stride * numbers.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
    return view.astype(view.dtype.newbyteorder("="), copy=False)


def _read_torch(path: Path) -> Any:
    """What a checkpoint holds, its tensors as arrays: most often their dictionary, alone or beside other things."""
    refused = f"{path} cannot be read as a checkpoint:"
    with path.open("rb") as stream, opened_zip(stream, refused) as archive:
        folders = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
        require(len(folders) == 1, f"{refused} it has no data.pkl, so it is none of torch")
        try:
            return _Unpickler(archive, folders[0]).load()
        except _RefusedError as error:
            raise ValueError(f"{refused} {error}") from error
        except Exception as error:
            # a damaged pickle can fail in as many ways as it can be damaged
            raise DamagedFileError(f"{refused} it is truncated or damaged") from error


def _tensors_in(content: Any, path: object) -> dict[str, np.ndarray]:
    """Tensors by name; what holds more (an epoch, an optimizer) is looked into for its weights."""
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(dict.get(content, name), dict):
            content = content[name]
    tensors = dict(dict.items(content)) if isinstance(content, dict) else {}
    if not tensors or not all(isinstance(k, str) and isinstance(v, np.ndarray) for k, v in tensors.items()):
        raise ValueError(f"{path} holds no dictionary of tensors")
    return tensors
