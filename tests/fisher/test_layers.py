"""Information in the layers of a feed-forward model: exact where it is linear, never more than the input has."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import fisher

KEY = jax.random.key(0)
FIRST, SECOND = (np.asarray(jax.random.normal(k, shape)) for k, shape in zip(
    jax.random.split(KEY), ((6, 5), (3, 6)), strict=True))  # fmt: skip


def input_of(theta):
    return jnp.sin(theta * jnp.arange(1.0, 6.0))


def linear(x):
    return [FIRST @ x, SECOND @ (FIRST @ x)]


@pytest.mark.parametrize("unit_noise", [0.0, 0.4])
def test_linear_layers_are_gaussian_channels(unit_noise):
    found = fisher.layer_information(linear, input_of, 0.3, input_noise_std=0.2, unit_noise_std=unit_noise)
    slope = np.asarray(jax.jacfwd(input_of)(0.3))
    np.testing.assert_allclose(found.of_input, slope @ slope / 0.04, rtol=1e-12)
    for weights, value in zip((FIRST, SECOND @ FIRST), found.information, strict=True):
        covariance = 0.04 * weights @ weights.T + unit_noise**2 * np.eye(len(weights))
        change = weights @ slope
        expected = change @ np.linalg.pinv(covariance, rcond=1e-10) @ change
        np.testing.assert_allclose(value, expected, rtol=1e-8)
    if not unit_noise:
        np.testing.assert_allclose(found.share[0], 1, rtol=1e-9)  # six units tell of five numbers all there is
        assert found.share[1] < 1
    assert found.names == ("layer 0", "layer 1")


def test_several_parameters_and_an_equinox_model():
    model = eqx.nn.MLP(5, 3, 8, 2, activation=jnp.tanh, key=KEY)

    def layers(x):
        shown = {}
        for place, layer in enumerate(model.layers):
            x = layer(x) if place == 2 else jnp.tanh(layer(x))
            shown[f"hidden {place}" if place < 2 else "output"] = x
        return shown

    def of_two(theta):
        return theta[0] * jnp.arange(5.0) + theta[1] ** 2

    found = fisher.layer_information(layers, of_two, [0.2, 0.7], input_noise_std=0.1)
    assert found.names == ("hidden 0", "hidden 1", "output")
    assert found.information.shape == (3, 2, 2)
    # a layer knows no more than the one before it
    for low, high in zip((*found.information[1:],), found.information[:-1], strict=True):
        assert np.linalg.eigvalsh(high - low).min() > -1e-8 * np.trace(high)
    assert (np.diff([1, *found.share]) <= 1e-9).all()
    one = fisher.layer_information(
        layers, lambda t: of_two(jnp.stack([0.2 + t, 0.7 + 0 * t])), 0.0, input_noise_std=0.1
    )
    np.testing.assert_allclose(one.information, found.information[:, 0, 0], rtol=1e-9)


def test_what_is_wrong_is_said():
    with pytest.raises(TypeError, match="layers must return a list or a dictionary of arrays"):
        fisher.layer_information(lambda x: x, input_of, 0.1, input_noise_std=0.1)
    with pytest.raises(ValueError, match="input_noise_std must be "):
        fisher.layer_information(linear, input_of, 0.1, input_noise_std=0.0)
    with pytest.raises(TypeError, match="input_of must return an array of floats"):
        fisher.layer_information(linear, lambda t: jnp.arange(5), 0.1, input_noise_std=0.1)
