"""Where training batches come from: a task, arrays, or any iterable of batches."""

import abc
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._errors import require, told
from fisherjax._types import Key
from fisherjax.numerics import digest
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import without_masked

from ._batches import as_batch, batch_problem, sizes


class Rule(eqx.Module):
    """How one item of a stream becomes a batch; an argument of the compiled loop."""

    @abc.abstractmethod
    def batch(self, item: Any) -> TaskBatch:
        """The batch of an item."""


class Stream(abc.ABC):
    """Items for the compiled loop, and the rule that turns each into a batch."""

    rule: Rule
    sizes: str  # "64 steps × 20 trials"
    problem: str = ""  # why the data ended before their time

    def problem_at(self, position: int) -> str:  # noqa: ARG002
        """What is wrong with an item that has been used; empty where all were checked before."""
        return ""

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
        return without_masked(self.task.batch(jax.random.fold_in(self.key, item), self.batch_size, self.trial_steps))


class TaskStream(Stream):
    """Fresh trials of a task: item k is drawn from the k-th fold of the key."""

    def __init__(self, task: Task, key: Key, batch_size: int, trial_steps: int | None):
        self.rule = _Generated(task, key, batch_size, trial_steps)
        self.sizes = sizes(task.default_steps if trial_steps is None else trial_steps, batch_size)

    def problem_at(self, position: int) -> str:
        """Of the trials that are drawn there."""
        return batch_problem(self.rule.batch(position))

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
        num_steps, self.num_trials = trials.inputs.shape[:2]
        self.sizes = sizes(num_steps, self.num_trials)
        require(
            batch_size <= self.num_trials,
            f"batch_size must be at most the {self.num_trials} trials given, got {batch_size}; the data are read as "
            f"{self.sizes}, and with batch_first=True as {sizes(self.num_trials, num_steps)}",
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
    """Batches of an iterable, in its order. To resume, those already used are drawn again and dropped.

    A batch of fewer trials or steps than another is filled up with moments that the mask leaves out, so that all have
    the size of the largest so far and share one compiled program. Whatever goes wrong after the first batch ends the
    data there, with the reason in `problem`: what is trained by then is not lost.
    """

    def __init__(self, batches: Iterable[Any], widths: tuple[int, int], *, batch_first: bool | None, classes: bool):
        self.rule = _Ready()
        self.iterator: Iterator[Any] = iter(batches)
        self.widths, self.batch_first, self.classes = widths, batch_first, classes
        self.digests: list[str] = []
        self.size = (0, 0)
        self.ended = False
        first = self._next(0)
        require(
            first is not None,
            "task is an iterable without a batch: it is empty, or a generator that has been used already",
        )
        self.ahead = [first]
        self.sizes = sizes(*first.inputs.shape[:2]) if first is not None else ""

    def take(self, start: int, count: int) -> Any:
        """Batches stacked along a new first axis."""
        self._draw(start - len(self.digests))
        taken = self._draw(count)
        if not taken:
            return None
        padded = [_filled(batch, self.size) for batch in taken]
        return TaskBatch(*(jnp.stack(parts) for parts in zip(*padded, strict=True)))

    def fingerprint(self, position: int) -> str:
        """Of the batches before `position`, which are drawn if need be."""
        self._draw(position - len(self.digests))
        return digest(np.frombuffer("".join(self.digests[:position]).encode(), np.uint8))

    def _draw(self, count: int) -> list[TaskBatch]:
        drawn: list[TaskBatch] = []
        while len(drawn) < count:
            batch = self.ahead.pop() if self.ahead else self._following()
            if batch is None:
                break
            drawn.append(batch)
            self.digests.append(digest(batch))
            steps, trials = batch.inputs.shape[:2]
            self.size = max(self.size[0], steps), max(self.size[1], trials)
        return drawn

    def _following(self) -> TaskBatch | None:
        """The next batch that can be used, or None once the data have ended, in whatever way."""
        if self.ended:
            return None
        try:
            batch = self._next(len(self.digests))
        except Exception as error:
            # a user's iterable may raise anything, and what it yields may be anything
            raised = f"batch {len(self.digests)} of the iterable raised {type(error).__name__}: {error}"
            self.problem = f"the data failed: {error if isinstance(error, _UnusableError) else raised}"
            batch = None
        self.ended = batch is None
        return batch

    def _next(self, number: int) -> TaskBatch | None:
        try:
            item = next(self.iterator)
        except StopIteration:
            return None
        name = f"batch {number} of the iterable"
        try:
            batch = as_batch(item, name, batch_first=self.batch_first, classes=self.classes)
            _check_widths_of(batch, name, self.widths)
        except (TypeError, ValueError) as error:
            raise _UnusableError(str(error)) from error
        return batch


class _UnusableError(ValueError):
    """A batch that is not what it must be; its message says how."""


def _check_widths_of(batch: TaskBatch, name: str, widths: tuple[int, int]) -> None:
    inputs, targets = batch.inputs.shape, batch.targets.shape
    require(inputs[2] == widths[0], f"{name}: inputs must have shape (T, …, {widths[0]}), got {inputs}")
    outputs = (*inputs[:2], widths[1])
    require(targets == outputs, f"{name}: targets must have the shape of the outputs {outputs}, got {targets}")


def _filled(batch: TaskBatch, size: tuple[int, int]) -> TaskBatch:
    """The batch with steps and trials added, up to a size, that the mask leaves out."""
    steps, trials = (wanted - have for wanted, have in zip(size, batch.inputs.shape[:2], strict=True))
    if steps == trials == 0:
        return batch
    margin = ((0, steps), (0, trials))
    return TaskBatch(
        *(jnp.pad(part, (*margin, (0, 0))[: part.ndim]) for part in batch)  # zeros, of the mask too
    )


def as_stream(
    data: Any,
    key: Key,
    batch_size: int,
    trial_steps: int | None,
    widths: tuple[int, int],
    *,
    batch_first: bool | None = None,
    classes: bool = False,
) -> Stream:
    """A stream of batches from what the user gave; `widths` are those of the network's inputs and outputs.

    Raises
    ------
    TypeError
        If it is neither a task, nor arrays (inputs, targets[, mask]), nor an iterable of such.
    ValueError
        If its numbers or sizes cannot be trained on.
    """
    if isinstance(data, Task):
        return TaskStream(data, key, batch_size, trial_steps)
    if isinstance(data, tuple):
        trials = as_batch(data, "task", batch_first=batch_first, classes=classes)
        require(bool(jnp.any(trials.mask > 0)), "the mask of task is zero everywhere: nothing would be trained on")
        return ArrayStream(trials, key, batch_size)
    single = isinstance(data, str | bytes | Mapping | np.ndarray | jax.Array)
    if not single and (isinstance(data, Iterable) or hasattr(data, "__getitem__")):
        return IterableStream(data, widths, batch_first=batch_first, classes=classes)
    raise TypeError(
        f"task must be a Task, arrays (inputs, targets[, mask]) or an iterable of such batches, got {told(data)}"
    )
