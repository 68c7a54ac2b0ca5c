"""Three correlations between distances, and their bootstrap over stimuli."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from fisherjax._errors import require
from fisherjax._types import Key

from ._inputs import varies

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
    ranks = rankdata(distances) - 1
    return Reference(index, index % len(original), distances, (_standard(distances), _standard(ranks)), _binned(ranks))


def correlations(
    known: Reference, distances: Float[np.ndarray, " pairs"], excess: Float[np.ndarray, "B S"] | None = None
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "B 3"]]:
    """Pearson, Spearman and Kendall correlation of latent distances with the original ones.

    The second result holds them for data sets in which stimulus s comes 1 + excess[b, s] times, to first order.
    Correlations of distances that are all equal are NaN.
    """
    if not varies(distances):
        return np.full(3, np.nan), np.full((0 if excess is None else len(excess), 3), np.nan)
    ranks = rankdata(distances) - 1
    kinds = [_pearson(x, _standard(y)) for x, y in zip(known.scores, (distances, ranks), strict=True)]
    kinds.append(_kendall(known.bins, _binned(ranks)))
    value = np.array([number for number, _ in kinds])
    if excess is None:
        return value, np.zeros((0, 3))
    return value, np.clip(value + _resampled(known, [influence for _, influence in kinds], excess), -1, 1)


def _resampled(known: Reference, influences: list[np.ndarray], excess: Float[np.ndarray, "B S"]) -> np.ndarray:
    """Change of a mean over pairs when stimulus s comes 1 + e_s times: (2/S) Σ_s e_s (mean influence of s's pairs)."""
    stimuli = excess.shape[1]
    first = np.concatenate([[0], np.cumsum(np.arange(stimuli - 1, 1, -1))])  # of the pairs of each row
    own = np.zeros((stimuli, len(influences)), excess.dtype)
    for column, influence in enumerate(influences):
        own[:-1, column] = np.add.reduceat(influence, first)
        own[:, column] += np.bincount(known.columns, influence, stimuli)
    return 2 / stimuli * (excess @ own) / (stimuli - 1)


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
    products = x * y
    value = float(np.mean(products))
    return value, products - value * (x * x + y * y) / 2


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
    table = np.bincount(x * bins + y, minlength=bins * bins).astype(np.int32).reshape(bins, bins)
    np.cumsum(np.cumsum(table, axis=0, dtype=np.int32), axis=1, dtype=np.int32, out=below[1:, 1:])
    below_x, below_y = below[:, -1], below[-1]
    # Σ sign·sign over the others, from the counts at the four corners of each cell
    corners = below[:-1, :-1] + below[:-1, 1:] + below[1:, :-1] + below[1:, 1:]
    corners -= (below_x[:-1] + below_x[1:])[:, None] + (below_y[:-1] + below_y[1:])
    concordance = corners.ravel()[x * bins + y] + float(count)
    tied_x, tied_y = (np.sum(np.diff(part).astype(float) ** 2) for part in (below_x, below_y))
    shares = concordance * (count / np.sqrt((count**2 - tied_x) * (count**2 - tied_y)))
    value = float(np.mean(shares))
    return value, 2 * (shares - value)
