"""Bifurcations between two points of a curve of fixed points: which, and where."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from scipy.interpolate import CubicHermiteSpline

from ._curve import Curve, Sample

_SAME = 1e-6  # of the way between two points: crossings closer than this are one
_REAL = 1e-6  # imaginary part of a critical eigenvalue below which it is real


class Crossing(NamedTuple):
    """Where something happens to the modes."""

    kind: str
    where: float  # share of the way
    sample: Sample
    eigenvalue: complex


def crossings(curve: Curve, begin: Sample, end: Sample) -> list[Crossing]:
    """Bifurcations on the way from one point of the curve to the next, in their order.

    A mode that grows at one end and decays at the other has a rate that vanishes between. The tangent's component along
    the parameter changes sign where the curve turns (a fold, or a pitchfork from its own branch), the determinant of
    the derivative bordered by the tangent at a simple branch point.
    """
    way = _Way(curve, begin, end)
    turns = bool(begin.tangent[-1] * end.tangent[-1] < 0)
    branches = begin.orientation * end.orientation < 0
    counts = sorted((begin.num_unstable, end.num_unstable))
    found: list[Crossing] = []
    for mode in range(*counts):
        where = way.root(lambda sample, mode=mode: float(sample.rates[mode]))
        if any(abs(where - other.where) < _SAME for other in found):
            continue  # the other of a pair
        sample = way.at(where)
        eigenvalue = complex(sample.eigenvalues[mode])
        found.append(
            Crossing(_kind(eigenvalue, turns=turns and not branches, is_flow=curve.is_flow), where, sample, eigenvalue)
        )
    kinds = {one.kind for one in found}
    if branches and "branch point" not in kinds:
        found.append(way.crossing("branch point", lambda sample: sample.orientation * np.exp(sample.size - begin.size)))
    elif turns and not branches and "fold" not in kinds:
        found.append(way.crossing("fold", lambda sample: float(sample.tangent[-1])))
    return sorted(found, key=lambda one: one.where)


class _Way:
    """The curve between two of its points, next to a cubic through both along their tangents."""

    def __init__(self, curve: Curve, begin: Sample, end: Sample):
        self.curve, self.begin, self.end = curve, begin, end
        self.chord = end.place - begin.place
        self.length = float(np.linalg.norm(self.chord))
        places, tangents = np.stack([begin.place, end.place]), np.stack([begin.tangent, end.tangent])
        self.cubic = CubicHermiteSpline([0.0, self.length], places, tangents)

    def at(self, share: float) -> Sample:
        """The point of the curve at a share of the way.

        Where Newton's method fails, as it may at a branch point, that of the cubic, which is off by the fourth power
        of the length.
        """
        if share in {0.0, 1.0}:
            return self.end if share else self.begin
        guess, along = self.cubic(share * self.length), self.cubic(share * self.length, 1)
        found = self.curve.corrected(guess, along / np.linalg.norm(along))
        return self.curve.sample(found.place if found.converged else guess, self.chord)

    def root(self, value: Callable[[Sample], float]) -> float:
        """Where a number that changes sign on the way vanishes."""
        found: Any = scipy.optimize.brentq(lambda share: value(self.at(share)), 0.0, 1.0, xtol=1e-12)
        return float(found)

    def crossing(self, kind: str, value: Callable[[Sample], float]) -> Crossing:
        """A bifurcation that this number shows."""
        where = self.root(value)
        sample = self.at(where)
        nearest = int(np.argmin(np.abs(sample.eigenvalues - (0 if self.curve.is_flow else 1))))
        return Crossing(kind, where, sample, complex(sample.eigenvalues[nearest]))


def _kind(eigenvalue: complex, *, turns: bool, is_flow: bool) -> str:
    """What happens where this eigenvalue is neutral."""
    if abs(eigenvalue.imag) > _REAL:
        return "Hopf" if is_flow else "Neimark-Sacker"
    if not is_flow and eigenvalue.real < 0:
        return "flip"
    return "fold" if turns else "branch point"
