"""Tangent vectors carried along a trajectory, how much they grow, and how many of them vanish exactly."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fisherjax._types import Key

from ._step import System

BLOCKS = 20  # of steps, whose means give the standard error

_LOST = 4  # times the rounding of K vectors, √K ε: below, what is left of a direction is noise
# the largest prime below 2²⁵: 512 products of two residues still fit into 64 bits
_PRIME = 33_554_393
_LARGEST = 512


class Tangents(NamedTuple):
    """Where a trajectory with its tangent vectors is, and what has been added up on the way."""

    step: Int[Array, ""]
    states: Float[Array, "trials N"]
    tangents: Float[Array, "trials N K"]
    sums: Float[Array, "trials blocks K"]  # of ln |R_kk|, with what rounding took off them
    rounding: Float[Array, "trials blocks K"]
    lost: Bool[Array, "trials K"]
    witness: Float[Array, "trials N"]  # the state at which a direction was lost first, and when
    lost_at: Int[Array, " trials"]
    extents: Float[Array, " ends"]  # the largest |x_i| when the average begins and after every block
    coarse: Bool[Array, ""]  # whether there must be fewer steps between decompositions
    finite: Bool[Array, ""]
    smooth: Bool[Array, ""]  # whether the tangent vectors are finite


@eqx.filter_jit
def follow(
    system: System, states: Array, inputs: Any, key: Key, count: int, warm_up: Array, per_block: Array, interval: Array
) -> Tangents:
    """Ln |R_kk| added up over blocks; ends early where numbers leave the floats or the interval is too long.

    Inputs are (T, …), or a tree of such, of which the last holds for all later steps.
    """
    total = warm_up + BLOCKS * per_block

    def push(state: Array, tangents: Array, given: Any) -> tuple[Array, Array]:
        moved, derivative = jax.linearize(lambda x: system(x, given), state)
        return moved, jax.vmap(derivative, in_axes=1, out_axes=1)(tangents)

    def going(run: Tangents) -> Array:
        return (run.step < total) & ~run.coarse & run.finite & run.smooth

    def move(run: Tangents) -> Tangents:
        given = input_at(inputs, run.step)
        states, tangents = jax.vmap(push, in_axes=(0, 0, None))(run.states, run.tangents, given)
        done = run.step + 1
        averaged = run.step >= warm_up
        since = jnp.where(averaged, (run.step - warm_up) % per_block, run.step) + 1
        ends = (done == warm_up) | (averaged & (since == per_block))
        tangents, logs, lost, coarse, smooth = jax.lax.cond(
            ends | (since % interval == 0), _decomposed, _as_they_are, tangents
        )
        block = jnp.maximum(run.step - warm_up, 0) // per_block
        # Kahan's sum: in float32 a million small terms would stop to count
        term = jnp.where(averaged, logs, 0) - run.rounding[:, block]
        raised = run.sums[:, block] + term
        lost = lost & averaged
        first = jnp.any(lost, axis=1) & ~jnp.any(run.lost, axis=1)
        extent = jnp.max(jnp.abs(states))
        place = jnp.where(ends, (done - warm_up) // per_block, BLOCKS + 1)
        return Tangents(
            done,
            states,
            tangents,
            run.sums.at[:, block].set(raised),
            run.rounding.at[:, block].set((raised - run.sums[:, block]) - term),
            run.lost | lost,
            jnp.where(first[:, None], run.states, run.witness),
            jnp.where(first, run.step, run.lost_at),
            run.extents.at[place].set(extent, mode="drop"),
            (coarse | ~smooth) & (interval > 1),
            jnp.all(jnp.isfinite(states)),
            smooth | (interval > 1),
        )

    def first_tangents(key: Key) -> Array:
        return jnp.linalg.qr(jax.random.normal(key, (states.shape[1], count), states.dtype))[0]

    trials, zero = len(states), jnp.zeros((len(states), BLOCKS, count), states.dtype)
    keys = key[None] if trials == 1 else jax.random.split(key, trials)
    extents = jnp.full(BLOCKS + 1, jnp.max(jnp.abs(states)))
    yes, no = jnp.asarray(True), jnp.asarray(False)  # noqa: FBT003
    start = Tangents(
        jnp.zeros((), int), states, jax.vmap(first_tangents)(keys), zero, zero, jnp.zeros((trials, count), bool),
        states, jnp.zeros(trials, int), extents, no, yes, yes,
    )  # fmt: skip
    return jax.lax.while_loop(going, move, start)


def input_at(inputs: Any, time: Array | int) -> Any:
    """The input of a step, the last one where there are no more."""
    return jax.tree.map(lambda stream: stream[jnp.minimum(time, len(stream) - 1)], inputs)


def _decomposed(tangents: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Q, ln |R_kk|, which are lost in rounding, whether any is near it, and whether all are finite."""
    tangents, triangle = jax.vmap(jnp.linalg.qr)(tangents)
    size = jnp.abs(jnp.diagonal(triangle, axis1=1, axis2=2))
    largest, eps = jnp.max(size, axis=1, keepdims=True), float(jnp.finfo(size.dtype).eps)
    lost = ~(size > _LOST * size.shape[1] ** 0.5 * eps * largest)
    # the directions after a lost one are orthogonal to noise
    lost = jnp.cumsum(lost, axis=1) > 0
    logs = jnp.log(jnp.where(lost, 1, size))
    # a direction that is √ε of the largest still has half of its digits; below that the interval must be shorter
    return tangents, logs, lost, jnp.any(~(size >= eps**0.5 * largest)), jnp.all(jnp.isfinite(size))


