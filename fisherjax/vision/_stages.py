"""Training of a convolutional recurrent network in the steps of CordsNet, each of them a function."""

from typing import Unpack

import equinox as eqx
import jax
import jax.numpy as jnp

from fisherjax._errors import check_instance, check_integer, check_key, check_scalar
from fisherjax._runtime import TrainingHistory
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.datasets._sources import Pictures

from ._architecture import Architecture
from ._feedforward import FeedforwardCNN
from ._images import Chosen, StageOptions, chosen, descend_on_images
from ._network import ConvolutionalRNN
from ._objectives import FeedforwardObjective, RecurrenceFit, RecurrenceObjective, RecurrentObjective
from ._source import Images, Source, as_source

LEVELS = 20  # of the leak, from .95 in steps of .05
_FIRST_GAIN = 0.1


def train_feedforward(
    architecture: Architecture,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    num_steps: int,
    **options: Unpack[StageOptions],
) -> tuple[FeedforwardCNN, TrainingHistory]:
    """Step 1: train the feed-forward network with batch normalization by cross-entropy.

    Parameters
    ----------
    architecture
        Sizes.
    images
        Floats (n, height, width, colors), standardized; or `Pictures` (of `datasets.image_folder`,
        `datasets.imagenet`), which have labels and are read, a few at a time, while the device works.
    labels
        Classes (n,), or their probabilities (n, K); None with pictures.
    key
        JAX random key of weights, batches and augmentation.
    num_steps
        Steps of Adam, those before a resume included.
    batch_size
        Images per step, 64 by default: all of them in random order before any comes again.
    learning_rate
        Where it starts, 3e-3 by default; it falls to zero along a cosine.
    max_gradient_norm
        Gradients are scaled down to this global norm, 1 by default.
    augmentation
        Random changes of the images; none by default.
    held_out
        A pair of images and labels to evaluate on, or pictures.
    evaluate_every
        Steps between evaluations and checkpoints; a tenth of all by default.
    checkpoint
        File (.npz) to go on from if it exists, to the same bits as if nothing had happened, and to write to.
    callback
        Called after every evaluation with a `TrainingProgress`, whose `network` is what is trained so far (of step 2 a
        pair with its target); what returns True ends the stage.
    precision
        Of products and convolutions, in gradients too: ``"float32"``, in full on every device,
        ``"tensorfloat32"`` or ``"bfloat16"``, which accelerators do many times faster.
    progress
        Whether to show a bar.

    Returns
    -------
    What is trained, and the course of the training. If the loss stops being finite, the last good state, with a
    warning that says where.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C came, once a checkpoint holds the last whole chunk.
    ValueError
        If images, labels or a number do not fit, or a checkpoint is of another run or broken.
    TypeError
        If `key` is not a JAX key.
    """
    source = as_source(architecture, images, labels)
    stage = chosen(num_steps, **options)
    weight_key, loop_key = jax.random.split(check_key("key", key))
    start = FeedforwardCNN(architecture, key=weight_key)
    return descend_on_images("feed-forward", start, FeedforwardObjective(), architecture, source, loop_key, stage)


def fit_recurrence(
    folded: ConvolutionalRNN,
    images: Images,
    *,
    key: Key,
    num_steps: int,
    penalty: Scalar = 10.0,
    **options: Unpack[StageOptions],
) -> tuple[ConvolutionalRNN, TrainingHistory]:
    """Step 2: recurrent weights and biases whose linear steady state equals the currents of the feed-forward network.

    The series (I + W + W² + W³)(b + s) of every area is fitted to what the folded network computes there, before
    rectification, from the same drive s; `penalty` times the mean square of its last term keeps the series short.

    Parameters
    ----------
    folded
        What `vision.fold_batch_norm` made of step 1.
    images
        As in `train_feedforward`; labels are not needed.
    penalty
        Factor of the last term.
    held_out
        A pair too, its labels are not used. All other parameters are those of `train_feedforward`.
    """
    check_instance("folded", folded, ConvolutionalRNN, "vision.fold_batch_norm makes one")
    check_scalar("penalty", penalty, minimum=0.0)
    stage = chosen(num_steps, **options)
    weight_key, loop_key = jax.random.split(check_key("key", key))
    plan = folded.architecture
    source = _unlabeled(plan, images)
    fresh = ConvolutionalRNN(plan, key=weight_key, recurrent_gain=_FIRST_GAIN)
    network = eqx.tree_at(lambda n: n.recurrent, folded, fresh.recurrent)
    fitted, history = descend_on_images(
        "recurrence", RecurrenceFit(network, folded), RecurrenceObjective(float(penalty)), plan, source, loop_key, stage
    )  # fmt: skip
    return fitted.network, history


