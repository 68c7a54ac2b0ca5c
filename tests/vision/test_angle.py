"""The orientation network: it learns, its information is bounded by the image's, it can be saved."""

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import datasets, fisher, vision
from fisherjax.vision._orientation_training import AngleTraining


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
