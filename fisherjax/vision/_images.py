"""Labeled images to train on: what the user gives, batches of it, and the loop of descent on them."""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypedDict, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fisherjax._arrays import as_class_numbers, as_real
from fisherjax._errors import check_flag, check_instance, check_integer, check_key, check_scalar, require, told
from fisherjax._runtime import Objective, Options, Outcome, Stream, TrainingHistory, descend, digest, spread
from fisherjax._types import ArrayLike, Key, Scalar

from ._architecture import Architecture


class Augmentation(NamedTuple):
    """What is done to every image of a batch, anew at every step.

    Parameters
    ----------
    flip
        Whether to mirror every other image, left to right.
    crop
        Pixels by which an image is shifted at most along each axis; zeros come in.
    mixup
        a of the Beta(a, a) law of the share λ in λ x_i + (1 − λ) x_k, targets likewise; 0 for none.

    References
    ----------
    Zhang, Cisse, Dauphin & Lopez-Paz (2018), mixup: beyond empirical risk minimization, ICLR.
    """

    flip: bool = False
    crop: int = 0
    mixup: float = 0.0


def augment(
    images: Float[Array, "n height width colors"], targets: Float[Array, "n K"], *, key: Key, augmentation: Augmentation
) -> tuple[Float[Array, "n height width colors"], Float[Array, "n K"]]:
    """Augmented images and their class probabilities, each image by its own draw; possible inside jit."""
    check_augmentation(augmentation)
    images, targets = as_real("images", images, "n height width colors"), as_real("targets", targets, "n classes")
    require(len(images) == len(targets), f"there are {len(images)} images but {len(targets)} targets")
    key = check_key("key", key)
    flip_key, crop_key, share_key, partner_key = jax.random.split(key, 4)
    if augmentation.flip:
        mirrored = jax.random.bernoulli(flip_key, 0.5, (len(images), 1, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    if augmentation.crop:
        margin = augmentation.crop
        padded = jnp.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        corners = jax.random.randint(crop_key, (len(images), 2), 0, 2 * margin + 1)
        cut = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:]))
        images = cut(padded, corners)
    if augmentation.mixup:
        share = jax.random.beta(share_key, augmentation.mixup, augmentation.mixup, (len(images),), images.dtype)
        partner = jax.random.permutation(partner_key, len(images))
        of_class, of_image = share[:, None].astype(targets.dtype), share[:, None, None, None]
        images = of_image * images + (1 - of_image) * images[partner]
        targets = of_class * targets + (1 - of_class) * targets[partner]
    return images, targets


def check_augmentation(augmentation: Augmentation) -> None:
    """Refuse what is no `Augmentation`, or one whose numbers are out of range."""
    check_instance("augmentation", augmentation, Augmentation, "for instance vision.Augmentation(flip=True)")
    check_flag("augmentation: flip", augmentation.flip)
    check_integer("augmentation: crop", augmentation.crop, minimum=0)
    check_scalar("augmentation: mixup", augmentation.mixup, minimum=0.0)


def class_probabilities(labels: ArrayLike, num_classes: int, num_images: int) -> Float[Array, "n K"]:
    """Labels as probabilities: class numbers as ones in their class, probabilities (n, K) as they are."""
    rows = isinstance(labels, list | tuple) and any(isinstance(row, list | tuple) or np.ndim(row) for row in labels)
    if not rows and getattr(labels, "ndim", 1) != 2:
        return jax.nn.one_hot(as_class_numbers("labels", labels, num_images, num_classes), num_classes)
    soft = as_real("labels", labels, f"{num_images} {num_classes}", dtype=jnp.zeros(()).dtype)
    require(
        bool(jnp.min(soft) >= 0) and bool(jnp.all(jnp.abs(jnp.sum(soft, axis=1) - 1) < 1e-4)),
        "labels (n, K) must be probabilities: not negative, of sum one",
    )
    return soft


_EVALUATED_AT_ONCE = 256

Pair = tuple[ArrayLike, ArrayLike]
"""Images and their labels."""


class Labeled(NamedTuple):
    """Images (n, height, width, colors) and the probabilities of their classes (n, K)."""

    images: Array
    targets: Array


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
    held_out: Pair | None
    evaluate_every: int | None
    checkpoint: str | os.PathLike[str] | None
    progress: bool


class Chosen(NamedTuple):
    """Options of a stage, checked."""

    descent: Options
    learning_rate: float
    augmentation: Augmentation
    held_out: Pair | None


