"""The one loop around compiled steps of stochastic gradient descent: evaluation, checkpoints, and every way to end.

Whatever is minimized, the answers are the same. A loss that is not finite ends the descent at the last state at which
it was, with a warning that says where. Ctrl-C raises `Interrupted` after the last whole chunk is saved.
"""

import time
from typing import Any, NamedTuple

import numpy as np

from fisherjax._errors import warn
from fisherjax._types import Key

from ._course import TrainingHistory, TrainingProgress
from ._options import Callback, Options
from ._progress import progress_bar, stop_if_requested
from ._run import Evaluate, Run, Stream
from ._steps import Objective

_FAILURES = ("non-finite", "the data failed", "callback failed", "failed after")


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
    run = Run(model, objective, options, key, Stream() if stream is None else stream, evaluate)
    if options.checkpoint is not None:
        run.begin(options.checkpoint, {**options.described(run.trained), **(settings or {})})
    stopped = _until_stopped(run, options, title)
    state = run.state
    best = options.keep_best and state.best is not None
    model, best_step = (state.best, state.best_step) if best else (state.loop.model, state.step)
    result = Descent(model, state.loop.model, run.history, state.step, best_step, stopped)
    if stopped == "interrupted":
        path = options.checkpoint
        where = f"go on with checkpoint={str(path)!r}" if path else "what it reached is the .result of this exception"
        raise Interrupted(f"{title} was interrupted after step {state.step}; {where}", result)
    if stopped.startswith(_FAILURES):
        kept = f", and saved in {options.checkpoint}" if options.checkpoint else ""
        warn(f"{title} stopped after {state.step} steps: {stopped}; {run.what_is_left()}{kept}")
    return result


def _until_stopped(run: Run, options: Options, title: str) -> str:
    """Chunks until something says stop; returns what."""
    begun, stopped = run.state.step, run.reason_to_stop()
    of = f", {run.stream.sizes}" if run.stream.sizes else ""
    with progress_bar(f"{title}{of}", options.num_steps, enabled=options.progress) as advance:
        advance(begun)
        try:
            while not stopped:
                stop_if_requested()
                before, clock = run.state.step, time.perf_counter()
                run.advance()
                report = run.report((run.state.step - before) / (time.perf_counter() - clock))
                advance(run.state.step - before, _told(report))
                asked = _asked(options.callback, report) if run.due else ""  # also at the end
                stopped = run.reason_to_stop() or asked
                if stopped or (run.due and run.state.step - run.saved >= options.checkpoint_every):
                    run.save()
        except KeyboardInterrupt:
            stopped = "interrupted"
            run.save()
        except Exception as error:
            # whatever it is, the state is that before or after a chunk, and hours may lie in it
            if run.state.step == begun:
                raise
            stopped = f"failed after step {run.state.step}: {type(error).__name__}: {error}"
            run.save()
    return stopped


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
