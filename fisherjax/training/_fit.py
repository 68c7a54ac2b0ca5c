"""Training of a recurrent network on a task: compiled chunks of steps inside a loop that can be watched and stopped."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from fisherjax._errors import as_path, check_callable, check_flag, check_instance, check_integer, check_key, warn
from fisherjax._types import Key, Scalar, npz_path
from fisherjax.networks import RecurrentNetwork, trainable_filter
from fisherjax.numerics import Devices, device_mesh, digest, on_devices, progress_bar, stop_if_requested
from fisherjax.tasks import Task

from ._result import Training, TrainingProgress
from ._run import Run
from ._setup import Goal, check_widths, checked_rates, held_out_trials, loop_settings, task_trials, training_goal
from ._streams import as_stream


def fit(
    network: RecurrentNetwork,
    task: Task | tuple[Any, ...] | Iterable[Any],
    *,
    key: Key,
    num_steps: int = 1000,
    batch_size: int = 64,
    trial_steps: int | None = None,
    learning_rate: float | Callable[[Any], Any] | None = None,
    optimiser: optax.GradientTransformation | None = None,
    max_gradient_norm: Scalar = 1.0,
    loss: str | None = None,
    rate_penalty: Scalar = 0.0,
    weight_penalty: Scalar = 0.0,
    accumulate: int = 1,
    trainable: tuple[str, ...] | None = None,
    batch_first: bool | None = None,
    held_out: tuple[Any, ...] | None = None,
    evaluate_every: int = 50,
    keep_best: bool = True,
    patience: int | None = None,
    target_accuracy: Scalar | None = None,
    target_loss: Scalar | None = None,
    callback: Callable[[TrainingProgress], object] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 500,
    unroll: int = 1,
    progress: bool = False,
    devices: Devices = None,
) -> Training:
    """Train a network by stochastic gradient descent through time.

    Minimises Σ mask · ℓ(output, target) / Σ mask + penalties over fresh batches; what the mask leaves out may be
    anything, NaN included, in targets, inputs and, for the penalty on rates, states. The constraints of the network
    hold at every step, because they are part of how its weights are built. Steps run in compiled chunks of
    `evaluate_every`; after each, the held-out trials are evaluated, progress is shown, the callback is called.
    For a curriculum, call it again with ``training.network`` and the harder task.

    Parameters
    ----------
    network
        Where to start. With process or observation noise, training runs with noise.
    task
        A `Task`; or arrays (inputs (T, n, I), targets (T, n, O)[, mask (T, n)]) of n trials; or any iterable of
        batches of that form, which ends the training when it ends. Its batches may differ in trials and steps: smaller
        ones are filled up under the mask. The mask is the weight of every moment, at least 0.
    key
        JAX random key: batches, noise and held-out trials.
    num_steps
        Training steps, those before a resume included.
    batch_size
        Trials per batch.
    trial_steps
        Time steps per trial of a `Task`; its own default if absent.
    learning_rate
        Adam's step size, or an optax schedule of the step; 1e-3 by default.
    optimiser
        An optax transformation instead of Adam; it brings its own learning rate. Those that call the loss
        themselves (line searches, L-BFGS) are not supported.
    max_gradient_norm
        Gradients are scaled down to this global norm; ``math.inf`` for no limit.
    loss
        "mse" or "cross-entropy"; the task's own by default, "mse" for arrays and iterables.
    rate_penalty, weight_penalty
        Factors of the mean squared rate, over the moments that the mask counts, and of the summed squared weights.
    accumulate
        Batches per step whose gradients are averaged, one at a time.
    trainable
        Names of the parameters to train; the network's own choice by default.
    batch_first
        Whether trials come first in the arrays given, (n, T, ·), those of `held_out` too. By default time does, and a
        mask that would be padding only with trials first is asked about; False does not ask.
    held_out
        Trials (inputs, targets[, mask]) for evaluation; 256 fresh ones of a `Task` by default, none for data.
    evaluate_every
        Steps per chunk.
    keep_best
        Whether to return the network of lowest held-out loss rather than the last.
    patience
        Stop after this many evaluations without a lower held-out loss.
    target_accuracy, target_loss
        Stop as soon as held-out accuracy or loss is as good.
    callback
        Called with a `TrainingProgress` after each chunk; training stops if it returns True, or raises.
    checkpoint
        File (.npz) to write every `checkpoint_every` steps and at the end. If it exists, the run goes on from there,
        to the same bits as if it had never stopped; a checkpoint of another run is refused. `num_steps` may be
        raised; what ended between two evaluations was evaluated there too, which `keep_best` and `patience` remember.
    checkpoint_every
        Steps between checkpoints, rounded up to whole chunks.
    unroll
        Time steps per iteration of the compiled loop over time.
    progress
        Whether to show a bar with loss, learning rate and steps per second.
    devices
        Divide the trials of every batch among devices: a number, ``"all"``, or what `numerics.device_mesh` takes. A
        run resumes to the same bits on the same number of devices.

    Returns
    -------
    `Training`. A run that is interrupted (Ctrl-C) returns what is trained. So does one in which something goes wrong
    after a step was made: an iterable that raises or yields what cannot be trained on, a callback that raises, a loss
    that stops being finite (then the last good state). It warns, and `stopped` says what happened and where. A
    checkpoint that cannot be written is told in a warning, and training goes on.

    Raises
    ------
    ValueError
        If a number is out of range, data are not finite where they count, widths of network and task differ, or the
        checkpoint is of another run or broken.
    TypeError
        If `task` or `key` is of the wrong kind.
    """
    check_instance("network", network, RecurrentNetwork, "such as networks.RNN(2, 64, 1, key=key)")
    key = check_key("key", key)
    data_key, trial_key, noise_key, evaluation_key = jax.random.split(key, 4)
    trainable_filter(network, trainable)  # refuses names that it does not know
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    evaluate_every = check_integer("evaluate_every", evaluate_every, minimum=1)
    checkpoint_every = check_integer("checkpoint_every", checkpoint_every, minimum=1)
    settings = loop_settings(
        network, task, optimiser, learning_rate, max_gradient_norm, loss, (rate_penalty, weight_penalty),
        accumulate, unroll,
    )  # fmt: skip
    if trial_steps is not None:
        trial_steps = check_integer("trial_steps", trial_steps, minimum=1)
    rate = 1e-3 if learning_rate is None else learning_rate
    checked_rates(rate, num_steps, network.initial_state.dtype)
    keep_best, progress = check_flag("keep_best", keep_best), check_flag("progress", progress)
    batch_first = None if batch_first is None else check_flag("batch_first", batch_first)
    place = None if checkpoint is None else npz_path(as_path("checkpoint", checkpoint))
    widths = (network.num_inputs, network.num_outputs)
    layout = {"batch_first": batch_first, "classes": settings.loss.kind == "cross-entropy"}
    stream = as_stream(task, data_key, batch_size, trial_steps, widths, **layout)
    trials = held_out_trials(task, held_out, trial_key, trial_steps, **layout)
    check_widths(network, task, stream, trials)
    if isinstance(task, Task) and held_out is not None:
        task_trials(task, data_key, 2, trial_steps, classes=layout["classes"])
    goal = training_goal(num_steps, task, trials, patience, target_accuracy, target_loss)
    device_mesh(devices)  # refuses what are no devices
    if callback is not None:
        check_callable("callback", callback)
    run = Run(
        network,
        stream,
        trials,
        task if isinstance(task, Task) else None,
        settings,
        trainable=trainable,
        keys=(noise_key, evaluation_key),
        learning_rate=rate,
    )
    saver = None
    if place is not None:
        described = {
            "key": tuple(np.asarray(jax.random.key_data(key)).tolist()),
            "task": repr(task) if isinstance(task, Task) else type(task).__name__,
            "trial_steps": trial_steps,
            "batch_size": batch_size,
            "learning_rate": "schedule" if callable(learning_rate) else float(learning_rate or 0.0),
            "optimiser": "adam" if optimiser is None else run.optimiser_fingerprint(),
            "max_gradient_norm": str(float(max_gradient_norm)),
            "loss": settings.loss.kind,
            "penalties": (float(rate_penalty), float(weight_penalty)),
            "accumulate": settings.accumulate,
            "evaluate_every": evaluate_every,
            "trainable": tuple(network.trainable if trainable is None else trainable),
            "held_out": "" if trials is None else digest(trials),
        }
        saver = _Saver(place, described, checkpoint_every)
        saver.begin(run)
    with on_devices(devices):
        stopped = _loop(run, goal, evaluate_every, callback, saver, show=progress)
    return run.result(stopped, keep_best=keep_best)


class _Saver(NamedTuple):
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


def _loop(
    run: Run,
    goal: Goal,
    chunk: int,
    callback: Callable[[TrainingProgress], object] | None,
    saver: _Saver | None,
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


def _asked(callback: Callable[[TrainingProgress], object] | None, report: TrainingProgress) -> str:
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
