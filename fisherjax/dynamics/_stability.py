"""Which way a fixed point's modes go."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from fisherjax._arrays import host_complex
from fisherjax._errors import check_scalar, require
from fisherjax._types import ArrayLike, Scalar


class Stability(NamedTuple):
    """How many modes of each point grow, and how many neither grow nor decay within the tolerance."""

    num_unstable: Int[np.ndarray, " K"]
    num_marginal: Int[np.ndarray, " K"]
    is_stable: Bool[np.ndarray, " K"]
    kind: tuple[str, ...]


def classify_map(eigenvalues: ArrayLike, *, marginal: Scalar = 1e-6) -> Stability:
    """Stability of fixed points of a map from the eigenvalues of their Jacobians.

    A mode grows if |λ| > 1 + `marginal` and decays if |λ| < 1 − `marginal`. Between the two it is marginal:
    linearization does not tell.

    Parameters
    ----------
    eigenvalues
        (K, N), or (N,) for one point.
    marginal
        Tolerance; at least √ε of the eigenvalues' float type is taken (1.5e-8 in float64, 3.5e-4 in float32), which is
        how far rounding moves an eigenvalue of two that coincide.

    Returns
    -------
    Counts (K,), and kinds: "attractor" (all modes decay), "marginal" (none grows, some are marginal), "k-saddle"
    (k modes grow), "repeller" (all grow).

    Raises
    ------
    ValueError
        If the tolerance is negative, or eigenvalues are not finite numbers (K, N).
    """
    return _classified(eigenvalues, marginal, is_flow=False)


def classify_flow(eigenvalues: ArrayLike, *, marginal: Scalar = 1e-6) -> Stability:
    """Stability of equilibria of a flow from the eigenvalues of their Jacobians.

    A mode grows if Re λ > `marginal` and decays if Re λ < −`marginal`. Between the two it is marginal.

    Parameters
    ----------
    eigenvalues
        (K, N), or (N,) for one point, per unit of time.
    marginal
        Tolerance, as in `classify_map`.

    Returns
    -------
    Counts (K,) and kinds, as `classify_map`.

    Raises
    ------
    ValueError
        If the tolerance is negative, or eigenvalues are not finite numbers (K, N).
    """
    return _classified(eigenvalues, marginal, is_flow=True)


def effective_marginal(marginal: Scalar, dtype: Any) -> float:
    """The tolerance, or how far rounding moves a double eigenvalue if that is more."""
    return max(float(marginal), float(np.finfo(dtype).eps) ** 0.5)


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


def stability_of(values: Complex[np.ndarray, "K N"], marginal: float, *, is_flow: bool) -> Stability:
    """Stability with this very tolerance; NaN, of which linearization tells nothing, are counted as marginal."""
    rates = growth(values, is_flow=is_flow)
    unstable = np.sum(rates > marginal, axis=1)
    neutral = np.sum(~(np.abs(rates) > marginal), axis=1)
    size = values.shape[1]
    kinds = tuple(_kind(int(grow), int(rest), size) for grow, rest in zip(unstable, neutral, strict=True))
    return Stability(unstable, neutral, (unstable == 0) & (neutral == 0), kinds)


def _classified(eigenvalues: ArrayLike, marginal: Scalar, *, is_flow: bool) -> Stability:
    check_scalar("marginal", marginal, minimum=0.0)
    values = np.atleast_2d(host_complex("eigenvalues", eigenvalues, "K N", "N"))
    require(values.shape[1] > 0, f"eigenvalues must have shape (K, N) with N > 0, got {values.shape}")
    return stability_of(values, effective_marginal(marginal, values.dtype), is_flow=is_flow)


def _kind(unstable: int, marginal: int, size: int) -> str:
    if unstable == size and size:
        return "repeller"
    if unstable:
        return f"{unstable}-saddle"
    return "marginal" if marginal else "attractor"
