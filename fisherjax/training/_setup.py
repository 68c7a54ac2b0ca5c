"""From what a user says about training to what its loop uses, checked before anything is compiled."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisherjax._errors import check_choice, check_instance, check_integer, check_scalar, require
from fisherjax._types import Key, Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch

from ._batches import as_batch
from ._loop import LoopSettings
from ._loss import LossSettings
from ._streams import ArrayStream, Stream

_HELD_OUT_TRIALS = 256


class Goal(NamedTuple):
    """When training ends."""

    num_steps: int
    patience: int | None
    accuracy: float | None
    loss: float | None


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
    if not (isinstance(max_gradient_norm, float | np.floating) and max_gradient_norm == math.inf):
        check_scalar("max_gradient_norm", max_gradient_norm, minimum=0.0, strict=True)
    if optimiser is not None:
        check_instance("optimiser", optimiser, optax.GradientTransformation, "for instance optax.sgd(0.1)")
    require(
        optimiser is None or learning_rate is None,
        "give either learning_rate, which is Adam's, or an optimiser, which brings its own",
    )
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


def held_out_trials(
    task: Any,
    given: tuple[Any, ...] | None,
    key: Key,
    trial_steps: int | None,
    *,
    batch_first: bool | None,
    classes: bool,
) -> TaskBatch | None:
    """The trials that are given, fresh ones of a task, or none."""
    if given is not None:
        trials = as_batch(given, "held_out", batch_first=batch_first, classes=classes)
        require(bool(np.any(np.asarray(trials.mask) > 0)), "the mask of held_out is zero everywhere: nothing counts")
        return trials
    return task_trials(task, key, _HELD_OUT_TRIALS, trial_steps, classes=classes) if isinstance(task, Task) else None


def task_trials(task: Task, key: Key, count: int, trial_steps: int | None, *, classes: bool) -> TaskBatch:
    """Trials of a task, checked: a task that a user wrote may draw anything.

    Raises
    ------
    TypeError, ValueError
        If they are no trials, not as wide as the task says, or not finite where they count.
    """
    kind = type(task).__name__
    trials = as_batch(
        task.batch(key, count, trial_steps), f"what task {kind} draws", batch_first=False, classes=classes
    )
    widths = (trials.inputs.shape[2], trials.targets.shape[2])
    said = (task.num_inputs, task.num_outputs)
    require(widths == said, f"task {kind} draws inputs and targets of widths {widths}, and says that they are {said}")
    return trials


def check_widths(network: RecurrentNetwork, task: Any, stream: Stream, trials: TaskBatch | None) -> None:
    """Refuse data whose inputs or targets are not as wide as the network."""
    found: dict[str, tuple[int, int]] = {}
    if isinstance(task, Task):
        found["the task"] = (task.num_inputs, task.num_outputs)
    elif isinstance(stream, ArrayStream):
        found["the data"] = (stream.trials.inputs.shape[2], stream.trials.targets.shape[2])
    if trials is not None and "the task" not in found:
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
        None if target_accuracy is None else _number("target_accuracy", target_accuracy),
        None if target_loss is None else _number("target_loss", target_loss),
    )


def checked_rates(learning_rate: Any, num_steps: int, dtype: Any) -> None:
    """Refuse a learning rate that is no number or, as a schedule, not finite at some step."""
    if not callable(learning_rate):
        check_scalar("learning_rate", learning_rate, minimum=0.0)
        return
    try:
        rates = schedule_values(learning_rate, np.arange(num_steps), dtype)
    except Exception as error:
        # a user's function may raise anything
        raise ValueError(
            f"learning_rate must be a number or a schedule: a function that jax.vmap can take, of the step; it raised "
            f"{type(error).__name__}"
        ) from error
    require(rates.shape == (num_steps,), f"learning_rate must give one number for a step, got shape {rates.shape[1:]}")
    bad = np.flatnonzero(~np.isfinite(rates))
    require(
        not len(bad),
        f"learning_rate must be finite, its schedule gives {rates[bad[0]] if len(bad) else 0} at step "
        f"{bad[0] if len(bad) else 0}",
    )


def schedule_values(schedule: Any, steps: np.ndarray, dtype: Any) -> np.ndarray:
    """A schedule at given steps."""
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray(jax.vmap(schedule)(jnp.asarray(steps))).astype(dtype)


def _number(name: str, value: Scalar) -> float:
    check_scalar(name, value)
    return float(value)
