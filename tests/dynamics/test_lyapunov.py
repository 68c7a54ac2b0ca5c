"""Lyapunov exponents where numbers end: rounding, singular Jacobians, divergence, correlated exponents."""

import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import dynamics
from fisherjax.dynamics._lyapunov import LyapunovSpectrum
from fisherjax.dynamics._tangents import product_ranks
from fisherjax.networks import FlowNetwork


def henon(state):
    return jnp.array([1 - 1.4 * state[0] ** 2 + state[1], 0.3 * state[0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_steps_between_decompositions_give_the_same_exponents(key, dtype):
    """The Hénon map: 0.419 and −1.623 (their sum is ln 0.3 exactly), however far apart decompositions are asked for."""
    start = np.array([0.1, 0.1], dtype)
    found = [
        dynamics.lyapunov_spectrum(henon, start, key=key, num_steps=2000, steps_per_qr=interval)
        for interval in (1, 20, 50)
    ]
    for spectrum in found:
        np.testing.assert_allclose(spectrum.exponents, found[0].exponents, atol=2e-5)
        np.testing.assert_allclose(spectrum.exponents.sum(), np.log(0.3), atol=2e-5)
        assert np.all(np.abs(spectrum.exponents - [0.4192, -1.6232]) < 4 * spectrum.standard_error)
        np.testing.assert_allclose(spectrum.dimension, found[0].dimension, rtol=1e-5)


def test_what_a_single_step_hides_is_not_told_as_a_number(key):
    """ln 10⁻²⁰ cannot be told from −∞ in float64: NaN, last, in no sum; the dimension needs only what comes before."""

    def shrinking(state):
        return jnp.array([1.5, 1e-20, 0.5]) * state

    with pytest.warns(RuntimeWarning, match="1 Lyapunov exponents are not resolved and NaN"):
        found = dynamics.lyapunov_spectrum(shrinking, np.zeros(3), key=key, num_steps=40)
    np.testing.assert_allclose(found.exponents[:2], np.log([1.5, 0.5]), atol=1e-12)
    assert np.isnan(found.exponents[2])
    assert np.isnan(found.standard_error[2])
    np.testing.assert_allclose(found.dimension, 1 + np.log(1.5) / np.log(2))
    assert np.isnan(LyapunovSpectrum(np.array([0.5, -0.1, np.nan]), np.zeros(3)).dimension)


@pytest.mark.parametrize(
    ("step", "finite"),
    [
        (lambda x: jnp.array([1 - 1.4 * x[0] ** 2, 0.3 * x[0], jnp.sin(x[0])]), 1),  # ignores two coordinates
        (lambda x: jnp.stack([0.5 * x[0] + 0.3 * x[1] - 0.1 * x[2]] * 3), 1),  # equal rows, none of which is zero
        (lambda x: jnp.array([x[1], x[2], 0 * x[0]]), 0),  # a shift: singular three times over
    ],
    ids=["ignored", "equal rows", "shift"],
)
def test_singular_jacobians_have_minus_infinity(key, step, finite):
    found = dynamics.lyapunov_spectrum(step, np.full(3, 0.1), key=key, num_steps=40)
    assert np.isfinite(found.exponents).tolist() == [True] * finite + [False] * (3 - finite)
    assert np.isneginf(found.exponents[finite:]).all()
    assert np.isnan(found.standard_error[finite:]).all()


def test_exact_rank_sees_through_rounding():
    rng = np.random.default_rng(0)
    low = rng.integers(-9, 9, (6, 2)) @ rng.integers(-9, 9, (2, 6)) * 2.0**-40
    assert list(product_ranks([low, rng.normal(size=(6, 6))])) == [2, 2]
    nearly = np.diag([1.0, 1e-300, 1e-20])
    assert list(product_ranks([nearly, nearly])) == [3, 3]
    assert list(product_ranks([np.eye(4, k=1)] * 4)) == [3, 2, 1, 0]


def test_trajectories_that_leave_say_so(key):
    with pytest.raises(ValueError, match=r"initial_state leads to a trajectory that diverges: not finite after \d+"):
        dynamics.lyapunov_spectrum(lambda x: 2 * x, np.ones(2), key=key, num_steps=2000)
    with pytest.warns(RuntimeWarning, match="grows throughout.*on no attractor"):
        found = dynamics.lyapunov_spectrum(lambda x: 2 * x, np.ones(2), key=key, num_steps=40)
    np.testing.assert_allclose(found.exponents, np.log(2))
    with pytest.raises(ValueError, match="no finite derivative"):
        dynamics.lyapunov_spectrum(lambda x: jnp.sqrt(jnp.abs(x)) * 0, np.zeros(2), key=key, num_steps=20)


def test_errors_of_correlated_exponents_cover(key):
    """X⁺ = u(t) x with ln |u| an autoregression of 0.9 and mean −0.3: 2 errors cover in 95 %, some 90 % of draws."""
    noise = np.random.default_rng(5).normal(size=(60, 440))
    logs = np.zeros_like(noise)
    for time in range(1, 440):
        logs[:, time] = 0.9 * logs[:, time - 1] + 0.2 * noise[:, time]
    covered = []

    def driven(state, factor):
        return state * factor

    for row in logs:
        found = dynamics.lyapunov_spectrum(
            driven, np.zeros(1), np.exp(row - 0.3)[:, None], key=key, num_steps=400, warm_up=40
        )
        covered.append(abs(found.exponents[0] + 0.3) < 2 * found.standard_error[0])
    assert np.mean(covered) > 0.85


def test_other_numbers_of_steps_compile_nothing(key, num_programs):
    from fisherjax.dynamics import _tangents

    def spectrum(num_steps, interval):
        return dynamics.lyapunov_spectrum(henon, np.zeros(2), key=key, num_steps=num_steps, steps_per_qr=interval)

    spectrum(40, 1)
    before = num_programs(_tangents.follow)
    spectrum(80, 2)
    assert num_programs(_tangents.follow) == before


def test_flow_refuses_long_steps_and_other_things_than_networks(as_user, key):
    with pytest.raises(ValueError, match="dt must be at most 1"):
        FlowNetwork(np.zeros((2, 2)), np.zeros(2), noise_std=0.0, dt=2.0)
    with pytest.raises(ValueError, match="dt must be at most 1"):
        dynamics.measure_lyapunov_exponent(1.5, num_units=8, num_draws=1, key=key, duration=300.0, dt=2.0)
    with pytest.raises(ValueError, match="noisy needs a network"):
        dynamics.lyapunov_spectrum(jnp.tanh, np.zeros(2), key=key, num_steps=20, noisy=True)
    with pytest.raises(TypeError, match="dtype must be 'float32' or 'float64'"):
        dynamics.measure_lyapunov_exponent(1.5, num_units=8, num_draws=1, key=key, dtype="half")
