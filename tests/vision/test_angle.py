"""The orientation network: it learns, its information is bounded by the image's, it can be saved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fisherjax import datasets, fisher, vision
from fisherjax.vision._orientation import AngleTraining, _squared, _von_mises
from fisherjax.vision._orientation_study import estimator_variance


def test_training_learns_and_information_stays_below_the_image_s(key, tmp_path):
    """Data processing: two outputs cannot hold more than the exact linear information of a Gaussian-like image."""
    trained = vision.train_angle_network(key=key, size=13, num_steps=600)
    assert float(jnp.mean(trained.loss[:20])) > 0.8
    assert float(jnp.mean(trained.loss[-50:])) < 0.55
    respond = vision.respond_to_gratings(trained.network)
    found = fisher.estimate(respond, 0.6, key=key, num_trials=800)
    assert float(found.value) > 5 * float(found.standard_error)

    def moments(theta):
        return datasets.grating_moments(theta, size=13)

    (_, variance), (slope, _) = jax.jvp(moments, (0.6,), (1.0,))
    bound = float(jnp.sum(jnp.where(variance > 0, slope**2 / jnp.where(variance > 0, variance, 1), 0)))
    assert float(found.value) < bound
    loaded = AngleTraining.load(trained.save(tmp_path / "trained"))
    image = datasets.gratings(0.6, key=key, size=13)
    np.testing.assert_allclose(loaded.network(image), trained.network(image), rtol=1e-12)


def test_layers_and_decoding(key):
    network = vision.angle_network(key=key, size=9)
    assert [weights.shape for weights in network.weights] == [(9, 81), (20, 9), (2, 20)]
    assert network.size == 9
    angles = jnp.linspace(0, 3.1, 7)
    outputs = jnp.stack([jnp.cos(2 * angles), jnp.sin(2 * angles)], axis=1)
    np.testing.assert_allclose(vision.decode_angle(3 * outputs), angles, atol=1e-12)


@pytest.mark.parametrize("loss", ["cosine", "squared", "von-mises"])
def test_every_loss_is_learned_and_frozen_layers_stay(key, loss):
    """Decoded angles are closer after training than before, and only what is not frozen has moved."""
    frozen = {"cosine": "none", "squared": "first", "von-mises": "hidden"}[loss]
    trained = vision.train_angle_network(key=key, size=9, num_steps=400, loss=loss, frozen=frozen).network
    before = vision.train_angle_network(key=key, size=9, num_steps=1, learning_rate=1e-30).network
    moved = [bool(np.any(a != b)) for a, b in zip(trained.weights, before.weights, strict=True)]
    assert moved == {"none": [True] * 3, "first": [False, True, True], "hidden": [False, False, True]}[frozen]
    angles = jnp.linspace(0, np.pi, 200, endpoint=False)
    images = datasets.gratings(angles, key=key, size=9)

    def error(network):
        away = vision.decode_angle(jax.vmap(network)(images)) - angles
        return float(jnp.mean(1 - jnp.cos(2 * away)))

    assert error(trained) < 0.9 * error(before)


def test_the_von_mises_loss_is_minus_its_log_density(key):
    """Against SciPy's density on the circle of 2θ, and the mean squared error against its definition."""
    outputs = 3 * jax.random.normal(key, (50, 2))
    angles = np.linspace(0, np.pi, 50)
    targets = jnp.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=1)
    length, mean = np.hypot(*outputs.T), np.arctan2(outputs[:, 1], outputs[:, 0])
    expected = -scipy.stats.vonmises.logpdf(2 * angles, length, loc=mean).mean()
    np.testing.assert_allclose(_von_mises(outputs, targets), expected, rtol=1e-10)
    np.testing.assert_allclose(_squared(outputs, targets), ((outputs - targets) ** 2).sum(axis=1).mean(), rtol=1e-12)


def test_the_spread_of_a_study_is_that_of_its_estimates(key):
    """Exact derivatives have no bias by the step, and independent differences the largest spread."""
    network = vision.train_angle_network(key=key, size=9, num_steps=200).network
    respond = vision.respond_to_gratings(jax.tree.map(lambda x: x.astype(jnp.float32), network))
    found = estimator_variance(respond, jax.random.split(key, 30), separations=(0.1,), num_trials=(60, 120))
    assert found.spread["direct"][0, 0] > found.spread["pathwise"][0, 0]
    ratio = found.spread_by_trials["pathwise"][0]
    assert ratio[1] < ratio[0]
    assert np.abs(found.bias["pathwise"][0, 0]) < 5 * found.bias["pathwise"][1, 0]


def test_unknown_ways_of_training_are_refused(key, as_user):
    with pytest.raises(ValueError, match="loss must be one of"):
        vision.train_angle_network(key=key, loss="abs")
    with pytest.raises(ValueError, match="frozen must be one of"):
        vision.train_angle_network(key=key, frozen="last")
    with pytest.raises(ValueError, match="losses must be one of"):
        vision.orientation_study(key=key, losses=("cosine", "abs"))
