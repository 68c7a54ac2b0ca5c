"""What is asked of one network, whatever it is: its step, its noise, how a stimulus enters, what is read out."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import require
from fisherjax._types import Record, Stimulus

State = Float[Array, "*trials S"]


class Network(Record):
    r"""One recurrent network: x(t+1) = F(x(t), u(t+1), ξ(t+1)), read out as h(x) + σ_obs η.

    All that asks about one network takes a `Network`: `simulate.trajectories`, `fisher.simulated_curve`,
    `fisher.linearized_curve`, `dynamics.find_fixed_points` and the rest. Members are `RateNetwork`, `FlowNetwork`,
    `RNN`, `ContinuousRNN`, `GRU`, `LSTM`, `ConvolutionalRNN`; `from_step`, `from_torch`, `from_flax` and
    `from_equinox` make one of what a user has. A subclass says at least `state_size`, `step`, and either
    `resting_state` and `input_shape` or `initial_state`.

    Attributes
    ----------
    noise_std
        σ of the noise that a step adds, a number or one per state entry (S,). How it enters is the step's own.
    observation_noise_std
        σ_obs of what is read out, be it the state or the read-out.
    """

    noise_std: eqx.AbstractVar[Float[Array, "*S"]]
    observation_noise_std: eqx.AbstractVar[Float[Array, ""]]

    @property
    @abc.abstractmethod
    def state_size(self) -> int:
        """Length S of the state."""

    @property
    def num_outputs(self) -> int:
        """Length O of the read-out; S where the state itself is read out."""
        return self.state_size

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of the input to one step, (I,) or that of an image; None where a step takes none."""
        return None

    @property
    def resting_state(self) -> Float[Array, " S"]:
        """The state before any stimulus."""
        return jnp.zeros(self.state_size, jnp.asarray(self.noise_std).dtype)

    @property
    def time_step(self) -> float:
        """Time from one state to the next, 1 for a map without a unit of time."""
        return 1.0

    @property
    def population_sizes(self) -> tuple[int, ...]:
        """Entries of the state that belong to each population, one after the other."""
        return (self.state_size,)

    @property
    def dtype(self) -> Any:
        """Float type in which the network computes."""
        return jnp.asarray(self.noise_std).dtype

    @abc.abstractmethod
    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """The next state. Leading axes are trials.

        Parameters
        ----------
        state
            x (…, S).
        input
            u (…, *input_shape); none is zero.
        noise
            ξ (…, S), standard normal numbers, which the step scales and adds in its own way; None for no noise.
        """

    def readout(self, state: State) -> Float[Array, "*trials O"]:
        """What is read out, without its noise: the state itself unless the network has a read-out."""
        return state

    def in_reverse(self) -> "Network":
        """The same network where only reverse-mode derivatives are taken of it, which may have a faster way there."""
        return self

    def initial_state(self, stimulus: Stimulus) -> Float[Array, " S"]:
        """Where a pulse puts the network: one noiseless step from rest with the stimulus as input.

        Raises
        ------
        ValueError
            If the stimulus is not a number for a network of one input, or has not the shape of its input.
        """
        return self.step(self.resting_state, self.as_input(stimulus))

    def as_input(self, stimulus: Stimulus) -> Array:
        """A stimulus as the input to one step: itself, in the float type of the network.

        Raises
        ------
        ValueError
            If it is not a number for a network of one input, or has not the shape of its input.
        """
        shape = self.input_shape
        require(shape is not None, f"stimulus cannot enter: the step of this {type(self).__name__} takes no input")
        theta = as_real("stimulus", stimulus, dtype=self.dtype)
        if theta.shape == () and shape == (1,):
            return theta[None]
        require(
            theta.shape == shape,
            f"stimulus must have shape {shape} to be the input of this {type(self).__name__}, got {theta.shape}; "
            "for another parameter give protocol a function from it to inputs",
        )
        return theta
