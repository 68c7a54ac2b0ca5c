"""Trials that belong together: the effective numbers of trials, for mean responses and for their covariance."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_labels
from fisherjax._errors import check_integer, require

from ._moments import PairMoments, degrees_of_freedom, pair_moments

_FEWEST = 3  # blocks per condition
_HALVINGS = 40


class Blocks(NamedTuple):
    """Number of each trial's block, in both conditions; `length` if blocks are runs of that many trials."""

    minus: Int[np.ndarray, " T"]
    plus: Int[np.ndarray, " T"]
    length: int | None

    def taken(self, kept: list[np.ndarray]) -> "Blocks":
        """Blocks of the trials that are kept, numbered anew."""
        minus, plus = (np.unique(part[keep], return_inverse=True)[1] for part, keep in zip(self[:2], kept, strict=True))
        return Blocks(minus, plus, self.length)


def as_blocks(blocks: Any, trials: tuple[int, int]) -> Blocks:
    """Blocks from the length of runs of consecutive trials, or from two arrays of labels, a label for each trial.

    Raises
    ------
    ValueError
        If a condition has fewer than three blocks, or labels do not match its trials.
    """
    if isinstance(blocks, list | tuple):
        require(len(blocks) == 2, f"blocks must be a length or labels for each of two conditions, got {len(blocks)}")
        codes = [as_labels("blocks", part, count)[0] for part, count in zip(blocks, trials, strict=True)]
        length = None
    else:
        length = check_integer("blocks", blocks, minimum=1)
        codes = [np.minimum(np.arange(count) // length, max(count // length, 1) - 1) for count in trials]
    counts = [len(np.unique(part)) for part in codes]
    require(
        min(counts) >= _FEWEST,
        f"blocks must leave at least {_FEWEST} in each condition, got {counts[0]} and {counts[1]} "
        f"of {trials[0]} and {trials[1]} trials",
    )
    return Blocks(codes[0], codes[1], length)


def effective_moments(minus: Array, plus: Array, step: Array, blocks: Blocks) -> tuple[PairMoments, Array]:
    r"""Moments with the precision of a mean of dependent trials, and the effective degrees of freedom ν.

    A mean of T dependent trials varies as one of T/τ independent ones. With s_b the summed deviations in block b of B,

    .. math::  τ = \frac{1}{pT} \frac{B}{B-1} Σ_b s_b^T S^{-1} s_b

    is known well, because it is an average over p directions. For runs of L trials τ is corrected for correlations
    across their borders, as those of an autoregressive process, whose coefficient ρ = (τ − 1)/(τ + 1) also says what a
    covariance loses, ν → ν (1 − ρ²)/(1 + ρ²). For labeled blocks all pairs of a block are taken as equally correlated.

    References
    ----------
    Flegal & Jones (2010), Batch means and spectral variance estimators in Markov chain Monte Carlo, Ann. Statist. 38;
    Bartlett (1946), On the theoretical specification of autocorrelated time series, J. R. Statist. Soc. Suppl. 8.
    """
    moments, freedom = pair_moments(minus, plus, step), degrees_of_freedom(minus, plus)
    counts = tuple(int(part.max()) + 1 for part in blocks[:2])
    ratio = _between(minus, plus, moments.covariance, jnp.asarray(blocks.minus), jnp.asarray(blocks.plus), counts)
    total = minus.shape[0] + plus.shape[0]
    # S is too small where means follow their trials: E S = Σ (n − 2τ)/(n − 2)
    inflation = ratio * total / (freedom + 2 * ratio)
    if blocks.length is None:
        size = total / sum(counts)
        correlation = jnp.clip((inflation - 1) / max(size - 1, 1), 0, 0.99)
        inflation, loss = jnp.maximum(inflation, 1), 1 + (size - 1) * correlation**2
    else:
        correlation = _autoregressive(inflation, blocks.length)
        inflation = (1 + correlation) / (1 - correlation)
        loss = (1 + correlation**2) / (1 - correlation**2)
    effective = (total - 2 * inflation) / loss
    covariance = moments.covariance * freedom / (total - 2 * inflation)
    return PairMoments(moments.slope, covariance, moments.precision / inflation), effective


@jax.jit(static_argnums=5)
def _between(
    minus: Array, plus: Array, covariance: Array, minus_codes: Array, plus_codes: Array, counts: tuple[int, int]
) -> Float[Array, ""]:
    """τ before its corrections."""
    lower = jnp.linalg.cholesky(covariance)
    ratios = []
    for part, codes, count in zip((minus, plus), (minus_codes, plus_codes), counts, strict=True):
        sums = jax.ops.segment_sum(part - jnp.mean(part, axis=0), codes, count)
        white = jax.scipy.linalg.solve_triangular(lower, sums.T, lower=True)
        ratios.append(jnp.sum(white**2) * count / (count - 1) / part.size)
    weights = [1 / len(minus), 1 / len(plus)]  # τ enters through Σ_c τ/T_c
    return (ratios[0] * weights[0] + ratios[1] * weights[1]) / sum(weights)


def _autoregressive(inflation: Array, length: int) -> Array:
    """ρ of a process whose runs of L trials have means with `inflation` times the variance of independent trials."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        within = 1 + 2 * middle / (1 - middle) * (1 - (1 - middle**length) / (length * (1 - middle)))
        return jnp.where(within < inflation, middle, low), jnp.where(within < inflation, high, middle)

    ends = (jnp.full_like(inflation, -0.9), jnp.full_like(inflation, 0.99))
    return jax.lax.fori_loop(0, _HALVINGS, halve, ends)[0]
