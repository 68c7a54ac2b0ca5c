"""How often a network is right, through time, on images that need not fit into memory."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._errors import check_choice, check_flag, check_instance, check_integer, check_share, require, warn
from fisherjax._runtime import PRECISIONS, Precision, precision_here, products_in, progress_bar, spread
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.dynamics._shares import share_interval

from ._feedforward import FeedforwardCNN
from ._network import ConvolutionalRNN
from ._respond import respond
from ._source import Images, as_source, evaluated_at_once

_OTHERS = 5


class Evaluation(Record):
    """How often a network is right after every step.

    Parameters
    ----------
    top_1, top_5
        Share of images whose class has the largest logit, and one of the five largest (T,); of m logits that tie for
        the last place, each counts 1/m. A feed-forward network has T = 1.
    top_1_interval, top_5_interval
        Wilson's intervals of these probabilities (T, 2), for images drawn at random.
    confidence
        Probability with which each of them holds it.
    loss
        Mean cross-entropy (T,), in nats.
    confusion
        Images of every class (rows) that were taken for every class when the image vanished (K, K); of classes that
        tie the first.
    num_images
        n.
    onset, offset
        Steps done when the image appeared, and when it vanished.
    """

    top_1: Float[np.ndarray, " T"]
    top_5: Float[np.ndarray, " T"]
    top_1_interval: Float[np.ndarray, "T 2"]
    top_5_interval: Float[np.ndarray, "T 2"]
    confidence: float
    loss: Float[np.ndarray, " T"]
    confusion: Int[np.ndarray, "K K"]
    num_images: int
    onset: int
    offset: int

    @property
    def accuracy(self) -> float:
        """Share of images that are taken for what they are when the image vanishes."""
        return float(self.top_1[self.offset - 1])

    def __repr__(self) -> str:
        last = self.offset - 1
        parts = [("top-1", self.top_1, self.top_1_interval), ("top-5", self.top_5, self.top_5_interval)]
        ends = [
            f"{name} {share[last]:.2%} ({interval[last, 0]:.2%} to {interval[last, 1]:.2%})"
            for name, share, interval in parts[: 1 + (len(self.confusion) > _OTHERS)]
        ]
        return f"Evaluation({', '.join(ends)}, {self.num_images} images)"


def evaluate(
    network: ConvolutionalRNN | FeedforwardCNN,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    offset_steps: int = 0,
    confidence: Scalar = 0.95,
    precision: Precision = "float32",
    progress: bool = False,
) -> Evaluation:
    """Share of images that a network takes for what they are, at every step of its response.

    Parameters
    ----------
    network
        Recurrent, or the feed-forward one of step 1, which has one step. A folded network (one that
        `fold_batch_norm` returned) is to be evaluated by `vision.feedforward_pass`.
    images, labels
        Floats (n, height, width, colors) and classes (n,); or `Pictures`, which have labels and are read while the
        device works: no more than a few batches are in memory.
    offset_steps
        Steps after the image is gone, beside the architecture's blank and image steps.
    confidence
        Of the intervals.
    precision
        Of products and convolutions: ``"float32"``, in full on every device, ``"tensorfloat32"`` or
        ``"bfloat16"``, which accelerators do many times faster.
    progress
        Whether to show a bar.

    Warns
    -----
    RuntimeWarning
        If logits are not finite: those images count as wrong.

    Raises
    ------
    ValueError
        If images or labels do not fit the network, a picture cannot be read, a number is out of range, or
        `precision` is misspelt.
    TypeError
        If `network` is none, or labels are missing.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22, 209–212.
    """
    check_instance("network", network, (ConvolutionalRNN, FeedforwardCNN), "such as vision.train makes")
    plan = network.architecture
    after = check_integer("offset_steps", offset_steps, minimum=0)
    feedforward = isinstance(network, FeedforwardCNN)
    require(not (feedforward and after), "offset_steps must be 0: a feed-forward network has one step")
    share = check_share("confidence", confidence, strict=True)
    check_choice("precision", precision, PRECISIONS)
    source = as_source(plan, images, labels)
    counts, confusion, broken = np.zeros((3, 0)), np.zeros((plan.num_classes,) * 2, np.int64), 0
    with progress_bar("evaluating", len(source), enabled=check_flag("progress", progress)) as advance:
        for shown, targets in source.batches(evaluated_at_once(plan)):
            with products_in(precision):
                scored, decided, lost = jax.tree.map(np.asarray, _scored(network, shown, targets, after))
            counts = scored.astype(float) if counts.size == 0 else counts + scored
            np.add.at(confusion, (np.asarray(targets).argmax(axis=1), decided), 1)
            broken += int(lost)
            advance(len(shown))
    count = len(source)
    if broken:
        warn(f"the logits of {broken} of {count} images are not finite: they count as wrong")
    first, five = (np.array([share_interval(right, count, share) for right in row]) for row in counts[:2])
    onset, offset = (0, 1) if feedforward else (plan.blank_steps, len(first) - after)
    shares = counts / count
    return Evaluation(shares[0], shares[1], first, five, share, shares[2], confusion, count, onset, offset)


@eqx.filter_jit
def _scored(network: Any, images: Array, targets: Array, offset_steps: int) -> tuple[Array, Array, Array]:
    """Sums over images of rightness among one and five and of cross-entropy (3, T), decisions, and how many failed."""
    logits = (
        network(images)[None]
        if isinstance(network, FeedforwardCNN)
        else respond(network, images, offset_steps=offset_steps, precision=precision_here()).logits
    )
    finite = jnp.isfinite(logits).all(axis=-1)
    among = [right_among(logits, targets, places) for places in (1, _OTHERS)]
    loss = -jnp.sum(targets.astype(logits.dtype) * jax.nn.log_softmax(logits), axis=-1)
    sums = jnp.stack([jnp.sum(jnp.where(finite, part, 0), axis=-1) for part in among] + [jnp.sum(loss, axis=-1)])
    return spread((sums, jnp.argmax(logits[len(logits) - 1 - offset_steps], axis=-1), jnp.sum(~finite[-1])))


def right_among(logits: Float[Array, "*T n K"], targets: Float[Array, "n K"], places: int) -> Float[Array, "*T n"]:
    """Whether the logit of the class is among the largest; of m that tie for the last places, each has its share."""
    classes = jnp.broadcast_to(jnp.argmax(targets, axis=-1), logits.shape[:-1])[..., None]
    own = jnp.take_along_axis(logits, classes, axis=-1)
    larger = jnp.sum(logits > own, axis=-1)
    ties = jnp.maximum(jnp.sum(logits == own, axis=-1), 1)
    return jnp.clip((places - larger) / ties, 0, 1).astype(logits.dtype)
