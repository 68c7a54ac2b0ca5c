"""What training minimizes: the loss of a network's outputs on a batch, and penalties."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._runtime import spread
from fisherjax._types import Key
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.networks._weights import resolved
from fisherjax.tasks import Task, TaskBatch, choice_accuracy
from fisherjax.tasks._batch import moments
from fisherjax.tasks._task import weighted_mean

from ._losses import LossLike, Penalties, output_loss, penalty


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


class Outcome(NamedTuple):
    """What a batch gives: accuracy (NaN where targets are no classes) and the states."""

    accuracy: Float[Array, ""]
    states: Float[Array, "T batch S"]


def batch_loss(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, settings: LossSettings
) -> Float[Array, ""]:
    """Loss of a batch with its penalties.

    Σ mask · ℓ / Σ mask, with ℓ the mean squared error over outputs, the cross-entropy, or another that was asked for;
    plus `rate_penalty` times Σ mask · r² / Σ mask, r² being the mean over units, so that steps that pad a trial do not
    count; plus `weight_penalty` times Σ W² over recurrent, input and read-out weights; plus the user's own.
    """
    return loss_and_outcome(network, batch, key, settings)[0]


def loss_and_outcome(
    network: RecurrentNetwork,
    batch: TaskBatch,
    key: Key | None,
    settings: LossSettings,
    start: Float[Array, "batch S"] | None = None,
) -> tuple[Float[Array, ""], Outcome]:
    """Loss of a batch with its penalties, from given states or from rest, and what came of the batch."""
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
    return loss, Outcome(_accuracy(outputs, batch, settings), states)


class Evaluation(NamedTuple):
    """Loss without penalties, and accuracy (NaN where neither a task nor classes say what it is)."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]


def evaluate_batch(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, settings: LossSettings, task: Task | None
) -> Evaluation:
    """How well a network does on a batch."""
    _, outputs = run(network, batch.inputs, key=key if settings.noisy else None, unroll=settings.unroll)
    accuracy = _accuracy(outputs, batch, settings) if task is None else task.accuracy(outputs, batch)
    return Evaluation(output_loss(outputs, batch, settings.kind), accuracy)


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
    if length is None or length >= len(inputs):
        return run(network, inputs, key=key, initial_state=start, unroll=settings.unroll, reverse_mode=True)

    @jax.checkpoint
    def piece(state: Array, inputs: Array, number: Array) -> tuple[Array, tuple[Array, Array]]:
        own_key = None if key is None else jax.random.fold_in(key, number)
        found = run(network, inputs, key=own_key, initial_state=state, unroll=settings.unroll, reverse_mode=True)
        return jax.lax.stop_gradient(found[0][-1]), found

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
