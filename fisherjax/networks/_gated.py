"""Gated networks: GRU and LSTM."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._network import State
from ._recurrent import Current, RecurrentNetwork


class GRU(RecurrentNetwork):
    r"""Gated recurrent unit, h ← (1 − z) n + z h.

    r, z = σ(W_{r,z} h + drive_{r,z}) and n = tanh(drive_n + r ∘ (W_n h + c)), with drive = W_in u + b. The three gates
    r, z, n stand below one another in the weights (3N, ·) and in b (3N,). The bias c (N,), inside the product with the
    reset gate, is `candidate_bias`; it is there if "recurrent" is among the biases.
    This is the GRU of torch (W_hh, W_ih, b = b_ih + (b_hr, b_hz, 0), c = b_hn), of cuDNN, of Keras (`reset_after`),
    Flax and Equinox (`bias`, `bias_n`). Constraints hold for each gate alike.

    Parameters
    ----------
    num_inputs, num_units, num_outputs
        I, N, O.
    key
        JAX random key.
    constraints, recurrent_initializer, input_initializer, output_initializer
        As in `RNN`.
    biases, trainable, initial_state, observation_noise_std
        As in `RNN`.
    noise_std
        σ of noise added to h.

    References
    ----------
    Cho et al. (2014), Learning phrase representations using RNN encoder–decoder, EMNLP, in the form of eq. 5–8 with
    the reset gate after the product.
    """

    parameter_names: ClassVar[tuple[str, ...]] = (*RecurrentNetwork.parameter_names, "candidate_bias")
    gates_per_unit: ClassVar[int] = 3

    candidate_bias: Float[Array, " N"] | None = None

    __init__ = RecurrentNetwork.__init__  # else type checkers take the fields for its arguments

    @classmethod
    def initial_biases(cls, num_units: int, dtype: Any) -> dict[str, Array]:
        """The recurrent bias is two parameters here."""
        return {**super().initial_biases(num_units, dtype), "candidate_bias": jnp.zeros(num_units, dtype)}

    def update(self, state: State, current: Current, drive: Current, noise: State | None = None) -> State:
        """The next state."""
        reset, update, candidate = jnp.split(current, 3, axis=-1)
        drive_reset, drive_update, drive_candidate = jnp.split(drive, 3, axis=-1)
        reset = jax.nn.sigmoid(reset + drive_reset)
        update = jax.nn.sigmoid(update + drive_update)
        if self.candidate_bias is not None:
            candidate = candidate + self.candidate_bias
        proposal = jnp.tanh(drive_candidate + reset * candidate)
        return _noisy(self, proposal + update * (state - proposal), noise)

    def rates(self, state: State) -> Float[Array, "*batch N"]:
        """H."""
        return state


class LSTM(RecurrentNetwork):
    r"""Long short-term memory: c ← f c + i g, h = o tanh(c), the state being (h, c) of length 2N.

    i, f, o = σ(W h + W_in u + b) and g = tanh(W h + W_in u + b); the four gates i, f, g, o stand below one another in
    the weights (4N, ·) and in b (4N,), in the order of torch and Equinox. Torch has two biases, which only add:
    b = b_ih + b_hh. The forget gate's bias starts at 1.

    Parameters
    ----------
    num_inputs, num_units, num_outputs
        I, N, O.
    key
        JAX random key.
    constraints, recurrent_initializer, input_initializer, output_initializer
        As in `RNN`.
    biases, trainable, initial_state, observation_noise_std
        As in `RNN`; the initial state is (h, c) (2N,).
    noise_std
        σ of noise added to h and c.

    References
    ----------
    Hochreiter & Schmidhuber (1997), Long short-term memory, Neural Comput. 9, 1735–1780; forget gate: Gers,
    Schmidhuber & Cummins (2000), Neural Comput. 12, 2451–2471.
    """

    gates_per_unit: ClassVar[int] = 4
    states_per_unit: ClassVar[int] = 2
    additive: ClassVar[bool] = True

    __init__ = RecurrentNetwork.__init__  # else type checkers take the fields for its arguments

    @classmethod
    def initial_biases(cls, num_units: int, dtype: Any) -> dict[str, Array]:
        """With the forget gates open."""
        zeros, ones = jnp.zeros(num_units, dtype), jnp.ones(num_units, dtype)
        return {"recurrent_bias": jnp.concatenate([zeros, ones, zeros, zeros])}

    def update(self, state: State, current: Current, drive: Current, noise: State | None = None) -> State:
        """The next state."""
        _, cell = jnp.split(state, 2, axis=-1)
        enter, keep, proposal, leave = jnp.split(current + drive, 4, axis=-1)
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(enter) * jnp.tanh(proposal)
        hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
        return _noisy(self, jnp.concatenate([hidden, cell], axis=-1), noise)

    def rates(self, state: State) -> Float[Array, "*batch N"]:
        """H."""
        return state[..., : state.shape[-1] // 2]


def _noisy(network: RecurrentNetwork, state: State, noise: State | None) -> State:
    """What both share: noise added to the state."""
    return state if noise is None else state + network.noise_std * noise
