"""What a state knows of each past input: structures and networks, memory, capacity, horizon."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import fisher, networks, plot, simulate

EI = cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], [0.8, 0.2], [[2.0, -4.0], [2.0, -3.0]])
STREAM = np.array([0.8, -0.5, 0.3, 1.0, -0.6])


def test_a_structure_by_its_matrix():
    found = fisher.temporal_matrix(cn.homogeneous(1.2), STREAM, noise_std=0.1)
    expected = [2.20713695085, 10.41150265968, 16.12670045567, 20.6665286614, 46.66090298862]
    np.testing.assert_allclose(np.diag(found.total), expected, rtol=1e-10)
    np.testing.assert_allclose(found.memory[:, 0], expected[::-1], rtol=1e-10)
    assert found.total.shape == (5, 5)
    assert found.horizon(0.3) == 3
    assert found.horizon(10.0) == 5


def test_linear_networks_have_the_memory_matrix(key):
    """Many steps, from the last one back; closure, small noise, and the exact matrix of the stationary state."""
    weights = 0.6 * np.asarray(cn.sample_weights(cn.homogeneous(1.0), 12, key=key))
    vector = np.arange(1, 13) / 10
    network = networks.RateNetwork(weights, vector, noise_std=0.4, nonlinearity="identity")
    expected = fisher.memory_matrix(weights, vector, noise_std=0.4, num_steps=40)
    for method in ("closure", "linearized"):
        found = fisher.temporal_matrix(network, np.linspace(-1, 1, 40), form="linear", method=method)
        np.testing.assert_allclose(found.total[::-1, ::-1][:10, :10], expected[:10, :10], rtol=1e-8, atol=1e-10)


def test_drawn_networks_have_that_of_their_structure(key):
    """Excitation and inhibition, a stream of large inputs, simulated in draws of one structure with a bias."""
    units, draws = 400, 12
    theory = fisher.temporal_matrix(
        EI, STREAM[:3], noise_std=0.3, bias=(0.4, 0.2), input_pattern=(1.0, 0.3), num_units=units
    )
    drawn = simulate.draw_networks(
        EI, units, num_draws=draws, noise_std=0.3, bias=(0.4, 0.2), input_pattern=(1.0, 0.3), key=key
    )
    found = fisher.temporal_matrix(drawn, STREAM[:3], method="simulated", num_trials=100, key=key)
    # corrections are of order 1/N
    expected = np.asarray(theory.total)
    allowed = 4 * np.asarray(found.standard_error) + 10 / units * np.abs(expected)
    np.testing.assert_array_less(np.abs(np.asarray(found.total) - expected), allowed)


def test_channels_stand_beside_each_other(key):
    """Two channels into two populations: the same as one stream after the other where only one is fed."""
    inputs = np.stack([STREAM[:3], 0 * STREAM[:3]], axis=1)
    both = fisher.temporal_matrix(EI, inputs, noise_std=0.3, input_pattern=np.array([[1.0, 0.0], [0.3, 0.0]]))
    one = fisher.temporal_matrix(EI, STREAM[:3], noise_std=0.3, input_pattern=(1.0, 0.3))
    np.testing.assert_allclose(both.total[::2, ::2], one.total, rtol=1e-12)
    np.testing.assert_allclose(both.total[1::2], 0, atol=1e-15)
    assert both.memory.shape == (3, 2)


def test_capacity_and_the_inputs_that_fill_it():
    found = fisher.temporal_matrix(cn.homogeneous(1.2), STREAM, noise_std=0.5)
    plain = found.capacity(0.1)
    assert float(plain) == pytest.approx(float(found.capacity(0.1 * np.eye(5))))
    best = found.best_covariance(0.1)
    assert float(jnp.trace(best)) == pytest.approx(0.5)
    assert float(found.capacity(best)) > float(plain)
    # no exchange of power between modes of F improves it
    values, vectors = jnp.linalg.eigh(found.total)
    poured = jnp.diagonal(vectors.T @ best @ vectors)
    marginal = values / (1 + values * poured)
    wet = poured > 1e-9
    np.testing.assert_allclose(marginal[wet], marginal[wet][0], rtol=1e-9)
    assert np.all(marginal[~wet] <= marginal[wet][0])


def test_saved_and_loaded(tmp_path):
    found = fisher.temporal_matrix(cn.homogeneous(1.2), STREAM, noise_std=0.1)
    loaded = type(found).load(found.save(tmp_path / "matrix"))
    np.testing.assert_array_equal(loaded.total, found.total)
    matrix, memory, modes = plot.temporal_matrix(loaded)
    np.testing.assert_allclose(memory.lines[0].get_ydata(), found.memory[:, 0])
    assert matrix.images
    assert len(modes.lines) == 4


def _network():
    return networks.RateNetwork(np.eye(3), np.ones(3), noise_std=0.1)


BAD = [
    (lambda: fisher.temporal_matrix(EI, STREAM), ValueError, "noise_std must be given for a structure"),
    (lambda: fisher.temporal_matrix(EI, STREAM, noise_std=0.1, method="closure"), ValueError, "method is of a network"),
    (lambda: fisher.temporal_matrix(_network(), STREAM, noise_std=0.1), ValueError, "noise_std is of a structure"),
    (lambda: fisher.temporal_matrix(_network(), STREAM, method="exact"), ValueError, "method must be"),
    (lambda: fisher.temporal_matrix(_network(), STREAM, method="simulated"), ValueError, "needs num_trials and key"),
    (lambda: fisher.temporal_matrix(_network(), STREAM, num_trials=9), ValueError, "num_trials is of method"),
    (lambda: fisher.temporal_matrix(EI, [], noise_std=0.1), ValueError, "inputs must hold at least one step"),
    (lambda: fisher.temporal_matrix(jax.nn.relu, STREAM), TypeError, "network must be"),
]  # fmt: skip


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
