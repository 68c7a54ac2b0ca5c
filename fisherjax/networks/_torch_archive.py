"""Reading torch's zip checkpoints with NumPy alone, running nothing that a pickle asks for."""

import collections
import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from fisherjax._archive import opened_zip
from fisherjax._errors import check_regular, require
from fisherjax._npy import DamagedFileError

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
            return _parameter
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


def _parameter(data: np.ndarray, *_: Any) -> np.ndarray:
    return data


def read_torch(path: Path) -> Any:
    """What a checkpoint holds, its tensors as arrays: most often their dictionary, alone or beside other things.

    Raises
    ------
    ValueError
        If the archive is truncated, damaged or refused by `opened_zip`, or holds another class than tensors.
    """
    refused = f"{path} cannot be read as a checkpoint:"
    check_regular(path)
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


def tensors_in(content: Any, path: object) -> dict[str, np.ndarray]:
    """Tensors by name; what holds more (an epoch, an optimizer) is looked into for its weights.

    Raises
    ------
    ValueError
        If there are none, with the file.
    """
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(dict.get(content, name), dict):
            content = content[name]
    tensors = dict(dict.items(content)) if isinstance(content, dict) else {}
    if not tensors or not all(isinstance(k, str) and isinstance(v, np.ndarray) for k, v in tensors.items()):
        raise ValueError(f"{path} holds no dictionary of tensors")
    return tensors
