"""How well distances are kept: three correlations with their bootstrap over stimuli, Shepard diagrams, stress."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import isotonic_regression
from scipy.spatial.distance import squareform

from fisherjax._errors import check_confidence, check_integer, check_key, require, warn
from fisherjax._types import ArrayLike, Key, Record

from ._distances import as_distances, varies

KINDS = ("pearson", "spearman", "kendall")
_BINS = 512  # of ranks, for Kendall's τ and its influence; τ is that of the binned ranks (τ-b)

Matrix = Float[np.ndarray, "S S"]


class Reference(NamedTuple):
    """What the original distances contribute to every comparison with them."""

    places: Int[np.ndarray, " pairs"]  # of the pairs i < j in the flattened matrix
    columns: Int[np.ndarray, " pairs"]  # j
    distances: Float[np.ndarray, " pairs"]
    scores: tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]  # standardized distances and ranks
    bins: Int[np.ndarray, " pairs"]


def reference(original: Matrix) -> Reference:
    """Prepare the original distances (S, S)."""
    index = np.flatnonzero(np.triu(np.ones(original.shape, bool), 1))
    distances = original.ravel()[index]
    require(distances.size >= 3, f"original must hold at least three pairs, got {distances.size}")
    require(varies(distances), "original must vary: all its distances are equal")
    distances = distances.astype(np.float64)
    ranks = _ranks(distances)
    return Reference(index, index % len(original), distances, (_standard(distances), _standard(ranks)), _binned(ranks))


def correlations(
    known: Reference, distances: Float[np.ndarray, " pairs"]
) -> tuple[Float[np.ndarray, "3"], tuple[Float[np.ndarray, " pairs"], ...]]:
    """Pearson, Spearman and Kendall correlation of latent distances with the original ones.

    The second result is the influence of each pair on them. Correlations of distances that are all equal are NaN.
    """
    if not varies(distances):
        return np.full(3, np.nan), (np.zeros(len(distances)),) * 3
    ranks = _ranks(distances)
    kinds = [_pearson(x, _standard(y)) for x, y in zip(known.scores, (distances, ranks), strict=True)]
    kinds.append(_kendall(known.bins, _binned(ranks)))
    values, influences = zip(*kinds, strict=True)
    return np.array(values), influences


def resampled(
    known: Reference,
    values: Float[np.ndarray, "n 3"],
    influences: list[tuple[Float[np.ndarray, " pairs"], ...]],
    excess: Float[np.ndarray, "B S"],
) -> Float[np.ndarray, "n B 3"]:
    """Correlations for data sets in which stimulus s comes 1 + excess[b, s] times, to first order.

    A mean over pairs changes by (2/S) Σ_s e_s (mean influence of s's pairs).
    """
    stimuli = excess.shape[1]
    # a pair (i, j) weighs (1 + e_i)(1 + e_j), to first order 1 + e_i + e_j: a stimulus moves the mean by its own pairs
    first = np.concatenate([[0], np.cumsum(np.arange(stimuli - 1, 1, -1))])  # of the pairs of each row
    own = np.zeros((stimuli, len(influences), len(KINDS)), excess.dtype)
    for place in np.ndindex(own.shape[1:]):
        influence = influences[place[0]][place[1]]
        own[:-1, *place] = np.add.reduceat(influence, first)
        own[:, *place] += np.bincount(known.columns, influence, stimuli)
    change = 2 / stimuli * (excess @ own.reshape(stimuli, -1)) / (stimuli - 1)
    return np.clip(values[:, None] + change.reshape(-1, *own.shape[1:]).swapaxes(0, 1), -1, 1)


def intervals(samples: Float[np.ndarray, "T B 3"] | None, confidence: float) -> dict[str, Float[np.ndarray, "T 2"]]:
    """Quantiles of the bootstrap at every time, under the names that results give them."""
    if samples is None:
        return {}
    ends = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return {f"{name}_interval": ends[:, :, place].T for place, name in enumerate(KINDS)}


def generator(key: Key) -> np.random.Generator:
    """A NumPy generator from a JAX key, for what runs on the host."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())


def bootstrap_excess(num_resamples: int, num_stimuli: int, key: Key) -> Float[np.ndarray, "B S"]:
    """How much oftener than once each stimulus is drawn in each resample."""
    shares = np.full(num_stimuli, 1 / num_stimuli)
    return generator(key).multinomial(num_stimuli, shares, size=num_resamples).astype(np.float32) - 1


def _pearson(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Correlation of standardized values, and the influence of each pair on it."""
    # weights move the two variances as well: half of r (x² + y²) is what standardizing anew takes back
    products = x * y
    value = float(np.mean(products))
    return value, products - value * (x * x + y * y) / 2


def _ranks(values: np.ndarray) -> Float[np.ndarray, " pairs"]:
    """Ranks from 0 on; equal values share their mean rank."""
    order = np.argsort(values)  # not stable, which takes several times as long: order among equals does not count
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ranks = np.empty(len(values))
    if len(starts) == len(values):
        ranks[order] = starts
    else:
        sizes = np.diff(starts, append=len(values))
        ranks[order] = np.repeat(starts + (sizes - 1) / 2, sizes)
    return ranks


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _binned(ranks: np.ndarray) -> np.ndarray:
    bins = min(_BINS, len(ranks))
    return np.minimum((ranks * (bins / len(ranks))).astype(np.int64), bins - 1)


def _kendall(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """τ-b of binned ranks, and the influence of each pair: twice its excess of concordance with all others."""
    bins, count = int(max(x.max(), y.max())) + 1, len(x)
    # counts strictly below in both coordinates
    below = np.zeros((bins + 1, bins + 1), np.int32)
    # along rows both times: along columns NumPy takes twenty times as long; a last column that is empty keeps the rows
    # apart in the cache when they are turned
    wide = bins + 1
    table = np.bincount(y * wide + x, minlength=bins * wide).astype(np.int32).reshape(bins, wide)
    turned = np.cumsum(table, axis=1, dtype=np.int32).T[:bins].copy()
    np.cumsum(turned, axis=1, dtype=np.int32, out=below[1:, 1:])
    below_x, below_y = below[:, -1], below[-1]
    # sign(x − x′) = [x′ < x] + [x′ ≤ x] − 1, so that Σ sign·sign over the others is a count at the four corners of each
    # cell, less the margins, plus all
    corners = below[:-1, :-1] + below[:-1, 1:] + below[1:, :-1] + below[1:, 1:]
    corners -= (below_x[:-1] + below_x[1:])[:, None] + (below_y[:-1] + below_y[1:])
    concordance = corners.ravel()[x * bins + y] + float(count)
    tied_x, tied_y = (np.sum(np.diff(part).astype(float) ** 2) for part in (below_x, below_y))
    # of pairs that are not tied; how their number depends on one pair is left out of the influence
    shares = concordance * (count / np.sqrt((count**2 - tied_x) * (count**2 - tied_y)))
    value = float(np.mean(shares))
    return value, 2 * (shares - value)


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
    _check_match(before, after)
    resolved = varies(after)
    before, after = before.astype(np.float64), after.astype(np.float64)
    order = np.lexsort((after, before))
    fitted = np.empty_like(after)
    fitted[order] = monotone_fit(after[order])
    if not resolved:
        warn("latent distances are all equal: stress and correlations are NaN")
        return ShepardDiagram(before, after, fitted, pairs, np.nan, np.nan, np.nan)
    pearson = float(np.corrcoef(before, after)[0, 1])
    spearman = float(np.corrcoef(_ranks(before), _ranks(after))[0, 1])
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
    _check_match(before, after[0])
    num_resamples = check_integer("num_resamples", num_resamples, minimum=0)
    confidence = check_confidence(confidence)
    key = None if key is None and num_resamples == 0 else check_key("key", key)
    known = reference(squareform(before))
    excess = bootstrap_excess(num_resamples, later.shape[1], key) if num_resamples else None
    steps, samples = [], []
    for step in after:
        value, influence = correlations(known, step)
        steps.append(value)
        if excess is not None:
            samples.append(resampled(known, value[None], [influence], excess)[0])
    values = dict(zip(KINDS, np.stack(steps, axis=1), strict=True))
    warn_unresolved(values["pearson"])
    kept = None if excess is None else np.stack(samples)
    return DistanceCorrelation(np.arange(1.0, len(later) + 1), **values, **intervals(kept, confidence))


def warn_unresolved(correlation: Float[np.ndarray, " T"]) -> None:
    """Say at which times there is no correlation."""
    missing = np.flatnonzero(np.isnan(correlation))
    if len(missing):
        times = ", ".join(str(index + 1) for index in missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        warn(f"latent distances are all equal, and their correlations NaN, at t = {times}")


def _check_match(before: np.ndarray, after: np.ndarray) -> None:
    require(before.shape == after.shape, f"original and latent must match, got {before.size} and {after.size} pairs")


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
