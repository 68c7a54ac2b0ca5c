"""The one loop around compiled steps of stochastic gradient descent: evaluation, checkpoints, and every way to end.

Whatever is minimized, the answers are the same. A loss that is not finite ends the descent at the last state at which
it was, with a warning that says where. Ctrl-C raises `Interrupted` after the last whole chunk is saved.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisherjax._errors import as_path, check_callable, check_flag, check_integer, check_scalar, require, warn
from fisherjax._types import Key, npz_path

from ._checkpoint import digest, read_checkpoint, write_checkpoint
from ._course import Checkpoint, TrainingHistory, TrainingProgress, check_same_run
from ._optimizers import (
    OptimizerLike,
    Rate,
    as_optimizer,
    check_gradient_norm,
    check_rate,
    clipped,
    optimizer_fingerprint,
    rates_of,
)
from ._progress import progress_bar
from ._steps import LoopState, Objective, StepRecord, run_steps, start_loop
from ._stop import stop_if_requested

Callback = Callable[[TrainingProgress], Any]
Evaluate = Callable[[Any], tuple[float, float]]
"""Held-out loss and accuracy of a model."""


class Stream:
    """Where batches come from: items for the compiled loop, which the objective turns into batches. Here, numbers."""

    sizes: str = ""  # "64 steps × 20 trials"
    problem: str = ""  # why the data ended before their time

    def take(self, start: int, count: int) -> Any:
        """Items `start` to `start + count` with a leading axis; fewer, or None, where there are no more."""
        return np.arange(start, start + count)

    def problem_at(self, position: int) -> str:  # noqa: ARG002
        """What is wrong with an item that has been used; empty where all were checked before."""
        return ""

    def fingerprint(self, position: int) -> str:  # noqa: ARG002
        """Of the data that are used before a position; empty where they follow from settings and the key."""
        return ""


@dataclasses.dataclass(frozen=True)
class Options:
    """How to descend, whatever is minimized: checked, with the words that all share. `training.fit` explains them."""

    num_steps: int
    batch_size: int = 64
    learning_rate: Rate | None = None  # 1e-3 for a named optimizer, else the optimizer's own
    optimizer: OptimizerLike | None = None  # "adam"
    max_gradient_norm: Any = 1.0
    accumulate: int = 1
    evaluate_every: int = 50
    keep_best: bool = True
    patience: int | None = None
    target_accuracy: Any = None
    target_loss: Any = None
    callback: Callback | None = None
    checkpoint: Any = None
    checkpoint_every: int = 1
    progress: bool = False

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("num_steps", "batch_size", "accumulate", "evaluate_every", "checkpoint_every"):
            keep(name, check_integer(name, getattr(self, name), minimum=1))
        keep("max_gradient_norm", check_gradient_norm(self.max_gradient_norm))
        optimizer = "adam" if self.optimizer is None else as_optimizer(self.optimizer)
        keep("optimizer", optimizer)
        if isinstance(optimizer, str):
            keep("learning_rate", 1e-3 if self.learning_rate is None else self.learning_rate)
            check_rate(self.learning_rate, self.num_steps)
        both = "give either learning_rate or an optimizer of optax, which brings its own rate"
        require(isinstance(optimizer, str) or self.learning_rate is None, both)
        for name in ("keep_best", "progress"):
            keep(name, check_flag(name, getattr(self, name)))
        if self.patience is not None:
            keep("patience", check_integer("patience", self.patience, minimum=1))
        for name in ("target_accuracy", "target_loss"):
            if getattr(self, name) is not None:
                check_scalar(name, getattr(self, name))
                keep(name, float(getattr(self, name)))
        if self.callback is not None:
            check_callable("callback", self.callback)
        if self.checkpoint is not None:
            keep("checkpoint", npz_path(as_path("checkpoint", self.checkpoint)))

    @property
    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """What makes a step of a gradient."""
        assert self.optimizer is not None  # noqa: S101
        return clipped(self.max_gradient_norm, self.optimizer)

    def described(self, trained: Any) -> dict[str, Any]:
        """What the course of a descent depends on."""
        named = isinstance(self.optimizer, str)
        rate = self.learning_rate
        return {
            "batch_size": self.batch_size,
            "optimizer": self.optimizer if named else optimizer_fingerprint(self.transformation, trained),
            "learning_rate": "schedule" if callable(rate) else 0.0 if rate is None else float(rate),
            "max_gradient_norm": str(self.max_gradient_norm),
            "accumulate": self.accumulate,
            "evaluate_every": self.evaluate_every,
        }


class Descent(NamedTuple):
    """Where a descent ended: the model to use, the last one, and how it came about."""

    model: Any
    last: Any
    history: TrainingHistory
    num_steps: int
    best_step: int
    stopped: str


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a descent; `result` is the `Descent` so far."""

    def __init__(self, message: str, result: Descent):
        super().__init__(message)
        self.result = result


