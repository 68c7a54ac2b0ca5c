"""Any function of JAX from a state to the next as a network."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type
from fisherjax._errors import check_callable, check_integer, check_optional, check_scalar, output_of, require, told
from fisherjax._types import ArrayLike, Scalar, Stimulus

from ._network import Network, State

StepFunction = Callable[..., Any]


class StepNetwork(Network):
    r"""A network of any step: x(t+1) = F(x(t), u(t+1)) + σ ξ(t+1). Made by `from_step`.

    The fields hold the functions as they were given, so that the arrays of a function that is a pytree are arrays of
    the network: a gradient in the network has that in ``step_function.weight``. It cannot be saved.

    Attributes
    ----------
    step_function, initial_function, readout_function
        F; θ ↦ x(0), or None for one step from rest; what is read out of a state, or None for the state itself.
    rest
        The state before any stimulus, where it was given.
    """

    step_function: Any
    initial_function: Any
    readout_function: Any
    rest: Float[Array, " S"] | None
    noise_std: Float[Array, "*S"]
    observation_noise_std: Float[Array, ""]
    size: int = eqx.field(static=True)
    entry: tuple[int, ...] | None = eqx.field(static=True)
    stimulus_shape: tuple[int, ...] | None = eqx.field(static=True)

    @property
    def state_size(self) -> int:
        """Length S of the state."""
        return self.size

    @property
    def num_outputs(self) -> int:
        """Length of the read-out; S where the state itself is read out."""
        if self.readout_function is None:
            return self.size
        state = jax.ShapeDtypeStruct((self.size,), self.dtype)
        return output_of("readout", _opened(self.readout_function), state).shape[0]

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of the input to one step; None where the step takes none."""
        return self.entry

    @property
    def resting_state(self) -> Float[Array, " S"]:
        """The state before any stimulus: the one given, or x(0) of a stimulus of zero, or zero (see `from_step`)."""
        if self.rest is not None:
            return self.rest
        if self.stimulus_shape is None:
            return jnp.zeros(self.size, self.dtype)
        return self.initial_state(jnp.zeros(self.stimulus_shape, self.dtype))

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """F(x, u) + σ ξ; leading axes are trials, and an absent input is zero."""
        require(input is None or self.entry is not None, "input has no use: the step of this StepNetwork takes none")
        arguments, signature = (state,), "(s)"
        if self.entry is not None:
            shown = jnp.zeros(self.entry, self.dtype) if input is None else input
            arguments, signature = (state, shown), f"(s),({','.join(f'i{k}' for k in range(len(self.entry)))})"
        moved = jnp.vectorize(_opened(self.step_function), signature=f"{signature}->(s)")(*arguments)
        return moved if noise is None else moved + self.noise_std * noise

    def readout(self, state: State) -> Float[Array, "*trials O"]:
        """What is read out, without its noise."""
        if self.readout_function is None:
            return state
        return jnp.vectorize(_opened(self.readout_function), signature="(s)->(o)")(state)

    def initial_state(self, stimulus: Stimulus) -> Float[Array, " S"]:
        """Where a pulse puts the network.

        Raises
        ------
        ValueError, TypeError
            If the function that was given does not take such a stimulus, or does not return a state.
        """
        if self.initial_function is None:
            return super().initial_state(stimulus)
        theta, function = as_real("stimulus", stimulus, dtype=self.dtype), _opened(self.initial_function)
        _check_floats("initial_state", output_of("initial_state", function, theta), (self.size,))
        return function(theta).astype(self.dtype)

    def to_bytes(self) -> bytes:
        """Refused: a file holds no functions."""
        raise TypeError(
            "cannot save this StepNetwork: its step is code, and files hold numbers only; keep the lines that make it, "
            "and its arrays with equinox.tree_serialise_leaves"
        )

    def __repr__(self) -> str:
        function = _opened(self.step_function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        sizes = f"{self.size} states" + ("" if self.entry is None else f", input {self.entry}")
        return f"StepNetwork({name}: {sizes})"


def from_step(
    step: StepFunction,
    state_size: int,
    *,
    initial_state: Callable[[Any], Any] | None = None,
    noise_std: ArrayLike = 0.0,
    observation_noise_std: Scalar = 0.0,
    readout: Callable[[Any], Any] | None = None,
    input_shape: int | tuple[int, ...] | None = None,
    resting_state: ArrayLike | None = None,
) -> StepNetwork:
    r"""A network of any JAX function from a state to the next, x(t+1) = F(x(t), u(t+1)) + σ ξ(t+1).

    Parameters
    ----------
    step
        F(x) or F(x, u), for one state x (S,), to the next state (S,). Arrays that it is to be differentiated in must be
        part of it, as of an ``equinox.Module`` with ``__call__`` or a ``jax.tree_util.Partial``; those that a plain
        function closes over are constants.
    state_size
        S.
    initial_state
        θ ↦ x(0) (S,): where a pulse puts the network. For a step with an input it is by default one step from rest
        with the stimulus as the input.
    noise_std
        σ of the noise added to every state entry, a number or one per entry (S,).
    observation_noise_std
        σ_obs of what is read out.
    readout
        What is read out, from a state (S,) to numbers (O,); the state itself by default.
    input_shape
        Of u, (I,) or I; to be said if the step takes an input.
    resting_state
        The state (S,) before any stimulus. By default it is ``initial_state`` of a stimulus of zero: of a number if
        the function takes one, else of the shape of an input, else of a state; zero if it takes none of them, or there
        is no such function.

    Returns
    -------
    The network. The float type is that of the arrays in its functions, JAX's default if there are none.

    Raises
    ------
    TypeError
        If something is no function, cannot be traced, or returns no array of the network's float type.
    ValueError
        If a shape does not fit, `input_shape` is missing or has no use, or a noise level is negative.
    """
    size = check_integer("state_size", state_size, minimum=1)
    entry = _entry(check_callable("step", step), input_shape)
    check_optional(check_callable, "initial_state", initial_state)
    check_optional(check_callable, "readout", readout)
    needed = initial_state is not None or entry is not None
    require(needed, "initial_state must be said, θ ↦ x(0), because step takes no input through which θ could enter")
    dtype = float_type(
        *(leaf for leaf in jax.tree.leaves((step, initial_state, readout)) if isinstance(leaf, jax.Array | np.ndarray))
    )
    state = jax.ShapeDtypeStruct((size,), dtype)
    shown = () if entry is None else (jax.ShapeDtypeStruct(entry, dtype),)
    _check_floats("step", output_of("step", step, state, *shown), (size,), dtype)
    if readout is not None:
        _check_floats("readout", output_of("readout", readout, state), None)
    check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
    return StepNetwork(
        step_function=_boxed(step),
        initial_function=None if initial_state is None else _boxed(initial_state),
        readout_function=None if readout is None else _boxed(readout),
        rest=None if resting_state is None else as_real("resting_state", resting_state, f"{size}", dtype=dtype),
        noise_std=as_real("noise_std", noise_std, "", f"{size}", dtype=dtype, minimum=0.0),
        observation_noise_std=jnp.asarray(observation_noise_std, dtype),
        size=size,
        entry=entry,
        stimulus_shape=_stimulus_shape(initial_state, size, entry, dtype),
    )


class _Fixed(eqx.Module):
    """What of a function is no array, and so no leaf of the network."""

    value: Any = eqx.field(static=True)


def _boxed(function: StepFunction) -> Any:
    """The function as a tree whose leaves are arrays."""
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf) if isinstance(leaf, jax.Array | np.ndarray) else _Fixed(leaf), function
    )


