"""Three correlations between distances, and their bootstrap over stimuli, all by matrix products."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from fisherjax._errors import require
from fisherjax._types import Key

KINDS = ("pearson", "spearman", "kendall")
_BINS = 1024  # of ranks, for Kendall's τ and its influence; τ is that of the binned ranks (τ-b)

Matrix = Float[np.ndarray, "S S"]


class Reference(NamedTuple):
    """What the original distances contribute to every comparison with them."""

    rows: Int[np.ndarray, " pairs"]
    columns: Int[np.ndarray, " pairs"]
    scores: tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]  # standardised distances and ranks
    bins: Int[np.ndarray, " pairs"]


def reference(original: Matrix) -> Reference:
    """Prepare the original distances (S, S)."""
    rows, columns = np.triu_indices(len(original), 1)
    distances = np.asarray(original, np.float64)[rows, columns]
    require(distances.size >= 3, f"distances of at least three pairs are needed, got {distances.size}")
    require(bool(np.ptp(distances) > 0), "original distances must vary, but all are equal")
    ranks = _ranks(distances)
    return Reference(rows, columns, (_standard(distances), _standard(ranks)), _binned(ranks))


def correlations(
    known: Reference, latent: Matrix, counts: Float[np.ndarray, "B S"] | None = None
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "B 3"]]:
    """Pearson, Spearman and Kendall correlation of the latent distances with the original ones.

    The second result holds them for data sets in which stimulus s comes counts[b, s] times; pairs of a stimulus
    with itself are left out. Ranks and Kendall's influence, the mean concordance of a pair with all others, are
    those of the whole data set: Spearman's and Kendall's resamples are correct to first order. Latent distances
    that are all equal correlate 0 with anything.
    """
    distances = np.asarray(latent, np.float64)[known.rows, known.columns]
    if not np.ptp(distances) > 0:
        return np.zeros(3), np.zeros((0 if counts is None else len(counts), 3))
    ranks = _ranks(distances)
    scores = (_standard(distances), _standard(ranks))
    kendall, influence = _kendall(known.bins, _binned(ranks))
    value = np.array([np.mean(scores[0] * known.scores[0]), np.mean(scores[1] * known.scores[1]), kendall])
    if counts is None:
        return value, np.zeros((0, 3))
    sums = _Sums(known, counts)
    samples = [sums.correlation(x, y) for x, y in zip(known.scores, scores, strict=True)]
    return value, np.stack([*samples, kendall + 2 * sums.mean(influence - kendall)], axis=1)


def intervals(samples: Float[np.ndarray, "T B 3"] | None, confidence: float) -> dict[str, Float[np.ndarray, "T 2"]]:
    """Quantiles of the bootstrap at every time, under the names that results give them."""
    if samples is None:
        return {}
    ends = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return {f"{name}_interval": ends[:, :, place].T for place, name in enumerate(KINDS)}


def generator(key: Key) -> np.random.Generator:
    """A NumPy generator from a JAX key, for what runs on the host."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())


def bootstrap_counts(num_resamples: int, num_stimuli: int, key: Key) -> Float[np.ndarray, "B S"]:
    """How often each stimulus is drawn in each resample; at least three different ones."""
    counts = generator(key).multinomial(num_stimuli, np.full(num_stimuli, 1 / num_stimuli), size=num_resamples)
    poor = (counts > 0).sum(axis=1) < min(3, num_stimuli)
    counts[poor] = 1
    return counts.astype(np.float32)


class _Sums:
    """Weighted means over pairs, wᵀ M w, for all resamples at once."""

    def __init__(self, known: Reference, counts: Float[np.ndarray, "B S"]):
        self.known, self.counts = known, counts
        self.total = self._sum(np.ones(len(known.rows)))

    def _sum(self, values: np.ndarray) -> np.ndarray:
        matrix = np.zeros((self.counts.shape[1],) * 2, np.float32)
        matrix[self.known.rows, self.known.columns] = values
        return np.einsum("bs,bs->b", self.counts @ matrix, self.counts, dtype=np.float64)

    def mean(self, values: np.ndarray) -> np.ndarray:
        return self._sum(values) / self.total

    def correlation(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        mean_x, mean_y = self.mean(x), self.mean(y)
        spread = (self.mean(x * x) - mean_x**2) * (self.mean(y * y) - mean_y**2)
        return (self.mean(x * y) - mean_x * mean_y) / np.sqrt(np.maximum(spread, np.finfo(float).tiny))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, ties by their mean."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    size = np.diff(np.append(first, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (size - 1) / 2, size)
    return ranks


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _binned(ranks: np.ndarray) -> np.ndarray:
    bins = min(_BINS, len(ranks))
    return np.minimum((ranks * (bins / len(ranks))).astype(np.int64), bins - 1)


def _kendall(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """τ-b of binned ranks, and the mean concordance of each pair with all others over the same normaliser."""
    bins, count = int(max(x.max(), y.max())) + 1, len(x)
    table = np.bincount(x * bins + y, minlength=bins * bins).reshape(bins, bins)
    # counts at or below, and strictly below, in both coordinates
    upto = np.zeros((bins + 1, bins + 1))
    upto[1:, 1:] = table.cumsum(0).cumsum(1)
    below_x, below_y = upto[:, -1], upto[-1]
    # Σ over others of sign·sign = twice the mid-counts of the four corners, written with sums up to here
    corner = upto[x, y] + upto[x, y + 1] + upto[x + 1, y] + upto[x + 1, y + 1]
    concordance = corner - (below_x[x] + below_x[x + 1]) - (below_y[y] + below_y[y + 1]) + count
    tied_x, tied_y = (np.sum(np.diff(below) ** 2) for below in (below_x, below_y))
    scale = np.sqrt((count**2 - tied_x) * (count**2 - tied_y)) / count
    influence = concordance / scale
    return float(np.mean(influence)), influence
