"""The loop around the compiled chunks of training: progress, callbacks, checkpoints, and every way to end."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisherjax._errors import warn
from fisherjax._runtime import progress_bar, stop_if_requested

from ._result import TrainingProgress
from ._run import Run
from ._setup import Goal

Callback = Callable[[TrainingProgress], Any]


class Saver(NamedTuple):
    """Where checkpoints go, what they say about the run, and how often they are written."""

    path: Path
    described: dict[str, Any]
    every: int

    def begin(self, run: Run) -> None:
        """Go on from the checkpoint, or write a first one: what cannot be saved must say so now, not after hours."""
        if not run.restore(self.path, self.described):
            run.save(self.path, self.described)

    def save(self, run: Run) -> bool:
        """Write a checkpoint; False, with a warning, if it fails: a full disk is no reason to lose what is trained."""
        try:
            run.save(self.path, self.described)
        except OSError as error:
            message = f"the checkpoint of step {run.state.step} could not be written ({error}); training goes on"
            warn(message)
            return False
        return True


def train_until(
    run: Run,
    goal: Goal,
    chunk: int,
    callback: Callback | None,
    saver: Saver | None,
    *,
    show: bool,
) -> str:
    """Chunks until something says stop; returns what."""
    begun = saved = run.state.step
    stopped = run.reason_to_stop(goal)
    with progress_bar(f"training, {run.stream.sizes}", goal.num_steps, enabled=show) as advance:
        advance(run.state.step)
        try:
            while not stopped:
                stop_if_requested()
                start, clock = run.state.step, time.perf_counter()
                run.advance(goal.num_steps, chunk)
                speed = (run.state.step - start) / (time.perf_counter() - clock)
                report = run.report(speed)
                advance(
                    run.state.step - start,
                    f"loss {report.loss:.4g} · lr {report.learning_rate:.2g} · {speed:.0f} steps/s",
                )
                stopped = run.reason_to_stop(goal)
                stopped = stopped or _asked(callback, report)
                if saver is not None and (stopped or run.state.step - saved >= saver.every) and saver.save(run):
                    saved = run.state.step
        except KeyboardInterrupt:
            stopped = "interrupted"
            if saver is not None:
                saver.save(run)
        except Exception as error:
            # whatever it is, the state is that before or after a chunk, and hours may lie in it
            if run.state.step == begun:
                raise
            stopped = f"failed after step {run.state.step}: {type(error).__name__}: {error}"
            if saver is not None and run.state.step > saved:
                saver.save(run)
    _warn_of(stopped, run)
    return stopped


def _asked(callback: Callback | None, report: TrainingProgress) -> str:
    """Why the callback ends the training; empty if it does not."""
    if callback is None:
        return ""
    try:
        answer = callback(report)
    except Exception as error:
        # a user's function may raise anything
        return f"callback failed at step {report.step}: it raised {type(error).__name__}: {error}"
    return "callback" if isinstance(answer, bool | np.bool_) and answer else ""


def _warn_of(stopped: str, run: Run) -> None:
    """Say what went wrong, if something did."""
    if stopped.startswith("non-finite"):
        message = f"training stopped: {stopped}; the last good state is returned ({run.advice()})"
    elif stopped.startswith(("the data failed", "callback failed", "failed after")):
        message = f"training stopped after {run.state.step} steps: {stopped}; the network trained so far is returned"
    else:
        return
    warn(message)
