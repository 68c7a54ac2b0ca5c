"""What a user brings to train on, as a batch: its layout asked about where it cannot be, its numbers checked."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fisherjax._arrays import as_real, host_real
from fisherjax._errors import require, suggest, told
from fisherjax.tasks import TaskBatch
from fisherjax.tasks._batch import (
    entrywise,
    has_labels,
    labels_that_count,
    moments,
    stacked,
    values_that_count,
    without_masked,
)

from ._losses import LossLike

_NAMES = ("inputs", "targets", "mask")
_TIME_FIRST = "(T, trials, I)"
_DISTINCT_LENGTHS = 3  # of trials: fewer can look like padding by chance
_PROBABILITY_ERROR = 1e-3


class Layout(NamedTuple):
    """How arrays are read, and what their targets must be."""

    num_outputs: int  # of the network, which classes must be among
    batch_first: bool | None = None  # None: time does, and a mask that pads only the other axis is asked about
    loss: LossLike | None = None  # what targets are for; None where they decide


def as_batch(data: Any, name: str, layout: Layout) -> TaskBatch:
    """(inputs, targets[, mask]) as a checked `TaskBatch` on the host, time first; the mask is one where absent.

    Targets are numbers (T, n, O), or classes as whole numbers (T, n) or (n,). One class for a whole trial is wanted
    where the mask counts, and without a mask at the last step. TypeError or ValueError, with `name`, if they are not
    two or three arrays of numbers that fit one another, or a value that the mask counts is not finite or no class.
    """
    parts = _arrays(data, name)
    _check_shapes(name, parts, batch_first=bool(layout.batch_first))
    if layout.batch_first:
        parts = [part if part is None or part.ndim < 2 else np.swapaxes(part, 0, 1) for part in parts]
    elif layout.batch_first is None and parts[2] is not None:
        _ask_about_padding(name, moments(parts[2]) > 0)
    return _checked(parts, name, layout)


def as_trials(trials: Sequence[Any], name: str, layout: Layout) -> TaskBatch:
    """Trials (inputs (T, I), targets[, mask]), each of its own length, as one batch that masks the end of shorter ones.

    Targets of a trial are numbers (T, O), classes (T,), or one class, wanted where its mask (T,) or (T, O) counts and
    without one at its last step. Raises as `as_batch`.
    """
    read: list[TaskBatch] = []
    for number, trial in enumerate(trials):
        own = f"trial {number} of {name}"
        parts = [None if part is None else np.expand_dims(part, min(part.ndim, 1)) for part in _arrays(trial, own)]
        _check_shapes(own, parts, batch_first=False)
        read.append(_checked(parts, own, layout))
        same = _widths(read[-1]) == _widths(read[0])
        require(same, f"{own} must have inputs and targets of the same kind and widths as trial 0")
    return stacked(read)


def is_trial(item: Any) -> bool:
    """Whether an item is one trial, (inputs (T, I), targets[, mask])."""
    if isinstance(item, Mapping):
        return np.ndim(item.get("inputs", 0)) == 2
    return isinstance(item, tuple | list) and len(item) in {2, 3} and np.ndim(item[0]) == 2


def batch_problem(batch: TaskBatch, layout: Layout) -> str:
    """Why a batch cannot be trained on, in words; empty if it can."""
    # what the mask leaves out is finite by now, so that inputs count everywhere
    problem = values_that_count("inputs", batch.inputs, np.ones(batch.mask.shape[:2]))
    if problem or has_labels(batch):
        return problem or labels_that_count(batch.targets, batch.mask, layout.num_outputs)
    problem = values_that_count("targets", batch.targets, batch.mask)
    if problem or layout.loss not in {"cross_entropy", "binary_cross_entropy"}:
        return problem
    targets, counts = np.asarray(batch.targets), np.asarray(batch.mask) > 0
    outside = (targets < -_PROBABILITY_ERROR) | (targets > 1 + _PROBABILITY_ERROR)
    if layout.loss == "binary_cross_entropy":
        wrong = (outside & entrywise(counts, targets)).any(axis=-1)
        hint = "between 0 and 1"
    else:
        wrong = (np.abs(targets.sum(axis=-1) - 1) > _PROBABILITY_ERROR) | outside.any(axis=-1)
        wrong &= moments(counts) > 0
        hint = "one-hot: not negative, of sum one"
    if not wrong.any():
        return ""
    return (
        f"targets must be probabilities of classes for loss = {layout.loss!r} ({hint}), and are not in "
        f"{int(wrong.any(axis=0).sum())} of {wrong.shape[1]} trials"
    )


def sizes(steps: int, trials: int) -> str:
    """``"64 steps × 20 trials"``, so that a wrong layout shows."""
    return f"{steps} steps × {trials} trials"


def _arrays(data: Any, name: str) -> list[Any]:
    """Inputs, targets and mask as arrays on the host; classes as whole numbers; None where there is no mask."""
    if isinstance(data, Mapping):
        data = _named_arrays(data, name)
    if not isinstance(data, tuple | list) or len(data) not in {2, 3}:
        parts = f"{len(data)} parts" if isinstance(data, tuple | list) else told(data)
        raise TypeError(f"{name} must be (inputs, targets) or (inputs, targets, mask), got {parts}")
    dtype = jnp.zeros(()).dtype
    inputs = _cut(host_real(f"inputs of {name}", data[0], finite=False), dtype)
    targets = host_real(f"targets of {name}", data[1], finite=False)
    numbered = targets.ndim < inputs.ndim and np.asarray(data[1]).dtype.kind in "biu"
    require(
        numbered or targets.ndim == inputs.ndim,
        f"{name} must hold inputs {_TIME_FIRST} and targets {_TIME_FIRST.replace('I', 'O')}, got {inputs.shape} and "
        f"{targets.shape}; classes are whole numbers (T, trials) or (trials,), or one-hot (T, trials, K)",
    )
    targets = targets.astype(jnp.zeros((), int).dtype) if numbered else _cut(targets, dtype)
    if len(data) == 2:
        return [inputs, targets, None]
    return [inputs, targets, np.asarray(as_real(f"the mask of {name}", data[2], dtype=dtype, minimum=0.0))]


def _named_arrays(data: Mapping[Any, Any], name: str) -> list[Any]:
    for key in data:
        require(
            key in _NAMES, f"{name} must hold inputs, targets and perhaps a mask, got {told(key)}{suggest(key, _NAMES)}"
        )
    require("inputs" in data and "targets" in data, f"{name} must hold inputs and targets, got {', '.join(data)}")
    return [data[key] for key in _NAMES if data.get(key) is not None]


def _cut(array: np.ndarray, dtype: Any) -> np.ndarray:
    with np.errstate(over="ignore"):  # what becomes infinite is told where the mask is known
        return array.astype(dtype, copy=False)


def _checked(parts: list[Any], name: str, layout: Layout) -> TaskBatch:
    """The batch of inputs, targets and mask, one class of a trial written out over time."""
    shape, of_trials = parts[0].shape[:2], parts[1].ndim == 1
    if parts[2] is None:
        parts[2] = np.ones(shape, parts[0].dtype)
        parts[2][: -1 if of_trials else 0] = 0
    if of_trials:
        parts[1] = np.broadcast_to(parts[1], shape)
    batch = without_masked(TaskBatch(*parts), np)
    problem = batch_problem(batch, layout)
    require(not problem, f"{name}: {problem}")
    return batch


def _widths(batch: TaskBatch) -> tuple[int, tuple[int, ...]]:
    return batch.inputs.shape[2], batch.targets.shape[2:]


def _check_shapes(name: str, parts: list[Any], *, batch_first: bool) -> None:
    inputs, targets, mask = (None if part is None else part.shape for part in parts)
    _check_layout(name, inputs, targets, batch_first=batch_first)
    if mask is not None:
        _check_mask_shape(name, mask, inputs, targets, batch_first=batch_first)


def _check_layout(name: str, inputs: Any, targets: Any, *, batch_first: bool) -> None:
    wanted = "(trials, T, I)" if batch_first else _TIME_FIRST
    require(
        len(inputs) == 3 and 1 <= len(targets) <= 3,
        f"{name} must hold inputs {wanted} and targets {wanted.replace('I', 'O')}, got {inputs} and {targets}",
    )
    first, second = ("trials", "steps") if batch_first else ("steps", "trials")
    if len(targets) == 1:
        trials = inputs[0 if batch_first else 1]
        require(targets[0] == trials, f"{name} must hold one class for each of {trials} trials, got {targets[0]}")
        targets = inputs[:2]
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


def _check_mask_shape(name: str, mask: Any, inputs: Any, targets: Any, *, batch_first: bool) -> None:
    if mask == inputs[:2] or (len(mask) == 3 and mask == targets):
        return
    a, b = inputs[:2]
    here, there = ("trials first", "time first") if batch_first else ("time first", "trials first")
    steps, trials = (b, a) if batch_first else (a, b)
    readings = (
        f"inputs {inputs} are {sizes(steps, trials)} as they are read, {here}, and {sizes(trials, steps)} {there} "
        f"(batch_first={not batch_first})"
    )
    own = f", or {targets} like its targets" if len(targets) == 3 else ""
    raise ValueError(f"the mask of {name} must be {(a, b)} like its inputs{own}, got {mask}; {readings}")


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
