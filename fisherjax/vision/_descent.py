"""Stochastic gradient descent of any objective over labeled images: compiled chunks, validation, checkpoints."""

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from fisherjax._errors import as_path, check_flag, check_integer, check_key, check_scalar, require, warn
from fisherjax._runtime import (
    check_settings,
    digest,
    progress_bar,
    read_checkpoint,
    spread,
    stop_if_requested,
    write_checkpoint,
)
from fisherjax._types import Key, Record, Scalar, npz_path

from ._augment import Augmentation, augment, check_augmentation

_EVALUATED_AT_ONCE = 256


class Labeled(NamedTuple):
    """Images (n, height, width, colors) and the probabilities of their classes (n, K)."""

    images: Array
    targets: Array


@runtime_checkable
class Objective(Protocol):
    """What is minimized; hashable, so that equal ones share a compiled loop."""

    def loss(self, model: Any, images: Array, targets: Array, key: Key, step: Array) -> tuple[Array, Any]:
        """Loss of a batch, and the model with what it keeps track of in training moved on."""
        ...

    def measure(self, model: Any, images: Array, targets: Array, step: Array) -> tuple[Array, Array]:
        """Loss and correctness (NaN where there is none) of every image."""
        ...

    def trainable(self, model: Any) -> Any:
        """The model with True for every array that is trained, False for all others."""
        ...


class StageHistory(Record):
    """Course of one stage of training.

    Parameters
    ----------
    loss
        On the batch of every step (steps,).
    evaluated
        Steps done before each evaluation (evaluations,).
    validation_loss, validation_accuracy
        On the validation images (evaluations,); NaN without them, or where nothing is classified.
    """

    loss: Float[np.ndarray, " steps"]
    evaluated: Int[np.ndarray, " evaluations"]
    validation_loss: Float[np.ndarray, " evaluations"]
    validation_accuracy: Float[np.ndarray, " evaluations"]


class StageCheckpoint(Record):
    """State of a stage between two steps: model, leaves of the optimizer's state, course so far, settings."""

    model: Any
    optimizer: tuple[Any, ...]
    history: StageHistory
    settings: dict[str, Any]
    start: str


