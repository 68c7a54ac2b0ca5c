"""Rate networks in discrete and in continuous time: what is simulated, closed, and differentiated."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_jax, as_real
from fisherjax._errors import check_callable, check_integer, check_kind, check_scalar, require
from fisherjax._runtime import product
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._network import Network, State

_LONGEST_STEP = 1.0  # time constants; beyond three, even the decay of one unit grows


class _UnitNetwork(Network):
    """N units with given weights; what the map and the flow share."""

    weights: Float[Array, "N N"]
    input_vector: Float[Array, "N *K"]
    noise_std: Float[Array, ""]
    observation_noise_std: Float[Array, ""]
    sustained_input: Float[Array, " N"]
    nonlinearity: Nonlinearity = eqx.field(static=True)
    populations: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        weights: ArrayLike,
        input_vector: ArrayLike,
        *,
        noise_std: Scalar,
        observation_noise_std: Scalar = 0.0,
        sustained_input: ArrayLike | None = None,
        nonlinearity: NonlinearityLike = "tanh",
        populations: Sequence[int] | None = None,
    ):
        """Validate and convert to the float type of the weights."""
        self.weights = as_real("weights", weights, "N N", hint="rows = to, columns = from")
        units, dtype = len(self.weights), self.weights.dtype
        require(units > 0, "weights must hold at least one unit, got shape (0, 0)")
        self.input_vector = as_real("input_vector", input_vector, f"{units}", f"{units} K", dtype=dtype)
        check_scalar("noise_std", noise_std, minimum=0.0)
        check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
        self.noise_std = as_real("noise_std", noise_std, "", dtype=dtype)
        self.observation_noise_std = as_real("observation_noise_std", observation_noise_std, "", dtype=dtype)
        self.sustained_input = (
            as_jax(np.zeros(units, dtype))
            if sustained_input is None
            else as_real("sustained_input", sustained_input, f"{units}", dtype=dtype)
        )
        self.nonlinearity = as_nonlinearity(nonlinearity)
        self.populations = (units,) if populations is None else _sizes(populations, units)

    @property
    def population_sizes(self) -> tuple[int, ...]:
        """Units of each population."""
        return self.populations

    @property
    def num_units(self) -> int:
        """Number of units N."""
        return self.weights.shape[-1]

    @property
    def state_size(self) -> int:
        """Number of units N."""
        return self.num_units

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(K,), one entry per column of the input vector."""
        return self.input_vector.shape[1:] or (1,)

    @property
    def dtype(self) -> jnp.dtype:
        """Float type of the weights."""
        return self.weights.dtype

    def initial_state(self, stimulus: Stimulus) -> Float[Array, " N"]:
        """x(0) = w θ, for a scalar stimulus, or (K,) if the input vector is (N, K).

        Raises
        ------
        ValueError
            If the stimulus does not have one entry per column of the input vector.
        """
        theta = as_real("stimulus", stimulus, dtype=self.dtype)
        require(
            theta.shape == self.input_vector.shape[1:],
            f"stimulus must have shape {self.input_vector.shape[1:]} to match input_vector, got {theta.shape}",
        )
        return self.input_vector @ theta if theta.ndim else self.input_vector * theta

    def current(self, state: State, input: Array | None = None) -> State:  # noqa: A002
        """J φ(x) + b + w u, what units receive; leading axes are trials."""
        return self.received(self.nonlinearity(state), input)

    def received(self, rates: State, input: Array | None = None) -> State:  # noqa: A002
        """J r + b + w u, what units receive of rates r."""
        current = product(rates, self.weights.T) + self.sustained_input
        return current if input is None else current + product(input, self.input_vector.reshape(self.num_units, -1).T)


class RateNetwork(_UnitNetwork):
    r"""One network with given weights, x(t+1) = J φ(x(t)) + b + w u(t+1) + σ ξ(t+1), x(0) = w θ.

    The first noisy state is x(1) = J φ(w θ) + b + σ ξ(1). What is read out is x, or x + σ_obs ξ' where
    there is observation noise.

    Parameters
    ----------
    weights
        J (N, N), rows = to, columns = from.
    input_vector
        w (N,), state before the first step per unit of stimulus; (N, K) for a vector stimulus. Inputs u that last
        enter through it as well.
    noise_std
        σ, process noise, at least 0.
    observation_noise_std
        σ_obs, at least 0.
    sustained_input
        b (N,), added at every step.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    populations
        Units of each population, one after the other; one population by default. Information is told for each.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or a noise level is negative.
    """

    __init__ = _UnitNetwork.__init__

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """J φ(x) + b + w u + σ ξ; leading axes are trials."""
        moved = self.current(state, input)
        return moved if noise is None else moved + self.noise_std * noise


