"""Correlation of distances before and after, as expected of one network of finite size."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, is_traced, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.meanfield import pattern_overlaps
from fisherjax.meanfield._overlaps import overlap_steps
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike, coarse_nonlinearity

from ._distances import mean_distances, starting_overlap, varies
from ._scatter import Fluctuation, no_fluctuation, scatter_step


class ExpectedDistances(NamedTuple):
    """Expected distances of all pairs, and the variance over pairs that finitely many units add to it."""

    mean: Float[Array, "*T S S"]  # √E d²
    scatter: Float[Array, "*T"]


@full_precision
def predicted_correlation(
    gain_matrix: GainMatrix,
    overlap: Float[Array | np.ndarray, "P S S"],
    original: Float[Array | np.ndarray, "S S"],
    *,
    noise_std: Scalar,
    num_steps: int,
    num_units: int,
    num_trials: int | None = 1,
    nonlinearity: NonlinearityLike = "tanh",
) -> Float[Array, " T"]:
    """Predict the Pearson correlation of distances before and after, as measured in one network of N units.

    Distances scatter about their mean, by the weights and the trial noise of finitely many units, and correlate less:

    ρ = Cov(x, d)/√(Var x (Var d + mean of Var d̂ over pairs)).

    Without that a network could let the signal vanish and still keep its geometry. What scatters alike in all
    distances, or in proportion to the original ones, lowers no correlation and does not count. Differentiable in
    gains, fractions, noise and overlap.

    An approximation to leading order in 1/N. At t = 1 the scatter is exact; later ones inherit it through the
    derivative of the map of overlaps and add their own, as if weights were drawn anew at every step. That is right
    where φ is odd: for tanh at N = 1000 it is within 0.01 of simulation as long as more than 0.6 is left (20 gratings
    or photographs, g = 1.1 and 1.5, 1 and 10 trials, 6 to 8 steps) and within 0.02 where 0.35 is left. Elsewhere it
    is too low after the first step: at t = 6 by 0.04 for relu (0.37 for 0.41), by 0.01 for softplus and logistic.

    Parameters
    ----------
    gain_matrix
        Structure, P populations.
    overlap
        (P, S, S), mean of φ(x_a) φ(x_b) over the units of each population in the initial patterns.
    original
        Distances (S, S) between the stimuli.
    noise_std, num_steps, nonlinearity
        σ, steps T, φ.
    num_units, num_trials
        N, and trials averaged; None for noise-averaged states.

    Returns
    -------
    Correlations at times 1…T; NaN where distances are expected to be all equal, and do not scatter either.

    Raises
    ------
    ValueError
        If shapes do not match, there are fewer than three stimuli, original distances are all equal, or a number is
        out of range.
    TypeError
        If an argument is not of its kind.

    Warns
    -----
    RuntimeWarning
        If a correlation is NaN.
    """
    dtype = check_gain_matrix(gain_matrix).gains.dtype
    count, phi = gain_matrix.num_populations, as_nonlinearity(nonlinearity)
    start = as_real("overlap", overlap, f"{count} stimuli stimuli", dtype=dtype)
    stimuli = start.shape[-1]
    x = as_real("original", original, f"{stimuli} {stimuli}", dtype=dtype, minimum=0.0)
    require(stimuli >= 3, f"overlap must be of at least three stimuli, got {stimuli}")
    pairs = np.triu_indices(stimuli, 1)
    require(is_traced(x) or varies(np.asarray(x)[pairs]), "original must vary: all its distances are equal")
    num_units = check_integer("num_units", num_units, minimum=1)
    if num_trials is not None:
        num_trials = check_integer("num_trials", num_trials, minimum=1)
    moments = pattern_overlaps(gain_matrix, start, noise_std=noise_std, num_steps=num_steps, nonlinearity=phi)
    rho = _correlations(gain_matrix, phi, x, moments.variance, moments.overlap, num_units, num_trials)
    if not is_traced(rho) and bool(jnp.isnan(rho).any()):
        times = ", ".join(str(1 + index) for index in np.flatnonzero(np.isnan(np.asarray(rho))))
        warn(f"distances are expected to be all equal, and correlations NaN, at t = {times}")
    return rho


@jax.jit(static_argnums=(1, 5, 6))
def _correlations(
    gain_matrix: GainMatrix,
    phi: Nonlinearity,
    original: Float[Array, "S S"],
    variance: Float[Array, "T P S"],
    overlap: Float[Array, "T P S S"],
    num_units: int,
    num_trials: int | None,
) -> Float[Array, " T"]:
    @jax.checkpoint  # of the moments' quadrature nothing is kept for the derivative
    def step(before: Fluctuation, moments: tuple[Array, Array]) -> tuple[Fluctuation, Array]:
        scatter, after = scatter_step(gain_matrix, phi, original, before, *moments, num_units, num_trials)
        return after, scatter

    _, scatter = jax.lax.scan(step, no_fluctuation(gain_matrix, len(original)), (variance, overlap))
    mean = mean_distances(gain_matrix, variance, overlap, num_units, num_trials)
    rows, columns = np.triu_indices(len(original), 1)
    x, y = original[rows, columns], mean[:, rows, columns]
    x, y = x - jnp.mean(x), y - jnp.mean(y, axis=1, keepdims=True)
    total = jnp.mean(y**2, axis=1) + scatter
    rounding = 32 * jnp.finfo(mean.dtype).eps * jnp.max(mean, axis=(1, 2))
    there = total > rounding**2
    rho = jnp.mean(x * y, axis=1) / jnp.sqrt(jnp.mean(x**2) * jnp.where(there, total, 1))
    return jnp.where(there, rho, jnp.nan)


@jax.jit(static_argnums=(1, 6, 7))
def expected_step(
    gain_matrix: GainMatrix,
    phi: Nonlinearity,
    original: Float[Array, "S S"],
    before: Fluctuation,
    variance: Float[Array, "P S"],
    overlap: Float[Array, "P S S"],
    num_units: int,
    num_trials: int,
) -> tuple[ExpectedDistances, Fluctuation]:
    """The same one time after the other: distances and their scatter, and the fluctuations one step on."""
    scatter, after = scatter_step(gain_matrix, phi, original, before, variance, overlap, num_units, num_trials)
    mean = mean_distances(gain_matrix, variance, overlap, num_units, num_trials)
    return ExpectedDistances(mean, scatter), after


def predicted_steps(
    gain_matrix: GainMatrix,
    patterns: Array | np.ndarray,
    original: Array,
    noise_std: Scalar,
    num_steps: int,
    num_trials: int,
    nonlinearity: NonlinearityLike,
) -> Iterator[ExpectedDistances]:
    """What the mean-field theory expects at each time."""
    phi = coarse_nonlinearity(nonlinearity)
    start = starting_overlap(gain_matrix, patterns, phi)
    stimuli, units = patterns.shape
    fluctuation, distances = no_fluctuation(gain_matrix, stimuli), original.astype(start.dtype)
    for variance, overlap in overlap_steps(
        gain_matrix, start, noise_std=noise_std, num_steps=num_steps, nonlinearity=phi
    ):
        expected, fluctuation = expected_step(
            gain_matrix, phi, distances, fluctuation, variance, overlap, units, num_trials
        )
        yield expected
