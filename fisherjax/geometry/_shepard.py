"""How well distances are kept: Shepard diagrams, stress, and correlation over time."""

import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import isotonic_regression
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fisherjax._arrays import check_finite
from fisherjax._errors import check_integer, check_key, require
from fisherjax._types import Key, Result

from ._correlations import KINDS, bootstrap_excess, correlations, intervals, reference


class ShepardDiagram(Result):
    """Original against latent distances of all pairs, with the monotone curve that fits them best."""

    original: Float[np.ndarray, " pairs"]
    latent: Float[np.ndarray, " pairs"]
    fitted: Float[np.ndarray, " pairs"]
    """Isotonic (least-squares monotone) fit of the latent distances, in the order of the pairs."""
    pairs: Array | np.ndarray
    """Indices (pairs, 2) of the two stimuli."""
    stress: float
    """Kruskal's stress-1, √(Σ(d − d̂)² / Σd²): 0 where the order of distances is kept."""
    pearson: float
    spearman: float


class DistanceCorrelation(Result):
    """Correlation, over pairs of stimuli, between original distances and those at times 1…T."""

    times: Float[np.ndarray, " T"]
    pearson: Float[np.ndarray, " T"]
    spearman: Float[np.ndarray, " T"]
    kendall: Float[np.ndarray, " T"]
    pearson_interval: Float[np.ndarray, "T 2"] | None = None
    """Bootstrap over stimuli."""
    spearman_interval: Float[np.ndarray, "T 2"] | None = None
    kendall_interval: Float[np.ndarray, "T 2"] | None = None


def shepard(original: object, latent: object) -> ShepardDiagram:
    """Compare distances between stimuli before and after: (S, S) matrices, or vectors over pairs.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than three pairs, values are not finite, or all are equal.

    References
    ----------
    Kruskal (1964), Nonmetric multidimensional scaling, Psychometrika 29, 115–129.
    """
    before, pairs = _condensed("original", original)
    after, _ = _condensed("latent", latent)
    require(
        before.shape == after.shape,
        f"original and latent must match, got {before.size} and {after.size} pairs",
    )
    order = np.lexsort((after, before))
    fitted = np.empty_like(after)
    fitted[order] = monotone_fit(after[order])
    pearson = float(np.corrcoef(before, after)[0, 1])
    spearman = float(np.corrcoef(rankdata(before), rankdata(after))[0, 1])
    return ShepardDiagram(before, after, fitted, pairs, stress(after, fitted), pearson, spearman)


def monotone_fit(latent: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    """Least-squares non-decreasing fit of latent distances in the order of the original ones."""
    return isotonic_regression(latent).x


def stress(latent: Float[np.ndarray, " pairs"], fitted: Float[np.ndarray, " pairs"]) -> float:
    """Kruskal's stress-1 of latent distances; 1 where all of them vanish."""
    total = np.sum(latent**2)
    return float(np.sqrt(np.sum((latent - fitted) ** 2) / total)) if total > 0 else 1.0


def distance_correlation(
    original: object, latent: object, *, key: Key = None, num_resamples: int = 0, confidence: float = 0.95
) -> DistanceCorrelation:
    """Pearson, Spearman and Kendall correlation of distances (S, S) with those at every time, (T, S, S).

    Parameters
    ----------
    original
        Distances between S stimuli, (S, S) or a vector over pairs.
    latent
        Distances between their states, (T, S, S).
    key, num_resamples
        JAX random key and number of bootstrap data sets for the intervals; without them there are none.
        Stimuli are drawn with replacement, not pairs, which are not independent.
    confidence
        Coverage of the intervals.

    Raises
    ------
    ValueError
        If shapes differ, values are not finite, or all distances are equal.
    TypeError
        If resamples are asked for without a JAX key.

    Notes
    -----
    Above 512 pairs Kendall's τ is the τ-b of ranks in 512 bins, which differs from the exact one by about 0.001.
    Resamples are correct to first order in how often a stimulus is drawn.
    """
    before, _ = _condensed("original", original)
    later = np.asarray(latent, np.float64)
    require(later.ndim == 3, f"latent must have shape (T, S, S), got {later.shape}")
    after = [_condensed("latent", step)[0] for step in later]
    require(
        after[0].shape == before.shape,
        f"original and latent must match, got {before.size} and {after[0].size} pairs",
    )
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    known, excess = reference(squareform(before)), None
    if num_resamples:
        excess = bootstrap_excess(num_resamples, later.shape[1], check_key("key", key))
    found = [correlations(known, step, excess) for step in after]
    values = dict(zip(KINDS, np.stack([value for value, _ in found], axis=1), strict=True))
    samples = None if excess is None else np.stack([sample for _, sample in found])
    return DistanceCorrelation(np.arange(1.0, len(later) + 1), **values, **intervals(samples, confidence))


def _condensed(name: str, distances: object) -> tuple[np.ndarray, np.ndarray]:
    """Distances of the pairs i < j as a vector, with the indices of the pairs."""
    array = np.asarray(distances, np.float64)
    if array.ndim == 1:
        stimuli = int((1 + np.sqrt(1 + 8 * array.size)) / 2)
        require(stimuli * (stimuli - 1) // 2 == array.size, f"{name} holds {array.size} numbers, not one per pair")
        rows, columns = np.triu_indices(stimuli, 1)
    else:
        require(
            array.ndim == 2 and array.shape[0] == array.shape[1],
            f"{name} must be a matrix (S, S) or a vector over pairs, got shape {array.shape}",
        )
        rows, columns = np.triu_indices(array.shape[0], 1)
        array = array[rows, columns]
    check_finite(name, array)
    require(array.size >= 3, f"{name} must hold at least three pairs, got {array.size}")
    require(bool(np.ptp(array) > 0), f"{name} must vary: all its distances are equal")
    return array, np.stack([rows, columns], axis=1)
