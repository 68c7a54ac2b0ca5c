"""What of a task a noisy linear read-out finds in the states: its formula, limits, ranking, derivative, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import fisher, networks, tasks


def vanilla(key, gain, units=100):
    start = networks.initializers.orthogonal(gain)
    return networks.RNN(5, units, 4, key=key, recurrent_initializer=start)


@pytest.mark.parametrize("units", [5, 40])
def test_it_is_the_sum_over_singular_values(key, units):
    """With more trials than units, and with fewer; without process noise nothing is drawn."""
    network, trials = vanilla(key, 1.1, units), 12
    inputs = np.asarray(jax.random.normal(key, (4, trials, 5)))
    targets = np.asarray(jax.random.normal(jax.random.key(1), (4, trials, 3)))
    mask = np.zeros((4, trials))
    mask[2:] = 1
    found = fisher.linear_decodability(
        network, inputs, targets, mask=mask, key=key, process_noise_std=0.0, observation_noise_std=0.1
    )
    states = np.asarray(networks.run(network, inputs)[0])
    expected = []
    for step in (2, 3):
        x, y = (part - part.mean(axis=0) for part in (states[step], targets[step]))
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        share = s**2 / (s**2 + trials * 0.1**2) * np.sum((u.T @ y) ** 2, axis=1)
        expected.append(share.sum() / np.sum(y**2))
    np.testing.assert_allclose(found.by_time, expected, rtol=1e-8)
    np.testing.assert_allclose(float(found), np.mean(expected), rtol=1e-8)
    np.testing.assert_array_equal(found.times, [3, 4])
    assert float(found.standard_error) < 1e-12


def test_classes_are_targets_one_for_each(key):
    network, inputs = vanilla(key, 1.1, 10), np.ones((3, 8, 5)) * np.arange(8)[:, None]
    labels = np.tile(np.arange(8) % 3, (3, 1))
    asked = {"key": key, "process_noise_std": 0.0}
    whole = fisher.linear_decodability(network, inputs, np.eye(3)[labels], **asked)
    np.testing.assert_allclose(fisher.linear_decodability(network, inputs, labels, **asked).by_time, whole.by_time)


def test_it_ranks_networks_as_they_will_learn(key):
    """Copying over thirty steps: too little gain forgets, too much is chaotic; the theory's gain is in between."""
    task, steps = tasks.copy_memory, tasks.copy_memory.shortest + 30
    found = {
        gain: fisher.linear_decodability(vanilla(key, gain), task, key=key, num_steps=steps)
        for gain in (0.9, 1.155, 2.0)
    }
    best = found.pop(1.155)
    assert 0.3 < float(best) < 1
    for other in found.values():
        assert float(best) > float(other) + 4 * float(jnp.hypot(best.standard_error, other.standard_error))


def test_any_network_is_asked(key):
    weights = 0.9 * np.linalg.qr(np.asarray(jax.random.normal(key, (20, 20))))[0]
    network = networks.RateNetwork(weights, np.ones(20), noise_std=0.1)
    inputs = np.asarray(jax.random.normal(key, (3, 30, 1)))
    known = fisher.linear_decodability(network, inputs, inputs, key=key, process_noise_std=0.01)
    assert float(known) > 0.95
    shuffled = fisher.linear_decodability(network, inputs, inputs[:, ::-1], key=key, observation_noise_std=3.0)
    assert float(shuffled) < 0.2


def test_gradient_is_that_of_differences(key):
    network = vanilla(key, 1.1, 8)
    inputs = np.asarray(jax.random.normal(key, (4, 6, 5)))

    def value(shift):
        scaled = eqx.tree_at(
            lambda one: one.recurrent, network, jax.tree.map(lambda part: part * (1 + shift), network.recurrent)
        )
        return fisher.linear_decodability(scaled, inputs, inputs[::-1], key=key, num_blocks=2).value

    difference = (value(1e-5) - value(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(value)(0.0), difference, rtol=1e-5)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"network": 3}, TypeError, "network must be a Network"),
        ({"task": np.zeros((3, 4, 5))}, ValueError, "targets must be given"),
        ({"targets": np.zeros((3, 4, 5))}, ValueError, "a task has its own"),
        ({"num_trials": 1}, ValueError, "num_trials must be at least 2"),
        ({"observation_noise_std": 0.0}, ValueError, "observation_noise_std must be above 0"),
        ({"process_noise_std": -1.0}, ValueError, "process_noise_std must be at least 0"),
        (
            {"task": np.zeros((3, 4, 5)), "targets": np.zeros((3, 4, 1)), "mask": np.zeros((3, 4))},
            ValueError,
            "mask is zero everywhere",
        ),
    ],
)
def test_bad_input_is_named(asked, error, message, key):
    settings = {"network": vanilla(key, 1.0, 6), "task": tasks.copy_memory, "key": key} | asked
    with pytest.raises(error, match=message):
        fisher.linear_decodability(settings.pop("network"), settings.pop("task"), **settings)
