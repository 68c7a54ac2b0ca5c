"""The search for fixed points itself: Adam, then Newton, then Levenberg–Marquardt for those that are left."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
from jaxtyping import Array, Float

from fisherjax._errors import check_integer
from fisherjax._types import Scalar

from ._step import Convention, StepFunction, residual

_MARQUARDT_BLOCK = 64  # stubborn candidates are polished in blocks of one size, so that one program serves all


class SearchSettings(NamedTuple):
    adam_steps: int
    learning_rate: float
    newton_steps: int
    marquardt_steps: int
    convention: Convention


class Arrivals(NamedTuple):
    """Where every candidate ended, and where q came to rest near the candidates: what may be a slow point."""

    states: Float[np.ndarray, "K N"]
    speed: Float[np.ndarray, " K"]
    rest: Float[np.ndarray, "K N"]
    rest_speed: Float[np.ndarray, " K"]


class Cloud(NamedTuple):
    """Where the candidates are, and what is near."""

    centre: Float[np.ndarray, " N"]
    farthest: float
    unique_distance: float

    def near(self, states: np.ndarray) -> np.ndarray:
        """Whether states are not outliers. Far out, x + f(x) − x rounds to zero whatever f is."""
        return np.linalg.norm(states - self.centre, axis=1) <= self.farthest


def cloud_of(candidates: np.ndarray, outlier_factor: float, unique_distance: Scalar | None) -> Cloud:
    centre = candidates.mean(axis=0)
    reach = np.linalg.norm(candidates - centre, axis=1)
    spread = float(np.sqrt(np.mean(reach**2)))
    # candidates in one small cluster say little about how far a fixed point may be: their length says more
    length = float(np.sqrt(np.mean(np.sum(candidates**2, axis=1))))
    scale = max(float(reach.mean()), length)
    distance = (1e-3 * spread if spread > 0 else 1e-6) if unique_distance is None else float(unique_distance)
    return Cloud(centre, outlier_factor * scale if scale > 0 else np.inf, distance)


def search(
    step: StepFunction,
    states: Array,
    inputs: Array | None,
    settings: SearchSettings,
    limit: float,
    cloud: Cloud,
    batch_size: int | None,
) -> Arrivals:
    size = len(states) if batch_size is None else check_integer("batch_size", batch_size, minimum=1)
    parts = []
    for start in range(0, len(states), size):
        chosen = slice(start, start + size)
        part = _first_pass(step, states[chosen], None if inputs is None else inputs[chosen], settings)
        parts.append(jax.tree.map(np.array, part))
    found = Arrivals(*(np.concatenate(column) for column in zip(*parts, strict=True)))
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
        slower = (speed < found.rest_speed[rows]) & cloud.near(moved)
        found.rest[rows[slower]] = moved[slower]
        found.rest_speed[rows[slower]] = speed[slower]
    return found


@eqx.filter_jit
def _first_pass(step: StepFunction, states: Array, inputs: Array | None, settings: SearchSettings) -> Arrivals:
    rest, rest_speed = _descend(step, states, inputs, settings)
    moved, speed = _polish(step, rest, inputs, settings, newton=True)
    better = speed < rest_speed
    final = jnp.where(better[:, None], moved, rest)
    return Arrivals(final, jnp.where(better, speed, rest_speed), rest, rest_speed)  # pyright: ignore[reportArgumentType]


def _speeds(step: StepFunction, states: Array, inputs: Array | None, convention: Convention) -> Array:
    """Q of every state."""

    def one(state: Array, given: Any) -> Array:
        return jnp.sum(residual(step, state, given, convention) ** 2) / 2

    return jax.vmap(one, in_axes=(0, None if inputs is None else 0))(states, inputs)


def _descend(
    step: StepFunction, states: Array, inputs: Array | None, settings: SearchSettings
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
    step: StepFunction, states: Array, inputs: Array | None, settings: SearchSettings, *, newton: bool
) -> tuple[Float[Array, "K N"], Float[Array, " K"]]:
    """Newton's or Levenberg and Marquardt's method from every state; +∞ for the q of one that left the numbers."""
    precision = float(jnp.finfo(states.dtype).eps) * 4

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
