"""Responses to contrast, duration and interval: of an area that only leaks they are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import vision

PLAN = vision.Architecture((4, 4, 1), 3, (2, 2), blank_steps=3, image_steps=5, alpha=0.2)
IMAGES = np.asarray(jax.random.normal(jax.random.key(1), (3, 4, 4, 1)))


@pytest.fixture(scope="module")
def leaky():
    """Linear and without connections between units: r follows α V u exponentially."""
    network = vision.ConvolutionalRNN(PLAN, key=jax.random.key(0), recurrent_gain=0.0, leak=1.0)
    return eqx.tree_at(lambda n: n.feedforward[1].scale, network, jnp.zeros(2))


def test_contrast_and_duration_of_a_leaky_area(leaky):
    found = vision.response_curve(leaky, IMAGES, "contrast", [0, 0.5, 1, 2])
    np.testing.assert_allclose(found.peak[:, 0], found.peak[2, 0] * np.array([0, 0.5, 1, 2])[:, None], rtol=1e-9)
    np.testing.assert_array_equal(found.peak[:, 1], 0)
    durations = np.array([1, 3, 8])
    held = vision.response_curve(leaky, IMAGES, "duration", durations)
    share = (1 - 0.8**durations) / (1 - 0.8**5)
    np.testing.assert_allclose(held.sustained[:, 0], found.peak[2, 0] * share[:, None], rtol=1e-9)
    np.testing.assert_array_equal(held.peak, held.sustained)
    drive = np.asarray(leaky.drive(jnp.asarray(IMAGES)).first)
    np.testing.assert_allclose(
        found.peak[2, 0], (1 - 0.8**5) * np.sqrt((drive**2).mean(axis=(1, 2, 3))), rtol=1e-9
    )  # fmt: skip
    with pytest.raises(ValueError, match="a curve of contrast has one showing"):
        _ = found.ratio


def test_two_showings_add_up_in_a_linear_area(leaky):
    gaps = np.array([0, 4, 40])
    found = vision.response_curve(leaky, IMAGES, "interval", gaps)
    assert np.isnan(found.ratio[:, 1]).all()
    np.testing.assert_allclose(found.ratio[:, 0], (1 + 0.8 ** (5 + gaps))[:, None] * np.ones(3), rtol=1e-9)


def test_the_baseline_of_a_rectified_network_is_taken_off():
    network = vision.ConvolutionalRNN(PLAN, key=jax.random.key(3))
    network = eqx.tree_at(lambda n: n.biases[0], network, jnp.ones((2, 4, 4)))
    found = vision.response_curve(network, IMAGES, "contrast", [0.0, 1.0], after_steps=4)
    response = vision.respond(network, IMAGES, offset_steps=4, areas="all")
    for area, maps in enumerate(response.activity):
        moved = np.sqrt(((np.asarray(maps) - np.asarray(maps)[2]) ** 2).mean(axis=(2, 3, 4)))
        np.testing.assert_allclose(found.peak[1, area], moved[3:].max(axis=0), rtol=1e-9)
        np.testing.assert_allclose(found.sustained[1, area], moved[7], rtol=1e-9)


@pytest.mark.parametrize(
    ("varied", "values", "words"),
    [
        ("size", [1], "varied must be one of 'contrast', 'duration', 'interval'"),
        ("duration", [0], "values of duration must be at least 1"),
        ("interval", [1.5], "must be whole numbers of steps"),
        ("contrast", [], "values must hold at least one"),
    ],
)
def test_what_is_wrong_is_said(leaky, varied, values, words):
    with pytest.raises(ValueError, match=words):
        vision.response_curve(leaky, IMAGES, varied, values)
