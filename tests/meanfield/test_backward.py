"""Gradients on their way back: drawn networks of both ensembles, the stationary rate, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import meanfield

EI = cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], [0.8, 0.2], [[2.0, -4.0], [2.0, -3.0]])


@pytest.mark.parametrize(("structure", "ensemble"), [(EI, "gaussian"), (cn.homogeneous(1.2), "orthogonal")])
def test_drawn_networks_have_it(structure, ensemble):
    units, draws, steps, bias = 400, 8, 4, 0.2
    index = np.asarray(cn.population_index(structure, units))
    found = []
    for draw in range(draws):
        weights = np.asarray(
            cn.sample_weights(structure, units, key=jax.random.key(draw), ensemble=ensemble, dtype=jnp.float64)
        )
        lasting = bias if ensemble == "gaussian" else 0.0
        noise, state, states = np.random.default_rng(draw), 0.7 * (index == 0), []
        for _ in range(steps):
            state = weights @ np.tanh(state) + lasting + 0.3 * noise.normal(size=units)
            states.append(state)
        back, gains = np.eye(units), [1.0]
        for state in states[-2::-1]:
            back = (back @ weights) / np.cosh(state) ** 2
            gains.append(np.sum(back**2) / units)
        found.append(gains[::-1])
    entering = {"bias": bias} if ensemble == "gaussian" else {}
    expected = meanfield.gradient_gain(structure, stimulus=0.7, noise_std=0.3, num_steps=steps, **entering)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(draws)
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - expected), 4 * error + 4 * expected / units)


def test_in_the_stationary_state_it_grows_by_the_lyapunov_exponent():
    structure, noise = cn.GainMatrix([[1.3, 0.4], [0.8, 1.1]], [0.3, 0.7]), 0.3
    gains = meanfield.gradient_gain(structure, stimulus=0.0, noise_std=noise, num_steps=120)
    exponent = meanfield.lyapunov_exponent(structure, noise_std=noise)
    np.testing.assert_allclose(np.log(gains[60] / gains[61]) / 2, exponent, rtol=1e-6)


@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named():
    with pytest.raises(ValueError, match="num_steps must be at least 1"):
        meanfield.gradient_gain(EI, stimulus=0.5, noise_std=0.3, num_steps=0)
