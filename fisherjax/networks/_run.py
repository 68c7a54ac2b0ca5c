"""A network through time."""

import functools
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_flag, check_instance, check_integer, check_key, check_optional, require
from fisherjax._linalg import standard_normal
from fisherjax._runtime import Precision, precision_here, product, products_in
from fisherjax._types import Key

from ._recurrent import RecurrentNetwork
from ._stacked import StackedNetwork
from ._weights import resolved

_Joint: TypeAlias = tuple[Array, Array, Array | None]  # recurrent weights, input weights, recurrent bias


def run(
    network: RecurrentNetwork | StackedNetwork,
    inputs: Float[Array | np.ndarray, "*T_batch I"],
    *,
    key: Key | None = None,
    initial_state: Float[Array | np.ndarray, "..."] | None = None,
    unroll: int = 1,
    reverse_mode: bool = False,
    batch_first: bool = False,
    precision: Precision = "float32",
) -> tuple[Float[Array, "*T_batch S"], Float[Array, "*T_batch O"]]:
    """States and outputs of a network over time.

    Parameters
    ----------
    network
        The network: an `RNN`, `ContinuousRNN`, `GRU`, `LSTM`, or several on top of one another, as `from_torch` makes
        them.
    inputs
        u(1)…u(T), (T, …, I); u(t) drives the step to x(t).
    key
        JAX random key of process and observation noise; None for a noiseless run.
    initial_state
        x(0) (…, S); the network's resting state by default.
    unroll
        Steps per iteration of the compiled loop.
    reverse_mode
        Whether the gradient in the recurrent weights is one product over all times at the end of the backward pass,
        instead of a small one per step: the same numbers, faster, for reverse mode only (no jvp) and one layer.
    batch_first
        Whether inputs are (trials, T, I), and states and outputs shall be too.
    precision
        Of products: ``"float32"``, in full on every device, ``"tensorfloat32"`` or ``"bfloat16"``, which accelerators
        do many times faster.

    Returns
    -------
    states, outputs
        x(1)…x(T), (T, …, S), and their read-out (T, …, O).

    Raises
    ------
    ValueError
        If the inputs do not have one column per input of the network or are not finite, the initial state does not
        fit them, `precision` is misspelt, or `reverse_mode` is asked of several layers.
    TypeError
        If the network is none, or `key` is not a JAX key.
    """
    kinds = (RecurrentNetwork, StackedNetwork)
    check_instance("network", network, kinds, "such as networks.RNN(2, 64, 1, key=key)")
    inputs, (width,) = as_real("inputs", inputs), network.input_shape
    require(
        inputs.ndim >= 2 and inputs.shape[-1] == width,
        f"inputs must have shape ({'trials, T' if batch_first else 'T, …'}, {width}), got {inputs.shape}",
    )
    if check_flag("batch_first", batch_first):
        require(inputs.ndim == 3, f"inputs with batch_first must be (trials, T, inputs), got {inputs.shape}")
        inputs = jnp.swapaxes(inputs, 0, 1)
    require(len(inputs) > 0, f"inputs must have at least one step, got shape {inputs.shape}")
    if initial_state is not None:
        size, batch = network.state_size, inputs.shape[1:-1]
        initial_state = as_real("initial_state", initial_state, f"... {size}", dtype=network.dtype)
        fits = initial_state.shape[:-1] in {(), batch}
        require(fits, f"initial_state must have shape ({size},) or {(*batch, size)}, got {initial_state.shape}")
    unroll = check_integer("unroll", unroll, minimum=1)
    one_layer = isinstance(network, RecurrentNetwork)
    require(not check_flag("reverse_mode", reverse_mode) or one_layer, "reverse_mode is for a network of one layer")
    key = check_optional(check_key, "key", key)
    with products_in(precision):
        states, outputs = _run(network, inputs, initial_state, key, unroll, reverse_mode)
    return (jnp.swapaxes(states, 0, 1), jnp.swapaxes(outputs, 0, 1)) if batch_first else (states, outputs)


