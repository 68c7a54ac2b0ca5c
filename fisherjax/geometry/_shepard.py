"""How well distances are kept: Shepard diagrams, stress, and correlation over time."""

import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import isotonic_regression
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fisherjax._errors import check_confidence, check_integer, check_key, require, warn
from fisherjax._types import ArrayLike, Key, Record

from ._correlations import KINDS, bootstrap_excess, correlations, intervals, reference
from ._inputs import as_distances, varies

_SHOWN = 5  # times that a warning lists


class ShepardDiagram(Record):
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


class DistanceCorrelation(Record):
    """Correlation, over pairs of stimuli, between original distances and those at times 1…T."""

    times: Float[np.ndarray, " T"]
    pearson: Float[np.ndarray, " T"]
    spearman: Float[np.ndarray, " T"]
    kendall: Float[np.ndarray, " T"]
    pearson_interval: Float[np.ndarray, "T 2"] | None = None
    """Bootstrap over stimuli."""
    spearman_interval: Float[np.ndarray, "T 2"] | None = None
    kendall_interval: Float[np.ndarray, "T 2"] | None = None


def shepard(original: ArrayLike, latent: ArrayLike) -> ShepardDiagram:
    """Compare distances between stimuli before and after: (S, S) matrices, or vectors over pairs.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than three pairs, values are no distances, or all original ones are equal.
    TypeError
        If they are not real numbers.

    Warns
    -----
    RuntimeWarning
        If all latent distances are equal: stress and correlations are then NaN.

    References
    ----------
    Kruskal (1964), Nonmetric multidimensional scaling, Psychometrika 29, 115–129.
    """
    before, pairs = _varied("original", original)
    after, _ = _condensed("latent", latent)
    require(
        before.shape == after.shape,
        f"original and latent must match, got {before.size} and {after.size} pairs",
    )
    resolved = varies(after)
    before, after = before.astype(np.float64), after.astype(np.float64)
    order = np.lexsort((after, before))
    fitted = np.empty_like(after)
    fitted[order] = monotone_fit(after[order])
    if not resolved:
        warn("latent distances are all equal: stress and correlations are NaN")
        return ShepardDiagram(before, after, fitted, pairs, np.nan, np.nan, np.nan)
    pearson = float(np.corrcoef(before, after)[0, 1])
    spearman = float(np.corrcoef(rankdata(before), rankdata(after))[0, 1])
    return ShepardDiagram(before, after, fitted, pairs, stress(after, fitted), pearson, spearman)


def monotone_fit(latent: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    """Least-squares non-decreasing fit of latent distances in the order of the original ones."""
    return isotonic_regression(latent).x


def stress(latent: Float[np.ndarray, " pairs"], fitted: Float[np.ndarray, " pairs"]) -> float:
    """Kruskal's stress-1 of latent distances that are not all equal."""
    return float(np.sqrt(np.sum((latent - fitted) ** 2) / np.sum(latent**2)))


def distance_correlation(
    original: ArrayLike, latent: ArrayLike, *, key: Key = None, num_resamples: int = 0, confidence: float = 0.95
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
        If shapes differ, values are no distances, or all original distances are equal.
    TypeError
        If they are not real numbers, or resamples are asked for without a JAX key.

    Warns
    -----
    RuntimeWarning
        If all latent distances of a time are equal: correlations are then NaN.

    Notes
    -----
    Above 512 pairs Kendall's τ is the τ-b of ranks in 512 bins, which differs from the exact one by about 0.001.
    Resamples are correct to first order in how often a stimulus is drawn.
    """
    before, _ = _varied("original", original)
    later = as_distances("latent", latent, "times stimuli stimuli")
    require(len(later) >= 1, "latent must hold at least one time, got none")
    after = [_condensed("latent", step)[0] for step in later]
    require(
        after[0].shape == before.shape,
        f"original and latent must match, got {before.size} and {after[0].size} pairs",
    )
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    confidence = check_confidence(confidence)
    key = None if key is None and num_resamples == 0 else check_key("key", key)
    known = reference(squareform(before))
    excess = bootstrap_excess(num_resamples, later.shape[1], key) if num_resamples else None
    steps = [correlations(known, step, excess) for step in after]
    values = dict(zip(KINDS, np.stack([value for value, _ in steps], axis=1), strict=True))
    warn_unresolved(values["pearson"])
    samples = None if excess is None else np.stack([sample for _, sample in steps])
    return DistanceCorrelation(np.arange(1.0, len(later) + 1), **values, **intervals(samples, confidence))


def warn_unresolved(correlation: Float[np.ndarray, " T"]) -> None:
    """Say at which times there is no correlation."""
    missing = np.flatnonzero(np.isnan(correlation))
    if len(missing):
        times = ", ".join(str(index + 1) for index in missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        warn(f"latent distances are all equal, and their correlations NaN, at t = {times}")


def _varied(name: str, distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    array, pairs = _condensed(name, distances)
    require(varies(array), f"{name} must vary: all its distances are equal")
    return array, pairs


def _condensed(name: str, distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Distances of the pairs i < j as a vector, with the indices of the pairs."""
    array = as_distances(name, distances, "stimuli stimuli", "pairs")
    if array.ndim == 1:
        stimuli = int((1 + np.sqrt(1 + 8 * array.size)) / 2)
        require(stimuli * (stimuli - 1) // 2 == array.size, f"{name} holds {array.size} numbers, not one per pair")
        rows, columns = np.triu_indices(stimuli, 1)
    else:
        rows, columns = np.triu_indices(array.shape[0], 1)
        array = array[rows, columns]
    require(array.size >= 3, f"{name} must hold at least three pairs, got {array.size}")
    return array, np.stack([rows, columns], axis=1)
