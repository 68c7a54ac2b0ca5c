"""Training of a recurrent network on a task: compiled chunks of steps inside a loop that can be watched and stopped."""

import functools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from fisherjax._errors import check_callable, check_choice, check_integer, check_key, check_scalar, require
from fisherjax._types import Key, Scalar, npz_path
from fisherjax.networks import RecurrentNetwork
from fisherjax.numerics import progress_bar
from fisherjax.tasks import Task, TaskBatch

from ._checkpoint import digest
from ._loop import LoopSettings
from ._loss import LossSettings
from ._result import Training, TrainingProgress
from ._run import Goal, Run
from ._streams import ArrayStream, Stream, as_batch, as_stream

_HELD_OUT_TRIALS = 256


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
    keys = jax.random.split(check_key("key", key), 4)
    counts = {"num_steps": num_steps, "batch_size": batch_size, "accumulate": accumulate, "unroll": unroll}
    counts |= {"evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
    counts = {name: check_integer(name, count, minimum=1) for name, count in counts.items()}
    num_steps, batch_size, accumulate = counts["num_steps"], counts["batch_size"], counts["accumulate"]
    evaluate_every, unroll = counts["evaluate_every"], counts["unroll"]
    settings = _settings(
        network, task, optimiser, learning_rate, max_gradient_norm, loss, (rate_penalty, weight_penalty),
        accumulate, unroll,
    )  # fmt: skip
    stream = as_stream(task, keys[0], batch_size, trial_steps)
    trials = _held_out_trials(task, held_out, keys[1], trial_steps)
    _check_widths(network, task, stream, trials)
    run = Run(
        network,
        stream,
        trials,
        task if isinstance(task, Task) else None,
        settings,
        trainable=trainable,
        keys=(keys[2], keys[3]),
        learning_rate=1e-3 if learning_rate is None else learning_rate,
    )
    require(
        trials is not None or (patience is None and target_loss is None),
        "patience and target_loss need held-out trials: give held_out=(inputs, targets)",
    )
    require(
        isinstance(task, Task) or target_accuracy is None,
        "target_accuracy needs a Task, which says what is accurate; for data use target_loss",
    )
    goal = Goal(
        num_steps,
        None if patience is None else check_integer("patience", patience, minimum=1),
        None if target_accuracy is None else float(target_accuracy),
        None if target_loss is None else float(target_loss),
    )
    described = {
        "key": tuple(np.asarray(jax.random.key_data(check_key("key", key))).tolist()),
        "task": repr(task) if isinstance(task, Task) else type(task).__name__,
        "trial_steps": trial_steps,
        "batch_size": batch_size,
        "learning_rate": "schedule" if callable(learning_rate) else float(learning_rate or 0.0),
        "optimiser": "adam" if optimiser is None else run.optimiser_fingerprint(),
        "max_gradient_norm": str(float(max_gradient_norm)),
        "loss": settings.loss.kind,
        "penalties": (float(rate_penalty), float(weight_penalty)),
        "accumulate": accumulate,
        "evaluate_every": evaluate_every,
        "trainable": tuple(network.trainable if trainable is None else trainable),
        "held_out": "" if trials is None else digest(trials),
    }
    if callback is not None:
        check_callable("callback", callback)
    path = None if checkpoint is None else npz_path(checkpoint)
    if path is not None and path.exists():
        run.restore(path, described)
    elif path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        run.save(path, described)  # what cannot be saved must say so now, not after hours
    stopped = _loop(run, goal, evaluate_every, callback, path, checkpoint_every, described, progress)
    return run.result(stopped, keep_best=keep_best)


def _loop(
    run: Run,
    goal: Goal,
    chunk: int,
    callback: Callable[[TrainingProgress], object] | None,
    path: Path | None,
    checkpoint_every: int,
    described: dict[str, Any],
    show: bool,  # noqa: FBT001
) -> str:
    """Chunks until something says stop; returns what."""
    saved = run.state.step
    stopped = run.reason_to_stop(goal)
    with progress_bar("training", goal.num_steps, enabled=show) as advance:
        advance(run.state.step)
        try:
            while not stopped:
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
                if path is not None and (stopped or run.state.step - saved >= checkpoint_every):
                    run.save(path, described)
                    saved = run.state.step
        except KeyboardInterrupt:
            stopped = "interrupted"
            if path is not None:
                run.save(path, described)
    if stopped.startswith("non-finite"):
        message = f"training stopped: {stopped}; the last good state is returned (a smaller learning_rate may help)"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return stopped


def _settings(
    network: RecurrentNetwork,
    task: Any,
    optimiser: optax.GradientTransformation | None,
    learning_rate: Any,
    max_gradient_norm: Scalar,
    loss: str | None,
    penalties: tuple[Scalar, Scalar],
    accumulate: int,
    unroll: int,
) -> LoopSettings:
    for name, penalty in zip(("rate_penalty", "weight_penalty"), penalties, strict=True):
        check_scalar(name, penalty, minimum=0.0)
    require(float(max_gradient_norm) > 0, f"max_gradient_norm must be above 0, got {max_gradient_norm}")
    require(
        optimiser is None or learning_rate is None,
        "give either learning_rate, which is Adam's, or an optimiser, which brings its own",
    )
    if learning_rate is not None and not callable(learning_rate):
        check_scalar("learning_rate", learning_rate, minimum=0.0)
    usual = task.loss if isinstance(task, Task) else "mse"
    kind = check_choice("loss", usual if loss is None else loss, ("mse", "cross-entropy"))
    noisy = float(network.noise_std) > 0 or float(network.observation_noise_std) > 0
    return LoopSettings(
        LossSettings(kind, float(penalties[0]), float(penalties[1]), noisy, unroll),
        _clipped(float(max_gradient_norm), optimiser),
        optimiser is None,
        accumulate,
    )


@functools.lru_cache(maxsize=64)
def _clipped(norm: float, optimiser: optax.GradientTransformation | None) -> optax.GradientTransformationExtraArgs:
    """Clipping, then the optimiser; the same object for the same arguments, so that nothing is compiled twice."""
    steps = optax.scale_by_adam() if optimiser is None else optimiser
    whole = steps if math.isinf(norm) else optax.chain(optax.clip_by_global_norm(norm), steps)
    return optax.with_extra_args_support(whole)


def _held_out_trials(task: Any, given: tuple[Any, ...] | None, key: Key, trial_steps: int | None) -> TaskBatch | None:
    if given is not None:
        return as_batch(tuple(given), "held_out")
    return task.batch(key, _HELD_OUT_TRIALS, trial_steps) if isinstance(task, Task) else None


def _check_widths(network: RecurrentNetwork, task: Any, stream: Stream, trials: TaskBatch | None) -> None:
    """Refuse data whose inputs or targets are not as wide as the network."""
    found: dict[str, tuple[int, int]] = {}
    if isinstance(task, Task):
        found["the task"] = (task.num_inputs, task.num_outputs)
    elif isinstance(stream, ArrayStream):
        found["the data"] = (stream.trials.inputs.shape[2], stream.trials.targets.shape[2])
    if trials is not None:
        found["held_out"] = (trials.inputs.shape[2], trials.targets.shape[2])
    for name, (num_inputs, num_outputs) in found.items():
        require(
            num_inputs == network.num_inputs,
            f"{name} has {num_inputs} inputs, the network {network.num_inputs}; they must be the same",
        )
        require(
            num_outputs == network.num_outputs,
            f"{name} has targets of width {num_outputs}, the network {network.num_outputs} outputs; "
            "they must be the same",
        )
