"""Records in files: an .npz archive of the arrays, and one JSON entry for everything that is not an array.

Nothing is pickled. A file can name only what `_record_names` lists, every field is checked against the class of today,
and the class's own checks run on what was built, so that a file that loads holds a record that could have been made.
"""

import dataclasses
import json
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from fisherjax._archive import npz_bytes, read_npz
from fisherjax._arrays import as_jax
from fisherjax._errors import require, told
from fisherjax._npy import DamagedFileError, Source, label_of
from fisherjax._record_fields import array_default, check_fields, default_of, shown_path
from fisherjax._record_names import KEY_KINDS, RECORDS, function_named, record_class, stored_function, stored_name

FORMAT = 1
"""Of files: a later one may hold what this version cannot read."""

META = "__fisherjax__"
"""The entry that says what a file holds."""

_DEEPEST = 50  # records within records
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_KINDS = {
    "module": {"name", "fields"},
    "key": {"array", "impl"},
    "array": {"array", "jax", "dtype"},
    "function": {"name"},
    "tuple": {"items"},
    "dict": {"items"},
    "value": {"value"},
}


def record_bytes(record: eqx.Module) -> bytes:
    """A record as the contents of a file.

    Raises
    ------
    TypeError
        If a field holds something that no file may hold.
    """
    arrays: dict[str, np.ndarray] = {}
    meta = {"format": FORMAT, **_encode(record, "", arrays)}
    return npz_bytes({META: np.array(json.dumps(meta)), **arrays})


def read_record(source: Source, name: object = None) -> eqx.Module:
    """The record that a file holds.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is damaged, was not written by fisherjax or in another format, names a class that no file may hold, or its
        fields do not fit their class.
    """
    label = label_of(source, name)
    arrays = read_npz(source, label)
    require(META in arrays, f"{label} was not written by fisherjax: it has no entry {META!r}")
    meta = _parsed(arrays.pop(META), label)
    if isinstance(meta, dict) and meta.get("kind") == "module" and "format" not in meta:
        module, name_there = meta.get("module"), meta.get("name")
        held = f"{module}.{name_there}" if isinstance(module, str) else name_there
        if not isinstance(name_there, str) or name_there not in RECORDS:
            record_class(held, label)
        raise ValueError(f"{label} holds {told(held)} in a format without a version; this fisherjax reads {FORMAT}")
    if not isinstance(meta, dict) or meta.get("kind") != "module":
        raise ValueError(f"{label} holds no record of fisherjax")
    version = meta.pop("format")
    if type(version) is not int or version != FORMAT:
        raise ValueError(
            f"{label} is of format {told(version)}; this fisherjax reads {FORMAT}; use the one that wrote it"
        )
    return _Place(arrays, label).decode(meta)


def _parsed(entry: np.ndarray, label: str) -> Any:
    if entry.dtype.kind != "U" or entry.shape != ():
        raise DamagedFileError(f"{label} cannot be read as .npz: its entry {META!r} is not one text")
    try:
        return json.loads(str(entry))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{label} cannot be read as .npz: its entry {META!r} is no JSON, or too deep") from error


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if isinstance(value, eqx.Module):
        kind = stored_name(type(value))
        if kind is None:
            where = f" {path!r}" if path else ""
            raise TypeError(f"cannot save{where}: {type(value).__qualname__} is no record that a file may hold")
        names = [field.name for field in dataclasses.fields(value)]  # pyright: ignore[reportArgumentType]
        fields = {name: _encode(getattr(value, name), _below(path, name), arrays) for name in names}
        return {"kind": "module", "name": kind, "fields": fields}
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        array = _kept(np.asarray(jax.random.key_data(value)), path, arrays)
        return {"kind": "key", "array": array, "impl": str(jax.random.key_impl(value))}
    if isinstance(value, jax.Array | np.ndarray):
        stored, dtype = np.asarray(value), {}
        if stored.dtype == _BFLOAT16:
            stored, dtype = stored.view(np.uint16), {"dtype": "bfloat16"}
        if stored.dtype.kind not in "biufcUS":
            raise TypeError(f"cannot save {path!r}: an array of {stored.dtype} has no place in a file")
        return {"kind": "array", "array": _kept(stored, path, arrays), "jax": isinstance(value, jax.Array), **dtype}
    if isinstance(value, tuple | list):
        return {"kind": "tuple", "items": [_encode(v, _below(path, i), arrays) for i, v in enumerate(value)]}
    if isinstance(value, dict):
        wrong = [name for name in value if not isinstance(name, str)]
        if wrong:
            raise TypeError(f"cannot save {path!r}: the name {told(wrong[0])} in it is no text")
        return {"kind": "dict", "items": {name: _encode(v, _below(path, name), arrays) for name, v in value.items()}}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return {"kind": "value", "value": value}
    name = stored_function(value) if callable(value) else None
    if name is None:
        raise TypeError(f"cannot save {path!r}: {told(value)} is neither array nor plain value")
    return {"kind": "function", "name": name}


