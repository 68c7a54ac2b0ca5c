"""The loop of descent on labeled images, and the options that all stages of training share."""

import os
from contextlib import closing
from typing import Any, NamedTuple, Protocol, TypedDict, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from fisherjax._errors import check_choice, check_integer, check_scalar, told
from fisherjax._runtime import (
    PRECISIONS,
    Callback,
    Objective,
    Options,
    Outcome,
    Precision,
    TrainingHistory,
    descend,
    key_words,
    products_in,
    spread,
)
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.datasets._sources import Pictures

from ._architecture import Architecture
from ._augmentation import Augmentation, augment, check_augmentation
from ._source import Decoded, Images, InMemory, Source, as_source, evaluated_at_once, source_stream

Pair = tuple[Images, ArrayLike | None]
"""Images and their labels; None with pictures, which have their own."""


@runtime_checkable
class ImageLoss(Protocol):
    """What a stage minimizes; hashable, so that equal ones share a compiled loop."""

    def loss(self, model: Any, images: Array, targets: Array, key: Key, step: Array, /) -> tuple[Array, Any]:
        """Loss of a batch, and the model with what it keeps track of in training moved on."""
        ...

    def measure(self, model: Any, images: Array, targets: Array) -> tuple[Array, Array]:
        """Loss and correctness (NaN where there is none) of every image."""
        ...

    def trainable(self, model: Any) -> Any:
        """The model with True for every array that is trained, False for all others."""
        ...


class StageOptions(TypedDict, total=False):
    """Options of all stages, which `train_feedforward` explains."""

    batch_size: int
    learning_rate: Scalar
    max_gradient_norm: Scalar
    augmentation: Augmentation | None
    held_out: Pair | Pictures | None
    evaluate_every: int | None
    checkpoint: str | os.PathLike[str] | None
    callback: Callback | None
    precision: Precision
    progress: bool


class Chosen(NamedTuple):
    """Options of a stage, checked."""

    descent: Options
    learning_rate: float
    augmentation: Augmentation
    held_out: Pair | Pictures | None
    precision: Precision


def chosen(
    num_steps: int,
    *,
    batch_size: int = 64,
    learning_rate: Scalar = 3e-3,
    max_gradient_norm: Scalar = 1.0,
    augmentation: Augmentation | None = None,
    held_out: Pair | Pictures | None = None,
    evaluate_every: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    callback: Callback | None = None,
    precision: Precision = "float32",
    progress: bool = False,
) -> Chosen:
    """Those of every descent: Adam with a learning rate that falls to zero along a cosine."""
    steps = check_integer("num_steps", num_steps, minimum=1)
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    check_augmentation(augmentation := augmentation or Augmentation())
    descent = Options(
        steps, batch_size, optax.cosine_decay_schedule(float(learning_rate), steps),
        max_gradient_norm=max_gradient_norm, keep_best=False, checkpoint=checkpoint, callback=callback,
        evaluate_every=-(-steps // 10) if evaluate_every is None else evaluate_every, progress=progress,
    )  # fmt: skip
    check_choice("precision", precision, PRECISIONS)
    return Chosen(descent, float(learning_rate), augmentation, held_out, precision)


def descend_on_images(
    title: str, model: Any, minimized: ImageLoss, architecture: Architecture, source: Source, key: Key, stage: Chosen
) -> tuple[Any, TrainingHistory]:
    """A stage of training: the model after its last good step, and its course."""
    options = stage.descent
    held_out = None if stage.held_out is None else _held_out(architecture, stage.held_out)

    def evaluate(model: Any) -> tuple[float, float]:
        assert held_out is not None  # noqa: S101
        parts = [_measure(minimized, model, *batch) for batch in held_out.batches(evaluated_at_once(architecture))]
        loss, correct = np.concatenate([np.asarray(part) for part in parts], axis=1).mean(axis=1)
        return float(loss), float(correct)

    settings = {
        "title": title,
        "num_steps": options.num_steps,  # the cosine's length
        "learning_rate": stage.learning_rate,
        "precision": stage.precision,
        "augmentation": tuple(stage.augmentation),
        "objective": repr(minimized),
        "key": key_words(key),
        "held_out": "" if held_out is None or options.checkpoint is None else held_out.fingerprint,
    }
    stream = source_stream(key, source, options.batch_size, options.num_steps, stage.augmentation)
    with closing(stream), products_in(stage.precision):
        descent = descend(
            title, model, _OfImages(minimized, source.inside, stage.augmentation), options, key=key, stream=stream,
            evaluate=None if held_out is None else evaluate, settings=settings,
        )  # fmt: skip
    return descent.last, descent.history


class _OfImages(Objective):
    """The loss of a stage on images that are chosen by number and changed at random."""

    minimized: ImageLoss = eqx.field(static=True)
    source: InMemory | Decoded
    augmentation: Augmentation = eqx.field(static=True)

    def loss(self, model: Any, item: Any, memory: None, key: Key, step: Array) -> tuple[Array, Outcome]:  # noqa: ARG002
        change_key, noise_key = jax.random.split(key)
        images, targets = self.source.batch(item)
        images, targets = augment(images, targets, key=change_key, augmentation=self.augmentation)
        images, targets = spread((images, targets), "batch")
        value, moved = self.minimized.loss(model, images, targets, noise_key, step)
        return value, Outcome(moved)

    def trainable(self, model: Any) -> Any:
        return self.minimized.trainable(model)


@eqx.filter_jit
def _measure(minimized: ImageLoss, model: Any, images: Array, targets: Array) -> Array:
    return spread(jnp.stack(minimized.measure(model, images, targets)))


def _held_out(architecture: Architecture, given: Any) -> Source:
    given = (given, None) if isinstance(given, Pictures) else given
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError(f"held_out must be a pair of images and labels, or pictures, got {told(given)}")
    try:
        return as_source(architecture, *given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"held_out: {error}") from error
