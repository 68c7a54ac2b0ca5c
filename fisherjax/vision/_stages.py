"""Training of a convolutional recurrent network in the steps of CordsNet, each of them a function."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_integer, check_key, check_scalar, require, told
from fisherjax._types import ArrayLike, Key, Scalar

from ._architecture import Architecture
from ._augment import class_probabilities
from ._descent import Labeled, StageHistory, descend
from ._feedforward import FeedforwardCNN
from ._network import ConvolutionalRNN
from ._objectives import FeedforwardObjective, RecurrenceFit, RecurrenceObjective, RecurrentObjective

LEVELS = 20  # of the leak, from .95 in steps of .05
_FIRST_GAIN = 0.1


def labeled(architecture: Architecture, images: ArrayLike, labels: ArrayLike) -> Labeled:
    """Images and labels as training takes them, checked against the architecture.

    Raises
    ------
    ValueError
        If images are not (n, height, width, colors) of its sizes or not floats, or labels do not fit.
    """
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    array = architecture.check_images(images)
    require(array.ndim == 4 and len(array) > 0, f"images must be (n, height, width, colors), got {array.shape}")
    targets = class_probabilities(labels, architecture.num_classes, len(array))
    return Labeled(array.astype(targets.dtype), targets)


def train_feedforward(
    architecture: Architecture, images: ArrayLike, labels: ArrayLike, *, key: Key, num_steps: int, **options: Any
) -> tuple[FeedforwardCNN, StageHistory]:
    """Step 1: train the feed-forward network with batch normalization by cross-entropy.

    Parameters
    ----------
    architecture
        Sizes.
    images
        Floats (n, height, width, colors), standardized.
    labels
        Classes (n,), or their probabilities (n, K).
    key
        JAX random key of weights, batches and augmentation.
    num_steps
        Training steps.
    **options
        batch_size (64), learning_rate (3e-3), max_gradient_norm (1), augmentation, validation (a pair of images and
        labels), evaluate_every, checkpoint (a file to write and go on from), progress: as in all steps.

    Raises
    ------
    ValueError
        If images, labels or a number do not fit, the loss stops being finite, or a checkpoint is of another run.
    TypeError
        If `key` is not a JAX key.
    """
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    check_integer("num_steps", num_steps, minimum=1)
    weight_key, loop_key = jax.random.split(check_key("key", key))
    return _descend(
        "feed-forward", FeedforwardCNN(architecture, key=weight_key), FeedforwardObjective(), architecture,
        (images, labels), loop_key, num_steps, options,
    )  # fmt: skip


def fit_recurrence(
    folded: ConvolutionalRNN,
    images: ArrayLike,
    *,
    key: Key,
    num_steps: int,
    penalty: Scalar = 10.0,
    **options: Any,
) -> tuple[ConvolutionalRNN, StageHistory]:
    """Step 2: recurrent weights and biases whose linear steady state equals the currents of the feed-forward network.

    The series (I + W + W² + W³)(b + s) of every area is fitted to what the folded network computes there, before
    rectification, from the same drive s; `penalty` times the mean square of its last term keeps the series short.

    Parameters
    ----------
    folded
        What `vision.fold_batch_norm` made of step 1.
    images
        As in `train_feedforward`; labels are not needed.
    key, num_steps, **options
        As in `train_feedforward`; validation is a pair too, its labels are not used.
    penalty
        Factor of the last term.
    """
    check_instance("folded", folded, ConvolutionalRNN, "vision.fold_batch_norm makes one")
    check_scalar("penalty", penalty, minimum=0.0)
    check_integer("num_steps", num_steps, minimum=1)
    weight_key, loop_key = jax.random.split(check_key("key", key))
    images = folded.architecture.check_images(images)
    plan = folded.architecture
    fresh = ConvolutionalRNN(plan, key=weight_key, recurrent_gain=_FIRST_GAIN)
    network = eqx.tree_at(lambda n: n.recurrent, folded, fresh.recurrent)
    classes = jnp.full((len(images), plan.num_classes), 1 / plan.num_classes)
    found, history = _descend(
        "recurrence", RecurrenceFit(network, folded), RecurrenceObjective(float(penalty)), plan, (images, classes),
        loop_key, num_steps, options,
    )  # fmt: skip
    return found.network, history


def train_linear(
    network: ConvolutionalRNN, images: ArrayLike, labels: ArrayLike, *, key: Key, num_steps: int, **options: Any
) -> tuple[ConvolutionalRNN, StageHistory]:
    """Step 3: train the network without rectification, by cross-entropy late in its response to the image.

    Logits count on the last 30 % of the image steps, with weights that rise from 1e-3 to 1. Parameters as in
    `train_feedforward`; remat_every too, as in `vision.respond`.
    """
    return _train_recurrent("linear", network, images, labels, key, num_steps, options, leak=1.0)


def anneal(
    network: ConvolutionalRNN,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    key: Key,
    steps_per_level: int,
    offset_steps: int | None = None,
    return_penalty: Scalar = 1e-3,
    **options: Any,
) -> tuple[ConvolutionalRNN, StageHistory]:
    """Step 4: from linear to rectified, while the network learns to go back to its baseline.

    The slope of ρ below zero falls from .95 to 0 in 20 levels of `steps_per_level` training steps. Phases are blank,
    image, blank; the mean squared distance to the state before the image over the last ten steps is penalized.
    Other parameters as in `train_feedforward`.
    """
    level = check_integer("steps_per_level", steps_per_level, minimum=1)
    return _train_recurrent(
        "anneal", network, images, labels, key, LEVELS * level, options,
        leak=0.95, leak_decrement=0.05, level_steps=level,
        offset_steps=offset_steps, return_penalty=return_penalty,
    )  # fmt: skip


def fine_tune(
    network: ConvolutionalRNN,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    key: Key,
    num_steps: int,
    offset_steps: int | None = None,
    return_penalty: Scalar = 1e-3,
    **options: Any,
) -> tuple[ConvolutionalRNN, StageHistory]:
    """Step 5: train the rectified network; from random weights, this is direct training.

    Loss and phases are those of `anneal` at its end; parameters as in `train_feedforward`.
    """
    return _train_recurrent(
        "fine-tune", network, images, labels, key, num_steps, options,
        leak=0.0, offset_steps=offset_steps, return_penalty=return_penalty,
    )  # fmt: skip


def accuracy(network: ConvolutionalRNN | FeedforwardCNN, images: ArrayLike, labels: ArrayLike) -> float:
    """Share of images whose largest logit is that of their class, after the architecture's steps.

    A folded network (one that `fold_batch_norm` returned) is to be evaluated by `vision.feedforward_pass`.
    """
    check_instance("network", network, (ConvolutionalRNN, FeedforwardCNN))
    plan = network.weights.architecture if isinstance(network, FeedforwardCNN) else network.architecture
    data = labeled(plan, images, labels)
    correct = 0.0
    for begin in range(0, len(data.images), 256):
        batch = data.images[begin : begin + 256]
        logits = _evaluate(network, batch)
        correct += float(jnp.sum(jnp.argmax(logits, axis=-1) == jnp.argmax(data.targets[begin : begin + 256], axis=-1)))
    return correct / len(data.images)


@eqx.filter_jit
def _evaluate(network: Any, images: Array) -> Float[Array, "n K"]:
    return network(images)


def _train_recurrent(
    title: str,
    network: ConvolutionalRNN,
    images: ArrayLike,
    labels: ArrayLike,
    key: Key,
    num_steps: int,
    options: dict[str, Any],
    **settings: Any,
) -> tuple[ConvolutionalRNN, StageHistory]:
    check_instance("network", network, ConvolutionalRNN)
    key = check_key("key", key)
    if "return_penalty" in settings:
        check_scalar("return_penalty", settings["return_penalty"], minimum=0.0)
        settings["return_penalty"] = float(settings["return_penalty"])
    plan, options = network.architecture, dict(options)
    after = settings.pop("offset_steps", 0)
    settings["offset_steps"] = plan.image_steps if after is None else check_integer("offset_steps", after, minimum=0)
    objective = RecurrentObjective(
        plan.blank_steps,
        plan.image_steps,
        noisy=float(network.noise_std) > 0,
        remat_every=options.pop("remat_every", None),
        **settings,
    )
    start = eqx.tree_at(lambda n: n.leak, network, jnp.asarray(objective.leak, network.leak.dtype))
    return _descend(title, start, objective, plan, (images, labels), key, num_steps, options)


def _descend(
    title: str,
    model: Any,
    objective: Any,
    plan: Architecture,
    pair: tuple[Any, Any],
    key: Key,
    num_steps: int,
    options: dict[str, Any],
) -> tuple[Any, StageHistory]:
    options = dict(options)
    validation = options.pop("validation", None)
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise TypeError(f"validation must be a pair of images and labels, got {told(validation)}")
        try:
            validation = labeled(plan, *validation)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from error
    data = labeled(plan, *pair)
    return descend(title, model, objective, data, key=key, num_steps=num_steps, validation=validation, **options)


def stage_file(folder: Path | None, name: str) -> Path | None:
    """Where the checkpoint of a stage lies."""
    return None if folder is None else folder / f"stage-{name}.npz"
