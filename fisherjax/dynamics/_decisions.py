"""Decisions of a convolutional recurrent network through time, in noise, and its way back when the image is gone."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fisherjax._errors import check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Result, Scalar
from fisherjax.networks import ConvolutionalRNN, respond
from fisherjax.numerics import full_precision

_BATCH = 256


class Decisions(Result):
    """What a network decides at every step, and when.

    Parameters
    ----------
    accuracy
        Share of images whose largest logit is that of their class (T,).
    confidence
        Mean over images of the largest probability (T,).
    reaction_time
        Steps after the onset from which on confidence stays above the threshold until the last step (n,); NaN where
        it does not.
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
    logits: Float[Array | np.ndarray, "T n K"],
    labels: object,
    *,
    threshold: Scalar = 0.8,
    onset: int = 0,
) -> Decisions:
    """Accuracy, confidence and reaction times from logits at every step, such as those of `networks.respond`.

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
        If shapes do not match, labels are out of range, or a number is.
    """
    scores, classes = np.asarray(logits), np.asarray(labels)
    require(scores.ndim == 3, f"logits must be (T, n, K), got {scores.shape}")
    steps, count, num_classes = scores.shape
    require(classes.shape == (count,), f"labels must be ({count},), got {classes.shape}")
    require(
        classes.dtype.kind in "iu" and int(classes.min()) >= 0 and int(classes.max()) < num_classes,
        f"labels must be integers within 0…{num_classes - 1}",
    )
    check_scalar("threshold", threshold, minimum=0.0, strict=True)
    require(float(threshold) < 1, f"threshold must be below 1, got {threshold}")
    begin = check_integer("onset", onset, minimum=0)
    require(begin < steps, f"onset must be within the {steps} steps, got {begin}")
    probabilities = np.asarray(jax.nn.softmax(scores, axis=-1))
    confidence, chosen = probabilities.max(axis=-1), scores.argmax(axis=-1)
    above = confidence[begin:] > float(threshold)
    # the number of steps at the end that are all above the threshold
    standing = np.cumprod(above[::-1], axis=0).sum(axis=0)
    decided = standing > 0
    first = np.where(decided, len(above) - standing, len(above) - 1)
    decision = chosen[begin + first, np.arange(count)]
    right = (decision == classes)[decided]
    return Decisions(
        (chosen == classes).mean(axis=1),
        confidence.mean(axis=1).astype(float),
        np.where(decided, first + 1.0, np.nan),
        decision,
        float(right.mean()) if len(right) else float("nan"),
    )


class Robustness(Result):
    """Accuracy under noise.

    Parameters
    ----------
    noise_std
        Standard deviations (levels,).
    accuracy, standard_error
        Share of right decisions at the last step, and its binomial standard error (levels,).
    """

    noise_std: Float[np.ndarray, " levels"]
    accuracy: Float[np.ndarray, " levels"]
    standard_error: Float[np.ndarray, " levels"]


@full_precision
def robustness(
    network: ConvolutionalRNN,
    images: Float[Array | np.ndarray, "n height width colours"],
    labels: object,
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
        Floats (n, height, width, colours) and classes (n,).
    key
        JAX random key.
    noise_std
        Levels: of pixels, one draw per image; or σ of the state noise (see `networks.ConvolutionalRNN`).
    where
        "input" or "state".

    Raises
    ------
    ValueError
        If `where` is misspelt, a level is negative, or shapes do not match.
    TypeError
        If `key` is not a JAX key.
    """
    require(where in {"input", "state"}, f"where must be 'input' or 'state', got {where!r}")
    levels = [float(level) for level in noise_std]
    require(bool(levels) and min(levels) >= 0, f"noise_std must be levels of at least 0, got {levels}")
    key, pictures, classes = check_key("key", key), jnp.asarray(images), np.asarray(labels)
    require(classes.shape == (len(pictures),), f"labels must be ({len(pictures)},), got {classes.shape}")
    shares = []
    for index, level in enumerate(levels):
        right = 0
        for begin in range(0, len(pictures), _BATCH):
            batch = pictures[begin : begin + _BATCH]
            draw = jax.random.fold_in(jax.random.fold_in(key, index), begin)
            found = _noisy_logits(network, batch, draw, jnp.asarray(level, batch.dtype), where)
            right += int(np.sum(np.argmax(np.asarray(found), axis=-1) == classes[begin : begin + _BATCH]))
        shares.append(right / len(pictures))
    accuracy = np.array(shares)
    return Robustness(np.array(levels), accuracy, np.sqrt(accuracy * (1 - accuracy) / len(pictures)))


def _noisy_logits(network: ConvolutionalRNN, images: Array, key: Key, level: Array, where: str) -> Array:
    if where == "input":
        return respond(network, images + level * jax.random.normal(key, images.shape, images.dtype)).logits[-1]
    noisy = eqx.tree_at(lambda n: n.noise_std, network, level.astype(network.noise_std.dtype))
    return respond(noisy, images, key=key).logits[-1]


class Relaxation(Result):
    """The way back to the baseline after the image.

    Parameters
    ----------
    distance
        Root mean square over units of r − r before the image, at the offset and after every step since (steps + 1, n).
    time_constant
        Steps in which the distance falls to 1/e over the last half of the way, by least squares on its logarithm (n,);
        negative where it grows, NaN where it is at rounding.
    returned
        Whether the last distance is below a hundredth of that at the offset (n,).
    """

    distance: Float[np.ndarray, "steps n"]
    time_constant: Float[np.ndarray, " n"]
    returned: Bool[np.ndarray, " n"]


@full_precision
def relaxation(
    network: ConvolutionalRNN,
    images: Float[Array | np.ndarray, "n height width colours"],
    *,
    offset_steps: int = 100,
) -> Relaxation:
    """How all areas go back to the state before the image once it is gone.

    Raises
    ------
    ValueError
        If images are not (n, height, width, colours), there are less than four steps, or there is no blank phase.
    """
    after = check_integer("offset_steps", offset_steps, minimum=4)
    plan = network.architecture
    require(np.ndim(images) == 4, f"images must be (n, height, width, colours), got {np.shape(images)}")
    onset, offset = plan.blank_steps, plan.blank_steps + plan.image_steps
    require(onset > 0, "relaxation needs blank_steps > 0: the baseline is the state before the image")
    at = (onset, *range(offset, offset + after + 1))
    found = respond(network, images, offset_steps=after, areas="all", at=at)
    squares = sum(jnp.sum((area[1:] - area[0]) ** 2, axis=(2, 3, 4)) for area in found.activity)
    distance = np.sqrt(np.asarray(squares, float) / plan.num_units)
    late = distance[-(after // 2) :]
    steps = np.arange(len(late)) - (len(late) - 1) / 2
    baseline = np.sqrt(
        np.asarray(sum(jnp.sum(area[0] ** 2, axis=(1, 2, 3)) for area in found.activity)) / plan.num_units
    )
    floor = np.finfo(np.asarray(found.logits).dtype).eps * np.maximum(distance[0], baseline)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = steps @ np.log(late) / (steps @ steps)
        constant = np.where((late > floor).all(axis=0), -1 / slope, np.nan)
    return Relaxation(distance, constant, distance[-1] < distance[0] / 100)
