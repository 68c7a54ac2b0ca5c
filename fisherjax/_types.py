"""Aliases for shapes and scalars, and what every result shares: a short repr, `.save` and `.load`."""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import uuid
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Scalar: TypeAlias = float | int | np.ndarray | np.generic | jax.Array
"""A real number: Python, NumPy or (possibly traced) JAX."""

Stimulus: TypeAlias = Scalar | list[float] | tuple[float, ...]
"""One stimulus parameter, or a vector of several."""

Key: TypeAlias = Any
"""A typed JAX random key; checked by `check_key`, so that a wrong one gets a helpful message."""

Weights: TypeAlias = Float[Array, "units units"]
"""Recurrent weights, rows = to, columns = from."""

R = TypeVar("R", bound="Result")

_META = "__fisherjax__"


def as_float(value: Any) -> jax.Array:
    """An array of the value's own float type, or of JAX's default one for whole numbers.

    Raises
    ------
    TypeError
        If the value is complex.
    """
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"expected real numbers, got an array of {array.dtype}")
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


class Result(eqx.Module):
    """A frozen record of arrays and settings that prints briefly and can be saved and loaded.

    The file is a NumPy ``.npz`` archive with one JSON entry for everything that is not an array;
    nothing is pickled, so that loading a file can run no code.
    """

    def __repr__(self) -> str:
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            parts.append(f"{field.name}={_describe(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result to `path` (``.npz`` is appended if missing), atomically.

        Raises
        ------
        TypeError
            If a field holds something that is neither an array, a number, a string nor a result.
        """
        target = npz_path(path)
        write_atomically(target, self.to_bytes())
        return target

    def to_bytes(self) -> bytes:
        """What `.save` writes."""
        arrays: dict[str, np.ndarray] = {}
        meta = _encode(self, "", arrays)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{_META: np.array(json.dumps(meta))}, **arrays)  # pyright: ignore[reportArgumentType]
        return buffer.getvalue()

    @classmethod
    def load(cls: type[R], path: str | os.PathLike[str]) -> R:
        """Read a result that `.save` wrote.

        Raises
        ------
        ValueError
            If the file was not written by fisherjax, or holds a result of another type.
        """
        return cls.from_bytes(Path(path).read_bytes(), path)

    @classmethod
    def from_bytes(cls: type[R], data: bytes, name: str | os.PathLike[str] = "data") -> R:
        """The result that `.to_bytes` gave; `name` is for messages."""
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            if _META not in archive:
                raise ValueError(f"{name} was not written by fisherjax: it has no entry {_META!r}")
            result = _decode(json.loads(str(archive[_META])), archive)
        if not isinstance(result, cls):
            raise ValueError(f"{name} holds a {type(result).__name__}, not a {cls.__name__}")
        return result


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The path with ``.npz`` appended if it does not end so."""
    target = Path(path)
    return target if target.suffix == ".npz" else target.with_name(target.name + ".npz")


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the whole new one, never a part.

    Raises
    ------
    OSError
        If it cannot be written, with the path; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        # a full disk says only what is wrong, not where
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a renaming last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _describe(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray):
        if value.ndim == 0 and not isinstance(value, Tracer):
            return f"{value.item():.6g}" if jnp.issubdtype(value.dtype, jnp.floating) else str(value.item())
        if 0 < value.size <= 9 and not isinstance(value, Tracer) and value.dtype.kind in "fiu":
            return np.array2string(np.asarray(value), precision=4, separator=", ").replace("\n", "")
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple) and any(isinstance(item, jax.Array | np.ndarray) for item in value):
        return f"({', '.join(_describe(item) for item in value)})"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, eqx.Module):
        fields = {f.name: _encode(getattr(value, f.name), f"{path}/{f.name}", arrays) for f in _fields(value)}
        kind = type(value)
        return {"kind": "module", "module": kind.__module__, "name": kind.__qualname__, "fields": fields}
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        arrays[path] = np.asarray(jax.random.key_data(value))
        return {"kind": "key", "array": path, "impl": str(jax.random.key_impl(value))}
    if isinstance(value, jax.Array | np.ndarray):
        arrays[path] = np.asarray(value)
        return {"kind": "array", "array": path, "jax": isinstance(value, jax.Array)}
    if isinstance(value, tuple | list):
        items = [_encode(item, f"{path}/{index}", arrays) for index, item in enumerate(value)]
        return {"kind": "tuple", "items": items}
    if isinstance(value, dict):
        items = {str(name): _encode(item, f"{path}/{name}", arrays) for name, item in value.items()}
        return {"kind": "dict", "items": items}
    if value is None or isinstance(value, bool | int | float | str):
        return {"kind": "value", "value": value}
    if callable(value) and getattr(jax.nn, getattr(value, "__name__", ""), None) is value:
        return {"kind": "function", "name": value.__name__}
    raise TypeError(f"cannot save {path.lstrip('/')!r}: a {type(value).__name__} is neither array nor plain value")


def _decode(meta: Any, archive: Any) -> Any:
    match meta["kind"]:
        case "module":
            if meta["module"].partition(".")[0] != "fisherjax":
                raise ValueError(f"refusing to build {meta['module']}.{meta['name']}: not a fisherjax type")
            kind = _record(meta["module"], meta["name"])
            if not (isinstance(kind, type) and issubclass(kind, eqx.Module)):
                raise ValueError(f"refusing to build {meta['module']}.{meta['name']}: not a record type")
            module = object.__new__(kind)
            for name, item in meta["fields"].items():
                object.__setattr__(module, name, _decode(item, archive))
            return module
        case "key":
            return jax.random.wrap_key_data(jnp.asarray(archive[meta["array"]]), impl=meta["impl"])
        case "array":
            stored = archive[meta["array"]]
            # double precision stays in NumPy where JAX would cut it to single
            fits = jax.dtypes.canonicalize_dtype(stored.dtype) == stored.dtype
            return jnp.asarray(stored) if meta.get("jax") and fits else stored
        case "function":
            return getattr(jax.nn, meta["name"])
        case "tuple":
            return tuple(_decode(item, archive) for item in meta["items"])
        case "dict":
            return {name: _decode(item, archive) for name, item in meta["items"].items()}
        case _:
            return meta["value"]


def _record(module: str, name: str) -> Any:
    """A class by the file that it was in when it was saved, or, if it moved since, by its package."""
    with contextlib.suppress(ImportError, AttributeError):
        return getattr(importlib.import_module(module), name)
    return getattr(importlib.import_module(".".join(module.split(".")[:2])), name)


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value)
