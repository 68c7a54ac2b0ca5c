"""What is read of a network: its state, its trained read-out, or anything computed from the state."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, require, suggest, told
from fisherjax._functions import output_of

from ._network import Network, State

Reading: TypeAlias = Literal["state", "output"] | Callable[[Array], Any]
"""What is read of a network: its ``"state"``, its ``"output"`` (`Network.readout`), or a function of the state (S,)
to numbers (O,). Observation noise σ_obs is added to whatever is read."""

READINGS = ("state", "output")


def check_reading(network: Network, read: Any) -> int:
    """How many numbers are read; nothing is compiled or run.

    Raises
    ------
    TypeError
        If it is neither a name nor a function, or the function cannot be traced or gives no vector.
    ValueError
        If the name is unknown, or the function gives something else than a vector.
    """
    if isinstance(read, str):
        names = " or ".join(map(repr, READINGS))
        hint = suggest(read, READINGS)
        require(read in READINGS, f"read must be {names}, or a function of the state, got {told(read)}{hint}")
        return network.state_size if read == "state" else network.num_outputs
    if not callable(read):
        raise TypeError(f"read must be 'state', 'output' or a function of the state, got {told(read)}")
    found: Any = output_of("read", read, network.resting_state)
    shape = getattr(found, "shape", None)
    if shape is None:
        raise TypeError(f"read must return one vector of numbers, got {told(found)}")
    require(len(shape) == 1 and shape[0] > 0, f"read must return a vector (O,), got shape {shape}")
    return shape[0]


def check_times(at: Sequence[int] | None, num_steps: int) -> tuple[int, ...]:
    """Steps at which to read, counted from 1 in rising order; all if there is no choice.

    Raises
    ------
    TypeError, ValueError
        If they are no list of whole numbers, do not rise, or lie beyond the last step.
    """
    if at is None:
        return tuple(range(1, num_steps + 1))
    if isinstance(at, str | bytes) or not isinstance(at, Iterable):
        raise TypeError(f"at must be a list of steps, got {told(at)}")
    steps = tuple(check_integer("at", step, minimum=1) for step in at)
    rises = bool(steps) and steps == tuple(sorted(set(steps))) and steps[-1] <= num_steps
    require(rises, f"at must rise within 1…{num_steps}, got {list(at)}")
    return steps


def reading(network: Network, read: Reading) -> Callable[[State], Float[Array, "*trials O"]]:
    """The function of states (…, S) that is read, without observation noise."""
    if read == "state":
        return _state
    if read == "output":
        return network.readout
    return jnp.vectorize(read, signature="(s)->(o)")


def populations_read(network: Network, read: Reading, size: int) -> tuple[int, ...]:
    """Sizes of the groups that are told apart in what is read: the populations of a state, else one."""
    return network.population_sizes if read == "state" else (size,)


def _state(state: State) -> State:
    return state
