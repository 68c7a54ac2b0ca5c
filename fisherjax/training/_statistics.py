"""What a network does in trials of a kind: accuracy, decisions and choices."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_flag, check_instance, check_integer, check_key, require, told
from fisherjax._types import ArrayLike, Key, Record
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.tasks import Task, TaskBatch, choice_accuracy, sign_accuracy
from fisherjax.tasks._batch import has_labels, moments
from fisherjax.tasks._neurogym import NeurogymTrials

from ._batches import Layout
from ._data import Trials, given_trials


class TrialStatistics(Record):
    """What a network does in trials of each kind.

    The decision of a trial is its mean output over the moments of the answer; its choice is the largest output, or of
    one output the sign (0 for minus, 1 for plus). Errors are standard errors over trials.

    Parameters
    ----------
    names
        Of the conditions that tell trials apart.
    conditions
        Their values, one row for every kind of trial (kinds, names).
    num_trials
        Of every kind (kinds,).
    accuracy, accuracy_error
        Mean over trials of the task's accuracy in each (kinds,).
    decision, decision_error
        Mean over trials (kinds, O).
    choice_fraction, choice_error
        Share of trials in which each choice was made (kinds, choices); √(p (1 − p)/n).
    """

    names: tuple[str, ...]
    conditions: Float[np.ndarray, "kinds names"]
    num_trials: Int[np.ndarray, " kinds"]
    accuracy: Float[np.ndarray, " kinds"]
    accuracy_error: Float[np.ndarray, " kinds"]
    decision: Float[np.ndarray, "kinds O"]
    decision_error: Float[np.ndarray, "kinds O"]
    choice_fraction: Float[np.ndarray, "kinds choices"]
    choice_error: Float[np.ndarray, "kinds choices"]

    def __repr__(self) -> str:
        by = f" of {', '.join(self.names)}" if self.names else ""
        low, high = self.accuracy.min(), self.accuracy.max()
        return (
            f"TrialStatistics({len(self.num_trials)} kinds of trials{by}, {self.num_trials.sum()} trials, accuracy "
            f"{low:.3f} to {high:.3f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Columns of a table, one row for every kind of trial."""
        columns = dict(zip(self.names, self.conditions.T, strict=True))
        columns |= {"num_trials": self.num_trials, "accuracy": self.accuracy, "accuracy_error": self.accuracy_error}
        for name in ("decision", "choice"):
            values = self.decision if name == "decision" else self.choice_fraction
            errors = self.decision_error if name == "decision" else self.choice_error
            for number in range(values.shape[1]):
                columns[f"{name}_{number}"], columns[f"{name}_{number}_error"] = values[:, number], errors[:, number]
        return columns


class _Trials(NamedTuple):
    """Trials, what tells them apart, and how they are judged."""

    batch: TaskBatch
    conditions: dict[str, np.ndarray]
    task: Task | NeurogymTrials | None


def trial_statistics(
    network: RecurrentNetwork,
    task: Task | NeurogymTrials | Trials,
    *,
    key: Key,
    num_trials: int = 1000,
    by: str | Sequence[str] | None = None,
    conditions: Mapping[str, ArrayLike] | None = None,
    num_bins: int = 8,
    trial_steps: int | None = None,
    batch_first: bool | None = None,
) -> TrialStatistics:
    """Accuracy, decisions and choices of a network in trials of each kind.

    Parameters
    ----------
    network
        The network; with its noise.
    task
        A `Task` or `NeurogymTrials`, which say what their conditions are; or trials as `fit` takes them.
    key
        JAX random key: trials and noise.
    num_trials
        Of the task; of given trials all are taken.
    by
        Names of the conditions whose combinations make a kind of trial; the task's first, or all that are given.
    conditions
        Name → one number per trial, of given trials.
    num_bins
        A condition of more different values is divided into so many parts with equally many trials, and its value is
        the mean in each.
    trial_steps
        Time steps per trial of a task; its own default if absent.
    batch_first
        Whether trials come first in given arrays.

    Raises
    ------
    ValueError
        If a name is not that of a condition, there is not one number per trial, or a kind has a single trial.
    TypeError
        If `task` or `key` is of the wrong kind.
    """
    check_instance("network", network, RecurrentNetwork, "such as networks.RNN(2, 64, 1, key=key)")
    trial_key, noise_key = jax.random.split(check_key("key", key))
    num_bins = check_integer("num_bins", num_bins, minimum=2)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    trial_steps = None if trial_steps is None else check_integer("trial_steps", trial_steps, minimum=1)
    if conditions is not None:
        check_instance("conditions", conditions, Mapping, "write {'coherence': coherence}")
    trials = _trials(network, task, trial_key, num_trials, conditions, trial_steps, batch_first=batch_first)
    names = _names(by, trials, given=conditions is not None)
    columns = [_binned(trials.conditions[name], num_bins) for name in names]
    count = trials.batch.inputs.shape[1]
    table = np.stack(columns, axis=1) if columns else np.zeros((count, 0))
    kinds, kind = np.unique(table, axis=0, return_inverse=True)
    sizes = np.bincount(kind.reshape(-1), minlength=len(kinds))
    require(
        bool((sizes > 1).all()),
        f"every kind of trial needs two trials at least, but {int((sizes < 2).sum())} of {len(kinds)} have one: raise "
        "num_trials, or give fewer names in by",
    )
    noisy = float(network.noise_std) > 0 or float(network.observation_noise_std) > 0
    accuracy, decision = (
        np.asarray(part) for part in _judged(network, trials.batch, noise_key if noisy else None, trials.task)
    )
    choices = _choices(decision)
    accuracy, decision, fraction = (_of_kinds(part, kind.reshape(-1)) for part in (accuracy, decision, choices))
    share = fraction[0]
    return TrialStatistics(
        names, kinds, sizes, *accuracy, *decision, share, np.sqrt(share * (1 - share) / sizes[:, None])
    )


