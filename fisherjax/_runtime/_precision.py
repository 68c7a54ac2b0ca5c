"""The precision of products and convolutions, which accelerators lower unless they are told not to."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_choice

P = ParamSpec("P")
R = TypeVar("R")

Precision: TypeAlias = Literal["float32", "tensorfloat32", "bfloat16"]
"""Of the products and convolutions of what is simulated or trained, which a GPU does at very different speeds.

``"float32"``: in full, that of the numbers themselves. ``"tensorfloat32"``: operands rounded to 10 bits where the
device does that (NVIDIA's since Ampere; on a CPU it is the same as float32). ``"bfloat16"``: operands rounded to 8 bits
on every device; sums are in float32, but what a convolution returns is rounded too. All else, states and weights
included, keeps its float type.
"""

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Within it, products and convolutions are of this precision, unless what is called says its own.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    with jax.default_matmul_precision(check_choice("precision", precision, PRECISIONS)):
        yield


def precision_here() -> Any:
    """The precision of the products of what is being computed, for what is called to keep it."""
    level = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return level if level in PRECISIONS else "float32"


def product(left: Float[Array, "..."], right: Float[Array, "..."]) -> Float[Array, "..."]:
    """``left @ right`` in the precision around it. XLA's own bfloat16 rounds on TPUs only."""
    if not rounds_to_bfloat16():
        return jnp.matmul(left, right)
    rounded = jnp.matmul(left.astype(jnp.bfloat16), right.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
    return rounded.astype(left.dtype)


def rounds_to_bfloat16() -> bool:
    """Whether products here are to be of bfloat16."""
    return precision_here() == "bfloat16"


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose float32 matrix products, and those of what it calls, are computed in float32.

    GPUs otherwise round the operands to TensorFloat-32 (10 bits), TPUs to bfloat16: inverses of covariances and
    small differences of information do not survive that. Where the products are exact anyway nothing changes.
    """

    @functools.wraps(function)
    def exact(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return exact
