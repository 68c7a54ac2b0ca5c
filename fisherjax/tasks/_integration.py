"""Tasks that ask to integrate or to generate: integrator, sine wave."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_flag, check_integer, check_scalar, require
from fisherjax._types import Key

from ._batch import TaskBatch
from ._task import Task, explained_variance

_REFERENCE_STEPS = 64  # of the integrator: where the spread of its targets is stated


class Integrator(Task):
    """Integrate each input over time: y(t) = c Σ u, or the heading (cos y, sin y) of an angular speed c u.

    The input u is smooth Gaussian noise of variance one (an Ornstein–Uhlenbeck process of correlation time
    `correlation_steps`). The gain c = `gain` makes y have the standard deviation `spread` after 64 steps; it does not
    depend on how long a trial is. Accuracy: R².

    Parameters
    ----------
    num_integrals
        Independent inputs k.
    periodic
        Whether targets are (cos y, sin y), two outputs per input, starting from heading 0.
    spread
        Standard deviation of y after 64 steps; in radians if periodic.
    correlation_steps
        Correlation time of the input, in steps.
    """

    num_integrals: int = eqx.field(static=True, default=1)
    periodic: bool = eqx.field(static=True, default=False)
    spread: float | int = eqx.field(static=True, default=0.7)
    correlation_steps: float | int = eqx.field(static=True, default=5.0)

    def __check_init__(self) -> None:
        check_integer("num_integrals", self.num_integrals, minimum=1)
        check_flag("periodic", self.periodic)
        check_scalar("spread", self.spread, minimum=0.0, strict=True)
        check_scalar("correlation_steps", self.correlation_steps, minimum=0.0, strict=True)

    @property
    def gain(self) -> float:
        """Gain c = spread / s.d. of Σ u over n = 64 steps, Var Σ u = n + 2 Σ_k (n − k) exp(−k/correlation_steps)."""
        lags = np.arange(1, _REFERENCE_STEPS)
        correlation = np.exp(-lags / self.correlation_steps)
        return float(self.spread / np.sqrt(_REFERENCE_STEPS + 2 * np.sum((_REFERENCE_STEPS - lags) * correlation)))

    @property
    def num_inputs(self) -> int:
        """One speed per integral."""
        return self.num_integrals

    @property
    def num_outputs(self) -> int:
        """One per integral, two if periodic."""
        return self.num_integrals * (2 if self.periodic else 1)

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Ornstein–Uhlenbeck speeds, started in their stationary law, and their integrals."""
        start_key, noise_key = jax.random.split(key)
        shape = (num_steps, batch_size, self.num_integrals)
        kept = math.exp(-1 / self.correlation_steps)

        def drift(speed: Array, noise: Array) -> tuple[Array, Array]:
            speed = kept * speed + math.sqrt(1 - kept**2) * noise
            return speed, speed

        start = jax.random.normal(start_key, shape[1:])
        speeds = jax.lax.scan(drift, start, jax.random.normal(noise_key, shape))[1]
        integral = self.gain * jnp.cumsum(speeds, axis=0)
        targets = jnp.concatenate([jnp.cos(integral), jnp.sin(integral)], axis=-1) if self.periodic else integral
        return TaskBatch(speeds, targets, jnp.ones(shape[:2]))

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """R²."""
        return explained_variance(outputs, batch)


class SineWave(Task):
    """Generate sin(2π f t) for as long as the trial lasts; f is told by a constant input, the phase is zero.

    A second input is a pulse at the first step. Accuracy: R².

    Parameters
    ----------
    min_frequency, max_frequency
        Range of f in cycles per step.
    """

    min_frequency: float | int = eqx.field(static=True, default=0.02)
    max_frequency: float | int = eqx.field(static=True, default=0.06)

    def __check_init__(self) -> None:
        check_scalar("min_frequency", self.min_frequency, minimum=0.0, strict=True)
        check_scalar("max_frequency", self.max_frequency, minimum=0.0, strict=True)
        require(
            self.min_frequency <= self.max_frequency <= 0.5,
            f"frequencies must have min <= max <= 0.5, got {self.min_frequency:g} and {self.max_frequency:g}",
        )

    @property
    def num_inputs(self) -> int:
        """Frequency and start."""
        return 2

    @property
    def num_outputs(self) -> int:
        """The wave."""
        return 1

    def draw_conditions(self, key: Key, batch_size: int, num_steps: int) -> dict[str, Array]:  # noqa: ARG002
        """The frequency."""
        return {"frequency": self._frequency(jax.random.uniform(key, (batch_size,)))}

    def _frequency(self, share: Array) -> Array:
        return self.min_frequency + share * (self.max_frequency - self.min_frequency)

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Frequencies uniform over their range; the input runs from 0 to 1 over it."""
        share = jax.random.uniform(key, (batch_size,))
        frequency = self._frequency(share)
        times = jnp.arange(1, num_steps + 1, dtype=share.dtype)[:, None]
        start = jnp.zeros((num_steps, batch_size)).at[0].set(1.0)
        inputs = jnp.stack([jnp.broadcast_to(share, start.shape), start], axis=-1)
        return TaskBatch(inputs, jnp.sin(2 * jnp.pi * frequency * times)[..., None], jnp.ones_like(start))

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """R²."""
        return explained_variance(outputs, batch)
