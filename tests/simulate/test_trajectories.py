"""Trajectories: shapes, determinism, distribution, options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _runtime, networks, simulate
from fisherjax import connectivity as cn
from fisherjax.simulate._trajectories import noisy_step


@pytest.fixture
def network(key):
    weights = cn.sample_weights(cn.homogeneous(0.9), 20, key=key)
    return networks.RateNetwork(weights, np.linspace(-1, 1, 20), noise_std=0.2)


def test_one_step_has_the_stated_mean_and_covariance(network, key):
    states = simulate.trajectories(network, stimulus=0.7, num_steps=1, num_trials=20_000, key=key)[0]
    mean = network.weights @ jnp.tanh(0.7 * network.input_vector)
    error = 0.2 / np.sqrt(20_000)
    assert float(jnp.max(jnp.abs(states.mean(axis=0) - mean))) < 4.5 * error
    covariance = jnp.cov(states.T)
    assert float(jnp.max(jnp.abs(covariance - 0.04 * jnp.eye(20)))) < 5 * 0.04 * np.sqrt(2 / 20_000)


def test_noise_is_independent_between_steps_and_trials(key):
    free = networks.RateNetwork(np.zeros((5, 5)), np.zeros(5), noise_std=1.0)
    states = simulate.trajectories(free, num_steps=4, num_trials=5000, key=key)
    flat = states.transpose(0, 2, 1).reshape(20, 5000)
    correlation = np.corrcoef(np.asarray(flat)) - np.eye(20)
    assert np.max(np.abs(correlation)) < 4.5 / np.sqrt(5000)


def test_dynamics_without_noise_are_the_equation(network):
    quiet = networks.RateNetwork(
        network.weights, network.input_vector, noise_std=0.0, sustained_input=np.full(20, 0.1), nonlinearity="relu"
    )
    states = simulate.trajectories(quiet, stimulus=0.5, num_steps=3, num_trials=2, key=jax.random.key(0))
    x = 0.5 * np.asarray(network.input_vector)
    for step in range(3):
        x = np.asarray(network.weights) @ np.maximum(x, 0) + 0.1
        np.testing.assert_allclose(states[step], np.broadcast_to(x, (2, 20)), rtol=1e-12, atol=1e-15)


def test_same_key_same_trajectories_and_one_program_for_all_keys(network, num_programs):
    from fisherjax.simulate import _trajectories

    settings = {"stimulus": 0.3, "num_steps": 3, "num_trials": 4}
    first = simulate.trajectories(network, key=jax.random.key(1), **settings)
    count = num_programs(_trajectories._simulate)
    again = simulate.trajectories(network, key=jax.random.key(1), **settings)
    other = simulate.trajectories(network, key=jax.random.key(2), **settings)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert num_programs(_trajectories._simulate) == count


def test_initial_states_add_an_axis(network, key):
    patterns = np.random.default_rng(0).standard_normal((3, 20))
    states = simulate.trajectories(network, num_steps=2, num_trials=5, key=key, initial_state=patterns)
    assert states.shape == (2, 3, 5, 20)
    single = simulate.trajectories(network, num_steps=2, num_trials=5, key=key, initial_state=patterns[0])
    assert single.shape == (2, 5, 20)
    assert states.dtype == jnp.float64


def test_observation_noise_is_added_to_what_is_seen_only(network, key):
    noisy = networks.RateNetwork(network.weights, network.input_vector, noise_std=0.2, observation_noise_std=0.5)
    settings = {"stimulus": 0.3, "num_steps": 3, "num_trials": 4000, "key": key}
    hidden = simulate.trajectories(noisy, observed=False, **settings)
    seen = simulate.trajectories(noisy, **settings)
    np.testing.assert_allclose(hidden, simulate.trajectories(network, **settings), rtol=1e-12)
    assert float(jnp.std(seen - hidden)) == pytest.approx(0.5, rel=0.01)


def test_float32_stays_float32(network, key):
    narrow = networks.RateNetwork(
        network.weights.astype(jnp.float32), network.input_vector, noise_std=0.2, nonlinearity="logistic"
    )
    states = simulate.trajectories(narrow, stimulus=0.3, num_steps=2, num_trials=3, key=key)
    assert states.dtype == jnp.float32


def test_pathwise_derivatives_are_those_of_the_trajectories(network, key):
    """The streamed tangents against jax.jacfwd of the mean of whole trajectories with the same noise."""
    moments = simulate.sensitivity_moments(network, stimulus=0.4, num_steps=3, num_trials=20, key=key, num_blocks=2)

    def block_mean(theta):
        state = jnp.broadcast_to(network.initial_state(theta), (2, 10, 20))
        means = []
        for index in range(3):
            state = noisy_step(network, state, jax.random.fold_in(key, index))
            means.append(state[0].mean(axis=0))
        return jnp.stack(means)

    np.testing.assert_allclose(moments.mean[0], block_mean(0.4), rtol=1e-12)
    np.testing.assert_allclose(moments.derivative[0, :, 0], jax.jacfwd(block_mean)(0.4), rtol=1e-10)


def test_memory_is_estimated_before_it_is_taken(network, key):
    with pytest.raises(ValueError, match=r"trajectories of shape .* need .* GiB"):
        simulate.trajectories(network, stimulus=0.3, num_steps=10**6, num_trials=10**6, key=key)
    assert _runtime.chunk_length(100, 1) == 100
    assert _runtime.chunk_length(100, 2**60) == 1


BAD = [
    (lambda n, k: simulate.trajectories(n, stimulus=0.1, num_steps=0, num_trials=1, key=k), "num_steps must be"),
    (lambda n, k: simulate.trajectories(n, stimulus=0.1, num_steps=1, num_trials=0, key=k), "num_trials must be"),
    (
        lambda n, k: simulate.trajectories(n, num_steps=1, num_trials=1, key=k, initial_state=np.ones(3)),
        "initial_state must have shape",
    ),
    (lambda n, k: networks.RateNetwork(n.weights, n.input_vector, noise_std=-1.0), "noise_std must be at least 0"),
    (
        lambda n, k: networks.RateNetwork(n.weights, n.input_vector, noise_std=1.0, sustained_input=np.ones(2)),
        "sustained_input must have shape",
    ),
    (
        lambda n, k: simulate.sensitivity_moments(
            n, stimulus=0.1, num_steps=1, num_trials=40, key=k, covariance="some"
        ),
        "covariance must be one of",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_named(call, message, network, key, as_user):
    with pytest.raises(ValueError, match=message):
        call(network, key)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_moments_are_those_of_what_is_read_out(network, key, covariance):
    """Observation noise adds σ_obs² to every variance, and nothing to derivatives."""
    noisy = networks.RateNetwork(network.weights, network.input_vector, noise_std=0.2, observation_noise_std=0.5)
    settings = {"stimulus": 0.7, "num_steps": 2, "num_trials": 4000, "key": key, "covariance": covariance}
    plain, seen = (simulate.sensitivity_moments(one, **settings).pooled() for one in (network, noisy))
    np.testing.assert_array_equal(seen.derivative, plain.derivative)
    variances = [moments.scatter[0] / 3999 for moments in (plain, seen)]
    if covariance == "full":
        variances = [jnp.diagonal(part, axis1=1, axis2=2) for part in variances]
    # 40 variances, each with relative standard error √(2/4000)
    difference = (variances[1] - variances[0]).mean()
    assert abs(float(difference) - 0.25) < 4.5 * 0.3 * np.sqrt(2 / 4000 / 40)


def test_what_is_no_network_is_said(as_user, key):
    for wrong in (None, "network", np.eye(3)):
        with pytest.raises(TypeError, match="network must be a Network, got"):
            simulate.trajectories(wrong, num_steps=1, num_trials=1, key=key)
        with pytest.raises(TypeError, match="network must be a Network, got"):
            simulate.sensitivity_moments(wrong, stimulus=0.1, num_steps=1, num_trials=20, key=key)
