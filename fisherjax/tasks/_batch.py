"""A batch of trials, what its mask leaves out, and how it is checked before anything is computed from it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import is_traced, require, told


class TaskBatch(NamedTuple):
    """Trials, time first.

    Targets are numbers (T, batch, O), or whole numbers (T, batch), the class at every moment. The mask is the weight of
    every moment in the loss, or of every output at every moment; 0 where the output does not matter.
    """

    inputs: Float[Array, "T batch I"]
    targets: Float[Array, "T batch O"] | Int[Array, "T batch"]
    mask: Float[Array, "T batch"] | Float[Array, "T batch O"]


def has_labels(batch: TaskBatch) -> bool:
    """Whether targets are classes, as whole numbers."""
    return batch.targets.dtype.kind in "iu"


def entrywise(mask: Any, values: Any) -> Any:
    """The mask with an axis of length one where values have one of outputs and it has not."""
    return mask[..., None] if mask.ndim < values.ndim else mask


def moments(mask: Any) -> Any:
    """Weight (T, batch) of every moment: the mean over outputs where each has its own."""
    return mask if mask.ndim == 2 else mask.mean(axis=-1)


def without_masked(batch: TaskBatch, xp: Any = jnp) -> TaskBatch:
    """The batch with zeros where the mask is zero: of all targets there, and of those inputs that are not finite.

    Inputs before an answer is asked drive the network and stay; NaN that pads a trial would reach all later states.
    `xp` is the library that computes, jax.numpy or NumPy.
    """
    counts = moments(batch.mask)[..., None] > 0
    return batch._replace(
        inputs=xp.where(counts | xp.isfinite(batch.inputs), batch.inputs, 0),
        targets=xp.where(entrywise(batch.mask, batch.targets) > 0, batch.targets, 0),
    )


def stacked(trials: Sequence[TaskBatch]) -> TaskBatch:
    """Batches beside one another as one, shorter ones filled up with moments that the mask leaves out; on the host."""
    longest = max(len(trial.inputs) for trial in trials)
    wide = any(trial.mask.ndim == 3 for trial in trials)
    filled = [filled_up(trial, longest, trial.inputs.shape[1], wide_mask=wide) for trial in trials]
    joined: list[Any] = [np.concatenate(parts, axis=1) for parts in zip(*filled, strict=True)]
    return TaskBatch(*joined)


def filled_up(batch: TaskBatch, num_steps: int, num_trials: int, *, wide_mask: bool = False) -> TaskBatch:
    """The batch with steps and trials added, up to a size, that the mask leaves out; a mask per output if asked."""
    parts: list[Any] = [np.asarray(part) for part in batch]
    if wide_mask and batch.mask.ndim == 2:
        parts[2] = np.broadcast_to(parts[2][..., None], parts[1].shape)
    steps, trials = batch.inputs.shape[:2]
    margin = ((0, num_steps - steps), (0, num_trials - trials), (0, 0))
    if (steps, trials) != (num_steps, num_trials):
        parts = [np.pad(part, margin[: part.ndim]) for part in parts]
    return TaskBatch(*parts)


def values_that_count(name: str, values: Any, mask: Any) -> str:
    """What is wrong with values (T, trials, …) where the mask counts them, in words; empty if all are finite."""
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return ""
    wrong = ~np.isfinite(array) & (entrywise(np.asarray(mask), array) > 0)
    if not wrong.any():
        return ""
    bad = wrong.any(axis=-1)
    what = "NaN" if np.isnan(array[wrong]).any() else "infinities"
    trials = int(bad.any(axis=0).sum())
    step, trial = (int(place) for place in np.argwhere(bad)[0])
    return f"{name} hold {what} in {trials} of {bad.shape[1]} trials (first at step {step} of trial {trial})"


def labels_that_count(labels: Any, mask: Any, num_classes: int) -> str:
    """What is wrong with classes (T, trials) where the mask counts them, in words; empty if all are known."""
    counted = np.asarray(labels)[np.asarray(mask) > 0]
    if not counted.size or (counted.min() >= 0 and counted.max() < num_classes):
        return ""
    least, most = int(counted.min()), int(counted.max())
    hint = "; classes that count from 1 need 1 taken off" if least == 1 and most == num_classes > 1 else ""
    return f"targets must be classes from 0 to {num_classes - 1}, one output each, got {least} to {most}{hint}"


def checked_outputs(outputs: Any, batch: Any, *, classes: bool = False) -> tuple[Array, TaskBatch]:
    """Outputs and their batch as the measures take them: shapes that match, finite numbers wherever the mask counts.

    What the mask leaves out, of outputs and of targets, is set to zero, so that it may be anything. Targets may be
    whole numbers (T, trials) where a measure is about `classes`.

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
    whole, moment = (" ".join(map(str, shape)) for shape in (result.shape, result.shape[:2]))
    numbered = classes and getattr(batch[1], "dtype", np.dtype(float)).kind in "iu" and np.ndim(batch[1]) == 2
    dtype = result.dtype
    targets = as_real("the targets of batch", batch[1], moment if numbered else whole, dtype=dtype, finite=False)
    mask = as_real("the mask of batch", batch[2], moment, *(() if numbered else (whole,)), dtype=dtype, minimum=0.0)
    if not is_traced((result, targets, mask)):
        require(bool(np.any(np.asarray(mask) > 0)), "the mask of batch is zero everywhere: nothing counts")
        for name, values in (("outputs", result), ("the targets of batch", result if numbered else targets)):
            problem = values_that_count(name, values, mask)
            require(not problem, problem)
        problem = labels_that_count(targets, mask, result.shape[2]) if numbered else ""
        require(not problem, f"the targets of batch: {problem}")
    targets = jnp.where(entrywise(mask, targets) > 0, targets, 0)
    if numbered:
        targets = targets.astype(batch[1].dtype)
    return jnp.where(entrywise(mask, result) > 0, result, 0), TaskBatch(batch[0], targets, mask)
