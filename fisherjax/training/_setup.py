"""From what a user says about training to what its loop uses, checked before anything is compiled."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisherjax._errors import check_integer, check_scalar, require
from fisherjax._types import Scalar
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import has_labels

from ._loss import LossSettings
from ._losses import LossLike, PenaltyLike, as_loss, as_penalties, check_losses
from ._optimizers import OptimizerLike, as_optimizer, clipped


class Goal(NamedTuple):
    """When training ends."""

    num_steps: int
    patience: int | None
    accuracy: float | None
    loss: float | None


class Penalized(NamedTuple):
    """What is minimized beside the loss, as the user says it."""

    rates: Scalar
    weights: Scalar
    own: Sequence[tuple[PenaltyLike, Scalar]]


def usual_loss(task: Any, loss: LossLike | None) -> LossLike | None:
    """The loss that is asked for, or a task's own; None where the targets decide."""
    if loss is not None:
        return as_loss(loss)
    return as_loss(task.loss) if isinstance(task, Task) else None


def loss_settings(
    network: RecurrentNetwork,
    shapes: TaskBatch,
    loss: LossLike | None,
    penalties: Penalized,
    *,
    truncate: int | None,
    unroll: int,
    own_accuracy: bool,
) -> LossSettings:
    """Loss, penalties and truncation, checked against the shapes of a batch.

    `own_accuracy` says that a task measures accuracy in its own way.
    """
    for name, weight in (("rate_penalty", penalties.rates), ("weight_penalty", penalties.weights)):
        check_scalar(name, weight, minimum=0.0)
    numbered, own = has_labels(shapes), as_penalties(penalties.own)
    kind = loss or ("cross_entropy" if numbered else "mse")
    check_losses(kind, own, network, shapes)
    return LossSettings(
        kind,
        float(penalties.rates),
        float(penalties.weights),
        float(network.noise_std) > 0 or float(network.observation_noise_std) > 0,
        check_integer("unroll", unroll, minimum=1),
        own,
        None if truncate is None else check_integer("truncate", truncate, minimum=1),
        not own_accuracy and (numbered or kind == "cross_entropy"),
    )


def check_same_targets(loss: LossSettings, shapes: TaskBatch, held_out: TaskBatch | None) -> None:
    """Refuse held-out trials of whose targets the loss is not."""
    same = held_out is None or loss.kind == "cross_entropy" or has_labels(held_out) == has_labels(shapes)
    require(same, "held_out must have classes as targets where task has, and numbers where it has numbers")


def as_transformation(
    optimizer: OptimizerLike | None, learning_rate: Any, max_gradient_norm: Scalar
) -> tuple[optax.GradientTransformationExtraArgs, bool]:
    """What makes a step of a gradient, and whether the learning rate is then ours to apply."""
    if not (isinstance(max_gradient_norm, float | np.floating) and max_gradient_norm == math.inf):
        check_scalar("max_gradient_norm", max_gradient_norm, minimum=0.0, strict=True)
    optimizer = "adam" if optimizer is None else as_optimizer(optimizer)
    named = isinstance(optimizer, str)
    require(
        named or learning_rate is None, "give either learning_rate or an optimizer of optax, which brings its own rate"
    )
    return clipped(float(max_gradient_norm), optimizer), named


def training_goal(
    num_steps: int,
    trials: TaskBatch | None,
    patience: int | None,
    target_accuracy: Scalar | None,
    target_loss: Scalar | None,
    *,
    has_accuracy: bool,
) -> Goal:
    """When training ends; what can never end it is refused."""
    require(
        target_accuracy is None or has_accuracy,
        "target_accuracy needs a Task, which says what is accurate, or classes as targets; for data use target_loss",
    )
    require(
        trials is not None or (patience is None and target_loss is None and target_accuracy is None),
        "patience, target_loss and target_accuracy need held-out trials: give held_out=(inputs, targets)",
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
