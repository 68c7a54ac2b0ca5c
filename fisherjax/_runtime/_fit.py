"""Stochastic gradient descent in one compiled call, for the small fits that are part of other computations."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._types import Scalar

T = TypeVar("T")


class Fit(NamedTuple):
    """Parameters after the last step, those with the lowest held-out loss, and the loss at every step."""

    last: Any
    best: Any
    loss: Float[Array, " steps"]


@eqx.filter_jit
def fit_parameters(
    parameters: Any,
    loss: Callable[[Any, Array], Array],
    key: Array,
    *,
    optimizer: Callable[[Any], optax.GradientTransformation],
    learning_rate: Scalar,
    num_steps: int,
    held_out: Callable[[Any], Array] | None = None,
) -> Fit:
    """Minimize an expected loss by `num_steps` steps of an optimizer, keeping the best by a held-out loss.

    Parameters
    ----------
    parameters
        Pytree; its inexact arrays are fitted, all else is kept.
    loss
        ``loss(parameters, key)``, an unbiased draw of the loss (a random batch).
    key
        JAX random key.
    optimizer
        Makes an optax transformation of a learning rate, such as `optax.adam`. It is called within the program, which
        is compiled once per function: give one that lasts, and what varies as arrays of a `Partial`.
    learning_rate
        For it; as an array, another one compiles nothing.
    num_steps
        Number of steps.
    held_out
        ``held_out(parameters)`` evaluated after every step to choose `best`; without it `best` is `last`.
    """
    moving, fixed = eqx.partition(parameters, eqx.is_inexact_array)
    transform = optimizer(learning_rate)

    def whole(moving: Any) -> Any:
        return eqx.combine(moving, fixed)

    def step(carry: tuple[Any, Any, Any, Array], step_key: Array) -> tuple[tuple[Any, Any, Any, Array], Array]:
        moving, state, best, lowest = carry
        value, slope = jax.value_and_grad(lambda part: loss(whole(part), step_key))(moving)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = transform.update(slope, state, moving)
        moving = jax.tree.map(lambda old, new: old + new.astype(old.dtype), moving, updates)
        score = value if held_out is None else held_out(whole(moving))
        better = score < lowest
        best = moving if held_out is None else jax.tree.map(lambda a, b: jnp.where(better, a, b), moving, best)
        return (moving, state, best, jnp.minimum(score, lowest)), value

    with jax.numpy_dtype_promotion("standard"):
        start = transform.init(moving)
    infinite = jnp.full_like(loss(parameters, key), jnp.inf)
    (last, _, best, _), losses = jax.lax.scan(step, (moving, start, moving, infinite), jax.random.split(key, num_steps))
    return Fit(whole(last), whole(best), losses)
