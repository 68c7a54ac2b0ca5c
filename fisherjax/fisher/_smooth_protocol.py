"""A look at a user's protocol before information is computed: whether its derivative says how it changes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fisherjax._arrays import check_finite
from fisherjax._errors import is_traced, require
from fisherjax._types import Stimulus
from fisherjax.networks import Network
from fisherjax.networks._protocol import Protocol, check_protocol

_JUMP = 1e-4  # of the inputs: a smaller step in them is rounding


def check_entry(network: Network, protocol: Protocol, stimulus: Stimulus, num_steps: int) -> Array:
    """The stimulus as an array, if it can enter the network so and its inputs have a derivative in it.

    Raises
    ------
    TypeError, ValueError
        As `check_protocol`; if the inputs are no floats, are not finite, or jump at the stimulus.
    """
    theta = check_protocol(network, protocol, stimulus, num_steps)
    if isinstance(protocol, str):
        return theta
    inputs: Any = jax.eval_shape(protocol, theta)
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise TypeError(f"protocol must return floats, which have a derivative, got {inputs.dtype}")
    if not is_traced((theta, protocol)):
        _check_smooth(protocol, theta)
    return theta


def _check_smooth(protocol: Any, theta: Array) -> None:
    """Refuse inputs that are not finite, or whose change is another than their derivative says however near."""
    ones = jnp.ones_like(theta)
    inputs, slope = (np.asarray(part, np.float64) for part in jax.jvp(protocol, (theta,), (ones,)))
    check_finite("protocol(stimulus)", inputs)
    check_finite("the derivative of protocol", slope)
    eps = float(jnp.finfo(theta.dtype).eps)
    step = eps ** (1 / 3) * max(float(jnp.max(jnp.abs(theta))), 1.0)
    excess, size = [], float(np.linalg.norm(inputs))
    for near in (step, step / 8):
        moved = (theta + sign * jnp.asarray(near, theta.dtype) * ones for sign in (-1, 1))
        low, high = (np.asarray(protocol(value), np.float64) for value in moved)
        excess.append(np.linalg.norm(high - low - 2 * near * slope))
        size = max(size, float(np.linalg.norm(high)), float(np.linalg.norm(low)))
    # what a kink or a curve leaves shrinks with the step, a jump does not
    jumps = excess[1] > 0.5 * excess[0] and excess[1] > _JUMP * size
    require(
        not jumps,
        f"protocol jumps near {np.asarray(theta).tolist()}: its derivative does not say how the inputs change, and the "
        "information would be wrong; smooth it, or measure with fisher.estimate(method='common')",
    )
