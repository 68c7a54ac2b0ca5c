"""What a task is: batches of trials from a key, and how well outputs solve them."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, check_finite
from fisherjax._errors import check_integer, check_key, is_traced, require, warn
from fisherjax._types import Key

from ._batch import TaskBatch, checked_outputs, entrywise, has_labels, moments

Loss: TypeAlias = str | Callable[..., Any]
"""A loss that `training.fit` knows by name, such as "mse", or a function loss(outputs, targets, mask)."""

Setting: TypeAlias = float | int | bool | str | tuple[float | int, ...] | list[float] | np.ndarray | np.generic
"""What a setting of a task may be; arrays and lists become tuples, NumPy's numbers Python's."""

T = TypeVar("T", bound="Task")


class Task(eqx.Module):
    """A task that generates its trials: ``task.batch(key, batch_size, num_steps)``.

    Call a task with other settings to get a variant: ``tasks.flip_flop(num_bits=2)``. Tasks hold no arrays, so
    that they can be arguments of jitted functions.
    """

    loss: ClassVar[Loss] = "mse"
    """The loss that fits the targets."""

    def __check_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.metadata.get("static") and isinstance(value, np.ndarray | np.generic | jax.Array):
                raise TypeError(f"{field.name} must be a Python number or tuple, got a {type(value).__name__}")

    def __call__(self: T, **settings: Setting | jax.Array) -> T:
        """The same task with other settings: any fields of its class.

        Raises
        ------
        TypeError
            If a setting is not known.
        ValueError
            If a value is out of range.
        """
        known = {field.name for field in dataclasses.fields(self)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no setting {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        return dataclasses.replace(self, **{name: _plain(value) for name, value in settings.items()})  # pyright: ignore[reportArgumentType]

    def batch(self, key: Key, batch_size: int, num_steps: int | None = None) -> TaskBatch:
        """Draw trials.

        Parameters
        ----------
        key
            JAX random key.
        batch_size
            Number of trials.
        num_steps
            Steps T of every trial; the task's own `default_steps` if absent.

        Returns
        -------
        inputs (T, batch, I), targets (T, batch, O), mask (T, batch).

        Raises
        ------
        ValueError
            If a size is below what the task needs.
        TypeError
            If `key` is not a JAX key.
        """
        return _draw(self, *self._checked(key, batch_size, num_steps))

    def conditions(self, key: Key, batch_size: int, num_steps: int | None = None) -> dict[str, Float[Array, " batch"]]:
        """What sets the trials apart that `batch` draws from the same arguments, for instance their coherence.

        Returns
        -------
        Name → one number per trial; empty where trials differ in nothing that has a name. Raises as `batch`.
        """
        return _conditions(self, *self._checked(key, batch_size, num_steps))

    def _checked(self, key: Key, batch_size: int, num_steps: int | None) -> tuple[Key, int, int]:
        steps = self.default_steps if num_steps is None else check_integer("num_steps", num_steps, minimum=1)
        require(
            steps >= self.shortest,
            f"num_steps must be at least {self.shortest} for {type(self).__name__} with these settings, got {steps}",
        )
        return check_key("key", key), check_integer("batch_size", batch_size, minimum=1), steps

    @property
    @abc.abstractmethod
    def num_inputs(self) -> int:
        """Number of inputs I."""

    @property
    @abc.abstractmethod
    def num_outputs(self) -> int:
        """Number of outputs O."""

    @property
    def default_steps(self) -> int:
        """Steps of a trial where nothing else is asked."""
        return 64

    @property
    def shortest(self) -> int:
        """Fewest steps that a trial can have."""
        return 2

    @abc.abstractmethod
    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Trials of a checked size."""

    def draw_conditions(self, key: Key, batch_size: int, num_steps: int) -> dict[str, Array]:  # noqa: ARG002
        """What sets apart the trials that `draw` makes of the same arguments."""
        return {}

    def answers(self, batch: TaskBatch) -> Float[Array, "T batch"]:
        """Weight of every moment at which a trial's answer is read: the mask, unless a task says otherwise."""
        return moments(batch.mask)

    @abc.abstractmethod
    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """How well outputs solve the trials; 1 is perfect. Which measure, every task says."""


