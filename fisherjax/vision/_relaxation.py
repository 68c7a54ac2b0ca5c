"""How activity settles before, during and after an image."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_integer, require, warn
from fisherjax._runtime import full_precision, spread
from fisherjax._types import Record

from ._convolution import AreaState
from ._network import ConvolutionalRNN, check_network


class Relaxation(Record):
    """How activity settles before, during and after an image, and the way back to the baseline.

    Parameters
    ----------
    speed
        Root mean square over units of the change of r at every step of all three phases (T, n).
    onset, offset
        Steps done when the image appeared, and when it vanished.
    distance
        Root mean square over units of r − r before the image, at the offset and after every step since (steps + 1, n).
    time_constant
        Steps in which the distance falls to 1/e over the last half of the way, by least squares on its logarithm (n,);
        NaN where it does not fall, or is at rounding.
    returned
        Whether the last distance is below a hundredth of that at the offset, or at rounding (n,).
    """

    speed: Float[np.ndarray, "T n"]
    onset: int
    offset: int
    distance: Float[np.ndarray, "steps n"]
    time_constant: Float[np.ndarray, " n"]
    returned: Bool[np.ndarray, " n"]


@full_precision
def relaxation(
    network: ConvolutionalRNN, images: Float[Array | np.ndarray, "n height width colors"], *, offset_steps: int = 100
) -> Relaxation:
    """How all areas settle before and during an image, and go back to the state before it once it is gone.

    A step whose speed falls to nothing has come to a fixed point; one that stays moving has not. No activity is kept:
    memory is that of a few states.

    Warns
    -----
    RuntimeWarning
        If after some images the distance does not fall: there is no time constant.

    Raises
    ------
    ValueError
        If images are not (n, height, width, colors), there are less than four steps, or there is no blank phase.
    """
    after = check_integer("offset_steps", offset_steps, minimum=4)
    check_network(network)
    plan, pictures = network.architecture, network.architecture.as_pictures("images", images)
    onset, offset = plan.blank_steps, plan.blank_steps + plan.image_steps
    require(onset > 0, "relaxation needs blank_steps > 0: the baseline is the state before the image")
    moved, away, size = jax.tree.map(np.asarray, _course(network, pictures, after))
    speed, along, baseline = (np.sqrt(np.asarray(part, float) / plan.num_units) for part in (moved, away, size))
    distance = along[offset - 1 :]
    late = distance[-(after // 2) :]
    steps = np.arange(len(late)) - (len(late) - 1) / 2
    floor = np.finfo(moved.dtype).eps * np.maximum(distance[0], baseline)
    moving = (late > floor).all(axis=0) & np.isfinite(late).all(axis=0)
    slope = steps @ np.log(np.where(moving, late, 1)) / (steps @ steps)
    # over the time that is looked at it must fall by more than the rounding of states
    falling = slope * len(late) < -floor / np.where(moving, late[-1], 1)
    stuck = int(np.sum(~falling & ~(late[-1] <= floor)))
    if stuck:
        warn(
            f"after {stuck} of {len(pictures)} images the network does not return: there the distance to the baseline "
            "does not fall, and time_constant is NaN"
        )
    constant = np.where(moving & falling, -1 / np.where(moving & falling, slope, 1), np.nan)
    return Relaxation(
        speed, onset, offset, distance, constant, (distance[-1] < distance[0] / 100) | (distance[-1] <= floor)
    )


@eqx.filter_jit
def _course(network: ConvolutionalRNN, images: Array, offset_steps: int) -> tuple[Array, Array, Array]:
    """Squared change at every step and squared distance from the state before the image (T, n), and its size (n,)."""
    plan = network.architecture
    onset, offset = plan.blank_steps, plan.blank_steps + plan.image_steps
    shown = images.astype(network.dtype)
    kernels, drive = network.kernels(), network.drive(shown)
    rest = tuple(jnp.broadcast_to(area, (len(shown), *area.shape)) for area in network.silence())

    def squares(state: AreaState, other: AreaState) -> Array:
        parts = [jnp.sum((a - b) ** 2, axis=(1, 2, 3)) for a, b in zip(state, other, strict=True)]
        return jnp.stack(parts).sum(axis=0)

    def step(carry: tuple[AreaState, AreaState], time: Array) -> Any:
        state, baseline = carry
        on = (time >= onset) & (time < offset)
        following = network.step_with(kernels, state, drive.shown(on))
        baseline = jax.tree.map(lambda new, old: jnp.where(time < onset, new, old), following, baseline)
        return (following, baseline), (squares(following, state), squares(following, baseline))

    (_, baseline), (moved, away) = jax.lax.scan(step, (rest, rest), jnp.arange(offset + offset_steps))
    return spread((moved, away, squares(baseline, rest)))
