"""Haar-orthogonal weights at N → ∞: reference values, limits, drawn networks, derivatives, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import fisher, simulate


def linear(gain, noise_std, stimulus, num_steps, **more):
    asked = {"stimulus": stimulus, "noise_std": noise_std, "num_steps": num_steps, "form": "linear"}
    return fisher.meanfield_curve(cn.homogeneous(gain), ensemble="orthogonal", **asked, **more).total


@pytest.mark.parametrize(
    ("asked", "more", "steps", "expected"),
    [
        ((1.0, 0.1, 1.0, 8), {}, (2, 4, 8), (2.4170617, 0.31732194, 0.049483418)),
        ((1.5, 0.3, 0.5, 6), {}, (3, 6), (1.6307678, 0.36993224)),
        ((1.1, 0.05, 0.3, 10), {}, (5, 10), (35.942935, 6.8783351)),
        ((1.2, 0.2, 0.1, 4), {"observation_noise_std": 0.5}, (4,), (4.6380868,)),
        ((1.0, 0.1, 0.0, 8), {}, (2, 5, 8), (49.5057815500, 18.4872466971, 10.2167788021)),
    ],
)
def test_reference_values(asked, more, steps, expected):
    np.testing.assert_allclose(linear(*asked, **more)[np.array(steps) - 1], expected, rtol=3e-8)


def test_a_linear_network_loses_nothing_to_correlations():
    """O K Oᵀ of independent noise is independent noise."""
    asked = {"stimulus": 1.0, "noise_std": 0.3, "num_steps": 5, "nonlinearity": "identity"}
    expected = fisher.meanfield_curve(cn.homogeneous(1.1), ensemble="orthogonal", **asked).total
    np.testing.assert_allclose(linear(1.1, 0.3, 1.0, 5, nonlinearity="identity"), expected, rtol=1e-10)
    half = linear(1.1, 0.3, 1.0, 5, nonlinearity="identity", observed=(0.5,))
    np.testing.assert_allclose(half, expected / 2, rtol=1e-10)


def test_a_small_stimulus_is_a_limit():
    np.testing.assert_allclose(linear(1.2, 0.2, 1e-4, 6), linear(1.2, 0.2, 0.0, 6), rtol=1e-6)


def test_drawn_weights_are_orthogonal(key):
    weights = np.asarray(cn.sample_weights(cn.homogeneous(1.3), 40, key=key, ensemble="orthogonal"))
    np.testing.assert_allclose(weights @ weights.T, 1.3**2 * np.eye(40), atol=1e-12)


def test_drawn_networks_have_it(key):
    """By closures, as far as 1/N and their scatter reach; Gaussian weights, which have less, are told apart."""
    units, draws, asked = 200, 8, {"stimulus": 1.0, "num_steps": 4}
    networks = simulate.draw_networks(
        cn.homogeneous(1.0), units, num_draws=draws, noise_std=0.1, key=key, ensemble="orthogonal", dtype=jnp.float64
    )
    found = np.array([fisher.closure_curve(network, form="linear", **asked).total / units for network in networks])
    error = found.std(axis=0, ddof=1) / np.sqrt(draws)
    expected = linear(1.0, 0.1, 1.0, 4)
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - expected), 4 * error + 3 * expected / units)
    gaussian = fisher.meanfield_curve(cn.homogeneous(1.0), noise_std=0.1, form="linear", **asked).total
    np.testing.assert_array_less((gaussian + 4 * error)[1:], found.mean(axis=0)[1:])


def test_several_stimuli_in_any_direction():
    direction = np.array([0.5, 0.4])
    pattern = np.array([[1.0, 0.6]])
    both = linear(1.2, 0.2, direction, 3, input_pattern=pattern)[2]
    along = linear(1.2, 0.2, 1.0, 3, input_pattern=pattern @ direction)[2]
    np.testing.assert_allclose(direction @ both @ direction, along, rtol=1e-7)


def test_gradients_are_those_of_differences():
    def value(shift):
        return jnp.log(linear(1.1 + shift, 0.1 + shift, 0.5 + shift, 4, observation_noise_std=0.1 + shift)[-1])

    compiled = jax.jit(value)
    difference = (compiled(1e-5) - compiled(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.grad(value))(0.0), difference, rtol=1e-6)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("structure", "asked", "message"),
    [
        (cn.homogeneous(1.0, 2), {}, "is known for one population, got 2"),
        (cn.GainMatrix([[1.0]], means=[[1.0]]), {}, "has no means"),
        (cn.homogeneous(1.0), {"nonlinearity": "relu"}, "an odd nonlinearity and a pulse"),
        (cn.homogeneous(1.0), {"protocol": "sustained"}, "an odd nonlinearity and a pulse"),
        (cn.homogeneous(1.0), {"ensemble": "unitary"}, "ensemble must be"),
    ],
)
def test_what_is_not_known_is_refused(structure, asked, message):
    settings = {"stimulus": 0.5, "noise_std": 0.3, "num_steps": 3, "ensemble": "orthogonal"} | asked
    with pytest.raises(ValueError, match=message):
        fisher.meanfield_curve(structure, **settings)
