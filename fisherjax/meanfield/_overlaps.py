"""Overlaps between the states that many initial patterns lead to: the theory of geometry."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_finite, check_integer, check_scalar, require
from fisherjax._types import Result, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.numerics import as_nonlinearity


class PatternOverlaps(Result):
    """Second moments, per population and time, of the states that S patterns evolve to.

    `variance` is the second moment of one noisy state; `overlap` holds ⟨x_a⟩·⟨x_b⟩ / N_p between the
    noise-averaged states of all pairs (its diagonal: each pattern with an independent replica of itself).
    """

    times: Float[Array, " T"]
    variance: Float[Array, "T P S"]
    overlap: Float[Array, "T P S S"]


def pattern_overlaps(
    gain_matrix: GainMatrix,
    initial_overlap: object,
    *,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: object = "tanh",
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
    phi = as_nonlinearity(nonlinearity)
    check_scalar("noise_std", noise_std, minimum=0.0)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    start = jnp.asarray(initial_overlap, gain_matrix.gains.dtype)
    count = gain_matrix.num_populations
    require(
        start.ndim == 3 and start.shape[0] == count and start.shape[1] == start.shape[2],
        f"initial_overlap must have shape (P, S, S) with P = {count}, got {start.shape}",
    )
    check_finite("initial_overlap", start)
    noise = jnp.asarray(noise_std, start.dtype) ** 2
    total_gain = gain_matrix.variance_gain
    rows, columns = np.triu_indices(start.shape[1])
    diagonal = np.flatnonzero(rows == columns)

    def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        variance, overlap = carry

        def one_population(population: tuple[Array, Array]) -> Array:
            own, pairs = population
            return phi.overlap(own[rows], own[columns], pairs)

        # one population at a time: the pairs times the quadrature nodes are the memory
        moments = jax.lax.map(one_population, (variance, overlap))
        following = (noise + total_gain @ phi.second_moment(variance), total_gain @ moments)
        return following, carry

    overlap = total_gain @ start[:, rows, columns]
    _, (variances, overlaps) = jax.lax.scan(step, (overlap[:, diagonal] + noise, overlap), length=num_steps)
    full = jnp.zeros((num_steps, count, *start.shape[1:]), start.dtype)
    full = full.at[:, :, rows, columns].set(overlaps).at[:, :, columns, rows].set(overlaps)
    return PatternOverlaps(jnp.arange(1, num_steps + 1, dtype=start.dtype), variances, full)
