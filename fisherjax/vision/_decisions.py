"""Decisions of a convolutional recurrent network through time, in noise, and its way back when the image is gone."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.special import softmax

from fisherjax._arrays import as_class_numbers, as_real, host_real
from fisherjax._errors import check_choice, check_integer, check_key, check_share, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Record, Scalar
from fisherjax.dynamics._shares import share_error

from ._network import ConvolutionalRNN, check_network
from ._respond import respond

_BATCH = 256


class Decisions(Record):
    """What a network decides at every step, and when.

    Parameters
    ----------
    accuracy
        Share of images whose largest logit is that of their class (T,); of m logits that tie for it, each counts as
        the decision in one case of m.
    confidence
        Mean over images of the largest probability (T,).
    reaction_time
        Steps after the onset from which on confidence stays above the threshold, with one logit the largest, until the
        last step (n,); NaN where it does not.
    decision
        The class of the largest logit at that time, or at the last step (n,).
    decided_accuracy
        Share of right decisions among the images that were decided on; NaN if there are none.
    """

    accuracy: Float[np.ndarray, " T"]
    confidence: Float[np.ndarray, " T"]
    reaction_time: Float[np.ndarray, " n"]
    decision: Int[np.ndarray, " n"]
    decided_accuracy: float


@full_precision
def decisions(
    logits: Float[Array | np.ndarray, "T n K"], labels: ArrayLike, *, threshold: Scalar = 0.8, onset: int = 0
) -> Decisions:
    """Accuracy, confidence and reaction times from logits at every step, such as those of `vision.respond`.

    Parameters
    ----------
    logits
        After every step (T, n, K).
    labels
        Classes (n,).
    threshold
        Probability above which a decision stands, in (0, 1).
    onset
        Steps before the image appeared; reaction times count from there.

    Raises
    ------
    ValueError
        If shapes do not match or are empty, logits are not finite, labels are out of range, or a number is.
    TypeError
        If logits are no real numbers, or labels no classes.
    """
    scores = host_real("logits", logits, "T n K")
    require(scores.size > 0, f"logits must hold at least one step, image and class, got shape {scores.shape}")
    steps, count, num_classes = scores.shape
    classes = np.asarray(as_class_numbers("labels", labels, count, num_classes))
    limit = check_share("threshold", threshold, strict=True)
    begin = check_integer("onset", onset, minimum=0, maximum=steps - 1)
    confidence, chosen = softmax(scores.astype(np.float64), axis=-1).max(axis=-1), scores.argmax(axis=-1)
    largest = scores == scores.max(axis=-1, keepdims=True)
    above = (confidence[begin:] > limit) & (largest[begin:].sum(axis=-1) == 1)
    # the number of steps at the end that are all above the threshold
    standing = np.cumprod(above[::-1], axis=0).sum(axis=0)
    decided = standing > 0
    first = np.where(decided, len(above) - standing, len(above) - 1)
    decision = chosen[begin + first, np.arange(count)]
    right = (decision == classes)[decided]
    return Decisions(
        np.mean([_right(each, classes) for each in scores], axis=1),
        confidence.mean(axis=1),
        np.where(decided, first + 1.0, np.nan),
        decision,
        float(right.mean()) if len(right) else float("nan"),
    )


def _right(scores: Float[np.ndarray, "n K"], classes: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Whether the largest logit is that of the class; 1/m of m that tie, 0 where one is not a number."""
    largest = scores == scores.max(axis=-1, keepdims=True)
    return largest[np.arange(len(classes)), classes] / np.maximum(largest.sum(axis=-1), 1)


class Robustness(Record):
    """Accuracy under noise.

    Parameters
    ----------
    noise_std
        Standard deviations (levels,).
    accuracy, standard_error
        Share of right decisions at the last step, ties by halves, and its standard error, which is not 0 where all
        are right or none: half of Wilson's interval of one standard error to either side (levels,).
    """

    noise_std: Float[np.ndarray, " levels"]
    accuracy: Float[np.ndarray, " levels"]
    standard_error: Float[np.ndarray, " levels"]


