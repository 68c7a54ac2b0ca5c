"""Derivatives of a step: Jacobians, their modes, and the linear system around a point."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import numpy as np
import scipy.linalg
from jaxtyping import Array, Complex, Float

from fisherjax._arrays import host_complex, host_real
from fisherjax._errors import check_callable, check_choice, check_scalar, require
from fisherjax._types import Result, Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.numerics import full_precision

from ._step import CONVENTIONS, Convention, StepFunction, apply, as_inputs, as_states, check_step, prepared

_ROUNDING = 8  # times ε: how near to neutral a mode is that neither grows nor decays
_DEFECTIVE = 1e10  # condition number of the eigenvectors beyond which they are no basis to rounding


@full_precision
def jacobian(
    step: StepFunction,
    points: object,
    inputs: object = None,
    *,
    wrt: Literal["state", "input"] = "state",
) -> Float[Array, "*K N M"]:
    """Derivative of a step at one or many points: ∂F_i/∂x_j, or ∂F_i/∂u_j.

    Parameters
    ----------
    step
        F(x, u), or F(x), or a network.
    points
        (K, N), or one point (N,).
    inputs
        u for all points (I,), one each (K, I), or None.
    wrt
        Which argument to differentiate in.

    Returns
    -------
    (K, N, N), rows = to, columns = from; (K, N, I) for the input; without K for one point.

    Raises
    ------
    ValueError
        If shapes do not match, or the derivative in an input is asked that there is not.
    """
    check_choice("wrt", wrt, ("state", "input"))
    if wrt == "input" and inputs is None:
        raise ValueError("inputs must be given for the derivative in the input")
    states = as_states("points", points)
    given = as_inputs(inputs, len(states), states.dtype)
    step = prepared(step)
    check_step("points", step, states, given)
    found = _jacobian(step, states, given, wrt == "input")
    return found[0] if np.ndim(points) == 1 else found  # pyright: ignore[reportArgumentType]


class Modes(NamedTuple):
    """Eigenvalues with their right and left eigenvectors, the slowest or least stable first.

    J R = R diag(λ), L J = diag(λ) L, L R = 1: column k of `right` and row k of `left` belong to value k.
    """

    eigenvalues: Complex[np.ndarray, " N"]
    right: Complex[np.ndarray, "N N"]
    left: Complex[np.ndarray, "N N"]
    time_constants: Float[np.ndarray, " N"]
    frequencies: Float[np.ndarray, " N"]


def modes(jacobian: object, *, dt: Scalar = 1.0, convention: Convention = "discrete") -> Modes:
    """Eigenvectors, time constants and frequencies of one Jacobian (N, N).

    Left eigenvectors are the input directions that excite a mode, right ones the directions in which it moves.
    For a defective Jacobian (condition of R above 1e10) only the diagonal of L R is one.

    Raises
    ------
    ValueError
        If the Jacobian is not square, or `convention` is unknown.
    """
    check_choice("convention", convention, CONVENTIONS)
    check_scalar("dt", dt, minimum=0.0, strict=True)
    matrix = host_real("jacobian", jacobian, "N N", hint="one square matrix")
    require(len(matrix) > 0, "jacobian must hold at least one unit")
    found: Any = scipy.linalg.eig(matrix, left=True, right=True)
    values, left, right = found
    size = np.abs(values) if convention == "discrete" else values.real
    order = np.argsort(-size, kind="stable")
    values, left, right = values[order], left[:, order].conj().T, right[:, order]
    if np.linalg.cond(right) < _DEFECTIVE:
        left = np.linalg.inv(right)  # also biorthogonal where eigenvalues repeat
    else:
        pairing = np.sum(left * right.T, axis=1, keepdims=True)
        left = left / np.where(np.abs(pairing) > 0, pairing, 1)
    constants, frequencies = time_constants(values, dt=dt, convention=convention)
    return Modes(values, right, left, constants, frequencies)


def time_constants(
    eigenvalues: object, *, dt: Scalar = 1.0, convention: Convention = "discrete"
) -> tuple[Float[np.ndarray, "*K N"], Float[np.ndarray, "*K N"]]:
    """Time constants and frequencies of modes.

    Of a map, τ = −dt/ln|λ| and f = arg λ/(2π dt); of a flow, τ = −1/Re λ and f = Im λ/2π. A growing mode has a
    negative τ, one that is marginal to rounding an infinite τ.

    Raises
    ------
    ValueError
        If `convention` is unknown, or an eigenvalue is not finite.
    """
    check_choice("convention", convention, CONVENTIONS)
    check_scalar("dt", dt, minimum=0.0, strict=True)
    values, step = host_complex("eigenvalues", eigenvalues), float(dt)
    rounding = _ROUNDING * float(np.finfo(values.dtype).eps)
    if convention == "discrete":
        size = np.abs(values)
        with np.errstate(divide="ignore"):
            rate = np.where(np.abs(size - 1) <= rounding, 0, np.log(size)) / step
        return _inverse(rate), np.angle(values) / (2 * np.pi * step)
    # an eigenvalue is as precise as the largest of its matrix
    scale = float(np.max(np.abs(values), initial=0.0))
    rate = np.where(np.abs(np.real(values)) <= rounding * scale, 0, np.real(values))
    return _inverse(rate), np.imag(values) / (2 * np.pi)


class Linearization(Result):
    """A step around a point: F(x, u) ≈ F(x₀, u₀) + A (x − x₀) + B (u − u₀). Call it like a step.

    Parameters
    ----------
    point, inputs
        x₀ (N,) and u₀ (I,), or None without input.
    image
        F(x₀, u₀) (N,).
    state_jacobian, input_jacobian
        A (N, N) and B (N, I), or None without input. `fisher.memory_matrix(A, B[:, k], …)` is the Fisher memory of a
        small pulse through input k near the point.
    """

    point: Float[Array, " N"]
    inputs: Float[Array, " I"] | None
    image: Float[Array, " N"]
    state_jacobian: Float[Array, "N N"]
    input_jacobian: Float[Array, "N I"] | None

    def __call__(self, state: Float[Array, "*batch N"], inputs: Float[Array, "*batch I"] | None = None) -> Array:
        """The linear step; leading axes are free."""
        moved = self.image + (state - self.point) @ self.state_jacobian.T
        if inputs is None or self.inputs is None or self.input_jacobian is None:
            return moved
        return moved + (inputs - self.inputs) @ self.input_jacobian.T


def linearize(step: StepFunction, point: object, inputs: object = None) -> Linearization:
    """The linear system around a point.

    Parameters
    ----------
    step
        F(x, u), or F(x), or a network (zero input where none is given).
    point
        x₀ (N,).
    inputs
        u₀ (I,), or None.

    Raises
    ------
    ValueError
        If shapes do not match.
    """
    check_callable("step", step)
    state = as_states("point", point)
    require(len(state) == 1, f"point must be one state (N,), got shape {state.shape}")
    if inputs is None and isinstance(step, RecurrentNetwork):
        inputs = np.zeros(step.num_inputs)
    given = as_inputs(inputs, 1, state.dtype)
    check_step("point", step, state, given)
    image = apply(prepared(step), state[0], None if given is None else given[0])
    return Linearization(
        state[0],
        None if given is None else given[0],
        image,
        jacobian(step, state, given)[0],
        None if given is None else jacobian(step, state, given, wrt="input")[0],
    )


@eqx.filter_jit
def _jacobian(step: StepFunction, states: Array, inputs: Array | None, in_input: bool) -> Array:  # noqa: FBT001
    def one(state: Array, given: Any) -> Array:
        if in_input:
            return jax.jacfwd(lambda u: apply(step, state, u))(given)
        return jax.jacfwd(lambda x: apply(step, x, given))(state)

    return jax.vmap(one, in_axes=(0, None if inputs is None else 0))(states, inputs)


def _inverse(rate: np.ndarray) -> np.ndarray:
    return np.where(rate == 0, np.inf, -1 / np.where(rate == 0, 1, rate))
