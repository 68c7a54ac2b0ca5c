"""From what a user says about training to what its loop uses, checked before anything is compiled."""

import functools
import math
from typing import Any

import optax

from fisherjax._errors import check_choice, check_integer, check_scalar, require
from fisherjax._types import Key, Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch

from ._loop import LoopSettings
from ._loss import LossSettings
from ._run import Goal
from ._streams import ArrayStream, Stream, as_batch

_HELD_OUT_TRIALS = 256


def loop_settings(
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
    """Loss, penalties, optimiser and accumulation, checked."""
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
        LossSettings(kind, float(penalties[0]), float(penalties[1]), noisy, check_integer("unroll", unroll, minimum=1)),
        _clipped(float(max_gradient_norm), optimiser),
        optimiser is None,
        check_integer("accumulate", accumulate, minimum=1),
    )


@functools.lru_cache(maxsize=64)
def _clipped(norm: float, optimiser: optax.GradientTransformation | None) -> optax.GradientTransformationExtraArgs:
    """Clipping, then the optimiser; the same object for the same arguments, so that nothing is compiled twice."""
    steps = optax.scale_by_adam() if optimiser is None else optimiser
    whole = steps if math.isinf(norm) else optax.chain(optax.clip_by_global_norm(norm), steps)
    return optax.with_extra_args_support(whole)


def held_out_trials(task: Any, given: tuple[Any, ...] | None, key: Key, trial_steps: int | None) -> TaskBatch | None:
    """The trials that are given, fresh ones of a task, or none."""
    if given is not None:
        return as_batch(tuple(given), "held_out")
    return task.batch(key, _HELD_OUT_TRIALS, trial_steps) if isinstance(task, Task) else None


def check_widths(network: RecurrentNetwork, task: Any, stream: Stream, trials: TaskBatch | None) -> None:
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


def training_goal(
    num_steps: int,
    task: Any,
    trials: TaskBatch | None,
    patience: int | None,
    target_accuracy: Scalar | None,
    target_loss: Scalar | None,
) -> Goal:
    """When training ends; what can never end it is refused."""
    require(
        trials is not None or (patience is None and target_loss is None),
        "patience and target_loss need held-out trials: give held_out=(inputs, targets)",
    )
    require(
        isinstance(task, Task) or target_accuracy is None,
        "target_accuracy needs a Task, which says what is accurate; for data use target_loss",
    )
    return Goal(
        num_steps,
        None if patience is None else check_integer("patience", patience, minimum=1),
        None if target_accuracy is None else float(target_accuracy),
        None if target_loss is None else float(target_loss),
    )
