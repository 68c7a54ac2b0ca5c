"""Gradients through given networks: products of Jacobians, what rounding hides, theory, refusals."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import dynamics, meanfield, networks
from fisherjax._linalg import standard_normal

STEPS, TRIALS, UNITS = 5, 3, 6


def test_products_are_those_of_the_unrolled_network():
    network = networks.in_precision(networks.GRU(2, UNITS, 1, key=jax.random.key(0), noise_std=0.2), float)
    inputs, key = jax.random.normal(jax.random.key(2), (STEPS, TRIALS, 2)), jax.random.key(1)
    found = dynamics.gradient_spectrum(network, inputs, key=key)
    noise = standard_normal(key, (STEPS, TRIALS, UNITS), jnp.float64)

    def last(state, first, trial):
        for step in range(first, STEPS):
            state = network.step(state, inputs[step, trial], noise[step, trial])
        return state

    gains = np.zeros((TRIALS, STEPS))
    for trial in range(TRIALS):
        state = jnp.zeros(UNITS)
        for first in range(1, STEPS + 1):
            state = network.step(state, inputs[first - 1, trial], noise[first - 1, trial])
            slope = np.asarray(jax.jacobian(last)(state, first, trial))
            gains[trial, first - 1] = np.sum(slope**2) / UNITS
            if first == 1:
                singular = np.linalg.svd(slope, compute_uv=False)
                np.testing.assert_allclose(np.exp(found.log_singular_values[trial]), singular, rtol=1e-7)
    np.testing.assert_allclose(found.gain, gains.mean(axis=0), rtol=1e-10)


def test_large_random_networks_have_what_theory_says():
    structure, units, steps = cn.homogeneous(1.2), 200, 6
    weights = cn.sample_weights(structure, units, key=jax.random.key(2), ensemble="orthogonal", dtype=jnp.float64)
    network = networks.RateNetwork(weights, np.ones(units), noise_std=0.3)
    quiet = dynamics.gradient_spectrum(network, np.zeros((steps, 20, *network.input_shape)), key=jax.random.key(0))
    settings: Any = {"stimulus": 0.0, "noise_std": 0.3, "num_steps": steps}
    np.testing.assert_allclose(quiet.gain, meanfield.gradient_gain(structure, **settings), rtol=0.03)
    expected = meanfield.gradient_spectrum(structure, **settings, ensemble="orthogonal", num_values=units)
    np.testing.assert_allclose(quiet.log_singular_values.mean(axis=0)[5:-5], expected[5:-5], atol=0.06, rtol=0.05)
    np.testing.assert_allclose(quiet.isometry, np.sqrt(np.mean(expected**2)), rtol=0.03)


def test_what_rounding_hides_is_not_told():
    weights = np.diag([1.0, 0.5, 1e-3])
    network = networks.in_precision(
        networks.RateNetwork(weights, np.ones(3), noise_std=0.0, nonlinearity="identity"), np.float32
    )
    logs = dynamics.gradient_spectrum(network, np.zeros((6, 1, *network.input_shape))).log_singular_values[0]
    np.testing.assert_allclose(logs[:2], [0, 5 * np.log(0.5)], atol=1e-5)
    assert np.isnan(logs[2])
    chain = networks.RateNetwork(np.eye(3, k=-1), np.ones(3), noise_std=0.0)
    found = dynamics.gradient_spectrum(chain, np.zeros((6, 1, *chain.input_shape)))
    assert np.all(found.log_singular_values == -np.inf)
    assert found.isometry == np.inf
    np.testing.assert_allclose(found.gain, [0, 0, 0, 1 / 3, 2 / 3, 1], atol=1e-12)


@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named():
    network = networks.RNN(2, 5, 1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="inputs must have at least two steps"):
        dynamics.gradient_spectrum(network, np.zeros((1, 4, 2)))
    with pytest.raises(ValueError, match="inputs must have"):
        dynamics.gradient_spectrum(network, np.zeros((6, 4, 3)))
    with pytest.raises(TypeError, match="network"):
        dynamics.gradient_spectrum(np.eye(3), np.zeros((6, 4, 3)))