def _as_they_are(tangents: Array) -> tuple[Array, Array, Array, Array, Array]:
    """The tangent vectors at a step without decomposition."""
    trials, _, count = tangents.shape
    nothing = jnp.zeros((trials, count), bool)
    no, yes = jnp.asarray(False), jnp.asarray(True)  # noqa: FBT003
    return tangents, jnp.zeros((trials, count), tangents.dtype), nothing, no, yes


def surviving(system: System, run: Tangents, inputs: Any, first: int) -> int:
    """How many directions the Jacobians do not take to zero exactly, from where the first was lost."""
    size = run.states.shape[1]
    if size > _LARGEST:
        return size
    rank = size
    for after in product_ranks(_slopes(system, run, inputs)):
        before, rank = rank, after
        if rank <= first or rank == before:
            break
    return rank


def _slopes(system: System, run: Tangents, inputs: Any) -> Iterator[Float[np.ndarray, "N N"]]:
    """Jacobians from where a direction was lost; the rank of their product can fall N times, as that of a shift."""
    trial = int(np.asarray(run.lost).any(axis=1).argmax())
    state, begin = run.witness[trial], int(run.lost_at[trial])
    for time in range(begin, begin + len(state)):
        state, matrix = _slope(system, state, input_at(inputs, time))
        if not np.isfinite(matrix).all():
            return
        yield np.asarray(matrix, np.float64)


@eqx.filter_jit
def _slope(system: System, state: Array, given: Any) -> tuple[Array, Array]:
    return system(state, given), jax.jacfwd(lambda x: system(x, given))(state)


def product_ranks(matrices: Iterable[Float[np.ndarray, "N N"]]) -> Iterator[int]:
    """Ranks of M₁, M₂ M₁, M₃ M₂ M₁, …, with every entry taken as the rational number that its float is.

    A float is an integer times a power of two, so that the product can be formed modulo a prime without rounding.
    The rank modulo a prime is the rank over the rational numbers unless the prime happens to divide a minor, one
    chance in some 10⁷.
    """
    total: Int[np.ndarray, "N N"] | None = None
    for matrix in matrices:
        residues = _residues(matrix)
        total = residues if total is None else residues @ total % _PRIME
        yield _rank(total)


def _residues(matrix: Float[np.ndarray, "N N"]) -> Int[np.ndarray, "N N"]:
    fraction, exponent = np.frexp(matrix.astype(np.float64))
    whole = (fraction * 2.0**53).astype(np.int64) % _PRIME
    powers, place = np.unique(exponent, return_inverse=True)
    scale = np.array([pow(2, int(power) - 53, _PRIME) for power in powers], np.int64)
    return whole * scale[place.reshape(whole.shape)] % _PRIME


def _rank(matrix: Int[np.ndarray, "N N"]) -> int:
    """Gaussian elimination modulo the prime."""
    rows, rank = matrix.copy(), 0
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(rows[rank:, column])
        if not pivots.size:
            continue
        pivot = rank + int(pivots[0])
        rows[[rank, pivot]] = rows[[pivot, rank]]
        rows[rank] = rows[rank] * pow(int(rows[rank, column]), -1, _PRIME) % _PRIME
        below = rows[rank + 1 :]
        rows[rank + 1 :] = (below - below[:, column : column + 1] * rows[rank]) % _PRIME
        rank += 1
        if rank == len(rows):
            break
    return rank
