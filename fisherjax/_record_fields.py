"""Whether what a file holds could be a record of its class: by types and shapes of annotations, and its own checks."""

import collections.abc
import dataclasses
import inspect
import types
import typing
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import AbstractArray

from fisherjax._errors import told

_LONGEST_PATH = 200
_NUMBERS = {bool: "b", int: "biu", float: "biuf"}


def check_fields(module: eqx.Module, label: str, path: str) -> None:
    """Refuse a record whose fields are not what its class says, or that its class's own checks refuse.

    A record that was made under `jax.vmap` has leading axes that its annotations do not name. Those may be there; the
    class's own checks, which are about one record, are then left out.

    Raises
    ------
    ValueError
        If it is refused, with the file and the field.
    """
    kind = type(module)
    where = f"{label}: {shown_path(path) or kind.__name__}"
    hints = typing.get_type_hints(kind)
    lengths: dict[str, tuple[str, int]] = {}
    is_batch = False
    for field in dataclasses.fields(kind):  # pyright: ignore[reportArgumentType]
        value, hint = getattr(module, field.name), hints[field.name]
        options = _options(hint)
        fitting = [option for option in options if _fits(value, option)]
        if not fitting:
            raise ValueError(
                f"{where}: {field.name} cannot be {_said(value)}; {kind.__name__} has {_shown(hint)} there"
            )
        for name, length in _named_lengths(value, fitting[0]):
            other, known = lengths.setdefault(name, (field.name, length))
            if length != known:
                raise ValueError(
                    f"{where}: {other} and {field.name} must agree in {name}, but have {known} and {length}"
                )
        is_batch |= _has_more_axes(value, fitting[0], scalar=float in options)
    if is_batch:
        return
    try:
        _check_itself(module)
    except Exception as error:
        # what a hostile file holds may fail in ways that a check of arguments did not think of
        raise ValueError(f"{where}: {error or type(error).__name__}") from error


def shown_path(path: str) -> str:
    """Where in a record we are, on one line."""
    return " ".join(path.split())[:_LONGEST_PATH]


def default_of(kind: type[eqx.Module], field: dataclasses.Field[Any]) -> Any:
    """What a field that a file lacks becomes: its default, or a plain one of the constructor's argument of that name.

    Raises
    ------
    LookupError
        If it has none.
    """
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    # a constructor may hand options on to that of its base
    arguments = (inspect.signature(base.__init__).parameters.get(field.name) for base in kind.__mro__)
    argument = next((known for known in arguments if known is not None), None)
    # None often stands for something that the constructor works out
    if argument is None or not isinstance(argument.default, bool | int | float | str):
        raise LookupError(field.name)
    return argument.default


def array_default(kind: type[eqx.Module], field: dataclasses.Field[Any], default: Any, dtype: Any) -> Any:
    """A default that is a number where the field is an array: an array, in the float type of the others."""
    options = _options(typing.get_type_hints(kind)[field.name])
    is_array = not any(_fits(default, option) for option in options) and _kind(default) in set("biuf")
    return jnp.asarray(default, dtype) if is_array else default


def _check_itself(module: eqx.Module) -> None:
    """Make the record again, where its fields are all that its constructor takes; else run its `__check_init__`."""
    kind = type(module)
    fields = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    # what may be absent is kept under another name than it is read by
    names = {field.name.removeprefix("_") for field in fields}
    arguments = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    hints = typing.get_type_hints(kind.__init__)
    # a constructor may keep an argument in another form, which it would not take again
    if all(name in names and _fits(getattr(module, name), hints.get(name, Any)) for name in arguments):
        kind(**{name: getattr(module, name) for name in arguments})
    elif hasattr(module, "__check_init__"):
        module.__check_init__()  # pyright: ignore[reportAttributeAccessIssue]


