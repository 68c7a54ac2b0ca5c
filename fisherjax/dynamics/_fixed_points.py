"""Fixed points of a step function: all candidates at once, Adam to come near, Newton to arrive."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int
from scipy.spatial import KDTree

from fisherjax._errors import check_choice, check_integer, check_scalar, warn
from fisherjax._types import Result, Scalar
from fisherjax.numerics import full_precision

from ._jacobian import jacobian
from ._search import Arrivals, Cloud, Limit, SearchSettings, cloud_of, search
from ._stability import effective_marginal, stability_at, stability_of
from ._step import CONVENTIONS, Convention, StepFunction, as_inputs, as_states, check_step, prepared


class FixedPoints(Result):
    """Fixed points found, most stable first and, among equals, with the lowest speed first.

    Parameters
    ----------
    points
        (K, N).
    speed
        q = ½‖F(x, u) − x‖² of each, within the tolerance (½‖F‖² for a velocity).
    inputs
        Input u of each (K, I), or None.
    eigenvalues
        Of the Jacobian in the state (K, N), largest modulus (real part, for a velocity) first; NaN where the Jacobian
        is not finite.
    num_unstable, num_marginal
        Modes that grow, and that do neither within the marginal tolerance or are not known (K,).
    is_stable
        Whether all modes decay (K,).
    candidate
        Which candidate led there (K,).
    basin
        How many candidates ended at each (K,).
    slow_points, slow_speed, slow_inputs
        Where q came to rest (a local minimum, to the accuracy of `marquardt_steps`) without a fixed point:
        tolerance < q ≤ slow tolerance; (S, N), (S,), (S, I).
    converged
        Whether each candidate arrived at a fixed point that is no outlier (candidates,).
    candidate_speed
        q that each candidate reached (candidates,); NaN for one at which the step is not finite.
    num_outliers
        Fixed points that were left out because they lie too far from all candidates.
    tolerance
        Largest q of a fixed point of unit length or more.
    marginal
        Tolerance of eigenvalues that was used.
    convention
        "discrete" (a map) or "continuous" (a velocity).
    """

    points: Float[np.ndarray, "K N"]
    speed: Float[np.ndarray, " K"]
    inputs: Float[np.ndarray, "K I"] | None
    eigenvalues: Complex[np.ndarray, "K N"]
    num_unstable: Int[np.ndarray, " K"]
    num_marginal: Int[np.ndarray, " K"]
    is_stable: Bool[np.ndarray, " K"]
    candidate: Int[np.ndarray, " K"]
    basin: Int[np.ndarray, " K"]
    slow_points: Float[np.ndarray, "S N"]
    slow_speed: Float[np.ndarray, " S"]
    slow_inputs: Float[np.ndarray, "S I"] | None
    converged: Bool[np.ndarray, " candidates"]
    candidate_speed: Float[np.ndarray, " candidates"]
    num_outliers: int
    tolerance: float
    marginal: float
    convention: str

    @property
    def kind(self) -> tuple[str, ...]:
        """Kind of each: "attractor", "marginal", "k-saddle" or "repeller"."""
        return stability_of(self.eigenvalues, self.convention, self.marginal).kind  # pyright: ignore[reportArgumentType]

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        kinds = self.kind
        listed = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds)) or "none"
        share = f"{int(self.converged.sum())} of {len(self.converged)} candidates converged to q ≤ {self.tolerance:g}"
        far = f"; {self.num_outliers} outliers" if self.num_outliers else ""
        return f"FixedPoints({listed}; {share}; {len(self.slow_points)} slow points{far})"


@full_precision
def find_fixed_points(
    step: StepFunction,
    candidates: object,
    inputs: object = None,
    *,
    convention: Convention = "discrete",
    tolerance: Scalar | None = None,
    slow_tolerance: Scalar | None = None,
    marginal: Scalar = 1e-6,
    unique_distance: Scalar | None = None,
    outlier_factor: Scalar = 10.0,
    adam_steps: int = 200,
    learning_rate: Scalar = 0.02,
    newton_steps: int = 20,
    marquardt_steps: int = 100,
    batch_size: int | None = None,
) -> FixedPoints:
    """Find the fixed points that candidates lead to: all candidates at once.

    Adam lowers q = ½‖F(x, u) − x‖² of every candidate for `adam_steps`; Newton's method on F(x, u) − x = 0 then
    converges quadratically, from where Adam left or, if it fails there, Levenberg–Marquardt does. q is evaluated
    afresh at the end. Of points closer to each other than `unique_distance` (at the same input) the one with the
    lowest q is kept. Memory: two Jacobians (N, N) per candidate that is worked on at once.

    Parameters
    ----------
    step
        F(x, u), or F(x): the next state, or the velocity if ``convention="continuous"``. A network is one.
    candidates
        States to start from (K, N), for instance from `sample_states`.
    inputs
        Input that is held: (I,) for all, (K, I) one per candidate, or None (zero, for a network).
    convention
        What the step returns: the next state ("discrete") or dx/dt ("continuous").
    tolerance
        Largest q of a fixed point; by default 1e-16 in float64, 1e-11 in float32, times ‖x‖² where a state and the
        candidate are shorter than one, and no less than rounding leaves.
    slow_tolerance
        Largest q of a slow point; by default 1e-4, times ‖x‖² where that is less than one.
    marginal
        How near to one |λ| (to zero Re λ, for a velocity) counts as neither growing nor decaying; see `classify`.
    unique_distance
        Distance below which two points are one; by default 1e-3 of the r.m.s. distance from their mean of the
        candidates, or of the fixed points that they led to if that is less, and no less than `tolerance` resolves.
    outlier_factor
        Points farther from the candidates' mean than this times their mean distance from it, or their r.m.s. length,
        or the distance of half of all arrivals, if one of these is more, are left out and counted.
    adam_steps, learning_rate
        First stage; the step size falls to zero along a cosine.
    newton_steps, marquardt_steps
        Most iterations of the second stage.
    batch_size
        Candidates worked on at once; all by default.

    Warns
    -----
    RuntimeWarning
        If the step is not finite at some candidates; the others are searched from all the same.

    Raises
    ------
    ValueError
        If shapes do not match, or a number is out of range.
    TypeError
        If `step` does not map a state to a state of its float type.

    References
    ----------
    Sussillo & Barak (2013), Opening the black box, Neural Comput. 25, 626–649; Golub & Sussillo (2018),
    FixedPointFinder, J. Open Source Softw. 3, 1003.
    """
    check_choice("convention", convention, CONVENTIONS)
    states = as_states("candidates", candidates)
    given = as_inputs(inputs, len(states), states.dtype)
    eps = float(jnp.finfo(states.dtype).eps)
    limit = _limit("tolerance", tolerance, 1e-16 if states.dtype == jnp.float64 else 1e-11, strict=True)
    slow = _limit("slow_tolerance", slow_tolerance, 1e-4, strict=False)
    check_scalar("marginal", marginal, minimum=0.0)
    check_scalar("outlier_factor", outlier_factor, minimum=0.0, strict=True)
    check_scalar("learning_rate", learning_rate, minimum=0.0)
    if unique_distance is not None:
        check_scalar("unique_distance", unique_distance, minimum=0.0)
    if batch_size is not None:
        batch_size = check_integer("batch_size", batch_size, minimum=1)
    settings = SearchSettings(
        check_integer("adam_steps", adam_steps, minimum=0),
        float(learning_rate),
        check_integer("newton_steps", newton_steps, minimum=0),
        check_integer("marquardt_steps", marquardt_steps, minimum=0),
        convention,
    )
    step = prepared(step)
    check_step("candidates", step, states, given)
    begun = np.asarray(states)
    arrivals, cloud = search(
        step, states, given, settings, limit, cloud_of(begun, float(outlier_factor), eps), batch_size
    )  # fmt: skip
    lost = int(np.isnan(arrivals.speed).sum())
    if lost:
        warn(f"step is not finite at {lost} of {len(begun)} candidates: their candidate_speed is NaN")
    lengths = np.linalg.norm(begun, axis=1)
    converged = arrivals.speed <= limit.of(np.maximum(np.linalg.norm(arrivals.states, axis=1), lengths), eps)
    slowed = arrivals.rest_speed <= slow.of(np.maximum(np.linalg.norm(arrivals.rest, axis=1), lengths), eps)
    if unique_distance is None:
        resolved = 10 * float(np.sqrt(2 * np.median(limit.of(np.maximum(lengths, 1e-300), eps))))
        distances = _distances(arrivals.states[converged & cloud.near(arrivals.states)], cloud.spread, resolved)
    else:
        distances = (float(unique_distance), float(unique_distance))
    return _collect(
        step, given, arrivals, cloud, converged, slowed, distances, limit.value,
        effective_marginal(float(marginal), states.dtype), convention,
    )  # fmt: skip


def _collect(
    step: StepFunction,
    inputs: Array | None,
    arrivals: Arrivals,
    cloud: Cloud,
    converged: Bool[np.ndarray, " candidates"],
    slowed: Bool[np.ndarray, " candidates"],
    distances: tuple[float, float],
    tolerance: float,
    marginal: float,
    convention: Convention,
) -> FixedPoints:
    """Unique points with their stability, slow points, outliers."""
    held = None if inputs is None else np.asarray(inputs)
    near, (distance, slow_distance) = cloud.near(arrivals.states), distances
    kept, basin = _unique(arrivals.states, arrivals.speed, held, converged & near, distance)
    resting = ~(converged & near) & slowed & cloud.near(arrivals.rest)
    slow_kept, _ = _unique(arrivals.rest, arrivals.rest_speed, held, resting, slow_distance)
    outliers, _ = _unique(arrivals.states, arrivals.speed, held, converged & ~near, distance)
    slopes = np.zeros((0, arrivals.states.shape[1], arrivals.states.shape[1]))
    if len(kept):
        slopes = np.asarray(jacobian(step, arrivals.states[kept], None if held is None else held[kept]))
    eigenvalues, stability = stability_at(slopes, convention, marginal)
    order = np.lexsort((arrivals.speed[kept], stability.num_marginal, stability.num_unstable))
    kept = kept[order]
    return FixedPoints(
        points=arrivals.states[kept],
        speed=arrivals.speed[kept],
        inputs=None if held is None else held[kept],
        eigenvalues=eigenvalues[order],
        num_unstable=stability.num_unstable[order],
        num_marginal=stability.num_marginal[order],
        is_stable=stability.is_stable[order],
        candidate=kept,
        basin=basin[order],
        slow_points=arrivals.rest[slow_kept],
        slow_speed=arrivals.rest_speed[slow_kept],
        slow_inputs=None if held is None else held[slow_kept],
        converged=converged & near,
        candidate_speed=arrivals.speed,
        num_outliers=len(outliers),
        tolerance=tolerance,
        marginal=marginal,
        convention=convention,
    )


def _distances(arrived: np.ndarray, spread: float, resolved: float) -> tuple[float, float]:
    """Below which fixed, and slow, points are one."""
    within = float(np.sqrt(np.mean(np.sum((arrived - arrived.mean(axis=0)) ** 2, axis=1)))) if len(arrived) else spread
    return max(1e-3 * min(spread, within), resolved), max(1e-3 * spread, resolved)


def _unique(
    states: np.ndarray, speed: np.ndarray, inputs: np.ndarray | None, wanted: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to keep, lowest speed first, none within `distance` of a better one; and how many rows each stands for."""
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(speed[rows], kind="stable")]
    if not rows.size:
        return rows, np.zeros(0, int)
    group = np.zeros(len(rows), int)
    if inputs is not None:
        group = np.unique(inputs[rows], axis=0, return_inverse=True)[1].reshape(-1)
    owner = np.full(len(rows), -1)
    for number in range(group.max() + 1):
        members = np.flatnonzero(group == number)
        where = states[rows[members]]
        for index, close in zip(members, KDTree(where).query_ball_point(where, distance), strict=True):
            if owner[index] < 0:
                near = members[close]
                owner[near[owner[near] < 0]] = index
    kept, counts = np.unique(owner, return_counts=True)
    return rows[kept], counts


def _limit(name: str, tolerance: Scalar | None, usual: float, *, strict: bool) -> Limit:
    if tolerance is None:
        return Limit(usual, by_size=True)
    check_scalar(name, tolerance, minimum=0.0, strict=strict)
    return Limit(float(tolerance), by_size=False)
