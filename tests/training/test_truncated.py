"""Truncated back-propagation: gradients do not cross, states do, within a trial and from batch to batch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fisherjax import tasks, training
from fisherjax.networks import GRU, RNN
from fisherjax.networks._recurrent import trainable_filter
from fisherjax.training._loss import LossSettings, batch_loss

STEPS, TRIALS, RATE = 10, 4, 0.5


def small(key, **options):
    names = ("recurrent", "input", "output", "recurrent_bias", "output_bias", "initial_state")
    return RNN(2, 5, 1, key=key, trainable=names, initial_state=0.1 * np.ones(5), **options)


def weights_of(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])


def data(key, num_steps=STEPS):
    inputs, targets = jax.random.normal(key, (num_steps, TRIALS, 2)), jnp.zeros((num_steps, TRIALS, 1))
    return np.asarray(inputs), np.asarray(targets + jnp.cumsum(inputs, axis=0)[..., :1] / 4)


def run_in_pieces(network, inputs, length, start):
    """States carried by hand, a step at a time, cut off where a piece ends."""
    state, outputs = start, []
    for time, one in enumerate(inputs):
        if time and time % length == 0:
            state = jax.lax.stop_gradient(state)
        state = network.step(state, one)
        outputs.append(network.readout(state))
    return jnp.stack(outputs), state


@eqx.filter_jit
def slope_by_hand(network, inputs, targets, length, start=None):
    """Gradient of the mean squared error, and the states at the end."""

    def loss(network):
        first = jnp.broadcast_to(network.resting_state, (inputs.shape[1], 5)) if start is None else start
        outputs, end = run_in_pieces(network, inputs, length, first)
        return jnp.mean((outputs - targets) ** 2), end

    return eqx.filter_grad(loss, has_aux=True)(network)


@jax.jit
def descended(weights, slope):
    return jax.tree.map(lambda a, b: a - RATE * b, weights, slope)


def stepped(network, slope):
    """One step of plain gradient descent."""
    spec = trainable_filter(network)
    moving, fixed = eqx.partition(network, spec)
    return eqx.combine(descended(moving, eqx.filter(slope, spec)), fixed)


def descend(network, task, key, **options):
    settings = {"num_steps": 1, "evaluate_every": 1, "batch_size": TRIALS, "max_gradient_norm": np.inf}
    return training.fit(network, task, key=key, optimizer=optax.sgd(RATE), **settings | options)


@pytest.mark.parametrize("length", [3, 5])
def test_gradients_end_where_pieces_do(length, key):
    """Pieces that do and that do not divide the trial, against the gradient written out."""
    inputs, targets = data(key)
    expected = stepped(small(key), slope_by_hand(small(key), inputs, targets, length)[0])
    found = descend(small(key), (inputs, targets), key, truncate=length).last_network
    np.testing.assert_allclose(weights_of(found), weights_of(expected), rtol=1e-9, atol=1e-12)
    whole = stepped(small(key), slope_by_hand(small(key), inputs, targets, STEPS)[0])
    assert np.abs(weights_of(whole) - weights_of(expected)).max() > 1e-4


@pytest.mark.parametrize("length", [STEPS, STEPS + 7])
def test_a_piece_as_long_as_the_trial_is_the_whole_gradient(length, key):
    """To the bit, noise included."""
    inputs, targets = data(key)
    noisy = small(key, noise_std=0.1)
    whole, cut = (descend(noisy, (inputs, targets), key, num_steps=3, truncate=one) for one in (None, length))
    np.testing.assert_array_equal(weights_of(whole.network), weights_of(cut.network))


def test_truncation_changes_gradients_only(key):
    """Loss, penalty on rates and a penalty of one's own are those of the whole trial."""
    inputs, targets = data(key)
    batch = tasks.TaskBatch(jnp.asarray(inputs), jnp.asarray(targets), jnp.ones((STEPS, TRIALS)))
    network = GRU(2, 5, 1, key=key)
    own = ((lambda network, states, outputs: jnp.sum(states[-1] ** 2) + jnp.sum(outputs[4]), 0.5),)
    losses = [
        eqx.filter_jit(batch_loss)(network, batch, None, LossSettings("mse", 0.3, 0.1, False, 1, own, length))
        for length in (None, 4)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-12)


