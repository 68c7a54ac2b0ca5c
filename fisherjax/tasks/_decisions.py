"""Tasks that ask to decide: which of two stimuli is stronger, and which one counts in this context."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_kind, check_scalar, require
from fisherjax._types import Key

from ._batch import TaskBatch, checked_outputs, moments
from ._task import Loss, Task, choice_accuracy, one_hot, sign_accuracy, uniform_integers


class _Evidence(Task):
    """What tasks of noisy evidence share: coherences, noise, and an answer at the end."""

    coherences: eqx.AbstractVar[tuple[float, ...]]
    noise_std: eqx.AbstractVar[float | int]
    response: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        check_kind("coherences", self.coherences, tuple, "a tuple of numbers")
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

    loss: ClassVar[Loss] = "cross_entropy"

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

    def draw_conditions(self, key: Key, batch_size: int, num_steps: int) -> dict[str, Array]:  # noqa: ARG002
        """The coherence, positive where the evidence is for the right."""
        coherence, side, _ = self._trials(key, batch_size)
        return {"coherence": coherence * (2 * side - 1).astype(coherence.dtype)}

    def _trials(self, key: Key, batch_size: int) -> tuple[Array, Array, Key]:
        """Size of the coherence and side (0 left, 1 right) of every trial, and the key of the noise."""
        coherence_key, side_key, noise_key = jax.random.split(key, 3)
        coherence = jax.random.choice(coherence_key, jnp.asarray(self.coherences, float), (batch_size,))
        return coherence, jax.random.bernoulli(side_key, 0.5, (batch_size,)).astype(int), noise_key

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Evidence while fixation is on, then the answer."""
        coherence, side, noise_key = self._trials(key, batch_size)
        means = (0.5 + coherence[:, None] * (one_hot(side, 2) - 0.5))[None]
        evidence = means + self.noise_std * jax.random.normal(noise_key, (num_steps, batch_size, 2))
        answering = (jnp.arange(num_steps) >= num_steps - self.response)[:, None]
        fixation = jnp.broadcast_to(~answering, (num_steps, batch_size)).astype(float)
        inputs = jnp.concatenate([fixation[..., None], evidence * fixation[..., None]], axis=-1)
        targets = one_hot(jnp.where(answering, side + 1, 0), 3)
        return TaskBatch(inputs, targets, jnp.ones_like(fixation))

    def answers(self, batch: TaskBatch) -> Float[Array, "T batch"]:
        """Where fixation is off."""
        return moments(batch.mask) * (1 - batch.targets[..., 0])

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right answers."""
        outputs, batch = checked_outputs(outputs, batch)
        return choice_accuracy(outputs, batch._replace(mask=self.answers(batch)))


class ContextIntegration(_Evidence):
    """Integrate one of two noisy inputs, as the context says, and answer with its sign when the trial ends.

    Inputs: motion, color, context "motion", context "color". One output, ±1 over the last `response` steps.
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

    def draw_conditions(self, key: Key, batch_size: int, num_steps: int) -> dict[str, Array]:  # noqa: ARG002
        """Coherences of motion and color, the one that counts, and the context, 0 for motion and 1 for color."""
        means, context, _ = self._trials(key, batch_size)
        relevant = jnp.take_along_axis(means, context[:, None], axis=1)[:, 0]
        return {"coherence": relevant, "motion": means[:, 0], "color": means[:, 1], "context": context.astype(float)}

    def _trials(self, key: Key, batch_size: int) -> tuple[Array, Array, Key]:
        """Means (batch, 2) and context of every trial, and the key of the noise."""
        coherence_key, sign_key, context_key, noise_key = jax.random.split(key, 4)
        size = jax.random.choice(coherence_key, jnp.asarray(self.coherences, float), (batch_size, 2))
        means = size * jnp.where(jax.random.bernoulli(sign_key, 0.5, size.shape), 1.0, -1.0)
        return means, uniform_integers(context_key, (batch_size,), 0, 1), noise_key

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Both streams all along; the answer is asked at the end."""
        means, context, noise_key = self._trials(key, batch_size)
        evidence = means + self.noise_std * jax.random.normal(noise_key, (num_steps, batch_size, 2))
        rule = jnp.broadcast_to(one_hot(context, 2), evidence.shape)
        answer = jnp.sign(jnp.take_along_axis(means, context[:, None], axis=1))
        targets = jnp.broadcast_to(answer, (num_steps, batch_size, 1))
        mask = jnp.zeros((num_steps, batch_size)).at[-self.response :].set(1.0)
        return TaskBatch(jnp.concatenate([evidence, rule], axis=-1), targets, mask)

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right signs."""
        return sign_accuracy(outputs, batch)
