"""Tasks that ask to integrate or to generate: integrator, sine wave, perceptual and context-dependent decisions."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_flag, check_integer, check_scalar, require, told
from fisherjax._types import Key

from ._batch import TaskBatch, checked_outputs
from ._task import (
    Loss,
    Task,
    choice_accuracy,
    explained_variance,
    one_hot,
    sign_accuracy,
    uniform_integers,
)

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

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Frequencies uniform over their range; the input runs from 0 to 1 over it."""
        share = jax.random.uniform(key, (batch_size,))
        frequency = self.min_frequency + share * (self.max_frequency - self.min_frequency)
        times = jnp.arange(1, num_steps + 1, dtype=share.dtype)[:, None]
        start = jnp.zeros((num_steps, batch_size)).at[0].set(1.0)
        inputs = jnp.stack([jnp.broadcast_to(share, start.shape), start], axis=-1)
        return TaskBatch(inputs, jnp.sin(2 * jnp.pi * frequency * times)[..., None], jnp.ones_like(start))

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """R²."""
        return explained_variance(outputs, batch)


class _Evidence(Task):
    """What tasks of noisy evidence share: coherences, noise, and an answer at the end."""

    coherences: eqx.AbstractVar[tuple[float, ...]]
    noise_std: eqx.AbstractVar[float | int]
    response: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        if not isinstance(self.coherences, tuple):
            raise TypeError(f"coherences must be a tuple of numbers, got {told(self.coherences)}")
        require(len(self.coherences) > 0, "coherences must hold at least one number")
        for coherence in self.coherences:
            check_scalar("coherences", coherence, minimum=0.0, strict=True)
        check_scalar("noise_std", self.noise_std, minimum=0.0)
        check_integer("response", self.response, minimum=1)

    @property
    def default_steps(self) -> int:
        """Twenty steps of evidence."""
        return 20 + self.response

    @property
    def shortest(self) -> int:
        """One step of evidence."""
        return 1 + self.response


class PerceptualDecision(_Evidence):
    """Which of two noisy stimuli is stronger on average? Answered when fixation goes off.

    Inputs: fixation, evidence for left, evidence for right. Outputs: fixate, left, right. Accuracy: share of right
    answers over the moments of the answer; with coherence c and noise σ over n steps an ideal observer has
    Φ(c √n / (√2 σ)), averaged over coherences.

    Parameters
    ----------
    coherences
        Differences of the two means, of which each trial has one with a random sign.
    noise_std
        Standard deviation of the evidence per step.
    response
        Steps of the answer at the end of a trial.
    """

    coherences: tuple[float, ...] = eqx.field(static=True, default=(0.2, 0.4, 0.8))
    noise_std: float | int = eqx.field(static=True, default=0.5)
    response: int = eqx.field(static=True, default=5)

    @property
    def num_inputs(self) -> int:
        """Fixation and two streams of evidence."""
        return 3

    @property
    def num_outputs(self) -> int:
        """Fixate, left, right."""
        return 3

    @property
    def loss(self) -> Loss:
        """Answers are classes."""
        return "cross-entropy"

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Evidence while fixation is on, then the answer."""
        coherence_key, side_key, noise_key = jax.random.split(key, 3)
        coherence = jax.random.choice(coherence_key, jnp.asarray(self.coherences, float), (batch_size,))
        side = jax.random.bernoulli(side_key, 0.5, (batch_size,)).astype(int)
        means = (0.5 + coherence[:, None] * (one_hot(side, 2) - 0.5))[None]
        evidence = means + self.noise_std * jax.random.normal(noise_key, (num_steps, batch_size, 2))
        answering = (jnp.arange(num_steps) >= num_steps - self.response)[:, None]
        fixation = jnp.broadcast_to(~answering, (num_steps, batch_size)).astype(float)
        inputs = jnp.concatenate([fixation[..., None], evidence * fixation[..., None]], axis=-1)
        targets = one_hot(jnp.where(answering, side + 1, 0), 3)
        return TaskBatch(inputs, targets, jnp.ones_like(fixation))

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right answers."""
        outputs, batch = checked_outputs(outputs, batch)
        return choice_accuracy(outputs, batch._replace(mask=batch.mask * (1 - batch.targets[..., 0])))


class ContextIntegration(_Evidence):
    """Integrate one of two noisy inputs, as the context says, and answer with its sign when the trial ends.

    Inputs: motion, colour, context "motion", context "colour". One output, ±1 over the last `response` steps.
    Accuracy: share of right signs over the moments of the answer.

    Parameters
    ----------
    coherences
        Means of the inputs, drawn independently with random signs.
    noise_std
        Standard deviation of the inputs per step.
    response
        Steps of the answer at the end of a trial.

    References
    ----------
    Mante, Sussillo, Shenoy & Newsome (2013), Context-dependent computation by recurrent dynamics in prefrontal cortex,
    Nature 503, 78–84.
    """

    coherences: tuple[float, ...] = eqx.field(static=True, default=(0.1, 0.2, 0.4))
    noise_std: float | int = eqx.field(static=True, default=0.3)
    response: int = eqx.field(static=True, default=5)

    @property
    def num_inputs(self) -> int:
        """Two streams and two contexts."""
        return 4

    @property
    def num_outputs(self) -> int:
        """The sign."""
        return 1

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Both streams all along; the answer is asked at the end."""
        coherence_key, sign_key, context_key, noise_key = jax.random.split(key, 4)
        size = jax.random.choice(coherence_key, jnp.asarray(self.coherences, float), (batch_size, 2))
        means = size * jnp.where(jax.random.bernoulli(sign_key, 0.5, size.shape), 1.0, -1.0)
        context = uniform_integers(context_key, (batch_size,), 0, 1)
        evidence = means + self.noise_std * jax.random.normal(noise_key, (num_steps, batch_size, 2))
        rule = jnp.broadcast_to(one_hot(context, 2), evidence.shape)
        answer = jnp.sign(jnp.take_along_axis(means, context[:, None], axis=1))
        targets = jnp.broadcast_to(answer, (num_steps, batch_size, 1))
        mask = jnp.zeros((num_steps, batch_size)).at[-self.response :].set(1.0)
        return TaskBatch(jnp.concatenate([evidence, rule], axis=-1), targets, mask)

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right signs."""
        return sign_accuracy(outputs, batch)
