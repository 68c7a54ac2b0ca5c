"""A function with its derivatives along several directions, for what carries a state and its slopes through time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def with_slopes(function: Callable[..., Any], at: tuple[Any, ...], slopes: tuple[Any, ...]) -> tuple[Any, Any]:
    """A function's value, and its derivative along each of K slopes of its arguments (K, …)."""
    return jax.vmap(lambda along: jax.jvp(function, at, along), out_axes=(None, 0))(slopes)


def directions_of(parameter: Array) -> Float[Array, "K *parameter"]:
    """One unit direction for each entry of a parameter."""
    return jnp.eye(max(1, parameter.size), dtype=parameter.dtype).reshape(-1, *parameter.shape)
