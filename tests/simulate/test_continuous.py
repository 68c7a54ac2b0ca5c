"""Continuous-time simulation: exact solutions, measured moments against theory, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from fisherjax import connectivity, dmft, dynamics, networks, simulate


@pytest.fixture
def linear(key):
    weights = connectivity.sample_weights(connectivity.homogeneous(0.7), 12, key=key)
    return networks.FlowNetwork(weights, np.zeros(12), noise_std=0.0, nonlinearity="identity")


def test_linear_network_without_noise(linear, key):
    """x(t) = exp((J − 1) t) x(0), and the recorded times are hit whatever the solver's steps are."""
    start = jax.random.normal(key, (3, 12))
    times = np.array([0.0, 0.13, 1.0, 7.5])
    states = simulate.continuous_trajectories(linear, times=times, initial_state=start, rtol=1e-9, atol=1e-9)
    generator = np.asarray(linear.weights) - np.eye(12)
    expected = np.stack([start @ scipy.linalg.expm(generator * t).T for t in times])
    np.testing.assert_allclose(states, expected, atol=1e-7)


def test_linear_network_with_noise(linear, key):
    """The covariance solves (J − 1) C + C (J − 1)ᵀ + 2σ² = 0; a sustained input moves the mean."""
    noisy = networks.FlowNetwork(
        linear.weights, np.zeros(12), noise_std=0.5, nonlinearity="identity", sustained_input=np.ones(12)
    )
    trials = 4000
    states = simulate.continuous_trajectories(
        noisy, times=[15.0], initial_state=np.zeros((trials, 12)), key=key, dt=0.1
    )[0]
    generator = np.asarray(linear.weights) - np.eye(12)
    covariance = scipy.linalg.solve_continuous_lyapunov(generator, -2 * 0.25 * np.eye(12))
    measured = np.cov(np.asarray(states).T)
    spread = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / trials)
    assert np.abs((measured - covariance) / spread).max() < 4.5
    mean = -np.linalg.solve(generator, np.ones(12))
    deviation = (np.asarray(states).mean(axis=0) - mean) / np.sqrt(np.diag(covariance) / trials)
    assert np.abs(deviation).max() < 4.5


def test_recorded_times_between_steps_lose_no_variance(key):
    """With recorded times that are no multiples of the step, every state still has the full variance."""
    free = networks.FlowNetwork(np.zeros((400, 400)), np.zeros(400), noise_std=1.0)
    states = simulate.continuous_trajectories(
        free, times=[5.0, 5.07, 5.5], initial_state=jax.random.normal(key, (50, 400)), key=key, dt=0.2
    )
    variance = np.asarray(states).reshape(3, -1).var(axis=1)
    np.testing.assert_allclose(variance, 1, atol=4 * np.sqrt(2 / 20000))


def test_autocorrelation_of_a_trajectory(key):
    states = np.asarray(jax.random.normal(key, (40, 2, 5)))
    found = simulate.trajectory_autocorrelation(states, num_lags=7, sizes=(2, 3))
    for lag in range(7):
        product = states[: 40 - lag] * states[lag:]
        np.testing.assert_allclose(found[lag], [product[..., :2].mean(), product[..., 2:].mean()], atol=1e-12)
    with pytest.raises(ValueError, match="add up to the 5 units"):
        simulate.trajectory_autocorrelation(states, num_lags=7, sizes=(2, 2))
    with pytest.raises(ValueError, match="num_lags must be at most"):
        simulate.trajectory_autocorrelation(states, num_lags=41)


def test_theory_of_driven_populations(key):
    """Two different populations under noise, within four standard errors over networks."""
    matrix = connectivity.GainMatrix(np.array([[0.9, 0.4], [1.1, 0.6]]), np.array([0.4, 0.6]))
    measured = simulate.measure_autocorrelation(
        matrix, noise_std=0.2**0.5, num_units=500, num_draws=5, key=key, max_lag=6.0, duration=60.0, settle=15.0, dt=0.1
    )
    theory = dmft.autocorrelation(matrix, noise_std=0.2**0.5, lags=measured.lags)
    assert measured.values.shape == (25, 2)
    error = np.maximum(measured.standard_error, 0.002)
    assert np.abs((measured.values - theory.values) / error).max() < 4
    np.testing.assert_allclose(measured.variance, theory.variance, rtol=0.04)


