"""Where training batches come from: a task, arrays, trials, or any iterable of batches."""

import abc
import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fisherjax._errors import require
from fisherjax._runtime import digest
from fisherjax._types import Key
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import without_masked

from ._batches import Layout, as_batch, as_trials, batch_problem, is_trial, sizes


class Rule(eqx.Module):
    """How one item of a stream becomes a batch, and where its trials start; an argument of the compiled loop."""

    @abc.abstractmethod
    def batch(self, item: Any) -> TaskBatch:
        """The batch of an item."""

    def start(self, item: Any, carried: Array | None, network: RecurrentNetwork) -> Array | None:  # noqa: ARG002
        """States (batch, S) in which the trials start; None for rest."""
        return None

    def end(self, item: Any, states: Array) -> Array | None:  # noqa: ARG002
        """States (batch, S) in which the next item may start; None where it starts anew."""
        return None


class Stream(abc.ABC):
    """Items for the compiled loop, and the rule that turns each into a batch."""

    rule: Rule
    sizes: str  # "64 steps × 20 trials"
    problem: str = ""  # why the data ended before their time
    carries: bool = False  # whether batches go on from one another
    shapes: TaskBatch  # and types, of a batch

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

    def __init__(self, task: Task, key: Key, batch_size: int, trial_steps: int | None, layout: Layout):
        self.rule, self.layout = _Generated(task, key, batch_size, trial_steps), layout
        self.sizes = sizes(task.default_steps if trial_steps is None else trial_steps, batch_size)
        self.shapes = jax.eval_shape(self.rule.batch, 0)

    def problem_at(self, position: int) -> str:
        """Of the trials that are drawn there."""
        return batch_problem(self.rule.batch(position), self.layout)

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
        self.trials, self.key = trials, key
        self.rule = _Chosen(jax.tree.map(jnp.asarray, trials))
        num_steps, self.num_trials = trials.inputs.shape[:2]
        self.sizes = sizes(num_steps, self.num_trials)
        require(
            batch_size <= self.num_trials,
            f"batch_size must be at most the {self.num_trials} trials given, got {batch_size}; the data are read as "
            f"{self.sizes}, and with batch_first=True as {sizes(self.num_trials, num_steps)}",
        )
        self.batch_size, self.shapes = batch_size, shapes_of(trials, batch_size)
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


def shapes_of(batch: TaskBatch, num_trials: int) -> TaskBatch:
    """Shapes and types of a batch, with another number of trials."""
    parts: list[Any] = [
        jax.ShapeDtypeStruct((part.shape[0], num_trials, *part.shape[2:]), part.dtype) for part in batch
    ]
    return TaskBatch(*parts)


def given_trials(data: Any, name: str, layout: Layout) -> TaskBatch | None:
    """Arrays of trials, or trials of their own lengths, as one batch; None if it is neither."""
    if isinstance(data, tuple | Mapping):
        trials = as_batch(data, name, layout)
    elif _holds_trials(data):
        trials = as_trials([data[number] for number in range(len(data))], name, layout)
    else:
        return None
    require(bool(np.any(trials.mask > 0)), f"the mask of {name} is zero everywhere: nothing counts")
    return trials


def _holds_trials(data: Any) -> bool:
    """Whether something has a length and numbered items, of which the first is one trial."""
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__") or len(data) == 0:
        return False
    try:
        return is_trial(data[0])
    except (KeyError, IndexError, TypeError):  # items that are not numbered
        return False
