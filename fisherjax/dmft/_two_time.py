"""Two-time dynamic mean-field theory from an initial condition, for one network or several replicas of it.

Between grid points the recurrent input η = J φ(x) is taken as linear in time, so that with h the step

    x_{n+1} = e^{−h} x_n + b₀ η_n + b₁ η_{n+1} + ν_n,   b₁ = 1 − (1 − e^{−h})/h,   b₀ = 1 − e^{−h} − b₁,

a Gaussian process whose covariances follow row by row: η has covariance Σ_q G_pq E[φφ], and ν_n the exact variance
σ² (1 − e^{−2h}). The error is of second order in h. η_{n+1} depends on what it drives: a few corrections solve for it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_positive, require
from fisherjax._runtime import full_precision
from fisherjax._theory import TwoTimeCorrelation, as_structure, symmetric
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, coarse_nonlinearity

_CORRECTIONS = 2
_LONGEST = 4000  # grid points


class Replicas(NamedTuple):
    """What R replicas with the same weights share and what drives them, on T grid points."""

    steps: Float[Array, " intervals"]
    intensity: Float[Array, "R R P"]
    initial: Float[Array, "R R P"]
    input: Float[Array, "T R"]
    pattern: Float[Array, " P"]


class Rows(NamedTuple):
    """Covariances of time n (replica r) with the times m ≤ n (replica r′); entries beyond n mean nothing."""

    covariance: Float[Array, "T R R P"]
    drive: Float[Array, "T R R P"]
    variance: Float[Array, "T R P"]


@full_precision
def two_time_correlation(
    gain: Scalar | GainMatrix,
    *,
    duration: Scalar,
    initial_variance: Scalar | Float[Array | np.ndarray, " P"],
    noise_std: Scalar | Float[Array | np.ndarray, " P"] = 0.0,
    nonlinearity: NonlinearityLike = "tanh",
    dt: Scalar = 0.05,
) -> TwoTimeCorrelation:
    """Solve (∂_t + 1)(∂_s + 1) Δ_p(t, s) = Σ_q G_pq E[φ(x_t)φ(x_s)]_q + 2 σ_p² δ(t − s) from Δ_p(0, 0).

    The initial states are independent Gaussians of zero mean, independent of the weights. As t and s grow at fixed
    t − s the solution approaches `autocorrelation`. Time and memory grow as (duration/dt)², 400 × 400 points take
    about a second.

    Parameters
    ----------
    gain
        g, or a `GainMatrix`.
    duration
        Last time, in units of the time constant; at most 4000 steps.
    initial_variance
        Δ(0, 0) ≥ 0; one number, or one per population.
    noise_std
        σ, as in `autocorrelation`.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    dt
        Step; the error is of second order in it, about 0.1 % of the variance with 0.05.

    Returns
    -------
    TwoTimeCorrelation, differentiable in gain, noise and initial variance.

    Raises
    ------
    ValueError
        If a number is out of range, or the grid is too long.

    References
    ----------
    Crisanti & Sompolinsky (2018), Path integral approach to random neural networks, Phys. Rev. E 98, 062120.
    """
    # moments to 2e-9, where the step's error is far above that
    phi = coarse_nonlinearity(nonlinearity)
    structure = as_structure(gain, noise_std)
    dtype = structure.total_gain.dtype
    times = time_grid(duration, dt)
    count = structure.total_gain.shape[0]
    start = as_real("initial_variance", initial_variance, "", str(count), dtype=dtype, minimum=0.0)
    replicas = Replicas(
        steps=jnp.asarray(np.diff(times), dtype),
        intensity=structure.intensity[None, None],
        initial=jnp.broadcast_to(start, structure.intensity.shape)[None, None],
        input=jnp.zeros((len(times), 1), dtype),
        pattern=jnp.zeros_like(structure.intensity),
    )
    values = _whole(phi, structure.total_gain, replicas)
    return TwoTimeCorrelation(jnp.asarray(times, dtype), values if isinstance(gain, GainMatrix) else values[..., 0])


def time_grid(duration: Scalar, dt: Scalar) -> np.ndarray:
    """Times 0 … duration in equal steps of at most dt.

    Raises
    ------
    ValueError
        If a number is not positive, or there are more than 4000 steps.
    """
    check_positive(duration=duration, dt=dt)
    count = max(1, int(np.ceil(float(duration) / float(dt) - 1e-9)))
    require(
        count <= _LONGEST,
        f"duration / dt = {count} steps are more than {_LONGEST}: the cost grows with their square; "
        "shorten duration or lengthen dt",
    )
    return np.linspace(0, float(duration), count + 1)


@jax.jit(static_argnums=0)
def _whole(phi: Nonlinearity, total_gain: Array, replicas: Replicas) -> Float[Array, "T T P"]:
    _, rows = covariance_rows(phi, total_gain, replicas, lambda rows, _: rows.covariance[:, 0, 0])
    return symmetric(rows)


@full_precision
def covariance_rows(phi: Nonlinearity, total_gain: Array, replicas: Replicas, keep: object) -> tuple[Rows, Array]:
    """Advance the rows n = 0 … T − 1 of all covariances; stack what `keep(rows, n)` returns of each.

    The part of the state that follows the input directly, θ_r(t) w with w a Gaussian pattern of variance
    `pattern`, is independent of the weights: it is added to the covariances before moments are taken.
    """
    count, replica_count = replicas.input.shape
    populations = len(replicas.pattern)
    decay = jnp.exp(-replicas.steps)
    # a step of no length stands for an instantaneous change of the input
    positive = replicas.steps > 0
    later = jnp.where(positive, 1 - (1 - decay) / jnp.where(positive, replicas.steps, 1), 0)
    earlier = 1 - decay - later
    filter_matrix = _filter(decay, earlier, later)
    each = jnp.arange(replica_count)

    def seen(index: Array, covariance: Array) -> Array:
        direct = replicas.input[index][None, :, None] * replicas.input[:, None, :]
        return covariance + direct[..., None] * replicas.pattern

    def drive(index: Array, covariance: Array, variance: Array) -> Array:
        """Covariance of the recurrent input at `index` with that at all times, [m, r, r′] for x_r(index), x_r′(m)."""
        total = seen(index, covariance)
        own = variance[index][None, :, None, :]
        moments = phi.overlap(*jnp.broadcast_arrays(own, variance[:, None, :, :], total))
        # at equal times and replicas the pair is one variable, and the formula for pairs is singular
        same = phi.second_moment(variance[index])
        moments = moments.at[index, each, each].set(same)
        return moments @ total_gain.T

    def with_variance(index: Array, covariance: Array, variance: Array) -> Array:
        return variance.at[index].set(seen(index, covariance)[index, each, each])

    def advance(rows: Rows, index: Array) -> tuple[Rows, Array]:
        before = index - 1
        a, b0, b1 = decay[before], earlier[before], later[before]
        fresh = replicas.intensity * (1 - a**2)
        past = jnp.tensordot(filter_matrix, rows.drive, axes=1)
        known = jnp.arange(count) < index

        def corrected(_: int | Array, guess: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            _, drive_row, _ = guess
            with_state = jnp.tensordot(filter_matrix, drive_row, axes=1)
            row = a * rows.covariance + b0 * past + b1 * with_state
            # [r, r′] of x_r(n+1) with η_r′(n), then with x_r′(n+1) itself
            crossed = a * past[before].swapaxes(0, 1) + b0 * rows.drive[before] + b1 * drive_row[before]
            own = a * row[before] + b0 * crossed + b1 * with_state[index].swapaxes(0, 1) + fresh
            row = jnp.where(known[:, None, None, None], row, 0).at[index].set(own)
            variance = with_variance(index, row, rows.variance)
            return row, drive(index, row, variance), variance

        shifted = rows.drive.at[index].set(rows.drive[before])
        variance = rows.variance.at[index].set(rows.variance[before])
        guess = (rows.covariance, shifted, variance)
        rows = Rows(*jax.lax.fori_loop(0, 1 + _CORRECTIONS, corrected, guess))
        return rows, keep(rows, index)  # pyright: ignore[reportCallIssue]

    first = jnp.zeros((count, replica_count, replica_count, populations), total_gain.dtype).at[0].set(replicas.initial)
    variance = with_variance(jnp.asarray(0), first, jnp.ones((count, replica_count, populations), total_gain.dtype))
    rows = Rows(first, drive(jnp.asarray(0), first, variance), variance)
    begun = keep(rows, jnp.asarray(0))  # pyright: ignore[reportCallIssue]
    rows, kept = jax.lax.scan(advance, rows, jnp.arange(1, count))
    return rows, jnp.concatenate([begun[None], kept])


def _filter(decay: Array, earlier: Array, later: Array) -> Float[Array, "T T"]:
    """Matrix that takes η at the grid points to the recurrent part of x."""
    count = len(decay) + 1

    def row(before: Array, index: Array) -> tuple[Array, Array]:
        after = (decay[index] * before).at[index].add(earlier[index]).at[index + 1].add(later[index])
        return after, after

    start = jnp.zeros(count, decay.dtype)
    return jnp.concatenate([start[None], jax.lax.scan(row, start, jnp.arange(count - 1))[1]])
