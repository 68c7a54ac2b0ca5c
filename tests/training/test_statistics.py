"""Statistics of trials and psychometric curves, of networks whose decisions are known in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from fisherjax import networks, tasks, training
from fisherjax.networks import RNN
from fisherjax.training._psychometric import PsychometricCurve, _probit
from fisherjax.training._statistics import TrialStatistics

COHERENCES, NOISE, SHOWN = (0.05, 0.1, 0.2), 0.5, 20
TASK = tasks.perceptual_decision(coherences=COHERENCES, noise_std=NOISE)
THRESHOLD = np.sqrt(2) * NOISE / np.sqrt(SHOWN)
TRIALS = 4000


def with_weights(network, recurrent, inner, outer, bias):
    """The network with given weights and output bias."""
    return eqx.tree_at(
        lambda n: (n.recurrent.parameter, n.input.parameter, n.output.parameter, n.output_bias),
        network,
        tuple(jnp.asarray(part, float) for part in (recurrent, inner, outer, bias)),
    )


def ideal(key):
    """Two perfect integrators of the two streams of evidence; fixation is never chosen."""
    network = RNN(3, 2, 3, key=key, nonlinearity="linear")
    return with_weights(network, np.eye(2), [[0, 1, 0], [0, 0, 1]], [[0, 0], [1, 0], [0, 1]], [-100, 0, 0])


@pytest.fixture(scope="module")
def found():
    key = jax.random.key(3)
    return training.trial_statistics(ideal(key), TASK, key=key, num_trials=TRIALS)


def test_an_ideal_observer(found):
    """Choices, accuracy and mean outputs of each coherence by their laws."""
    assert found.names == ("coherence",)
    signed = found.conditions[:, 0]
    np.testing.assert_allclose(signed, sorted([*COHERENCES, *(-c for c in COHERENCES)]))
    assert found.num_trials.sum() == TRIALS
    right = norm.cdf(signed / THRESHOLD)
    error = np.sqrt(right * (1 - right) / found.num_trials)
    assert np.all(np.abs(found.choice_fraction[:, 2] - right) < 4 * error)
    np.testing.assert_array_equal(found.choice_fraction[:, 0], 0)
    np.testing.assert_allclose(found.choice_fraction.sum(axis=1), 1, rtol=1e-12)
    assert np.all(np.abs(found.accuracy - norm.cdf(np.abs(signed) / THRESHOLD)) < 4 * error)
    np.testing.assert_allclose(found.accuracy_error, found.choice_error[:, 2], rtol=0.01)
    expected = SHOWN * (0.5 + np.stack([-signed, signed], axis=1) / 2)
    assert np.all(np.abs(found.decision[:, 1:] - expected) < 4 * found.decision_error[:, 1:])
    spread = NOISE * np.sqrt(SHOWN) / np.sqrt(found.num_trials)
    np.testing.assert_allclose(found.decision_error[:, 1], spread, rtol=0.15)


def test_a_table_for_pictures_and_files(found, tmp_path):
    columns = found.to_dict()
    assert list(columns)[:4] == ["coherence", "num_trials", "accuracy", "accuracy_error"]
    np.testing.assert_array_equal(columns["choice_2"], found.choice_fraction[:, 2])
    assert {len(column) for column in columns.values()} == {6}
    assert "6 kinds of trials of coherence, 4000 trials" in repr(found)
    loaded = TrialStatistics.load(found.save(tmp_path / "statistics"))
    np.testing.assert_array_equal(loaded.decision, found.decision)


def test_psychometric_curve_of_an_ideal_observer(found, tmp_path):
    """Bias and threshold within four standard errors, which follow from the information of the shares."""
    key = jax.random.key(3)
    curve = training.psychometric(ideal(key), TASK, key=key, num_trials=TRIALS)
    np.testing.assert_array_equal(curve.fraction, found.choice_fraction[:, 2])
    z = curve.values / THRESHOLD
    weight = curve.num_trials * norm.pdf(z) ** 2 / (norm.cdf(z) * norm.sf(z)) / THRESHOLD**2
    bias_error, threshold_error = 1 / np.sqrt(weight.sum()), 1 / np.sqrt((weight * z**2).sum())
    assert abs(curve.bias) < 4 * bias_error
    assert abs(curve.threshold - THRESHOLD) < 4 * threshold_error
    assert threshold_error < 0.05 * THRESHOLD
    left = training.psychometric(ideal(key), TASK, key=key, num_trials=TRIALS, choice=1)
    np.testing.assert_allclose(left.threshold, -curve.threshold, rtol=1e-4)
    assert f"threshold {curve.threshold:.3g}" in repr(curve)
    assert PsychometricCurve.load(curve.save(tmp_path / "curve")).threshold == curve.threshold


def test_fits_of_shares():
    x, count = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.full(5, 1000)
    np.testing.assert_allclose(_probit(x, norm.cdf((x - 0.3) / 0.8), count), (0.3, 0.8), rtol=1e-6)
    np.testing.assert_allclose(_probit(x, norm.cdf(-(x - 0.3) / 0.8), count), (0.3, -0.8), rtol=1e-6)
    assert _probit(x, np.array([0.0, 0, 0, 1, 1]), count) == (0.5, 0.0)
    assert _probit(x, np.array([1.0, 1, 0.4, 0, 0]), count) == (0.0, 0.0)
    assert _probit(x, np.ones(5), count) == (-2.0, 0.0)
    assert _probit(x, np.zeros(5), count) == (2.0, 0.0)
    assert _probit(x[:1], np.array([0.3]), count[:1]) == (-2.0, 0.0)
    bias, threshold = _probit(x, np.array([1.0, 0, 0, 0, 1]), count)
    assert np.isfinite([bias, threshold]).all()


def given(key, num_trials=400):
    """Trials of one input each; the network's only output is the input's sign, or against it."""
    value = np.asarray(jax.random.uniform(key, (num_trials,), minval=-1, maxval=1))
    inputs = np.broadcast_to(value[None, :, None], (3, num_trials, 1))
    network = with_weights(RNN(1, 1, 1, key=key), [[0.0]], [[1.0]], [[1.0]], [0.0])
    return network, inputs, np.sign(inputs), value


def test_given_trials_and_conditions(key):
    network, inputs, targets, value = given(key)
    group = (np.arange(400) % 2).astype(float)
    statistics = training.trial_statistics(
        network, (inputs, targets), key=key, conditions={"value": value, "group": group}, num_bins=5
    )
    assert statistics.names == ("value", "group")
    assert statistics.conditions.shape == (10, 2)
    np.testing.assert_array_equal(statistics.accuracy, 1)
    first = np.argsort(value)[:80]
    np.testing.assert_allclose(statistics.conditions[0, 0], value[first].mean(), rtol=1e-12)
    expected = np.tanh(value[first][group[first] == 0]).mean()
    np.testing.assert_allclose(statistics.decision[0, 0], expected, rtol=1e-10)
    swapped = tuple(np.swapaxes(part, 0, 1) for part in (inputs, targets))
    again = training.trial_statistics(
        network, swapped, key=key, conditions={"value": value}, by="value", batch_first=True
    )
    assert again.num_trials.tolist() == [50] * 8
    curve = training.psychometric(network, (inputs, targets), key=key, conditions={"value": value})
    assert curve.threshold == 0
    assert abs(curve.bias) < 0.15


def test_classes_and_lists_of_trials(key):
    network = with_weights(RNN(1, 1, 2, key=key), [[0.0]], [[1.0]], [[-1.0], [1.0]], [0.0, 0.0])
    value = np.array([-0.5, 0.5, 0.5, -0.5, 0.5, -0.5])
    trials = [(np.full((2 + number, 1), one), int(number > 2)) for number, one in enumerate(value)]
    found = training.trial_statistics(network, trials, key=key, conditions={"value": value})
    np.testing.assert_allclose(found.accuracy, [1 / 3, 1 / 3])
    np.testing.assert_array_equal(found.choice_fraction, [[1, 0], [0, 1]])
    np.testing.assert_allclose(found.accuracy_error, np.sqrt(1 / 3) / np.sqrt(3), rtol=1e-12)


def test_noise_of_the_network_shows(key):
    """Observation noise makes the decision vary by what it averages to over three moments."""
    network, inputs, targets, _ = given(key, 2000)
    noisy = eqx.tree_at(lambda n: n.observation_noise_std, network, jnp.asarray(0.3))
    found = training.trial_statistics(noisy, (0 * inputs, targets), key=key)
    assert found.names == ()
    np.testing.assert_allclose(found.decision_error[0, 0], 0.3 / np.sqrt(3) / np.sqrt(2000), rtol=0.07)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, k: training.trial_statistics(n, TASK, key=k, by="cohernce"), ValueError, "did you mean 'coherence'"),
        (lambda n, k: training.trial_statistics(n, TASK, key=k, num_trials=3), ValueError, "needs two trials at least"),
        (lambda n, k: training.trial_statistics(n, TASK, key=k, conditions={}), ValueError, "the task's own"),
        (lambda n, k: training.trial_statistics(n, "decision", key=k), TypeError, "task must be a Task, Neurogym"),
        (lambda n, k: training.trial_statistics(n, TASK, key=3), TypeError, "write jax.random.key"),
        (lambda n, k: training.psychometric(n, TASK, key=k, choice=3), ValueError, "choice must be at most 2"),
        (lambda n, k: training.psychometric(n, TASK, key=k, condition=("a",)), ValueError, "name of one condition"),
        (
            lambda n, k: training.psychometric(RNN(3, 4, 3, key=k), tasks.flip_flop, key=k),
            ValueError,
            "have no condition",
        ),
        (
            lambda n, k: training.trial_statistics(
                n, (np.zeros((3, 4, 3)), np.zeros((3, 4), int)), key=k, conditions={"x": [1, 2, 3]}
            ),
            ValueError,
            r"conditions\['x'\] must have shape \(4,\)",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_said(call, error, message, key):
    with pytest.raises(error, match=message):
        call(networks.RNN(3, 4, 3, key=key), key)
