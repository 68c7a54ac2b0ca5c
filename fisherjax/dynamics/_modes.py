"""Modes of a linear system, a map or a flow: which way they go, eigenvectors, time constants, frequencies."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Complex, Float, Int

from fisherjax._arrays import host_real
from fisherjax._errors import require
from fisherjax._types import ArrayLike, Scalar

_ROUNDING = 8  # times ε: how near to neutral a mode is that neither grows nor decays
_DEFECTIVE = 1e10  # condition number of the eigenvectors beyond which they are no basis to rounding


def sorted_eigenvalues(jacobians: Float[np.ndarray, "K N N"], *, is_flow: bool) -> Complex[np.ndarray, "K N"]:
    """Eigenvalues of each Jacobian, the fastest growing first; NaN for one that is not finite."""
    values = np.full(jacobians.shape[:2], np.nan, complex)
    finite = np.isfinite(jacobians).all(axis=(1, 2))
    if finite.any():
        values[finite] = np.linalg.eigvals(jacobians[finite])
    return np.take_along_axis(values, growth_order(values, is_flow=is_flow), axis=1)


def growth_order(values: Complex[np.ndarray, "*K N"], *, is_flow: bool) -> Int[np.ndarray, "*K N"]:
    """Places of the eigenvalues from the fastest growing on."""
    return np.argsort(-(np.real(values) if is_flow else np.abs(values)), axis=-1, kind="stable")


def growth(values: Complex[np.ndarray, "*K N"], *, is_flow: bool) -> Float[np.ndarray, "*K N"]:
    """Above zero for a mode that grows: |λ| − 1 of a map, Re λ of a flow."""
    return np.real(values) if is_flow else np.abs(values) - 1


def effective_marginal(marginal: Scalar, dtype: Any) -> float:
    """The tolerance, and at least √ε, which is how far rounding moves an eigenvalue of two that coincide."""
    return max(float(marginal), float(np.finfo(dtype).eps) ** 0.5)


class Stability(NamedTuple):
    """How many modes of each point grow, and how many neither grow nor decay within the tolerance.

    Kinds are "attractor" (all modes decay), "marginal" (none grows, some are marginal), "k-saddle" (k modes grow) and
    "repeller" (all grow).
    """

    num_unstable: Int[np.ndarray, " K"]
    num_marginal: Int[np.ndarray, " K"]
    is_stable: Bool[np.ndarray, " K"]
    kind: tuple[str, ...]


def stability_of(values: Complex[np.ndarray, "K N"], marginal: float, *, is_flow: bool) -> Stability:
    """Stability of fixed points from the eigenvalues of their Jacobians.

    A mode grows if |λ| > 1 + `marginal` and decays if |λ| < 1 − `marginal` (Re λ above and below ±`marginal`, of a
    flow). Between the two it is marginal: linearization does not tell, nor does it of eigenvalues that are NaN.
    """
    rates = growth(values, is_flow=is_flow)
    unstable = np.sum(rates > marginal, axis=1)
    neutral = np.sum(~(np.abs(rates) > marginal), axis=1)
    size = values.shape[1]
    kinds = tuple(_kind(int(grow), int(rest), size) for grow, rest in zip(unstable, neutral, strict=True))
    return Stability(unstable, neutral, (unstable == 0) & (neutral == 0), kinds)


def _kind(unstable: int, marginal: int, size: int) -> str:
    if unstable == size and size:
        return "repeller"
    if unstable:
        return f"{unstable}-saddle"
    return "marginal" if marginal else "attractor"


def indices(eigenvalues: Complex[np.ndarray, "K N"], marginal: float, *, is_flow: bool) -> Int[np.ndarray, " K"]:
    """Sign det(1 − J) of a map, sign det(−J) of a flow, from the eigenvalues of J.

    Complex pairs multiply to a positive number: it is −1 to the number of real λ above 1 (above 0, for a flow). Where
    an eigenvalue lies within `marginal` of that, or is NaN, the sign is not known: 0.
    """
    away = eigenvalues - (0 if is_flow else 1)
    beyond = np.sum((np.imag(away) == 0) & (np.real(away) > 0), axis=1)
    known = np.all(np.abs(away) > marginal, axis=1)
    return np.where(known, 1 - 2 * (beyond % 2), 0)


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


def modes_of(jacobian: ArrayLike, time_step: float, *, is_flow: bool) -> Modes:
    """Modes of a map, τ = −dt/ln|λ| and f = arg λ/(2π dt), or of a flow, τ = −1/Re λ and f = Im λ/2π.

    Raises
    ------
    ValueError
        If the Jacobian is not one square matrix of finite numbers.
    """
    matrix = host_real("jacobian", jacobian, "N N", hint="one square matrix")
    require(len(matrix) > 0, "jacobian must hold at least one unit")
    eigensystem: Any = scipy.linalg.eig(matrix, left=True, right=True)
    values, left, right = eigensystem
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
