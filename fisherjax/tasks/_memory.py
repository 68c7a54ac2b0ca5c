"""Tasks that ask to remember: flip-flop, copy memory, adding problem, delayed match to sample."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_integer, check_scalar, check_share
from fisherjax._types import Key

from ._batch import TaskBatch, checked_outputs
from ._task import Loss, Task, choice_accuracy, one_hot, sign_accuracy, uniform_integers, weighted_mean


class FlipFlop(Task):
    """Each output holds the sign of the last pulse on its own input (±1). All bits are set at the first step.

    Accuracy: share of the outputs with the right sign, over all times.

    Parameters
    ----------
    num_bits
        Independent bits, each with an input and an output.
    pulse_probability
        Probability of a pulse per bit and step.

    References
    ----------
    Sussillo & Barak (2013), Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
    networks, Neural Comput. 25, 626–649.
    """

    num_bits: int = eqx.field(static=True, default=3)
    pulse_probability: float | int = eqx.field(static=True, default=0.1)

    def __check_init__(self) -> None:
        check_integer("num_bits", self.num_bits, minimum=1)
        check_share("pulse_probability", self.pulse_probability)

    @property
    def num_inputs(self) -> int:
        """One per bit."""
        return self.num_bits

    @property
    def num_outputs(self) -> int:
        """One per bit."""
        return self.num_bits

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Pulses at random times, and the sign of the last one."""
        shape = (num_steps, batch_size, self.num_bits)
        uniform = jax.random.uniform(key, shape)
        # one number says both whether there is a pulse and its sign: given a pulse, uniform/p is uniform again
        threshold = jnp.full((num_steps, 1, 1), float(self.pulse_probability)).at[0].set(1.0)
        pulses = jnp.where(uniform < threshold / 2, -1.0, 1.0)
        inputs = jnp.where(uniform < threshold, pulses, 0.0)

        def hold(last: Array, pulse: Array) -> tuple[Array, Array]:
            bit = jnp.where(pulse == 0, last, pulse)
            return bit, bit

        targets = jax.lax.scan(hold, jnp.zeros(shape[1:]), inputs)[1]
        return TaskBatch(inputs, targets, jnp.ones(shape[:2]))

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right signs."""
        return sign_accuracy(outputs, batch)


class CopyMemory(Task):
    """Repeat a sequence of symbols after a delay, in order, once a cue (the last input) asks for it.

    Accuracy: share of the repeated symbols that are right (chance 1/`num_symbols`). The delay is what a trial's
    steps leave beside presentation, cue and recall.

    Parameters
    ----------
    num_symbols
        Size of the alphabet.
    length
        Symbols per trial.

    References
    ----------
    Hochreiter & Schmidhuber (1997), Neural Comput. 9; Arjovsky, Shah & Bengio (2016), Unitary evolution recurrent
    neural networks, ICML.
    """

    loss: ClassVar[Loss] = "cross_entropy"

    num_symbols: int = eqx.field(static=True, default=4)
    length: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        check_integer("num_symbols", self.num_symbols, minimum=2)
        check_integer("length", self.length, minimum=1)

    @property
    def num_inputs(self) -> int:
        """One per symbol and the cue."""
        return self.num_symbols + 1

    @property
    def num_outputs(self) -> int:
        """One per symbol."""
        return self.num_symbols

    @property
    def default_steps(self) -> int:
        """A delay of ten steps."""
        return self.shortest + 10

    @property
    def shortest(self) -> int:
        """Presentation, cue and recall."""
        return 2 * self.length + 1

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Symbols, blank steps, the cue, and the symbols again."""
        symbols = uniform_integers(key, (self.length, batch_size), 0, self.num_symbols - 1)
        recall = num_steps - self.length
        inputs = jnp.zeros((num_steps, batch_size, self.num_inputs))
        inputs = inputs.at[: self.length].set(one_hot(symbols, self.num_inputs)).at[recall - 1, :, -1].set(1.0)
        targets = jnp.zeros((num_steps, batch_size, self.num_symbols))
        targets = targets.at[recall:].set(one_hot(symbols, self.num_symbols))
        mask = jnp.zeros((num_steps, batch_size)).at[recall:].set(1.0)
        return TaskBatch(inputs, targets, mask)

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right symbols."""
        return choice_accuracy(outputs, batch)


class Adding(Task):
    """Say, at the end, the sum of the two numbers that a second input marked, one in each half of the trial.

    Accuracy: share of trials with the sum (between 0 and 2) right within `tolerance`.

    References
    ----------
    Hochreiter & Schmidhuber (1997), Neural Comput. 9, experiment 4.
    """

    tolerance: float | int = eqx.field(static=True, default=0.1)

    def __check_init__(self) -> None:
        check_scalar("tolerance", self.tolerance, minimum=0.0, strict=True)

    @property
    def num_inputs(self) -> int:
        """Number and marker."""
        return 2

    @property
    def num_outputs(self) -> int:
        """The sum."""
        return 1

    @property
    def default_steps(self) -> int:
        """Twenty numbers."""
        return 20

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Uniform numbers in [0, 1], two of them marked."""
        number_key, first_key, second_key = jax.random.split(key, 3)
        numbers = jax.random.uniform(number_key, (num_steps, batch_size))
        half = num_steps // 2
        first = uniform_integers(first_key, (batch_size,), 0, half - 1)
        second = uniform_integers(second_key, (batch_size,), half, num_steps - 1)
        marker = (one_hot(first, num_steps) + one_hot(second, num_steps)).T
        total = jnp.sum(numbers * marker, axis=0)
        targets = jnp.broadcast_to(total[None, :, None], (num_steps, batch_size, 1))
        mask = jnp.zeros((num_steps, batch_size)).at[-1].set(1.0)
        return TaskBatch(jnp.stack([numbers, marker], axis=-1), targets, mask)

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of sums within the tolerance."""
        outputs, batch = checked_outputs(outputs, batch)
        right = jnp.all(jnp.abs(outputs - batch.targets) < self.tolerance, axis=-1).astype(outputs.dtype)
        return weighted_mean(right, batch.mask)


class DelayedMatch(Task):
    """A sample, a delay, a test: do they match? Answered (outputs: match, non-match) while and after the test is shown.

    Half of the trials match. Accuracy: share of right answers over the moments of the answer.

    Parameters
    ----------
    num_stimuli
        Stimuli, one input each; one more input is on while a stimulus is to be kept (fixation).
    shown
        Steps for which sample and test are shown.
    min_delay
        Shortest delay; the delay is uniform between it and what the trial's steps leave.
    noise_std
        Standard deviation of noise on the inputs.
    """

    loss: ClassVar[Loss] = "cross_entropy"

    num_stimuli: int = eqx.field(static=True, default=4)
    shown: int = eqx.field(static=True, default=2)
    min_delay: int = eqx.field(static=True, default=2)
    noise_std: float | int = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        check_integer("num_stimuli", self.num_stimuli, minimum=2)
        check_integer("shown", self.shown, minimum=1)
        check_integer("min_delay", self.min_delay, minimum=0)
        check_scalar("noise_std", self.noise_std, minimum=0.0)

    @property
    def num_inputs(self) -> int:
        """Stimuli and fixation."""
        return self.num_stimuli + 1

    @property
    def num_outputs(self) -> int:
        """Match and non-match."""
        return 2

    @property
    def default_steps(self) -> int:
        """Delays up to eight steps longer than the shortest."""
        return self.shortest + 8

    @property
    def shortest(self) -> int:
        """Sample, shortest delay, test, one step to answer."""
        return 2 * self.shown + self.min_delay + 1

    def draw_conditions(self, key: Key, batch_size: int, num_steps: int) -> dict[str, Array]:
        """Whether sample and test match (1), and the steps between them."""
        _, _, match_key, delay_key, _ = jax.random.split(key, 5)
        match, onset = self._trials(match_key, delay_key, batch_size, num_steps)
        return {"match": match.astype(float), "delay": (onset - self.shown).astype(float)}

    def _trials(self, match_key: Key, delay_key: Key, batch_size: int, num_steps: int) -> tuple[Array, Array]:
        """Whether each trial's test matches, and the step at which it comes."""
        match = jax.random.bernoulli(match_key, 0.5, (batch_size,))
        last = num_steps - self.shown - 1
        return match, uniform_integers(delay_key, (batch_size,), self.shown + self.min_delay, last)

    def draw(self, key: Key, batch_size: int, num_steps: int) -> TaskBatch:
        """Sample at the start, test after a random delay."""
        sample_key, other_key, match_key, delay_key, noise_key = jax.random.split(key, 5)
        sample = uniform_integers(sample_key, (batch_size,), 0, self.num_stimuli - 1)
        shift = uniform_integers(other_key, (batch_size,), 1, self.num_stimuli - 1)
        match, onset = self._trials(match_key, delay_key, batch_size, num_steps)
        test = jnp.where(match, sample, (sample + shift) % self.num_stimuli)
        times = jnp.arange(num_steps)[:, None]
        sampling = (times < self.shown).astype(float)[..., None]
        testing = ((times >= onset) & (times < onset + self.shown)).astype(float)[..., None]
        stimuli = sampling * one_hot(sample, self.num_stimuli) + testing * one_hot(test, self.num_stimuli)
        fixation = (times < onset).astype(float)[..., None]
        inputs = jnp.concatenate([stimuli, fixation], axis=-1)
        inputs = inputs + self.noise_std * jax.random.normal(noise_key, inputs.shape)
        targets = jnp.broadcast_to(one_hot(1 - match.astype(int), 2), (num_steps, batch_size, 2))
        return TaskBatch(inputs, targets, (times >= onset + 1).astype(float))

    def accuracy(self, outputs: Float[Array, "T batch O"], batch: TaskBatch) -> Float[Array, ""]:
        """Share of right answers."""
        return choice_accuracy(outputs, batch)
