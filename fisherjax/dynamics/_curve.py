"""A curve of fixed points in states and one parameter: points on it, its tangent, and what bifurcates between two."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Complex, Float
from scipy.interpolate import CubicHermiteSpline

from ._modes import growth, sorted_eigenvalues
from ._step import StepLike, Unflatten, system_of

_ITERATIONS = 8
_ROUNDING = 1e3  # times ε: a correction so small ends Newton's method
_SAME = 1e-6  # of the way between two points: crossings closer than this are one
_REAL = 1e-6  # imaginary part of a critical eigenvalue below which it is real


class Sample(NamedTuple):
    """A point of the curve in scaled coordinates (x, p), the unit tangent there, and the modes."""

    place: Float[np.ndarray, " joint"]
    tangent: Float[np.ndarray, " joint"]
    eigenvalues: Complex[np.ndarray, " N"]
    rates: Float[np.ndarray, " N"]  # above zero for a mode that grows, in falling order
    orientation: float  # sign of det (∂G; tangent), which changes at a simple branch point and nowhere else
    size: float  # ln of its modulus

    @property
    def num_unstable(self) -> int:
        return int(np.sum(self.rates > 0))


class Correction(NamedTuple):
    place: Float[np.ndarray, " joint"]
    iterations: int
    converged: bool


class Curve(NamedTuple):
    """Where G(x, p) = F(x; p) − x, or the velocity, vanishes; states and parameter in their own units."""

    step_of: Callable[[Any], StepLike]
    inputs: Array | None
    unflatten: Unflatten | None
    is_flow: bool
    state_unit: float
    parameter_unit: float
    dtype: np.dtype

    def place_of(self, state: Any, parameter: float) -> Float[np.ndarray, " joint"]:
        """Scaled coordinates."""
        return np.append(np.asarray(state, np.float64) / self.state_unit, parameter / self.parameter_unit)

    def state(self, place: np.ndarray) -> Float[np.ndarray, " N"]:
        return (place[:-1] * self.state_unit).astype(self.dtype)

    def parameter(self, place: np.ndarray) -> float:
        return float(place[-1] * self.parameter_unit)

    def derivative(self, place: np.ndarray) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N joint"]]:
        """G and its derivative in scaled coordinates."""
        state, parameter = jnp.asarray(self.state(place)), jnp.asarray(self.parameter(place), self.dtype)
        value, slope = _evaluated(self.step_of, self.inputs, self.unflatten, state, parameter)
        slope = np.array(slope, np.float64)
        slope[:, -1] *= self.parameter_unit / self.state_unit
        return np.asarray(value, np.float64) / self.state_unit, slope

    def corrected(self, guess: np.ndarray, normal: np.ndarray) -> Correction:
        """Newton's method for the point of the curve in the plane through the guess with this normal."""
        place, tolerance = guess.copy(), _ROUNDING * float(np.finfo(self.dtype).eps)
        for iteration in range(1, _ITERATIONS + 1):
            value, slope = self.derivative(place)
            if not (np.isfinite(value).all() and np.isfinite(slope).all()):
                break
            away = np.append(value, normal @ (place - guess))
            move = _solved(np.vstack([slope, normal]), away)
            place = place - move
            if np.linalg.norm(move) <= tolerance * (1 + np.linalg.norm(place)):
                return Correction(place, iteration, converged=True)
        return Correction(place, _ITERATIONS, converged=False)

    def sample(self, place: np.ndarray, forward: np.ndarray) -> Sample:
        """What the curve does at a point of it; its tangent makes an acute angle with `forward`."""
        _, slope = self.derivative(place)
        bordered = np.vstack([slope, forward])
        tangent = _solved(bordered, np.append(np.zeros(len(slope)), 1.0))
        tangent = tangent / np.linalg.norm(tangent)
        sign, size = np.linalg.slogdet(np.vstack([slope, tangent]))
        matrix = slope[:, :-1] + (0 if self.is_flow else np.eye(len(slope)))
        values = sorted_eigenvalues(matrix[None], is_flow=self.is_flow)[0]
        return Sample(place, tangent, values, growth(values, is_flow=self.is_flow), float(sign), float(size))


@eqx.filter_jit
def _evaluated(
    step_of: Callable[[Any], StepLike],
    inputs: Array | None,
    unflatten: Unflatten | None,
    state: Array,
    parameter: Array,
) -> tuple[Array, Array]:
    """G, and its derivative in state and parameter."""

    def vanishing(joined: Array) -> tuple[Array, Array]:
        value = system_of(step_of(joined[-1]), unflatten).residual(joined[:-1], inputs)
        return value, value

    slope, value = jax.jacfwd(vanishing, has_aux=True)(jnp.append(state, parameter))
    return value, slope


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution, of least norm where the matrix is singular, as it is at a branch point."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(matrix, right, rcond=None)[0]


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
    passed: list[Crossing] = []
    for mode in range(*counts):
        where = way.root(lambda sample, mode=mode: float(sample.rates[mode]))
        if any(abs(where - other.where) < _SAME for other in passed):
            continue  # the other of a pair
        sample = way.at(where)
        eigenvalue = complex(sample.eigenvalues[mode])
        passed.append(
            Crossing(_kind(eigenvalue, turns=turns and not branches, is_flow=curve.is_flow), where, sample, eigenvalue)
        )
    kinds = {crossing.kind for crossing in passed}
    if branches and "branch point" not in kinds:
        passed.append(
            way.crossing("branch point", lambda sample: sample.orientation * np.exp(sample.size - begin.size))
        )
    elif turns and not branches and "fold" not in kinds:
        passed.append(way.crossing("fold", lambda sample: float(sample.tangent[-1])))
    return sorted(passed, key=lambda crossing: crossing.where)


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
        correction = self.curve.corrected(guess, along / np.linalg.norm(along))
        return self.curve.sample(correction.place if correction.converged else guess, self.chord)

    def root(self, value: Callable[[Sample], float]) -> float:
        """Where a number that changes sign on the way vanishes."""
        share: Any = scipy.optimize.brentq(lambda share: value(self.at(share)), 0.0, 1.0, xtol=1e-12)
        return float(share)

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
