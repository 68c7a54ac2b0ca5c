"""A step function with its inputs: what every analysis of dynamics starts from."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_callable, require
from fisherjax._types import as_float
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
    ValueError
        If they have another number of axes, or are not finite.
    """
    array = jnp.atleast_2d(as_float(states))
    require(array.ndim == 2 and len(array) > 0, f"{name} must have shape (K, N), got {np.shape(states)}")
    check_finite(name, array)
    return array


def as_inputs(inputs: object, count: int, dtype: Any) -> Float[Array, "K I"] | None:
    """One input per state (K, I): a single input (I,) is that of all.

    Raises
    ------
    ValueError
        If there is neither one input nor one per state.
    """
    if inputs is None:
        return None
    array = jnp.asarray(inputs).astype(dtype)
    require(
        array.ndim == 1 or (array.ndim == 2 and array.shape[0] == count),
        f"inputs must have shape (I,) or ({count}, I), one per state; got {array.shape}",
    )
    check_finite("inputs", array)
    return jnp.broadcast_to(array, (count, array.shape[-1]))


def apply(step: StepFunction, state: Array, inputs: Array | None) -> Array:
    """F(x, u), or F(x) for a step without input."""
    return step(state) if inputs is None else step(state, inputs)


def residual(step: StepFunction, state: Array, inputs: Array | None, convention: Convention) -> Array:
    """What vanishes at a fixed point: F(x, u) − x of a map, F(x, u) of a velocity."""
    moved = apply(step, state, inputs)
    return moved - state if convention == "discrete" else moved


def check_step(step: StepFunction, states: Float[Array, "K N"], inputs: Float[Array, "K I"] | None) -> None:
    """Refuse a step that does not map a state to a state of the same length.

    Raises
    ------
    ValueError
        If the result has another shape.
    """
    first = None if inputs is None else inputs[0]
    shape = jax.eval_shape(lambda x, u: apply(step, x, u), states[0], first).shape
    require(shape == states.shape[1:], f"step must map a state {states.shape[1:]} to one of its shape, got {shape}")
