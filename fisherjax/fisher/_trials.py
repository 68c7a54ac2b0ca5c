"""Trials that are not what an estimate assumes: outliers are set aside, dependent ones count as fewer."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Bool, Float, Int

from fisherjax._arrays import as_labels
from fisherjax._errors import check_flag, check_integer, is_traced, require

from ._moments import PairMoments, degrees_of_freedom, pair_moments

_START = 0.975  # share of Gaussian trials whose distance from a minimum covariance determinant starts the kept set
_LEVEL = 0.01  # chance that any trial of a Gaussian data set is set aside
_SWEEPS = 30
_MOST = 3000  # trials in which the innermost half is looked for: it takes a second for every some thousand
_SINGULAR = 1e-9


def set_aside(robust: Any, *conditions: Array) -> tuple[list[Any], str]:
    """If `robust`, which trials of each condition (trials, units) are kept; and the words for the others in a method.

    Raises
    ------
    TypeError
        If `robust` is neither True nor False.
    ValueError
        If responses are traced, of several stimulus parameters, or fewer than three trials per unit.
    """
    if not check_flag("robust", robust):
        return [slice(None)] * len(conditions), ""
    require(not is_traced(conditions), "robust needs concrete responses: call this outside of jit, grad and vmap")
    require(all(part.ndim == 2 for part in conditions), "robust takes one stimulus parameter, not several")
    kept = [part <= 1 for part in outlyingness([np.asarray(part, np.float64) for part in conditions])]
    return kept, f", {sum(int((~part).sum()) for part in kept)} of {sum(map(len, kept))} trials set aside"


def outlyingness(conditions: Sequence[Float[np.ndarray, "_ units"]]) -> list[Float[np.ndarray, " _"]]:
    """Squared robust distance of each trial from the others, in units of the largest that is still taken for chance.

    The deviations of all trials from their condition's median have one covariance, whose minimum covariance determinant
    says which half is innermost. From there trials are let in, or put out, as long as any passes, or fails, the exact
    test of one more trial against the mean and covariance of those that are in,
    d² (ν − p + 1)/(ν p (1 + 1/T)) ~ F(p, ν − p + 1), at the level 0.01/n: of 100 Gaussian data sets one loses a trial.
    A trial without which a unit would be silent cannot be judged and counts as zero.

    Raises
    ------
    ValueError
        If there are fewer than three trials per unit.

    References
    ----------
    Rousseeuw & Van Driessen (1999), A fast algorithm for the minimum covariance determinant estimator, Technometrics
    41, 212–223; Billor, Hadi & Velleman (2000), BACON, Comput. Statist. Data Anal. 34, 279–298, for letting in.
    """
    units, total = conditions[0].shape[1], sum(map(len, conditions))
    require(
        total >= 3 * units + len(conditions), f"robust needs three trials per unit, got {total} trials of {units} units"
    )
    label = np.repeat(np.arange(len(conditions)), [len(part) for part in conditions])
    raw = np.concatenate(conditions)
    kept, excess = _innermost(conditions), np.zeros(total)
    for _ in range(_SWEEPS):
        excess = _excess(raw, label, kept, len(conditions))
        if np.array_equal(excess <= 1, kept):
            break
        kept = excess <= 1
    return [excess[label == index] for index in range(len(conditions))]


def _innermost(conditions: Sequence[np.ndarray]) -> Bool[np.ndarray, " n"]:
    """Trials near the minimum covariance determinant; all of them where that half has a silent unit (rare spikes)."""
    from sklearn.covariance import MinCovDet  # noqa: PLC0415  slow to import

    deviations = np.concatenate([part - np.median(part, axis=0) for part in conditions])
    if (np.median(np.abs(deviations), axis=0) == 0).any():
        return np.ones(len(deviations), bool)
    deviations = deviations / np.median(np.abs(deviations), axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a singular half, which is looked at here
        some = deviations[:: -(-len(deviations) // max(_MOST, 10 * deviations.shape[1]))]
        distances = MinCovDet(random_state=0).fit(some).mahalanobis(deviations)
    kept = distances <= scipy.stats.chi2.ppf(_START, deviations.shape[1])
    spread = np.linalg.eigvalsh(np.cov(deviations[kept].T).reshape(deviations.shape[1], -1)) if kept.sum() > 1 else [0]
    return kept if spread[0] > _SINGULAR * spread[-1] else np.ones(len(deviations), bool)


def _excess(raw: np.ndarray, label: np.ndarray, kept: np.ndarray, count: int) -> Float[np.ndarray, " n"]:
    """Squared distance of each trial from the kept ones, itself left out of their moments, over its limit."""
    units, sizes = raw.shape[1], np.bincount(label[kept], minlength=count)
    freedom = int(kept.sum()) - count
    if freedom <= units + 2 or sizes.min() < 2:
        return np.zeros(len(raw))
    means = np.stack([raw[kept & (label == index)].mean(axis=0) for index in range(count)])
    centered = raw - means[label]
    values, vectors = np.linalg.eigh(centered[kept].T @ centered[kept] / freedom)
    if values[0] <= _SINGULAR * values[-1]:
        return np.zeros(len(raw))
    square = np.sum((centered @ vectors) ** 2 / values, axis=1)
    size = sizes[label]
    # for a kept trial: the distance that it would have had from the others (Sherman & Morrison)
    shrink = 1 - square * size / (size - 1) / freedom
    own = square * (size / (size - 1)) ** 2 * (freedom - 1) / freedom / np.maximum(shrink, _SINGULAR)
    own = np.where(shrink > _SINGULAR, own, 0)
    tested = np.where(kept, own / (1 + 1 / (size - 1)), square / (1 + 1 / size))
    rest = np.where(kept, freedom - 1, freedom)
    limit = scipy.stats.f.isf(_LEVEL / len(raw), units, rest - units + 1)
    return tested * (rest - units + 1) / (rest * units) / limit


_FEWEST = 3  # blocks per condition
_HALVINGS = 40


class Blocks(NamedTuple):
    """Number of each trial's block, in both conditions; `length` if blocks are runs of that many trials."""

    minus: Int[np.ndarray, " T"]
    plus: Int[np.ndarray, " T"]
    length: int | None

    def taken(self, kept: list[Any]) -> "Blocks":
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


@jax.jit(static_argnums=1)
def _autoregressive(inflation: Array, length: int) -> Array:
    """ρ of a process whose runs of L trials have means with `inflation` times the variance of independent trials."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        within = 1 + 2 * middle / (1 - middle) * (1 - (1 - middle**length) / (length * (1 - middle)))
        return jnp.where(within < inflation, middle, low), jnp.where(within < inflation, high, middle)

    ends = (jnp.full_like(inflation, -0.9), jnp.full_like(inflation, 0.99))
    return jax.lax.fori_loop(0, _HALVINGS, halve, ends)[0]
