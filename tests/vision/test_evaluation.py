"""How often a network is right: counts, ties, intervals, batches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest

from fisherjax import vision

PLAN = vision.Architecture((8, 8, 1), 7, (4, 4), blank_steps=2, image_steps=3)
NETWORK = vision.ConvolutionalRNN(PLAN, key=jax.random.key(0))
IMAGES = np.asarray(jax.random.normal(jax.random.key(1), (30, 8, 8, 1)))
LABELS = np.arange(30) % 7


def test_it_is_what_the_logits_say(monkeypatch):
    monkeypatch.setattr("fisherjax.vision._source._WORKED_ON", 16 * PLAN.num_units * 8)  # eight images at once
    found = vision.evaluate(NETWORK, IMAGES, LABELS, offset_steps=1, confidence=0.9)
    logits = np.asarray(vision.respond(NETWORK, IMAGES, offset_steps=1).logits)
    ranks = (logits > np.take_along_axis(logits, LABELS[None, :, None], axis=-1)).sum(axis=-1)
    # before the image the logits are zero: all seven tie
    np.testing.assert_allclose(found.top_1[:2], 1 / 7)
    np.testing.assert_allclose(found.top_5[:2], 5 / 7)
    np.testing.assert_allclose(found.top_1[2:], (ranks[2:] == 0).mean(axis=1))
    np.testing.assert_allclose(found.top_5[2:], (ranks[2:] < 5).mean(axis=1))
    probabilities = np.asarray(jax.nn.softmax(logits))
    expected = -np.log(np.take_along_axis(probabilities, LABELS[None, :, None], axis=-1)).mean(axis=(1, 2))
    np.testing.assert_allclose(found.loss, expected, rtol=1e-6)
    right = int((ranks[-1] == 0).sum())
    interval = binomtest(right, 30).proportion_ci(0.9, method="wilson")
    np.testing.assert_allclose(found.top_1_interval[-1], interval, rtol=1e-10)
    assert found.confusion[LABELS, logits[4].argmax(axis=-1)].min() > 0
    assert found.confusion.sum() == found.num_images == 30
    assert found.accuracy == found.top_1[4] == np.trace(found.confusion) / 30
    assert (found.onset, found.offset) == (2, 5)
    assert "top-5" in repr(found)


def test_a_feedforward_network_has_one_step():
    cnn = vision.FeedforwardCNN(PLAN, key=jax.random.key(0))
    found = vision.evaluate(cnn, IMAGES, LABELS)
    assert found.top_1.shape == (1,)
    assert found.accuracy == np.mean(np.argmax(cnn(jnp.asarray(IMAGES)), axis=-1) == LABELS)


def test_what_is_not_finite_counts_as_wrong():
    broken = eqx.tree_at(lambda n: n.output.bias, NETWORK, jnp.full(7, jnp.nan))
    with pytest.warns(RuntimeWarning, match="the logits of 30 of 30 images are not finite"):
        found = vision.evaluate(broken, IMAGES, LABELS)
    assert found.accuracy == 0
    np.testing.assert_array_equal(found.top_5, 0)


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="labels must be given with arrays"):
        vision.evaluate(NETWORK, IMAGES)
    with pytest.raises(ValueError, match="confidence must be strictly between 0 and 1, got 95"):
        vision.evaluate(NETWORK, IMAGES, LABELS, confidence=95)
