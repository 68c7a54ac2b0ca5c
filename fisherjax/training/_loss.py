"""What training minimises: the loss of a network's outputs on a batch, and penalties."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._errors import require
from fisherjax._types import Key
from fisherjax.networks import RecurrentNetwork, resolved, run
from fisherjax.numerics import spread
from fisherjax.tasks import Task, TaskBatch, weighted_mean


class LossSettings(NamedTuple):
    """Everything that shapes the loss and is fixed while training."""

    kind: str
    rate_penalty: float
    weight_penalty: float
    noisy: bool
    unroll: int


def batch_loss(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, settings: LossSettings
) -> Float[Array, ""]:
    """Loss of a batch with its penalties.

    Σ mask · ℓ / Σ mask, with ℓ the mean squared error over outputs or the cross-entropy; plus `rate_penalty` times
    Σ mask · r² / Σ mask, r² being the mean over units, so that steps that pad a trial do not count; plus
    `weight_penalty` times Σ W² over recurrent, input and read-out weights.
    """
    network = resolved(network)
    batch = spread(batch, None, "batch")
    noise_key = key if settings.noisy else None
    states, outputs = run(network, batch.inputs, key=noise_key, unroll=settings.unroll, reverse_mode=True)
    loss = output_loss(outputs, batch, settings.kind)
    if settings.rate_penalty:
        square = jnp.mean(network.rates(states) ** 2, axis=-1)
        loss = loss + settings.rate_penalty * weighted_mean(square, batch.mask)
    if settings.weight_penalty:
        matrices = (network.recurrent_weights, network.input_weights, network.output_weights)
        loss = loss + settings.weight_penalty * sum(jnp.sum(matrix**2) for matrix in matrices)
    return loss


def output_loss(outputs: Float[Array, "T batch O"], batch: TaskBatch, kind: str) -> Float[Array, ""]:
    """Masked mean squared error or cross-entropy; what the mask leaves out may be anything, NaN included."""
    require(
        outputs.shape == batch.targets.shape,
        f"targets must have the shape of the outputs {outputs.shape}, got {batch.targets.shape}",
    )
    counts = batch.mask[..., None] > 0
    # both sides: the slope of what is not counted must be zero, not zero times NaN
    outputs, batch = jnp.where(counts, outputs, 0), batch._replace(targets=jnp.where(counts, batch.targets, 0))
    if kind == "mse":
        return weighted_mean(jnp.mean((outputs - batch.targets) ** 2, axis=-1), batch.mask)
    with jax.numpy_dtype_promotion("standard"):
        return weighted_mean(optax.softmax_cross_entropy(outputs, batch.targets), batch.mask)


class Evaluation(NamedTuple):
    """Loss without penalties, and accuracy (NaN where there is no task to say)."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]


def evaluate_batch(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, settings: LossSettings, task: Task | None
) -> Evaluation:
    """How well a network does on a batch."""
    _, outputs = run(network, batch.inputs, key=key if settings.noisy else None, unroll=settings.unroll)
    accuracy = jnp.full((), jnp.nan, outputs.dtype) if task is None else task.accuracy(outputs, batch)
    return Evaluation(output_loss(outputs, batch, settings.kind), accuracy)
