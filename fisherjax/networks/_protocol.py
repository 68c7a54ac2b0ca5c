"""How a stimulus enters a network, as a pulse, for good or as any stream of inputs; what is read of it, and when."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_kind, output_of, require, suggest, told
from fisherjax._linalg import directions_of, with_slopes
from fisherjax._types import Stimulus

from ._network import Network, State

Protocol: TypeAlias = Literal["pulse", "sustained"] | Callable[[Array], Any]
"""How a stimulus enters.

``"pulse"``: it sets the initial state (`Network.initial_state`); ``"sustained"``: it is the input at every step, from
rest; a function θ ↦ inputs (T, I), or (T,) where there is one: any stream or movie, from rest.
"""

PROTOCOLS = ("pulse", "sustained")

Reading: TypeAlias = Literal["state", "output"] | Callable[[Array], Any]
"""What is read of a network: its ``"state"``, its ``"output"`` (`Network.readout`), or a function of the state (S,)
to numbers (O,). Observation noise σ_obs is added to whatever is read."""

READINGS = ("state", "output")


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
    if is_named(protocol):
        leaves, structure = jax.tree.flatten(network)
        _check_entry(structure, tuple(map(jax.typeof, leaves)), protocol, jax.typeof(theta))
        return theta
    shape = network.input_shape
    if shape is None:
        raise ValueError(f"protocol has no use here: the step of this {type(network).__name__} takes no input")
    inputs = output_of("protocol", protocol, theta)
    given = getattr(inputs, "shape", None)
    if given is None:
        raise TypeError(f"protocol must return one array of inputs {(num_steps, *shape)}, got {told(inputs)}")
    wanted = (num_steps, *shape)
    if shape == (1,) and given == (num_steps,):
        return theta
    require(given == wanted, f"protocol must return inputs of shape {wanted}, one for each step, got {given}")
    return theta


def is_named(protocol: Any) -> bool:
    """Whether a protocol is a name, and not a function.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If there is none of that name.
    """
    if isinstance(protocol, str) and protocol not in PROTOCOLS:
        raise ValueError(
            f"protocol must be {', '.join(map(repr, PROTOCOLS))} or a function from the stimulus to inputs, "
            f"got {told(protocol)}{suggest(protocol, PROTOCOLS)}"
        )
    if not isinstance(protocol, str) and not callable(protocol):
        raise TypeError(f"protocol must be 'pulse', 'sustained' or a function from θ to inputs, got {told(protocol)}")
    return isinstance(protocol, str)


@functools.lru_cache
def _check_entry(structure: Any, shapes: tuple[Any, ...], protocol: str, theta: Any) -> None:
    """Follow the stimulus into a network of these shapes, once for all of them."""
    abstract = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in (*shapes, theta)]

    def enter(leaves: list[Array], theta: Array) -> Array:
        network = jax.tree.unflatten(structure, leaves)
        return network.initial_state(theta) if protocol == "pulse" else network.as_input(theta)

    jax.eval_shape(enter, abstract[:-1], abstract[-1])


def entered(
    network: Network, protocol: Protocol, theta: Array, num_steps: int
) -> tuple[Float[Array, " S"], Float[Array, "T ..."] | None]:
    """State before the first step, and the inputs to all steps; differentiable in θ and in the network."""
    if protocol == "pulse":
        return network.initial_state(theta), None
    if protocol == "sustained":
        shown = network.as_input(theta)
        return network.resting_state, jnp.broadcast_to(shown, (num_steps, *shown.shape))
    shown = jnp.asarray(protocol(theta)).astype(network.dtype)  # pyright: ignore[reportCallIssue]
    return network.resting_state, shown[:, None] if shown.ndim == 1 else shown


def entered_with_slopes(network: Network, protocol: Protocol, theta: Array, num_steps: int) -> Any:
    """What `entered` gives, and its derivative in K stimulus parameters: of the state (K, S), of inputs (T, K, …)."""
    begun, (slope, input_slopes) = with_slopes(
        lambda t: entered(network, protocol, t, num_steps), (theta,), (directions_of(theta),)
    )
    return begun, (slope, None if input_slopes is None else jnp.moveaxis(input_slopes, 1, 0))


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
        if read not in READINGS:
            names, hint = " or ".join(map(repr, READINGS)), suggest(read, READINGS)
            raise ValueError(f"read must be {names}, or a function of the state, got {told(read)}{hint}")
        return network.state_size if read == "state" else network.num_outputs
    if not callable(read):
        raise TypeError(f"read must be 'state', 'output' or a function of the state, got {told(read)}")
    output: Any = output_of("read", read, network.resting_state)
    shape = getattr(output, "shape", None)
    if shape is None:
        raise TypeError(f"read must return one vector of numbers, got {told(output)}")
    require(len(shape) == 1 and shape[0] > 0, f"read must return a vector (O,), got shape {shape}")
    return shape[0]


def check_times(at: Sequence[int] | None, num_steps: int, name: str = "at") -> tuple[int, ...]:
    """Steps at which to read, counted from 1 in rising order; all if there is no choice.

    Raises
    ------
    TypeError, ValueError
        If they are no list of whole numbers, do not rise, or lie beyond the last step.
    """
    if at is None:
        return tuple(range(1, num_steps + 1))
    check_kind(name, at, Iterable, "a list of steps", but=(str, bytes))
    steps = tuple(check_integer(name, step, minimum=1) for step in at)
    rises = bool(steps) and steps == tuple(sorted(set(steps))) and steps[-1] <= num_steps
    require(rises, f"{name} must rise within 1…{num_steps}, got {list(at)}")
    return steps


def reading(network: Network, read: Reading) -> Callable[[State], Float[Array, "*trials O"]]:
    """The function of states (…, S) that is read, without observation noise."""
    if read == "state":
        return _state
    if read == "output":
        return network.readout
    return jnp.vectorize(read, signature="(s)->(o)")


def populations_read(network: Network, read: Reading, size: int) -> tuple[int, ...]:
    """Sizes of the groups that are told apart in what is read: the populations of a state, the reading's own, else one.

    A reading names its groups, one after another, by an attribute `counts`.
    """
    counts = getattr(read, "counts", None)
    if isinstance(counts, tuple) and sum(counts) == size:
        return counts
    return network.population_sizes if read == "state" else (size,)


@dataclasses.dataclass(frozen=True)
class PartOfState:
    """A reading: the first so many of the units of every population."""

    population_sizes: tuple[int, ...]
    counts: tuple[int, ...]

    def __call__(self, state: Float[Array, "*n N"]) -> Float[Array, "*n O"]:
        """The units that are read."""
        starts = itertools.accumulate(self.population_sizes[:-1], initial=0)
        units = [range(start, start + count) for start, count in zip(starts, self.counts, strict=True)]
        return state[..., np.concatenate(units).astype(int)]


def _state(state: State) -> State:
    return state
