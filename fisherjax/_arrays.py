"""The gate for arrays: what a user brings becomes an array of finite real numbers, or one sentence names the argument.

One function per sort of data: real arrays (`as_real`; weights, images, states and responses are real arrays with named
axes), labels, masks. The float type is decided here, once: a floating array keeps its own (half precision, in which
nothing here can be computed, becomes float32), whole numbers and Booleans get JAX's default one. Axes are named, as in
``"trials units"``; a name that comes twice means equal lengths, a number a length that is known, ``...`` any axes.
Traced arrays pass with what is known of them, their shape and type.
"""

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int

from fisherjax._errors import require, suggest, told

_LARGE = 2**26  # bytes that are brought to the host without a thought
_SHOWN = 5  # labels that a message lists


def as_real(
    name: str,
    value: Any,
    *axes: str,
    dtype: Any = None,
    finite: bool = True,
    minimum: float | None = None,
    maximum: float | None = None,
    hint: str = "",
) -> Array:
    """A JAX array of finite real numbers with the named axes.

    Parameters
    ----------
    name
        The argument, for messages.
    value
        What the user brought: an array, nested lists, a data frame, anything that NumPy takes.
    *axes
        Allowed shapes, each as names and lengths, for instance ``"units units"``, ``"... 3"``, ``""`` for a number.
        None given: any shape.
    dtype
        The float type; by default the array's own (see above).
    finite
        Whether NaN and infinities are refused.
    minimum, maximum
        Least and largest entry allowed.
    hint
        What to do instead, added to the message about a wrong shape.

    Raises
    ------
    TypeError
        If it does not hold real numbers.
    ValueError
        If its shape is another, it is not rectangular, an entry is not finite or out of range, or is masked.
    """
    array = _numbers(name, value)
    kind = float_type(array) if dtype is None else dtype
    _check_shape(name, array.shape, axes, hint)
    if finite:
        check_finite(name, array)
    with np.errstate(over="ignore"):  # said below, in our words
        result = as_jax(array, jax.dtypes.canonicalize_dtype(kind))
    if finite and array.dtype.itemsize > result.dtype.itemsize and array.dtype.kind == "f":
        lost = "; divide by a scale, or use jax.config.update('jax_enable_x64', True)"
        require(_all_finite(result), f"{name} holds numbers too large for {result.dtype}{lost}")
    _check_range(name, result, minimum, maximum)
    return result


def as_jax(array: Any, dtype: Any = None) -> Array:
    """`jax.numpy.asarray`, which compiles a program for every shape of a NumPy array: here such an array is copied."""
    return jax.device_put(np.array(array, dtype)) if isinstance(array, np.ndarray) else jnp.asarray(array, dtype)


def host_real(name: str, value: Any, *axes: str, finite: bool = True, hint: str = "") -> np.ndarray:
    """As `as_real`, but a NumPy array, float32 or float64: for what is computed on the host."""
    array = _concrete(name, _numbers(name, value))
    _check_shape(name, array.shape, axes, hint)
    if finite:
        check_finite(name, array)
    return array if array.dtype in {np.dtype(np.float32), np.dtype(np.float64)} else array.astype(np.float64)


def as_labels(name: str, value: Any, count: int) -> tuple[Int[np.ndarray, " count"], np.ndarray]:
    """One class per item: codes 0 … K − 1, and the K classes in order; whole numbers, Booleans or text.

    Raises
    ------
    TypeError
        If labels are neither whole numbers, Booleans nor text.
    ValueError
        If there are not `count` labels along one axis, or one is missing (NaN, None).
    """
    array = _as_array(name, value)
    hint = "; of one-hot labels give their argmax along the last axis" if array.ndim == 2 else ""
    require(array.shape == (count,), f"{name} must be one label for each of {count}, got shape {array.shape}{hint}")
    array = np.asarray(array)
    if array.dtype.kind == "O":
        missing = [item is None or item != item for item in array]  # noqa: PLR0124  NaN is not itself
        require(not any(missing), f"{name} must not be missing, but {sum(missing)} of {count} are")
        if not all(isinstance(item, str | int | np.integer) for item in array):
            raise TypeError(f"{name} must be whole numbers or text, got an array of objects")
        array = array.astype(str) if any(isinstance(item, str) for item in array) else array.astype(np.int64)
    if array.dtype.kind == "f":
        check_finite(name, array)
        require(
            bool((array == np.round(array)).all()), f"{name} must be classes (whole numbers or text), got {array.dtype}"
        )
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuUS":
        raise TypeError(f"{name} must be whole numbers or text, got an array of {array.dtype}")
    classes, codes = np.unique(array, return_inverse=True)
    return codes.reshape(count), classes


