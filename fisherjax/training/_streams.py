"""Where training batches come from: a task, arrays, trials, or any iterable of batches."""

import abc
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fisherjax._errors import require
from fisherjax._runtime import Stream, digest
from fisherjax._types import Key
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import without_masked

from ._batches import Layout, batch_problem, sizes


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

    def widened(self, items: Any, carried: Array | None, network: RecurrentNetwork) -> Array | None:  # noqa: ARG002
        """What is carried, with room for all trials of some items (steps, batches, …); None where nothing is."""
        return None


class TrialStream(Stream):
    """Items for the compiled loop, the rule that turns each into a batch, and what a batch looks like."""

    rule: Rule
    shapes: TaskBatch  # and types


class _Generated(Rule):
    task: Task
    key: Key
    batch_size: int = eqx.field(static=True)
    trial_steps: int | None = eqx.field(static=True)

    def batch(self, item: Any) -> TaskBatch:
        return without_masked(self.task.batch(jax.random.fold_in(self.key, item), self.batch_size, self.trial_steps))


class TaskStream(TrialStream):
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


class ArrayStream(TrialStream):
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