def chosen(
    num_steps: int,
    *,
    batch_size: int = 64,
    learning_rate: Scalar = 3e-3,
    max_gradient_norm: Scalar = 1.0,
    augmentation: Augmentation | None = None,
    held_out: Pair | None = None,
    evaluate_every: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Chosen:
    """Those of every descent: Adam with a learning rate that falls to zero along a cosine."""
    steps = check_integer("num_steps", num_steps, minimum=1)
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    check_augmentation(augmentation := augmentation or Augmentation())
    descent = Options(
        steps, batch_size, optax.cosine_decay_schedule(float(learning_rate), steps),
        max_gradient_norm=max_gradient_norm, keep_best=False, checkpoint=checkpoint,
        evaluate_every=-(-steps // 10) if evaluate_every is None else evaluate_every, progress=progress,
    )  # fmt: skip
    return Chosen(descent, float(learning_rate), augmentation, held_out)


def labeled(architecture: Architecture, images: ArrayLike, labels: ArrayLike) -> Labeled:
    """Images and labels as training takes them, checked against the architecture."""
    check_instance("architecture", architecture, Architecture, "vision.architecture('R4-32') makes one")
    array = architecture.check_images(images)
    require(array.ndim == 4 and len(array) > 0, f"images must be (n, height, width, colors), got {array.shape}")
    targets = class_probabilities(labels, architecture.num_classes, len(array))
    return Labeled(array.astype(targets.dtype), targets)


def descend_on_images(
    title: str, model: Any, minimized: ImageLoss, architecture: Architecture, pair: Pair, key: Key, stage: Chosen
) -> tuple[Any, TrainingHistory]:
    """A stage of training: the model after its last good step, and its course."""
    options = stage.descent
    held_out = None if stage.held_out is None else _held_out(architecture, stage.held_out)
    data = labeled(architecture, *pair)
    stream = _Epochs(key, data, options.batch_size)

    def evaluate(model: Any) -> tuple[float, float]:
        assert held_out is not None  # noqa: S101
        parts = in_batches(lambda *batch: _measure(minimized, model, *batch), *held_out)
        loss, correct = np.concatenate([np.asarray(part) for part in parts], axis=1).mean(axis=1)
        return float(loss), float(correct)

    settings = {
        "title": title,
        "num_steps": options.num_steps,  # the cosine's length
        "learning_rate": stage.learning_rate,
        "augmentation": tuple(stage.augmentation),
        "objective": repr(minimized),
        "key": tuple(np.asarray(jax.random.key_data(key)).tolist()),
        "held_out": "" if held_out is None or options.checkpoint is None else digest(held_out),
    }
    descent = descend(
        title, model, _OfImages(minimized, data, stage.augmentation), options, key=key, stream=stream,
        evaluate=None if held_out is None else evaluate, settings=settings,
    )  # fmt: skip
    return descent.last, descent.history


def in_batches(function: Callable[..., Array], *arrays: Array) -> list[Array]:
    """What a function gives of the same rows of some arrays, few enough at once for any memory."""
    starts = range(0, len(arrays[0]), _EVALUATED_AT_ONCE)
    return [function(*(array[begin : begin + _EVALUATED_AT_ONCE] for array in arrays)) for begin in starts]


class _OfImages(Objective):
    """The loss of a stage on images that are chosen by number and changed at random."""

    minimized: ImageLoss = eqx.field(static=True)
    data: Labeled
    augmentation: Augmentation = eqx.field(static=True)

    def loss(self, model: Any, item: Array, memory: None, key: Key, step: Array) -> tuple[Array, Outcome]:  # noqa: ARG002
        change_key, noise_key = jax.random.split(key)
        images, targets = self.data.images[item], self.data.targets[item]
        images, targets = augment(images, targets, key=change_key, augmentation=self.augmentation)
        images, targets = spread((images, targets), "batch")
        value, moved = self.minimized.loss(model, images, targets, noise_key, step)
        return value, Outcome(moved)

    def trainable(self, model: Any) -> Any:
        return self.minimized.trainable(model)


class _Epochs(Stream):
    """Numbers of images: all of them in random order before any comes again."""

    def __init__(self, key: Key, data: Labeled, batch_size: int):
        self.key, self.data, self.batch_size = jax.random.fold_in(key, 2**31 - 1), data, batch_size

    def take(self, start: int, count: int) -> np.ndarray:
        """Numbers (count, batch) of the images; epochs are random orders, one after another."""
        begin, end, size = start * self.batch_size, (start + count) * self.batch_size, len(self.data.images)
        epochs = range(begin // size, -(-end // size))
        orders = [jax.random.permutation(jax.random.fold_in(self.key, epoch), size) for epoch in epochs]
        offset = epochs[0] * size
        return np.concatenate(orders)[begin - offset : end - offset].reshape(count, self.batch_size)

    def fingerprint(self, position: int) -> str:  # noqa: ARG002
        """Of all images."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        return digest(self.data)


@eqx.filter_jit
def _measure(minimized: ImageLoss, model: Any, images: Array, targets: Array) -> Array:
    return spread(jnp.stack(minimized.measure(model, images, targets)))


def _held_out(architecture: Architecture, pair: Any) -> Labeled:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"held_out must be a pair of images and labels, got {told(pair)}")
    try:
        return labeled(architecture, *pair)
    except (TypeError, ValueError) as error:
        raise type(error)(f"held_out: {error}") from error
