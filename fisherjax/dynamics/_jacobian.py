"""Derivatives of a step or a velocity: Jacobians, and the linear system around a point."""

from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Complex, Float

from fisherjax._errors import check_choice, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike
from fisherjax.networks import Network

from ._modes import Modes, modes_of
from ._step import StateRecord, StepLike, System, setting_of, time_step_of


@full_precision
def jacobian(
    step: StepLike, points: Any, inputs: ArrayLike | None = None, *, wrt: Literal["state", "input"] = "state"
) -> Float[Array, "..."]:
    """Derivative of a map, or of the velocity of a flow, at one or many points: ∂F_i/∂x_j, or ∂F_i/∂u_j.

    Parameters
    ----------
    step
        A `Network`, a function F(x, u) or F(x), or a `networks.Flow`.
    points
        (K, N), or one point (N,); or a tree of arrays with the leading axis K.
    inputs
        u for all points, (I,) or the `input_shape` of a network, or one each with the leading axis K; or None.
    wrt
        Which argument to differentiate in.

    Returns
    -------
    (K, N, N), rows = to, columns = from, the entries of a tree in the order of `jax.flatten_util.ravel_pytree`;
    (K, N, *I) for the input; without K for one point (N,).

    Raises
    ------
    ValueError
        If shapes do not match, or the derivative in an input is asked that there is not.
    TypeError
        If `step` does not map a state to a state of its float type.
    """
    check_choice("wrt", wrt, ("state", "input"))
    if wrt == "input" and inputs is None:
        raise ValueError("inputs must be given for the derivative in the input")
    setting = setting_of("points", step, points, inputs)
    derivatives = jacobians(setting.system, setting.states, setting.inputs, in_input=wrt == "input")
    return derivatives[0] if setting.unflatten is None and np.ndim(points) == 1 else derivatives


class Linearization(StateRecord):
    """A map or a velocity around a point: F(x, u) ≈ F(x₀, u₀) + A (x − x₀) + B (u − u₀). Call it like the step.

    Parameters
    ----------
    point, inputs
        x₀ (N,) and u₀ (*I), or None without input.
    image
        F(x₀, u₀) (N,).
    state_jacobian, input_jacobian
        A (N, N) and B (N, *I), or None without input. `fisher.memory_matrix(A, B[:, k], …)` is the Fisher memory of a
        small pulse through input k near the point.
    is_flow
        Whether F is a velocity, so that ``networks.Flow(linearization)`` is the linear flow.
    time_step
        Time from one state of the map to the next.
    """

    point: Float[Array, " N"]
    inputs: Float[Array, "*I"] | None
    image: Float[Array, " N"]
    state_jacobian: Float[Array, "N N"]
    input_jacobian: Float[Array, "N *I"] | None
    is_flow: bool = False
    time_step: float = 1.0

    def __call__(self, state: Float[Array, "*batch N"], inputs: Array | None = None) -> Float[Array, "*batch N"]:
        """The linear step; leading axes are free."""
        moved = self.image + (state - self.point) @ self.state_jacobian.T
        if inputs is None or self.inputs is None or self.input_jacobian is None:
            return moved
        away = (inputs - self.inputs).reshape(*state.shape[:-1], -1)
        return moved + away @ self.input_jacobian.reshape(len(self.image), -1).T

    @property
    def eigenvalues(self) -> Complex[np.ndarray, " N"]:
        """Of A, the fastest growing first."""
        return self.modes.eigenvalues

    @property
    def modes(self) -> Modes:
        """Eigenvectors, time constants and frequencies of A, of a map or of a flow as this is one."""
        return modes_of(np.asarray(self.state_jacobian), self.time_step, is_flow=self.is_flow)


@full_precision
def linearize(step: StepLike, point: Any, inputs: ArrayLike | None = None) -> Linearization:
    """The linear system around a point.

    Parameters
    ----------
    step
        A `Network` (zero input where none is given), a function F(x, u) or F(x), or a `networks.Flow`.
    point
        x₀ (N,), or a tree of arrays.
    inputs
        u₀, (I,) or the `input_shape` of a network, or None.

    Raises
    ------
    ValueError
        If shapes do not match.
    TypeError
        If `step` does not map a state to a state of its float type.
    """
    if inputs is None and isinstance(step, Network) and step.input_shape is not None:
        inputs = np.zeros(step.input_shape)
    setting = setting_of("point", step, point, inputs, single=True)
    system, states, given = setting.system, setting.states, setting.inputs
    require(len(states) == 1, f"point must be one state (N,), got shape {states.shape}")
    return Linearization(
        states[0],
        None if given is None else given[0],
        system(states[0], None if given is None else given[0]),
        jacobians(system, states, given)[0],
        None if given is None else jacobians(system, states, given, in_input=True)[0],
        system.is_flow,
        time_step_of(step),
        unflatten=setting.unflatten,
    )


@eqx.filter_jit
def jacobians(
    system: System, states: Float[Array, "K N"], inputs: Array | None, *, in_input: bool = False
) -> Float[Array, "K N ..."]:
    """Derivatives at many states, each with its input."""

    def derivative(state: Array, given: Any) -> Array:
        if in_input:
            return jax.jacfwd(lambda u: system(state, u))(given)
        return jax.jacfwd(lambda x: system(x, given))(state)

    return jax.vmap(derivative, in_axes=(0, None if inputs is None else 0))(states, inputs)
