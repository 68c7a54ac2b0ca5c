"""A linear read-out of labels, tested on what it was not taught."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from fisherjax._arrays import as_labels
from fisherjax._errors import check_integer, check_scalar, require, warn
from fisherjax._linalg import less_first, magnitude
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar

_SHOWN = 5  # classes that a warning lists


@full_precision
def linear_probe(
    states: Shaped[Array | np.ndarray, "S N"],
    labels: ArrayLike,
    *,
    num_folds: int = 5,
    regularization: Scalar = 1e-1,
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
    check_scalar("regularization", regularization, minimum=0.0, strict=True)
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
