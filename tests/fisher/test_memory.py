"""Fisher memory of linear networks: closed forms and laws of theory.md §4."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import fisher


def delay_line(count, alpha):
    return np.sqrt(alpha) * np.eye(count, k=-1)


@pytest.mark.parametrize(("alpha", "total"), [(0.5, 1.6066941987), (1.0, 3.5977396571)])
def test_delay_line(alpha, total):
    weights, first = delay_line(20, alpha), np.eye(20)[0]
    curve = fisher.memory_curve(weights, first, noise_std=0.7, num_steps=20)
    lag = np.arange(20)
    expected = 1 / (lag + 1) if alpha == 1 else alpha**lag * (1 - alpha) / (1 - alpha ** (lag + 1))
    np.testing.assert_allclose(curve * 0.49, expected, rtol=1e-12)
    np.testing.assert_allclose(fisher.total_memory(weights, first, noise_std=1.0), total, rtol=1e-9)


@pytest.mark.parametrize(("forward", "backward", "total"), [(1.0, 0.0, 5.187378), (0.99, 0.05, 5.793122)])
def test_chain_with_feedback(forward, backward, total):
    weights = forward * np.eye(100, k=-1) + backward * np.eye(100, k=1)
    value = fisher.total_memory(weights, np.eye(100)[0], noise_std=1.0)
    np.testing.assert_allclose(value, total, atol=5e-7)


def test_normal_networks_hold_one_over_the_noise(key):
    """J(k) = ε⁻¹ Σ |v_i|² |λ_i|^{2k} (1 − |λ_i|²), whose sum is 1/ε whatever the eigenvalues."""
    basis = jax.random.orthogonal(key, 12)
    values = jnp.linspace(-0.9, 0.95, 12)
    vector = jnp.ones(12) / np.sqrt(12)
    weights = basis @ jnp.diag(values) @ basis.T
    share = (basis.T @ vector) ** 2
    lag = jnp.arange(8.0)[:, None]
    expected = jnp.sum(share * jnp.abs(values) ** (2 * lag) * (1 - values**2), axis=1) / 0.25
    np.testing.assert_allclose(fisher.memory_curve(weights, vector, noise_std=0.5, num_steps=8), expected, rtol=1e-10)
    np.testing.assert_allclose(fisher.total_memory(weights, vector, noise_std=0.5), 4.0, rtol=1e-10)


def test_any_network_averages_to_one_over_the_noise_and_is_bounded(key):
    weights = 0.9 * jax.random.normal(key, (15, 15)) / np.sqrt(15)
    totals = [float(fisher.total_memory(weights, row, noise_std=0.5)) for row in np.eye(15)]
    np.testing.assert_allclose(np.mean(totals), 4.0, rtol=1e-10)
    assert max(totals) <= 15 / 0.25


def test_matrix_is_the_information_about_past_signals(key):
    """Against the definition: Fisher matrix of the last state of a long simulated history, by brute force."""
    weights = 0.8 * jax.random.normal(key, (6, 6)) / np.sqrt(6)
    vector = jnp.arange(1.0, 7.0)
    powers = [np.linalg.matrix_power(np.asarray(weights), k) for k in range(400)]
    covariance = 0.09 * sum(power @ power.T for power in powers)
    responses = np.stack([power @ np.asarray(vector) for power in powers[:5]])
    expected = responses @ np.linalg.solve(covariance, responses.T)
    np.testing.assert_allclose(fisher.memory_matrix(weights, vector, noise_std=0.3, num_steps=5), expected, rtol=1e-9)


def test_gradient_matches_differences(key):
    first, second = jax.random.split(key)
    weights, direction = 0.7 * jax.random.normal(first, (8, 8)) / np.sqrt(8), jax.random.normal(second, (8, 8))
    function = lambda w: fisher.total_memory(w, np.ones(8), noise_std=0.5)  # noqa: E731
    difference = (function(weights + 1e-6 * direction) - function(weights - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.sum(jax.grad(function)(weights) * direction), difference, rtol=1e-6)


def test_bad_input(as_user):
    with pytest.raises(ValueError, match="spectral radius is 1: there is no stationary state"):
        fisher.total_memory(np.eye(3), np.ones(3), noise_std=1.0)
    with pytest.raises(ValueError, match="weights amplify so much"):
        fisher.memory_curve(1e20 * np.eye(30, k=-1), np.eye(30)[0], noise_std=1.0, num_steps=3)
    with pytest.raises(ValueError, match=r"input_vector must have shape \(3,\)"):
        fisher.total_memory(0.5 * np.eye(3), np.ones(4), noise_std=1.0)
    with pytest.raises(ValueError, match="noise_std must be above 0"):
        fisher.memory_curve(0.5 * np.eye(3), np.ones(3), noise_std=0.0, num_steps=3)
    with pytest.raises(ValueError, match=r"weights must have shape \(N, N\)"):
        fisher.memory_curve(np.ones((3, 2)), np.ones(3), noise_std=1.0, num_steps=3)


def test_unstable_weights_under_jit_give_nan_not_a_number():
    import jax as transforms

    unstable = 1.1 * np.eye(3) + 0.1 * np.eye(3, k=1)
    total = transforms.jit(lambda w: fisher.total_memory(w, np.ones(3), noise_std=1.0))(unstable)
    assert np.isnan(total)
