"""What a representation keeps of the geometry of stimuli, beyond correlations."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import check_finite
from fisherjax._errors import check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Result, Scalar
from fisherjax.numerics import full_precision


class NearIsometry(Result):
    """Extremes of the stretch d_latent/d_original over pairs, relative to its root mean square.

    A map that keeps all distances up to one common factor has both at one.
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


def near_isometry(original: object, latent: object) -> NearIsometry:
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
        If shapes differ, a value is not finite, or all stimuli are the same.

    References
    ----------
    Candès & Tao (2005), Decoding by linear programming, IEEE Trans. Inf. Theory 51.
    """
    before, after = np.asarray(original, np.float64), np.asarray(latent, np.float64)
    require(
        after.shape[-before.ndim :] == before.shape and after.ndim - before.ndim in {0, 1},
        f"latent must have shape {before.shape} or (T, …) like original, got {after.shape}",
    )
    check_finite("original", before)
    check_finite("latent", after)
    pairs = np.triu(np.ones(before.shape, bool), 1) if before.ndim == 2 else np.ones(before.shape, bool)
    pairs &= before > 0
    require(bool(pairs.any()), "original holds no pair of different stimuli")
    x, y = before[pairs], after[..., pairs]
    scale = np.sqrt(np.sum(y**2, axis=-1) / np.sum(x**2))
    stretch = y / x / np.where(scale > 0, scale, 1)[..., None]
    return NearIsometry(*(np.asarray(part) for part in (stretch.min(axis=-1), stretch.max(axis=-1), scale)))


def sparse_pairs(
    patterns: Float[Array | np.ndarray, "S N"], num_coordinates: int, *, key: Key, amplitude: Scalar = 1.0
) -> Float[Array, "2*S N"]:
    """Each pattern, and after all of them each one changed in a few random coordinates among those that are driven.

    Parameters
    ----------
    patterns
        Patterns (S, N); coordinates that are zero in all of them are never changed.
    num_coordinates
        How many coordinates change.
    key
        JAX random key.
    amplitude
        Length of the change, in units of the root mean square of a driven coordinate.

    Returns
    -------
    (2S, N): pattern s and pattern S + s are the pair.

    Raises
    ------
    ValueError
        If fewer coordinates are driven.
    TypeError
        If `key` is not a JAX key.
    """
    states = jnp.asarray(patterns)
    require(states.ndim == 2, f"patterns must have shape (S, N), got {states.shape}")
    num_coordinates = check_integer("num_coordinates", num_coordinates, minimum=1)
    check_scalar("amplitude", amplitude, minimum=0.0, strict=True)
    driven = np.flatnonzero(np.any(np.asarray(states) != 0, axis=0))
    require(
        num_coordinates <= driven.size,
        f"num_coordinates={num_coordinates}, but only {driven.size} coordinates are driven",
    )
    place_key, value_key = jax.random.split(check_key("key", key))
    rows = jnp.arange(len(states))[:, None]
    chosen = jnp.stack(
        [jax.random.permutation(k, driven.size)[:num_coordinates] for k in jax.random.split(place_key, len(states))]
    )
    values = jax.random.normal(value_key, chosen.shape, states.dtype)
    size = jnp.sqrt(jnp.mean(states[:, driven] ** 2)) * jnp.asarray(amplitude, states.dtype)
    values *= size / jnp.linalg.norm(values, axis=1, keepdims=True)
    return jnp.concatenate([states, states.at[rows, driven[chosen]].add(values)])


def neighbours_kept(original: object, latent: object, num_neighbours: int = 10) -> Float[np.ndarray, "*T"]:
    """Share of each stimulus's k nearest neighbours that are among its k nearest states; chance is k/(S − 1).

    Parameters
    ----------
    original, latent
        Distances (S, S), and (S, S) or (T, S, S).
    num_neighbours
        k, below S.

    Raises
    ------
    ValueError
        If shapes do not match or k is too large.
    """
    before, after = np.asarray(original), np.asarray(latent)
    require(
        before.ndim == 2 and after.shape[-2:] == before.shape,
        f"original and latent must be (S, S) and (…, S, S), got {before.shape} and {after.shape}",
    )
    near = nearest(before, num_neighbours)
    values = [np.mean(np.sum(near & nearest(step, num_neighbours), axis=1)) / num_neighbours for step in _steps(after)]
    return np.array(values).reshape(after.shape[:-2])


def class_neighbours(latent: object, labels: object, num_neighbours: int = 10) -> Float[np.ndarray, "*T"]:
    """Share of each state's k nearest neighbours that have its own label.

    Parameters
    ----------
    latent
        Distances (S, S) or (T, S, S).
    labels
        (S,), whole numbers.
    num_neighbours
        k, below S.

    Raises
    ------
    ValueError
        If shapes do not match or k is too large.
    """
    after, classes = np.asarray(latent), np.asarray(labels)
    require(
        classes.shape == after.shape[-1:] and after.shape[-2:-1] == after.shape[-1:],
        f"labels (S,) must match distances (…, S, S), got {classes.shape} and {after.shape}",
    )
    same = classes[:, None] == classes
    values = [np.mean(np.sum(same & nearest(step, num_neighbours), axis=1)) / num_neighbours for step in _steps(after)]
    return np.array(values).reshape(after.shape[:-2])


def _steps(distances: np.ndarray) -> np.ndarray:
    return distances.reshape(-1, *distances.shape[-2:])


def nearest(distances: np.ndarray, count: int) -> np.ndarray:
    """Which (S, S) are among the nearest of each row."""
    count = check_integer("num_neighbours", count, minimum=1)
    require(count < len(distances), f"num_neighbours={count} must be below the {len(distances)} stimuli")
    masked = np.where(np.eye(len(distances), dtype=bool), np.inf, distances)
    index = np.argpartition(masked, count - 1, axis=1)[:, :count]
    near = np.zeros(distances.shape, bool)
    np.put_along_axis(near, index, values=True, axis=1)
    return near


@full_precision
def linear_probe(
    states: Float[Array | np.ndarray, "S N"],
    labels: Int[Array | np.ndarray, " S"],
    *,
    num_folds: int = 5,
    regularization: Scalar = 1e-1,
) -> Float[Array, ""]:
    """Held-out accuracy of a linear classifier: ridge regression on one-hot labels, folds of interleaved stimuli.

    Parameters
    ----------
    states
        (S, N).
    labels
        (S,), whole numbers from 0.
    num_folds
        Folds; every fold is classified by what the others taught.
    regularization
        Ridge relative to the mean squared length of the centred states.

    Raises
    ------
    ValueError
        If shapes do not match or there are fewer stimuli than folds.
    """
    array, classes = jnp.asarray(states), np.asarray(labels)
    require(
        array.ndim == 2 and classes.shape == array.shape[:1],
        f"states (S, N) and labels (S,) must match, got {array.shape} and {classes.shape}",
    )
    num_folds = check_integer("num_folds", num_folds, minimum=2)
    require(len(classes) >= 2 * num_folds, f"{num_folds} folds need {2 * num_folds} stimuli, got {len(classes)}")
    check_scalar("regularization", regularization, minimum=0.0, strict=True)
    names, index = np.unique(classes, return_inverse=True)
    targets = jnp.asarray(np.eye(len(names))[index], array.dtype)
    return _probe(array, targets, jnp.asarray(regularization, array.dtype), num_folds)


@jax.jit(static_argnums=3)
def _probe(states: Array, targets: Array, ridge: Array, num_folds: int) -> Array:
    fold = jnp.arange(len(states)) % num_folds

    def correct(held: Array) -> Array:
        kept = (fold != held).astype(states.dtype)
        total = jnp.sum(kept)
        centre, mean = kept @ states / total, kept @ targets / total
        centred, wanted = (states - centre), (targets - mean) * kept[:, None]
        gram = jnp.einsum("in,jn->ij", centred, centred, precision=jax.lax.Precision.HIGHEST)
        own = gram * kept[:, None] * kept
        level = ridge * jnp.trace(own) / total
        dual = jnp.linalg.solve(own + level * jnp.eye(len(states), dtype=states.dtype), wanted)
        scores = (gram * kept) @ dual + mean
        right = jnp.argmax(scores, axis=1) == jnp.argmax(targets, axis=1)
        return jnp.sum(right & (fold == held))

    return jnp.sum(jax.lax.map(correct, jnp.arange(num_folds))) / len(states)
