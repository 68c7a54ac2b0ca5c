"""The compiled part of every descent: many steps in one call, whatever is minimized."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fisherjax._types import Key

from ._devices import spread


class Outcome(NamedTuple):
    """What a batch gives beside its loss."""

    model: Any
    """As it was, but for what it keeps track of in training, such as running averages."""
    memory: Any = None
    """What the next batch is handed."""
    accuracy: Float[Array, ""] | float = float("nan")


class Objective(eqx.Module):
    """What is minimized. Its arrays are arguments of the compiled loop; all else in it is part of the program."""

    @abc.abstractmethod
    def loss(self, model: Any, item: Any, memory: Any, key: Key, step: Array) -> tuple[Array, Outcome]:
        """Loss of the batch that an item of the stream stands for."""

    def trainable(self, model: Any) -> Any:
        """True at every array of the model that is trained, False at all others."""
        return jax.tree.map(eqx.is_inexact_array, model)

    def memory(self, model: Any, memory: Any, items: Any) -> Any:  # noqa: ARG002
        """What the first of some items is handed; the size of a batch may have changed."""
        return memory


class LoopState(NamedTuple):
    """What one step hands to the next."""

    model: Any
    optimizer: Any
    previous: Any  # the model at the last step whose loss was finite
    bad_step: Int[Array, ""]  # first step with a loss that was not finite; −1 if there is none
    memory: Any = None


class StepRecord(NamedTuple):
    """What is kept of every step."""

    loss: Float[Array, " steps"]
    accuracy: Float[Array, " steps"]
    gradient_norm: Float[Array, " steps"]


def start_loop(model: Any, trainable: Any, optimizer: optax.GradientTransformation) -> LoopState:
    """State before the first step."""
    with jax.numpy_dtype_promotion("standard"):
        begun = optimizer.init(eqx.filter(model, trainable))
    return LoopState(model, begun, model, jnp.full((), -1, int))


@eqx.filter_jit
def run_steps(
    state: LoopState,
    objective: Objective,
    trainable: Any,
    optimizer: optax.GradientTransformationExtraArgs,
    items: Any,
    factors: Float[Array, " rows"],
    span: Int[Array, "2"],
    key: Key,
) -> tuple[LoopState, StepRecord]:
    """Steps along `factors` times what the optimizer makes of the gradient, until one has a loss that is not finite.

    `items` are (rows, batches, …): the gradient of a step is the mean over its batches, taken one at a time. `span` is
    the number of the first step, and how many of the rows are steps: as an argument, so that the last steps of a run
    need no program of their own.
    """
    arrays, rest = eqx.partition(state, eqx.is_array)

    def step(carry: Any) -> Any:
        row, arrays, record = carry
        before = eqx.combine(arrays, rest)
        number = span[0] + row
        item = jax.tree.map(lambda rows: rows[row], items)
        loss, accuracy, slope, moved, memory = _loss_and_slope(
            objective, trainable, before, item, jax.random.fold_in(key, number), number
        )
        norm = optax.tree.norm(slope)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        trained = eqx.filter(before.model, trainable)
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer_state = optimizer.update(slope, before.optimizer, trained, value=loss)
        stepped = jax.tree.map(lambda old, new: old + (factors[row] * new).astype(old.dtype), trained, updates)
        after = LoopState(
            # back to where the loss was last finite: the model at which it is not is no good either
            _where(finite, eqx.combine(stepped, moved), before.previous),
            _where(finite, optimizer_state, before.optimizer),
            _where(finite, before.model, before.previous),
            jnp.where(finite, before.bad_step, number.astype(before.bad_step.dtype)),
            _where(finite, memory, before.memory),
        )
        values = StepRecord(loss, jnp.asarray(accuracy), norm)
        record = jax.tree.map(lambda rows, value: rows.at[row].set(value.astype(rows.dtype)), record, values)
        return row + 1, eqx.filter(after, eqx.is_array), record

    def going_on(carry: Any) -> Array:
        row, arrays, _ = carry
        return (row < span[1]) & (arrays.bad_step < 0)

    empty = StepRecord(*(jnp.full_like(factors, jnp.nan) for _ in StepRecord._fields))
    _, arrays, record = jax.lax.while_loop(going_on, step, (jnp.zeros_like(span[1]), arrays, empty))
    arrays, record = spread((arrays, record))
    return eqx.combine(arrays, rest), record


def _loss_and_slope(objective: Objective, trainable: Any, state: LoopState, items: Any, key: Key, step: Array) -> Any:
    """Loss, accuracy and slope, means over the batches of a step; what is not trained, and the memory, after them."""
    trained, untrained = eqx.partition(state.model, trainable)
    fixed, rest = eqx.partition(untrained, eqx.is_array)

    def of_batch(carried: Any, item: Any, item_key: Key) -> Any:
        fixed, memory = carried

        def loss(trained: Any) -> tuple[Array, Any]:
            value, outcome = objective.loss(eqx.combine(trained, fixed, rest), item, memory, item_key, step)
            kept = eqx.filter(outcome.model, trainable, inverse=True)
            return value, (jnp.asarray(outcome.accuracy, value.dtype), (eqx.filter(kept, eqx.is_array), outcome.memory))

        (value, (accuracy, carried)), slope = jax.value_and_grad(loss, has_aux=True)(trained)
        return carried, (value, accuracy, slope)

    carried, count = (fixed, state.memory), len(jax.tree.leaves(items)[0])
    if count == 1:
        carried, means = of_batch(carried, _first(items), key)
    else:
        keys = jax.random.split(key, count)
        shapes = jax.eval_shape(of_batch, carried, *_first((items, keys)))[1]
        zero = jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), shapes)

        def add(carry: Any, pair: Any) -> tuple[Any, None]:
            carried, found = of_batch(carry[0], *pair)
            return (carried, jax.tree.map(jnp.add, carry[1], found)), None

        (carried, total), _ = jax.lax.scan(add, (carried, zero), (items, keys))
        means = jax.tree.map(lambda part: part / count, total)
    return *means, eqx.combine(carried[0], rest), carried[1]


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda part: part[0], tree)


def _where(condition: Array, yes: Any, no: Any) -> Any:
    """What is the same on both sides, or no array, stays as it is."""
    return jax.tree.map(lambda a, b: a if a is b or not eqx.is_array(a) else jnp.where(condition, a, b), yes, no)
