"""Sums of fixed-point indices: what they must be, and that they show a missing point."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import dynamics, networks


@pytest.fixture(scope="module")
def network():
    """Three tanh units that each excite themselves: 3³ fixed points."""
    return networks.RateNetwork(np.diag([1.8, 2.2, 2.6]), np.ones(3), noise_std=0.1)


@pytest.fixture(scope="module")
def found(network):
    return dynamics.find_fixed_points(network, 2 * jax.random.normal(jax.random.key(0), (400, 3)))


def without(found, row):
    """The same result with one point missing."""
    kept = np.delete(np.arange(len(found)), row)
    rows = ("points", "speed", "eigenvalues", "num_unstable", "num_marginal", "is_stable", "candidate", "basin")
    return dataclasses.replace(found, **{name: getattr(found, name)[kept] for name in rows})


def test_all_points_of_a_bounded_network_sum_to_one(found):
    """Each index is the sign of det(1 − J), −1 for an odd number of growing modes; 8 − 12 + 6 − 1 = 1."""
    assert len(found) == 27
    slopes = np.array([1.8, 2.2, 2.6]) * (1 - np.tanh(found.points) ** 2)
    np.testing.assert_array_equal(found.index, np.sign(np.prod(1 - slopes, axis=1)))
    total = dynamics.index_sum(found)
    assert total.sums.tolist() == [1]
    assert total.is_consistent
    assert "index sum is 1, as it must be" in repr(total)


@pytest.mark.parametrize(("growing", "total", "kind"), [(1, 2, "−1 (saddles)"), (0, 0, "1 (attractors or others)")])
def test_a_missing_point_is_seen(found, growing, total, kind):
    row = int(np.flatnonzero(found.num_unstable == growing)[0])
    seen = dynamics.index_sum(without(found, row))
    assert seen.sums.tolist() == [total]
    assert not seen.is_consistent
    assert (
        f"index sum is {total}, must be 1 for a bounded system: points are missing, at least 1 of index {kind}"
        in repr(seen)
    )


def test_the_flow_of_the_same_network_has_the_same_indices(network):
    flow = networks.FlowNetwork(network.weights, np.ones(3), noise_std=0.1)
    found = dynamics.find_fixed_points(flow, 2 * jax.random.normal(jax.random.key(0), (400, 3)))
    assert found.is_bounded
    assert dynamics.index_sum(found).sums.tolist() == [1]
    np.testing.assert_array_equal(found.index, (-1) ** found.num_unstable)


def test_it_is_claimed_only_where_there_is_a_theory():
    """X⁺ = x + x²: the sum over both ends of a line says nothing; a relu network is unbounded, an LSTM is not."""
    double = dynamics.find_fixed_points(lambda x: x + 0.1 * (x**2 - 1), np.linspace(-2, 2, 9)[:, None])
    total = dynamics.index_sum(double)
    assert total.sums.tolist() == [0]
    assert total.expected is None
    assert not total.is_consistent
    assert "what it must be is known of bounded systems only" in repr(total)
    assert dynamics.index_sum(double, bounded=True).expected == 1
    key = jax.random.key(0)
    relu = networks.RateNetwork(np.eye(2), np.ones(2), noise_std=0.1, nonlinearity="relu")
    stack = networks.StackedNetwork([networks.GRU(1, 1, 1, key=key), networks.GRU(1, 1, 1, key=key)])
    single = networks.GRU(1, 2, 1, key=key), networks.RNN(1, 2, 1, key=key, nonlinearity="logistic")
    kinds = [relu, stack, *single]
    bounded = [dynamics.find_fixed_points(kind, np.zeros((1, 2)), adam_steps=0).is_bounded for kind in kinds]
    assert bounded == [False, True, True, True]


def test_inputs_have_sums_of_their_own():
    """X⁺ = tanh(2 x + u): three points at u = 0, of which the saddle is not among those found, one at u = 1.5."""

    def step(state, inputs):
        return jnp.tanh(2 * state + inputs)

    candidates = np.array([[-0.9], [0.9], [0.9]])
    found = dynamics.find_fixed_points(step, candidates, np.array([[0.0], [0.0], [1.5]]), adam_steps=0)
    total = dynamics.index_sum(found, bounded=True)
    assert total.inputs.tolist() == [[0.0], [1.5]]
    assert total.sums.tolist() == [2, 1]
    assert not total.is_consistent
    assert repr(total).count("at input") == 2


def test_a_neutral_mode_leaves_the_sum_open():
    found = dynamics.find_fixed_points(jnp.tanh, np.zeros((1, 1)), adam_steps=0)
    total = dynamics.index_sum(found, bounded=True)
    assert total.num_undetermined.tolist() == [1]
    assert not total.is_consistent
    assert "not known: 1 points have a neutral mode" in repr(total)


def test_wrong_arguments_say_what_is_wrong(found, as_user):
    with pytest.raises(TypeError, match=r"found must be a FixedPoints.*from dynamics\.find_fixed_points"):
        dynamics.index_sum(found.points)
    with pytest.raises(TypeError, match="bounded must be True or False"):
        dynamics.index_sum(found, bounded="yes")
