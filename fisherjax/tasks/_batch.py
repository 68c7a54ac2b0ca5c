"""A batch of trials, what its mask leaves out, and how it is checked before anything is computed from it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import is_traced, require, told


class TaskBatch(NamedTuple):
    """Trials, time first."""

    inputs: Float[Array, "T batch I"]
    targets: Float[Array, "T batch O"]
    mask: Float[Array, "T batch"]  # weight of every moment in the loss; 0 where the output does not matter


def without_masked(batch: TaskBatch) -> TaskBatch:
    """The batch with zeros where the mask is zero: of all targets there, and of those inputs that are not finite.

    Inputs before an answer is asked drive the network and stay; NaN that pads a trial would reach all later states.
    """
    counts = batch.mask[..., None] > 0
    return batch._replace(
        inputs=jnp.where(counts | jnp.isfinite(batch.inputs), batch.inputs, 0),
        targets=jnp.where(counts, batch.targets, 0),
    )


def values_that_count(name: str, values: Any, mask: Any) -> str:
    """What is wrong with values (T, trials, …) where the mask counts them, in words; empty if all are finite."""
    array = np.asarray(values)
    bad = ~np.isfinite(array).all(axis=-1) & (np.asarray(mask) > 0)
    if not bad.any():
        return ""
    what = "NaN" if np.isnan(array[bad]).any() else "infinities"
    trials = int(bad.any(axis=0).sum())
    step, trial = (int(place) for place in np.argwhere(bad)[0])
    return f"{name} hold {what} in {trials} of {bad.shape[1]} trials (first at step {step} of trial {trial})"


def checked_outputs(outputs: Any, batch: Any) -> tuple[Array, TaskBatch]:
    """Outputs and their batch as the measures take them: shapes that match, finite numbers wherever the mask counts.

    What the mask leaves out, of outputs and of targets, is set to zero, so that it may be anything.

    Raises
    ------
    TypeError
        If `batch` is not a `TaskBatch`, or something is no array of numbers.
    ValueError
        If shapes differ, the mask is negative or zero everywhere, or a value that counts is not finite.
    """
    if not isinstance(batch, tuple) or len(batch) != 3:
        raise TypeError(f"batch must be a TaskBatch (inputs, targets, mask), got {told(batch)}")
    result = as_real("outputs", outputs, "T trials outputs", finite=False)
    targets = as_real("the targets of batch", batch[1], *map_shape(result.shape), dtype=result.dtype, finite=False)
    mask = as_real("the mask of batch", batch[2], *map_shape(result.shape[:2]), dtype=result.dtype, minimum=0.0)
    if not is_traced((result, targets, mask)):
        require(bool(np.any(np.asarray(mask) > 0)), "the mask of batch is zero everywhere: nothing counts")
        for name, values in (("outputs", result), ("the targets of batch", targets)):
            problem = values_that_count(name, values, mask)
            require(not problem, problem)
    counts = mask[..., None] > 0
    return jnp.where(counts, result, 0), TaskBatch(batch[0], jnp.where(counts, targets, 0), mask)


def map_shape(shape: tuple[int, ...]) -> tuple[str]:
    """A shape as the gate takes it."""
    return (" ".join(map(str, shape)),)
