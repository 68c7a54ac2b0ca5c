"""A step function with its inputs: what every analysis of dynamics starts from."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_callable, require, told
from fisherjax._functions import output_of
from fisherjax.networks import RecurrentNetwork, resolved

Convention: TypeAlias = Literal["discrete", "continuous"]
StepFunction: TypeAlias = Callable[..., Any]

CONVENTIONS = ("discrete", "continuous")


def prepared(step: StepFunction) -> StepFunction:
    """The step to compute with: a network with its weights worked out, or a function as it is."""
    check_callable("step", step)
    return resolved(step) if isinstance(step, RecurrentNetwork) else step


def as_states(name: str, states: Any) -> Float[Array, "K N"]:
    """States as (K, N); one state (N,) becomes (1, N).

    Raises
    ------
    TypeError, ValueError
        If they are not real numbers, have another number of axes, are none, or are not finite.
    """
    array = jnp.atleast_2d(as_real(name, states, "K N", "N"))
    require(array.size > 0, f"{name} must hold at least one state of at least one unit, got shape {array.shape}")
    return array


def as_inputs(inputs: object, count: int, dtype: Any) -> Float[Array, "K I"] | None:
    """One input per state (K, I): a single input (I,) is that of all.

    Raises
    ------
    TypeError, ValueError
        If they are not finite real numbers, or there is neither one input nor one per state.
    """
    if inputs is None:
        return None
    array = as_real("inputs", inputs, "I", f"{count} I", dtype=dtype, hint="one input for all states, or one for each")
    return jnp.broadcast_to(array, (count, array.shape[-1]))


def apply(step: StepFunction, state: Array, inputs: Array | None) -> Array:
    """F(x, u), or F(x) for a step without input."""
    return step(state) if inputs is None else step(state, inputs)


def residual(step: StepFunction, state: Array, inputs: Array | None, convention: Convention) -> Array:
    """What vanishes at a fixed point: F(x, u) − x of a map, F(x, u) of a velocity."""
    moved = apply(step, state, inputs)
    return moved - state if convention == "discrete" else moved


def check_step(name: str, step: StepFunction, states: Float[Array, "K N"], inputs: Float[Array, "K I"] | None) -> None:
    """Refuse a step that does not map a state to a state of its length and type; nothing is compiled or run.

    `name` is the argument that holds the states. What a step raises keeps its own words after ours.

    Raises
    ------
    TypeError
        If the step cannot be called like this, cannot be traced, or returns something else than an array of floats.
    ValueError
        If the result has another shape.
    """
    size = states.shape[1]
    if isinstance(step, RecurrentNetwork):
        expected, width = step.state_size, step.num_inputs
        require(size == expected, f"{name} must have {expected} numbers per state, as step has; got {size}")
        given = width if inputs is None else inputs.shape[1]
        require(given == width, f"inputs must have {width} numbers, as step takes; got {given}")
    first = () if inputs is None else (inputs[0],)
    hint = "it needs inputs, which are not given"
    moved: Any = output_of("step", lambda x, u=None: apply(step, x, u), states[0], *first, hint=hint)
    shape, dtype = getattr(moved, "shape", None), getattr(moved, "dtype", None)
    if shape is None:
        raise TypeError(f"step must return the next state, one array of shape {(size,)}, got {told(moved)}")
    require(shape == (size,), f"step must map a state {(size,)} to one of its shape, got {shape}")
    if dtype != states.dtype:
        raise TypeError(f"step must return the float type of its state, {states.dtype}, but it returns {dtype}")