def _trials(
    network: RecurrentNetwork,
    task: Any,
    key: Key,
    num_trials: int,
    conditions: Mapping[str, ArrayLike] | None,
    trial_steps: int | None,
    *,
    batch_first: bool | None,
) -> _Trials:
    if isinstance(task, Task | NeurogymTrials):
        require(conditions is None, "conditions are the task's own; give conditions with arrays only")
        told_of = task.conditions(key, num_trials, trial_steps)
        batch = jax.tree.map(jnp.asarray, task.batch(key, num_trials, trial_steps))
        return _Trials(batch, {name: np.asarray(values) for name, values in told_of.items()}, task)
    first = None if batch_first is None else check_flag("batch_first", batch_first)
    read = given_trials(task, "task", Layout(network.num_outputs, first))
    if read is None:
        raise TypeError(f"task must be a Task, NeurogymTrials, or trials as training.fit takes them, got {told(task)}")
    count = read.inputs.shape[1]
    given = {
        name: host_real(f"conditions[{name!r}]", values, f"{count}") for name, values in (conditions or {}).items()
    }
    return _Trials(jax.tree.map(jnp.asarray, read), given, None)


def _names(by: str | Sequence[str] | None, trials: _Trials, *, given: bool) -> tuple[str, ...]:
    known = tuple(trials.conditions)
    if by is None:
        return known if given else known[:1]
    if not isinstance(by, str | list | tuple):
        raise TypeError(f"by must be the name of a condition or several, got {told(by)}")
    names = (by,) if isinstance(by, str) else tuple(by)
    require(bool(known), "by names a condition, but these trials have none")
    return tuple(check_choice("by", name, known) for name in names)


def _binned(values: np.ndarray, num_bins: int) -> np.ndarray:
    """The values, or the mean of each of as many equally filled parts where there are more different ones."""
    values = values.astype(np.float64)
    if len(np.unique(values)) <= num_bins:
        return values
    part = np.searchsorted(np.quantile(values, np.arange(1, num_bins) / num_bins), values, side="right")
    return np.array([values[part == number].mean() if np.any(part == number) else 0.0 for number in range(num_bins)])[
        part
    ]


@eqx.filter_jit
def _judged(
    network: RecurrentNetwork, batch: TaskBatch, key: Key | None, task: Task | NeurogymTrials | None
) -> tuple[Float[Array, " trials"], Float[Array, "trials O"]]:
    """Accuracy and mean output over the answer, of every trial."""
    _, outputs = run(network, batch.inputs, key=key)
    weights = (moments(batch.mask) if task is None else task.answers(batch))[..., None]
    total = jnp.sum(weights, axis=0)
    decision = jnp.sum(jnp.where(weights > 0, outputs, 0) * weights, axis=0) / jnp.where(total > 0, total, 1)

    def of_one(outputs: Array, *parts: Array) -> Array:
        one = TaskBatch(*(part[:, None] for part in parts))
        if task is not None:
            return task.accuracy(outputs[:, None], one)
        of_sign = outputs.shape[-1] == 1 and not has_labels(one)
        return (sign_accuracy if of_sign else choice_accuracy)(outputs[:, None], one)

    return jax.vmap(of_one, in_axes=1)(outputs, *batch), decision


def _choices(decision: np.ndarray) -> np.ndarray:
    """One-hot choices (trials, choices)."""
    if decision.shape[1] == 1:
        return np.eye(2)[(decision[:, 0] > 0).astype(int)]
    return np.eye(decision.shape[1])[decision.argmax(axis=1)]


def _of_kinds(values: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the values (trials, …) of each kind."""
    groups = [values[kind == number].astype(np.float64) for number in range(kind.max() + 1)]
    means = np.stack([group.mean(axis=0) for group in groups])
    return means, np.stack([group.std(axis=0, ddof=1) / np.sqrt(len(group)) for group in groups])
