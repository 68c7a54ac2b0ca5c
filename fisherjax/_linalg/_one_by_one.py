"""Factorizations one at a time."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax

T = TypeVar("T")


def one_by_one(function: Callable[..., T]) -> Callable[..., T]:
    """A function that factorizes a matrix, which under `jax.vmap` runs for one item after the other on a CPU.

    There jaxlib divides a batched factorization among the threads of the pool that also runs programs, and waits for
    them: two at once take all threads of a machine with two cores, and wait forever.
    """
    sequential = jax.custom_batching.sequential_vmap(function)

    @functools.wraps(function)
    def call(*arguments: jax.Array) -> T:
        return (sequential if jax.default_backend() == "cpu" else function)(*arguments)

    return call
