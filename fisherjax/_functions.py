"""A look at what a user's function returns, before anything is compiled or run."""

from collections.abc import Callable
from typing import Any

import jax

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
