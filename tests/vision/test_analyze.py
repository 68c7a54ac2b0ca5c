"""`vision.analyze` gives what its parts give by themselves, each with its own key, and leaves out what has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import datasets, fisher, vision
from fisherjax.vision._analyze import PARTS, Analysis

PLAN = vision.Architecture((6, 6, 1), 3, (3, 3), stem_channels=2, stem_kernel=3, blank_steps=2, image_steps=4)


@pytest.fixture(scope="module")
def network():
    return vision.ConvolutionalRNN(PLAN, key=jax.random.key(0))


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(1), (5, 6, 6, 1))


def test_parts_are_those_of_the_library(network, images, key, tmp_path):
    labels = np.array([0, 1, 2, 0, 1])
    told = []
    analysis = vision.analyze(network, images, labels, key=key, num_eigenvalues=2, num_trials=30, callback=told.append)
    assert tuple(told) == analysis.parts == PARTS
    bounds = vision.stability_certificate(network)
    np.testing.assert_array_equal(analysis.certificate.singular, bounds.singular)
    decided = vision.decisions(vision.respond(network, images).logits, labels, onset=2)
    np.testing.assert_array_equal(analysis.decisions.accuracy, decided.accuracy)
    state = vision.respond(network, images[:1]).state
    activity = np.sqrt(np.mean(np.concatenate([np.ravel(area) for area in state]) ** 2))
    np.testing.assert_allclose(analysis.activity, activity, rtol=1e-6)
    assert analysis.noise_std == pytest.approx(0.02 * activity)
    noisy = network.replaced(noise_std=analysis.noise_std)
    shown = vision.shown(noisy, lambda contrast: datasets.gabor((6, 6, 1), contrast=contrast))
    asked = {"stimulus": 1.0, "num_steps": 6, "protocol": shown, "read": vision.channel_means(noisy)}
    expected = fisher.linearized_curve(noisy, **asked, at=[int(t) for t in analysis.predicted["contrast"].times])
    np.testing.assert_allclose(analysis.predicted["contrast"].total, expected.total, rtol=1e-5)
    # a part by itself has the same randomness
    alone = vision.analyze(network, images, labels, key=key, parts=["robustness"])
    np.testing.assert_array_equal(alone.robustness["state"].accuracy, analysis.robustness["state"].accuracy)
    assert alone.certificate is None
    assert alone.predicted is None
    loaded = Analysis.load(analysis.save(tmp_path / "analysis"))
    np.testing.assert_array_equal(loaded.trajectory.eigenvalues, analysis.trajectory.eigenvalues)
    np.testing.assert_array_equal(loaded.simulated["angle"].total, analysis.simulated["angle"].total)


def test_what_has_no_answer_is_none(network, images, key):
    """Without labels no decisions, without a baseline no relaxation, of silence no noise level."""
    quiet = jax.tree.map(jnp.zeros_like, network).replaced(blank_steps=0, alpha=0.2)
    analysis = vision.analyze(quiet, images, key=key, parts=("decisions", "relaxation", "information"))
    assert analysis.parts == ("decisions", "relaxation", "information")
    assert analysis.decisions is None
    assert analysis.relaxation is None
    assert analysis.predicted is None
    with pytest.raises(ValueError, match="num_trials must be at least 20 for 3 channels, got 19"):
        vision.analyze(network, images, key=key, num_trials=19)
    with pytest.raises(ValueError, match="did you mean 'growth'"):
        vision.analyze(network, images, key=key, parts=["grwth"])
