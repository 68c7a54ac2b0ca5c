"""Overlaps between the states that many initial patterns lead to: the theory of geometry."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_not_negative
from fisherjax._runtime import full_precision
from fisherjax._theory import as_structure
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

_PAIRS_AT_ONCE = 100_000


class PatternOverlaps(Record):
    """Second moments, per population and time, of the states that S patterns evolve to.

    `variance` is the second moment of one noisy state; `overlap` holds ⟨x_a⟩·⟨x_b⟩ / N_p between the
    noise-averaged states of all pairs (its diagonal: each pattern with an independent replica of itself).
    """

    times: Float[Array, " T"]
    variance: Float[Array, "T P S"]
    overlap: Float[Array, "T P S S"]


@full_precision
def pattern_overlaps(
    gain_matrix: GainMatrix,
    initial_overlap: ArrayLike,
    *,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: NonlinearityLike = "tanh",
) -> PatternOverlaps:
    """Follow all pairs of patterns: C_ab⁺ = G E[φ(x_a) φ(x_b)], each pair with its own 2 × 2 covariance.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    initial_overlap
        (P, S, S), mean over the units of each population of φ(x_a) φ(x_b) in the initial patterns.
    noise_std
        σ, at least 0.
    num_steps
        Number of steps T.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Raises
    ------
    ValueError
        If `initial_overlap` has the wrong shape or is not finite.
    """
    phi, start, noise = _checked(gain_matrix, initial_overlap, noise_std, nonlinearity)
    num_steps = check_integer("num_steps", num_steps, minimum=1)

    variances, overlaps = _all_steps(gain_matrix, noise, phi, _first(gain_matrix, noise, start), num_steps)
    times = jnp.arange(1, num_steps + 1, dtype=start.dtype)
    return PatternOverlaps(times, variances, _as_matrices(overlaps, start.shape[1]))


def overlap_steps(
    gain_matrix: GainMatrix,
    initial_overlap: ArrayLike,
    *,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: NonlinearityLike = "tanh",
) -> Iterator[tuple[Float[Array, "P S"], Float[Array, "P S S"]]]:
    """Variance and overlap of `pattern_overlaps` one time after the other, for patterns too many to keep all times.

    Parameters and errors are those of `pattern_overlaps`. The next step is on its way while the caller works.
    """
    # not in the generator, which would check only when the first step is asked for
    phi, start, noise = _checked(gain_matrix, initial_overlap, noise_std, nonlinearity)
    return _stepped(gain_matrix, phi, start, noise, check_integer("num_steps", num_steps, minimum=1))


def _stepped(
    gain_matrix: GainMatrix, phi: Nonlinearity, start: Array, noise: Array, count: int
) -> Iterator[tuple[Float[Array, "P S"], Float[Array, "P S S"]]]:
    pairs = _first(gain_matrix, noise, start)
    for step in range(count):
        following = _jitted_step(gain_matrix, noise, phi, pairs) if step + 1 < count else pairs
        yield pairs.variance, _as_matrices(pairs.overlap, start.shape[1])
        pairs = following


class _Pairs(NamedTuple):
    variance: Float[Array, "P S"]
    overlap: Float[Array, "P pairs"]  # the diagonal included


def _checked(
    gain_matrix: GainMatrix, initial_overlap: ArrayLike, noise_std: Scalar, nonlinearity: NonlinearityLike
) -> tuple[Nonlinearity, Float[Array, "P S S"], Array]:
    phi = as_nonlinearity(nonlinearity)
    check_not_negative(noise_std=noise_std)
    structure = as_structure(check_gain_matrix(gain_matrix), noise_std)
    axes, dtype = f"{gain_matrix.num_populations} patterns patterns", structure.total_gain.dtype
    start = as_real("initial_overlap", initial_overlap, axes, dtype=dtype)
    return phi, start, structure.intensity[0]


@jax.jit
def _first(gain_matrix: GainMatrix, noise: Array, start: Array) -> _Pairs:
    rows, columns = np.triu_indices(start.shape[1])
    overlap = gain_matrix.variance_gain @ start[:, rows, columns]
    return _Pairs(overlap[:, np.flatnonzero(rows == columns)] + noise, overlap)


def _step(gain_matrix: GainMatrix, noise: Array, phi: Nonlinearity, pairs: _Pairs) -> _Pairs:
    rows, columns = np.triu_indices(pairs.variance.shape[1])

    def one_population(population: _Pairs) -> Array:
        triples = (population.variance[rows], population.variance[columns], population.overlap)
        return jax.lax.map(lambda triple: phi.overlap(*triple), triples, batch_size=_PAIRS_AT_ONCE)

    # one population at a time, and not all its pairs: the pairs times the quadrature nodes are the memory
    moments = jax.lax.map(one_population, pairs)
    total_gain = gain_matrix.variance_gain
    return _Pairs(noise + total_gain @ phi.second_moment(pairs.variance), total_gain @ moments)


@jax.jit(static_argnums=1)
def _as_matrices(pairs: Float[Array, "*T P pairs"], stimuli: int) -> Float[Array, "*T P S S"]:
    """Symmetric matrices from their upper triangles, by gathering: a scatter is slow on a CPU."""
    rows, columns = np.triu_indices(stimuli)
    place = np.zeros((stimuli, stimuli), np.int32)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return pairs[..., place]


_jitted_step = jax.jit(_step, static_argnums=2)


@jax.jit(static_argnums=(2, 4))
def _all_steps(gain_matrix: GainMatrix, noise: Array, phi: Nonlinearity, first: _Pairs, num_steps: int) -> _Pairs:
    def step(carry: _Pairs, _: None) -> tuple[_Pairs, _Pairs]:
        return _step(gain_matrix, noise, phi, carry), carry

    return jax.lax.scan(step, first, length=num_steps)[1]
