"""Decisions through time against counts by hand, noise against its limits, relaxation of a linear network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax.dynamics._shares import share_error
from fisherjax.vision import Architecture, ConvolutionalRNN, decisions, relaxation, respond, robustness

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
    for where, levels in (("input", (0.0, 0.1, 30.0)), ("state", (0.0, 0.01, 100.0))):
        found = robustness(network, images, labels, key=key, noise_std=levels, where=where)
        assert found.accuracy[0] == 1
        assert found.accuracy[1] > found.accuracy[2]
        np.testing.assert_allclose(found.standard_error, [share_error(round(300 * a), 300) for a in found.accuracy])
        assert found.standard_error[0] > 1e-3  # all of 300 are right, which is not certainty
    again = robustness(network, images, labels, key=key, noise_std=(0.0, 0.01, 100.0), where="state")
    np.testing.assert_array_equal(again.accuracy, found.accuracy)


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
        found = robustness(broken, np.zeros((2, 4, 4, 1)), [0, 1], key=key, noise_std=(0.0,))
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
            lambda n, x, k: robustness(n, x, [0], key=k, noise_std=(0.1,), where="weights"),
            "where must be one of 'input', 'state'",
        ),
        (lambda n, x, k: robustness(n, x, [0], key=k, noise_std=(-0.1,)), "at least 0"),
        (lambda n, x, k: robustness(n, x, [0, 1], key=k, noise_std=(0.1,)), "labels must be one label for each of 1"),
        (lambda n, x, k: relaxation(n, x[0]), r"images must have shape \(n, 4, 4, 1\)"),
        (lambda n, x, k: relaxation(n, x, offset_steps=2), "offset_steps"),
    ],
)
def test_wrong_arguments(as_user, key, call, message):
    with pytest.raises(ValueError, match=message):
        call(ConvolutionalRNN(PLAN, key=key), jnp.zeros((1, 4, 4, 1)), key)
