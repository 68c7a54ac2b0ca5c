"""Fisher information in continuous time: closed forms, the small-stimulus limit, simulation."""

import numpy as np
import pytest
from scipy.special import i0

from fisherjax import connectivity, dmft, fisher

TIMES = np.arange(1.0, 6.1)


def test_pulse_in_a_linear_network():
    """F = N w² e^{−2t} I₀(2gt) √(1 − g²) / σ² in the stationary state, at any stimulus."""
    curve = fisher.continuous_curve(
        connectivity.homogeneous(0.6),
        times=TIMES,
        noise_std=0.2**0.5,
        stimulus=0.7,
        nonlinearity="identity",
        settle=15.0,
        num_units=50,
        input_pattern=[1.5],
        dt=0.1,
    )
    expected = 50 * 1.5**2 * np.exp(-2 * TIMES) * i0(1.2 * TIMES) * np.sqrt(1 - 0.36) / 0.2
    np.testing.assert_allclose(curve.total, expected, rtol=3e-3)
    np.testing.assert_allclose(curve.times, TIMES)


def test_step_without_weights():
    """dx = (−x + θw) dt + noise from rest: F = w² (1 − e^{−t})² / (σ² (1 − e^{−2t})), exact on any grid."""
    curve = fisher.continuous_curve(
        connectivity.homogeneous(0.0), times=TIMES, noise_std=0.2**0.5, protocol="step", stimulus=0.3, dt=0.5
    )
    np.testing.assert_allclose(curve.total, np.tanh(TIMES / 2) / 0.2, rtol=1e-12)


def test_small_pulse_in_a_settled_network():
    """With C = 0 and Δ stationary, D(t) = e^{−2t} I₀(2√M t): what the memory ρ(M) is the measure of."""
    steady = dmft.autocorrelation(0.9, noise_std=0.3**0.5)
    curve = fisher.continuous_curve(connectivity.homogeneous(0.9), times=TIMES, noise_std=0.3**0.5, settle=16.0, dt=0.1)
    slowest = 2 * np.sqrt(float(steady.memory)) * TIMES
    expected = np.exp(-2 * TIMES) * i0(slowest) / float(steady.variance)
    np.testing.assert_allclose(curve.total, expected, rtol=5e-3)


def test_populations(two_populations):
    """Splitting changes nothing; a population that the stimulus cannot reach knows nothing."""
    settings = {"times": [0.5, 2.0], "noise_std": 0.2**0.5, "stimulus": 0.5, "num_units": 10, "dt": 0.1}
    one = fisher.continuous_curve(connectivity.homogeneous(1.1), **settings)
    split = fisher.continuous_curve(connectivity.homogeneous(1.1, 2), input_pattern=[1.0, 1.0], **settings)
    np.testing.assert_allclose(split.total, one.total, rtol=1e-10)
    chain = connectivity.GainMatrix(np.array([[0.5, 0.0], [1.5, 0.0]]))
    forward = fisher.continuous_curve(chain, **settings)
    assert np.all(forward.by_population > 0)
    backward = fisher.continuous_curve(chain, input_pattern=[0.0, 1.0], **settings)
    assert np.all(backward.by_population[:, 0] == 0)


def test_simulation(key):
    settings = {
        "times": [0.5, 1.0, 2.0, 4.0], "noise_std": 0.3**0.5, "stimulus": 1.0, "protocol": "pulse",
        "num_units": 300, "settle": 1.0, "dt": 0.1,
    }  # fmt: skip
    matrix = connectivity.GainMatrix(np.array([[1.0, 0.5], [1.4, 0.9]]), np.array([0.4, 0.6]))
    theory = fisher.continuous_curve(matrix, **settings)
    measured = fisher.simulated_continuous_curve(matrix, **settings, num_trials=100, num_draws=6, key=key)
    assert measured.form == theory.form == "independent"
    found, expected = np.asarray(measured.total), np.asarray(theory.total)
    z = (found - expected) / np.asarray(measured.standard_error)
    close = np.abs(found / expected - 1) < 0.05
    assert np.all((np.abs(z) < 3) | close)
    np.testing.assert_allclose(measured.times, theory.times)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_std": 0.0}, "noise_std must be above 0"),
        ({"times": [0.0, 1.0]}, "times must be above 0"),
        ({"protocol": "ramp"}, "protocol must be one of"),
        ({"input_pattern": [1.0, 1.0]}, r"input_pattern must have shape \(1,\)"),
        ({"dt": 1e-4, "times": [3.0]}, "more than 4000"),
        ({"noise_std": np.ones(2)}, "noise_std must have shape"),
    ],
)
def test_wrong_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        fisher.continuous_curve(connectivity.homogeneous(1.0), **{"times": [1.0], "noise_std": 0.1, **changes})
    with pytest.raises(TypeError, match="key must be a JAX random key"):
        fisher.simulated_continuous_curve(
            connectivity.homogeneous(1.0),
            times=[1.0],
            noise_std=0.1**0.5,
            num_units=10,
            num_trials=20,
            num_draws=1,
            key=3,
        )
