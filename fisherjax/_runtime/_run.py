"""A descent between its chunks: where it stands, what it has recorded, how it is saved and restored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax._arrays import as_jax
from fisherjax._errors import require, warn
from fisherjax._types import Key

from ._checkpoint import digest, read_checkpoint, write_checkpoint
from ._course import Checkpoint, TrainingHistory, TrainingProgress, check_same_run
from ._options import Options, rates_of
from ._steps import LoopState, Objective, StepRecord, run_steps, start_loop

Evaluate: TypeAlias = Callable[[Any], tuple[float, float]]
"""Held-out loss and accuracy of a model."""


class Stream:
    """Where batches come from: items for the compiled loop, which the objective turns into batches. Here, numbers."""

    sizes: str = ""  # "64 steps × 20 trials"
    problem: str = ""  # why the data ended before their time
    most_steps: int | None = None  # items of so many steps fit into memory at once; None for any number

    def take(self, start: int, count: int) -> Any:
        """Items `start` to `start + count` with a leading axis; fewer, or None, where there are no more."""
        return np.arange(start, start + count)

    def placed(self, items: np.ndarray) -> jax.Array:
        """Items (steps, batches, …) on the devices."""
        return as_jax(items)

    def problem_at(self, position: int) -> str:  # noqa: ARG002
        """What is wrong with an item that has been used; empty where all were checked before."""
        return ""

    def fingerprint(self, position: int) -> str:  # noqa: ARG002
        """Of the data that are used before a position; empty where they follow from settings and the key."""
        return ""


class RunState(NamedTuple):
    """Where a run stands; replaced as a whole, so that an interrupt finds it as it was before or after a chunk."""

    loop: LoopState
    step: int = 0
    bad_step: int = -1  # first step whose loss was not finite; −1 if there is none
    best: Any = None  # the model of the lowest held-out loss
    best_score: float = np.inf
    best_step: int = 0
    since_best: int = 0  # evaluations without a lower one
    exhausted: bool = False  # whether the data have ended
    records: tuple[TrainingHistory, ...] = ()


class Run:
    """A descent between its chunks; everything numerical is in the pure functions that it calls."""

    def __init__(
        self, model: Any, objective: Objective, options: Options, key: Key, stream: Stream, evaluate: Evaluate | None
    ):
        self.start, self.objective, self.options = model, objective, options
        self.key, self.stream, self.evaluate = key, stream, evaluate
        self.trainable = objective.trainable(model)
        self.trained = eqx.filter(model, self.trainable)
        self.dtype = jax.tree.leaves(self.trained)[0].dtype if jax.tree.leaves(self.trained) else jnp.zeros(()).dtype
        self.state = RunState(start_loop(model, self.trainable, options.transformation))
        self.settings: dict[str, Any] = {}
        self.saved = -1  # step of the last checkpoint
        self.due = False  # whether the last chunk ended where there is an evaluation
        self.rates = rates_of(
            options.learning_rate, np.arange(options.num_steps), self.dtype
        )  # NaN: the optimizer's own

    def advance(self) -> None:
        """One chunk of steps, and an evaluation if `evaluate_every` of them are done since the last one."""
        state, batches, every = self.state, self.options.accumulate, self.options.evaluate_every
        rows = min(every, self.stream.most_steps or every)
        since = state.step % every
        # chunks end at multiples of their length, and where there is an evaluation
        wanted = min(rows - since % rows, every - since, self.options.num_steps - state.step)
        items = self.stream.take(state.step * batches, wanted * batches)
        count = 0 if items is None else len(jax.tree.leaves(items)[0]) // batches
        if count == 0:
            self.state = state._replace(exhausted=True)
            return
        rates = self.rates[state.step : state.step + count]
        factors = np.ones_like(rates) if self.options.learning_rate is None else -rates
        grouped = jax.tree.map(lambda part: self.stream.placed(_grouped(part, count, rows, batches)), items)
        memory = self.objective.memory(state.loop.model, state.loop.memory, grouped)
        loop, record = run_steps(
            state.loop._replace(memory=memory), self.objective, self.trainable, self.options.transformation, grouped,
            as_jax(np.pad(factors, (0, rows - count))),
            jnp.asarray((state.step, count)), self.key,
        )  # fmt: skip
        bad_step = int(loop.bad_step)
        done = count if bad_step < 0 else bad_step - state.step
        state = state._replace(loop=loop, step=state.step + done, bad_step=bad_step)
        self.due = done < wanted or state.step % every == 0 or state.step == self.options.num_steps
        self.state = self._recorded(state, record, rates[:done])

    def _recorded(self, state: RunState, record: StepRecord, rates: np.ndarray) -> RunState:
        """The state with the chunk on record and, where it is due, evaluated: the best model where this is."""
        if self.evaluate is None or not self.due:
            return state._replace(records=(*state.records, _history(record, rates)))
        loss, accuracy = self.evaluate(state.loop.model)
        if not np.isfinite(loss) and state.bad_step < 0:
            # the last step led to where the loss is not finite: that it was its own batch does not show
            loop = state.loop._replace(model=state.loop.previous, bad_step=jnp.full((), state.step, int))
            state = state._replace(loop=loop, bad_step=state.step)
        records = (*state.records, _history(record, rates, [state.step], [loss], [accuracy]))
        state = state._replace(records=records, since_best=state.since_best + 1)
        if loss < state.best_score:
            state = state._replace(best=state.loop.model, best_score=loss, best_step=state.step, since_best=0)
        return state

    def reason_to_stop(self) -> str:
        """Why the descent is over; empty while it is not."""
        state, options = self.state, self.options
        if state.bad_step >= 0:
            return f"non-finite loss at step {state.bad_step}"
        if state.records and self.evaluate is not None:
            accuracy, loss = _last(state.records[-1].held_out_accuracy), _last(state.records[-1].held_out_loss)
            if (options.target_accuracy is not None and accuracy >= options.target_accuracy) or (
                options.target_loss is not None and loss <= options.target_loss
            ):
                return "target reached"
            if options.patience is not None and state.since_best >= options.patience:
                return "no improvement"
        if state.exhausted:
            return self.stream.problem or "data exhausted"
        return "finished" if state.step >= options.num_steps else ""

    def what_is_left(self) -> str:
        """What is returned after a failure and, of a loss that is not finite, what may have made it so."""
        step, batches = self.state.bad_step, self.options.accumulate
        if step < 0:
            return "the network trained so far is returned"
        advice = "no step was made before it: look at the size of the inputs and of the initial weights"
        advice = "a smaller learning_rate may help" if step else advice
        for position in range(step * batches, (step + 1) * batches):
            problem = self.stream.problem_at(position)
            advice = f"the data of that step are to blame: {problem}" if problem else advice
        return f"the last good state, after {max(step - 1, 0)} updates, is returned ({advice})"

    def report(self, speed: float) -> TrainingProgress:
        """What the user is told after a chunk."""
        last = self.state.records[-1] if self.state.records else _NO_HISTORY
        names = ("loss", "learning_rate", "held_out_loss", "held_out_accuracy")
        values = {name: _last(getattr(last, name)) for name in names}
        return TrainingProgress(self.state.step, self.state.loop.model, **values, steps_per_second=speed)

    @property
    def history(self) -> TrainingHistory:
        """All records as one."""
        return jax.tree.map(lambda *parts: np.concatenate(parts), _NO_HISTORY, *self.state.records)

    def begin(self, path: Path, settings: dict[str, Any]) -> None:
        """Go on from the checkpoint, or write a first one: what cannot be saved must say so now, not after hours."""
        self.settings = settings
        stored = read_checkpoint(Checkpoint, path, resume=True)
        if stored is None:
            write_checkpoint(self.checkpoint, path)
        else:
            check_same_run(stored, self.start, settings, path)
            data = self.stream.fingerprint(stored.step * self.options.accumulate)
            require(stored.data == data, f"checkpoint {path} is of a run on other data")
            self._check_rates(stored, path)
            self._restore(stored)
        self.saved = self.state.step

    def save(self) -> None:
        """Write a checkpoint, if there is anything new; a full disk is no reason to lose what is trained."""
        path, step = self.options.checkpoint, self.state.step
        if path is None or (step == self.saved and self.state.bad_step < 0):
            return
        try:
            write_checkpoint(self.checkpoint, path)
            self.saved = step
        except OSError as error:
            warn(f"the checkpoint of step {step} could not be written ({error}); training goes on")

    @property
    def checkpoint(self) -> Checkpoint:
        """The state, to be saved."""
        state = self.state
        return Checkpoint(
            model=state.loop.model,
            previous=state.loop.previous,
            best=state.best,
            optimizer=tuple(jax.tree.leaves(state.loop.optimizer)),
            memory=state.loop.memory,
            step=state.step,
            bad_step=state.bad_step,
            best_score=float(state.best_score),
            best_step=state.best_step,
            evaluations_since_best=state.since_best,
            history=self.history,
            settings=self.settings,
            data=self.stream.fingerprint(state.step * self.options.accumulate),
            start=digest(self.start),
        )

    def _check_rates(self, stored: Checkpoint, path: Path) -> None:
        before = stored.history.learning_rate
        now = rates_of(self.options.learning_rate, np.arange(stored.step), self.dtype).astype(before.dtype)
        same = np.array_equal(now, before, equal_nan=True)
        require(same, f"checkpoint {path} is of a run with another learning_rate schedule")

    def _restore(self, stored: Checkpoint) -> None:
        optimizer = jax.tree.unflatten(jax.tree.structure(self.state.loop.optimizer), stored.optimizer)
        loop = LoopState(stored.model, optimizer, stored.previous, jnp.full((), stored.bad_step, int), stored.memory)
        loop, best = jax.tree.map(_on_device, (loop, stored.best))
        self.state = RunState(
            loop, stored.step, stored.bad_step, best, stored.best_score, stored.best_step,
            stored.evaluations_since_best, records=(stored.history,),
        )  # fmt: skip


def _history(
    record: StepRecord, rates: np.ndarray, evaluated: Any = (), loss: Any = (), accuracy: Any = ()
) -> TrainingHistory:
    """The course of the steps of a chunk that were done, and of the evaluation after it."""
    done = len(rates)
    return TrainingHistory(
        loss=np.asarray(record.loss)[:done],
        accuracy=np.asarray(record.accuracy)[:done],
        learning_rate=rates,
        gradient_norm=np.asarray(record.gradient_norm)[:done],
        evaluated=np.asarray(evaluated, int),
        held_out_loss=np.asarray(loss, float),
        held_out_accuracy=np.asarray(accuracy, float),
    )


_NO_STEPS = np.zeros(0)
_NO_HISTORY = _history(StepRecord(_NO_STEPS, _NO_STEPS, _NO_STEPS), _NO_STEPS)  # pyright: ignore[reportArgumentType]


def _grouped(part: Any, count: int, rows: int, batches: int) -> np.ndarray:
    """Items as (rows, batches, …), the last repeated where there are fewer."""
    array = np.asarray(part)[: count * batches]
    grouped = array.reshape(count, batches, *array.shape[1:])
    return np.concatenate([grouped, np.repeat(grouped[-1:], rows - count, axis=0)])


def _on_device(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else float("nan")
