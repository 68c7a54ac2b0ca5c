"""Decisions through time against counts by hand, noise against its limits, relaxation of a linear network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax.dynamics._shares import share_error
from fisherjax.vision import (
    Architecture,
    ConvolutionalRNN,
    FeedforwardCNN,
    decisions,
    evaluate,
    relaxation,
    respond,
    robustness,
)
from fisherjax.vision._corruptions import CORRUPTIONS

PLAN = Architecture((4, 4, 1), 3, (2, 2), blank_steps=4, image_steps=20, alpha=0.2)


def test_decisions_by_hand():
    sure, unsure = np.log([[0.9, 0.05, 0.05], [0.6, 0.3, 0.1]])
    other = np.log([0.04, 0.92, 0.04])
    logits = np.array([
        [unsure, unsure, unsure],
        [sure, other, unsure],
        [unsure, sure, unsure],
        [sure, sure, unsure],
        [sure, sure, unsure],
    ])  # fmt: skip
    found = decisions(logits, [0, 1, 0], threshold=0.8, onset=1)
    np.testing.assert_allclose(found.accuracy, [2 / 3, 1, 2 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(found.confidence, [0.6, (0.9 + 0.92 + 0.6) / 3, 0.7, 0.8, 0.8])
    # the first wavers at step 3; the second is above the threshold throughout, with another class first
    np.testing.assert_array_equal(found.reaction_time, [3, 1, np.nan])
    assert found.decision.tolist() == [0, 1, 0]
    assert found.decided_accuracy == 1
    never = decisions(logits, [0, 1, 0], threshold=0.95)
    assert np.isnan(never.reaction_time).all()
    assert np.isnan(never.decided_accuracy)


def test_robustness(key):
    network = ConvolutionalRNN(PLAN, key=key)
    images = 2 * jax.random.normal(key, (300, 4, 4, 1))
    # several classes: a random network alone would decide on one of them for every image
    network = eqx.tree_at(lambda n: n.output.bias, network, -jnp.mean(network(images), axis=0))
    labels = np.argmax(np.asarray(network(images)), axis=-1)
    assert np.bincount(labels).max() < 200
    for where, levels in (("noise", (0.0, 0.1, 30.0)), ("state", (0.0, 0.01, 100.0))):
        found = robustness(network, images, labels, key=key, levels=levels, corruption=where)
        assert found.accuracy[0] == 1
        assert found.accuracy[1] > found.accuracy[2]
        np.testing.assert_allclose(found.standard_error, [share_error(round(300 * a), 300) for a in found.accuracy])
        assert found.standard_error[0] > 1e-3  # all of 300 are right, which is not certainty
    again = robustness(network, images, labels, key=key, levels=(0.0, 0.01, 100.0), corruption="state")
    np.testing.assert_array_equal(again.accuracy, found.accuracy)


def test_corruptions_do_what_they_say(key):
    image = jax.random.normal(key, (12, 9, 2))
    for name, spoil in CORRUPTIONS.items():
        np.testing.assert_allclose(spoil(image, jnp.asarray(0.0), key), image, atol=1e-12, err_msg=name)
    mean = jnp.mean(image, axis=(0, 1))
    np.testing.assert_allclose(CORRUPTIONS["contrast"](image, jnp.asarray(0.3), key).std(), 0.7 * image.std(), rtol=0.2)
    for name in ("contrast", "occlusion"):
        np.testing.assert_allclose(CORRUPTIONS[name](image, jnp.asarray(1.0), key), mean + 0 * image, atol=1e-12)
    # the area that is covered is exact at any place, also of pixels in part
    stripes = jnp.zeros((12, 9, 1)).at[::2].set(1) - 0.5
    for one in jax.random.split(key, 3):
        covered = 1 - 2 * jnp.abs(CORRUPTIONS["occlusion"](stripes, jnp.asarray(0.4), one))
        assert abs(float(covered.mean()) - 0.4) < 1e-9
    # a blur of a wave is the wave, less by the Gaussian's transform; a flat image stays, and so does the mean
    wave = jnp.cos(2 * jnp.pi * (np.arange(64) + 0.5) / 16)[None, :, None] * jnp.ones((64, 1, 1))
    np.testing.assert_allclose(
        CORRUPTIONS["blur"](wave, jnp.asarray(2.0), key), np.exp(-0.5 * (2 * np.pi / 16 * 2) ** 2) * wave, atol=1e-5
    )
    np.testing.assert_allclose(CORRUPTIONS["blur"](image, jnp.asarray(1.5), key).mean(), image.mean(), rtol=1e-6)
    noisy = CORRUPTIONS["noise"](jnp.zeros((100, 100, 1)), jnp.asarray(0.5), key)
    assert abs(float(noisy.std()) - 0.5) < 5 * 0.5 / np.sqrt(2 * 10**4)


def test_what_is_seen_does_not_depend_on_the_batch(key, monkeypatch):
    """The same spoiled images for a feed-forward network, another size of batches, and again."""
    network, cnn = ConvolutionalRNN(PLAN, key=key), FeedforwardCNN(PLAN, key=key)
    images, labels = jax.random.normal(key, (40, 4, 4, 1)), np.arange(40) % 3
    first = robustness(network, images, labels, key=key, levels=(0.5,), corruption="occlusion")
    monkeypatch.setattr("fisherjax.vision._source._WORKED_ON", 16 * PLAN.num_units * 16)
    again = robustness(network, images, labels, key=key, levels=(0.5,), corruption="occlusion")
    np.testing.assert_array_equal(first.right, again.right)
    assert first.right.shape == (1, 40)
    assert robustness(cnn, images, labels, key=key, levels=(0.0,)).accuracy[0] == evaluate(cnn, images, labels).accuracy
    with pytest.raises(ValueError, match="a feed-forward network has no state"):
        robustness(cnn, images, labels, key=key, levels=(0.0,), corruption="state")
    with pytest.raises(ValueError, match="at least 0 and at most 1 for contrast"):
        robustness(cnn, images, labels, key=key, levels=(2.0,), corruption="contrast")


def test_relaxation_of_an_unconnected_network(key):
    """Without connections r decays as (1 − α)^k exactly."""
    network = ConvolutionalRNN(PLAN, key=key, recurrent_gain=0.0, leak=1.0)
    network = eqx.tree_at(lambda n: n.feedforward[1].scale, network, jnp.zeros(2))
    images = jax.random.normal(key, (2, 4, 4, 1))
    found = relaxation(network, images, offset_steps=30)
    np.testing.assert_allclose(found.distance, found.distance[0] * 0.8 ** np.arange(31)[:, None], rtol=1e-9)
    np.testing.assert_allclose(found.time_constant, -1 / np.log(0.8), rtol=1e-9)
    assert found.returned.all()
    response = respond(network, images, offset_steps=30, areas="all", at=(4, 24))
    squares = sum(((np.asarray(area[1]) - np.asarray(area[0])) ** 2).sum((1, 2, 3)) for area in response.activity)
    np.testing.assert_allclose(found.distance[0], np.sqrt(squares / PLAN.num_units))
    # a step after the offset takes α of the distance; before the image nothing moves
    np.testing.assert_allclose(found.speed[24:], 0.2 * found.distance[:-1], rtol=1e-9)
    np.testing.assert_array_equal(found.speed[:4], 0)
    assert (found.onset, found.offset, len(found.speed)) == (4, 24, 54)
    assert not relaxation(network, images, offset_steps=4).returned.any()


def test_ties_are_no_decisions():
    """Equal logits: the chance level, whatever the class; above a low threshold a tie of two does not count."""
    found = decisions(np.zeros((2, 3, 4)), [0, 0, 0])
    np.testing.assert_allclose(found.accuracy, 0.25)
    tied = decisions(np.array([[[5.0, 5.0, 0.0]], [[5.0, 5.0, 0.0]]]), [0], threshold=0.4)
    np.testing.assert_allclose(tied.accuracy, 0.5)
    assert np.isnan(tied.reaction_time).all()


def test_images_whose_logits_are_not_numbers_count_as_wrong(key):
    network = ConvolutionalRNN(PLAN, key=key)
    broken = eqx.tree_at(lambda n: n.output.bias, network, jnp.full(3, jnp.nan))
    with pytest.warns(RuntimeWarning, match="the logits of 2 of 2 images are not finite"):
        found = robustness(broken, np.zeros((2, 4, 4, 1)), [0, 1], key=key, levels=(0.0,))
    assert found.accuracy.tolist() == [0]


def test_a_network_that_does_not_return_has_no_time_constant(key):
    """Perfect memory, α(1 − leak W) = 0: r stays where the image left it."""
    network = ConvolutionalRNN(PLAN, key=key, recurrent_gain=0.0, leak=1.0)
    hold = jnp.zeros_like(network.recurrent[0].direction).at[0, 0, 1, 1].set(1).at[1, 1, 1, 1].set(1)
    network = eqx.tree_at(lambda n: (n.recurrent[0].direction, n.recurrent[0].scale), network, (hold, jnp.ones(2)))
    images = jnp.abs(jax.random.normal(key, (2, 4, 4, 1)))
    with pytest.warns(RuntimeWarning, match="after 2 of 2 images the network does not return"):
        found = relaxation(network, images, offset_steps=10)
    assert np.isnan(found.time_constant).all()
    assert not found.returned.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, x, k: decisions(np.zeros((3, 2)), [0, 1]), r"logits must have shape \(T, n, K\)"),
        (lambda n, x, k: decisions(np.zeros((3, 2, 2)), [0]), "labels must be one label for each of 2"),
        (lambda n, x, k: decisions(np.zeros((3, 2, 2)), [0, 2]), "labels must be class numbers from 0 to 1"),
        (
            lambda n, x, k: decisions(np.zeros((3, 2, 2)), [0, 1], threshold=1.0),
            "threshold must be strictly between 0 and 1",
        ),
        (lambda n, x, k: decisions(np.zeros((3, 2, 2)), [0, 1], onset=3), "onset must be at most 2"),
        (
            lambda n, x, k: robustness(n, x, [0], key=k, levels=(0.1,), corruption="weights"),
            "corruption must be one of 'noise', 'contrast', 'occlusion', 'blur', 'state'",
        ),
        (lambda n, x, k: robustness(n, x, [0], key=k, levels=(-0.1,)), "at least 0"),
        (lambda n, x, k: robustness(n, x, [0, 1], key=k, levels=(0.1,)), "labels must be one label for each of 1"),
        (lambda n, x, k: relaxation(n, x[0]), r"images must have shape \(n, 4, 4, 1\)"),
        (lambda n, x, k: relaxation(n, x, offset_steps=2), "offset_steps"),
    ],
)
def test_wrong_arguments(as_user, key, call, message):
    with pytest.raises(ValueError, match=message):
        call(ConvolutionalRNN(PLAN, key=key), jnp.zeros((1, 4, 4, 1)), key)
