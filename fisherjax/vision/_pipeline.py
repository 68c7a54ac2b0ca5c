"""All steps of training a convolutional recurrent network, one after another."""

import os
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from fisherjax._errors import as_path, check_instance, check_integer, check_key, check_scalar
from fisherjax._types import ArrayLike, Key, Record, Scalar

from ._architecture import Architecture
from ._descent import StageHistory
from ._feedforward import FeedforwardCNN, fold_batch_norm
from ._network import ConvolutionalRNN
from ._stages import LEVELS, anneal, fine_tune, fit_recurrence, labeled, stage_file, train_feedforward, train_linear


class StageSteps(NamedTuple):
    """Training steps of every stage; those of `anneal` are per level of the leak, of which there are 20."""

    feedforward: int = 300
    recurrence: int = 300
    linear: int = 100
    anneal: int = 8
    fine_tune: int = 100

    @property
    def total(self) -> int:
        """Updates of all stages together."""
        return self.feedforward + self.recurrence + self.linear + LEVELS * self.anneal + self.fine_tune


class ConvolutionalTraining(Record):
    """A trained convolutional recurrent network and how it came about.

    Parameters
    ----------
    network
        The recurrent network after the last stage.
    cnn
        The feed-forward network of step 1; None after direct training.
    histories
        Course of every stage, by its name, in order.
    """

    network: ConvolutionalRNN
    cnn: FeedforwardCNN | None
    histories: dict[str, StageHistory]


def train(
    architecture: Architecture,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    key: Key,
    steps: StageSteps | None = None,
    noise_std: Scalar = 0.0,
    folder: str | os.PathLike[str] | None = None,
    **options: Any,
) -> ConvolutionalTraining:
    """Train in the steps of CordsNet: feed-forward, folded, recurrence, linear, annealed, fine-tuned.

    Parameters
    ----------
    architecture
        Sizes, α, and steps of a response.
    images, labels
        As in `train_feedforward`.
    key
        JAX random key.
    steps
        Training steps of every stage.
    noise_std
        σ of the state noise, from the linear stage on.
    folder
        Where every stage keeps its checkpoint, ``stage-NAME.npz``. What is there already is gone on from, to the
        same bits as if it had never stopped.
    **options
        Those of `train_feedforward`, for all stages.

    Raises
    ------
    ValueError
        If images, labels or a number do not fit, a loss stops being finite, or a checkpoint is of another run.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Soo, Battista, Radmard & Wang (2024), Recurrent neural network dynamical systems for biological vision, NeurIPS.
    """
    counts = StageSteps() if steps is None else check_instance("steps", steps, StageSteps, "vision.StageSteps()")
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    for name, count in counts._asdict().items():
        check_integer(f"steps: {name}", count, minimum=1)
    check_scalar("noise_std", noise_std, minimum=0.0)
    keys = jax.random.split(check_key("key", key), 5)
    place = None if folder is None else as_path("folder", folder)

    def settings(name: str) -> dict[str, Any]:
        return {**options, "checkpoint": stage_file(place, name)}

    pair = (images, labels)
    cnn, first = train_feedforward(
        architecture, *pair, key=keys[0], num_steps=counts.feedforward, **settings("feed-forward")
    )
    network, second = fit_recurrence(
        eqx.filter_jit(fold_batch_norm)(cnn), images, key=keys[1], num_steps=counts.recurrence, **settings("recurrence")
    )
    network = eqx.tree_at(lambda n: n.noise_std, network, jnp.asarray(noise_std, network.noise_std.dtype))
    network, third = train_linear(network, *pair, key=keys[2], num_steps=counts.linear, **settings("linear"))
    network, fourth = anneal(network, *pair, key=keys[3], steps_per_level=counts.anneal, **settings("anneal"))
    network, fifth = fine_tune(network, *pair, key=keys[4], num_steps=counts.fine_tune, **settings("fine-tune"))
    names = ("feed-forward", "recurrence", "linear", "anneal", "fine-tune")
    histories: dict[str, StageHistory] = dict(zip(names, (first, second, third, fourth, fifth), strict=True))
    return ConvolutionalTraining(network, cnn, histories)


def train_directly(
    architecture: Architecture,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    key: Key,
    num_steps: int,
    noise_std: Scalar = 0.0,
    folder: str | os.PathLike[str] | None = None,
    **options: Any,
) -> ConvolutionalTraining:
    """Train the rectified recurrent network from random weights; parameters as in `train`."""
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    place = None if folder is None else as_path("folder", folder)
    check_integer("num_steps", num_steps, minimum=1)
    check_scalar("noise_std", noise_std, minimum=0.0)
    weight_key, loop_key = jax.random.split(check_key("key", key))
    labeled(architecture, images, labels)
    start = ConvolutionalRNN(architecture, key=weight_key, noise_std=noise_std)
    settings = {**options, "checkpoint": stage_file(place, "direct")}
    network, history = fine_tune(start, images, labels, key=loop_key, num_steps=num_steps, **settings)
    return ConvolutionalTraining(network, None, {"direct": history})
