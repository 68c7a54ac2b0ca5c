"""A map or a flow with its states, arrays or trees of them, and inputs: what every analysis of dynamics starts from."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_callable, output_of, require, told
from fisherjax._records import record_bytes
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.networks import Flow, FlowNetwork, Network, RecurrentNetwork
from fisherjax.networks._rate import runge_kutta
from fisherjax.networks._weights import resolved

StepFunction: TypeAlias = Callable[..., Any]

StepLike: TypeAlias = Network | Flow | StepFunction
"""What moves a state: a `Network`, a function F(x) or F(x, u) to the next state, or a `networks.Flow` of a velocity.

A `networks.FlowNetwork` and a `networks.Flow` are flows: asked for fixed points, they answer by their velocity. All
else is a map."""


@dataclasses.dataclass(frozen=True)
class Unflatten:
    """From flat states (…, N) to the trees of arrays (…, *shape) that a step takes."""

    tree_of: Callable[[Array], Any]

    def __call__(self, states: Any) -> Any:
        """The trees of flat states; leading axes are free."""
        flat, tree_of = jnp.asarray(states), self.tree_of
        for _ in range(flat.ndim - 1):
            tree_of = jax.vmap(tree_of)
        return tree_of(flat)


class FlatStates(NamedTuple):
    """States (K, N), and how they become trees again if they were."""

    array: Float[Array, "K N"]
    unflatten: Unflatten | None


class StateRecord(Record):
    """A result that holds states. They are flat; where the step's states are trees, `unflatten` makes trees of them.

    A file does not keep `unflatten`.
    """

    unflatten: Unflatten | None = eqx.field(static=True, default=None, kw_only=True)

    def to_bytes(self) -> bytes:
        """What `.save` writes."""
        return record_bytes(dataclasses.replace(self, unflatten=None))  # pyright: ignore[reportArgumentType]


class System(eqx.Module):
    """A map or a flow of flat states (N,), ready to compute with."""

    move: StepFunction  # to the next state of a map, to dx/dt of a flow
    is_flow: bool = eqx.field(static=True)

    def __call__(self, state: Array, inputs: Any = None) -> Array:
        """F(x, u), or F(x) where there is no input."""
        return self.move(state) if inputs is None else self.move(state, inputs)

    def residual(self, state: Array, inputs: Array | None = None) -> Array:
        """What vanishes at a fixed point: F(x, u) − x of a map, the velocity of a flow."""
        moved = self(state, inputs)
        return moved if self.is_flow else moved - state


class Setting(NamedTuple):
    """What an analysis asks, checked: a system, states (K, N) and an input for each, or none."""

    system: System
    states: Float[Array, "K N"]
    inputs: Float[Array, "K *I"] | None
    unflatten: Unflatten | None


def setting_of(
    name: str, step: StepLike, states: Any, inputs: ArrayLike | None = None, *, single: bool = False
) -> Setting:
    """A system with its states and inputs; nothing is compiled or run. `name` is the argument that holds the states.

    Raises
    ------
    TypeError, ValueError
        As `as_states` and `as_inputs`; if the step does not map a state to a state of its shape and type, or
        `step` is no network, flow or function.
    """
    flat = as_states(name, states, single=single)
    given = as_inputs(step, inputs, len(flat.array), flat.array.dtype)
    _check_step(name, step, flat, given)
    return Setting(system_of(step, flat.unflatten), flat.array, given, flat.unflatten)


def system_of(step: StepLike, unflatten: Unflatten | None = None) -> System:
    """The system to compute with: a network with its weights worked out, a flow by its velocity."""
    move, is_flow = _moving(resolved(step) if isinstance(step, RecurrentNetwork) else step)
    return System(move if unflatten is None else _OnTrees(move, unflatten), is_flow)


def map_of(step: StepLike, unflatten: Unflatten | None, dt: Scalar | None, asker: str) -> System:
    """The map to iterate: a network's step, a function, or one step of Runge and Kutta's method along a flow.

    Raises
    ------
    ValueError
        If `step` is a `Flow` and `dt` is not said.
    """
    if isinstance(step, FlowNetwork):
        return System(step.step, is_flow=False)
    system = system_of(step, unflatten)
    if not system.is_flow:
        return system
    if dt is None:
        raise ValueError(f"dt must be said for a Flow: {asker} iterates a map, its Runge–Kutta step of that length")
    return System(RungeKuttaStep(system, jnp.asarray(dt)), is_flow=False)


def time_step_of(step: StepLike) -> float:
    """Time from one state of a network to the next; 1 for a function."""
    return float(step.time_step) if isinstance(step, Network) else 1.0


class RungeKuttaStep(eqx.Module):
    """The map that a flow is over a time `dt`, by the Runge–Kutta method of order four."""

    flow: System
    dt: Array

    def __call__(self, state: Array, inputs: Array | None = None) -> Array:
        """The state `dt` later; the input lasts throughout."""
        return runge_kutta(lambda x: self.flow(x, inputs), state, self.dt.astype(state.dtype))


class _OnTrees(eqx.Module):
    """A function of states that are trees, as one of flat states."""

    move: StepFunction
    unflatten: Unflatten = eqx.field(static=True)

    def __call__(self, state: Array, *inputs: Array) -> Array:
        return flattened(self.move(self.unflatten(state), *inputs))


def as_inputs(step: StepLike, inputs: ArrayLike | None, count: int, dtype: Any) -> Float[Array, "K *I"] | None:
    """One input per state (K, *I): a single input is that of all.

    Inputs of a network have its `input_shape`; those of a function are vectors (I,).

    Raises
    ------
    TypeError, ValueError
        If they are not finite real numbers, there is neither one input nor one per state, or the network takes none.
    """
    if inputs is None:
        return None
    axes, hint = input_axes(step), "one input for all states, or one for each"
    array = as_real("inputs", inputs, axes, f"{count} {axes}", dtype=dtype, hint=hint)
    rank = len(axes.split())
    return jnp.broadcast_to(array, (count, *array.shape[array.ndim - rank :]))


def input_axes(step: StepLike) -> str:
    """The axes of one input, as the gate for arrays names them.

    Raises
    ------
    ValueError
        If the step of a network takes no input.
    """
    if not isinstance(step, Network):
        return "I"
    if step.input_shape is None:
        raise ValueError(f"inputs have no use: the step of this {type(step).__name__} takes none")
    return " ".join(map(str, step.input_shape))


def _moving(step: StepLike) -> tuple[StepFunction, bool]:
    """What moves a state, as it was written, and whether it is a velocity."""
    if isinstance(step, FlowNetwork | Flow):
        return step.velocity, True
    return (step.step if isinstance(step, Network) else check_callable("step", step)), False


def _check_step(name: str, step: StepLike, states: FlatStates, inputs: Float[Array, "K *I"] | None) -> None:
    """Refuse a step that does not map a state to a state of its shape and type; nothing is compiled or run.

    `name` is the argument that holds the states. What a step raises keeps its own words after ours.

    Raises
    ------
    TypeError
        If the step cannot be called like this, cannot be traced, or returns something else than an array of floats.
    ValueError
        If the result has another shape.
    """
    move, is_flow = _moving(step)
    size, what = states.array.shape[1], "velocity" if is_flow else "step"
    if isinstance(step, Network):
        require(states.unflatten is None, f"{name} of a network must be an array (…, {step.state_size}), not a tree")
        expected = step.state_size
        require(size == expected, f"{name} must have {expected} numbers per state, as step has; got {size}")
    state: Any = jax.ShapeDtypeStruct((size,), states.array.dtype)
    if states.unflatten is not None:
        state = jax.eval_shape(states.unflatten.tree_of, state)
    first = () if inputs is None else (inputs[0],)

    def moving(*args: Any) -> Any:
        return move(*args)  # JAX, given a ufunc of NumPy itself, ends with the process

    moved: Any = output_of(what, moving, state, *first, hint="it needs inputs, which are not given")
    if states.unflatten is not None:
        _check_tree(what, state, moved)
        return
    shape, dtype = getattr(moved, "shape", None), getattr(moved, "dtype", None)
    if shape is None:
        raise TypeError(f"{what} must return the next state, one array of shape {(size,)}, got {told(moved)}")
    require(shape == (size,), f"{what} must map a state {(size,)} to one of its shape, got {shape}")
    if dtype != states.array.dtype:
        raise TypeError(f"{what} must return the float type of its state, {states.array.dtype}, but it returns {dtype}")


def _check_tree(what: str, state: Any, moved: Any) -> None:
    """Refuse a tree that is not like the state."""
    wanted, given = jax.tree.structure(state), jax.tree.structure(moved)
    if wanted != given:
        raise TypeError(f"{what} must return a tree like its state, {wanted}, got {given}")
    kinds = [[f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)] for tree in (state, moved)]
    require(kinds[0] == kinds[1], f"{what} must return leaves like those of its state, {kinds[0]}, got {kinds[1]}")


def as_states(name: str, states: Any, *, single: bool = False) -> FlatStates:
    """States as (K, N); one state (N,) becomes (1, N).

    A state may be a tree of arrays: a dictionary, a named tuple, a module, or a tuple that holds arrays; each leaf has
    the leading axis K, or none where a `single` state is asked for. A list is an array, row by row.

    Raises
    ------
    TypeError, ValueError
        If they are not real numbers, have another number of axes, are none, or are not finite; if leaves of a tree
        disagree in K or in their float type.
    """
    if not _is_tree(states):
        array = jnp.atleast_2d(as_real(name, states, "K N", "N"))
        require(array.size > 0, f"{name} must hold at least one state of at least one unit, got shape {array.shape}")
        return FlatStates(array, None)
    leaves, structure = jax.tree.flatten(states)
    parts = [as_real(f"every leaf of {name}", leaf) for leaf in leaves]
    types = sorted({str(part.dtype) for part in parts})
    require(len(types) <= 1, f"every leaf of {name} must have one float type, got {' and '.join(types)}")
    if single:
        parts = [part[None] for part in parts]
    counts = sorted({part.shape[:1] for part in parts})
    agree = len(counts) == 1 and len(counts[0]) == 1
    require(agree, f"every leaf of {name} must have one leading axis, the states; got {[p.shape for p in parts]}")
    tree = jax.tree.unflatten(structure, parts)
    require(sum(part.size for part in parts) > 0, f"{name} must hold at least one state of at least one unit")
    tree_of = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], tree))[1]
    return FlatStates(flattened(tree, 1), Unflatten(tree_of))


def flattened(tree: Any, num_leading: int = 0) -> Float[Array, "... N"]:
    """Trees of arrays as flat states, with leading axes kept."""
    ravel: Callable[[Any], Array] = lambda part: ravel_pytree(part)[0]  # noqa: E731
    for _ in range(num_leading):
        ravel = jax.vmap(ravel)
    return ravel(tree)


def _is_tree(states: Any) -> bool:
    if isinstance(states, tuple) and not hasattr(states, "_fields"):
        return any(_is_tree(part) or (isinstance(part, jax.Array | np.ndarray) and part.ndim > 0) for part in states)
    return not (states is None or isinstance(states, list) or jax.tree_util.all_leaves([states]))