def _options(hint: Any) -> tuple[Any, ...]:
    """The types that a union allows."""
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return typing.get_args(hint)
    return (hint,)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value can be what an annotation says; what is not understood is let through."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if origin is typing.Literal:
        return any(type(value) is type(choice) and value == choice for choice in args)
    if origin in {typing.Union, types.UnionType}:
        return any(_fits(value, option) for option in args)
    if origin is tuple:
        return isinstance(value, tuple) and _items_fit(value, args)
    if origin in {dict, collections.abc.Mapping}:
        return isinstance(value, dict) and all(_fits(item, args[1]) for item in value.values())
    if origin is collections.abc.Callable:
        return callable(value)
    return _fits_class(value, hint) if isinstance(hint, type) else True


def _fits_class(value: Any, hint: type) -> bool:
    if hint in _NUMBERS:
        return _kind(value) in _NUMBERS[hint]
    if issubclass(hint, AbstractArray):
        axes = _axes(hint)
        enough = np.ndim(value) >= len([axis for axis in axes if not _is_variadic(axis)])
        fixed = all(length == int(axis) for axis, length in _trailing(value, axes) if axis.isdigit())
        return _is_array(value) and enough and fixed and _kind(value) in _array_kinds(hint)
    if hint in {jax.Array, np.ndarray}:
        return _is_array(value)
    return isinstance(value, hint) if issubclass(hint, eqx.Module | str) else True


def _items_fit(value: tuple[Any, ...], args: tuple[Any, ...]) -> bool:
    if len(args) == 2 and args[1] is Ellipsis:
        return all(_fits(item, args[0]) for item in value)
    return len(value) == len(args) and all(_fits(item, option) for item, option in zip(value, args, strict=True))


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray)


def _kind(value: Any) -> str:
    """b, i, u, f, c for numbers of Python and of arrays; another letter for anything else."""
    if _is_array(value):
        return "f" if jnp.issubdtype(value.dtype, jnp.floating) else value.dtype.kind
    return {bool: "b", int: "i", float: "f"}.get(type(value), "O")


def _array_kinds(hint: Any) -> set[str]:
    """Kinds of numbers that an array annotation allows."""
    names = {"bool": "b", "int": "i", "uint": "u", "float": "f", "bfloat": "f", "complex": "c"}
    return {names.get(name.rstrip("_0123456789"), "f") for name in hint.dtypes}


def _axes(hint: Any) -> list[str]:
    return hint.dim_str.split()


def _is_variadic(axis: str) -> bool:
    return axis.startswith("*") or axis == "..."


def _trailing(value: Any, axes: list[str]) -> list[tuple[str, int]]:
    """Axes with their lengths, from the last back to one that stands for any number of axes."""
    pairs = []
    for axis, length in zip(reversed(axes), reversed(np.shape(value)), strict=False):
        if _is_variadic(axis):
            break
        pairs.append((axis, length))
    return pairs


def _named_lengths(value: Any, hint: Any) -> list[tuple[str, int]]:
    if not (isinstance(hint, type) and issubclass(hint, AbstractArray)):
        return []
    return [(axis, length) for axis, length in _trailing(value, _axes(hint)) if axis.isidentifier()]


def _has_more_axes(value: Any, hint: Any, *, scalar: bool) -> bool:
    """Whether an array has more axes than its annotation names."""
    if not _is_array(value):
        return False
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        axes = _axes(hint)
        return not any(map(_is_variadic, axes)) and np.ndim(value) > len(axes)
    return scalar and np.ndim(value) > 0


def _said(value: Any) -> str:
    if isinstance(value, eqx.Module):
        return f"a {type(value).__name__}"
    return f"a {type(value).__name__} of {len(value)}" if isinstance(value, tuple | dict) else told(value)


def _shown(hint: Any) -> str:
    names = []
    for option in _options(hint):
        if isinstance(option, type) and issubclass(option, AbstractArray):
            names.append(f"an array ({', '.join(_axes(option))})")
        else:
            names.append("None" if option is type(None) else getattr(option, "__name__", str(option)))
    return " or ".join(dict.fromkeys(names))
