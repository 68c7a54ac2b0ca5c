"""Aliases for shapes and scalars, and what every result shares: a short repr, `.save` and `.load`."""

import contextlib
import dataclasses
import html
import importlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from fisherjax._errors import as_path
from fisherjax._records import read_record, record_bytes

Scalar: TypeAlias = float | int | np.ndarray | np.generic | jax.Array
"""A real number: Python, NumPy or (possibly traced) JAX."""


@runtime_checkable
class SupportsArray(Protocol):
    """What NumPy can make an array of: a table of pandas, a tensor of another library."""

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        """The array."""
        ...


ArrayLike: TypeAlias = jax.Array | np.ndarray | np.generic | float | int | Sequence[Any] | SupportsArray
"""An array, or what becomes one: numbers, nested lists, anything with ``__array__``. Its numbers must be real."""

Stimulus: TypeAlias = Scalar | list[float] | tuple[float, ...]
"""One stimulus parameter, or a vector of several."""

Key: TypeAlias = Any
"""A typed JAX random key; checked by `check_key`, so that a wrong one gets a helpful message."""

Weights: TypeAlias = Float[Array, "units units"]
"""Recurrent weights, rows = to, columns = from."""

R = TypeVar("R", bound="Record")

_FEW = 9  # numbers that are told one by one
_MANY = 5  # fields of a record within another, beyond which only its name is told


class Record(eqx.Module):
    """A frozen record of arrays and settings that prints briefly and can be saved and loaded.

    The file is a NumPy ``.npz`` archive with one JSON entry for everything that is not an array. Nothing is pickled,
    and only classes of a fixed list are built, so that loading a file can run no code.
    """

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts = (f"{name}={_described(value)}" for name, value in values.items() if value is not None)
        return f"{type(self).__name__}({', '.join(parts)})"

    def to_dict(self) -> dict[str, Any]:
        """Every field by its name, arrays as NumPy's: what pandas and xarray take. Records within are dictionaries."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks, and a small picture of results that have one."""
        rows = [(field.name, _described(getattr(self, field.name))) for field in dataclasses.fields(self)]
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td style='text-align:left'>{html.escape(text)}"
            "</td></tr>"
            for name, text in rows
        )
        # drawing stands far above; it is loaded when a result is shown
        picture = importlib.import_module("fisherjax.plot._thumbnail").thumbnail(self)
        return f"<table><caption>{html.escape(type(self).__name__)}</caption>{cells}</table>{picture}"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result to `path` (``.npz`` is appended if missing), atomically.

        Raises
        ------
        TypeError
            If a field holds something that is neither an array, a number, a string nor a record of fisherjax.
        """
        target = npz_path(path)
        write_atomically(target, self.to_bytes())
        return target

    def to_bytes(self) -> bytes:
        """What `.save` writes."""
        return record_bytes(self)

    @classmethod
    def load(cls: type[R], path: str | os.PathLike[str]) -> R:
        """Read a result that `.save` wrote.

        Raises
        ------
        ValueError
            If the file is truncated or damaged, was not written by fisherjax or in another format, names a class that
            is no record of fisherjax, lacks a field that has no default, or holds a result of another type.
        """
        return _of_kind(cls, read_record(as_path("path", path)), path)

    @classmethod
    def from_bytes(cls: type[R], data: bytes, name: str | os.PathLike[str] = "data") -> R:
        """The result that `.to_bytes` gave; `name` is for messages.

        Raises
        ------
        ValueError
            As `load`.
        """
        return _of_kind(cls, read_record(data, name), name)


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The path with ``.npz`` appended if it does not end so."""
    target = as_path("path", path)
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


def _of_kind(kind: type[R], record: eqx.Module, name: object) -> R:
    if not isinstance(record, kind):
        held = type(record).__name__
        raise ValueError(f"{name} holds a {held}, not a {kind.__name__}; {held}.load reads it, or the class it extends")
    return record


def _sync_folder(folder: Path) -> None:
    """Make a renaming last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _described(value: Any) -> str:
    """A value on one line: numbers where they are few, else the range of what is there and its shape."""
    if isinstance(value, jax.Array | np.ndarray):
        return _described_array(value)
    if isinstance(value, Record) and len(dataclasses.fields(value)) > _MANY:
        return f"{type(value).__name__}(…)"
    if isinstance(value, tuple) and any(isinstance(item, jax.Array | np.ndarray) for item in value):
        return f"({', '.join(_described(item) for item in value)})"
    if isinstance(value, tuple) and len(value) > _FEW:
        return f"({value[0]!r}, {value[1]!r}, …, {value[-1]!r}) [{len(value)}]"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _described_array(value: jax.Array | np.ndarray) -> str:
    shape = f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Tracer) or value.size == 0 or getattr(value.dtype, "kind", "") not in tuple("fiub"):
        return shape
    if not isinstance(value, np.ndarray) and not value.is_fully_addressable:
        return shape
    if value.ndim == 0:
        return f"{value.item():.6g}" if jnp.issubdtype(value.dtype, jnp.floating) else str(value.item())
    if value.size <= _FEW:
        return np.array2string(np.asarray(value), precision=4, separator=", ").replace("\n", "")
    numbers = np.asarray(value)
    if value.ndim == 1:
        return f"[{numbers[0]:.4g}, {numbers[1]:.4g}, …, {numbers[-1]:.4g}] {shape}"
    return f"{numbers.min():.4g} … {numbers.max():.4g} {shape}"


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return np.asarray(value) if isinstance(value, jax.Array) and not isinstance(value, Tracer) else value
