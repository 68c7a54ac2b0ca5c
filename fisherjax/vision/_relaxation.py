"""How activity settles before, during and after an image."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_integer, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import Record

from ._convolution import AreaState
from ._course import course, squared_change
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
    shown, count = jnp.asarray(pictures)[None], len(pictures)
    rest = tuple(jnp.zeros((count, *area.shape), area.dtype) for area in network.silence())
    baseline, (before, size) = course(
        network, shown, jnp.zeros((onset, 1, count)), None, jax.tree_util.Partial(_distances, rest)
    )
    times = np.arange(plan.image_steps + after)
    on = jnp.asarray(np.repeat(times < plan.image_steps, count).reshape(-1, 1, count), float)
    _, (during, away) = course(network, shown, on, baseline, jax.tree_util.Partial(_distances, baseline))
    moved, squares = np.concatenate([before, during]), np.asarray(away)
    speed, along, reached = (np.sqrt(np.asarray(part, float) / plan.num_units) for part in (moved, squares, size[-1]))
    distance = along[plan.image_steps - 1 :]
    late = distance[-(after // 2) :]
    steps = np.arange(len(late)) - (len(late) - 1) / 2
    floor = np.finfo(moved.dtype).eps * np.maximum(distance[0], reached)
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


def _distances(baseline: AreaState, before: AreaState, after: AreaState) -> tuple[Array, Array]:
    """Squared change of a step, and squared distance from a state, of every image."""
    return squared_change(before, after).sum(axis=0), squared_change(baseline, after).sum(axis=0)
