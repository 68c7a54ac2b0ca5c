"""Which way a fixed point's modes go."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from fisherjax._arrays import host_complex
from fisherjax._errors import check_choice, check_scalar, require
from fisherjax._types import Scalar

from ._step import CONVENTIONS, Convention


class Stability(NamedTuple):
    """How many modes of each point grow, and how many neither grow nor decay within the tolerance."""

    num_unstable: Int[np.ndarray, " K"]
    num_marginal: Int[np.ndarray, " K"]
    is_stable: Bool[np.ndarray, " K"]
    kind: tuple[str, ...]


def classify(eigenvalues: object, *, convention: Convention = "discrete", marginal: Scalar = 1e-6) -> Stability:
    """Stability from the eigenvalues of the Jacobian.

    A mode of a map grows if |λ| > 1 + `marginal` and decays if |λ| < 1 − `marginal`; a mode of a flow grows if
    Re λ > `marginal` and decays if Re λ < −`marginal`. Between the two it is marginal: linearisation does not tell.

    Parameters
    ----------
    eigenvalues
        (K, N), or (N,) for one point.
    convention
        Whether they belong to a map ("discrete") or a velocity ("continuous").
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
        If `convention` is unknown, the tolerance negative, or eigenvalues are not finite numbers (K, N).
    """
    check_choice("convention", convention, CONVENTIONS)
    check_scalar("marginal", marginal, minimum=0.0)
    values = np.atleast_2d(host_complex("eigenvalues", eigenvalues, "K N", "N"))
    require(values.shape[1] > 0, f"eigenvalues must have shape (K, N) with N > 0, got {values.shape}")
    return stability_of(values, convention, effective_marginal(float(marginal), values.dtype))


def effective_marginal(marginal: float, dtype: Any) -> float:
    """The tolerance, or how far rounding moves a double eigenvalue if that is more."""
    return max(marginal, float(np.finfo(dtype).eps) ** 0.5)


def stability_at(
    jacobians: Float[np.ndarray, "K N N"], convention: Convention, marginal: float
) -> tuple[Complex[np.ndarray, "K N"], Stability]:
    """Eigenvalues of Jacobians, the largest modulus (real part, for a velocity) first, and what they mean.

    NaN for a Jacobian that is not finite; its modes are counted as marginal, of which linearisation tells nothing.
    """
    values = np.full(jacobians.shape[:2], np.nan, complex)
    finite = np.isfinite(jacobians).all(axis=(1, 2))
    if finite.any():
        values[finite] = np.linalg.eigvals(jacobians[finite])
    size = np.abs(values) if convention == "discrete" else np.real(values)
    values = np.take_along_axis(values, np.argsort(-size, axis=1, kind="stable"), axis=1)
    return values, stability_of(values, convention, marginal)


def stability_of(values: Complex[np.ndarray, "K N"], convention: Convention, marginal: float) -> Stability:
    """As `classify`, with this very tolerance; NaN are counted as marginal."""
    growth = np.abs(values) - 1 if convention == "discrete" else np.real(values)
    unstable = np.sum(growth > marginal, axis=1)
    neutral = np.sum(~(np.abs(growth) > marginal), axis=1)
    size = values.shape[1]
    kinds = tuple(_kind(int(grow), int(rest), size) for grow, rest in zip(unstable, neutral, strict=True))
    return Stability(unstable, neutral, (unstable == 0) & (neutral == 0), kinds)


def _kind(unstable: int, marginal: int, size: int) -> str:
    if unstable == size and size:
        return "repeller"
    if unstable:
        return f"{unstable}-saddle"
    return "marginal" if marginal else "attractor"
