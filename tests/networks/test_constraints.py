"""Frozen weights and fixed signs: exact for any parameters, through training, in every kind of network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import networks, tasks, training
from fisherjax.networks import GRU, RNN, dale, fixed_signs, frozen, initializers, low_rank, mask, no_autapses
from fisherjax.networks._recurrent import trainable_filter

BLOCK = np.zeros((6, 6), bool)
BLOCK[:3, :3] = True


def wild(network, key):
    """The network with its free parameters thrown about."""
    spec = trainable_filter(network)
    moving, fixed = eqx.partition(network, spec)
    keys = iter(jax.random.split(key, 20))
    return eqx.combine(jax.tree.map(lambda leaf: 5 * jax.random.normal(next(keys), leaf.shape), moving), fixed)


def test_frozen_weights_keep_the_values_that_they_are_given(key):
    values = np.arange(36.0).reshape(6, 6) / 7
    network = RNN(2, 6, 1, key=key, constraints=frozen(recurrent=BLOCK, values=np.where(BLOCK, values, np.nan)))
    other = RNN(2, 6, 1, key=key)
    for one in (network, wild(network, key)):
        np.testing.assert_array_equal(np.asarray(one.recurrent_weights)[BLOCK], values[BLOCK])
    np.testing.assert_array_equal(
        np.asarray(network.recurrent_weights)[~BLOCK], np.asarray(other.recurrent_weights)[~BLOCK]
    )
    assert np.abs(np.asarray(wild(network, key).recurrent_weights)[~BLOCK]).max() > 5
    assert "recurrent: 9 frozen" in repr(network)


def test_without_values_what_was_drawn_stays(key):
    """Given weights too, of which a part shall be trained."""
    given = np.asarray(jax.random.normal(key, (6, 6)))
    network = RNN(
        2, 6, 1, key=key, recurrent_initializer=initializers.from_weights(given),
        constraints=[frozen(recurrent=BLOCK), frozen(recurrent=BLOCK.T[::-1], input=np.ones((6, 2)))],
    )  # fmt: skip
    moved = wild(network, key)
    where = BLOCK | BLOCK.T[::-1]
    np.testing.assert_array_equal(np.asarray(moved.recurrent_weights)[where], given[where])
    np.testing.assert_array_equal(moved.input_weights, network.input_weights)
    assert np.all(np.asarray(moved.recurrent_weights)[~where] != given[~where])


@pytest.mark.parametrize("kind", [RNN, GRU], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
def test_training_leaves_frozen_weights_alone(kind, optimizer, key):
    """Also where the optimizer shrinks all parameters; the others move."""
    network = kind(1, 6, 1, key=key, constraints=[dale(0.5), frozen(recurrent=BLOCK, output=[[1, 0, 0, 0, 0, 1]])])
    trained = training.fit(
        network, tasks.flip_flop(num_bits=1), key=key, num_steps=40, batch_size=4, trial_steps=6, learning_rate=0.05,
        optimizer=optimizer, keep_best=False, evaluate_every=40,
    ).network  # fmt: skip
    before, after = (np.split(np.asarray(one.recurrent_weights), kind.gates_per_unit) for one in (network, trained))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new[BLOCK], old[BLOCK])
        assert np.mean(new[~BLOCK] != old[~BLOCK]) > 0.5
        assert np.all(new[:, :3] >= 0)
        assert np.all(new[:, 3:] <= 0)
    same = np.asarray(trained.output_weights)[0] == np.asarray(network.output_weights)[0]
    assert same.tolist() == [True, False, False, False, False, True]


def test_frozen_entries_have_no_gradient(key):
    network = RNN(2, 6, 1, key=key, constraints=frozen(recurrent=BLOCK))
    spec = trainable_filter(network)
    assert (spec.recurrent.parameter, spec.recurrent.fixed) == (True, False)
    slope = jax.grad(lambda n: jnp.sum(networks.run(n, jnp.ones((4, 2)))[1] ** 2), allow_int=True)(network)
    assert np.all(np.asarray(slope.recurrent.parameter)[BLOCK] == 0)
    assert np.all(np.asarray(slope.recurrent.parameter)[~BLOCK] != 0)


def test_signs_of_inputs_and_read_outs(key):
    by_entry = np.where(np.asarray(jax.random.bernoulli(key, 0.5, (2, 6))), 1, -1)
    rules = [fixed_signs(input=[1, -1, 0], output=by_entry), dale(0.5), fixed_signs(recurrent=np.zeros((6, 6)))]
    network = wild(RNN(3, 6, 2, key=key, constraints=rules), key)
    inner, outer = np.asarray(network.input_weights), np.asarray(network.output_weights)
    assert np.all(inner[:, 0] > 0)
    assert np.all(inner[:, 1] < 0)
    assert len(np.unique(np.sign(inner[:, 2]))) == 2
    np.testing.assert_array_equal(np.sign(outer), by_entry)
    everywhere = wild(RNN(3, 6, 2, key=key, constraints=fixed_signs(input=1)), key)
    assert np.all(np.asarray(everywhere.input_weights) > 0)


def test_networks_with_frozen_weights_are_saved(key, tmp_path):
    network = RNN(2, 6, 1, key=key, constraints=[frozen(recurrent=BLOCK), no_autapses(), fixed_signs(input=-1)])
    loaded = RNN.load(network.save(tmp_path / "network"))
    for name in ("recurrent", "input"):
        np.testing.assert_array_equal(getattr(loaded, name).value, getattr(network, name).value)
        assert str(getattr(loaded, name).pattern) == str(getattr(network, name).pattern)
    single = networks.in_precision(network, jnp.float32)
    assert single.recurrent_weights.dtype == jnp.float32


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: [frozen()], "frozen needs at least one of recurrent, input and output"),
        (lambda: [frozen(recurrent=np.full((6, 6), 0.5))], "recurrent must hold only True and False"),
        (lambda: [frozen(recurrent=np.ones((5, 5)))], r"frozen of the recurrent weights must have shape \(6, 6\)"),
        (lambda: [frozen(recurrent=BLOCK, values=np.ones((5, 5)))], r"values must have the shape \(6, 6\)"),
        (lambda: [frozen(recurrent=BLOCK, values=np.full((6, 6), np.nan))], "values must be finite"),
        (
            lambda: [frozen(recurrent=BLOCK, input=np.ones((6, 2)), values=np.ones((6, 6)))],
            "recurrent and input are two",
        ),
        (lambda: [frozen(recurrent=BLOCK), low_rank(2)], "cannot keep rank 2 where some are frozen"),
        (lambda: [frozen(recurrent=BLOCK, values=-np.ones((6, 6))), dale(1.0)], "break the signs"),
        (lambda: [frozen(recurrent=BLOCK, values=np.ones((6, 6))), no_autapses()], "must be zero where another"),
        (
            lambda: [frozen(recurrent=BLOCK, values=np.full((6, 6), value)) for value in (1.0, 2.0)],
            "freeze the weight from 0 to 0 at different values",
        ),
        (lambda: [fixed_signs()], "fixed_signs needs at least one"),
        (lambda: [fixed_signs(input=[1, 2])], "the signs of input must be a vector of −1, 0 and 1"),
        (lambda: [fixed_signs(input=[1, 1, 1])], r"signs of the input weights must have shape \(6, 2\) or"),
        (lambda: [fixed_signs(recurrent=-1), dale(1.0)], "opposite signs of the weight from 0 to 0"),
        (lambda: [mask(input=np.ones((6, 3)))], r"the mask of the input weights must have shape \(6, 2\)"),
    ],
)
def test_what_cannot_be_kept_is_said(build, message, key):
    with pytest.raises(ValueError, match=message):
        RNN(2, 6, 1, key=key, constraints=build())
