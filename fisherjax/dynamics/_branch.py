"""A branch of fixed points in a parameter, and what bifurcates on it."""

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from fisherjax._types import Record, Scalar

from ._stability import growth
from ._states import StateRecord


class Bifurcation(Record):
    """Where a branch of fixed points changes its stability, turns, or meets another.

    Parameters
    ----------
    kind
        "fold" (the branch turns back in the parameter), "branch point" (it meets another: transcritical, pitchfork),
        "flip" (λ = −1: period doubling), "Neimark-Sacker" (a pair |λ| = 1: an invariant circle), or, of a flow, "Hopf"
        (a pair Re λ = 0: a periodic orbit).
    parameter
        Its value there.
    point
        The fixed point (N,).
    eigenvalue
        One that is neutral there.
    """

    kind: str
    parameter: float
    point: Float[np.ndarray, " N"]
    eigenvalue: Complex[np.ndarray, ""]

    def __repr__(self) -> str:
        return f"{self.kind} at {self.parameter:.6g}"


class Branch(StateRecord):
    """A branch of fixed points, followed through a parameter.

    Parameters
    ----------
    parameters
        Along the branch (M,); it may turn.
    points
        Fixed points there (M, N).
    eigenvalues
        Of the Jacobians (M, N), largest modulus (real part, of a flow) first.
    bifurcations
        In their order along the branch.
    end
        Why it ends: "stop" or "start" (it left the range there), "diverges", "lost" or "max_points".
    inputs
        Input that is held (*I), or None.
    is_flow
        Whether these are equilibria of a flow.
    unflatten
        Makes trees of the points where the step's states are.
    """

    parameters: Float[np.ndarray, " M"]
    points: Float[np.ndarray, "M N"]
    eigenvalues: Complex[np.ndarray, "M N"]
    bifurcations: tuple[Bifurcation, ...]
    end: str
    inputs: Float[np.ndarray, "*I"] | None
    is_flow: bool

    @property
    def num_unstable(self) -> Int[np.ndarray, " M"]:
        """Modes that grow."""
        return np.sum(growth(self.eigenvalues, is_flow=self.is_flow) > 0, axis=1)

    @property
    def is_stable(self) -> Bool[np.ndarray, " M"]:
        """Whether none grows."""
        return self.num_unstable == 0

    def at(self, parameter: Scalar) -> Float[np.ndarray, "J N"]:
        """States in which the branch passes a value of the parameter, between its points by a straight line."""
        value = float(parameter)
        before, after = self.parameters[:-1] - value, self.parameters[1:] - value
        rows = np.flatnonzero((before * after < 0) | (after == 0))
        share = before[rows] / (before[rows] - after[rows])
        found = self.points[rows] + share[:, None] * (self.points[rows + 1] - self.points[rows])
        return np.concatenate([self.points[:1][self.parameters[:1] == value], found])

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        passed = ", ".join(map(repr, self.bifurcations)) or "no bifurcation"
        ends = f"{self.parameters[0]:.4g} … {self.parameters[-1]:.4g}"
        return f"Branch({len(self)} points, parameter {ends}: {passed}; ends: {self.end})"
