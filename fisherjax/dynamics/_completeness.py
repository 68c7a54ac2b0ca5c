"""Whether fixed points are missing: the sum of their indices against what topology demands."""

import numpy as np
from jaxtyping import Float, Int

from fisherjax._errors import check_flag, check_instance
from fisherjax._types import Record

from ._fixed_points import FixedPoints


class IndexSum(Record):
    """Sums of fixed-point indices, for each input that was held.

    Parameters
    ----------
    sums
        Σ sign det(1 − J) over the fixed points at each input (G,), or Σ sign det(−J) of a flow.
    expected
        What the sum over all fixed points must be, 1; None where no theory says so.
    num_undetermined
        Points at each input whose index is not known, because an eigenvalue is neutral (G,).
    inputs
        The inputs (G, *I), or None.
    """

    sums: Int[np.ndarray, " G"]
    expected: int | None
    num_undetermined: Int[np.ndarray, " G"]
    inputs: Float[np.ndarray, "G *I"] | None

    @property
    def is_consistent(self) -> bool:
        """Whether no sum shows that a point is missing; False where a sum is not known or there is no theory."""
        compared = self.expected is not None and self.sums.size > 0 and not self.num_undetermined.any()
        return compared and bool(np.all(self.sums == self.expected))

    def __repr__(self) -> str:
        said = [self._said(*row) for row in zip(self.sums.tolist(), self.num_undetermined.tolist(), strict=True)]
        if self.inputs is not None:
            said = [f"at input {held.tolist()}, {text}" for held, text in zip(self.inputs, said, strict=True)]
        return f"IndexSum({'; '.join(said) or 'no points'})"

    def _said(self, total: int, undetermined: int) -> str:
        """What one sum tells about missing points."""
        if undetermined:
            return f"index sum is not known: {undetermined} points have a neutral mode"
        if self.expected is None:
            return f"index sum is {total}; what it must be is known of bounded systems only (say so by bounded=True)"
        if total == self.expected:
            return f"index sum is {total}, as it must be: no sign that points are missing"
        sign = "−1 (saddles)" if total > self.expected else "1 (attractors or others)"
        return (
            f"index sum is {total}, must be {self.expected} for a bounded system: "
            f"points are missing, at least {abs(total - self.expected)} of index {sign}"
        )


def index_sum(found: FixedPoints, *, bounded: bool | None = None) -> IndexSum:
    r"""Sum of the indices of fixed points, which shows that points are missing where it differs from 1.

    A continuous map of a closed ball into itself has fixed points whose indices sign det(1 − J) add up to 1
    (Lefschetz and Hopf; Brouwer's theorem is that there is one at all); so do sign det(−J) over the equilibria of a
    flow that points inward on a sphere (Poincaré and Hopf). The sum is told of any fixed points, the comparison is made
    only where that holds: for networks with bounded nonlinearities, or where the user says so. Equality proves nothing:
    a saddle and an attractor may be missing together.

    Parameters
    ----------
    found
        What `find_fixed_points` found.
    bounded
        Whether the step maps a ball into itself (its velocity points inward on one) and all fixed points lie in it;
        what is known of the network by default (`FixedPoints.is_bounded`).

    Raises
    ------
    TypeError
        If `found` is no `FixedPoints`, or `bounded` neither True nor False.

    References
    ----------
    Granas & Dugundji (2003), Fixed Point Theory, Springer, § 12 and 16; Milnor (1965), Topology from the
    differentiable viewpoint, § 6.
    """
    check_instance("found", found, FixedPoints, "from dynamics.find_fixed_points")
    bounded = found.is_bounded if bounded is None else check_flag("bounded", bounded)
    index = found.index
    inputs, group = None, np.zeros(len(found), int)
    if found.inputs is not None:
        inputs, group = np.unique(found.inputs, axis=0, return_inverse=True)
    count = 1 if inputs is None else len(inputs)
    group = group.reshape(-1)
    sums = np.bincount(group, weights=index, minlength=count).astype(int)
    undetermined = np.bincount(group, weights=index == 0, minlength=count).astype(int)
    return IndexSum(sums, 1 if bounded else None, undetermined, inputs)
