"""Accuracy on images that are spoiled more and more, or with noise in the network."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_instance, check_key, require, warn
from fisherjax._runtime import full_precision, spread
from fisherjax._types import ArrayLike, Key, Record
from fisherjax.dynamics._shares import share_error

from ._corruptions import CORRUPTIONS, LARGEST
from ._evaluation import right_among
from ._feedforward import FeedforwardCNN
from ._network import ConvolutionalRNN
from ._respond import respond
from ._source import Images, as_source, evaluated_at_once


class Robustness(Record):
    """Accuracy under a corruption of growing strength.

    Parameters
    ----------
    corruption
        Of images, or "state".
    levels
        Its strengths (levels,).
    accuracy, standard_error
        Share of right decisions at the last step, ties by halves, and its standard error, which is not 0 where all
        are right or none: half of Wilson's interval of one standard error to either side (levels,).
    right
        The same of every image (levels, n): two networks with the same key saw the same spoiled images, so that the
        error of the difference of their accuracies is that of the mean of the differences.
    """

    corruption: str = eqx.field(static=True)
    levels: Float[np.ndarray, " levels"]
    accuracy: Float[np.ndarray, " levels"]
    standard_error: Float[np.ndarray, " levels"]
    right: Float[np.ndarray, "levels n"]


@full_precision
def robustness(
    network: ConvolutionalRNN | FeedforwardCNN,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    levels: ArrayLike,
    corruption: str = "noise",
) -> Robustness:
    """Accuracy at the end of the response, at several strengths of a corruption.

    Parameters
    ----------
    network
        Recurrent, or feed-forward; its own state noise is left out where images are spoiled, and replaced for "state".
    images, labels
        Floats (n, height, width, colors) and classes (n,), or `Pictures`.
    key
        JAX random key: with the same one every network sees the same spoiled images.
    levels
        Strengths, 0 for none.
    corruption
        ``"noise"``: of this standard deviation on pixels; ``"contrast"``: this share of it is lost; ``"occlusion"``: a
        rectangle of this share of the area, at a random place, has the mean color; ``"blur"``: by a Gaussian of this
        standard deviation in pixels; ``"state"``: noise of the recurrent network's state (see `ConvolutionalRNN`).

    Warns
    -----
    RuntimeWarning
        If logits are not finite: those images count as wrong.

    Raises
    ------
    ValueError
        If `corruption` is misspelt, a level is out of range, there is no image, or shapes do not match.
    TypeError
        If `key` is not a JAX key, or an argument does not hold real numbers.
    """
    check_instance("network", network, (ConvolutionalRNN, FeedforwardCNN), "such as vision.train makes")
    check_choice("corruption", corruption, (*CORRUPTIONS, "state"))
    in_state = corruption == "state"
    require(not (in_state and isinstance(network, FeedforwardCNN)), "a feed-forward network has no state to be noisy")
    strengths = host_real("levels", levels, "levels")
    require(strengths.size > 0, "levels must hold at least one strength")
    largest = LARGEST[corruption]
    fits = bool(strengths.min() >= 0 and strengths.max() <= largest)
    most = "" if np.isinf(largest) else f" and at most {largest:g}"
    require(fits, f"levels must be at least 0{most} for {corruption}, got {strengths.tolist()}")
    plan = network.architecture
    source, key = as_source(plan, images, labels), check_key("key", key)
    keys = [jax.random.fold_in(key, index) for index in range(len(strengths))]
    parts, begin = [], 0
    for shown, targets in source.batches(evaluated_at_once(plan)):
        numbers = jnp.arange(begin, begin + len(shown))
        strength = jnp.asarray(strengths, shown.dtype)
        parts.append([
            np.asarray(_right(network, corruption, shown, targets, level, level_key, numbers))
            for level, level_key in zip(strength, keys, strict=True)
        ])  # fmt: skip
        begin += len(shown)
    rows = np.concatenate(parts, axis=1).astype(float)
    for level, row in zip(strengths, rows, strict=True):
        broken = int(np.isnan(row).sum())
        if broken:
            warn(
                f"at level {level:g} of {corruption} the logits of {broken} of {begin} images are not finite: they "
                "count as wrong"
            )
    right = np.nan_to_num(rows)
    errors = np.array([share_error(row.sum(), right.shape[1]) for row in right])
    return Robustness(corruption, strengths.astype(float), right.mean(axis=1), errors, right)


@eqx.filter_jit
def _right(
    network: Any, corruption: str, images: Array, targets: Array, level: Array, key: Key, numbers: Array
) -> Float[Array, " n"]:
    """Whether the largest logit is that of the class: 1/m where m tie for it, NaN where one is not finite."""
    if corruption == "state":
        noisy = eqx.tree_at(lambda n: n.noise_std, network, level.astype(network.noise_std.dtype))
        scores = respond(noisy, images, key=jax.random.fold_in(key, numbers[0])).logits[-1]
    else:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, numbers)  # whatever the size of the batch
        scores = network(jax.vmap(CORRUPTIONS[corruption], in_axes=(0, None, 0))(images, level, keys))
    return spread(jnp.where(jnp.isfinite(scores).all(axis=-1), right_among(scores, targets, 1), jnp.nan))
