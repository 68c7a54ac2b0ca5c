"""Checks of user input: each names the argument, what it was, and what it must be.

One check per sort of thing that is not an array (for arrays see `_arrays`): a count, a number, a share, a level of
confidence, a choice, a key, a function, an object of one of our types. All of them look at concrete values only; a
traced value passes, since its number is not known yet.
"""

import difflib
import inspect
import math
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

T = TypeVar("T")

_PACKAGE = str(Path(__file__).parent) + os.sep
_SHOWN = 60  # characters of a wrong value that a message repeats


def is_traced(value: Any) -> bool:
    """Whether any array inside `value` is a JAX tracer, so that its numbers cannot be inspected."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


def require(condition: bool, message: str) -> None:  # noqa: FBT001
    """Raise a `ValueError` with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn at the line of the user's that led here, however deep inside the library it was noticed."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def told(value: Any) -> str:
    """A wrong value as a message repeats it: short, on one line, with its type."""
    if value is None:
        return "None"
    kind = type(value).__name__
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}" if value.ndim else f"{value} ({value.dtype})"
    text = " ".join(repr(value).split())
    if len(text) > _SHOWN or " at 0x" in text:
        return f"a {kind}" if kind[0].lower() not in "aeiou" else f"an {kind}"
    return f"{text} ({kind})"


def check_integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int from `minimum` to `maximum`; TypeError or ValueError otherwise."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {told(value)}")
    require(bool(value >= minimum), f"{name} must be at least {minimum}, got {value}")
    require(maximum is None or bool(value <= maximum), f"{name} must be at most {maximum}, got {value}")
    return int(value)


def check_scalar(
    name: str, value: Any, *, minimum: float = -math.inf, maximum: float = math.inf, strict: bool = False
) -> None:
    """Refuse anything but a finite real number from `minimum` to `maximum` (if `strict`: above and below them)."""
    if is_traced(value):
        return
    number = _real_number(name, value)
    require(math.isfinite(number), f"{name} must be finite, got {number}")
    above, below = ("above", "below") if strict else ("at least", "at most")
    low = number > minimum if strict else number >= minimum
    high = number < maximum if strict else number <= maximum
    require(low, f"{name} must be {above} {minimum:g}, got {number:g}")
    require(high, f"{name} must be {below} {maximum:g}, got {number:g}")


def check_optional(check: Callable[..., T], name: str, value: Any, **limits: Any) -> T | None:
    """What `check` returns of an argument that may be left out, None."""
    return None if value is None else check(name, value, **limits)


def check_counts(*, minimum: int = 1, **values: Any) -> tuple[int, ...]:
    """Return integers given by their names, each of at least `minimum`; TypeError or ValueError otherwise."""
    return tuple(check_integer(name, value, minimum=minimum) for name, value in values.items())


def check_positive(**values: Any) -> None:
    """Refuse anything but finite real numbers above 0, given by their names."""
    for name, value in values.items():
        check_scalar(name, value, minimum=0.0, strict=True)


def check_not_negative(**values: Any) -> None:
    """Refuse anything but finite real numbers of at least 0, given by their names."""
    for name, value in values.items():
        check_scalar(name, value, minimum=0.0)


def check_share(name: str, value: Any, *, strict: bool = False) -> float:
    """Return a share or probability, a number in [0, 1] (if `strict`: in (0, 1)); TypeError or ValueError otherwise."""
    number = _real_number(name, value)
    holds = 0 < number < 1 if strict else 0 <= number <= 1
    hint = f"; {number:g} % is {number / 100:g}" if 1 < number <= 100 else ""
    require(holds, f"{name} must be {'strictly ' if strict else ''}between 0 and 1, got {number:g}{hint}")
    return number


def check_confidence(value: Any, name: str = "confidence") -> float:
    """Return the coverage that an interval should have, a number strictly between 0 and 1."""
    return check_share(name, value, strict=True)


def check_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False; TypeError otherwise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {told(value)}")
    return bool(value)


