"""Checks of user input: each names the argument, what it was, and what it must be.

All of them look at concrete values only; a traced value passes, since its number is not known yet.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

_LARGE = 2**26  # bytes that are brought to the host without a thought


def is_traced(value: Any) -> bool:
    """Whether any array inside `value` is a JAX tracer, so that its numbers cannot be inspected."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


def require(condition: bool, message: str) -> None:  # noqa: FBT001
    """Raise a `ValueError` with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)


def check_integer(name: str, value: Any, *, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    require(bool(value >= minimum), f"{name} must be at least {minimum}, got {value}")
    return int(value)


def check_scalar(name: str, value: Any, *, minimum: float = -math.inf, strict: bool = False) -> None:
    """Refuse anything but a finite real number of at least (if `strict`: above) `minimum`."""
    if is_traced(value):
        return
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a real number, got {value!r}") from error
    require(math.isfinite(number), f"{name} must be finite, got {number}")
    relation = "above" if strict else "at least"
    holds = number > minimum if strict else number >= minimum
    require(holds, f"{name} must be {relation} {minimum:g}, got {number:g}")


def check_finite(name: str, value: Any) -> None:
    """Refuse an array that holds NaN or an infinity."""
    if is_traced(value):
        return
    # what is large, or not all here, is looked at where it lies
    stays = isinstance(value, jax.Array) and (value.nbytes > _LARGE or not value.is_fully_addressable)
    bad = int(jnp.sum(~jnp.isfinite(value)) if stays else np.sum(~np.isfinite(np.asarray(value))))
    require(bad == 0, f"{name} must be finite, but {bad} of its entries are NaN or infinite")


def check_callable(name: str, value: Any) -> Callable[..., Any]:
    """Return `value` if it can be called; TypeError otherwise."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {value!r} of type {type(value).__name__}")
    return value


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`; ValueError that lists them otherwise."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def check_key(name: str, value: Any) -> jax.Array:
    """Return `value` as a typed JAX key; a legacy uint32 key is wrapped, an integer refused."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value
    if isinstance(value, jax.Array | np.ndarray) and value.dtype == np.uint32 and value.ndim >= 1:
        return jax.random.wrap_key_data(jnp.asarray(value))
    hint = f"; write jax.random.key({value})" if isinstance(value, int | np.integer) else ""
    raise TypeError(f"{name} must be a JAX random key, got {value!r} of type {type(value).__name__}{hint}")