@eqx.filter_jit
def _run(
    network: RecurrentNetwork | StackedNetwork,
    inputs: Array,
    initial_state: Any,
    key: Key | None,
    unroll: int,
    reverse_mode: bool,  # noqa: FBT001
) -> tuple[Array, Array]:
    network = resolved(network)
    start = network.resting_state if initial_state is None else initial_state
    start = jnp.broadcast_to(start, (*inputs.shape[1:-1], network.state_size))
    inputs = inputs.astype(start.dtype)
    process_key, observation_key = (None, None) if key is None else jax.random.split(key)
    noise = None if process_key is None else _noise(process_key, len(inputs), start)
    if isinstance(network, StackedNetwork):
        states: Any = _states_of_layers(unroll, network, start, inputs, noise)
    elif reverse_mode:
        others = eqx.tree_at(
            lambda tree: (tree.recurrent, tree.input, tree.recurrent_bias),
            network,
            (None,) * 3,
            is_leaf=lambda leaf: leaf is None,
        )
        joint = (network.recurrent.value, network.input.value, network.recurrent_bias)
        states = _states_hoisted((unroll, precision_here()), joint, others, start, inputs, noise)
    else:
        states = _states(unroll, network.recurrent.value, network, start, network.drive(inputs), None, noise)
    outputs = network.readout(states)
    if observation_key is not None:
        outputs += network.observation_noise_std * standard_normal(observation_key, outputs.shape, outputs.dtype)
    return states, outputs


def _noise(key: Key, num_steps: int, state: Array) -> Float[Array, "T ..."]:
    """Noise of all steps; drawn in the loop it is compiled together with the drive, and runs unvectorized."""
    return jax.vmap(lambda one: standard_normal(one, state.shape, state.dtype))(jax.random.split(key, num_steps))


def _states(
    unroll: int, weights: Array, network: RecurrentNetwork, start: Array, drives: Array, extra: Any, noises: Any
) -> Array:
    """x(1)…x(T); `extra` (T, …), if any, is added to the recurrent current."""

    def step(state: Array, inputs: Any) -> tuple[Array, Array]:
        drive, more, noise = inputs
        current = product(network.rates(state), weights.T)
        state = network.update(state, current if more is None else current + more, drive, noise)
        return state, state

    return jax.lax.scan(step, start, (drives, extra, noises), unroll=unroll)[1]


def _states_of_layers(unroll: int, network: StackedNetwork, start: Array, inputs: Array, noises: Any) -> Array:
    """x(1)…x(T), the products with the inputs of the layers above being of their own step."""

    def step(state: Array, given: Any) -> tuple[Array, Array]:
        state = network.step(state, *given)
        return state, state

    return jax.lax.scan(step, start, (inputs, noises), unroll=unroll)[1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _states_hoisted(
    how: tuple[int, str], joint: _Joint, network: RecurrentNetwork, start: Array, inputs: Array, noises: Any
) -> Array:
    return _states(how[0], joint[0], network, start, _drive(joint, inputs), None, noises)


def _forward(
    how: tuple[int, str], joint: _Joint, network: RecurrentNetwork, start: Array, inputs: Array, noises: Any
) -> tuple[Array, Any]:
    """States, and the backward pass down to what reaches the recurrent current and the drive of every step."""
    drives = _drive(joint, inputs)
    # where current and drive enter as their sum, what reaches the drive is what reaches the current
    extra = None if network.additive else jnp.zeros((*drives.shape[:-1], joint[0].shape[0]), drives.dtype)

    def moving(network: RecurrentNetwork, start: Array, drives: Array, extra: Array | None) -> Array:
        return _states(how[0], joint[0], network, start, drives, extra, noises)

    states, backward = jax.vjp(moving, network, start, drives, extra)
    rates = network.rates(jnp.concatenate([start[None], states[:-1]]))
    return states, (backward, rates, joint, inputs)


def _backward(how: tuple[int, str], residuals: Any, slope: Array) -> tuple[Any, ...]:
    with products_in(how[1]):
        return _slopes(residuals, slope)


def _slopes(residuals: Any, slope: Array) -> tuple[Any, ...]:
    backward, rates, (weights, inner, bias), inputs = residuals
    network, start, drives, current = backward(slope)
    ones = [] if bias is None else [jnp.ones((*inputs.shape[:-1], 1), inputs.dtype)]
    if current is None:
        slopes = _outer(drives, [rates, inputs, *ones])
    else:
        slopes = jnp.concatenate([_outer(current, [rates]), _outer(drives, [inputs, *ones])], axis=1)
    size, width = weights.shape[1], inner.shape[1]
    joint = (slopes[:, :size], slopes[:, size : size + width], None if bias is None else slopes[:, -1])
    return joint, network, start, product(drives, inner), None


_states_hoisted.defvjp(_forward, _backward)


def _drive(joint: _Joint, inputs: Array) -> Array:
    _, inner, bias = joint
    current = product(inputs, inner.T)
    return current if bias is None else current + bias


def _outer(slopes: Array, factors: list[Array]) -> Array:
    """Σ over times and trials of slope ⊗ factors: one product."""
    joined = jnp.concatenate(factors, axis=-1)
    return product(slopes.reshape(-1, slopes.shape[-1]).T, joined.reshape(-1, joined.shape[-1]))
