"""Decisions of a convolutional recurrent network through time."""

import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import softmax

from fisherjax._arrays import as_class_numbers, host_real
from fisherjax._errors import check_integer, check_share, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar


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