def _opened(function: Any) -> Any:
    """The function itself again."""
    return jax.tree.map(
        lambda leaf: leaf.value if isinstance(leaf, _Fixed) else leaf,
        function,
        is_leaf=lambda leaf: isinstance(leaf, _Fixed),
    )


def _entry(step: StepFunction, input_shape: int | tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The shape of the input, if the step takes one and it was said."""
    least, most = _num_arguments(step)
    require(least <= 2, f"step must take a state, or a state and an input, but it needs {least} arguments")
    if input_shape is None:
        require(least < 2, "input_shape must be said, (I,) or I, because step takes a state and an input")
        return None
    require(most >= 2, "input_shape has no use: step takes a state only")
    lengths = input_shape if isinstance(input_shape, tuple | list) else (input_shape,)
    require(len(lengths) > 0, "input_shape must have at least one axis, got ()")
    return tuple(check_integer("input_shape", length, minimum=1) for length in lengths)


def _num_arguments(step: StepFunction) -> tuple[int, int | float]:
    """How many positional arguments a function needs, and takes at most."""
    try:
        parameters = inspect.signature(step).parameters.values()
    except (TypeError, ValueError):  # some that are compiled have none
        return 1, math.inf
    by_place = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    named = [parameter for parameter in parameters if parameter.kind in by_place]
    needed = sum(parameter.default is parameter.empty for parameter in named)
    takes_more = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    return needed, math.inf if takes_more else len(named)


def _stimulus_shape(
    initial_state: Callable[[Any], Any] | None, size: int, entry: tuple[int, ...] | None, dtype: np.dtype
) -> tuple[int, ...] | None:
    """The first shape of a stimulus, of those that are likely, from which a state can be made."""
    if initial_state is None:
        return None
    for shape in ((), *(() if entry is None else (entry,)), (size,)):
        try:
            state = output_of("initial_state", initial_state, jax.ShapeDtypeStruct(shape, dtype))
        except (TypeError, ValueError):
            continue
        if getattr(state, "shape", None) == (size,):
            _check_floats("initial_state", state, (size,))
            return shape
    return None


def _check_floats(name: str, output: Any, shape: tuple[int, ...] | None, dtype: np.dtype | None = None) -> None:
    """Refuse what is no floating array of this shape (None: any vector) and type (None: any)."""
    wanted = "a vector" if shape is None else f"one array of shape {shape}"
    if not hasattr(output, "shape"):
        raise TypeError(f"{name} must return {wanted}, got {told(output)}")
    fits = len(output.shape) == 1 and output.shape[0] > 0 if shape is None else output.shape == shape
    require(fits, f"{name} must return {wanted}, got shape {output.shape}")
    is_float = jnp.issubdtype(output.dtype, jnp.floating)
    if not is_float or (dtype is not None and output.dtype != dtype):
        kind = "floating-point numbers" if dtype is None else f"{dtype}, as its state is"
        raise TypeError(f"{name} must return {kind}, but it returns {output.dtype}")