def descend(
    title: str,
    model: Any,
    objective: Objective,
    options: Options,
    *,
    key: Key,
    stream: Stream | None = None,
    evaluate: Evaluate | None = None,
    settings: dict[str, Any] | None = None,
) -> Descent:
    """Minimize an objective by steps of an optimizer, in compiled chunks of `evaluate_every`.

    Parameters
    ----------
    title
        What is going on, for the bar and for messages.
    model, objective, options
        Where to start, what to minimize, how.
    key
        JAX random key; step k has the k-th fold of it.
    stream
        Of items, one for each batch; numbers by default.
    evaluate
        Held-out loss and accuracy, after every chunk.
    settings
        What the course depends on beside the options; a checkpoint of others is refused.

    Raises
    ------
    Interrupted
        If Ctrl-C or a request to stop came, once a checkpoint holds the last whole chunk.
    ValueError
        If the checkpoint is broken or of another run.
    """
    run = _Run(model, objective, options, key, Stream() if stream is None else stream, evaluate)
    if options.checkpoint is not None:
        run.begin(options.checkpoint, {**options.described(run.trained), **(settings or {})})
    stopped = run.until_stopped(title)
    if stopped == "interrupted":
        path = options.checkpoint
        where = f"go on with checkpoint={str(path)!r}" if path else "what it reached is the .result of this exception"
        raise Interrupted(f"{title} was interrupted after step {run.state.step}; {where}", run.result(stopped))
    if stopped.startswith(_FAILURES):
        kept = f", and saved in {options.checkpoint}" if options.checkpoint else ""
        warn(f"{title} stopped after {run.state.step} steps: {stopped}; {run.what_is_left()}{kept}")
    return run.result(stopped)


_FAILURES = ("non-finite", "the data failed", "callback failed", "failed after")


class _RunState(NamedTuple):
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


