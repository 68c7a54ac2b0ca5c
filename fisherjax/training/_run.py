"""One training run between its chunks: where it stands, what it has recorded, and how it is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._types import Key
from fisherjax.networks import RecurrentNetwork, trainable_filter
from fisherjax.tasks import Task, TaskBatch

from ._checkpoint import Checkpoint, check_same_run, digest, load_checkpoint
from ._loop import LoopSettings, LoopState, evaluate_network, run_chunk, start_loop
from ._result import Training, TrainingHistory, TrainingProgress
from ._streams import Stream


class Goal(NamedTuple):
    """When training ends."""

    num_steps: int
    patience: int | None
    accuracy: float | None
    loss: float | None


class Run:
    """The mutable part of training; everything numerical is in the pure functions that it calls."""

    def __init__(
        self,
        network: RecurrentNetwork,
        stream: Stream,
        held_out: TaskBatch | None,
        task: Task | None,
        settings: LoopSettings,
        *,
        trainable: tuple[str, ...] | None,
        keys: tuple[Key, Key],
        learning_rate: float | Callable[[Any], Any],
    ):
        self.start, self.stream, self.held_out, self.task, self.settings = network, stream, held_out, task, settings
        self.noise_key, self.held_out_key = keys
        self.learning_rate = learning_rate
        self.spec = trainable_filter(network, trainable)
        parameters, self.fixed = eqx.partition(jax.tree.map(jnp.asarray, network), self.spec)
        self.loop = start_loop(parameters, settings)
        self.best, self.best_score, self.best_step, self.since_best = parameters, np.inf, 0, 0
        self.step, self.exhausted = 0, False
        self.records: list[TrainingHistory] = []

    def advance(self, num_steps: int, chunk: int) -> None:
        """One chunk of at most `chunk` steps, and an evaluation."""
        batches = self.settings.accumulate
        items = self.stream.take(self.step * batches, min(chunk, num_steps - self.step) * batches)
        count = 0 if items is None else len(jax.tree.leaves(items)[0]) // batches
        if count == 0:
            self.exhausted = True
            return
        numbers = np.arange(self.step, self.step + chunk)
        rates = self._rates(numbers)
        padded = jax.tree.map(lambda part: _grouped(part, count, chunk, batches), items)
        self.loop, record = run_chunk(
            self.loop, self.fixed, self.stream.rule, padded, numbers, np.nan_to_num(rates, nan=1.0),
            np.arange(chunk) < count, self.noise_key, settings=self.settings,
        )  # fmt: skip
        self.step += count if self.bad_step < 0 else self.bad_step - self.step
        self._note(record, rates, count)

    def reason_to_stop(self, goal: Goal) -> str:
        """Why training is over; empty while it is not."""
        if self.bad_step >= 0:
            return f"non-finite loss at step {self.bad_step}"
        last = self.records[-1] if self.records else None
        if last is not None and self.held_out is not None:
            accuracy, loss = float(last.held_out_accuracy[-1]), float(last.held_out_loss[-1])
            if (goal.accuracy is not None and accuracy >= goal.accuracy) or (
                goal.loss is not None and loss <= goal.loss
            ):
                return "target reached"
            if goal.patience is not None and self.since_best >= goal.patience:
                return "no improvement"
        if self.exhausted:
            return "data exhausted"
        return "finished" if self.step >= goal.num_steps else ""

    def report(self, speed: float) -> TrainingProgress:
        """What the user is told after a chunk."""
        last = self.records[-1] if self.records else _no_history()
        return TrainingProgress(
            step=self.step,
            network=self.network(self.loop.parameters),
            loss=_last(last.loss),
            learning_rate=_last(last.learning_rate),
            held_out_loss=_last(last.held_out_loss),
            held_out_accuracy=_last(last.held_out_accuracy),
            steps_per_second=speed,
        )

    def network(self, parameters: Any) -> RecurrentNetwork:
        """The network with given parameters."""
        return eqx.combine(parameters, self.fixed)

    def result(self, stopped: str, *, keep_best: bool) -> Training:
        """What `fit` returns."""
        best = keep_best and np.isfinite(self.best_score)
        return Training(
            network=self.network(self.best if best else self.loop.parameters),
            last_network=self.network(self.loop.parameters),
            history=self.history,
            num_steps=self.step,
            best_step=self.best_step if best else self.step,
            stopped=stopped,
        )

    @property
    def bad_step(self) -> int:
        """First step whose loss was not finite; −1 if there is none."""
        return int(self.loop.bad_step)

    @property
    def history(self) -> TrainingHistory:
        """All records as one."""
        if not self.records:
            return _no_history()
        self.records = [jax.tree.map(lambda *parts: np.concatenate(parts), *self.records)]
        return self.records[0]

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write a checkpoint, atomically."""
        Checkpoint(
            network=self.network(self.loop.parameters),
            previous_network=self.network(self.loop.previous),
            best_network=self.network(self.best),
            optimiser=tuple(jax.tree.leaves(self.loop.optimiser)),
            step=self.step,
            bad_step=self.bad_step,
            best_score=float(self.best_score),
            best_step=self.best_step,
            evaluations_since_best=self.since_best,
            history=self.history,
            settings=settings,
            start=digest(self.start),
        ).save(path)

    def restore(self, path: Path, settings: dict[str, Any]) -> None:
        """Go on from a checkpoint; ValueError if it is broken or of another run."""
        for unfinished in path.parent.glob(f".{path.name}.*.tmp"):
            unfinished.unlink(missing_ok=True)  # a write that a kill cut short
        found = load_checkpoint(path)
        check_same_run(found, self.start, settings, path)
        structure = jax.tree.structure(self.loop.optimiser)
        optimiser = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in found.optimiser])
        self.loop = LoopState(
            self._parameters(found.network),
            optimiser,
            self._parameters(found.previous_network),
            jnp.full((), found.bad_step),
        )
        self.best = self._parameters(found.best_network)
        self.best_score, self.best_step = found.best_score, found.best_step
        self.since_best, self.step = found.evaluations_since_best, found.step
        self.records = [found.history]

    def _parameters(self, network: RecurrentNetwork) -> Any:
        return eqx.partition(jax.tree.map(jnp.asarray, network), self.spec)[0]

    def _rates(self, numbers: np.ndarray) -> np.ndarray:
        dtype = np.asarray(self.start.initial_state).dtype
        if not self.settings.scales:
            return np.full(len(numbers), np.nan, dtype)
        if callable(self.learning_rate):
            with jax.numpy_dtype_promotion("standard"):
                return np.asarray(jax.vmap(self.learning_rate)(jnp.asarray(numbers))).astype(dtype)
        return np.full(len(numbers), float(self.learning_rate), dtype)

    def _note(self, record: Any, rates: np.ndarray, count: int) -> None:
        kept = count if self.bad_step < 0 else max(self.step - (self.records_length), 0)
        evaluated, loss, accuracy = np.zeros(0, int), np.zeros(0), np.zeros(0)
        if self.held_out is not None:
            found = evaluate_network(
                self.loop.parameters, self.fixed, self.held_out, self.held_out_key, self.task,
                settings=self.settings.loss,
            )  # fmt: skip
            evaluated = np.array([self.step])
            loss, accuracy = np.array([float(found.loss)]), np.array([float(found.accuracy)])
            if loss[0] < self.best_score:
                self.best, self.best_score = self.loop.parameters, float(loss[0])
                self.best_step, self.since_best = self.step, 0
            else:
                self.since_best += 1
        losses, norms = np.asarray(record.loss)[:kept], np.asarray(record.gradient_norm)[:kept]
        self.records.append(TrainingHistory(losses, rates[:kept], norms, evaluated, loss, accuracy))

    @property
    def records_length(self) -> int:
        """Steps that are on record."""
        return sum(len(part.loss) for part in self.records)


def _grouped(part: Any, count: int, chunk: int, batches: int) -> np.ndarray:
    """Items as (chunk, batches, …), the last repeated where there are fewer."""
    array = np.asarray(part)[: count * batches]
    grouped = array.reshape(count, batches, *array.shape[1:])
    return np.concatenate([grouped, np.repeat(grouped[-1:], chunk - count, axis=0)])


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else float("nan")


def _no_history() -> TrainingHistory:
    empty = np.zeros(0)
    return TrainingHistory(empty, empty, empty, np.zeros(0, int), empty, empty)
