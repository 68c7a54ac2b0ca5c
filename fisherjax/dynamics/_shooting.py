"""Periodic orbits of a flow by shooting: a state and a time after which it is the same."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from jaxtyping import Array, Float

from ._cycles import Cycles, CycleSettings, merged
from ._search import cloud_of, merging_distances, speed_limit
from ._stability import growth_order
from ._step import RungeKuttaStep, Setting, System

_POINTS = 120  # of an orbit
_WITHIN = 3.0  # times the guess of a period, or a share of it, is sought first
_MOST_TURNS = 6  # more turns than this in the time found are not looked for
_RETURNED = 1e-4  # of the extent of the way: so near to its start it has come around
_CLOSE = 0.25  # of the chord between two points of an orbit, which is straighter than that


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
    along = np.argmin(np.abs(values - 1), axis=1)
    others = values[np.arange(values.shape[1]) != along[:, None]].reshape(len(kept), values.shape[1] - 1)
    return Cycles(
        orbits=paths[kept],
        period=shots.times[kept],
        period_error=np.abs(shots.times[kept] - shots.coarse_times[kept]) / (2**4 - 1),
        multipliers=np.take_along_axis(others, growth_order(others, is_flow=False), axis=1),
        trivial=values[np.arange(len(kept)), along],
        speed=shots.speed[kept],
        candidate=kept,
        basin=np.array([np.sum(owner == one) for one in kept], int),
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

    def one(state: Array, guess: Array, given: Any) -> tuple[Array, ...]:
        aim = _Aim(system, given, num_steps // 4)
        state, time = aim.solved(state, guess, optimistix.LevenbergMarquardt, marquardt_steps, within=_WITHIN)
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
        return jax.vmap(one, in_axes=(0, 0, None if inputs is None else 0))(states, guess, inputs)


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
            return time * (1 + unknown if within is None else within ** jnp.tanh(unknown))

        def vanishing(unknown: Array, _: None) -> Array:
            moved = unknown[:-1]
            gap = self.flown(moved, timed(unknown[-1]))[0] - moved
            return jnp.append(gap, across @ (moved - state))

        solve: Any = optimistix.root_find
        start = jnp.append(state, jnp.zeros((), state.dtype))
        found = solve(vanishing, method(tolerance, tolerance), start, max_steps=max_steps, throw=False).value
        return found[:-1], timed(found[-1])

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

    def same(one: int, other: int) -> bool:
        if abs(shots.times[one] - shots.times[other]) > slack[one]:
            return False
        at_one_input = inputs is None or np.array_equal(inputs[one], inputs[other])
        return at_one_input and _is_on(np.asarray(shots.states[one]), np.asarray(shots.states[other, 0]), distance)

    return same


def _is_on(path: Float[np.ndarray, "P N"], point: Float[np.ndarray, " N"], distance: float) -> bool:
    """Whether a point lies on a closed line that is drawn by its chords."""
    chords, away = np.roll(path, -1, axis=0) - path, point - path
    squares = np.sum(chords**2, axis=1)
    share = np.clip(np.sum(away * chords, axis=1) / np.where(squares > 0, squares, 1), 0, 1)
    gaps = np.linalg.norm(away - share[:, None] * chords, axis=1)
    nearest = int(np.argmin(gaps))
    return bool(gaps[nearest] <= max(distance, _CLOSE * squares[nearest] ** 0.5))