def windows(inputs, targets, length):
    return [
        (inputs[start : start + length], targets[start : start + length]) for start in range(0, len(inputs), length)
    ]


def test_states_are_carried_from_batch_to_batch(key):
    """A long recording in windows, the last one shorter, twice through: steps of descent written out."""
    inputs, targets = data(key)
    pieces = windows(inputs, targets, 4)
    network, state = small(key), None
    for number in range(5):
        own_inputs, own_targets = pieces[number % 3]
        start = None if number % 3 == 0 else state
        slope, state = slope_by_hand(network, own_inputs, own_targets, 4, start)
        network = stepped(network, slope)
    found = descend(small(key), pieces, key, num_steps=5, evaluate_every=2, carry_state=True)
    np.testing.assert_allclose(weights_of(found.network), weights_of(network), rtol=1e-8, atol=1e-11)
    anew = descend(small(key), pieces, key, num_steps=5, evaluate_every=2)
    assert np.abs(weights_of(anew.network) - weights_of(network)).max() > 1e-4


def test_accumulated_windows_go_on_from_one_another(key):
    """Two windows in one step: the gradient of a trial cut once, by its mean."""
    inputs, targets = data(key)
    pieces = windows(inputs, targets, 5)
    found = descend(small(key), pieces, key, accumulate=2, carry_state=True)
    cut = descend(small(key), (inputs, targets), key, truncate=5)
    np.testing.assert_allclose(weights_of(found.network), weights_of(cut.network), rtol=1e-9, atol=1e-12)


def test_a_run_with_carried_states_goes_on_exactly(key, tmp_path):
    inputs, targets = data(key)
    settings = {"evaluate_every": 2, "carry_state": True}
    pieces, noisy = windows(inputs, targets, 3), small(key, noise_std=0.1)
    whole = descend(noisy, pieces, key, num_steps=9, **settings)
    descend(noisy, pieces, key, num_steps=5, checkpoint=tmp_path / "run", **settings)
    resumed = descend(noisy, pieces, key, num_steps=9, checkpoint=tmp_path / "run", **settings)
    np.testing.assert_array_equal(weights_of(whole.network), weights_of(resumed.network))
    with pytest.raises(ValueError, match="truncate = None, this run has 1"):
        descend(noisy, pieces, key, num_steps=9, checkpoint=tmp_path / "run", truncate=1, **settings)


def test_more_trials_may_join(key):
    """Of a larger batch, the trials that were not there start at rest."""
    inputs, targets = data(key, 8)
    first, second = windows(inputs, targets, 4)
    fewer = tuple(part[:, :2] for part in first)
    found = descend(small(key), iter([fewer, second]), key, num_steps=2, carry_state=True)
    assert (found.stopped, found.num_steps) == ("finished", 2)
    network = small(key)
    slope, state = slope_by_hand(network, *fewer, STEPS)
    network = stepped(network, slope)
    rest = np.broadcast_to(network.resting_state, (2, 5))
    slope, _ = slope_by_hand(network, *second, STEPS, np.concatenate([state, rest]))
    np.testing.assert_allclose(weights_of(found.last_network), weights_of(stepped(network, slope)), rtol=1e-8)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"truncate": 0}, ValueError, "truncate must be at least 1"),
        ({"truncate": 2.5}, TypeError, "truncate must be an integer"),
        ({"carry_state": 1}, TypeError, "carry_state must be True or False"),
        ({"carry_state": True}, ValueError, "carry_state needs an iterable"),
    ],
)
def test_what_makes_no_sense_is_said(options, error, message, key):
    with pytest.raises(error, match=message):
        descend(small(key), data(key), key, **options)