def as_class_numbers(name: str, value: Any, count: int, num_classes: int) -> Int[Array, " count"]:
    """One class number 0 … `num_classes` − 1 per item, where the classes are known beforehand.

    Raises
    ------
    ValueError
        If there are not `count`, one is not a whole number or lies outside.
    """
    codes, classes = as_labels(name, value, count)
    if classes.dtype.kind not in "biu":
        shown = ", ".join(map(str, classes[:_SHOWN]))
        raise TypeError(f"{name} must be class numbers from 0 to {num_classes - 1}, got text ({shown})")
    least, most = (int(classes[0]), int(classes[-1])) if count else (0, 0)
    hint = "; classes that count from 1 need 1 taken off" if least == 1 and most == num_classes else ""
    require(
        least >= 0 and most < num_classes,
        f"{name} must be class numbers from 0 to {num_classes - 1}, got {least} to {most}{hint}",
    )
    return as_jax(classes.astype(np.int32)[codes])


def as_mask(name: str, value: Any, *axes: str) -> Bool[Array, "..."]:
    """A mask of True and False, or of ones and zeros, with the named axes.

    Raises
    ------
    TypeError, ValueError
        If it holds anything else, or has another shape.
    """
    array = _numbers(name, value)
    _check_shape(name, array.shape, axes, "")
    if array.dtype != bool and not isinstance(array, Tracer):
        require(bool(np.isin(np.asarray(array), (0, 1)).all()), f"{name} must hold only True and False (or 1 and 0)")
    return as_jax(array, bool)


def check_finite(name: str, value: Any) -> None:
    """Refuse an array that holds NaN or an infinity."""
    if isinstance(value, Tracer) or _all_finite(value):
        return
    bad = int(_seen(lambda xp, x: xp.sum(~xp.isfinite(x)), value))
    size = np.size(value)
    where = ""
    if np.ndim(value) and not _stays(value):
        first = tuple(int(index) for index in np.argwhere(~np.isfinite(np.asarray(value)))[0])
        where = f" (the first at index {first[0] if len(first) == 1 else first})"
    told_count = f"{bad} of its {size} entries are NaN or infinite{where}" if np.ndim(value) else f"is {value}"
    raise ValueError(f"{name} must be finite, but {told_count}")


def float_type(*arrays: Any) -> np.dtype:
    """The float type in which these arrays are computed with together: the widest of theirs, at least float32."""
    sizes = [array.dtype.itemsize for array in arrays if jnp.issubdtype(array.dtype, jnp.floating)]
    default = jax.dtypes.canonicalize_dtype(float)
    kind = np.dtype(np.float64 if max(sizes) > 4 else np.float32) if sizes else default
    return jax.dtypes.canonicalize_dtype(kind)


def check_float_type(name: str, value: Any) -> np.dtype:
    """Return a float type that a user asks for: float32, or float64 where JAX has it switched on.

    Raises
    ------
    TypeError
        If it is no float type.
    ValueError
        If it is float64 and JAX would compute in float32 instead.
    """
    known = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
    try:
        kind = None if value is None else np.dtype(value)
    except TypeError:
        kind = None
    if kind is None or kind not in known.values():
        raise TypeError(f"{name} must be 'float32' or 'float64', got {told(value)}{suggest(value, known)}")
    switched = jax.dtypes.canonicalize_dtype(kind) == kind
    require(switched, f"{name} is float64, which needs jax.config.update('jax_enable_x64', True)")
    return kind


def _concrete(name: str, array: Any) -> np.ndarray:
    if isinstance(array, Tracer):
        raise TypeError(
            f"{name} must be concrete numbers here, not traced ones: call this outside of jit, grad and vmap"
        )
    return np.asarray(array)


