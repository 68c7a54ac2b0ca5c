"""Periodic orbits found: of a map as fixed points of its iterates, of a flow by shooting, a state and its period."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from jaxtyping import Array, Complex, Float, Int

from fisherjax._types import Scalar

from ._fixed_points import find_fixed_points
from ._modes import growth_order
from ._search import cloud_of, merging_distances, speed_limit
from ._step import RungeKuttaStep, Setting, System

_POINTS = 120  # of an orbit
_WITHIN = 3.0  # times the guess of a period, or a share of it, is sought first
_MOST_TURNS = 6  # more turns than this in the time found are not looked for
_RETURNED = 1e-4  # of the extent of the way: so near to its start it has come around
_CLOSE = 0.25  # of the chord between two points of an orbit, which is straighter than that


class CycleSettings(NamedTuple):
    tolerance: Scalar | None
    unique_distance: Scalar | None
    newton_steps: int
    marquardt_steps: int
    batch_size: int | None


class Cycles(NamedTuple):
    """Periodic orbits as `PeriodicOrbits` has them, in no order."""

    orbits: Float[np.ndarray, "K P N"]
    period: Float[np.ndarray, " K"]
    period_error: Float[np.ndarray, " K"]
    multipliers: Complex[np.ndarray, "K M"]
    trivial: Complex[np.ndarray, " K"] | None
    speed: Float[np.ndarray, " K"]
    candidate: Int[np.ndarray, " K"]
    basin: Int[np.ndarray, " K"]
    num_lower: int
    unique_distance: float


def cycles_of_map(setting: Setting, period: int, settings: CycleSettings) -> Cycles:
    """Orbits of this period, no smaller one, with the states in the order of the map."""
    system, states, inputs, _ = setting
    count = len(states)
    shape = None if inputs is None else inputs.shape[1:]
    iterated = _Iterated(system, period, shape)
    flat = None if inputs is None else inputs.reshape(count, -1)
    fixed = find_fixed_points(iterated, states, flat, **settings._asdict(), adam_steps=0)
    held = None if fixed.inputs is None else jnp.asarray(fixed.inputs)
    paths = np.asarray(_paths(iterated, jnp.asarray(fixed.points), held))
    returns = [step for step in range(1, period) if period % step == 0]
    apart = np.linalg.norm(paths[:, returns] - paths[:, :1], axis=2) > fixed.unique_distance
    proper = np.flatnonzero(apart.all(axis=1))
    owner = merged(proper, lambda row, other: _shares_a_point(paths, fixed.inputs, row, other, fixed.unique_distance))
    kept = np.unique(owner)
    first = np.argmin(paths[kept, :, 0], axis=1)
    turned = (first[:, None] + np.arange(period)) % period
    return Cycles(
        orbits=np.take_along_axis(paths[kept], turned[:, :, None], axis=1),
        period=np.full(len(kept), float(period)),
        period_error=np.zeros(len(kept)),
        multipliers=fixed.eigenvalues[kept],
        trivial=None,
        speed=fixed.speed[kept],
        candidate=fixed.candidate[kept],
        basin=np.array([fixed.basin[proper[owner == row]].sum() for row in kept], int),
        num_lower=int(fixed.basin.sum() - fixed.basin[proper].sum()),
        unique_distance=fixed.unique_distance,
    )


def merged(rows: Int[np.ndarray, " M"], same: Callable[[int, int], bool]) -> Int[np.ndarray, " M"]:
    """For each row the first of those before it that is the same orbit, or itself."""
    owner: list[int] = []
    for row in rows.tolist():
        owner.append(next((earlier for earlier in dict.fromkeys(owner) if same(earlier, row)), row))
    return np.asarray(owner, int)


class _Iterated(eqx.Module):
    """Fᵖ, with inputs as vectors."""

    system: System
    period: int = eqx.field(static=True)
    input_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __call__(self, state: Array, *inputs: Array) -> Array:
        return self.path(state, *inputs)[0]

    def path(self, state: Array, *inputs: Array) -> tuple[Array, Array]:
        """Fᵖ(x), and x, F(x), …, Fᵖ⁻¹(x)."""
        given = inputs[0].reshape(self.input_shape) if inputs else None
        return jax.lax.scan(lambda x, _: (self.system(x, given), x), state, length=self.period)


@eqx.filter_jit
def _paths(iterated: _Iterated, points: Array, inputs: Array | None) -> Float[Array, "K p N"]:
    if inputs is None:
        return jax.vmap(lambda x: iterated.path(x)[1])(points)
    return jax.vmap(lambda x, u: iterated.path(x, u)[1])(points, inputs)


def _shares_a_point(paths: np.ndarray, inputs: np.ndarray | None, row: int, other: int, distance: float) -> bool:
    """Whether the other orbit begins on this one, at the same input."""
    gaps = np.linalg.norm(paths[row] - paths[other, 0], axis=1)
    return bool(gaps.min() <= distance) and (inputs is None or np.array_equal(inputs[row], inputs[other]))


class _Shots(NamedTuple):
    """Where shooting ended: states after a time, which are to be the same, and how they depend on the first."""

    states: Float[np.ndarray, "K P N"]
    times: Float[np.ndarray, " K"]
    coarse_times: Float[np.ndarray, " K"]  # with half as many integration steps
    speed: Float[np.ndarray, " K"]
    monodromy: Float[np.ndarray, "K N N"]


def cycles_of_flow(setting: Setting, period: float, settings: CycleSettings, num_steps: int) -> Cycles:
    """Orbits whose period is found with them, with states at equal times."""
    system, states, inputs, _ = setting
    size, parts = settings.batch_size or len(states), []
    for start in range(0, len(states), size):
        chosen = slice(start, start + size)
        guess = jnp.full(len(states[chosen]), period, states.dtype)
        held = None if inputs is None else inputs[chosen]
        part = _shoot(system, states[chosen], guess, held, settings.newton_steps, settings.marquardt_steps, num_steps)
        parts.append(jax.tree.map(np.asarray, part))
    shots = _Shots(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    paths, begun = shots.states, np.asarray(states)
    eps, limit = float(np.finfo(begun.dtype).eps), speed_limit(settings.tolerance, begun.dtype)
    arrived = shots.speed <= limit.of(np.linalg.norm(paths[:, 0], axis=1), eps)
    distance = settings.unique_distance
    if distance is None:
        distance = merging_distances(paths[arrived, 0], begun, cloud_of(begun, 1.0, eps), limit)[0]
    extents = np.linalg.norm(paths - paths[:, :1], axis=2).max(axis=1)
    moving = arrived & (extents > float(distance))
    held = None if inputs is None else np.asarray(inputs)
    rows = np.flatnonzero(moving)
    rows = rows[np.argsort(shots.speed[rows], kind="stable")]
    owner = merged(rows, _same(shots, held, float(distance)))
    kept = np.unique(owner)
    values = np.linalg.eigvals(shots.monodromy[kept]).astype(complex)
    # a shift along the orbit comes back as it was: the multiplier nearest to 1 is that of the direction of the flow
    along = np.argmin(np.abs(values - 1), axis=1)
    others = values[np.arange(values.shape[1]) != along[:, None]].reshape(len(kept), values.shape[1] - 1)
    # the method is of order four: half the steps make 2⁴ times the error, and the two runs differ by 2⁴ − 1 errors
    return Cycles(
        orbits=paths[kept],
        period=shots.times[kept],
        period_error=np.abs(shots.times[kept] - shots.coarse_times[kept]) / (2**4 - 1),
        multipliers=np.take_along_axis(others, growth_order(others, is_flow=False), axis=1),
        trivial=values[np.arange(len(kept)), along],
        speed=shots.speed[kept],
        candidate=kept,
        basin=np.array([np.sum(owner == row) for row in kept], int),
        num_lower=int(np.sum(arrived & ~moving)),
        unique_distance=float(distance),
    )


@eqx.filter_jit
def _shoot(
    system: System,
    states: Array,
    guess: Array,
    inputs: Array | None,
    newton_steps: int,
    marquardt_steps: int,
    num_steps: int,
) -> tuple[Array, ...]:
    """Aim with few integration steps, count the turns, then solve with half of them and with all."""

    def shot(state: Array, guess: Array, given: Any) -> tuple[Array, ...]:
        aim = _Aim(system, given, num_steps // 4)
        state, time = aim.solved(state, guess, optimistix.LevenbergMarquardt, marquardt_steps, within=_WITHIN)
        # a guess of several periods finds the orbit gone round several times
        time = time / aim.turns(state, time)
        state, coarse = _Aim(system, given, num_steps // 2).solved(state, time, optimistix.Newton, newton_steps)
        aim = _Aim(system, given, num_steps)
        state, time = aim.solved(state, coarse, optimistix.Newton, newton_steps)
        end, path = aim.flown(state, time)
        speed = jnp.sum((end - state) ** 2) / 2
        monodromy = jax.jacfwd(lambda x: aim.flown(x, time)[0])(state)
        sought = (time > 0) & (time <= _WITHIN * guess)
        finite = jnp.isfinite(speed) & jnp.all(jnp.isfinite(monodromy)) & sought
        speed, monodromy = jnp.where(finite, speed, jnp.inf), jnp.where(finite, monodromy, 0)
        return path[:: num_steps // _POINTS], time, coarse, speed, monodromy

    with jax.numpy_dtype_promotion("standard"):
        return jax.vmap(shot, in_axes=(0, 0, None if inputs is None else 0))(states, guess, inputs)


class _Aim(eqx.Module):
    """A flow under an input, integrated over a time in a number of steps."""

    system: System
    inputs: Array | None
    num_steps: int = eqx.field(static=True)

    def flown(self, state: Array, time: Array) -> tuple[Array, Array]:
        """The state a time later, and those on the way."""
        step = RungeKuttaStep(self.system, time / self.num_steps)
        return jax.lax.scan(lambda x, _: (step(x, self.inputs), x), state, length=self.num_steps)

    def solved(
        self, state: Array, time: Array, method: Any, max_steps: int, within: float | None = None
    ) -> tuple[Array, Array]:
        """The state and the time for which the flow comes back, in the plane across the flow at the given state.

        The time stays `within` a factor of the one given, if that is said.
        """
        tolerance = float(jnp.finfo(state.dtype).eps) ** 0.75  # the last step is quadratically better
        across = self.system(state, self.inputs)
        across = across / jnp.where(jnp.any(across != 0), jnp.linalg.norm(across), 1)

        def timed(unknown: Array) -> Array:
            # a time that is free runs away to zero, after which every state is the same
            return time * (1 + unknown if within is None else within ** jnp.tanh(unknown))

        def vanishing(unknown: Array, _: None) -> Array:
            moved = unknown[:-1]
            gap = self.flown(moved, timed(unknown[-1]))[0] - moved
            return jnp.append(gap, across @ (moved - state))

        solve: Any = optimistix.root_find
        start = jnp.append(state, jnp.zeros((), state.dtype))
        solution = solve(vanishing, method(tolerance, tolerance), start, max_steps=max_steps, throw=False).value
        return solution[:-1], timed(solution[-1])

    def turns(self, state: Array, time: Array) -> Array:
        """How many times the flow has come around: the largest number of equal parts of the time that all return."""
        path = self.flown(state, time)[1]
        away = jnp.linalg.norm(path - state, axis=1)
        numbers = [count for count in range(1, _MOST_TURNS + 1) if self.num_steps % count == 0]
        back = jnp.array([away[self.num_steps // count] if count > 1 else 0.0 for count in numbers])
        return jnp.max(jnp.where(back <= _RETURNED * jnp.max(away), jnp.array(numbers), 1))


def _same(shots: _Shots, inputs: np.ndarray | None, distance: float) -> Callable[[int, int], bool]:
    """Whether two orbits are one: as long, at the same input, and the second begins on the first."""
    rounding = float(np.finfo(shots.times.dtype).eps) ** 0.5
    slack = rounding * shots.times + np.abs(shots.times - shots.coarse_times)

    def same(row: int, other: int) -> bool:
        if abs(shots.times[row] - shots.times[other]) > slack[row]:
            return False
        at_one_input = inputs is None or np.array_equal(inputs[row], inputs[other])
        return at_one_input and _is_on(np.asarray(shots.states[row]), np.asarray(shots.states[other, 0]), distance)

    return same


def _is_on(path: Float[np.ndarray, "P N"], point: Float[np.ndarray, " N"], distance: float) -> bool:
    """Whether a point lies on a closed line that is drawn by its chords."""
    chords, away = np.roll(path, -1, axis=0) - path, point - path
    squares = np.sum(chords**2, axis=1)
    share = np.clip(np.sum(away * chords, axis=1) / np.where(squares > 0, squares, 1), 0, 1)
    gaps = np.linalg.norm(away - share[:, None] * chords, axis=1)
    nearest = int(np.argmin(gaps))
    return bool(gaps[nearest] <= max(distance, _CLOSE * squares[nearest] ** 0.5))
