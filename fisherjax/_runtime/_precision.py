"""Matrix products in full float32 where accelerators would round their operands."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


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
