"""How a stimulus enters a network: as a pulse, for good, or as any stream of inputs."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import require, suggest, told
from fisherjax._functions import output_of
from fisherjax._linalg import directions_of, with_slopes
from fisherjax._types import Stimulus

from ._network import Network

Protocol: TypeAlias = Literal["pulse", "sustained"] | Callable[[Array], Any]
"""How a stimulus enters.

``"pulse"``: it sets the initial state (`Network.initial_state`); ``"sustained"``: it is the input at every step, from
rest; a function θ ↦ inputs (T, I): any stream or movie, from rest.
"""

PROTOCOLS = ("pulse", "sustained")


def check_protocol(network: Network, protocol: Any, stimulus: Stimulus, num_steps: int) -> Array:
    """The stimulus as an array, if it can enter the network so; nothing is compiled or run.

    Raises
    ------
    TypeError
        If the protocol is neither a name nor a function, or the function cannot be traced or gives no array.
    ValueError
        If the name is unknown, or a shape does not fit.
    """
    theta = as_real("stimulus", stimulus, dtype=network.dtype)
    if isinstance(protocol, str):
        choices = ", ".join(map(repr, PROTOCOLS))
        require(
            protocol in PROTOCOLS,
            f"protocol must be {choices} or a function from the stimulus to inputs, got {told(protocol)}"
            f"{suggest(protocol, PROTOCOLS)}",
        )
        jax.eval_shape(network.initial_state if protocol == "pulse" else network.as_input, theta)
        return theta
    if not callable(protocol):
        raise TypeError(f"protocol must be 'pulse', 'sustained' or a function from θ to inputs, got {told(protocol)}")
    shape = network.input_shape
    if shape is None:
        raise ValueError(f"protocol has no use here: the step of this {type(network).__name__} takes no input")
    inputs = output_of("protocol", protocol, theta)
    found = getattr(inputs, "shape", None)
    if found is None:
        raise TypeError(f"protocol must return one array of inputs {(num_steps, *shape)}, got {told(inputs)}")
    wanted = (num_steps, *shape)
    require(found == wanted, f"protocol must return inputs of shape {wanted}, one for each step, got {found}")
    return theta


def entered(
    network: Network, protocol: Protocol, theta: Array, num_steps: int
) -> tuple[Float[Array, " S"], Float[Array, "T ..."] | None]:
    """State before the first step, and the inputs to all steps; differentiable in θ and in the network."""
    if protocol == "pulse":
        return network.initial_state(theta), None
    if protocol == "sustained":
        shown = network.as_input(theta)
        return network.resting_state, jnp.broadcast_to(shown, (num_steps, *shown.shape))
    return network.resting_state, jnp.asarray(protocol(theta)).astype(network.dtype)  # pyright: ignore[reportCallIssue]


def entered_with_slopes(network: Network, protocol: Protocol, theta: Array, num_steps: int) -> Any:
    """What `entered` gives, and its derivative in K stimulus parameters: of the state (K, S), of inputs (T, K, …)."""
    begun, (slope, input_slopes) = with_slopes(
        lambda t: entered(network, protocol, t, num_steps), (theta,), (directions_of(theta),)
    )
    return begun, (slope, None if input_slopes is None else jnp.moveaxis(input_slopes, 1, 0))
