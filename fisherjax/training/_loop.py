"""The compiled part of training: many steps in one call."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fisherjax._types import Key
from fisherjax.numerics import spread
from fisherjax.tasks import Task, TaskBatch

from ._loss import Evaluation, LossSettings, batch_loss, evaluate_batch
from ._streams import Rule


class LoopSettings(NamedTuple):
    """What the compiled loop depends on besides its arrays; hashable."""

    loss: LossSettings
    optimiser: optax.GradientTransformationExtraArgs
    scales: bool  # whether the learning rate is ours to apply
    accumulate: int


class LoopState(NamedTuple):
    """What one step hands to the next."""

    parameters: Any
    optimiser: Any
    previous: Any  # parameters of the last step whose loss was finite
    bad_step: Int[Array, ""]  # first step with a loss that was not finite; −1 if there is none


class StepRecord(NamedTuple):
    """What is kept of every step."""

    loss: Float[Array, " steps"]
    gradient_norm: Float[Array, " steps"]


def start_loop(parameters: Any, settings: LoopSettings) -> LoopState:
    """State before the first step."""
    with jax.numpy_dtype_promotion("standard"):
        return LoopState(parameters, settings.optimiser.init(parameters), parameters, jnp.full((), -1, int))


@jax.jit(static_argnames=("settings",))
def run_chunk(
    state: LoopState,
    fixed: Any,
    rule: Rule,
    items: Any,
    steps: Int[Array, " chunk"],
    rates: Float[Array, " chunk"],
    active: Bool[Array, " chunk"],
    noise_key: Key,
    *,
    settings: LoopSettings,
) -> tuple[LoopState, StepRecord]:
    """Steps of one chunk; those that are not active, and all after a loss that is not finite, change nothing."""

    def step(state: LoopState, inputs: Any) -> tuple[LoopState, StepRecord]:
        item, number, rate, wanted = inputs
        loss, slope = _loss_and_slope(
            state.parameters, fixed, rule, item, jax.random.fold_in(noise_key, number), settings
        )
        norm = optax.tree.norm(slope).astype(loss.dtype)
        running = wanted & (state.bad_step < 0)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        with jax.numpy_dtype_promotion("standard"):
            updates, optimiser = settings.optimiser.update(slope, state.optimiser, state.parameters, value=loss)
        scale = -rate if settings.scales else jnp.ones_like(rate)
        moved = jax.tree.map(lambda old, new: old + (scale * new).astype(old.dtype), state.parameters, updates)
        good, bad = running & finite, running & ~finite
        # back to where the loss was last finite: the parameters at which it is not are no good either
        stay = _where(bad, state.previous, state.parameters)
        after = LoopState(
            _where(good, moved, stay),
            _where(good, optimiser, state.optimiser),
            _where(good, state.parameters, state.previous),
            jnp.where(bad, number.astype(state.bad_step.dtype), state.bad_step),
        )
        return after, StepRecord(loss, norm)

    return spread(jax.lax.scan(step, state, (items, steps, rates, active)))


@jax.jit(static_argnames=("settings",))
def evaluate_network(
    parameters: Any, fixed: Any, batch: TaskBatch, key: Key, task: Task | None, *, settings: LossSettings
) -> Evaluation:
    """Held-out loss and accuracy."""
    return evaluate_batch(eqx.combine(parameters, fixed), batch, key, settings, task)


def _loss_and_slope(
    parameters: Any, fixed: Any, rule: Rule, items: Any, key: Key, settings: LoopSettings
) -> tuple[Array, Any]:
    """Mean over the accumulated batches, one at a time, so that memory is that of one."""

    def one(item: Any, item_key: Key) -> tuple[Array, Any]:
        def loss(moving: Any) -> Array:
            return batch_loss(eqx.combine(moving, fixed), rule.batch(item), item_key, settings.loss)

        return jax.value_and_grad(loss)(parameters)

    if settings.accumulate == 1:
        return one(jax.tree.map(lambda part: part[0], items), key)

    def add(total: Any, pair: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, one(*pair)), None

    keys = jax.random.split(key, settings.accumulate)
    zero = jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), jax.eval_shape(one, *_first((items, keys))))
    total, _ = jax.lax.scan(add, zero, (items, keys))
    return jax.tree.map(lambda part: part / settings.accumulate, total)


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda part: part[0], tree)


def _where(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