def test_chaos_has_the_predicted_autocorrelation(key):
    """Within four standard errors over networks; chaos makes another sample of every rounding."""
    measured = simulate.measure_autocorrelation(3.0, num_units=600, num_draws=6, key=key, max_lag=10.0, duration=40.0)
    theory = dmft.autocorrelation(3.0, lags=measured.lags)
    distance = np.abs(np.asarray(measured.values) - np.asarray(theory.values))
    assert np.all(distance < 4 * np.asarray(measured.standard_error))
    assert measured.standard_error[0] < 0.03 * theory.variance


def test_exponents_of_a_linear_flow(linear, key):
    """Real parts of the eigenvalues of J − 1; noise changes none of them."""
    expected = np.sort(np.linalg.eigvals(np.asarray(linear.weights)).real)[::-1] - 1
    start = jax.random.normal(key, (2, 12))
    settings = {"key": key, "num_steps": 4000, "num_exponents": 2, "warm_up": 200, "steps_per_qr": 5}
    found = dynamics.lyapunov_spectrum(linear, start, **settings)
    np.testing.assert_allclose(found.exponents.sum(), expected[:2].sum(), atol=0.01)
    noisy = networks.FlowNetwork(linear.weights, np.zeros(12), noise_std=0.5, nonlinearity="identity")
    driven = dynamics.lyapunov_spectrum(noisy, start, **settings, noisy=True)
    np.testing.assert_allclose(driven.exponents, found.exponents, atol=0.01)


def test_measured_exponent(key):
    """Silent below the transition, at a rate that the circular law gives; positive in chaos, below the theory."""
    silent = dynamics.measure_lyapunov_exponent(0.5, num_units=300, num_draws=2, key=key, duration=30.0, settle=10.0)
    np.testing.assert_allclose(silent.value, -0.5, atol=0.06)
    chaotic = dynamics.measure_lyapunov_exponent(
        4.0, num_units=300, num_draws=2, key=key, duration=30.0, settle=15.0, num_trials=8
    )
    theory = float(dmft.autocorrelation(4.0).lyapunov_exponent)
    assert 0.7 * theory < chaotic.value < 1.1 * theory


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial_state": np.zeros((2, 5))}, "initial_state must have shape"),
        ({"times": [1.0, 0.5]}, "times must increase"),
        ({"times": [-1.0, 0.5]}, "times must increase"),
        ({"times": 3.0}, r"times must have shape \(T,\)"),
        ({"dt": 0.0}, "dt must be above 0"),
        ({"initial_state": np.full(12, np.nan)}, "initial_state must be finite"),
    ],
)
def test_wrong_arguments(linear, changes, message):
    with pytest.raises(ValueError, match=message):
        simulate.continuous_trajectories(linear, **{"times": [1.0], "initial_state": np.zeros(12), **changes})


def test_noise_needs_a_key(linear, key):
    noisy = networks.FlowNetwork(linear.weights, np.zeros(12), noise_std=0.5)
    now = simulate.continuous_trajectories(noisy, times=[0.0], initial_state=np.ones(12), key=key)
    np.testing.assert_array_equal(now, np.ones((1, 1, 12)))
    with pytest.raises(ValueError, match=r"duration must be at least 100 steps of dt, 10"):
        dynamics.measure_lyapunov_exponent(1.5, num_units=8, num_draws=1, key=key, duration=5.0)
    with pytest.raises(TypeError, match="key must be a JAX random key"):
        simulate.continuous_trajectories(noisy, times=[1.0], initial_state=np.zeros(12))
    with pytest.raises(ValueError, match="at most half of duration"):
        simulate.measure_autocorrelation(1.5, num_units=10, num_draws=1, key=jax.random.key(0), duration=10.0)
    with pytest.raises(ValueError, match="known numbers, not traced"):
        jax.jit(lambda t: simulate.continuous_trajectories(linear, times=t, initial_state=jnp.zeros(12)))(jnp.ones(2))