def train_linear(
    network: ConvolutionalRNN,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    num_steps: int,
    remat_every: int | None = None,
    **options: Unpack[StageOptions],
) -> tuple[ConvolutionalRNN, TrainingHistory]:
    """Step 3: train the network without rectification, by cross-entropy late in its response to the image.

    Logits count on the last 30 % of the image steps, with weights that rise from 1e-3 to 1. Parameters as in
    `train_feedforward`, and `remat_every` as in `vision.respond`.
    """
    stage = chosen(num_steps, **options)
    return _train_recurrent("linear", network, images, labels, key, stage, leak=1.0, remat_every=remat_every)


def anneal(
    network: ConvolutionalRNN,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    steps_per_level: int,
    offset_steps: int | None = None,
    return_penalty: Scalar = 1e-3,
    remat_every: int | None = None,
    **options: Unpack[StageOptions],
) -> tuple[ConvolutionalRNN, TrainingHistory]:
    """Step 4: from linear to rectified, while the network learns to go back to its baseline.

    The slope of ρ below zero falls from .95 to 0 in 20 levels of `steps_per_level` training steps. Phases are blank,
    image, blank; the mean squared distance to the state before the image over the last ten steps is penalized.
    Other parameters as in `train_feedforward` and `train_linear`.
    """
    level = check_integer("steps_per_level", steps_per_level, minimum=1)
    stage = chosen(LEVELS * level, **options)
    return _train_recurrent(
        "anneal", network, images, labels, key, stage, leak=0.95, leak_decrement=0.05, level_steps=level,
        offset_steps=offset_steps, return_penalty=return_penalty, remat_every=remat_every,
    )  # fmt: skip


def fine_tune(
    network: ConvolutionalRNN,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    num_steps: int,
    offset_steps: int | None = None,
    return_penalty: Scalar = 1e-3,
    remat_every: int | None = None,
    **options: Unpack[StageOptions],
) -> tuple[ConvolutionalRNN, TrainingHistory]:
    """Step 5: train the rectified network; from random weights, this is direct training.

    Loss and phases are those of `anneal` at its end; parameters as in `train_feedforward` and `train_linear`.
    """
    stage = chosen(num_steps, **options)
    return _train_recurrent(
        "fine-tune", network, images, labels, key, stage, leak=0.0, offset_steps=offset_steps,
        return_penalty=return_penalty, remat_every=remat_every,
    )  # fmt: skip


def _unlabeled(architecture: Architecture, images: Images) -> Source:
    """Images whose labels do not count."""
    if isinstance(images, Pictures):
        return as_source(architecture, images)
    shown = architecture.check_images(images)
    return as_source(
        architecture, shown, jnp.full((len(shown), architecture.num_classes), 1 / architecture.num_classes)
    )


def _train_recurrent(
    title: str,
    network: ConvolutionalRNN,
    images: Images,
    labels: ArrayLike | None,
    key: Key,
    stage: Chosen,
    *,
    leak: float,
    leak_decrement: float = 0.0,
    level_steps: int = 1,
    offset_steps: int | None = 0,
    return_penalty: Scalar = 1e-3,
    remat_every: int | None = None,
) -> tuple[ConvolutionalRNN, TrainingHistory]:
    check_instance("network", network, ConvolutionalRNN)
    check_scalar("return_penalty", return_penalty, minimum=0.0)
    plan = network.architecture
    after = plan.image_steps if offset_steps is None else check_integer("offset_steps", offset_steps, minimum=0)
    objective = RecurrentObjective(
        plan.blank_steps, plan.image_steps, after, leak, leak_decrement, level_steps, float(return_penalty),
        float(network.noise_std) > 0, remat_every,
    )  # fmt: skip
    start = eqx.tree_at(lambda n: n.leak, network, jnp.asarray(leak, network.leak.dtype))
    source = as_source(plan, images, labels)
    return descend_on_images(title, start, objective, plan, source, check_key("key", key), stage)
