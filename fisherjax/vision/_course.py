"""Activity while pictures come and go on a schedule; what is read of it is kept, the activity itself is not."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._runtime import spread

from ._convolution import AreaState
from ._network import ConvolutionalRNN, Drive

Read = Callable[[AreaState, AreaState], Any]
"""What is kept of a step, from the state before it and the one after it."""


@eqx.filter_jit
def course(
    network: ConvolutionalRNN,
    pictures: Float[Array, "k n height width colors"],
    contrast: Float[Array, "T k n"],
    start: AreaState | None,
    read: Read,
) -> tuple[AreaState, Any]:
    """The last state, and what is read at every step, (T, …), of n trials in which k pictures have contrasts in time.

    What pictures drive is linear in them, and computed once. Without `start` all areas are silent at first.
    """
    shown = pictures.astype(network.dtype)
    kernels, drives = network.kernels(), network.drive(shown)
    rest = tuple(jnp.broadcast_to(area, (shown.shape[1], *area.shape)) for area in network.silence())

    def step(state: AreaState, level: Array) -> tuple[AreaState, Any]:
        drive = Drive(*(jnp.einsum("kn,knhwc->nhwc", level, part) for part in drives))
        following = network.step_with(kernels, state, drive)
        return following, read(state, following)

    last, records = jax.lax.scan(step, rest if start is None else start, contrast.astype(network.dtype))
    return spread((last, records))


def squared_change(before: AreaState, after: AreaState) -> Float[Array, "areas n"]:
    """Σ over units of the square of the difference, of every area."""
    return jnp.stack([jnp.sum((b - a) ** 2, axis=(1, 2, 3)) for a, b in zip(before, after, strict=True)])
