"""Trials far outside the rest, found by robust distances and set aside."""

import warnings
from collections.abc import Sequence

import numpy as np
import scipy.stats
from jaxtyping import Array, Bool, Float

from fisherjax._errors import is_traced, require

_START = 0.975  # share of Gaussian trials whose distance from a minimum covariance determinant starts the kept set
_LEVEL = 0.01  # chance that any trial of a Gaussian data set is set aside
_SWEEPS = 30
_SINGULAR = 1e-9


def set_aside(*conditions: Array) -> tuple[list[Bool[np.ndarray, " _"]], str]:
    """Which trials of each condition (trials, units) are kept, and the words for the others in a method's name.

    Raises
    ------
    ValueError
        If responses are traced, of several stimulus parameters, or fewer than three trials per unit.
    """
    require(not is_traced(conditions), "robust needs concrete responses: call this outside of jit, grad and vmap")
    require(all(part.ndim == 2 for part in conditions), "robust takes one stimulus parameter, not several")
    kept = without_outliers([np.asarray(part, np.float64) for part in conditions])
    return kept, f", {sum(int((~part).sum()) for part in kept)} of {sum(map(len, kept))} trials set aside"


def without_outliers(
    conditions: Sequence[Float[np.ndarray, "_ units"]],
) -> list[Bool[np.ndarray, " _"]]:
    """Which trials of each condition are kept: those whose `outlyingness` is at most one."""
    return [part <= 1 for part in outlyingness(conditions)]


def outlyingness(
    conditions: Sequence[Float[np.ndarray, "_ units"]],
) -> list[Float[np.ndarray, " _"]]:
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
        total >= 3 * units + len(conditions),
        f"robust needs three trials per unit, got {total} trials of {units} units",
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
        distances = MinCovDet(random_state=0).fit(deviations).dist_
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
