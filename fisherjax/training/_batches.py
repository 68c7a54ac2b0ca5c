"""What a user brings to train on, as a batch: its layout asked about where it cannot be, its numbers checked."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from fisherjax._arrays import as_real
from fisherjax._errors import require, told
from fisherjax.tasks import TaskBatch
from fisherjax.tasks._batch import values_that_count, without_masked

_DISTINCT_LENGTHS = 3  # of trials: fewer can look like padding by chance
_PROBABILITY_ERROR = 1e-3


def as_batch(data: Any, name: str, *, batch_first: bool | None = None, classes: bool = False) -> TaskBatch:
    """(inputs, targets[, mask]) as a checked `TaskBatch` of floats, time first; the mask is one where absent.

    Parameters
    ----------
    data
        A tuple or list of two or three arrays.
    name
        What they are, for messages.
    batch_first
        Whether trials come first, (n, T, ·). None: time does, and a mask that pads only the other axis is asked about.
    classes
        Whether targets are probabilities of classes.

    Raises
    ------
    TypeError
        If they are not two or three arrays of numbers.
    ValueError
        If shapes do not match, the mask is negative, or a value that the mask counts is not finite.
    """
    if not isinstance(data, tuple | list) or len(data) not in {2, 3}:
        hint = "; take its inputs, targets and mask out" if isinstance(data, Mapping) else ""
        raise TypeError(f"{name} must be (inputs, targets) or (inputs, targets, mask), got {_told_parts(data)}{hint}")
    dtype = jnp.zeros(()).dtype
    inputs, targets = (
        as_real(f"{part} of {name}", value, dtype=dtype, finite=False)
        for part, value in zip(("inputs", "targets"), data, strict=False)
    )
    _check_layout(name, inputs.shape, targets.shape, batch_first=bool(batch_first))
    mask = jnp.ones(inputs.shape[:2], dtype)
    if len(data) == 3:
        mask = as_real(f"the mask of {name}", data[2], dtype=dtype, minimum=0.0)
        _check_mask_shape(name, mask.shape, inputs.shape, batch_first=bool(batch_first))
    if batch_first:
        inputs, targets, mask = (jnp.swapaxes(part, 0, 1) for part in (inputs, targets, mask))
    elif batch_first is None and len(data) == 3:
        _ask_about_padding(name, np.asarray(mask) > 0)
    batch = without_masked(TaskBatch(inputs, targets, mask))
    problem = batch_problem(batch, classes=classes)
    require(not problem, f"{name}: {problem}")
    return batch


def batch_problem(batch: TaskBatch, *, classes: bool = False) -> str:
    """Why a batch cannot be trained on, in words; empty if it can."""
    for part, values in (("inputs", batch.inputs), ("targets", batch.targets)):
        # what the mask leaves out is finite by now, so that inputs count everywhere
        problem = values_that_count(part, values, np.ones(batch.mask.shape) if part == "inputs" else batch.mask)
        if problem:
            return problem
    if classes:
        targets, counts = np.asarray(batch.targets), np.asarray(batch.mask) > 0
        wrong = (np.abs(targets.sum(axis=-1) - 1) > _PROBABILITY_ERROR) | (targets < -_PROBABILITY_ERROR).any(axis=-1)
        if (wrong & counts).any():
            trials = int((wrong & counts).any(axis=0).sum())
            return (
                "targets must be probabilities of classes for loss = 'cross-entropy' (one-hot: not negative, of sum "
                f"one), and are not in {trials} of {counts.shape[1]} trials"
            )
    return ""


def sizes(steps: int, trials: int) -> str:
    """``"64 steps × 20 trials"``, so that a wrong layout shows."""
    return f"{steps} steps × {trials} trials"


def _told_parts(data: Any) -> str:
    if isinstance(data, tuple | list):
        return f"{len(data)} parts"
    return told(data)


def _check_layout(name: str, inputs: tuple[int, ...], targets: tuple[int, ...], *, batch_first: bool) -> None:
    wanted = "(trials, T, I)" if batch_first else "(T, trials, I)"
    require(
        len(inputs) == 3 and len(targets) == 3,
        f"{name} must hold inputs {wanted} and targets {wanted.replace('I', 'O')}, got {inputs} and {targets}"
        f"{'; one-hot classes are (T, trials, K)' if len(targets) == 2 else ''}",
    )
    first, second = ("trials", "steps") if batch_first else ("steps", "trials")
    if inputs[:2] == targets[:2]:
        require(
            min(inputs) > 0 and min(targets) > 0, f"{name} must hold inputs and targets, got {inputs} and {targets}"
        )
        return
    swapped = "; one of the two has its axes swapped" if inputs[:2] == targets[1::-1] else ""
    raise ValueError(
        f"{name} must hold inputs and targets of the same steps and trials: inputs {inputs} are {inputs[0]} {first} × "
        f"{inputs[1]} {second}, targets {targets} are {targets[0]} {first} × {targets[1]} {second}{swapped}. "
        "Time comes first, (T, trials, ·), or with batch_first=True trials do, (trials, T, ·)"
    )


def _check_mask_shape(name: str, mask: tuple[int, ...], inputs: tuple[int, ...], *, batch_first: bool) -> None:
    if mask == inputs[:2]:
        return
    a, b = inputs[:2]
    here, there = ("trials first", "time first") if batch_first else ("time first", "trials first")
    steps, trials = (b, a) if batch_first else (a, b)
    readings = (
        f"inputs {inputs} are {sizes(steps, trials)} as they are read, {here}, and {sizes(trials, steps)} {there} "
        f"(batch_first={not batch_first})"
    )
    raise ValueError(f"the mask of {name} must be {(a, b)} like its inputs, got {mask}; {readings}")


def _ask_about_padding(name: str, counts: np.ndarray) -> None:
    """Refuse a mask that ends trials early along the second axis only: padding, with trials first."""
    if _ends_early(counts, 0) or not _ends_early(counts, 1):
        return
    lengths = counts.sum(axis=1)
    if len(np.unique(lengths)) < _DISTINCT_LENGTHS:
        return
    first, second = counts.shape
    raise ValueError(
        f"the mask of {name} {counts.shape} pads along its second axis and has holes along its first. Read as time "
        f"first, {sizes(first, second)}, it makes no sense as padding; read as trials first it says that {first} "
        f"trials last {lengths.min()} to {lengths.max()} of {second} steps. "
        "Give batch_first=True if trials come first, batch_first=False if time does"
    )


def _ends_early(counts: np.ndarray, axis: int) -> bool:
    """Whether every line along an axis is True up to somewhere and False from there on."""
    return bool((np.diff(counts.astype(np.int8), axis=axis) <= 0).all())
