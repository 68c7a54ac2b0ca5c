"""Periodic orbits of a map: fixed points of its iterates that are not of a smaller period."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from fisherjax._types import Scalar

from ._fixed_points import find_fixed_points
from ._step import Setting, System


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
    found = find_fixed_points(iterated, states, flat, **settings._asdict(), adam_steps=0)
    held = None if found.inputs is None else jnp.asarray(found.inputs)
    paths = np.asarray(_paths(iterated, jnp.asarray(found.points), held))
    returns = [step for step in range(1, period) if period % step == 0]
    apart = np.linalg.norm(paths[:, returns] - paths[:, :1], axis=2) > found.unique_distance
    proper = np.flatnonzero(apart.all(axis=1))
    owner = merged(proper, lambda one, other: _shares_a_point(paths, found.inputs, one, other, found.unique_distance))
    kept = np.unique(owner)
    first = np.argmin(paths[kept, :, 0], axis=1)
    turned = (first[:, None] + np.arange(period)) % period
    return Cycles(
        orbits=np.take_along_axis(paths[kept], turned[:, :, None], axis=1),
        period=np.full(len(kept), float(period)),
        period_error=np.zeros(len(kept)),
        multipliers=found.eigenvalues[kept],
        trivial=None,
        speed=found.speed[kept],
        candidate=found.candidate[kept],
        basin=np.array([found.basin[proper[owner == one]].sum() for one in kept], int),
        num_lower=int(found.basin.sum() - found.basin[proper].sum()),
        unique_distance=found.unique_distance,
    )


def merged(rows: Int[np.ndarray, " M"], same: Callable[[int, int], bool]) -> Int[np.ndarray, " M"]:
    """For each row the first of those before it that is the same orbit, or itself."""
    owner: list[int] = []
    for row in rows.tolist():
        owner.append(next((one for one in dict.fromkeys(owner) if same(one, row)), row))
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


def _shares_a_point(paths: np.ndarray, inputs: np.ndarray | None, one: int, other: int, distance: float) -> bool:
    """Whether the other orbit begins on this one, at the same input."""
    gaps = np.linalg.norm(paths[one] - paths[other, 0], axis=1)
    return bool(gaps.min() <= distance) and (inputs is None or np.array_equal(inputs[one], inputs[other]))
