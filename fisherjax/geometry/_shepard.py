"""How well distances are kept: Shepard diagrams, stress, and correlation over time."""

import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from fisherjax._errors import check_finite, require
from fisherjax._types import Result


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
    fitted[order] = isotonic_regression(after[order]).x
    stress = float(np.sqrt(np.sum((after - fitted) ** 2) / np.sum(after**2)))
    return ShepardDiagram(before, after, fitted, pairs, stress, _pearson(before, after), _spearman(before, after))


def distance_correlation(original: object, latent: object) -> DistanceCorrelation:
    """Pearson and Spearman correlation of distances (S, S) with those at every time, (T, S, S).

    Raises
    ------
    ValueError
        If shapes differ, values are not finite, or all distances are equal.
    """
    before, _ = _condensed("original", original)
    later = np.asarray(latent, np.float64)
    require(later.ndim == 3, f"latent must have shape (T, S, S), got {later.shape}")
    after = [_condensed("latent", step)[0] for step in later]
    require(
        after[0].shape == before.shape,
        f"original and latent must match, got {before.size} and {after[0].size} pairs",
    )
    return DistanceCorrelation(
        times=np.arange(1.0, len(after) + 1),
        pearson=np.array([_pearson(before, step) for step in after]),
        spearman=np.array([_spearman(before, step) for step in after]),
    )


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


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    return _pearson(rankdata(x), rankdata(y))
