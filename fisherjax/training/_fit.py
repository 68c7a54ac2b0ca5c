"""Training of a recurrent network on a task: compiled chunks of steps inside a loop that can be watched and stopped."""

import os
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from fisherjax._errors import check_callable, check_integer, check_key
from fisherjax._types import Key, Scalar, npz_path
from fisherjax.networks import RecurrentNetwork
from fisherjax.numerics import Devices, digest, on_devices, progress_bar, stop_if_requested
from fisherjax.tasks import Task

from ._result import Training, TrainingProgress
from ._run import Goal, Run
from ._setup import check_widths, held_out_trials, loop_settings, training_goal
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

    Minimises Σ mask · ℓ(output, target) / Σ mask + penalties over fresh batches. The constraints of the network
    hold at every step, because they are part of how its weights are built. Steps run in compiled chunks of
    `evaluate_every`; after each, the held-out trials are evaluated, progress is shown, the callback is called.
    For a curriculum, call it again with ``training.network`` and the harder task.

    Parameters
    ----------
    network
        Where to start. With process or observation noise, training runs with noise.
    task
        A `Task`; or arrays (inputs (T, n, I), targets (T, n, O)[, mask (T, n)]) of n trials; or any iterable of
        batches of that form, which ends the training when it ends.
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
        Factors of the mean squared rate and of the summed squared weights.
    accumulate
        Batches per step whose gradients are averaged, one at a time.
    trainable
        Names of the parameters to train; the network's own choice by default.
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
        Called with a `TrainingProgress` after each chunk; training stops if it returns True.
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
    `Training`. A run that is interrupted (Ctrl-C) returns what is trained; one whose loss stops being finite warns,
    says at which step, and returns the last good state.

    Raises
    ------
    ValueError
        If a number is out of range, widths of network and task differ, or the checkpoint is of another run or broken.
    TypeError
        If `task` or `key` is of the wrong kind.
    """
    if not isinstance(network, RecurrentNetwork):
        raise TypeError(f"network must be a RecurrentNetwork such as networks.RNN, got a {type(network).__name__}")
    key = check_key("key", key)
    data_key, trial_key, noise_key, evaluation_key = jax.random.split(key, 4)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    evaluate_every = check_integer("evaluate_every", evaluate_every, minimum=1)
    checkpoint_every = check_integer("checkpoint_every", checkpoint_every, minimum=1)
    settings = loop_settings(
        network, task, optimiser, learning_rate, max_gradient_norm, loss, (rate_penalty, weight_penalty),
        accumulate, unroll,
    )  # fmt: skip
    stream = as_stream(task, data_key, batch_size, trial_steps)
    trials = held_out_trials(task, held_out, trial_key, trial_steps)
    check_widths(network, task, stream, trials)
    goal = training_goal(num_steps, task, trials, patience, target_accuracy, target_loss)
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
        learning_rate=1e-3 if learning_rate is None else learning_rate,
    )
    saver = None
    if checkpoint is not None:
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
        saver = _Saver(npz_path(checkpoint), described, checkpoint_every)
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
            self.save(run)

    def save(self, run: Run) -> None:
        """Write a checkpoint."""
        run.save(self.path, self.described)


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
    saved = run.state.step
    stopped = run.reason_to_stop(goal)
    with progress_bar("training", goal.num_steps, enabled=show) as advance:
        advance(run.state.step)
        try:
            while not stopped:
                stop_if_requested()
                start, begun = run.state.step, time.perf_counter()
                run.advance(goal.num_steps, chunk)
                speed = (run.state.step - start) / (time.perf_counter() - begun)
                report = run.report(speed)
                advance(
                    run.state.step - start,
                    f"loss {report.loss:.4g} · lr {report.learning_rate:.2g} · {speed:.0f} steps/s",
                )
                stopped = run.reason_to_stop(goal)
                answer = None if callback is None else callback(report)
                if isinstance(answer, bool | np.bool_) and answer:
                    stopped = stopped or "callback"
                if saver is not None and (stopped or run.state.step - saved >= saver.every):
                    saver.save(run)
                    saved = run.state.step
        except KeyboardInterrupt:
            stopped = "interrupted"
            if saver is not None:
                saver.save(run)
    if stopped.startswith("non-finite"):
        message = f"training stopped: {stopped}; the last good state is returned (a smaller learning_rate may help)"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return stopped