def _below(path: str, name: object) -> str:
    return f"{path}/{name}" if path else str(name)


def _kept(array: np.ndarray, path: str, arrays: dict[str, np.ndarray]) -> str:
    """Keep an array under a name of its own, made of where it is in the record; names of a user's may be anything."""
    plain = path if path.replace("/", "_").isidentifier() else f"array{len(arrays)}"
    name = plain if plain not in arrays and plain != META else f"array{len(arrays)}"
    while name in arrays:
        name += "_"
    arrays[name] = array
    return name


class _Place(NamedTuple):
    """Where in which file we are."""

    arrays: dict[str, np.ndarray]
    label: str
    path: str = ""
    depth: int = 0

    def below(self, name: object) -> "_Place":
        return self._replace(path=_below(self.path, name), depth=self.depth + 1)

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.label}: {shown_path(self.path) or 'the record'} {what}")

    def decode(self, meta: Any) -> Any:
        """What an entry of the metadata describes."""
        kind = meta.get("kind") if isinstance(meta, dict) else None
        if kind == "module":
            record_class(meta.get("name"), self.label)
        if not isinstance(kind, str) or kind not in _KINDS or not set(meta) - {"kind"} <= _KINDS[kind]:
            raise self.wrong(f"is described in an unknown way ({told(kind)})")
        if self.depth > _DEEPEST:
            raise self.wrong("is nested too deep")
        match kind:
            case "module":
                return self._module(meta)
            case "key":
                return self._key(meta)
            case "array":
                return self._stored(meta)
            case "function":
                return function_named(meta.get("name"), self.label)
            case "tuple":
                items = self._expect(meta, "items", list)
                return tuple(self.below(index).decode(item) for index, item in enumerate(items))
            case "dict":
                items = self._expect(meta, "items", dict)
                return {name: self.below(name).decode(item) for name, item in items.items()}
            case _:
                value = meta.get("value")
                if isinstance(value, list | dict):
                    raise self.wrong("is no plain value")
                return value

    def _expect(self, meta: dict[str, Any], name: str, kind: type) -> Any:
        if not isinstance(meta.get(name), kind):
            raise self.wrong(f"is described in an unknown way (it has no {name})")
        return meta[name]

    def _module(self, meta: dict[str, Any]) -> eqx.Module:
        kind = record_class(meta.get("name"), self.label)
        stored = self._expect(meta, "fields", dict)
        fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
        unknown = [name for name in stored if name not in fields]
        if unknown:
            raise self.wrong(f"has a field {unknown[0]!r}, which {kind.__name__} does not have in this version")
        values = {name: self.below(name).decode(stored[name]) for name in fields if name in stored}
        floats = [leaf.dtype for leaf in jax.tree.leaves(values) if eqx.is_inexact_array(leaf)]
        module = object.__new__(kind)
        for name, field in fields.items():
            if name not in values:
                default = self.below(name)._default(field, kind)
                values[name] = array_default(kind, field, default, floats[0] if floats else None)
            object.__setattr__(module, name, values[name])
        check_fields(module, self.label, self.path)
        return module

    def _default(self, field: dataclasses.Field[Any], kind: type[eqx.Module]) -> Any:
        try:
            return default_of(kind, field)
        except LookupError as error:
            raise self.wrong(f"is missing in the file, and {kind.__name__} has no default for it") from error

    def _stored(self, meta: dict[str, Any]) -> Any:
        array = self._array(meta)
        if meta.get("dtype") == "bfloat16" and array.dtype == np.uint16:
            array = array.view(_BFLOAT16)
        elif "dtype" in meta:
            raise self.wrong(f"has the unknown type {told(meta['dtype'])}")
        # double precision stays in NumPy where JAX would cut it to single
        fits = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype if array.dtype.kind not in "US" else False
        return as_jax(array) if meta.get("jax") is True and fits else array

    def _key(self, meta: dict[str, Any]) -> jax.Array:
        if meta.get("impl") not in KEY_KINDS:
            raise self.wrong(f"is a key of an unknown kind ({told(meta.get('impl'))})")
        data = self._array(meta)
        length = 2 if meta["impl"] == "threefry2x32" else 4
        if data.dtype != np.uint32 or data.shape[-1:] != (length,):
            raise self.wrong(f"is no key: an array of {data.dtype}, shape {data.shape}")
        return jax.random.wrap_key_data(as_jax(data), impl=meta["impl"])

    def _array(self, meta: dict[str, Any]) -> np.ndarray:
        name = meta.get("array")
        if not isinstance(name, str) or name not in self.arrays:
            raise self.wrong(f"refers to the array {told(name)}, which the file does not have")
        return self.arrays[name]