def check_callable(name: str, value: Any) -> Callable[..., Any]:
    """Return `value` if it can be called; TypeError otherwise."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {told(value)}")
    return value


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`; otherwise ValueError that lists them, the likeliest one first said."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, known))}; got {told(value)}{suggest(value, known)}"
        )
    return value


def suggest(word: Any, known: Iterable[str]) -> str:
    """``"; did you mean 'tanh'?"``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6) if isinstance(word, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def check_kind(name: str, value: T, kind: Any, what: str, *, but: Any = ()) -> T:
    """Return `value` if it is of a type, but for some of its subtypes; otherwise TypeError that it must be `what`."""
    if not isinstance(value, kind) or isinstance(value, but):
        raise TypeError(f"{name} must be {what}, got {told(value)}")
    return value


def listed(names: Iterable[Any], most: int) -> str:
    """The first of some names, and a sign that there are more."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")


def check_instance(name: str, value: T, kind: type | tuple[type, ...], hint: str = "") -> T:
    """Return `value` if it is of one of our types; otherwise TypeError with `hint`, how to make one."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        named = " or ".join(one.__name__ for one in kinds)
        article = "an" if named[0] in "AEIO" else "a"
        raise TypeError(f"{name} must be {article} {named}, got {told(value)}{f'; {hint}' if hint else ''}")
    return value


def as_path(name: str, value: Any) -> Path:
    """A path of a string or a path-like object; TypeError otherwise."""
    if not isinstance(value, str | os.PathLike) or isinstance(value, bytes):
        raise TypeError(f"{name} must be the path of a file, got {told(value)}")
    text = os.fspath(value)
    require(bool(text) and "\0" not in str(text), f"{name} must be the path of a file, got {told(text)}")
    return Path(value)


def check_regular(path: Path) -> None:
    """Refuse a device or a pipe, whose opening may wait for ever; a folder or a missing file has its own error."""
    require(not path.exists() or path.is_dir() or path.is_file(), f"{path} is not a regular file")


def check_key(name: str, value: Any) -> jax.Array:
    """Return `value` as a typed JAX key; a legacy uint32 key is wrapped, an integer refused."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        require(value.shape == (), f"{name} must be one key, got keys of shape {value.shape}")
        return value
    if isinstance(value, jax.Array | np.ndarray) and value.dtype == np.uint32 and value.shape == (2,):
        return jax.random.wrap_key_data(jnp.asarray(value))
    hint = f"; write jax.random.key({value})" if isinstance(value, int | np.integer) else ""
    raise TypeError(f"{name} must be a JAX random key, got {told(value)}{hint}")


def _real_number(name: str, value: Any) -> float:
    if isinstance(value, str | bytes | bool | np.bool_ | complex | np.complexfloating) or value is None:
        raise TypeError(f"{name} must be a real number, got {told(value)}")
    if np.ndim(value) if isinstance(value, jax.Array | np.ndarray) else isinstance(value, list | tuple | dict | set):
        raise TypeError(f"{name} must be one real number, got {told(value)}")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must be a real number, got {told(value)}") from error


_NOT_TRACED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def output_of(name: str, function: Callable[..., Any], *arguments: Any, hint: str = "") -> Any:
    """Shapes and types that a function returns for these arguments.

    Parameters
    ----------
    name
        The argument that holds the function, for messages.
    function, arguments
        What is traced with what.
    hint
        Added where an argument of the function is missing.

    Raises
    ------
    TypeError
        If JAX cannot trace it.
    ValueError, TypeError
        If it raises; its own words stand after ours.
    """
    try:
        return jax.eval_shape(function, *arguments)
    except _NOT_TRACED as error:
        raise TypeError(
            f"{name} cannot be traced by JAX, because it asks for the numbers of its argument while it is compiled: "
            "use jax.numpy instead of NumPy or math, and jnp.where or jax.lax.cond instead of if"
        ) from error
    except Exception as error:
        text = str(error)
        missing = f"; {hint}" if hint and "missing" in text and "argument" in text else ""
        shapes = " and ".join(str(leaf.shape) for leaf in jax.tree.leaves(arguments) if hasattr(leaf, "shape"))
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}, called with shape {shapes}, raised {type(error).__name__}: {text}{missing}") from error


def float_output_of(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Shape and type of the array of floats that a function returns, which can be differentiated.

    Raises
    ------
    TypeError
        If it returns something else.
    ValueError, TypeError
        As `output_of`.
    """
    output = output_of(name, function, *arguments)
    if not jnp.issubdtype(getattr(output, "dtype", jnp.dtype(int)), jnp.floating):
        raise TypeError(f"{name} must return an array of floats, which has a slope, got {told(output)}")
    return output
