"""One training run between its chunks: where it stands, what it has recorded, and how it is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._errors import require
from fisherjax._runtime import digest, read_checkpoint, write_checkpoint
from fisherjax._types import Key, Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.networks._recurrent import trainable_filter
from fisherjax.tasks import Task, TaskBatch

from ._checkpoint import Checkpoint, check_same_run
from ._loop import LoopSettings, LoopState, StepRecord, evaluate_network, run_chunk, start_loop
from ._result import Training, TrainingHistory, TrainingProgress
from ._setup import Goal, schedule_values
from ._streams import Stream


class RunState(NamedTuple):
    """Where a run stands; replaced as a whole, so that an interrupt finds it as it was before or after a chunk."""

    loop: LoopState
    step: int
    bad_step: int  # first step whose loss was not finite; −1 if there is none
    best: Any  # parameters of the lowest held-out loss
    best_score: float
    best_step: int
    since_best: int  # evaluations without a lower one
    exhausted: bool  # whether the data have ended
    records: tuple[TrainingHistory, ...]


class Run:
    """A training run; everything numerical is in the pure functions that it calls."""

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
        learning_rate: Scalar | Callable[[Any], Any],
    ):
        self.start, self.stream, self.held_out, self.task, self.settings = network, stream, held_out, task, settings
        self.noise_key, self.held_out_key = keys
        self.learning_rate = learning_rate
        self.spec = trainable_filter(network, trainable)
        parameters, self.fixed = eqx.partition(jax.tree.map(jnp.asarray, network), self.spec)
        self.state = RunState(
            loop=start_loop(parameters, settings),
            step=0,
            bad_step=-1,
            best=parameters,
            best_score=np.inf,
            best_step=0,
            since_best=0,
            exhausted=False,
            records=(),
        )

    def advance(self, num_steps: int, chunk: int) -> None:
        """One chunk of at most `chunk` steps, and an evaluation."""
        state, batches = self.state, self.settings.accumulate
        wanted = min(chunk - state.step % chunk, num_steps - state.step)  # chunks end at multiples of their length
        items = self.stream.take(state.step * batches, wanted * batches)
        count = 0 if items is None else len(jax.tree.leaves(items)[0]) // batches
        if count == 0:
            self.state = state._replace(exhausted=True)
            return
        numbers = np.arange(state.step, state.step + chunk)
        rates = self.rates(numbers)
        padded = jax.tree.map(lambda part: _grouped(part, count, chunk, batches), items)
        loop, record = run_chunk(
            self._going_on(padded), self.fixed, self.stream.rule, padded, numbers, np.nan_to_num(rates, nan=1.0),
            np.arange(chunk) < count, self.noise_key, settings=self.settings,
        )  # fmt: skip
        bad_step = int(loop.bad_step)
        done = count if bad_step < 0 else bad_step - state.step
        state = state._replace(loop=loop, step=state.step + done, bad_step=bad_step)
        self.state = self._evaluated(state, record, rates, done)

    def _going_on(self, items: Any) -> LoopState:
        """The loop with states to go on from where batches do: of new trials those at rest."""
        loop = self.state.loop
        if not self.stream.carries:
            return loop
        rest = self.network(loop.parameters).resting_state
        missing = items.batch.inputs.shape[3] - (0 if loop.carried is None else len(loop.carried))
        fresh = jnp.broadcast_to(rest, (missing, *rest.shape))
        return loop._replace(carried=fresh if loop.carried is None else jnp.concatenate([loop.carried, fresh]))

    def reason_to_stop(self, goal: Goal) -> str:
        """Why training is over; empty while it is not."""
        state = self.state
        if state.bad_step >= 0:
            return f"non-finite loss at step {state.bad_step}"
        if state.records and self.held_out is not None:
            accuracy, loss = _last(state.records[-1].held_out_accuracy), _last(state.records[-1].held_out_loss)
            if (goal.accuracy is not None and accuracy >= goal.accuracy) or (
                goal.loss is not None and loss <= goal.loss
            ):
                return "target reached"
            if goal.patience is not None and state.since_best >= goal.patience:
                return "no improvement"
        if state.exhausted:
            return self.stream.problem or "data exhausted"
        return "finished" if state.step >= goal.num_steps else ""

    def report(self, speed: float) -> TrainingProgress:
        """What the user is told after a chunk."""
        last = self.state.records[-1] if self.state.records else _no_history()
        return TrainingProgress(
            step=self.state.step,
            network=self.network(self.state.loop.parameters),
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
        state = self.state
        best = keep_best and np.isfinite(state.best_score)
        return Training(
            network=self.network(state.best if best else state.loop.parameters),
            last_network=self.network(state.loop.parameters),
            history=self.history,
            num_steps=state.step,
            best_step=state.best_step if best else state.step,
            stopped=stopped,
            data=self.stream.sizes,
        )

    def advice(self) -> str:
        """What may have made the loss not finite, in words."""
        step, batches = self.state.bad_step, self.settings.accumulate
        for position in range(step * batches, (step + 1) * batches):
            problem = self.stream.problem_at(position)
            if problem:
                return f"the data of that step are to blame: {problem}"
        if step == 0:
            return "no step was made before it: look at the size of the inputs and of the initial weights"
        return "a smaller learning_rate may help"

    @property
    def history(self) -> TrainingHistory:
        """All records as one."""
        return jax.tree.map(lambda *parts: np.concatenate(parts), _no_history(), *self.state.records)

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write a checkpoint, atomically."""
        state = self.state
        found = Checkpoint(
            network=self.network(state.loop.parameters),
            previous_network=self.network(state.loop.previous),
            best_network=self.network(state.best),
            optimizer=tuple(jax.tree.leaves(state.loop.optimizer)),
            step=state.step,
            bad_step=state.bad_step,
            best_score=float(state.best_score),
            best_step=state.best_step,
            evaluations_since_best=state.since_best,
            history=self.history,
            settings=settings,
            data=self.stream.fingerprint(state.step * self.settings.accumulate),
            start=digest(self.start),
            carried=state.loop.carried,
        )
        write_checkpoint(found, path)

    def restore(self, path: Path, settings: dict[str, Any]) -> bool:
        """Go on from a checkpoint if there is one; ValueError if it is broken or of another run."""
        found = read_checkpoint(Checkpoint, path, resume=True)
        if found is None:
            return False
        check_same_run(found, self.start, settings, path)
        require(
            found.data == self.stream.fingerprint(found.step * self.settings.accumulate),
            f"checkpoint {path} is of a run on other data",
        )
        rates = self.rates(np.arange(found.step)) if found.step else np.zeros(0)
        require(
            np.array_equal(
                rates.astype(found.history.learning_rate.dtype), found.history.learning_rate, equal_nan=True
            ),
            f"checkpoint {path} is of a run with another learning_rate schedule",
        )
        structure = jax.tree.structure(self.state.loop.optimizer)
        optimizer = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in found.optimizer])
        parameters, previous, best = (
            eqx.partition(jax.tree.map(jnp.asarray, network), self.spec)[0]
            for network in (found.network, found.previous_network, found.best_network)
        )
        self.state = RunState(
            loop=LoopState(
                parameters,
                optimizer,
                previous,
                jnp.full((), found.bad_step, int),
                None if found.carried is None else jnp.asarray(found.carried),
            ),
            step=found.step,
            bad_step=found.bad_step,
            best=best,
            best_score=found.best_score,
            best_step=found.best_step,
            since_best=found.evaluations_since_best,
            exhausted=False,
            records=(found.history,),
        )
        return True

    def rates(self, numbers: np.ndarray) -> np.ndarray:
        """Learning rate of every step; NaN where a user's optimizer keeps its own."""
        dtype = np.asarray(self.start.rest).dtype
        if not self.settings.scales:
            return np.full(len(numbers), np.nan, dtype)
        if callable(self.learning_rate):
            return schedule_values(self.learning_rate, numbers, dtype)
        return np.full(len(numbers), float(self.learning_rate), dtype)

    def optimizer_fingerprint(self) -> str:
        """Of what the optimizer does with a gradient of ones in its first step, and of its state."""
        parameters = self.state.loop.parameters
        ones = jax.tree.map(jnp.ones_like, parameters)
        with jax.numpy_dtype_promotion("standard"):
            start = self.settings.optimizer.init(parameters)
            updates, after = self.settings.optimizer.update(ones, start, parameters, value=jnp.ones(()))
        return digest((updates, after))

    def _evaluated(self, state: RunState, record: StepRecord, rates: np.ndarray, done: int) -> RunState:
        """The state with the chunk on record, and the best parameters where these are."""
        if self.held_out is None:
            return state._replace(records=(*state.records, _history(record, rates, done)))
        found = evaluate_network(
            state.loop.parameters, self.fixed, self.held_out, self.held_out_key, self.task, settings=self.settings.loss
        )
        loss, accuracy = float(found.loss), float(found.accuracy)
        if not np.isfinite(loss) and state.bad_step < 0:
            # the last step led to where the loss is not finite: that it was its own batch does not show
            parameters = state.loop.previous
            loop = state.loop._replace(parameters=parameters, bad_step=jnp.full((), state.step, int))
            state = state._replace(loop=loop, bad_step=state.step)
        kept = _history(record, rates, done, (state.step, loss, accuracy))
        state = state._replace(records=(*state.records, kept), since_best=state.since_best + 1)
        if loss < state.best_score:
            state = state._replace(best=state.loop.parameters, best_score=loss, best_step=state.step, since_best=0)
        return state


