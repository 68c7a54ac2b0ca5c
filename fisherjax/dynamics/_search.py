"""The search for fixed points itself: Adam, then Newton, then Levenberg–Marquardt for those that are left."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from fisherjax._errors import check_scalar
from fisherjax._runtime import chunk_length
from fisherjax._types import Scalar

from ._step import Setting, System

_ROUNDING = 8  # times ε and the length of a state: what rounding leaves of F(x) − x
_SEEN = 1e-2  # largest rounding of a state, in units of one or of the candidates' scale, in which F(x) − x is seen
# how far Newton's method may go, in units of the residual and of the candidates' spread, before the damped one is asked
_JUMP, _JUMP_SHARE = 10, 0.05
_MARQUARDT_BLOCK = 64  # stubborn candidates are polished in blocks of one size, so that one program serves all
_MATRICES = 8  # of the size of a Jacobian that a candidate takes while it is polished


class SearchSettings(NamedTuple):
    adam_steps: int
    learning_rate: float
    newton_steps: int
    marquardt_steps: int


class Arrivals(NamedTuple):
    """Where every candidate ended, and where q came to rest near the candidates: what may be a slow point."""

    states: Float[np.ndarray, "K N"]
    speed: Float[np.ndarray, " K"]
    rest: Float[np.ndarray, "K N"]
    rest_speed: Float[np.ndarray, " K"]


class Limit(NamedTuple):
    """Largest q of a fixed or slow point: as the user says, or by the size of the state and its float type."""

    value: float
    by_size: bool

    def of(self, lengths: np.ndarray, eps: float) -> np.ndarray:
        """The limit for states of these lengths: less than `value` below a length of one, never below rounding."""
        if not self.by_size:
            return np.full(lengths.shape, self.value)
        # F(x) − x of a short state is short whatever x does, and beside a long one it is no less than rounding
        return np.maximum(self.value * np.minimum(lengths**2, 1), (_ROUNDING * eps * lengths) ** 2 / 2)


def speed_limit(tolerance: Scalar | None, dtype: Any) -> Limit:
    """The limit that `tolerance` sets; by default the one that the float type resolves."""
    return limit_of("tolerance", tolerance, 1e-16 if dtype == jnp.float64 else 1e-11, strict=True)


def limit_of(name: str, tolerance: Scalar | None, usual: float, *, strict: bool) -> Limit:
    """The limit that an argument sets, or the usual one by the size of the state."""
    if tolerance is None:
        return Limit(usual, by_size=True)
    check_scalar(name, tolerance, minimum=0.0, strict=strict)
    return Limit(float(tolerance), by_size=False)


class Cloud(NamedTuple):
    """Where the candidates are, and how far from them a point is no outlier."""

    center: Float[np.ndarray, " N"]
    scale: float
    factor: float
    spread: float
    largest: float  # length beyond which x + f(x) − x rounds to zero whatever f is

    def near(self, states: np.ndarray) -> np.ndarray:
        """Whether states are not outliers."""
        lengths = np.linalg.norm(states, axis=1)
        reach = np.linalg.norm(states - self.center, axis=1)
        # candidates that all lie in the origin say nothing of how far is far
        return (lengths <= self.largest) & ((reach <= self.factor * self.scale) | (self.scale == 0))

    def with_arrivals(self, states: np.ndarray) -> "Cloud":
        """The scale is at least what half of all arrivals have: candidates in one point have none of their own."""
        reach = np.linalg.norm(states - self.center, axis=1)[np.linalg.norm(states, axis=1) <= self.largest]
        return self._replace(scale=max(self.scale, float(np.median(reach)))) if reach.size else self


def cloud_of(candidates: np.ndarray, outlier_factor: float, eps: float) -> Cloud:
    center = candidates.mean(axis=0)
    reach = np.linalg.norm(candidates - center, axis=1)
    # candidates in one small cluster say little about how far a fixed point may be: their length says more
    length = float(np.sqrt(np.mean(np.sum(candidates**2, axis=1))))
    scale = max(float(reach.mean()), length)
    return Cloud(center, scale, outlier_factor, float(np.sqrt(np.mean(reach**2))), _SEEN * max(1.0, scale) / eps)


def search(
    setting: Setting, settings: SearchSettings, limit: Limit, cloud: Cloud, batch_size: int | None
) -> tuple[Arrivals, Cloud]:
    """Where candidates arrive, and the cloud with the arrivals."""
    system, states, inputs = setting.system, setting.states, setting.inputs
    size, eps = len(states) if batch_size is None else batch_size, float(jnp.finfo(states.dtype).eps)
    parts = []
    for start in range(0, len(states), size):
        chosen = slice(start, start + size)
        part = _first_pass(system, states[chosen], None if inputs is None else inputs[chosen], settings)
        parts.append(jax.tree.map(np.array, part))
    arrivals = Arrivals(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    begun = np.linalg.norm(np.asarray(states), axis=1)

    def arrived(moved: np.ndarray, speed: np.ndarray, rows: Any = slice(None)) -> np.ndarray:
        return speed <= limit.of(np.maximum(np.linalg.norm(moved, axis=1), begun[rows]), eps)

    cloud = cloud.with_arrivals(arrivals.states[arrived(arrivals.states, arrivals.speed)])
    # where F(x) − x is nearly singular, as along a line of fixed points, Newton's step goes anywhere on it
    moved = np.linalg.norm(arrivals.states - arrivals.rest, axis=1)
    jumped = (moved > _JUMP * np.sqrt(2 * arrivals.rest_speed)) & (moved > _JUMP_SHARE * cloud.spread)
    stubborn = np.flatnonzero(~arrived(arrivals.states, arrivals.speed) | ~cloud.near(arrivals.states) | jumped)
    block = _block(len(stubborn), states)
    for start in range(0, len(stubborn) if settings.marquardt_steps else 0, block):
        rows = stubborn[start : start + block]
        padded = np.resize(rows, block)
        held = None if inputs is None else inputs[padded]
        moved, speed = _polish(system, jnp.asarray(arrivals.rest[padded]), held, settings, newton=False)
        moved, speed = np.asarray(moved)[: len(rows)], np.asarray(speed)[: len(rows)]
        better = (speed < arrivals.speed[rows]) | (arrived(moved, speed, rows) & cloud.near(moved))
        arrivals.states[rows[better]] = moved[better]
        arrivals.speed[rows[better]] = speed[better]
        slower = (speed < arrivals.rest_speed[rows]) & cloud.near(moved)
        arrivals.rest[rows[slower]] = moved[slower]
        arrivals.rest_speed[rows[slower]] = speed[slower]
    return arrivals, cloud.with_arrivals(arrivals.states[arrived(arrivals.states, arrivals.speed)])


def _block(count: int, states: Array) -> int:
    """How many candidates are polished together; on an accelerator, all of which there is room for the matrices."""
    if jax.default_backend() == "cpu":
        return _MARQUARDT_BLOCK
    wanted = 2 ** max(count - 1, _MARQUARDT_BLOCK - 1).bit_length()
    return max(_MARQUARDT_BLOCK, chunk_length(wanted, _MATRICES * states.shape[1] ** 2 * states.dtype.itemsize))


@eqx.filter_jit
def _first_pass(system: System, states: Array, inputs: Array | None, settings: SearchSettings) -> Arrivals:
    rest, rest_speed = _descend(system, states, inputs, settings)
    moved, speed = _polish(system, rest, inputs, settings, newton=True)
    better = speed < rest_speed
    final = jnp.where(better[:, None], moved, rest)
    return Arrivals(final, jnp.where(better, speed, rest_speed), rest, rest_speed)  # pyright: ignore[reportArgumentType]


def _speeds(system: System, states: Array, inputs: Array | None) -> Array:
    """Q of every state."""

    def speed(state: Array, given: Any) -> Array:
        return jnp.sum(system.residual(state, given) ** 2) / 2

    return jax.vmap(speed, in_axes=(0, None if inputs is None else 0))(states, inputs)


def _descend(
    system: System, states: Array, inputs: Array | None, settings: SearchSettings
) -> tuple[Float[Array, "K N"], Float[Array, " K"]]:
    """Adam on the sum of all q, which is Adam on each; keeps the slowest state that each has seen."""
    schedule = optax.cosine_decay_schedule(settings.learning_rate, max(settings.adam_steps, 1))
    optimizer = optax.adam(schedule)

    def total(states: Array) -> tuple[Array, Array]:
        speeds = _speeds(system, states, inputs)
        return jnp.sum(speeds), speeds

    def move(carry: Any, _: None) -> tuple[Any, None]:
        states, moments, best, lowest = carry
        slope, speeds = jax.grad(total, has_aux=True)(states)
        better = speeds < lowest
        best, lowest = jnp.where(better[:, None], states, best), jnp.where(better, speeds, lowest)
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(slope, moments)
        return (states + jnp.asarray(updates).astype(states.dtype), moments, best, lowest), None

    with jax.numpy_dtype_promotion("standard"):
        start = (states, optimizer.init(states), states, _speeds(system, states, inputs))
    (last, _, best, lowest), _ = jax.lax.scan(move, start, length=settings.adam_steps)
    speeds = _speeds(system, last, inputs)
    better = speeds < lowest
    return jnp.where(better[:, None], last, best), jnp.where(better, speeds, lowest)


@eqx.filter_jit
def _polish(
    system: System, states: Array, inputs: Array | None, settings: SearchSettings, *, newton: bool
) -> tuple[Float[Array, "K N"], Float[Array, " K"]]:
    """Newton's or Levenberg and Marquardt's method from every state; +∞ for the q of one that left the numbers."""
    precision = float(jnp.finfo(states.dtype).eps) * 4

    def polished(state: Array, given: Any) -> Array:
        # in units of the state where it is small, so that the solvers' absolute tolerance means the same there
        length = jnp.linalg.norm(state)
        unit = jnp.where((length > 0) & (length < 1), length, 1)

        def vanishing(scaled: Array, _: None) -> Array:
            return system.residual(unit * scaled, given) / unit

        if newton:
            solver = optimistix.Newton(precision, precision)
            search: Any = optimistix.root_find(
                vanishing, solver, state / unit, max_steps=settings.newton_steps, throw=False
            )  # fmt: skip
        else:
            solver = optimistix.LevenbergMarquardt(precision, precision)
            search = optimistix.least_squares(
                vanishing, solver, state / unit, max_steps=settings.marquardt_steps, throw=False
            )  # fmt: skip
        return unit * search.value

    if newton and not settings.newton_steps:
        return states, _speeds(system, states, inputs)
    with jax.numpy_dtype_promotion("standard"):
        moved = jax.vmap(polished, in_axes=(0, None if inputs is None else 0))(states, inputs)
    speeds = _speeds(system, moved, inputs)
    return moved, jnp.where(jnp.isfinite(speeds), speeds, jnp.inf)


def merging_distances(arrived: np.ndarray, begun: np.ndarray, cloud: Cloud, limit: Limit) -> tuple[float, float]:
    """Below which fixed, and slow, points are one: a share of their spread, no less than the limit resolves."""
    lengths = np.maximum(np.linalg.norm(begun, axis=1), 1e-300)
    # a state of speed q lies within √(2q)/|1 − λ| of its fixed point: ten times √(2q) serves modes that are not slow
    resolved = 10 * float(np.sqrt(2 * np.median(limit.of(lengths, float(np.finfo(begun.dtype).eps)))))
    within = cloud.spread
    if len(arrived):
        within = float(np.sqrt(np.mean(np.sum((arrived - arrived.mean(axis=0)) ** 2, axis=1))))
    return max(1e-3 * min(cloud.spread, within), resolved), max(1e-3 * cloud.spread, resolved)


def unique_rows(
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
    # rows are in the order of their speed, so that a cluster belongs to the best of its points
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
