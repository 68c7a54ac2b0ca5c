"""Rate networks in discrete and in continuous time."""

from typing import Any, ClassVar, Literal, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_scalar, require
from fisherjax._types import ArrayLike, Key
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._network import State
from ._rate import RateNetwork
from ._recurrent import Current, RecurrentNetwork, RecurrentOptions

Activation = Literal["outside", "inside"]


class RateOptions(RecurrentOptions, total=False):
    """Keyword arguments of the networks of one nonlinearity."""

    nonlinearity: NonlinearityLike
    activation: Activation


class _RateDynamics(RecurrentNetwork):
    """What the discrete and the continuous network share: one current, one nonlinearity."""

    additive: ClassVar[bool] = True

    nonlinearity: Nonlinearity = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        num_inputs: int,
        num_units: int,
        num_outputs: int,
        *,
        key: Key,
        nonlinearity: NonlinearityLike = "tanh",
        activation: Activation = "outside",
        **options: Unpack[RecurrentOptions],
    ):
        """Draw the weights and validate."""
        super().__init__(num_inputs, num_units, num_outputs, key=key, **options)
        self.nonlinearity = as_nonlinearity(nonlinearity)
        check_choice("activation", activation, ("outside", "inside"))
        self.activation = activation

    def rates(self, state: State) -> Float[Array, "*batch N"]:
        """φ(x) where the nonlinearity is inside the recurrent sum, the state itself where it is outside."""
        return state if self.activation == "outside" else self.nonlinearity(state)

    def _target(self, current: Array) -> Array:
        """Where the state would settle: φ of the current, or the current itself where φ is inside."""
        return self.nonlinearity(current) if self.activation == "outside" else current

    def _scaled(self, noise: Array | None) -> Array | float:
        return 0.0 if noise is None else self.noise_std * noise


class RNN(_RateDynamics):
    r"""The vanilla recurrent network, r(t+1) = φ(W r(t) + W_in u + b + σ ξ), read out as W_out r + b_out.

    With ``activation="inside"`` the state is the current, x(t+1) = W φ(x(t)) + W_in u + b + σ ξ, read out from φ(x).

    Parameters
    ----------
    num_inputs, num_units, num_outputs
        I, N, O.
    key
        JAX random key.
    constraints
        One or several of `constraints`: they hold at every step of training by construction.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    activation
        Whether φ stands outside the sum (the state is a rate) or inside (the state is a current).
    recurrent_initializer, input_initializer, output_initializer
        See `initializers`. Recurrent weights are Gaussian of gain 1 by default, balanced where signs are fixed.
    biases
        Which there are: any of "recurrent", "output".
    trainable
        Names of the parameters that are trained, of `RNN.parameter_names`; all weights and biases by default.
        Add "initial_state" to train x(0).
    initial_state
        x(0) (N,); zero by default.
    noise_std, observation_noise_std
        σ of the noise on every unit's current, and on the outputs.

    Raises
    ------
    ValueError
        If a size, noise level or name is out of range, constraints contradict each other, or shapes do not match.
    TypeError
        If `key` is not a JAX key.
    """

    __init__ = _RateDynamics.__init__

    def update(self, state: State, current: Current, drive: Current, noise: State | None = None) -> State:  # noqa: ARG002
        """The next state."""
        return self._target(current + drive + self._scaled(noise))


class ContinuousRNN(_RateDynamics):
    r"""A rate network in continuous time, τ ṙ = −r + φ(W r + W_in u + b) + √(2τ) σ η, by Euler's rule.

    r ← r + α (−r + φ(W r + W_in u + b)) + √(2α) σ ξ, α = dt/τ; with ``activation="inside"``
    x ← x + α (−x + W φ(x) + W_in u + b) + √(2α) σ ξ. The noise is white in time (η), so that trajectories have a
    limit as dt → 0, and scaled so that σ is the standard deviation of a unit without connections.

    Parameters
    ----------
    num_inputs, num_units, num_outputs
        I, N, O.
    key
        JAX random key.
    time_constant
        τ, one for all units or one each (N,), in the unit of dt; above dt. With "time_constant" among the
        `trainable` names it is learned; τ = dt (1 + e^a) with free a keeps it above dt at every step.
    dt
        Step of Euler's rule.
    nonlinearity, activation, constraints, recurrent_initializer, input_initializer, output_initializer
        As in `RNN`.
    biases, trainable, initial_state, noise_std, observation_noise_std
        As in `RNN`.

    Raises
    ------
    ValueError
        If dt is not positive, a time constant is not above dt, or as in `RNN`.
    TypeError
        If `key` is not a JAX key.
    """

    parameter_names: ClassVar[tuple[str, ...]] = (*RecurrentNetwork.parameter_names, "time_constant")

    time_parameter: Float[Array, " N"]
    dt: float | int = eqx.field(static=True)

    def __init__(
        self,
        num_inputs: int,
        num_units: int,
        num_outputs: int,
        *,
        key: Key,
        time_constant: ArrayLike = 100.0,
        dt: float | int = 10.0,
        **options: Unpack[RateOptions],
    ):
        """Draw the weights and validate."""
        super().__init__(num_inputs, num_units, num_outputs, key=key, **options)
        check_scalar("dt", dt, minimum=0.0, strict=True)
        self.dt = float(dt)
        self.time_parameter = _time_parameter(time_constant, num_units, self.dt, self.rest.dtype)

    @property
    def leak(self) -> Float[Array, " N"]:
        """α = dt/τ of every unit."""
        return jax.nn.sigmoid(-self.time_parameter)

    @property
    def time_constant(self) -> Float[Array, " N"]:
        """τ of every unit."""
        return self.dt * (1 + jnp.exp(self.time_parameter))

    def update(self, state: State, current: Current, drive: Current, noise: State | None = None) -> State:
        """The next state, dt later."""
        leak = self.leak
        moved = state + leak * (self._target(current + drive) - state)
        return moved if noise is None else moved + jnp.sqrt(2 * leak) * self._scaled(noise)


def current_network(network: RateNetwork | RNN) -> RateNetwork:
    """The current of a network of one nonlinearity, x(t+1) = J φ(x(t)) + b + w u + σ ξ, with w = W_in.

    The current x = W r + W_in u + b + σ ξ of an `RNN` with φ outside obeys it exactly, so both kinds have one.
    """
    if isinstance(network, RateNetwork):
        return network
    return RateNetwork(
        network.recurrent_weights,
        network.input_weights,
        noise_std=network.noise_std,
        observation_noise_std=network.observation_noise_std,
        sustained_input=network.recurrent_bias,
        nonlinearity=network.nonlinearity,
    )


def _time_parameter(value: ArrayLike, num_units: int, dt: float, dtype: Any) -> Array:
    constants = host_real("time_constant", value, "", f"{num_units}").astype(np.float64)
    smallest = float(constants.min())
    require(
        smallest > dt, f"time_constant must be above dt = {dt:g}, got a smallest of {smallest:g}; for τ = dt use RNN"
    )
    return jnp.broadcast_to(jnp.asarray(np.log(constants / dt - 1), dtype), (num_units,))
