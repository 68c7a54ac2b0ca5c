"""What a representation keeps of the geometry of stimuli, beyond correlations."""

import numpy as np
from jaxtyping import Float

from fisherjax._arrays import as_labels
from fisherjax._errors import check_integer, require, warn
from fisherjax._types import ArrayLike, Record

from ._inputs import as_distances


class NearIsometry(Record):
    """Extremes of the stretch d_latent/d_original over pairs, relative to its root mean square.

    A map that keeps all distances up to one common factor has both at one. NaN where all latent distances vanish.
    """

    smallest: Float[np.ndarray, "*T"]
    largest: Float[np.ndarray, "*T"]
    scale: Float[np.ndarray, "*T"]
    """Root mean square stretch, √(Σ d_latent² / Σ d_original²)."""

    @property
    def constant(self) -> Float[np.ndarray, "*T"]:
        """δ of the restricted isometry (1−δ) c² d² ≤ d_latent² ≤ (1+δ) c² d² at the best scale c."""
        low, high = self.smallest**2, self.largest**2
        return (high - low) / (high + low)


def near_isometry(original: ArrayLike, latent: ArrayLike) -> NearIsometry:
    """Smallest and largest stretch over pairs of different stimuli.

    For pairs that differ in few coordinates (`sparse_pairs`) this is the view of compressed sensing: a network
    that stretches all sparse differences alike lets them be recovered from its state.

    Parameters
    ----------
    original
        Distances between S stimuli (S, S), or of chosen pairs (pairs,).
    latent
        Distances between the states that they lead to, of the same shape, or with time first.

    Raises
    ------
    ValueError
        If shapes differ, a value is no distance, or all stimuli are the same.
    TypeError
        If they are not real numbers.

    Warns
    -----
    RuntimeWarning
        If all latent distances vanish: the extremes are then NaN.

    References
    ----------
    Candès & Tao (2005), Decoding by linear programming, IEEE Trans. Inf. Theory 51.
    """
    before = as_distances("original", original, "stimuli stimuli", "pairs")
    axes = " ".join(map(str, before.shape))
    after = as_distances("latent", latent, axes, f"times {axes}", square=before.ndim == 2)
    found = isometry(before, after)
    if np.isnan(found.smallest).any():
        warn("latent distances all vanish: their stretch is NaN")
    return found


def isometry(before: np.ndarray, after: np.ndarray) -> NearIsometry:
    """`near_isometry` of distances that are known to be such, without a word."""
    pairs = np.triu(np.ones(before.shape, bool), 1) if before.ndim == 2 else np.ones(before.shape, bool)
    pairs &= before > 0
    require(bool(pairs.any()), "original holds no pair of different stimuli")
    x, y = before[pairs].astype(np.float64), after[..., pairs].astype(np.float64)
    scale = np.sqrt(np.sum(y**2, axis=-1) / np.sum(x**2))
    stretch = y / x / np.where(scale > 0, scale, np.nan)[..., None]
    return NearIsometry(*(np.asarray(part) for part in (stretch.min(axis=-1), stretch.max(axis=-1), scale)))


def neighbors_kept(original: ArrayLike, latent: ArrayLike, num_neighbors: int = 10) -> Float[np.ndarray, "*T"]:
    """Share of each stimulus's k nearest neighbors that are among its k nearest states; chance is k/(S − 1).

    Parameters
    ----------
    original, latent
        Distances (S, S), and (S, S) or (T, S, S). Where several are equally far, each counts in part.
    num_neighbors
        k, below S.

    Raises
    ------
    ValueError
        If shapes do not match, a value is no distance, or k is too large.
    TypeError
        If they are not real numbers, or k is no integer.
    """
    before = as_distances("original", original, "stimuli stimuli")
    axes = f"{len(before)} {len(before)}"
    after = as_distances("latent", latent, axes, f"times {axes}")
    near = nearest(before, num_neighbors)
    values = [shared(near, nearest(step, num_neighbors)) for step in _steps(after)]
    return np.array(values).reshape(after.shape[:-2])


def class_neighbors(latent: ArrayLike, labels: ArrayLike, num_neighbors: int = 10) -> Float[np.ndarray, "*T"]:
    """Share of each state's k nearest neighbors that have its own label.

    Parameters
    ----------
    latent
        Distances (S, S) or (T, S, S). Where several are equally far, each counts in part.
    labels
        (S,), whole numbers or text.
    num_neighbors
        k, below S.

    Raises
    ------
    ValueError
        If shapes do not match, a value is no distance, or k is too large.
    TypeError
        If distances are not real numbers, labels neither whole numbers nor text, or k is no integer.
    """
    after = as_distances("latent", latent, "stimuli stimuli", "times stimuli stimuli")
    codes, _ = as_labels("labels", labels, after.shape[-1])
    values = [same_class(nearest(step, num_neighbors), codes) for step in _steps(after)]
    return np.array(values).reshape(after.shape[:-2])


def _steps(distances: np.ndarray) -> np.ndarray:
    return distances.reshape(-1, *distances.shape[-2:])


def nearest(distances: Float[np.ndarray, "S S"], count: int) -> Float[np.ndarray, "S S"]:
    """How much (0 to 1) each one is among the `count` nearest of each row; those equally far share what is left."""
    count = check_integer("num_neighbors", count, minimum=1)
    require(count < len(distances), f"num_neighbors={count} must be below the {len(distances)} stimuli")
    masked = np.where(np.eye(len(distances), dtype=bool), np.inf, distances)
    last = np.partition(masked, count - 1, axis=1)[:, count - 1 : count]
    margin = 16 * np.finfo(masked.dtype).eps * last
    inside, border = masked < last - margin, np.abs(masked - last) <= margin
    left = count - inside.sum(axis=1, keepdims=True)
    return inside + border * (left / border.sum(axis=1, keepdims=True))


def shared(near: Float[np.ndarray, "S S"], close: Float[np.ndarray, "S S"]) -> float:
    """Share of neighbors that two rules have in common."""
    return float(np.sum(np.minimum(near, close)) / np.sum(near))


def same_class(near: Float[np.ndarray, "S S"], codes: np.ndarray) -> float:
    """Share of neighbors of the same class."""
    return float(np.sum(near * (codes[:, None] == codes)) / np.sum(near))