def _plain(value: object) -> object:
    """NumPy and JAX numbers as Python's, arrays and lists as tuples: settings are compared and hashed."""
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


@jax.jit(static_argnames=("batch_size", "num_steps"))
def _draw(task: Task, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
    return task.draw(key, batch_size, num_steps)


@jax.jit(static_argnames=("batch_size", "num_steps"))
def _conditions(task: Task, key: Key, batch_size: int, num_steps: int) -> dict[str, Array]:
    return task.draw_conditions(key, batch_size, num_steps)


def explained_variance(outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
    """R² = 1 − Σ (y − target)² / Σ (target − mean)², over the moments that count.

    Targets that are constant, to rounding, have no variance to explain: NaN, with a RuntimeWarning.

    Raises
    ------
    TypeError, ValueError
        If outputs and targets do not match, or are not finite where the mask counts them.
    """
    outputs, batch = checked_outputs(outputs, batch)
    weights = entrywise(batch.mask, outputs)
    total = jnp.sum(weights, axis=(0, 1))
    mean = jnp.sum(weights * batch.targets, axis=(0, 1)) / jnp.where(total > 0, total, 1)
    residual = jnp.sum(weights * (outputs - batch.targets) ** 2)
    spread = jnp.sum(weights * (batch.targets - mean) ** 2)
    rounding = (8 * jnp.finfo(spread.dtype).eps) ** 2 * jnp.sum(weights * batch.targets**2)
    varies = spread > rounding
    if not is_traced(varies) and not bool(varies):
        warn("explained_variance: all targets are equal, so that R² is undefined")
    return jnp.where(varies, 1 - residual / jnp.where(varies, spread, 1), jnp.nan)


def sign_accuracy(outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
    """Share of outputs with the sign of their target, over the moments that count; raises as `explained_variance`."""
    outputs, batch = checked_outputs(outputs, batch)
    return weighted_mean((outputs * batch.targets > 0).astype(outputs.dtype), batch.mask)


def choice_accuracy(outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
    """Share of moments that count at which the largest output is that of the target, or the class that it names.

    Raises as `explained_variance`.
    """
    outputs, batch = checked_outputs(outputs, batch, classes=True)
    wanted = batch.targets.astype(int) if has_labels(batch) else jnp.argmax(batch.targets, axis=-1)
    right = (jnp.argmax(outputs, axis=-1) == wanted).astype(outputs.dtype)
    return weighted_mean(right, moments(batch.mask))


def weighted_mean(
    values: Float[Array, "T batch"] | Float[Array, "T batch O"],
    weights: Float[Array, "T batch"] | Float[Array, "T batch O"],
) -> Float[Array, ""]:
    """Σ w v / Σ w; values of weight zero may be anything, NaN included. Zero where nothing has weight.

    Of values (T, batch, O) with weights (T, batch) it is the mean over outputs that is weighted.

    Raises
    ------
    ValueError
        If shapes differ, or a weight is negative or not finite.
    """
    values = as_real("values", values, "T trials", "T trials outputs", finite=False)
    shapes = {" ".join(map(str, shape)) for shape in (values.shape, values.shape[:2])}
    weights = as_real("weights", weights, *sorted(shapes), dtype=values.dtype, minimum=0.0)
    if weights.ndim < values.ndim:
        values = jnp.where(weights[..., None] > 0, values, 0).mean(axis=-1)
    counts, total = weights > 0, jnp.sum(weights)
    if not is_traced((values, weights)):
        check_finite("values", jnp.where(counts, values, 0))
    return jnp.sum(jnp.where(counts, values, 0) * weights) / jnp.where(total > 0, total, 1)


def uniform_integers(key: Key, shape: tuple[int, ...], low: int, high: int) -> Array:
    """Whole numbers from `low` to `high`, both included."""
    return jax.random.randint(key, shape, low, high + 1)


def one_hot(labels: Array, num_classes: int) -> Array:
    """One-hot vectors of the default float type."""
    return jax.nn.one_hot(labels, num_classes, dtype=jnp.zeros(()).dtype)
