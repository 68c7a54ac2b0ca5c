"""Which way a fixed point's modes go."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from fisherjax._arrays import check_finite
from fisherjax._errors import check_choice, check_scalar
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
        Tolerance.

    Returns
    -------
    Counts (K,), and kinds: "attractor" (all modes decay), "marginal" (none grows, some are marginal), "k-saddle"
    (k modes grow), "repeller" (all grow).

    Raises
    ------
    ValueError
        If `convention` is unknown or the tolerance negative.
    """
    check_choice("convention", convention, CONVENTIONS)
    check_scalar("marginal", marginal, minimum=0.0)
    values = np.atleast_2d(np.asarray(eigenvalues))
    check_finite("eigenvalues", values)
    growth = np.abs(values) - 1 if convention == "discrete" else np.real(values)
    unstable = np.sum(growth > float(marginal), axis=1)
    neutral = np.sum(np.abs(growth) <= float(marginal), axis=1)
    size = values.shape[1]
    kinds = tuple(_kind(int(grow), int(rest), size) for grow, rest in zip(unstable, neutral, strict=True))
    return Stability(unstable, neutral, (unstable == 0) & (neutral == 0), kinds)


def _kind(unstable: int, marginal: int, size: int) -> str:
    if unstable == size:
        return "repeller"
    if unstable:
        return f"{unstable}-saddle"
    return "marginal" if marginal else "attractor"
