"""Recurrent networks on top of one another."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_kind, check_scalar, is_traced, require
from fisherjax._types import ArrayLike, Scalar

from ._network import Network, State
from ._recurrent import RecurrentNetwork


class StackedNetwork(Network):
    r"""Several recurrent layers, each driven by the one below: x_k(t+1) = F_k(x_k(t), h_{k−1}(t+1)) + σ ξ_k(t+1).

    h_{k−1}(t+1) is what the layer below sends on at the same step, before noise is added to it; the lowest layer sees
    the input, h_{−1} = u. The state is that of all layers, the lowest first; of LSTM layers (h_0, c_0, h_1, c_1, …).
    What is read out is what the last layer reads out. Populations, for which information is told apart, are the layers.

    Parameters
    ----------
    layers
        One or several of `RNN`, `GRU`, `LSTM`, `ContinuousRNN` without noise of their own, the lowest first.
    noise_std
        σ of the noise added to every entry of the state, a number or one per entry (S,).
    observation_noise_std
        σ_obs of what is read out.

    Raises
    ------
    ValueError
        If there is no layer, one does not have as many inputs as the one below has units, their float types differ, or
        a noise level is negative.
    TypeError
        If a layer is none.
    """

    layers: tuple[RecurrentNetwork, ...]
    noise_std: Float[Array, "*S"]
    observation_noise_std: Float[Array, ""]

    def __init__(
        self, layers: Sequence[RecurrentNetwork], noise_std: ArrayLike = 0.0, observation_noise_std: Scalar = 0.0
    ):
        """Check that the layers fit on one another."""
        self.layers = _checked(layers)
        dtype = self.layers[0].dtype
        self.noise_std = as_real("noise_std", noise_std, "", f"{self.state_size}", dtype=dtype, minimum=0.0)
        check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
        self.observation_noise_std = jnp.asarray(observation_noise_std, dtype)

    @property
    def population_sizes(self) -> tuple[int, ...]:
        """Length of each layer's state."""
        return tuple(layer.state_size for layer in self.layers)

    @property
    def state_size(self) -> int:
        """Length of the states of all layers together."""
        return sum(self.population_sizes)

    @property
    def num_outputs(self) -> int:
        """Outputs of the last layer."""
        return self.layers[-1].num_outputs

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(I,), that of the lowest layer."""
        return self.layers[0].input_shape

    @property
    def resting_state(self) -> Float[Array, " S"]:
        """The resting states of all layers."""
        return jnp.concatenate([layer.resting_state for layer in self.layers])

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """The next states of all layers, from the lowest on, and σ ξ; leading axes are trials."""
        below, moved = input, []
        for layer, part in zip(self.layers, self.parts(state), strict=True):
            moved.append(layer.step(part, below))
            below = layer.rates(moved[-1])
        state = jnp.concatenate(moved, axis=-1)
        return state if noise is None else state + self.noise_std * noise

    def readout(self, state: State) -> Float[Array, "*trials O"]:
        """What the last layer reads out."""
        return self.layers[-1].readout(self.parts(state)[-1])

    def parts(self, state: State) -> list[Array]:
        """The state of every layer (…, S_k), cut out of that of all."""
        return jnp.split(state, np.cumsum(self.population_sizes)[:-1].tolist(), axis=-1)

    def __repr__(self) -> str:
        sizes = " → ".join(map(str, (self.input_shape[0], *(layer.num_units for layer in self.layers))))
        kinds = ", ".join(type(layer).__name__ for layer in self.layers)
        return f"StackedNetwork({sizes} → {self.num_outputs}: {kinds})"


def _checked(layers: Sequence[RecurrentNetwork]) -> tuple[RecurrentNetwork, ...]:
    check_kind("layers", layers, (list, tuple), "a sequence of recurrent networks")
    require(len(layers) > 0, "layers must be at least one recurrent network, got none")
    for layer in layers:
        check_instance("layers", layer, RecurrentNetwork, "such as networks.GRU(2, 64, 1, key=key)")
        noise = layer.noise_std
        silent = is_traced(noise) or float(noise) == 0
        require(silent, f"layers must have noise_std 0, got {noise}; give noise_std to the whole")
    for index, (below, above) in enumerate(itertools.pairwise(layers), 1):
        fits = above.num_inputs == below.num_units
        require(fits, f"layers: layer {index} has {above.num_inputs} inputs, but {below.num_units} units are below it")
        same = above.dtype == below.dtype
        require(same, f"layers must have one float type, but layer {index} has {above.dtype} and is on {below.dtype}")
    return tuple(layers)
