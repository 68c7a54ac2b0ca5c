"""Tasks: shapes, what the targets mean, and that their accuracy is one for the right answer and chance otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from fisherjax import tasks
from fisherjax.tasks._memory import FlipFlop
from fisherjax.tasks._registry import TASKS
from fisherjax.tasks._task import weighted_mean

ALL = sorted(TASKS)


@pytest.mark.parametrize("name", ALL)
def test_shapes_reproducibility_and_accuracy_of_the_right_answer(name, key):
    task = TASKS[name]
    batch = task.batch(key, 32)
    inputs, targets, mask = batch
    steps = task.default_steps
    assert inputs.shape == (steps, 32, task.num_inputs)
    assert targets.shape == (steps, 32, task.num_outputs)
    assert mask.shape == (steps, 32)
    assert np.isfinite(inputs).all()
    assert np.asarray(mask).sum(axis=0).min() > 0
    np.testing.assert_array_equal(inputs, task.batch(key, 32, steps).inputs)
    assert np.any(np.asarray(inputs) != np.asarray(task.batch(jax.random.key(1), 32).inputs))
    np.testing.assert_allclose(task.accuracy(targets, batch), 1.0, atol=1e-12)
    assert float(task.accuracy(jnp.zeros_like(targets), batch)) < 0.7
    longer = task.batch(key, 2, steps + 7)
    assert longer.inputs.shape[0] == steps + 7


def test_conditions_are_those_of_the_trials(key):
    """Of the same key, whatever they can be seen by."""
    decision = tasks.perceptual_decision(noise_std=0.0)
    coherence = np.asarray(decision.conditions(key, 50)["coherence"])
    evidence = np.asarray(decision.batch(key, 50).inputs)[0, :, 1:]
    np.testing.assert_allclose(coherence, evidence[:, 1] - evidence[:, 0], atol=1e-12)
    context = tasks.context_integration(noise_std=0.0)
    told, batch = context.conditions(key, 50), context.batch(key, 50)
    for number, name in enumerate(("motion", "color")):
        np.testing.assert_allclose(told[name], batch.inputs[0, :, number], atol=1e-12)
    np.testing.assert_array_equal(told["context"], batch.inputs[0, :, 3])
    np.testing.assert_array_equal(jnp.sign(told["coherence"]), batch.targets[-1, :, 0])
    match = tasks.delayed_match
    told, batch = match.conditions(key, 50, 20), match.batch(key, 50, 20)
    np.testing.assert_array_equal(told["match"], batch.targets[-1, :, 0])
    np.testing.assert_array_equal(told["delay"], np.asarray(batch.mask).argmax(axis=0) - 1 - match.shown)
    wave = tasks.sine_wave
    frequency = 0.02 + 0.04 * np.asarray(wave.batch(key, 6).inputs)[0, :, 0]
    np.testing.assert_allclose(wave.conditions(key, 6)["frequency"], frequency, rtol=1e-12)
    assert tasks.flip_flop.conditions(key, 3) == {}
    with pytest.raises(ValueError, match="num_steps must be at least"):
        match.conditions(key, 3, 2)


def test_answers_are_read_where_they_are_asked(key):
    decision = tasks.perceptual_decision
    batch = decision.batch(key, 4)
    np.testing.assert_array_equal(np.asarray(decision.answers(batch)).sum(axis=0), 5)
    np.testing.assert_array_equal(tasks.adding.answers(tasks.adding.batch(key, 4)), tasks.adding.batch(key, 4).mask)


def test_measures_of_classes_and_of_outputs_with_masks_of_their_own(key):
    outputs = jax.random.normal(key, (5, 8, 3))
    labels = jnp.asarray(np.random.default_rng(0).integers(0, 3, (5, 8)))
    mask = jnp.ones((5, 8)).at[:2].set(0.0)
    numbered = tasks.TaskBatch(outputs, jnp.where(mask > 0, labels, -1), mask)
    one_hot = tasks.TaskBatch(outputs, jax.nn.one_hot(labels, 3, dtype=outputs.dtype), mask)
    np.testing.assert_array_equal(tasks.choice_accuracy(outputs, numbered), tasks.choice_accuracy(outputs, one_hot))
    with pytest.raises(ValueError, match="classes from 0 to 2, one output each, got 1 to 3; classes that count from 1"):
        tasks.choice_accuracy(outputs, numbered._replace(targets=labels + 1))
    targets, only = jnp.sin(outputs), jnp.zeros((5, 8, 3)).at[..., 1].set(1.0)
    for measure in (tasks.explained_variance, tasks.sign_accuracy):
        of_one = tasks.TaskBatch(outputs, targets[..., 1:2], jnp.ones((5, 8)))
        np.testing.assert_allclose(
            measure(outputs, tasks.TaskBatch(outputs, targets, only)), measure(outputs[..., 1:2], of_one), rtol=1e-12
        )
    weights = jax.random.uniform(key, (5, 8))
    np.testing.assert_allclose(
        weighted_mean(outputs, weights), weighted_mean(outputs.mean(axis=-1), weights), rtol=1e-12
    )


def test_flip_flop_holds_the_last_pulse(key):
    inputs, targets, _ = (np.asarray(part) for part in tasks.flip_flop.batch(key, 500, 40))
    last = np.zeros(inputs.shape[1:])
    for time in range(40):
        last = np.where(inputs[time] != 0, inputs[time], last)
        np.testing.assert_array_equal(last, targets[time])
    share = np.mean(inputs[1:] != 0)
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 / inputs[1:].size)
    positive = np.mean(inputs[inputs != 0] > 0)
    assert abs(positive - 0.5) < 4 * 0.5 / np.sqrt(np.count_nonzero(inputs))
    assert tasks.flip_flop(num_bits=2).num_outputs == 2


def test_integrator_integrates_what_it_is_given(key):
    task = tasks.integrator(num_integrals=2, spread=0.5)
    batch = task.batch(key, 4000, 64)
    inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
    np.testing.assert_allclose(targets, task.gain * np.cumsum(inputs, axis=0), atol=1e-10)
    short = task.batch(key, 3, 20)
    np.testing.assert_allclose(short.targets, task.gain * np.cumsum(np.asarray(short.inputs), axis=0), atol=1e-10)
    assert abs(targets[-1].std() - 0.5) < 4 * 0.5 / np.sqrt(2 * 8000)
    assert abs(inputs.std() - 1) < 0.05
    correlation = np.mean(inputs[20] * inputs[25])
    assert abs(correlation - np.exp(-1)) < 4 / np.sqrt(8000)
    ring = tasks.integrator(periodic=True, spread=3.0).batch(key, 5, 30)
    np.testing.assert_allclose(np.sum(np.asarray(ring.targets) ** 2, axis=-1), 1, rtol=1e-12)


def test_sine_wave_has_the_frequency_that_its_input_says(key):
    inputs, targets, _ = (np.asarray(part) for part in tasks.sine_wave.batch(key, 6, 200))
    frequency = 0.02 + 0.04 * inputs[0, :, 0]
    for trial in range(6):
        expected = np.sin(2 * np.pi * frequency[trial] * np.arange(1, 201))
        np.testing.assert_allclose(targets[:, trial, 0], expected, atol=1e-12)


def test_copy_memory_repeats_the_symbols(key):
    task = tasks.copy_memory(num_symbols=5, length=4)
    inputs, targets, mask = (np.asarray(part) for part in task.batch(key, 50, 20))
    np.testing.assert_array_equal(inputs[:4, :, :5], targets[16:])
    assert np.all(inputs[15, :, -1] == 1)
    assert np.all(inputs[4:15] == 0)
    assert mask[:16].sum() == 0
    assert mask[16:].min() == 1


def test_adding_marks_one_number_in_each_half(key):
    inputs, targets, mask = (np.asarray(part) for part in tasks.adding.batch(key, 200, 21))
    np.testing.assert_array_equal(inputs[:10, :, 1].sum(axis=0), 1)
    np.testing.assert_array_equal(inputs[10:, :, 1].sum(axis=0), 1)
    np.testing.assert_allclose(np.sum(inputs[..., 0] * inputs[..., 1], axis=0), targets[-1, :, 0], rtol=1e-12)
    assert mask[-1].min() == 1
    assert mask[:-1].max() == 0


def test_delayed_match_answers_whether_sample_and_test_are_the_same(key):
    inputs, targets, mask = (np.asarray(part) for part in tasks.delayed_match.batch(key, 400, 20))
    sample = inputs[0, :, :4].argmax(axis=1)
    onset = mask.argmax(axis=0) - 1
    test = inputs[onset, np.arange(400), :4].argmax(axis=1)
    np.testing.assert_array_equal(targets[-1].argmax(axis=1) == 0, sample == test)
    assert abs(np.mean(sample == test) - 0.5) < 4 * 0.5 / 20
    assert onset.min() == 4
    assert onset.max() == 17


def test_ideal_observer_of_the_perceptual_decision(key):
    """Summed evidence reaches the accuracy that the docstring states, and no more."""
    task = tasks.perceptual_decision(coherences=(0.4,))
    batch = task.batch(key, 20_000, 15)
    inputs = np.asarray(batch.inputs)
    total = inputs[..., 1:].sum(axis=0)
    outputs = jnp.zeros_like(batch.targets).at[..., 1:].set(jnp.asarray(total)[None])
    accuracy = float(task.accuracy(outputs, batch))
    ideal = norm.cdf(0.4 * np.sqrt(10) / (np.sqrt(2) * 0.5))
    assert abs(accuracy - ideal) < 4 * np.sqrt(ideal * (1 - ideal) / 20_000)


def test_context_chooses_the_stream(key):
    batch = tasks.context_integration(noise_std=0.0).batch(key, 300)
    inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
    relevant = np.where(inputs[0, :, 2] == 1, inputs[0, :, 0], inputs[0, :, 1])
    np.testing.assert_array_equal(np.sign(relevant), targets[-1, :, 0])
    conflict = np.sign(inputs[0, :, 0]) != np.sign(inputs[0, :, 1])
    assert 0.3 < conflict.mean() < 0.7


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda key: tasks.flip_flop(bits=2), TypeError, "no setting 'bits'"),
        (lambda key: tasks.flip_flop(pulse_probability=1.5), ValueError, "pulse_probability must be between 0 and 1"),
        (lambda key: tasks.flip_flop(num_bits=0), ValueError, "num_bits must be at least 1"),
        (lambda key: tasks.copy_memory.batch(key, 4, 5), ValueError, "num_steps must be at least 7"),
        (lambda key: tasks.flip_flop.batch(0, 4, 5), TypeError, "write jax.random.key"),
        (lambda key: tasks.flip_flop.batch(key, 0, 5), ValueError, "batch_size must be at least 1"),
        (lambda key: tasks.sine_wave(min_frequency=0.2, max_frequency=0.1), ValueError, "min <= max"),
        (lambda key: tasks.perceptual_decision(coherences=()), ValueError, "at least one number"),
    ],
)
def test_wrong_settings_say_what_is_wrong(build, error, message, key):
    with pytest.raises(error, match=message):
        build(key)


@pytest.mark.usefixtures("as_user")
def test_settings_become_python_values(key):
    """Arrays among the settings would make tasks incomparable, for good, inside jitted functions."""
    assert tasks.flip_flop(num_bits=np.int64(2)).num_bits == 2
    assert tasks.perceptual_decision(coherences=np.array([0.1, 0.2])).coherences == (0.1, 0.2)
    assert isinstance(tasks.flip_flop(pulse_probability=jnp.asarray(0.2)).pulse_probability, float)
    with pytest.warns(UserWarning, match="static"), pytest.raises(TypeError, match="must be a Python number"):
        FlipFlop(pulse_probability=np.float32(0.2))


def test_a_task_can_be_an_argument_of_a_jitted_function(key):
    """Settings are static: two equal tasks share one compiled program."""
    traces = []

    @jax.jit
    def total(task, key):
        traces.append(task)
        return task.batch(key, 3, 8).targets.sum()

    total(tasks.flip_flop, key)
    total(tasks.flip_flop(num_bits=3), jax.random.key(1))
    assert len(traces) == 1
    total(tasks.flip_flop(num_bits=2), key)
    assert len(traces) == 2
