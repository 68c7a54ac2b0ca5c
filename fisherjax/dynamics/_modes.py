"""Modes of a linear system: eigenvectors, time constants, frequencies."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Complex, Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_scalar, require
from fisherjax._types import ArrayLike, Scalar

from ._stability import growth_order

_ROUNDING = 8  # times ε: how near to neutral a mode is that neither grows nor decays
_DEFECTIVE = 1e10  # condition number of the eigenvectors beyond which they are no basis to rounding


class Modes(NamedTuple):
    """Eigenvalues with their right and left eigenvectors, the slowest or least stable first.

    J R = R diag(λ), L J = diag(λ) L, L R = 1: column k of `right` and row k of `left` belong to value k. Left
    eigenvectors are the input directions that excite a mode, right ones the directions in which it moves. For a
    defective Jacobian (condition of R above 1e10) only the diagonal of L R is one. A growing mode has a negative time
    constant, one that is marginal to rounding an infinite one.
    """

    eigenvalues: Complex[np.ndarray, " N"]
    right: Complex[np.ndarray, "N N"]
    left: Complex[np.ndarray, "N N"]
    time_constants: Float[np.ndarray, " N"]
    frequencies: Float[np.ndarray, " N"]


def map_modes(jacobian: ArrayLike, *, dt: Scalar = 1.0) -> Modes:
    """Modes of a map: τ = −dt/ln|λ|, f = arg λ/(2π dt), largest |λ| first.

    Parameters
    ----------
    jacobian
        That of the map at a point (N, N).
    dt
        Time from one state to the next.

    Raises
    ------
    ValueError
        If the Jacobian is not one square matrix of finite numbers, or `dt` is not above 0.
    """
    check_scalar("dt", dt, minimum=0.0, strict=True)
    return modes_of(jacobian, float(dt), is_flow=False)


def flow_modes(jacobian: ArrayLike) -> Modes:
    """Modes of a flow: τ = −1/Re λ, f = Im λ/2π, largest Re λ first.

    Parameters
    ----------
    jacobian
        That of the velocity at a point (N, N), per unit of time.

    Raises
    ------
    ValueError
        If the Jacobian is not one square matrix of finite numbers.
    """
    return modes_of(jacobian, 1.0, is_flow=True)


def modes_of(jacobian: ArrayLike, time_step: float, *, is_flow: bool) -> Modes:
    """Modes of a map or of a flow; the time step is that of a map."""
    matrix = host_real("jacobian", jacobian, "N N", hint="one square matrix")
    require(len(matrix) > 0, "jacobian must hold at least one unit")
    found: Any = scipy.linalg.eig(matrix, left=True, right=True)
    values, left, right = found
    order = growth_order(values, is_flow=is_flow)
    values, left, right = values[order], left[:, order].conj().T, right[:, order]
    if np.linalg.cond(right) < _DEFECTIVE:
        left = np.linalg.inv(right)  # also biorthogonal where eigenvalues repeat
    else:
        pairing = np.sum(left * right.T, axis=1, keepdims=True)
        left = left / np.where(np.abs(pairing) > 0, pairing, 1)
    times = time_constants(values, time_step, is_flow=is_flow), frequencies(values, time_step, is_flow=is_flow)
    return Modes(values, right, left, *times)


def time_constants(
    values: Complex[np.ndarray, "*K N"], time_step: float, *, is_flow: bool
) -> Float[np.ndarray, "*K N"]:
    """Time in which each mode falls by e; NaN for an eigenvalue that is NaN."""
    rounding = _ROUNDING * float(np.finfo(values.dtype).eps)
    if is_flow:
        # an eigenvalue is as precise as the largest of its matrix
        scale = np.max(np.abs(values), axis=-1, keepdims=True, initial=0.0)
        rate = np.where(np.abs(np.real(values)) <= rounding * scale, 0, np.real(values))
    else:
        size = np.abs(values)
        with np.errstate(divide="ignore"):
            rate = np.where(np.abs(size - 1) <= rounding, 0, np.log(size)) / time_step
    return np.where(rate == 0, np.inf, -1 / np.where(rate == 0, 1, rate))


def frequencies(values: Complex[np.ndarray, "*K N"], time_step: float, *, is_flow: bool) -> Float[np.ndarray, "*K N"]:
    """Turns of each mode per unit of time."""
    return (np.imag(values) if is_flow else np.angle(values) / time_step) / (2 * np.pi)
