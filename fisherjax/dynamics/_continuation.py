"""Branches of fixed points in a parameter, with what bifurcates on them."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from fisherjax._errors import check_callable, check_integer, check_scalar, output_of, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar

from ._curve import Correction, Crossing, Curve, Sample, crossings
from ._fixed_points import FixedPoints
from ._modes import growth
from ._step import Setting, StateRecord, StepLike, as_states, setting_of, system_of

_SMALLEST_STEP = 1e-4  # of the largest step
_GROWTH, _EASY = 1.5, 3  # of the step after so many iterations at most
_STRAIGHT = 0.95  # cosine of the angle by which the tangent may turn in a step
_NEAR = 0.1  # scales: how far from a point given its fixed point may be
_NO_SIZE = 1e-6  # r.m.s. size of points below which their scale is one
_SAME = 1e-6  # scales: two points at one parameter closer than this are one
_FAR = 1e6  # scales of the state: a branch that goes farther diverges


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
        between = self.points[rows] + share[:, None] * (self.points[rows + 1] - self.points[rows])
        return np.concatenate([self.points[:1][self.parameters[:1] == value], between])

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        passed = ", ".join(map(repr, self.bifurcations)) or "no bifurcation"
        ends = f"{self.parameters[0]:.4g} … {self.parameters[-1]:.4g}"
        return f"Branch({len(self)} points, parameter {ends}: {passed}; ends: {self.end})"


@full_precision
def continue_fixed_points(
    step_of: Callable[[Any], StepLike],
    points: FixedPoints | Any,
    inputs: ArrayLike | None = None,
    *,
    start: Scalar,
    stop: Scalar,
    max_step: Scalar = 0.02,
    max_points: int = 1000,
) -> tuple[Branch, ...]:
    """Follow fixed points through a parameter, around folds, with stability and bifurcations.

    Pseudo-arclength continuation: from a point (x, p) of the branch and its tangent τ, a step h along τ, then Newton's
    method on G(x, p) = 0 (F(x; p) − x, or the velocity) in the plane across τ, which has a solution at a fold too. A
    bifurcation between two points is located to rounding, by the root of a number that changes sign there: the growth
    rate of the critical mode, the tangent's component along p (folds), the determinant of (∂G; τ) (branch points).
    Two that lie within one step and undo each other are missed.

    Parameters
    ----------
    step_of
        The step at a parameter: a function of one number to a `Network`, a function F(x, u) or F(x), or a flow. It is
        traced, so that one program serves all parameters: ``lambda gain: networks.RateNetwork(gain * J, …)``, or
        ``lambda u: lambda x: network.step(x, u)`` for an input.
    points
        Fixed points at `start`: `FixedPoints`, (K, N), (N,), or a tree of arrays with the leading axis K. Each is first
        improved by Newton's method.
    inputs
        Input that is held: (I,), or of a network its `input_shape`; or one per point with the leading axis K; those of
        the `FixedPoints` by default.
    start, stop
        The parameter's range, from where the points are.
    max_step
        Largest step, as a share of the range, and along states of the r.m.s. size of the points (of one, if that is
        below 1e-6).
    max_points
        Most points of a branch.

    Returns
    -------
    A branch for each point, but for those that a branch before comes back to.

    Warns
    -----
    RuntimeWarning
        If a branch is lost: the least step finds no further point.

    Raises
    ------
    ValueError
        If shapes do not match, a number is out of range, `start` and `stop` are equal, or a point is no fixed point.
    TypeError
        If `step_of` is no function, or what it gives does not map a state to a state of its float type.

    References
    ----------
    Keller (1977), Numerical solution of bifurcation and nonlinear eigenvalue problems; Kuznetsov (2004), Elements of
    Applied Bifurcation Theory, 3rd ed., § 10.2.
    """
    check_callable("step_of", step_of)
    check_scalar("start", start)
    check_scalar("stop", stop)
    check_scalar("max_step", max_step, minimum=0.0, maximum=1.0, strict=True)
    max_points = check_integer("max_points", max_points, minimum=2)
    begin, end = float(start), float(stop)
    require(begin != end, f"start and stop must differ, both are {begin:g}")
    known = points if isinstance(points, FixedPoints) else None
    held = known.inputs if known is not None and inputs is None else inputs
    given = points if known is None else known.states
    dtype = as_states("points", given).array.dtype
    setting = setting_of("points", step_of(jnp.asarray(begin, dtype)), given, held)
    curves = _curves(setting, step_of, abs(end - begin))
    branches: list[Branch] = []
    returns: list[tuple[np.ndarray, Curve]] = []
    for number, (curve, state) in enumerate(zip(curves, np.asarray(setting.states), strict=True)):
        place = _first(curve, state, begin, number)
        if any(np.linalg.norm(place - other) <= _SAME and _alike(curve, before) for other, before in returns):
            continue
        samples, passed, why = _followed(curve, place, (begin, end), float(max_step), max_points)
        if why == "start":
            returns.append((samples[-1].place, curve))
        branches.append(_branch(curve, samples, passed, why))
    return tuple(branches)


def _curves(setting: Setting, step_of: Callable[[Any], StepLike], parameter_unit: float) -> list[Curve]:
    """The curve of each point, with its input; nothing is compiled."""
    system, states, inputs, unflatten = setting
    size = float(jnp.sqrt(jnp.mean(states**2)))
    unit = states.shape[1] ** 0.5 * (size if size > _NO_SIZE else 1.0)

    def vanishing(parameter: Array) -> Array:
        return system_of(step_of(parameter), unflatten).residual(states[0], None if inputs is None else inputs[0])

    output_of("step_of", vanishing, jnp.zeros((), states.dtype))
    units = (unit, parameter_unit)
    rows = [None] * len(states) if inputs is None else list(inputs)
    return [Curve(step_of, held, unflatten, system.is_flow, *units, states.dtype) for held in rows]


def _alike(curve: Curve, other: Curve) -> bool:
    """Whether two curves are of one input."""
    return curve.inputs is None or other.inputs is None or bool(jnp.array_equal(curve.inputs, other.inputs))


def _first(curve: Curve, state: np.ndarray, parameter: float, number: int) -> np.ndarray:
    """The fixed point next to a state, at the parameter's first value."""
    guess = curve.place_of(state, parameter)
    correction = curve.corrected(guess, np.eye(len(guess))[-1])
    moved = float(np.linalg.norm(correction.place - guess))
    require(
        correction.converged and moved <= _NEAR,
        f"points must be fixed points at start, but Newton's method finds none next to number {number}",
    )
    return correction.place