@full_precision
def robustness(
    network: ConvolutionalRNN,
    images: Float[Array | np.ndarray, "n height width colors"],
    labels: ArrayLike,
    *,
    key: Key,
    noise_std: Sequence[float],
    where: str = "input",
) -> Robustness:
    """Accuracy at the end of the response, at several levels of noise.

    Parameters
    ----------
    network
        Its own noise is left out for noise in the input, and replaced for noise in the state.
    images, labels
        Floats (n, height, width, colors) and classes (n,).
    key
        JAX random key.
    noise_std
        Levels: of pixels, one draw per image; or σ of the state noise (see `vision.ConvolutionalRNN`).
    where
        "input" or "state".

    Warns
    -----
    RuntimeWarning
        If logits are not finite: those images count as wrong.

    Raises
    ------
    ValueError
        If `where` is misspelt, a level is negative, there is no image, or shapes do not match.
    TypeError
        If `key` is not a JAX key, or an argument does not hold real numbers.
    """
    check_network(network)
    check_choice("where", where, ("input", "state"))
    levels = as_real("noise_std", noise_std, "levels", minimum=0.0)
    require(levels.size > 0, "noise_std must hold at least one level")
    key, pictures = check_key("key", key), network.architecture.as_pictures("images", images)
    plan = network.architecture
    classes = np.asarray(as_class_numbers("labels", labels, len(pictures), plan.num_classes))
    counts = []
    for index, level in enumerate(levels):
        right, broken = 0.0, 0
        for begin in range(0, len(pictures), _BATCH):
            batch = pictures[begin : begin + _BATCH]
            draw = jax.random.fold_in(jax.random.fold_in(key, index), begin)
            scores = np.asarray(_noisy_logits(network, batch, draw, level.astype(batch.dtype), where))
            broken += int(np.sum(~np.isfinite(scores).all(axis=-1)))
            right += float(np.sum(_right(scores, classes[begin : begin + _BATCH])))
        counts.append(right)
        if broken:
            warn(
                f"at noise_std {float(level):g} the logits of {broken} of {len(pictures)} images are not finite: they "
                "count as wrong"
            )
    errors = [share_error(count, len(pictures)) for count in counts]
    return Robustness(np.asarray(levels, float), np.array(counts) / len(pictures), np.array(errors))


def _noisy_logits(network: ConvolutionalRNN, images: Array, key: Key, level: Array, where: str) -> Array:
    if where == "input":
        return respond(network, images + level * jax.random.normal(key, images.shape, images.dtype)).logits[-1]
    noisy = eqx.tree_at(lambda n: n.noise_std, network, level.astype(network.noise_std.dtype))
    return respond(noisy, images, key=key).logits[-1]


class Relaxation(Record):
    """The way back to the baseline after the image.

    Parameters
    ----------
    distance
        Root mean square over units of r − r before the image, at the offset and after every step since (steps + 1, n).
    time_constant
        Steps in which the distance falls to 1/e over the last half of the way, by least squares on its logarithm (n,);
        NaN where it does not fall, or is at rounding.
    returned
        Whether the last distance is below a hundredth of that at the offset, or at rounding (n,).
    """

    distance: Float[np.ndarray, "steps n"]
    time_constant: Float[np.ndarray, " n"]
    returned: Bool[np.ndarray, " n"]


@full_precision
def relaxation(
    network: ConvolutionalRNN, images: Float[Array | np.ndarray, "n height width colors"], *, offset_steps: int = 100
) -> Relaxation:
    """How all areas go back to the state before the image once it is gone.

    Warns
    -----
    RuntimeWarning
        If after some images the distance does not fall: there is no time constant.

    Raises
    ------
    ValueError
        If images are not (n, height, width, colors), there are less than four steps, or there is no blank phase.
    """
    after = check_integer("offset_steps", offset_steps, minimum=4)
    check_network(network)
    plan, pictures = network.architecture, network.architecture.as_pictures("images", images)
    onset, offset = plan.blank_steps, plan.blank_steps + plan.image_steps
    require(onset > 0, "relaxation needs blank_steps > 0: the baseline is the state before the image")
    at = (onset, *range(offset, offset + after + 1))
    response = respond(network, pictures, offset_steps=after, areas="all", at=at)
    squares = sum(jnp.sum((area[1:] - area[0]) ** 2, axis=(2, 3, 4)) for area in response.activity)
    distance = np.sqrt(np.asarray(squares, float) / plan.num_units)
    late = distance[-(after // 2) :]
    steps = np.arange(len(late)) - (len(late) - 1) / 2
    baseline = np.sqrt(
        np.asarray(sum(jnp.sum(area[0] ** 2, axis=(1, 2, 3)) for area in response.activity)) / plan.num_units
    )
    floor = np.finfo(np.asarray(response.logits).dtype).eps * np.maximum(distance[0], baseline)
    moving = (late > floor).all(axis=0) & np.isfinite(late).all(axis=0)
    slope = steps @ np.log(np.where(moving, late, 1)) / (steps @ steps)
    # over the time that is looked at it must fall by more than the rounding of states
    falling = slope * len(late) < -floor / np.where(moving, late[-1], 1)
    stuck = int(np.sum(~falling & ~(late[-1] <= floor)))
    if stuck:
        warn(
            f"after {stuck} of {len(pictures)} images the network does not return: there the distance to the baseline "
            "does not fall, and time_constant is NaN"
        )
    constant = np.where(moving & falling, -1 / np.where(moving & falling, slope, 1), np.nan)
    return Relaxation(distance, constant, (distance[-1] < distance[0] / 100) | (distance[-1] <= floor))
