"""Singular values of products of Jacobians: closed laws, drawn networks, Lyapunov spectra, refusals."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import dynamics, meanfield
from fisherjax.networks import RateNetwork

PULSE: Any = {"stimulus": 0.7, "noise_std": 0.3}
ENSEMBLES = ("gaussian", "orthogonal")


@pytest.mark.parametrize("factors", [2, 5])
def test_products_of_gaussian_matrices(factors):
    logs = meanfield.gradient_spectrum(
        cn.homogeneous(1.2), **PULSE, num_steps=factors + 1, num_values=4000, nonlinearity="identity"
    )
    squares = np.exp(2 * logs) / 1.44**factors
    # E ln s of one is −½; relative variances of s² add up
    np.testing.assert_allclose(np.mean(logs) / factors, np.log(1.2) - 0.5, atol=2e-3)
    np.testing.assert_allclose([np.mean(squares), np.var(squares)], [1, factors], rtol=2e-2)
    edge = (factors + 1) ** (factors + 1) / factors**factors
    assert 0.7 * edge < squares[40] < edge


def test_products_of_orthogonal_matrices_keep_norms():
    logs = meanfield.gradient_spectrum(
        cn.homogeneous(1.2), **PULSE, num_steps=6, num_values=3, nonlinearity="identity", ensemble="orthogonal"
    )
    np.testing.assert_allclose(logs, 5 * np.log(1.2), atol=1e-4)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_drawn_networks_have_it(ensemble):
    units, draws, steps, structure = 300, 6, 5, cn.homogeneous(1.3)
    shares = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    found = []
    for draw in range(draws):
        weights = np.asarray(
            cn.sample_weights(structure, units, key=jax.random.key(draw), ensemble=ensemble, dtype=jnp.float64)
        )
        noise, product, state = np.random.default_rng(draw), np.eye(units), np.full(units, 0.7)
        for step in range(steps):
            if step:
                product = (weights / np.cosh(state) ** 2) @ product
            state = weights @ np.tanh(state) + 0.3 * noise.normal(size=units)
        found.append(np.quantile(np.log(np.linalg.svd(product, compute_uv=False)), 1 - shares))
    expected = meanfield.gradient_spectrum(structure, **PULSE, num_steps=steps, num_values=1000, ensemble=ensemble)
    error = np.std(found, axis=0, ddof=1) / draws**0.5
    gap = np.mean(found, axis=0) - np.interp(shares, (np.arange(1000) + 0.5) / 1000, expected)
    # and what finite networks have beyond errors
    np.testing.assert_array_less(np.abs(gap), 4 * error + 10 / units)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_its_mean_square_is_the_gain(ensemble):
    structure = cn.homogeneous(1.1)
    for scale in (0.02, 0.5):
        settings: Any = {"stimulus": scale, "noise_std": scale, "num_steps": 5}
        logs = meanfield.gradient_spectrum(structure, **settings, num_values=2000, ensemble=ensemble)
        np.testing.assert_allclose(
            np.mean(np.exp(2 * logs)), meanfield.gradient_gain(structure, **settings)[0], rtol=1e-2
        )


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_lyapunov_spectrum(ensemble):
    structure, noise, units = cn.homogeneous(1.4), 0.3, 80
    expected = meanfield.lyapunov_spectrum(structure, noise_std=noise, num_exponents=20_000, ensemble=ensemble)
    largest = meanfield.lyapunov_exponent(structure, noise_std=noise)
    np.testing.assert_allclose(expected[0], largest, atol=1e-4)
    weights = cn.sample_weights(structure, units, key=jax.random.key(3), ensemble=ensemble, dtype=jnp.float64)
    measured = dynamics.lyapunov_spectrum(
        RateNetwork(weights, np.ones(units), noise_std=noise), np.zeros(units), key=jax.random.key(0), num_steps=200,
        noisy=True,
    )  # fmt: skip
    places = np.array([8, 24, 40, 56])
    # what one network of 80 units has beside it
    tolerance: Any = {"atol": 0.1, "rtol": 0.1}
    predicted = expected[(20_000 * (places + 0.5) / units).astype(int)]
    np.testing.assert_allclose(measured.exponents[places], predicted, **tolerance)


def test_lyapunov_spectra_of_linear_networks_and_the_limit_of_long_products():
    structure = cn.homogeneous(0.8)
    exponents = meanfield.lyapunov_spectrum(structure, noise_std=0.2, num_exponents=10, nonlinearity="identity")
    share = 1 - (np.arange(10) + 0.5) / 10
    np.testing.assert_allclose(np.exp(2 * exponents), 0.64 * share, rtol=1e-9)
    orthogonal = meanfield.lyapunov_spectrum(structure, noise_std=0.2, num_exponents=10_000, ensemble="orthogonal")
    state = meanfield.stationary_state(structure, noise_std=0.2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    mean_log = -np.sum(weights * np.log(np.cosh(nodes * float(state.variance[0]) ** 0.5) ** 2)) / weights.sum()
    np.testing.assert_allclose(np.mean(orthogonal), np.log(0.8) + mean_log, rtol=1e-4)
    few = meanfield.lyapunov_spectrum(structure, noise_std=0.2, num_exponents=9, ensemble="orthogonal")
    for steps in (9, 33):
        long = meanfield.gradient_spectrum(
            structure, stimulus=0.1, noise_std=0.2, num_steps=steps, num_values=9, ensemble="orthogonal"
        )
        # what is left grows like ln T: it was .41, .71 and 1.09 at T = 10, 40 and 160
        np.testing.assert_array_less(np.abs(long - (steps - 1) * few), 0.25 * np.log(steps - 1))


@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named():
    with pytest.raises(ValueError, match="spectrum is known for one population, got 2"):
        meanfield.gradient_spectrum(cn.homogeneous(1.0, 2), **PULSE, num_steps=5)
    with pytest.raises(ValueError, match="smooth nonlinearity, but it has a kink at 0"):
        meanfield.lyapunov_spectrum(cn.homogeneous(1.0), noise_std=0.3, nonlinearity="relu")
    with pytest.raises(ValueError, match="num_steps must be at least 3"):
        meanfield.gradient_spectrum(cn.homogeneous(1.0), **PULSE, num_steps=2)
    with pytest.raises(ValueError, match="needs known numbers"):
        jax.jit(lambda gain: meanfield.gradient_spectrum(cn.homogeneous(gain), **PULSE, num_steps=4))(1.0)
    assert np.all(meanfield.gradient_spectrum(cn.homogeneous(0.0), **PULSE, num_steps=4) == -np.inf)
    with pytest.raises(ValueError, match="needs a stationary state"):
        meanfield.lyapunov_spectrum(cn.homogeneous(1.5), noise_std=0.3, nonlinearity="identity")
