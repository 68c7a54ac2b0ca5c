"""Trials of neurogym and of environments like its own, as batches to train on."""

import copy
import numbers
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_instance, check_integer, check_key, check_optional, require
from fisherjax._types import Key

from ._batch import TaskBatch, filled_up, has_labels, moments, stacked
from ._task import choice_accuracy, explained_variance

_LONGEST = 100_000  # steps of a trial that is stepped through: one that does not end is no trial


@runtime_checkable
class Environment(Protocol):
    """What is asked of an environment, as gymnasium has it; those of neurogym have `new_trial`, `ob` and `gt` too."""

    observation_space: Any
    action_space: Any

    def reset(self, *, seed: int | None = None) -> Any:
        """First observation, and information."""
        ...

    def step(self, action: Any) -> Any:
        """Next observation, reward, whether it ended (terminated, truncated), and information."""
        ...


class NeurogymTrials:
    """Trials of an environment: an iterable of batches without end, and batches by key; see `from_neurogym`.

    Attributes
    ----------
    num_inputs, num_outputs
        Numbers of an observation; actions, or numbers of one.
    """

    def __init__(self, env: Environment, *, key: Key, batch_size: int = 64, num_steps: int | None = None):
        """Draw one trial to see what there is."""
        self.env: Environment = env
        self.key: jax.Array = check_key("key", key)
        self.batch_size: int = check_integer("batch_size", batch_size, minimum=1)
        self.num_steps: int | None = check_optional(check_integer, "num_steps", num_steps, minimum=1)
        inputs, targets, _ = _drawn(env, 1, self.key)[0][0]
        self.num_inputs: int = inputs.shape[2]
        self.num_outputs: int = int(env.action_space.n) if targets.ndim == 2 else targets.shape[2]

    def __repr__(self) -> str:
        sizes = f"{self.num_inputs} → {self.num_outputs}"
        return f"NeurogymTrials({type(_core(self.env)).__name__}, {sizes}, batches of {self.batch_size})"

    def __iter__(self) -> Iterator[TaskBatch]:
        """Batches without end, the same whenever it is begun again."""
        number = 0
        while True:
            yield self.batch(jax.random.fold_in(self.key, number))
            number += 1

    def batch(self, key: Key, batch_size: int | None = None, num_steps: int | None = None) -> TaskBatch:
        """Trials drawn from a key: inputs (T, batch, I), targets (T, batch) or (T, batch, O), mask (T, batch)."""
        steps = self.num_steps if num_steps is None else check_integer("num_steps", num_steps, minimum=1)
        trials = stacked([trial for trial, _ in self._drawn(key, batch_size)])
        if steps is None:
            return trials
        cut: list[Any] = [part[:steps] for part in trials]
        return filled_up(TaskBatch(*cut), steps, trials.inputs.shape[1])

    def conditions(
        self, key: Key, batch_size: int | None = None, num_steps: int | None = None
    ) -> dict[str, Float[Array, " batch"]]:
        """Of the trials that `batch` draws from the same key: the numbers that the environment gives each trial."""
        del num_steps  # a trial's conditions do not depend on where it is cut
        told = [info for _, info in self._drawn(key, batch_size)]
        names = [name for name in told[0] if all(isinstance(info.get(name), numbers.Real) for info in told)]
        return {name: jnp.asarray([float(info[name]) for info in told]) for name in names}

    def _drawn(self, key: Key, batch_size: int | None) -> list[tuple[TaskBatch, dict[str, Any]]]:
        size = self.batch_size if batch_size is None else check_integer("batch_size", batch_size, minimum=1)
        return _drawn(self.env, size, check_key("key", key))

    def answers(self, batch: TaskBatch) -> Float[Array, "T batch"]:
        """Where an action other than the first, which is to wait, is asked for; in trials of waiting, everywhere."""
        weights = jnp.asarray(moments(batch.mask))
        if not has_labels(batch):
            return weights
        acting = jnp.asarray(batch.targets) > 0
        return weights * (acting | ~jnp.any(acting, axis=0)).astype(weights.dtype)

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right actions where one is asked for; R² where actions are numbers."""
        if not has_labels(batch):
            return explained_variance(outputs, batch)
        return choice_accuracy(outputs, batch._replace(mask=self.answers(batch)))


def from_neurogym(
    env: Environment | str,
    *,
    key: Key,
    batch_size: int = 64,
    num_steps: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> NeurogymTrials:
    """Trials of an environment of neurogym, or of one that works like it, to give to `training.fit` as its task.

    An environment of trials is asked for each (``env.new_trial()``, then its observations ``env.ob`` (T, I) and what
    is right ``env.gt`` (T,) or (T, O)). Any other is stepped through, with the first action or zero, and must tell what
    is right in the information of each step (``info["gt"]``). Trials of different lengths are masked at their end.

    Parameters
    ----------
    env
        The environment, or the name of one of neurogym's, such as "PerceptualDecisionMaking-v0".
    key
        JAX random key from which the environment, a copy of it, is seeded for every batch.
    batch_size
        Trials per batch.
    num_steps
        Steps to which trials are cut or filled up; the longest of each batch by default.
    settings
        For neurogym where it makes the environment, such as ``{"dt": 20}``.

    Returns
    -------
    `NeurogymTrials`. Targets are actions as whole numbers (T, batch), for the loss "cross_entropy", where the
    environment has a number of them, else numbers (T, batch, O).

    Raises
    ------
    ImportError
        If `env` is a name and neurogym is not installed.
    ValueError
        If the environment does not say what is right, or a trial does not end.

    References
    ----------
    Molano-Mazón et al. (2022), NeuroGym: an open resource for developing and sharing neuroscience tasks, PsyArXiv.
    """
    if isinstance(env, str):
        env = _made(env, {} if settings is None else settings)
    elif settings is not None:
        raise ValueError("settings are for environments that are given by their name")
    hint = "an environment has reset, step, observation_space and action_space"
    return NeurogymTrials(
        check_instance("env", env, Environment, hint), key=key, batch_size=batch_size, num_steps=num_steps
    )


def _made(name: str, settings: Mapping[str, Any]) -> Environment:
    try:
        import neurogym  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"env = {name!r} is a name of neurogym; install it by pip install neurogym") from error
    return neurogym.make(name, **settings)


def _drawn(env: Environment, count: int, key: Key) -> list[tuple[TaskBatch, dict[str, Any]]]:
    """Trials (T, 1, ·), each with what the environment says of it, drawn in a copy seeded from the key."""
    env = copy.deepcopy(env)
    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
    trials = _with_trials(env)
    if hasattr(_core(env), "seed"):
        _core(env).seed(seed)
    observation, _ = env.reset(seed=seed) if trials is None else (None, None)
    drawn = []
    for _ in range(count):
        if trials is None:
            told = {}
            observed, right, observation = _stepped(env, observation)
        else:
            told = trials.new_trial()
            observed, right = (getattr(_core(env), name, None) for name in ("ob", "gt"))
        require(
            right is not None and observed is not None, f"{type(_core(env)).__name__} does not say what is right (gt)"
        )
        drawn.append((_as_trial(env, observed, right), told if isinstance(told, Mapping) else {}))
    return drawn


def _core(env: Any) -> Any:
    """The environment inside all wrappers."""
    return getattr(env, "unwrapped", env)


def _with_trials(env: Any) -> Any:
    """The outermost layer that makes trials; None if there is none."""
    while env is not None and not hasattr(env, "new_trial"):
        env = getattr(env, "env", None)
    return env


def _stepped(env: Any, observation: Any) -> tuple[Any, Any, Any]:
    """One trial step by step, and the first observation of the next one."""
    action = 0 if hasattr(env.action_space, "n") else np.zeros(env.action_space.shape)
    observed, right = [], []
    for _ in range(_LONGEST):
        observed.append(observation)
        observation, _, terminated, truncated, info = env.step(action)
        if "gt" not in info:
            return None, None, None
        right.append(info["gt"])
        if terminated or truncated:
            observation, _ = env.reset()
        if terminated or truncated or info.get("new_trial", False):
            return np.asarray(observed), np.asarray(right), observation
    raise ValueError(f"a trial of {type(_core(env)).__name__} did not end within {_LONGEST} steps")


def _as_trial(env: Any, observed: Any, right: Any) -> TaskBatch:
    kind = jnp.zeros(()).dtype
    inputs = np.asarray(observed, kind).reshape(len(observed), 1, -1)
    numbered = hasattr(env.action_space, "n")
    targets = np.asarray(right, jnp.zeros((), int).dtype if numbered else kind).reshape(len(right), 1, -1)
    parts: list[Any] = [inputs, targets[..., 0] if numbered else targets, np.ones((len(inputs), 1), kind)]
    return TaskBatch(*parts)
