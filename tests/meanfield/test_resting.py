"""Stationary states of structures with means and biases: branches, stability, derivatives, critical lines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import meanfield
from fisherjax._theory import REGIMES
from fisherjax.nonlinearities import as_nonlinearity

EI = cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], [0.8, 0.2], [[2.0, -4.0], [2.0, -3.0]])
LOOP = cn.GainMatrix([[0.5, 0.5], [0.5, 0.5]], [0.8, 0.2], [[2.0, -9.0], [3.0, -2.0]])
RESTING = {"noise_std": 0.3, "bias": (0.4, 0.2), "bias_std": 0.2}


def likewise(gain):
    """One population that excites itself."""
    return cn.GainMatrix([[0.8]], means=[[gain]])


@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_rest_is_where_the_recursion_settles(phi):
    state = meanfield.stationary_state(EI, **RESTING, nonlinearity=phi)
    order = meanfield.propagate(EI, stimulus=0.0, num_steps=300, **RESTING, nonlinearity=phi)
    for name in ("mean", "variance", "overlap", "noise_variance"):
        np.testing.assert_allclose(getattr(state, name), getattr(order, name)[-1], rtol=1e-8)
    assert state.converged
    assert state.stable
    operator = meanfield.diffusion_operator(EI, **RESTING, nonlinearity=phi)
    np.testing.assert_allclose(operator.matrix, order.diffusion[-1], rtol=1e-8)


@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_implicit_derivatives(phi):
    def numbers(shift):
        network = cn.GainMatrix(EI.gains + 0.3 * shift, EI.fractions, EI.means * (1 + shift))
        resting = {"noise_std": 0.3 + shift, "bias": jnp.array([0.4, 0.2]) + shift, "bias_std": 0.2 + shift}
        state = meanfield.stationary_state(network, **resting, nonlinearity=phi)
        exponent = meanfield.lyapunov_exponent(network, **resting, nonlinearity=phi)
        return jnp.stack([*state.mean, *state.noise_variance, state.growth, exponent])

    compiled = jax.jit(numbers)
    difference = (compiled(1e-5) - compiled(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jacfwd(numbers)(0.0), difference, rtol=1e-6)


def test_where_no_overlap_is_yet_its_derivative_is_there():
    """Odd φ without a bias has C = 0, to which a bias adds: √C has no slope there, the noise variance has."""

    def noise(bias_variance):
        one = cn.GainMatrix([[0.9]], means=[[0.0]])
        return meanfield.stationary_state(one, noise_std=0.3, bias_std=jnp.sqrt(bias_variance)).noise_variance[0]

    difference = (noise(2e-6) - noise(1e-6)) / 1e-6
    np.testing.assert_allclose(jax.grad(noise)(1e-12), difference, rtol=1e-4)


def test_every_state_of_a_population_that_excites_itself():
    """Two that it may stay in, and between them one that it leaves."""
    up, middle, down = 1, 2, 0
    states = meanfield.stationary_states(likewise(2.0), noise_std=0.1)
    assert [bool(state.stable) for state in states] == [True, True, False]
    np.testing.assert_allclose(states[up].mean, -states[down].mean, rtol=1e-9)
    assert abs(float(states[middle].mean[0])) < 1e-9
    followed = meanfield.stationary_state(likewise(2.001), noise_std=0.1, start=states[middle])
    assert followed.growth > states[middle].growth > 1
    np.testing.assert_allclose(
        meanfield.stationary_state(likewise(2.0), noise_std=0.1, start=0.1).mean, states[up].mean, rtol=1e-9
    )


def test_growth_is_that_of_the_recursion():
    resting = {"noise_std": 0.1, "bias": 0.1}
    state = meanfield.stationary_state(likewise(1.5), **resting, start=1.0)
    order = meanfield.propagate(likewise(1.5), stimulus=1.3, num_steps=14, **resting)
    left = order.mean[:, 0] - state.mean[0]
    np.testing.assert_allclose(left[-1] / left[-2], state.growth, rtol=1e-4)


def test_critical_mean_in_closed_form():
    """Silence of an odd φ is left at M = 1/⟨φ′⟩, the average over the state without means."""
    variance = meanfield.stationary_state(cn.homogeneous(0.8), noise_std=0.1).variance[0]
    expected = 1 / as_nonlinearity("tanh").mean_slope(variance)
    np.testing.assert_allclose(meanfield.critical_mean(likewise(1.0), noise_std=0.1), expected, rtol=1e-9)


def test_an_oscillation_begins_where_the_growth_is_one():
    resting = {"noise_std": 0.3, "bias": (0.1, 0.1)}

    def critical(noise):
        return meanfield.critical_mean(LOOP, noise_std=noise, bias=(0.1, 0.1))

    factor = float(critical(0.3))
    network = cn.GainMatrix(LOOP.gains, LOOP.fractions, factor * LOOP.means)
    np.testing.assert_allclose(meanfield.stationary_state(network, **resting).growth, 1, rtol=1e-9)
    # of shifts of the populations, not of single units
    np.testing.assert_allclose(meanfield.lyapunov_exponent(network, **resting), 0, atol=1e-9)
    slope, difference = jax.grad(critical)(0.3), (critical(0.301) - critical(0.299)) / 2e-3
    np.testing.assert_allclose(slope, difference, rtol=1e-4)
    diagram = meanfield.phase_diagram([0.5, 4.0], [0.1], gain_matrix=network.scaled(1.05), bias=(0.1, 0.1))
    assert [REGIMES[k] for k in np.asarray(diagram.regime[0])] == ["unstable", "chaotic"]
    with pytest.warns(RuntimeWarning, match="there is no such gain"):
        assert jnp.isnan(meanfield.critical_mean(EI, noise_std=0.3, bias=(0.4, 0.2)))


def test_chaos_of_a_structure_with_means():
    factor = float(meanfield.critical_gain(gain_matrix=EI, **RESTING))
    network = cn.GainMatrix(factor * EI.gains, EI.fractions, EI.means)
    np.testing.assert_allclose(meanfield.lyapunov_exponent(network, **RESTING), 0, atol=1e-9)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: meanfield.critical_mean(cn.homogeneous(1.0), noise_std=0.1), "gain_matrix has no means to scale"),
        (lambda: meanfield.stationary_state(EI, noise_std=0.1, bias=np.ones(3)), "bias must have shape"),
        (lambda: meanfield.stationary_state(EI, noise_std=0.1, bias_std=-1.0), "bias_std must be at least 0"),
        (lambda: meanfield.stationary_state(EI, noise_std=0.1, start=np.ones(3)), "start must have shape"),
        (lambda: meanfield.diffusion_operator(EI, **RESTING).memory_horizon(), "memory_horizon follows the operator"),
        (lambda: jax.jit(lambda x: meanfield.stationary_states(EI, noise_std=x))(0.1), "stationary_states needs known"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
