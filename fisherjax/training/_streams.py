"""Where training batches come from: a task, arrays, or any iterable of batches."""

import abc
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._errors import require
from fisherjax._types import Key
from fisherjax.numerics import digest
from fisherjax.tasks import Task, TaskBatch


class Rule(eqx.Module):
    """How one item of a stream becomes a batch; an argument of the compiled loop."""

    @abc.abstractmethod
    def batch(self, item: Any) -> TaskBatch:
        """The batch of an item."""


class Stream(abc.ABC):
    """Items for the compiled loop, and the rule that turns each into a batch."""

    rule: Rule

    def fingerprint(self, position: int) -> str:  # noqa: ARG002
        """Of the data that are used before a position; empty where they follow from the task and the key."""
        return ""

    @abc.abstractmethod
    def take(self, start: int, count: int) -> Any:
        """Items `start` to `start + count` with a leading axis; fewer than `count` where there are no more."""


class _Generated(Rule):
    task: Task
    key: Key
    batch_size: int = eqx.field(static=True)
    trial_steps: int | None = eqx.field(static=True)

    def batch(self, item: Any) -> TaskBatch:
        return self.task.batch(jax.random.fold_in(self.key, item), self.batch_size, self.trial_steps)


class TaskStream(Stream):
    """Fresh trials of a task: item k is drawn from the k-th fold of the key."""

    def __init__(self, task: Task, key: Key, batch_size: int, trial_steps: int | None):
        self.rule = _Generated(task, key, batch_size, trial_steps)

    def take(self, start: int, count: int) -> Any:
        """Numbers of batches."""
        return np.arange(start, start + count)


class _Chosen(Rule):
    trials: TaskBatch

    def batch(self, item: Any) -> TaskBatch:
        return TaskBatch(*(part[:, item] for part in self.trials))


class ArrayStream(Stream):
    """Trials of given arrays, in a new random order every epoch; the rest of an epoch that fills no batch is left."""

    def __init__(self, trials: TaskBatch, key: Key, batch_size: int):
        self.rule, self.trials, self.key = _Chosen(trials), trials, key
        self.num_trials = trials.inputs.shape[1]
        require(
            batch_size <= self.num_trials,
            f"batch_size must be at most the {self.num_trials} trials given, got {batch_size}",
        )
        self.batch_size = batch_size
        self.order: tuple[int, np.ndarray] = (-1, np.zeros(0, int))

    def take(self, start: int, count: int) -> Any:
        """Numbers of trials (count, batch)."""
        per_epoch = self.num_trials // self.batch_size
        rows = []
        for number in range(start, start + count):
            epoch, place = divmod(number, per_epoch)
            if self.order[0] != epoch:
                shuffled = jax.random.permutation(jax.random.fold_in(self.key, epoch), self.num_trials)
                self.order = (epoch, np.asarray(shuffled))
            rows.append(self.order[1][place * self.batch_size : (place + 1) * self.batch_size])
        return np.stack(rows)

    def fingerprint(self, position: int) -> str:  # noqa: ARG002
        """Of all trials."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        return digest(self.trials)


class _Ready(Rule):
    def batch(self, item: Any) -> TaskBatch:
        return item


class IterableStream(Stream):
    """Batches of an iterable, in its order. To resume, those already used are drawn again and dropped."""

    def __init__(self, batches: Iterable[Any]):
        self.rule = _Ready()
        self.iterator: Iterator[Any] = iter(batches)
        self.digests: list[str] = []

    def take(self, start: int, count: int) -> Any:
        """Batches stacked along a new first axis."""
        self._draw(start - len(self.digests))
        taken = self._draw(count)
        if not taken:
            return None
        shapes = {tuple(part.shape for part in batch) for batch in taken}
        require(len(shapes) == 1, f"all batches of an iterable must have the same shapes, got {sorted(shapes)[:2]}")
        return TaskBatch(*(jnp.stack(parts) for parts in zip(*taken, strict=True)))

    def fingerprint(self, position: int) -> str:
        """Of the batches before `position`, which are drawn if need be."""
        self._draw(position - len(self.digests))
        return digest(np.frombuffer("".join(self.digests[:position]).encode(), np.uint8))

    def _draw(self, count: int) -> list[TaskBatch]:
        drawn = [as_batch(batch, "a batch of the iterable") for batch in itertools.islice(self.iterator, max(count, 0))]
        self.digests += [digest(batch) for batch in drawn]
        return drawn


def as_stream(data: Any, key: Key, batch_size: int, trial_steps: int | None) -> Stream:
    """A stream of batches from what the user gave.

    Raises
    ------
    TypeError
        If it is neither a task, nor arrays (inputs, targets[, mask]), nor an iterable of such.
    """
    if isinstance(data, Task):
        return TaskStream(data, key, batch_size, trial_steps)
    if isinstance(data, tuple):
        return ArrayStream(as_batch(data, "task"), key, batch_size)
    if isinstance(data, Iterable):
        return IterableStream(data)
    raise TypeError(
        "task must be a Task, arrays (inputs, targets[, mask]) or an iterable of such batches, "
        f"got {type(data).__name__}"
    )


def as_batch(data: Any, name: str) -> TaskBatch:
    """(inputs, targets[, mask]) as a `TaskBatch` of floats; the mask is one everywhere where absent.

    Raises
    ------
    ValueError
        If shapes do not match.
    """
    require(isinstance(data, tuple | list) and len(data) in {2, 3}, f"{name} must be (inputs, targets) or (…, mask)")
    dtype = jnp.zeros(()).dtype
    inputs, targets, *rest = (jnp.asarray(part).astype(dtype) for part in data)
    require(
        inputs.ndim == 3 and targets.ndim == 3 and inputs.shape[:2] == targets.shape[:2],
        f"{name} must hold inputs (T, batch, I) and targets (T, batch, O), got {inputs.shape} and {targets.shape}",
    )
    mask = rest[0] if rest else jnp.ones(inputs.shape[:2], dtype)
    require(mask.shape == inputs.shape[:2], f"the mask of {name} must be {inputs.shape[:2]}, got {mask.shape}")
    return TaskBatch(inputs, targets, mask)