def _numbers(name: str, value: Any) -> Any:
    """What the user brought as an array of numbers, still in its own type, where it lies."""
    array = _as_array(name, value)
    if array.dtype.kind == "O":
        wrong = [item for item in array.ravel() if isinstance(item, bool) or not isinstance(item, numbers.Real)]
        if wrong:
            raise TypeError(f"{name} must be real numbers, but it holds {told(wrong[0])}")
        array = array.astype(np.float64)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real numbers, got an array of {array.dtype}; take .real, .imag or abs of it")
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        what = "text" if array.dtype.kind in "US" else f"an array of {array.dtype}"
        raise TypeError(f"{name} must be real numbers, got {what}")
    return array


def _as_array(name: str, value: Any) -> Any:
    if isinstance(value, jax.Array | Tracer):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            raise TypeError(f"{name} must be real numbers, got a random key")
        return value
    if value is None or isinstance(value, str | bytes | dict | set | frozenset) or callable(value):
        raise TypeError(f"{name} must be an array of real numbers, got {told(value)}")
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(value))
        require(masked == 0, f"{name} has {masked} masked entries; leave those out or fill them in")
    if isinstance(value, list | tuple) and any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return jnp.stack([jnp.asarray(item) for item in value])
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        rows = value if isinstance(value, list | tuple) else ()
        lengths = sorted({len(item) for item in rows if hasattr(item, "__len__")})
        if len(lengths) > 1:
            raise ValueError(
                f"{name} must be rectangular, got rows of {lengths[0]} to {lengths[-1]} entries"
            ) from error
        raise TypeError(f"{name} must be an array of real numbers, got {told(value)}") from error


def _check_shape(name: str, shape: tuple[int, ...], allowed: tuple[str, ...], hint: str) -> None:
    if not allowed or any(_matches(shape, axes.split()) for axes in allowed):
        return
    shapes = " or ".join(_shown(axes.split()) for axes in allowed)
    if any("..." not in axes for axes in allowed) or len(allowed) > 1:
        raise ValueError(f"{name} must have shape {shapes}, got {shape}{f'; {hint}' if hint else ''}")
    raise ValueError(f"{name} must have last axes {shapes}, got {shape}{f'; {hint}' if hint else ''}")


def _matches(shape: tuple[int, ...], axes: list[str]) -> bool:
    if axes[:1] == ["..."]:
        axes = axes[1:]
        shape = shape[len(shape) - len(axes) :] if len(shape) >= len(axes) else ()
    if len(shape) != len(axes):
        return False
    lengths: dict[str, int] = {}
    return all(
        length == int(axis) if axis.isdigit() else lengths.setdefault(axis, length) == length
        for length, axis in zip(shape, axes, strict=True)
    )


def _shown(axes: list[str]) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})" if axes else "(), a number"


def _check_range(name: str, array: Array, minimum: float | None, maximum: float | None) -> None:
    if isinstance(array, Tracer) or array.size == 0:
        return
    if minimum is not None:
        least = float(_seen(lambda xp, x: xp.min(x), array))
        require(least >= minimum, f"{name} must be at least {minimum:g}, but its least entry is {least:g}")
    if maximum is not None:
        most = float(_seen(lambda xp, x: xp.max(x), array))
        require(most <= maximum, f"{name} must be at most {maximum:g}, but its largest entry is {most:g}")


def _all_finite(array: Any) -> bool:
    return isinstance(array, Tracer) or bool(_seen(lambda xp, x: xp.all(xp.isfinite(x)), array))


def _seen(look: Callable[[Any, Any], Any], array: Any) -> Any:
    """What `look` (NumPy or JAX, the array) sees in a known array, where it lies; at once, inside of jit too."""
    if not _stays(array):
        return look(np, np.asarray(array))
    with jax.ensure_compile_time_eval():
        return look(jnp, array)


def _stays(array: Any) -> bool:
    """Whether an array is looked at where it lies: it is large, or not all of it is here."""
    return isinstance(array, jax.Array) and (array.nbytes > _LARGE or not array.is_fully_addressable)
