"""What training minimizes: the loss of a network's outputs on a batch, and penalties."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_scalar
from fisherjax._runtime import precision_here, spread
from fisherjax._types import Key, Scalar
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.networks._weights import resolved
from fisherjax.tasks import Task, TaskBatch, choice_accuracy
from fisherjax.tasks._batch import has_labels, moments
from fisherjax.tasks._task import weighted_mean

from ._losses import LossLike, Penalties, PenaltyLike, as_penalties, check_losses, output_loss, penalty


class LossSettings(NamedTuple):
    """Everything that shapes the loss and is fixed while training."""

    kind: LossLike
    rate_penalty: float
    weight_penalty: float
    noisy: bool
    unroll: int
    penalties: Penalties = ()
    truncate: int | None = None  # steps that gradients flow back; None for all
    classes: bool = False  # whether targets are classes, of which outputs can name the right one


def loss_settings(
    network: RecurrentNetwork,
    shapes: TaskBatch,
    loss: LossLike | None,
    penalties: Sequence[tuple[PenaltyLike, Scalar]],
    *,
    rate_penalty: Scalar,
    weight_penalty: Scalar,
    truncate: int | None,
    unroll: int,
    own_accuracy: bool,
) -> LossSettings:
    """Loss, penalties and truncation, checked against the shapes of a batch.

    `own_accuracy` says that a task measures accuracy in its own way.
    """
    for name, weight in (("rate_penalty", rate_penalty), ("weight_penalty", weight_penalty)):
        check_scalar(name, weight, minimum=0.0)
    numbered, own = has_labels(shapes), as_penalties(penalties)
    kind = loss or ("cross_entropy" if numbered else "mse")
    check_losses(kind, own, network, shapes)
    return LossSettings(
        kind,
        float(rate_penalty),
        float(weight_penalty),
        float(network.noise_std) > 0 or float(network.observation_noise_std) > 0,
        check_integer("unroll", unroll, minimum=1),
        own,
        None if truncate is None else check_integer("truncate", truncate, minimum=1),
        not own_accuracy and (numbered or kind == "cross_entropy"),
    )


def batch_loss(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, settings: LossSettings
) -> Float[Array, ""]:
    """Loss of a batch with its penalties.

    Σ mask · ℓ / Σ mask, with ℓ the mean squared error over outputs, the cross-entropy, or another that was asked for;
    plus `rate_penalty` times Σ mask · r² / Σ mask, r² being the mean over units, so that steps that pad a trial do not
    count; plus `weight_penalty` times Σ W² over recurrent, input and read-out weights; plus the user's own.
    """
    return loss_and_states(network, batch, key, settings)[0]


def loss_and_states(
    network: RecurrentNetwork,
    batch: TaskBatch,
    key: Key | None,
    settings: LossSettings,
    start: Float[Array, "batch S"] | None = None,
) -> tuple[Float[Array, ""], Float[Array, "T batch S"], Float[Array, ""]]:
    """Loss of a batch with its penalties, from given states or from rest; states; accuracy, NaN without classes."""
    network = resolved(network)
    batch = spread(batch, None, "batch")
    states, outputs = _through_time(network, batch, key if settings.noisy else None, settings, start)
    loss = output_loss(outputs, batch, settings.kind)
    if settings.rate_penalty:
        square = jnp.mean(network.rates(states) ** 2, axis=-1)
        loss = loss + settings.rate_penalty * weighted_mean(square, moments(batch.mask))
    if settings.weight_penalty:
        matrices = (network.recurrent_weights, network.input_weights, network.output_weights)
        loss = loss + settings.weight_penalty * sum(jnp.sum(matrix**2) for matrix in matrices)
    for function, weight in settings.penalties:
        loss = loss + weight * penalty(function, network, states, outputs, batch)
    return loss, states, _accuracy(outputs, batch, settings)


@jax.jit(static_argnames=("settings",))
def evaluate_network(
    network: RecurrentNetwork, batch: TaskBatch, key: Key, task: Task | None, *, settings: LossSettings
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Held-out loss without penalties, and accuracy (NaN where neither a task nor classes say what it is)."""
    how: Any = {"unroll": settings.unroll, "precision": precision_here()}
    _, outputs = run(network, batch.inputs, key=key if settings.noisy else None, **how)
    accuracy = _accuracy(outputs, batch, settings) if task is None else task.accuracy(outputs, batch)
    return output_loss(outputs, batch, settings.kind), accuracy


def _accuracy(outputs: Array, batch: TaskBatch, settings: LossSettings) -> Float[Array, ""]:
    if not settings.classes:
        return jnp.full((), jnp.nan, outputs.dtype)
    return choice_accuracy(jax.lax.stop_gradient(outputs), batch)


def _through_time(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, settings: LossSettings, start: Array | None
) -> tuple[Float[Array, "T batch S"], Float[Array, "T batch O"]]:
    """States and outputs; pieces of `truncate` steps, each from where the last one ended, with no gradient between.

    Of a piece only states and outputs are kept for the backward pass, which goes through it again.
    """
    inputs, length = batch.inputs, settings.truncate
    how: Any = {"unroll": settings.unroll, "reverse_mode": True, "precision": precision_here()}
    if length is None or length >= len(inputs):
        return run(network, inputs, key=key, initial_state=start, **how)

    @jax.checkpoint
    def piece(state: Array, inputs: Array, number: Array) -> tuple[Array, tuple[Array, Array]]:
        own_key = None if key is None else jax.random.fold_in(key, number)
        states, outputs = run(network, inputs, key=own_key, initial_state=state, **how)
        return jax.lax.stop_gradient(states[-1]), (states, outputs)

    if start is None:
        start = jnp.broadcast_to(network.resting_state, (inputs.shape[1], network.state_size))
    count = len(inputs) // length
    whole = inputs[: count * length].reshape(count, length, *inputs.shape[1:])
    state, pieces = jax.lax.scan(lambda state, item: piece(state, *item), start, (whole, jnp.arange(count)))
    states, outputs = (part.reshape(count * length, *part.shape[2:]) for part in pieces)
    if count * length == len(inputs):
        return states, outputs
    _, (last_states, last_outputs) = piece(state, inputs[count * length :], jnp.asarray(count))
    return jnp.concatenate([states, last_states]), jnp.concatenate([outputs, last_outputs])
