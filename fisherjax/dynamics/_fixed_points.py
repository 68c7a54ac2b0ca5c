"""Fixed points of a step function: all candidates at once, Adam to come near, Newton to arrive."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
from jaxtyping import Array, Bool, Complex, Float, Int
from scipy.spatial import KDTree

from fisherjax._errors import check_choice, check_integer, check_scalar
from fisherjax._types import Result, Scalar

from ._jacobian import jacobian
from ._stability import classify
from ._step import CONVENTIONS, Convention, StepFunction, as_inputs, as_states, check_step, prepared, residual

_MARQUARDT_BLOCK = 64  # stubborn candidates are polished in blocks of one size, so that one program serves all


class FixedPoints(Result):
    """Fixed points found, most stable first and, among equals, with the lowest speed first.

    Parameters
    ----------
    points
        (K, N).
    speed
        q = ½‖F(x, u) − x‖² of each, at most `tolerance` (½‖F‖² for a velocity).
    inputs
        Input u of each (K, I), or None.
    eigenvalues
        Of the Jacobian in the state (K, N), largest modulus (real part, for a velocity) first.
    num_unstable, num_marginal
        Modes that grow, and that do neither within the marginal tolerance (K,).
    is_stable
        Whether all modes decay (K,).
    candidate
        Which candidate led there (K,).
    basin
        How many candidates ended at each (K,).
    slow_points, slow_speed, slow_inputs
        Where the search came to rest without a fixed point: tolerance < q ≤ slow tolerance; (S, N), (S,), (S, I).
    converged
        Whether each candidate arrived at a fixed point (candidates,).
    candidate_speed
        q that each candidate reached (candidates,).
    num_outliers
        Fixed points that were left out because they lie too far from all candidates.
    tolerance, marginal
        Tolerances that were used.
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
        return classify(self.eigenvalues, convention=self.convention, marginal=self.marginal).kind  # pyright: ignore[reportArgumentType]

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        kinds = self.kind
        listed = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds)) or "none"
        share = f"{int(self.converged.sum())} of {len(self.converged)} candidates converged to q ≤ {self.tolerance:g}"
        return f"FixedPoints({listed}; {share}; {len(self.slow_points)} slow points)"


