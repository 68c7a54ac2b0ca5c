"""A recurrent network on top of an area: its trials, both as one network, and the fixed points of the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import dynamics, networks, simulate, training, vision

KEY = jax.random.key(0)
PLAN = vision.Architecture((4, 4, 1), 4, (2, 2), blank_steps=2, image_steps=4, alpha=0.3)
NETWORK = vision.ConvolutionalRNN(PLAN, key=KEY)
IMAGES = np.asarray(jax.random.normal(jax.random.key(1), (12, 4, 4, 1)))
LABELS = np.arange(12) % 4
SHORT = {"key": jax.random.key(2), "picture_steps": 3, "delay_steps": 2, "answer_steps": 2}


def trials(task, **options):
    return vision.picture_trials(NETWORK, IMAGES, LABELS, task, **{"num_trials": 40, **SHORT, **options})


def test_what_the_head_is_shown_is_the_area_in_time():
    batch = trials("category", area=0)
    assert batch.inputs.shape == (9, 40, 2)  # blank 2, picture 3, delay 2, answer 2
    response = vision.respond(NETWORK, IMAGES, image_steps=3, offset_steps=4, areas=[0])
    means = np.asarray(response.activity[0]).mean(axis=(2, 3))
    # every trial is one of the images, and its answer the category of that image
    distance = np.abs(np.asarray(batch.inputs)[:, :, None] - means[:, None]).max(axis=(0, 3))
    assert distance.min(axis=1).max() < 1e-9
    which = distance.argmin(axis=1)
    np.testing.assert_array_equal(batch.targets[0].argmax(axis=-1), LABELS[which] % 2)
    np.testing.assert_array_equal(np.asarray(batch.mask).sum(axis=1), [0] * 7 + [40] * 2)


def test_half_of_the_matches_match_and_the_cue_names_the_rule():
    batch = trials("delayed-match")
    assert batch.inputs.shape == (12, 40, 2)
    assert batch.targets[0, :, 0].sum() == 20
    context = trials("context", num_trials=200)
    cue = np.asarray(context.inputs)[:, :, 2:]
    np.testing.assert_array_equal(cue.sum(axis=-1), 1)
    np.testing.assert_array_equal(cue, np.broadcast_to(cue[0], cue.shape))
    own = trials("category", rules=[[1, 1, 1, 0]])
    assert 0 < own.targets[0, :, 0].sum() < 20
    same = trials("context", num_trials=200)
    np.testing.assert_array_equal(same.inputs, context.inputs)


def test_both_are_one_network():
    head = networks.RNN(4, 5, 2, key=KEY, noise_std=0.1)
    whole = vision.with_head(NETWORK, head, cue=(0, 1))
    batch = trials("context")
    held = np.flatnonzero(np.asarray(batch.inputs)[0, :, 3] == 1)[:3]
    _, expected = networks.run(head, batch.inputs[:, held])
    shown = vision.respond(NETWORK, IMAGES, image_steps=3, offset_steps=4, areas=[1])
    means = np.asarray(shown.activity[0]).mean(axis=(2, 3))
    which = np.abs(np.asarray(batch.inputs)[:, held, None, :2] - means[:, None]).max(axis=(0, 3)).argmin(axis=1)
    state = jnp.broadcast_to(whole.resting_state, (3, whole.state_size))
    for time in range(9):
        state = whole.step(state, jnp.asarray(IMAGES[which]) * float(2 <= time < 5))
        np.testing.assert_allclose(whole.readout(state), expected[time], atol=1e-12)
    paths = simulate.trajectories(
        whole, stimulus=0.5, num_steps=3, num_trials=4, key=KEY,
        protocol=lambda theta: theta * jnp.broadcast_to(IMAGES[0], (3, 4, 4, 1)),
    )  # fmt: skip
    # the noise is the head's alone
    assert np.ptp(paths[..., :64], axis=1).max() == 0
    assert np.ptp(paths[..., 64:], axis=1).min() > 0
    assert whole.num_outputs == 2


def test_fixed_points_of_the_whole_are_those_of_its_parts():
    head = networks.RNN(2, 3, 2, key=KEY)
    whole = vision.with_head(NETWORK, head)
    image = jnp.asarray(IMAGES[0])
    seeing = dynamics.find_fixed_points(NETWORK, np.zeros((1, 64)), image)
    means = vision.channel_means(NETWORK)(jnp.asarray(seeing.points))
    own = dynamics.find_fixed_points(head, np.zeros((1, 3)), means[0])
    found = dynamics.find_fixed_points(whole, np.zeros((1, 67)), image)
    np.testing.assert_allclose(found.points[0], np.concatenate([seeing.points[0], own.points[0]]), atol=1e-7)
    # the Jacobian is block triangular: its eigenvalues are those of both
    both = np.concatenate([seeing.eigenvalues[0], own.eigenvalues[0]])
    np.testing.assert_allclose(np.sort(np.abs(found.eigenvalues[0])), np.sort(np.abs(both)), atol=1e-6)


def test_a_head_learns():
    batch = trials("category", num_trials=64, rules=[[0, 0, 1, 1]])
    head = networks.GRU(2, 16, 2, key=KEY)
    course = training.fit(
        head, tuple(batch), key=KEY, num_steps=60, batch_size=32, learning_rate=0.03, loss="cross_entropy"
    ).history
    assert course.loss[-10:].mean() < 0.8 * course.loss[:5].mean()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: trials("match"), "task must be one of 'delayed-match', 'context', 'category'; got 'match'"),
        (lambda: trials("category", rules=[[0, 0, 0, 0]]), "rules must each have both categories"),
        (lambda: trials("delayed-match", rules=[[0, 1, 0, 1]]), "a delayed match has none"),
        (
            lambda: vision.picture_trials(NETWORK, IMAGES[:5], LABELS[:5], "delayed-match", num_trials=3, **SHORT),
            "every class must have two images",
        ),
        (lambda: vision.with_head(NETWORK, networks.RNN(3, 4, 2, key=KEY)), r"head must have 2 \+ 0 inputs"),
    ],
)
def test_what_is_wrong_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()