class FlowNetwork(_UnitNetwork):
    r"""A rate network in continuous time, dx = (−x + J φ(x) + b + w u) dt + √2 σ dW, x(0) = w θ.

    Time is in units of the time constant, and σ is the standard deviation of a unit without connections, as in
    `dmft`. A step is the flow over the time `dt`, by the Runge–Kutta method of order four with the noise held constant
    within it: of fourth order in dt without noise, and of second in the moments with it (of the variance of an
    unconnected unit, dt²/12 is missing: 0.02 % at dt = 0.05). Questions about fixed points and modes are asked of
    `velocity`.

    Parameters
    ----------
    weights, input_vector, noise_std, observation_noise_std, sustained_input, nonlinearity, populations
        As of a `RateNetwork`.
    dt
        Time from one state to the next, at most one time constant.

    Raises
    ------
    ValueError
        As `RateNetwork`; if dt is not above 0, or above 1.
    """

    dt: Float[Array, ""]

    def __init__(
        self,
        weights: ArrayLike,
        input_vector: ArrayLike,
        *,
        noise_std: Scalar,
        dt: Scalar = 0.1,
        observation_noise_std: Scalar = 0.0,
        sustained_input: ArrayLike | None = None,
        nonlinearity: NonlinearityLike = "tanh",
        populations: Sequence[int] | None = None,
    ):
        """Validate and convert to the float type of the weights."""
        super().__init__(
            weights,
            input_vector,
            noise_std=noise_std,
            observation_noise_std=observation_noise_std,
            sustained_input=sustained_input,
            nonlinearity=nonlinearity,
            populations=populations,
        )
        check_scalar("dt", dt, minimum=0.0, strict=True)
        check_scalar("dt", dt, maximum=_LONGEST_STEP)
        self.dt = jnp.asarray(dt).astype(self.dtype)

    @property
    def time_step(self) -> Float[Array, ""]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Time from one state to the next."""
        return self.dt

    def velocity(self, state: State, input: Array | None = None) -> State:  # noqa: A002
        """−x + J φ(x) + b + w u, dx/dt without noise; leading axes are trials."""
        return self.current(state, input) - state

    def step(self, state: State, input: Array | None = None, noise: State | None = None) -> State:  # noqa: A002
        """The state `dt` later; the input lasts throughout. Leading axes are trials."""
        push = 0.0 if noise is None else math.sqrt(2) * self.noise_std / jnp.sqrt(self.dt) * noise
        return runge_kutta(lambda x: self.velocity(x, input) + push, state, self.dt)


class Flow(eqx.Module):
    """A system in continuous time, dx/dt = v(x) or v(x, u), of a function of one state.

    A function alone is a map, x(t+1) = F(x(t), u); wrapped in `Flow` it is a velocity. `dynamics` asks a flow for its
    equilibria, v = 0, and judges stability by real parts. What iterates (`dynamics.lyapunov_spectrum`,
    `dynamics.transition_graph`) makes a map of it by `runge_kutta` steps of a length `dt` that is to be said. A
    `FlowNetwork` is a flow by itself.

    Parameters
    ----------
    velocity
        v(x) or v(x, u), of one state, an array (S,) or a tree of arrays. If it is a pytree, such as an
        ``equinox.Module`` or a ``jax.tree_util.Partial``, its arrays stay leaves of the flow.

    Raises
    ------
    TypeError
        If `velocity` is no function.
    """

    velocity: Callable[..., Any]

    def __init__(self, velocity: Callable[..., Any]):
        """Check that it can be called."""
        self.velocity = check_callable("velocity", velocity)


def runge_kutta(velocity: Callable[[Any], Any], state: Any, dt: Array) -> Any:
    """One step of the classical Runge–Kutta method of order four; the state may be a tree."""

    def moved(by: Array, rates: Any) -> Any:
        return jax.tree.map(lambda x, v: x + by * v, state, rates)

    first = velocity(state)
    second = velocity(moved(dt / 2, first))
    third = velocity(moved(dt / 2, second))
    last = velocity(moved(dt, third))
    return moved(dt / 6, jax.tree.map(lambda a, b, c, d: a + 2 * b + 2 * c + d, first, second, third, last))


def _sizes(sizes: Sequence[int], units: int) -> tuple[int, ...]:
    check_kind("populations", sizes, Sequence, "whole numbers, one per population", but=str)
    numbers = tuple(check_integer("populations", size, minimum=1) for size in sizes)
    require(sum(numbers) == units, f"populations must add up to the {units} units, got {sum(numbers)}")
    return numbers
