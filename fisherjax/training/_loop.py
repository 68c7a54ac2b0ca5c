"""The compiled part of training: many steps in one call."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fisherjax._runtime import spread
from fisherjax._types import Key
from fisherjax.tasks import Task, TaskBatch

from ._loss import Evaluation, LossSettings, evaluate_batch, loss_and_outcome
from ._streams import Rule


class LoopSettings(NamedTuple):
    """What the compiled loop depends on besides its arrays; hashable."""

    loss: LossSettings
    optimizer: optax.GradientTransformationExtraArgs
    scales: bool  # whether the learning rate is ours to apply
    accumulate: int


class LoopState(NamedTuple):
    """What one step hands to the next."""

    parameters: Any
    optimizer: Any
    previous: Any  # parameters of the last step whose loss was finite
    bad_step: Int[Array, ""]  # first step with a loss that was not finite; −1 if there is none
    carried: Float[Array, "batch S"] | None = None  # states in which the last batch ended, where batches go on


class StepRecord(NamedTuple):
    """What is kept of every step."""

    loss: Float[Array, " steps"]
    accuracy: Float[Array, " steps"]
    gradient_norm: Float[Array, " steps"]


class _Measured(NamedTuple):
    loss: Array
    accuracy: Array
    slope: Any


def start_loop(parameters: Any, settings: LoopSettings) -> LoopState:
    """State before the first step."""
    with jax.numpy_dtype_promotion("standard"):
        return LoopState(parameters, settings.optimizer.init(parameters), parameters, jnp.full((), -1, int))


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
        key = jax.random.fold_in(noise_key, number)
        carried, found = _loss_and_slope(state, fixed, rule, item, key, settings)
        loss, norm = found.loss, optax.tree.norm(found.slope).astype(found.loss.dtype)
        running = wanted & (state.bad_step < 0)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer = settings.optimizer.update(found.slope, state.optimizer, state.parameters, value=loss)
        scale = -rate if settings.scales else jnp.ones_like(rate)
        moved = jax.tree.map(lambda old, new: old + (scale * new).astype(old.dtype), state.parameters, updates)
        good, bad = running & finite, running & ~finite
        # back to where the loss was last finite: the parameters at which it is not are no good either
        stay = _where(bad, state.previous, state.parameters)
        after = LoopState(
            _where(good, moved, stay),
            _where(good, optimizer, state.optimizer),
            _where(good, state.parameters, state.previous),
            jnp.where(bad, number.astype(state.bad_step.dtype), state.bad_step),
            _where(good, carried, state.carried),
        )
        return after, StepRecord(loss, found.accuracy, norm)

    return spread(jax.lax.scan(step, state, (items, steps, rates, active)))


@jax.jit(static_argnames=("settings",))
def evaluate_network(
    parameters: Any, fixed: Any, batch: TaskBatch, key: Key, task: Task | None, *, settings: LossSettings
) -> Evaluation:
    """Held-out loss and accuracy."""
    return evaluate_batch(eqx.combine(parameters, fixed), batch, key, settings, task)


def _loss_and_slope(
    state: LoopState, fixed: Any, rule: Rule, items: Any, key: Key, settings: LoopSettings
) -> tuple[Any, _Measured]:
    """The states to go on from, and means over the accumulated batches, taken one at a time to save memory."""

    def one(carried: Any, item: Any, item_key: Key) -> tuple[Any, _Measured]:
        def loss(moving: Any) -> tuple[Array, Any]:
            network = eqx.combine(moving, fixed)
            start = rule.start(item, carried, network)
            value, outcome = loss_and_outcome(network, rule.batch(item), item_key, settings.loss, start)
            return value, (outcome.accuracy, rule.end(item, outcome.states))

        (value, (accuracy, end)), slope = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        return end, _Measured(value, accuracy, slope)

    if settings.accumulate == 1:
        return one(state.carried, _first(items), key)

    def add(carry: Any, pair: Any) -> tuple[Any, None]:
        carried, total = carry
        carried, found = one(carried, *pair)
        return (carried, jax.tree.map(jnp.add, total, found)), None

    keys = jax.random.split(key, settings.accumulate)
    shapes = jax.eval_shape(one, state.carried, *_first((items, keys)))[1]
    zero = jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), shapes)
    (carried, total), _ = jax.lax.scan(add, (state.carried, zero), (items, keys))
    return carried, jax.tree.map(lambda part: part / settings.accumulate, total)


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda part: part[0], tree)


def _where(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