def descend(
    title: str,
    model: Any,
    objective: Objective,
    data: Labeled,
    *,
    key: Key,
    num_steps: int,
    batch_size: int = 64,
    learning_rate: Scalar = 3e-3,
    max_gradient_norm: Scalar = 1.0,
    augmentation: Augmentation | None = None,
    validation: Labeled | None = None,
    evaluate_every: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> tuple[Any, StageHistory]:
    """Minimize an objective by Adam with a learning rate that falls to zero along a cosine.

    Parameters
    ----------
    title
        Name of the stage.
    model, objective, data
        What is trained, to what end, on what.
    key
        JAX random key of batches, augmentation and noise.
    num_steps
        Steps of training, those before a resume included.
    batch_size
        Images per step: all of them in random order before any comes again.
    learning_rate
        Where the cosine starts.
    max_gradient_norm
        Gradients are scaled down to this global norm.
    augmentation
        None by default.
    validation
        Images to evaluate on.
    evaluate_every
        Steps between evaluations and checkpoints; a tenth of all by default.
    checkpoint
        File (.npz) to go on from if it exists, to the same bits as if nothing had happened, and to write to.
    progress
        Whether to show a bar.

    Raises
    ------
    ValueError
        If a number is out of range, the loss stops being finite, or the checkpoint is of another run or broken.
    TypeError
        If `key` is not a JAX key.
    """
    key = check_key("key", key)
    total, size = (
        check_integer(name, n, minimum=1) for name, n in (("num_steps", num_steps), ("batch_size", batch_size))
    )
    check_scalar("learning_rate", learning_rate, minimum=0.0, strict=True)
    check_scalar("max_gradient_norm", max_gradient_norm, minimum=0.0, strict=True)
    every = check_integer("evaluate_every", -(-total // 10) if evaluate_every is None else evaluate_every, minimum=1)
    if augmentation is not None:
        check_augmentation(augmentation)
    run = _Run(objective, _adam(float(learning_rate), total, float(max_gradient_norm)), augmentation or Augmentation())
    settings = {
        "title": title,
        "num_steps": total,
        "batch_size": size,
        "learning_rate": float(learning_rate),
        "max_gradient_norm": float(max_gradient_norm),
        "augmentation": tuple(run.augmentation),
        "evaluate_every": every,
        "objective": repr(objective),
        "key": tuple(np.asarray(jax.random.key_data(key)).tolist()),
        "data": digest(data),
        "validation": "" if validation is None else digest(validation),
    }
    progress = check_flag("progress", progress)
    start = digest(model)
    leaves, tree = jax.tree.flatten(run.begin(model))
    losses: list[np.ndarray] = []
    evaluations: list[tuple[int, float, float]] = []
    done = 0
    path = None if checkpoint is None else npz_path(as_path("checkpoint", checkpoint))
    saved = None if path is None else _restored(path, settings, start)
    if saved is not None:
        model, leaves, losses = saved.model, list(saved.optimizer), [saved.history.loss]
        table = (saved.history.evaluated, saved.history.validation_loss, saved.history.validation_accuracy)
        evaluations = [(int(n), float(a), float(b)) for n, a, b in zip(*table, strict=True)]
        done = len(saved.history.loss)
    optimizer = jax.tree.unflatten(tree, leaves)
    with progress_bar(title, total, enabled=progress) as advance:
        advance(done)
        while done < total:
            stop_if_requested()
            count = min(every - done % every, total - done)
            order = _batches(key, len(data.images), size, done, count, every)
            model, optimizer, loss = _chunk(run, model, optimizer, data, order, jnp.asarray((done, count)), key)
            found = np.asarray(loss)[:count]
            bad = np.flatnonzero(~np.isfinite(found))
            require(not len(bad), f"{title}: the loss is not finite at step {done + (bad[0] if len(bad) else 0)}; a "
                    "smaller learning_rate may help; the checkpoint, if any, is from before")  # fmt: skip
            losses.append(found)
            done += count
            evaluations.append((done, *_evaluated(run.objective, model, validation, done)))
            advance(count, f"loss {found.mean():.3g} · validation {evaluations[-1][2]:.1%}")
            if path is not None:
                kept = tuple(jax.tree.leaves(optimizer))
                found = StageCheckpoint(model, kept, _history(losses, evaluations), settings, start)
                _write(found, path, done)
    return model, _history(losses, evaluations)


def _write(checkpoint: StageCheckpoint, path: Path, done: int) -> None:
    """Write a checkpoint; a full disk is no reason to lose what is trained."""
    try:
        write_checkpoint(checkpoint, path)
    except OSError as error:
        message = f"the checkpoint of step {done} could not be written ({error}); training goes on"
        warn(message)


class _Run(NamedTuple):
    """What the compiled loop depends on besides arrays."""

    objective: Any
    optimizer: optax.GradientTransformation
    augmentation: Augmentation

    def begin(self, model: Any) -> Any:
        """State of the optimizer before the first step."""
        with jax.numpy_dtype_promotion("standard"):
            return self.optimizer.init(eqx.filter(model, self.objective.trainable(model)))


@functools.lru_cache(maxsize=64)
def _adam(learning_rate: float, num_steps: int, norm: float) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(learning_rate, num_steps)
    return optax.chain(optax.clip_by_global_norm(norm), optax.adam(schedule))


@eqx.filter_jit
def _chunk(
    run: _Run, model: Any, optimizer: Any, data: Labeled, order: Array, span: Array, key: Key
) -> tuple[Any, Any, Array]:
    """`span` = (steps done, steps to do); as many rows of `order` are batches."""
    objective = run.objective

    def body(index: Any, carry: Any) -> Any:
        model, optimizer, losses = carry
        step = span[0] + index
        change_key, noise_key = jax.random.split(jax.random.fold_in(key, step))
        images, targets = data.images[order[index]], data.targets[order[index]]
        images, targets = augment(images, targets, key=change_key, augmentation=run.augmentation)
        images, targets = spread((images, targets), "batch")
        trained, fixed = eqx.partition(model, objective.trainable(model))

        def loss(trained: Any) -> tuple[Array, Any]:
            return objective.loss(eqx.combine(trained, fixed), images, targets, noise_key, step)

        (value, moved), slope = jax.value_and_grad(loss, has_aux=True)(trained)
        with jax.numpy_dtype_promotion("standard"):
            change, optimizer = run.optimizer.update(slope, optimizer, trained)
        _, fixed = eqx.partition(moved, objective.trainable(moved))
        return eqx.combine(eqx.apply_updates(trained, change), fixed), optimizer, losses.at[index].set(value)

    arrays, rest = eqx.partition(model, eqx.is_array)

    def wrapped(index: Any, carry: Any) -> Any:
        found, optimizer, losses = body(index, (eqx.combine(carry[0], rest), *carry[1:]))
        return eqx.filter(found, eqx.is_array), optimizer, losses

    losses = jnp.zeros(len(order), data.targets.dtype)
    arrays, optimizer, losses = jax.lax.fori_loop(0, span[1], wrapped, (arrays, optimizer, losses))
    arrays, optimizer, losses = spread((arrays, optimizer, losses))
    return eqx.combine(arrays, rest), optimizer, losses


def _batches(key: Key, num_images: int, size: int, done: int, count: int, rows: int) -> Array:
    """Indices (rows, size) of `count` batches after the first `done`; epochs are random orders, one after another."""
    begin, end = done * size, (done + count) * size
    epochs = range(begin // num_images, -(-end // num_images))
    keys = [jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), epoch) for epoch in epochs]
    order = np.concatenate([np.asarray(jax.random.permutation(one, num_images)) for one in keys])
    first = begin - epochs[0] * num_images
    chosen = order[first : first + count * size].reshape(count, size)
    return jnp.asarray(np.pad(chosen, ((0, rows - count), (0, 0))))


def _evaluated(objective: Objective, model: Any, validation: Labeled | None, step: int) -> tuple[float, float]:
    if validation is None:
        return float("nan"), float("nan")
    parts = []
    for begin in range(0, len(validation.images), _EVALUATED_AT_ONCE):
        batch = Labeled(*(part[begin : begin + _EVALUATED_AT_ONCE] for part in validation))
        parts.append(np.asarray(_measure(objective, model, batch, jnp.asarray(step))))
    loss, correct = np.concatenate(parts, axis=1).mean(axis=1)
    return float(loss), float(correct)


@eqx.filter_jit
def _measure(objective: Any, model: Any, batch: Labeled, step: Array) -> Array:
    return spread(jnp.stack(objective.measure(model, batch.images, batch.targets, step)))


def _history(losses: list[np.ndarray], evaluations: list[tuple[int, float, float]]) -> StageHistory:
    steps, loss, accuracy = (np.array(column) for column in zip(*evaluations, strict=True))
    return StageHistory(np.concatenate(losses), steps.astype(int), loss, accuracy)


def _restored(path: Path, settings: dict[str, Any], start: str) -> StageCheckpoint | None:
    saved = read_checkpoint(StageCheckpoint, path, resume=True)
    if saved is not None:
        check_settings(saved.settings, settings, path)
        require(saved.start == start, f"checkpoint {path} is of a run that started from other weights")
    return saved