def _followed(
    curve: Curve, place: np.ndarray, ends: tuple[float, float], max_step: float, max_points: int
) -> tuple[list[Sample], list[Crossing], str]:
    """Points along the curve, what is crossed between them, and why they end."""
    borders = [end / curve.parameter_unit for end in ends]
    forward = np.zeros(len(place))
    forward[-1] = np.sign(borders[1] - borders[0])
    samples, passed, step = [curve.sample(place, forward)], [], max_step / 4
    while len(samples) < max_points:
        last = samples[-1]
        correction, following = _stepped(curve, last, step)
        if following is None:
            step /= 2
            if step >= _SMALLEST_STEP * max_step:
                continue
            warn(f"a branch is lost at parameter {curve.parameter(last.place):.6g}: no further point is found")
            return samples, passed, "lost"
        side = _left(following.place[-1], borders)
        if side is not None:
            following = _landed(curve, last, following, borders[side])
        passed += crossings(curve, last, following)
        samples.append(following)
        if side is not None:
            return samples, passed, ("start", "stop")[side]
        if np.linalg.norm(following.place[:-1]) > _FAR:
            return samples, passed, "diverges"
        step = min(step * _GROWTH, max_step) if correction.iterations <= _EASY else step
    return samples, passed, "max_points"


def _stepped(curve: Curve, last: Sample, step: float) -> tuple[Correction, Sample | None]:
    """The next point, or None where Newton's method fails, goes far, or the tangent turns too much."""
    guess = last.place + step * last.tangent
    correction = curve.corrected(guess, last.tangent)
    if not correction.converged or np.linalg.norm(correction.place - guess) > step:
        return correction, None
    sample = curve.sample(correction.place, last.tangent)
    return correction, sample if sample.tangent @ last.tangent >= _STRAIGHT else None


def _left(parameter: float, borders: list[float]) -> int | None:
    """Which border of the range is passed, 0 or 1, if one is."""
    along = (parameter - borders[0]) / (borders[1] - borders[0])
    return 0 if along < 0 else 1 if along > 1 else None


def _landed(curve: Curve, last: Sample, beyond: Sample, border: float) -> Sample:
    """The point of the curve on a border between two of its points."""
    share = (border - last.place[-1]) / (beyond.place[-1] - last.place[-1])
    guess = last.place + share * (beyond.place - last.place)
    guess[-1] = border
    correction = curve.corrected(guess, np.eye(len(guess))[-1])
    return curve.sample(correction.place if correction.converged else guess, last.tangent)


def _branch(curve: Curve, samples: list[Sample], passed: list[Crossing], why: str) -> Branch:
    """The record of a branch."""
    places = np.array([sample.place for sample in samples])
    bifurcations = tuple(
        Bifurcation(
            crossing.kind,
            curve.parameter(crossing.sample.place),
            curve.state(crossing.sample.place),
            np.array(crossing.eigenvalue),
        )
        for crossing in passed
    )
    return Branch(
        parameters=places[:, -1] * curve.parameter_unit,
        points=np.array([curve.state(place) for place in places]),
        eigenvalues=np.array([sample.eigenvalues for sample in samples]),
        bifurcations=bifurcations,
        end=why,
        inputs=None if curve.inputs is None else np.asarray(curve.inputs),
        is_flow=curve.is_flow,
        unflatten=curve.unflatten,
    )
