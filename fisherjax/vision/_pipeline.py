"""All steps of training a convolutional recurrent network, one after another."""

import os
from pathlib import Path
from typing import NamedTuple, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp

from fisherjax._errors import as_path, check_instance, check_integer, check_key, check_scalar
from fisherjax._runtime import TrainingHistory
from fisherjax._types import ArrayLike, Key, Record, Scalar

from ._architecture import Architecture
from ._feedforward import FeedforwardCNN, fold_batch_norm
from ._images import StageOptions, chosen
from ._network import ConvolutionalRNN
from ._source import Images, as_source
from ._stages import LEVELS, anneal, fine_tune, fit_recurrence, train_feedforward, train_linear


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
    histories: dict[str, TrainingHistory]


def train(
    architecture: Architecture,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    steps: StageSteps | None = None,
    noise_std: Scalar = 0.0,
    folder: str | os.PathLike[str] | None = None,
    **options: Unpack[StageOptions],
) -> ConvolutionalTraining:
    """Train in the steps of CordsNet: feed-forward, folded, recurrence, linear, annealed, fine-tuned.

    A stage whose loss stops being finite warns, and the next one goes on from its last good state.

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
    batch_size, learning_rate, max_gradient_norm, augmentation, held_out, evaluate_every, precision, progress
        Of every stage, as in `train_feedforward`.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C came, once a checkpoint holds the last whole chunk.
    ValueError
        If images, labels or a number do not fit, or a checkpoint is of another run or broken.
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
    chosen(counts.feedforward, **options)
    keys = jax.random.split(check_key("key", key), 5)
    place = None if folder is None else as_path("folder", folder)

    def within(name: str) -> StageOptions:
        return {**options, "checkpoint": _stage_file(place, name)}

    pair = (images, labels)
    cnn, first = train_feedforward(
        architecture, *pair, key=keys[0], num_steps=counts.feedforward, **within("feed-forward")
    )
    network, second = fit_recurrence(
        eqx.filter_jit(fold_batch_norm)(cnn), images, key=keys[1], num_steps=counts.recurrence, **within("recurrence")
    )
    network = eqx.tree_at(lambda n: n.noise_std, network, jnp.asarray(noise_std, network.noise_std.dtype))
    network, third = train_linear(network, *pair, key=keys[2], num_steps=counts.linear, **within("linear"))
    network, fourth = anneal(network, *pair, key=keys[3], steps_per_level=counts.anneal, **within("anneal"))
    network, fifth = fine_tune(network, *pair, key=keys[4], num_steps=counts.fine_tune, **within("fine-tune"))
    names = ("feed-forward", "recurrence", "linear", "anneal", "fine-tune")
    return ConvolutionalTraining(network, cnn, dict(zip(names, (first, second, third, fourth, fifth), strict=True)))


def train_directly(
    architecture: Architecture,
    images: Images,
    labels: ArrayLike | None = None,
    *,
    key: Key,
    num_steps: int,
    noise_std: Scalar = 0.0,
    folder: str | os.PathLike[str] | None = None,
    offset_steps: int | None = None,
    return_penalty: Scalar = 1e-3,
    remat_every: int | None = None,
    **options: Unpack[StageOptions],
) -> ConvolutionalTraining:
    """Train the rectified recurrent network from random weights; parameters as in `train` and `fine_tune`."""
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    place = None if folder is None else as_path("folder", folder)
    check_scalar("noise_std", noise_std, minimum=0.0)
    weight_key, loop_key = jax.random.split(check_key("key", key))
    as_source(architecture, images, labels)
    start = ConvolutionalRNN(architecture, key=weight_key, noise_std=noise_std)
    network, history = fine_tune(
        start, images, labels, key=loop_key, num_steps=num_steps, offset_steps=offset_steps,
        return_penalty=return_penalty, remat_every=remat_every,
        **{**options, "checkpoint": _stage_file(place, "direct")},
    )  # fmt: skip
    return ConvolutionalTraining(network, None, {"direct": history})


def _stage_file(folder: Path | None, name: str) -> Path | None:
    """Where the checkpoint of a stage lies."""
    return None if folder is None else folder / f"stage-{name}.npz"
