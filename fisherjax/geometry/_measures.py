"""What a representation keeps of the geometry of stimuli, beyond correlations: stretch, neighbors, classes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from fisherjax._arrays import as_labels
from fisherjax._errors import check_integer, check_positive, require, warn
from fisherjax._linalg import less_first, magnitude
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar

from ._distances import as_distances


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
    stretch = isometry(before, after)
    if np.isnan(stretch.smallest).any():
        warn("latent distances all vanish: their stretch is NaN")
    return stretch


def isometry(before: np.ndarray, after: np.ndarray) -> NearIsometry:
    """`near_isometry` of distances that are known to be such, without a word."""
    pairs = np.triu(np.ones(before.shape, bool), 1) if before.ndim == 2 else np.ones(before.shape, bool)
    pairs &= before > 0
    require(bool(pairs.any()), "original holds no pair of different stimuli")
    x, y = (before, after) if pairs.all() else (before[pairs], after[..., pairs])
    x, y = x.astype(np.float64), y.astype(np.float64)
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


_SHOWN = 5  # classes that a warning lists


@full_precision
def linear_probe(
    states: Shaped[Array | np.ndarray, "S N"], labels: ArrayLike, *, num_folds: int = 5, regularization: Scalar = 1e-1
) -> Float[Array, ""]:
    """Held-out accuracy of a linear classifier: ridge regression on one-hot labels, stratified folds.

    Parameters
    ----------
    states
        (S, N).
    labels
        (S,), whole numbers or text, at least two classes.
    num_folds
        Folds; every fold is classified by what the others taught. The members of each class are dealt out to the
        folds in turn, in an order that is drawn with a fixed seed, so that the answer is always the same.
    regularization
        Ridge relative to the mean squared length of the centered states.

    Raises
    ------
    ValueError
        If shapes do not match, there is one class only, or fewer than two stimuli for each fold.
    TypeError
        If states are not real numbers, or labels neither whole numbers nor text.

    Warns
    -----
    RuntimeWarning
        If a class has fewer members than there are folds: some folds then hold none of it.
    """
    array = less_first("states", states, "stimuli units")
    classes, folds = label_folds(labels, len(array), num_folds)
    check_positive(regularization=regularization)
    return probe(array, classes, folds, regularization)


def label_folds(labels: Any, stimuli: int, num_folds: int = 5) -> tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]]:
    """Class number and fold of each stimulus."""
    num_folds = check_integer("num_folds", num_folds, minimum=2)
    codes, names = as_labels("labels", labels, stimuli)
    require(stimuli >= 2 * num_folds, f"{num_folds} folds need {2 * num_folds} stimuli, got {stimuli}")
    require(len(names) >= 2, "labels must hold at least two classes to tell apart, got one")
    counts = np.bincount(codes)
    rare = np.flatnonzero(counts < num_folds)
    if len(rare):
        shown = ", ".join(f"{names[index]} ({counts[index]})" for index in rare[:_SHOWN])
        more = ", …" if len(rare) > _SHOWN else ""
        warn(
            f"labels: classes with fewer members than the {num_folds} folds, which are taught and tested on few of "
            f"them: {shown}{more}"
        )
    # by class, and in a random order within: what comes in cycles must not fall into one fold
    order = np.lexsort((np.random.default_rng(0).permutation(stimuli), codes))
    folds = np.empty(stimuli, np.int64)
    folds[order] = np.arange(stimuli) % num_folds
    return codes, folds


def probe(states: Array, classes: np.ndarray, folds: np.ndarray, regularization: Scalar = 1e-1) -> Float[Array, ""]:
    """Accuracy with given classes and folds."""
    targets = jnp.asarray(np.eye(classes.max() + 1)[classes], states.dtype)
    return _probe(states, targets, jnp.asarray(folds), jnp.asarray(regularization, states.dtype), int(folds.max()) + 1)


@jax.jit(static_argnums=4)
def _probe(states: Array, targets: Array, fold: Array, ridge: Array, num_folds: int) -> Array:
    states = states - states[:1]
    states /= magnitude(states)

    def correct(held: Array) -> Array:
        kept = (fold != held).astype(states.dtype)
        total = jnp.sum(kept)
        center, mean = kept @ states / total, kept @ targets / total
        centered, wanted = (states - center), (targets - mean) * kept[:, None]
        gram = jnp.einsum("in,jn->ij", centered, centered, precision=jax.lax.Precision.HIGHEST)
        own = gram * kept[:, None] * kept
        trace = jnp.trace(own)
        level = ridge * jnp.where(trace > 0, trace, 1) / total
        dual = jnp.linalg.solve(own + level * jnp.eye(len(states), dtype=states.dtype), wanted)
        scores = (gram * kept) @ dual + mean
        right = jnp.argmax(scores, axis=1) == jnp.argmax(targets, axis=1)
        return jnp.sum(right & (fold == held))

    return jnp.sum(jax.lax.map(correct, jnp.arange(num_folds))) / len(states)
