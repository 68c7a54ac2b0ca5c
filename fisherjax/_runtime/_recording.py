"""A loop over time of which some steps are recorded."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def recorded_scan(
    step: Callable[[Any, Any], Any],
    seen: Callable[[Any], Any],
    start: Any,
    inputs: Any,
    length: int,
    at: tuple[int, ...],
) -> Any:
    """What is seen after the steps `at`, counted from 1 in rising order; only there is it computed, and kept.

    Parameters
    ----------
    step
        carry, input ↦ carry.
    seen
        carry ↦ tree of arrays.
    start
        The carry before the first step.
    inputs
        Tree with a leading axis of `length`, or None.
    length
        Steps.
    at
        After which steps to look.
    """
    if at == tuple(range(1, length + 1)):

        def body(carry: Any, now: Any) -> tuple[Any, Any]:
            carry = step(carry, now)
            return carry, seen(carry)

        return jax.lax.scan(body, start, inputs, length=length)[1]
    places = np.full(length, len(at))  # out of range: not written
    places[np.asarray(at) - 1] = np.arange(len(at))
    shapes = jax.eval_shape(seen, start)
    records = jax.tree.map(lambda one: jnp.zeros((len(at), *one.shape), one.dtype), shapes)

    def looking(carry: Any, now: Any) -> tuple[Any, None]:
        state, records = carry
        place, given = now
        state = step(state, given)

        def write(records: Any) -> Any:
            return jax.tree.map(lambda rows, row: rows.at[place].set(row), records, seen(state))

        return (state, jax.lax.cond(place < len(at), write, lambda records: records, records)), None

    return jax.lax.scan(looking, (start, records), (places, inputs), length=length)[0][1]