def find_fixed_points(
    step: StepFunction,
    candidates: object,
    inputs: object = None,
    *,
    convention: Convention = "discrete",
    tolerance: Scalar | None = None,
    slow_tolerance: Scalar = 1e-4,
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
        Largest q of a fixed point; 1e-16 in float64, 1e-11 in float32 by default.
    slow_tolerance
        Largest q of a slow point.
    marginal
        How near to one |λ| (to zero Re λ, for a velocity) counts as neither growing nor decaying.
    unique_distance
        Distance below which two points are one; by default 1e-3 of the candidates' r.m.s. distance from their mean.
    outlier_factor
        Points farther from the candidates' mean than this times their mean distance from it are left out.
    adam_steps, learning_rate
        First stage; the step size falls to zero along a cosine.
    newton_steps, marquardt_steps
        Most iterations of the second stage.
    batch_size
        Candidates worked on at once; all by default.

    Raises
    ------
    ValueError
        If shapes do not match, or a number is out of range.

    References
    ----------
    Sussillo & Barak (2013), Opening the black box, Neural Comput. 25, 626–649; Golub & Sussillo (2018),
    FixedPointFinder, J. Open Source Softw. 3, 1003.
    """
    check_choice("convention", convention, CONVENTIONS)
    states = as_states("candidates", candidates)
    given = as_inputs(inputs, len(states), states.dtype)
    limit = _tolerance(tolerance, states.dtype)
    for name, value in (("slow_tolerance", slow_tolerance), ("marginal", marginal)):
        check_scalar(name, value, minimum=0.0)
    check_scalar("outlier_factor", outlier_factor, minimum=0.0, strict=True)
    check_scalar("learning_rate", learning_rate, minimum=0.0)
    settings = _Settings(
        check_integer("adam_steps", adam_steps, minimum=0),
        float(learning_rate),
        check_integer("newton_steps", newton_steps, minimum=0),
        check_integer("marquardt_steps", marquardt_steps, minimum=0),
        convention,
    )
    step = prepared(step)
    check_step(step, states, given)
    cloud = _cloud(np.asarray(states), float(outlier_factor), unique_distance)
    found = _search_all(step, states, given, settings, limit, cloud, batch_size)
    return _collect(
        step, given, found, limit, cloud, convention, slow=float(slow_tolerance), marginal=float(marginal)
    )  # fmt: skip


class _Settings(NamedTuple):
    adam_steps: int
    learning_rate: float
    newton_steps: int
    marquardt_steps: int
    convention: Convention


class _Found(NamedTuple):
    """Where every candidate ended, and where it came to rest before Newton."""

    states: Float[np.ndarray, "K N"]
    speed: Float[np.ndarray, " K"]
    rest: Float[np.ndarray, "K N"]
    rest_speed: Float[np.ndarray, " K"]


class _Cloud(NamedTuple):
    """Where the candidates are, and what is near."""

    centre: Float[np.ndarray, " N"]
    farthest: float
    unique_distance: float

    def near(self, states: np.ndarray) -> np.ndarray:
        """Whether states are not outliers. Far out, x + f(x) − x rounds to zero whatever f is."""
        return np.linalg.norm(states - self.centre, axis=1) <= self.farthest


def _cloud(candidates: np.ndarray, outlier_factor: float, unique_distance: Scalar | None) -> _Cloud:
    centre = candidates.mean(axis=0)
    reach = np.linalg.norm(candidates - centre, axis=1)
    scale = float(np.sqrt(np.mean(reach**2)))
    distance = (1e-3 * scale if scale > 0 else 1e-6) if unique_distance is None else float(unique_distance)
    return _Cloud(centre, outlier_factor * float(reach.mean()) if scale > 0 else np.inf, distance)


def _search_all(
    step: StepFunction,
    states: Array,
    inputs: Array | None,
    settings: _Settings,
    limit: float,
    cloud: _Cloud,
    batch_size: int | None,
) -> _Found:
    size = len(states) if batch_size is None else check_integer("batch_size", batch_size, minimum=1)
    parts = []
    for start in range(0, len(states), size):
        chosen = slice(start, start + size)
        part = _search(step, states[chosen], None if inputs is None else inputs[chosen], settings)
        parts.append(jax.tree.map(np.array, part))
    found = _Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    stubborn = np.flatnonzero(~(found.speed <= limit) | ~cloud.near(found.states))
    for start in range(0, len(stubborn) if settings.marquardt_steps else 0, _MARQUARDT_BLOCK):
        rows = stubborn[start : start + _MARQUARDT_BLOCK]
        padded = np.resize(rows, _MARQUARDT_BLOCK)
        held = None if inputs is None else inputs[padded]
        moved, speed = _polish(step, jnp.asarray(found.rest[padded]), held, settings, newton=False)
        moved, speed = np.asarray(moved)[: len(rows)], np.asarray(speed)[: len(rows)]
        better = (speed < found.speed[rows]) | ((speed <= limit) & cloud.near(moved))
        found.states[rows[better]] = moved[better]
        found.speed[rows[better]] = speed[better]
    return found


@eqx.filter_jit
def _search(step: StepFunction, states: Array, inputs: Array | None, settings: _Settings) -> _Found:
    rest, rest_speed = _descend(step, states, inputs, settings)
    moved, speed = _polish(step, rest, inputs, settings, newton=True)
    better = speed < rest_speed
    final = jnp.where(better[:, None], moved, rest)
    return _Found(final, jnp.where(better, speed, rest_speed), rest, rest_speed)  # pyright: ignore[reportArgumentType]


def _speeds(step: StepFunction, states: Array, inputs: Array | None, convention: Convention) -> Array:
    """Q of every state."""

    def one(state: Array, given: Any) -> Array:
        return jnp.sum(residual(step, state, given, convention) ** 2) / 2

    return jax.vmap(one, in_axes=(0, None if inputs is None else 0))(states, inputs)


def _descend(
    step: StepFunction, states: Array, inputs: Array | None, settings: _Settings
) -> tuple[Float[Array, "K N"], Float[Array, " K"]]:
    """Adam on the sum of all q, which is Adam on each; keeps the slowest state that each has seen."""
    schedule = optax.cosine_decay_schedule(settings.learning_rate, max(settings.adam_steps, 1))
    optimiser = optax.adam(schedule)

    def total(states: Array) -> tuple[Array, Array]:
        speeds = _speeds(step, states, inputs, settings.convention)
        return jnp.sum(speeds), speeds

    def move(carry: Any, _: None) -> tuple[Any, None]:
        states, moments, best, lowest = carry
        slope, speeds = jax.grad(total, has_aux=True)(states)
        better = speeds < lowest
        best, lowest = jnp.where(better[:, None], states, best), jnp.where(better, speeds, lowest)
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimiser.update(slope, moments)
        return (states + jnp.asarray(updates).astype(states.dtype), moments, best, lowest), None

    with jax.numpy_dtype_promotion("standard"):
        start = (states, optimiser.init(states), states, _speeds(step, states, inputs, settings.convention))
    (last, _, best, lowest), _ = jax.lax.scan(move, start, length=settings.adam_steps)
    speeds = _speeds(step, last, inputs, settings.convention)
    better = speeds < lowest
    return jnp.where(better[:, None], last, best), jnp.where(better, speeds, lowest)


@eqx.filter_jit
def _polish(
    step: StepFunction, states: Array, inputs: Array | None, settings: _Settings, *, newton: bool
) -> tuple[Float[Array, "K N"], Float[Array, " K"]]:
    """Newton's or Levenberg and Marquardt's method from every state; +∞ for the q of one that left the numbers."""
    precision = float(jnp.finfo(states.dtype).eps) * 100

    def one(state: Array, given: Any) -> Array:
        def vanishing(state: Array, _: None) -> Array:
            return residual(step, state, given, settings.convention)

        if newton:
            solver = optimistix.Newton(precision, precision)
            return optimistix.root_find(vanishing, solver, state, max_steps=settings.newton_steps, throw=False).value
        solver = optimistix.LevenbergMarquardt(precision, precision)
        return optimistix.least_squares(
            vanishing, solver, state, max_steps=settings.marquardt_steps, throw=False
        ).value  # fmt: skip

    if newton and not settings.newton_steps:
        return states, _speeds(step, states, inputs, settings.convention)
    with jax.numpy_dtype_promotion("standard"):
        moved = jax.vmap(one, in_axes=(0, None if inputs is None else 0))(states, inputs)
    speeds = _speeds(step, moved, inputs, settings.convention)
    return moved, jnp.where(jnp.isfinite(speeds), speeds, jnp.inf)


def _collect(
    step: StepFunction,
    inputs: Array | None,
    found: _Found,
    limit: float,
    cloud: _Cloud,
    convention: Convention,
    *,
    slow: float,
    marginal: float,
) -> FixedPoints:
    """Unique points with their stability, slow points, outliers."""
    held = None if inputs is None else np.asarray(inputs)
    near, distance = cloud.near(found.states), cloud.unique_distance
    converged = found.speed <= limit
    kept, basin = _unique(found.states, found.speed, held, converged & near, distance)
    resting = ~(converged & near) & (found.rest_speed <= slow) & cloud.near(found.rest)
    slow_kept, _ = _unique(found.rest, found.rest_speed, held, resting, distance)
    outliers, _ = _unique(found.states, found.speed, held, converged & ~near, distance)
    eigenvalues = _eigenvalues(step, found.states[kept], None if held is None else held[kept], convention)
    stability = classify(eigenvalues, convention=convention, marginal=marginal)
    order = np.lexsort((found.speed[kept], stability.num_marginal, stability.num_unstable))
    kept = kept[order]
    return FixedPoints(
        points=found.states[kept],
        speed=found.speed[kept],
        inputs=None if held is None else held[kept],
        eigenvalues=eigenvalues[order],
        num_unstable=stability.num_unstable[order],
        num_marginal=stability.num_marginal[order],
        is_stable=stability.is_stable[order],
        candidate=kept,
        basin=basin[order],
        slow_points=found.rest[slow_kept],
        slow_speed=found.rest_speed[slow_kept],
        slow_inputs=None if held is None else held[slow_kept],
        converged=converged & near,
        candidate_speed=found.speed,
        num_outliers=len(outliers),
        tolerance=limit,
        marginal=marginal,
        convention=convention,
    )


def _unique(
    states: np.ndarray, speed: np.ndarray, inputs: np.ndarray | None, wanted: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to keep, lowest speed first, none within `distance` of a better one; and how many rows each stands for."""
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(speed[rows], kind="stable")]
    if not rows.size:
        return rows, np.zeros(0, int)
    where = states[rows] if inputs is None else np.concatenate([states[rows], inputs[rows]], axis=1)
    neighbours = KDTree(where).query_ball_point(where, distance)
    owner = np.full(len(rows), -1)
    for index, close in enumerate(neighbours):
        if owner[index] < 0:
            free = np.asarray(close)[owner[close] < 0]
            owner[free] = index
    kept, counts = np.unique(owner, return_counts=True)
    return rows[kept], counts


def _eigenvalues(
    step: StepFunction, points: np.ndarray, inputs: np.ndarray | None, convention: Convention
) -> Complex[np.ndarray, "K N"]:
    if not len(points):
        return np.zeros((0, points.shape[1]), complex)
    values = np.linalg.eigvals(np.asarray(jacobian(step, points, inputs))).astype(complex)
    size = np.abs(values) if convention == "discrete" else np.real(values)
    return np.take_along_axis(values, np.argsort(-size, axis=1, kind="stable"), axis=1)


def _tolerance(tolerance: Scalar | None, dtype: Any) -> float:
    if tolerance is None:
        return 1e-16 if dtype == jnp.float64 else 1e-11
    check_scalar("tolerance", tolerance, minimum=0.0, strict=True)
    return float(tolerance)