class _Run:
    """A descent between its chunks; everything numerical is in the pure functions that it calls."""

    def __init__(
        self, model: Any, objective: Objective, options: Options, key: Key, stream: Stream, evaluate: Evaluate | None
    ):
        self.start, self.objective, self.options = model, objective, options
        self.key, self.stream, self.evaluate = key, stream, evaluate
        self.trainable = objective.trainable(model)
        self.trained = eqx.filter(model, self.trainable)
        self.dtype = jax.tree.leaves(self.trained)[0].dtype if jax.tree.leaves(self.trained) else jnp.zeros(()).dtype
        self.state = _RunState(start_loop(model, self.trainable, options.transformation))
        self.settings: dict[str, Any] = {}
        self.saved = -1  # step of the last checkpoint

    def until_stopped(self, title: str) -> str:
        """Chunks until something says stop; returns what."""
        options, begun, stopped = self.options, self.state.step, self.reason_to_stop()
        of = f", {self.stream.sizes}" if self.stream.sizes else ""
        with progress_bar(f"{title}{of}", options.num_steps, enabled=options.progress) as advance:
            advance(begun)
            try:
                while not stopped:
                    stop_if_requested()
                    before, clock = self.state.step, time.perf_counter()
                    self.advance()
                    report = self.report((self.state.step - before) / (time.perf_counter() - clock))
                    advance(self.state.step - before, _told(report))
                    stopped = self.reason_to_stop() or _asked(options.callback, report)
                    if stopped or self.state.step - self.saved >= options.checkpoint_every:
                        self.save()
            except KeyboardInterrupt:
                stopped = "interrupted"
                self.save()
            except Exception as error:
                # whatever it is, the state is that before or after a chunk, and hours may lie in it
                if self.state.step == begun:
                    raise
                stopped = f"failed after step {self.state.step}: {type(error).__name__}: {error}"
                self.save()
        return stopped

    def advance(self) -> None:
        """One chunk of at most `evaluate_every` steps, and an evaluation."""
        state, batches, rows = self.state, self.options.accumulate, self.options.evaluate_every
        # chunks end at multiples of their length
        wanted = min(rows - state.step % rows, self.options.num_steps - state.step)
        items = self.stream.take(state.step * batches, wanted * batches)
        count = 0 if items is None else len(jax.tree.leaves(items)[0]) // batches
        if count == 0:
            self.state = state._replace(exhausted=True)
            return
        rates = self.rates(np.arange(state.step, state.step + rows))
        grouped = jax.tree.map(lambda part: jnp.asarray(_grouped(part, count, rows, batches)), items)
        memory = self.objective.memory(state.loop.model, state.loop.memory, grouped)
        loop, record = run_steps(
            state.loop._replace(memory=memory), self.objective, self.trainable, self.options.transformation, grouped,
            jnp.asarray(np.ones_like(rates) if self.options.learning_rate is None else -rates),
            jnp.asarray((state.step, count)), self.key,
        )  # fmt: skip
        bad_step = int(loop.bad_step)
        done = count if bad_step < 0 else bad_step - state.step
        state = state._replace(loop=loop, step=state.step + done, bad_step=bad_step)
        self.state = self._evaluated(state, record, rates[:done])

    def _evaluated(self, state: _RunState, record: StepRecord, rates: np.ndarray) -> _RunState:
        """The state with the chunk on record, and the best model where this is."""
        if self.evaluate is None:
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

    def result(self, stopped: str) -> Descent:
        """What `descend` returns."""
        state = self.state
        best = self.options.keep_best and state.best is not None
        model, step = (state.best, state.best_step) if best else (state.loop.model, state.step)
        return Descent(model, state.loop.model, self.history, state.step, step, stopped)

    @property
    def history(self) -> TrainingHistory:
        """All records as one."""
        return jax.tree.map(lambda *parts: np.concatenate(parts), _NO_HISTORY, *self.state.records)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Learning rate of every step; NaN where a user's optimizer keeps its own."""
        return rates_of(self.options.learning_rate, steps, self.dtype)

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
        now = self.rates(np.arange(stored.step)).astype(before.dtype)
        same = np.array_equal(now, before, equal_nan=True)
        require(same, f"checkpoint {path} is of a run with another learning_rate schedule")

    def _restore(self, stored: Checkpoint) -> None:
        structure = jax.tree.structure(self.state.loop.optimizer)
        model, previous, best, memory, optimizer = jax.tree.map(
            lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf,
            (stored.model, stored.previous, stored.best, stored.memory, stored.optimizer),
        )
        leaves = [jnp.asarray(leaf) for leaf in optimizer]
        loop = LoopState(
            model, jax.tree.unflatten(structure, leaves), previous, jnp.full((), stored.bad_step, int), memory
        )
        self.state = _RunState(
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


def _asked(callback: Callback | None, report: TrainingProgress) -> str:
    """Why the callback ends the descent; empty if it does not."""
    if callback is None:
        return ""
    try:
        answer = callback(report)
    except Exception as error:
        # a user's function may raise anything
        return f"callback failed at step {report.step}: it raised {type(error).__name__}: {error}"
    return "callback" if isinstance(answer, bool | np.bool_) and answer else ""


def _told(report: TrainingProgress) -> str:
    """One line for the bar."""
    values = {"loss": report.loss, "held-out": report.held_out_loss, "accuracy": report.held_out_accuracy}
    known = [f"{name} {value:.4g}" for name, value in values.items() if np.isfinite(value)]
    return " · ".join([*known, f"lr {report.learning_rate:.2g}", f"{report.steps_per_second:.0f} steps/s"])


def _grouped(part: Any, count: int, rows: int, batches: int) -> np.ndarray:
    """Items as (rows, batches, …), the last repeated where there are fewer."""
    array = np.asarray(part)[: count * batches]
    grouped = array.reshape(count, batches, *array.shape[1:])
    return np.concatenate([grouped, np.repeat(grouped[-1:], rows - count, axis=0)])


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else float("nan")
