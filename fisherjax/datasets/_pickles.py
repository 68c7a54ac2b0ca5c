"""Reading pickled NumPy arrays without running anything that a pickle asks for."""

import io
import pickle
from typing import Any

import numpy as np


class _Refused(Exception):  # noqa: N818
    """Something that a pickle of arrays has no need of; the message says what."""


class _Dtype:
    """What a pickle says of an element type."""

    def __init__(self, code: Any):
        self.code, self.order = _text(code), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def numpy(self) -> np.dtype:
        found = np.dtype(self.order + self.code)
        if found.kind not in "iu":
            raise _Refused(f"an array of {found}; only integers are expected")
        return found


class _Array:
    """What a pickle says of an array."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, column_major, data = state
        self.state = shape, dtype, data, "F" if column_major else "C"

    def numpy(self) -> np.ndarray:
        shape, dtype, data, order = self.state
        data = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(data, dtype.numpy()).reshape(shape, order=order)


class _Unpickler(pickle.Unpickler):
    """Rebuilds arrays from what the pickle says of them; every other class is refused.

    The pickle gets stand-ins, never NumPy's own constructors, so that a forged state cannot reach them.
    """

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): self._reconstruct,
            ("numpy.core.numeric", "_frombuffer"): self._from_buffer,
            ("numpy", "ndarray"): "ndarray",
            ("numpy", "dtype"): self._dtype,
            ("_codecs", "encode"): self._encode,
        }
        asked = (module.replace("numpy._core", "numpy.core"), name)
        if asked not in allowed:
            raise _Refused(f"it asks for {module}.{name}; only NumPy arrays are allowed")
        return allowed[asked]

    def _reconstruct(self, *_: Any) -> _Array:
        return _Array()

    def _from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        array = _Array()
        array.state = shape, dtype, data, _text(order)
        return array

    def _dtype(self, code: Any, *_: Any) -> _Dtype:
        return _Dtype(code)

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        if _text(encoding) != "latin1":
            raise _Refused(f"bytes in the encoding {encoding!r}; expected latin1")
        return text.encode("latin1")


def load_pickled_arrays(data: bytes) -> dict[str, Any]:
    """A pickled dictionary of lists, strings and integer arrays, in any protocol, of Python 2 or 3.

    Raises
    ------
    ValueError
        If the pickle is damaged, asks for any class but NumPy arrays, or holds something else.
    """
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(found, dict):
            raise _Refused(f"it holds a {type(found).__name__}, not a dictionary")
        return {_text(name): value.numpy() if isinstance(value, _Array) else value for name, value in found.items()}
    except _Refused as error:
        raise ValueError(f"not a readable pickle: {error}") from error
    except Exception as error:
        # a damaged pickle can fail in any way that its opcodes can
        raise ValueError("not a readable pickle: it is truncated or damaged") from error


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return value
    raise _Refused(f"a {type(value).__name__} where a name is expected")