def _history(
    record: StepRecord, rates: np.ndarray, done: int, evaluation: tuple[int, float, float] | None = None
) -> TrainingHistory:
    """The course of the steps of a chunk that were done, and of the evaluation after it: step, loss, accuracy."""
    step, loss, accuracy = ([] if evaluation is None else [value] for value in evaluation or (0, 0.0, 0.0))
    return TrainingHistory(
        loss=np.asarray(record.loss)[:done],
        accuracy=np.asarray(record.accuracy)[:done],
        learning_rate=rates[:done],
        gradient_norm=np.asarray(record.gradient_norm)[:done],
        evaluated=np.array(step, int),
        held_out_loss=np.array(loss, float),
        held_out_accuracy=np.array(accuracy, float),
    )


def _grouped(part: Any, count: int, chunk: int, batches: int) -> np.ndarray:
    """Items as (chunk, batches, …), the last repeated where there are fewer."""
    array = np.asarray(part)[: count * batches]
    grouped = array.reshape(count, batches, *array.shape[1:])
    return np.concatenate([grouped, np.repeat(grouped[-1:], chunk - count, axis=0)])


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else float("nan")


def _no_history() -> TrainingHistory:
    empty = np.zeros(0)
    return TrainingHistory(empty, empty, empty, empty, np.zeros(0, int), empty, empty)
