"""The data of a training run: a stream of batches and held-out trials, checked against the network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from fisherjax._errors import require, told
from fisherjax._types import ArrayLike, Key
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import has_labels

from ._batches import Layout, as_batch, as_trials, is_trial
from ._streams import ArrayStream, IterableStream, TaskStream, TrialStream

Trials: TypeAlias = tuple[ArrayLike, ...] | Mapping[str, ArrayLike] | Sequence[Any]
"""Arrays (inputs, targets[, mask]), the same by name, or a list of such trials."""

_HELD_OUT_TRIALS = 256


def as_stream(
    task: Any,
    key: Key,
    batch_size: int,
    trial_steps: int | None,
    network: RecurrentNetwork,
    layout: Layout,
    *,
    carries: bool = False,
) -> TrialStream:
    """A stream of batches from what the user gave; `carries` says that batches go on from one another."""
    trials = None if isinstance(task, Task) else given_trials(task, "task", layout)
    if isinstance(task, Task):
        _check_widths("the task", network, task.num_inputs, task.num_outputs)
        task_trials(task, key, 2, trial_steps, layout)
        stream: TrialStream = TaskStream(task, key, batch_size, trial_steps, layout)
    elif trials is not None:
        _check_widths_of("the data", network, trials)
        stream = ArrayStream(trials, key, batch_size)
    else:
        _check_iterable(task)
        return IterableStream(task, (network.num_inputs, network.num_outputs), layout, carries=carries)
    require(
        not carries, "carry_state needs an iterable of batches that go on from one another; single trials start at rest"
    )
    return stream


def held_out_trials(
    task: Any, given: Any, key: Key, trial_steps: int | None, network: RecurrentNetwork, layout: Layout
) -> TaskBatch | None:
    """The trials that are given, fresh ones of a task, or none."""
    if given is None:
        return task_trials(task, key, _HELD_OUT_TRIALS, trial_steps, layout) if isinstance(task, Task) else None
    trials = given_trials(given, "held_out", layout)
    if trials is None:
        raise TypeError(
            f"held_out must be arrays (inputs, targets[, mask]) or a list of such trials, got {told(given)}"
        )
    _check_widths_of("held_out", network, trials)
    return trials


def given_trials(data: Any, name: str, layout: Layout) -> TaskBatch | None:
    """Arrays of trials, or trials of their own lengths, as one batch; None if it is neither."""
    if isinstance(data, tuple | Mapping):
        trials = as_batch(data, name, layout)
    elif _holds_trials(data):
        trials = as_trials([data[number] for number in range(len(data))], name, layout)
    else:
        return None
    require(bool(np.any(trials.mask > 0)), f"the mask of {name} is zero everywhere: nothing counts")
    return trials


def _holds_trials(data: Any) -> bool:
    """Whether something has a length and numbered items, of which the first is one trial."""
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__") or len(data) == 0:
        return False
    try:
        return is_trial(data[0])
    except (KeyError, IndexError, TypeError):  # items that are not numbered
        return False


def task_trials(task: Task, key: Key, count: int, trial_steps: int | None, layout: Layout) -> TaskBatch:
    """Trials of a task, checked: a task that a user wrote may draw anything."""
    kind = type(task).__name__
    drawn = task.batch(key, count, trial_steps)
    trials = as_batch(drawn, f"what task {kind} draws", layout._replace(batch_first=False))
    require(np.ndim(drawn[1]) > 1, f"task {kind} draws one class for each trial, and must draw one for every moment")
    said = (task.num_inputs, task.num_outputs)
    widths = (trials.inputs.shape[2], said[1] if has_labels(trials) else trials.targets.shape[2])
    require(widths == said, f"task {kind} draws inputs and targets of widths {widths}, and says that they are {said}")
    return trials


def _check_iterable(task: Any) -> None:
    single = isinstance(task, str | bytes | np.ndarray | jax.Array)
    if single or not (isinstance(task, Iterable) or hasattr(task, "__getitem__")):
        raise TypeError(
            "task must be a Task, arrays (inputs, targets[, mask]), a list of such trials or an iterable of such "
            f"batches, got {told(task)}"
        )


def _check_widths_of(name: str, network: RecurrentNetwork, trials: TaskBatch) -> None:
    width = network.num_outputs if has_labels(trials) else trials.targets.shape[2]
    _check_widths(name, network, trials.inputs.shape[2], width)


def _check_widths(name: str, network: RecurrentNetwork, num_inputs: int, num_outputs: int) -> None:
    require(
        num_inputs == network.num_inputs,
        f"{name} has {num_inputs} inputs, the network {network.num_inputs}; they must be the same",
    )
    require(
        num_outputs == network.num_outputs,
        f"{name} has targets of width {num_outputs}, the network {network.num_outputs} outputs; they must be the same",
    )
