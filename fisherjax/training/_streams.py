"""Where training batches come from: a task, arrays, trials, or any iterable of batches."""

import abc
import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

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
from fisherjax.tasks._batch import filled_up, has_labels, without_masked

from ._batches import Layout, as_batch, batch_problem, is_trial, sizes


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


_EMPTY = "task is an iterable without a batch: it is empty, or a generator that has been used already"


class Item(NamedTuple):
    """A batch, whether its trials begin anew, and how many steps they had before they were filled up."""

    batch: TaskBatch
    begins: bool | Array
    length: int | Array


class _Ready(Rule):
    def batch(self, item: Item) -> TaskBatch:
        return item.batch


class _GoingOn(_Ready):
    def start(self, item: Item, carried: Array | None, network: RecurrentNetwork) -> Array | None:
        """Where the batch before ended; at rest where trials begin anew."""
        rest = network.resting_state
        return rest if carried is None else jnp.where(item.begins, rest, jax.lax.stop_gradient(carried))

    def end(self, item: Item, states: Array) -> Array | None:
        """The last states that are not of the filling."""
        return states[item.length - 1]

    def widened(self, items: Item, carried: Array | None, network: RecurrentNetwork) -> Array:
        """New trials, which larger batches bring, are at rest."""
        rest, before = network.resting_state, () if carried is None else (carried,)
        missing = items.batch.inputs.shape[3] - (0 if carried is None else len(carried))
        return jnp.concatenate([*before, jnp.broadcast_to(rest, (missing, *rest.shape))])


class IterableStream(TrialStream):
    """Batches of an iterable, in its order. To resume, those already used are drawn again and dropped.

    An iterable that can be begun again is, whenever it ends; an iterator ends the data. A batch of fewer trials or
    steps than another is filled up with moments that the mask leaves out, so that all have the size of the largest so
    far and share one compiled program. Whatever goes wrong after the first batch ends the data there, with the reason
    in `problem`: what is trained by then is not lost.
    """

    def __init__(self, batches: Iterable[Any], widths: tuple[int, int], layout: Layout, *, carries: bool):
        self.rule = _GoingOn() if carries else _Ready()
        self.source, self.iterator = batches, iter(batches)
        self.widths, self.layout = widths, layout
        self.digests: list[str] = []
        self.size, self.wide_mask = (0, 0), False
        self.drawn_of_pass, self.ended = 0, False
        self.classes: bool | None = None
        first = self._next(0)
        if first is None:
            raise ValueError(_EMPTY)
        self.ahead = [first]
        self.shapes = shapes_of(first.batch, first.batch.inputs.shape[1])
        self.sizes = sizes(*first.batch.inputs.shape[:2])

    def take(self, start: int, count: int) -> Any:
        """Items stacked along a new first axis."""
        self._draw(start - len(self.digests))
        taken = self._draw(count)
        if not taken:
            return None
        filled = [item._replace(batch=filled_up(item.batch, *self.size, wide_mask=self.wide_mask)) for item in taken]
        return jax.tree.map(lambda *parts: np.stack(parts), *filled)

    def fingerprint(self, position: int) -> str:
        """Of the batches before `position`, which are drawn if need be."""
        self._draw(position - len(self.digests))
        return digest(np.frombuffer("".join(self.digests[:position]).encode(), np.uint8))

    def _draw(self, count: int) -> list[Item]:
        drawn: list[Item] = []
        while len(drawn) < count:
            item = self.ahead.pop() if self.ahead else self._following()
            if item is None:
                break
            drawn.append(item)
            self.digests.append(digest(item.batch))
            steps, trials = item.batch.inputs.shape[:2]
            self.size = max(self.size[0], steps), max(self.size[1], trials)
            self.wide_mask |= item.batch.mask.ndim == 3
        return drawn

    def _following(self) -> Item | None:
        """The next batch that can be used, or None once the data have ended, in whatever way."""
        if self.ended:
            return None
        try:
            item = self._next(len(self.digests))
        except Exception as error:
            # a user's iterable may raise anything, and what it yields may be anything
            raised = f"batch {len(self.digests)} of the iterable raised {type(error).__name__}: {error}"
            self.problem = f"the data failed: {error if isinstance(error, _UnusableError) else raised}"
            item = None
        self.ended = item is None
        return item

    def _next(self, number: int) -> Item | None:
        try:
            data = next(self.iterator)
        except StopIteration:
            return self._begun_again(number)
        name = f"batch {number} of the iterable"
        try:
            batch = self._as_batch(data, name)
        except (TypeError, ValueError) as error:
            raise _UnusableError(str(error)) from error
        self.drawn_of_pass += 1
        return Item(batch, self.drawn_of_pass == 1, len(batch.inputs))

    def _begun_again(self, number: int) -> Item | None:
        """The first batch of another pass; None for an iterator, and where a pass had none."""
        again = iter(self.source)
        if again is self.iterator or self.drawn_of_pass == 0:
            return None
        self.iterator, self.drawn_of_pass = again, 0
        return self._next(number)

    def _as_batch(self, data: Any, name: str) -> TaskBatch:
        require(
            not is_trial(data),
            f"{name} is one trial, inputs (T, I); give a list of such trials, or batches, inputs (T, trials, I)",
        )
        batch = as_batch(data, name, self.layout)
        inputs, targets = batch.inputs.shape, batch.targets.shape
        require(inputs[2] == self.widths[0], f"{name}: inputs must have shape (T, …, {self.widths[0]}), got {inputs}")
        outputs = inputs[:2] if has_labels(batch) else (*inputs[:2], self.widths[1])
        require(targets == outputs, f"{name}: targets must have the shape of the outputs {outputs}, got {targets}")
        self.classes = has_labels(batch) if self.classes is None else self.classes
        require(has_labels(batch) == self.classes, f"{name}: targets must be classes in all batches or in none")
        return batch


class _UnusableError(ValueError):
    """A batch that is not what it must be; its message says how."""
