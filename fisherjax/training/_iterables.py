"""Training batches from any iterable: checked one by one, filled up to one size, begun again at its end."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fisherjax._errors import require
from fisherjax._runtime import digest
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import TaskBatch
from fisherjax.tasks._batch import filled_up, has_labels

from ._batches import Layout, as_batch, is_trial, sizes
from ._streams import Rule, TrialStream, shapes_of

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
