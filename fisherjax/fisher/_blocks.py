"""Jackknife over blocks of trials, of any function of the data, in one jitted call."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._errors import require
from fisherjax._runtime import map_length

from ._estimate import student_interval

Values = Callable[..., tuple[Array, Array]]
"""(corrected, naive) information of arrays with trials along the axis before the last, and of scalars."""


def check_blocks(arrays: tuple[Array, ...], num_blocks: int) -> None:
    """Refuse data with fewer than two trials in a block."""
    for part in arrays:
        if part.ndim > 1:
            require(
                part.shape[-2] >= 2 * num_blocks,
                f"{num_blocks} blocks need {2 * num_blocks} trials, got {part.shape[-2]}",
            )


def without_block(part: Array, block: Array, num_blocks: int) -> Array:
    """Trials (axis before the last) of all blocks but one; scalars and vectors are left as they are."""
    if part.ndim < 2:
        return part
    size = part.shape[-2] // num_blocks
    index = jnp.arange(part.shape[-2] - size)
    return jnp.take(part, jnp.where(index < block * size, index, index + size), axis=-2)


@jax.jit(static_argnums=(1, 2, 3, 4))
def block_jackknife(
    arrays: tuple[Array, ...],
    values: Values,
    num_blocks: int,
    confidence: float,
    corrected: bool = False,  # noqa: FBT001, FBT002
) -> tuple[Array, Array, Array, Array]:
    """Estimate from all trials, its error from the estimates that leave one block out, interval and naive estimate.

    If `corrected`, the bias of order 1/T that these estimates show is taken from the first.
    """
    # the last few trials, where the blocks do not divide them, count for the value alone
    whole = tuple(part if part.ndim < 2 else _divisible(part, num_blocks) for part in arrays)

    def without(block: Array) -> Array:
        return values(*[without_block(part, block, num_blocks) for part in whole])[0]

    value, naive = values(*arrays)
    parts = jax.lax.map(without, jnp.arange(num_blocks), batch_size=batch_length(whole, num_blocks))
    shares = [full.shape[-2] / part.shape[-2] for part, full in zip(arrays, whole, strict=True) if part.ndim > 1]
    error = jnp.std(parts, axis=0) * math.sqrt((num_blocks - 1) * min(shares))
    if corrected:
        divided = value if min(shares) == 1 else values(*whole)[0]
        value = value - (num_blocks - 1) * (jnp.mean(parts, axis=0) - divided)
    return value, error, student_interval(value, error, confidence, num_blocks - 1), naive


def _divisible(part: Array, num_blocks: int) -> Array:
    return part[..., : part.shape[-2] // num_blocks * num_blocks, :]


def batch_length(arrays: tuple[Array, ...], items: int) -> int:
    """Data sets that are looked at together, by the memory they need."""
    return map_length(items, 4 * sum(part.size * part.dtype.itemsize for part in arrays))
