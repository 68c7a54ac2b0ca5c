"""Two-time solutions: the linear network's closed form, the approach to stationarity, order of the error."""

import jax
import numpy as np
import pytest
from scipy.special import i0

from fisherjax import connectivity, dmft


def test_linear_network():
    """Δ(t, s) = v₀ e^{−(t+s)} I₀(2g√(ts)) without noise: the sum over numbers of synapses passed."""
    errors = []
    for dt in (0.1, 0.05):
        found = dmft.two_time_correlation(0.9, duration=4, initial_variance=2.0, nonlinearity="identity", dt=dt)
        t, s = np.meshgrid(found.times, found.times, indexing="ij")
        errors.append(np.abs(found.values - 2 * np.exp(-(t + s)) * i0(1.8 * np.sqrt(t * s))).max())
    assert errors[1] < 1e-4
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.2)  # second order


def test_noise_without_weights():
    """The Ornstein–Uhlenbeck process is exact at any step."""
    found = dmft.two_time_correlation(0.0, duration=2, initial_variance=0.5, noise_std=0.3**0.5, dt=0.25)
    t, s = np.meshgrid(found.times, found.times, indexing="ij")
    expected = 0.5 * np.exp(-(t + s)) + 0.3 * (np.exp(-np.abs(t - s)) - np.exp(-(t + s)))
    np.testing.assert_allclose(found.values, expected, atol=1e-14)


@pytest.mark.parametrize(("gain", "noise", "duration"), [(0.8, 0.1, 16.0), (2.0, 0.0, 40.0)])
def test_it_forgets_where_it_began(gain, noise, duration):
    late = [
        dmft.two_time_correlation(gain, duration=duration, initial_variance=start, noise_std=np.sqrt(noise), dt=0.1)
        for start in (0.2, 3.0)
    ]
    steady = dmft.autocorrelation(gain, noise_std=np.sqrt(noise), lags=np.arange(0, 4.1, 0.1))
    for found in late:
        np.testing.assert_allclose(found.values[-1, -41:][::-1], steady.values, atol=0.01 * float(steady.variance))
        np.testing.assert_allclose(found.values, np.swapaxes(found.values, 0, 1))
        lowest = np.linalg.eigvalsh(found.values).min()
        assert lowest > -1e-6 * float(steady.variance)


def test_populations():
    """Identical populations are one; a chain passes its variance on."""
    settings = {"duration": 3.0, "initial_variance": 1.0, "noise_std": 0.1**0.5, "dt": 0.1}
    one = dmft.two_time_correlation(1.5, **settings)
    two = dmft.two_time_correlation(connectivity.GainMatrix(np.full((2, 2), 1.5)), **settings)
    np.testing.assert_allclose(two.values, np.stack([one.values] * 2, axis=-1), rtol=1e-12)
    chain = connectivity.GainMatrix(np.array([[0.0, 0.0], [1.5, 0.0]]))
    passed = dmft.two_time_correlation(chain, duration=3, initial_variance=np.array([1.0, 0.0]), dt=0.1)
    np.testing.assert_allclose(passed.variance[:, 0], np.exp(-2 * np.asarray(passed.times)), rtol=1e-10)
    assert passed.variance[0, 1] == 0
    assert passed.variance[10, 1] > 0.05


def test_derivative():
    def final(gain):
        found = dmft.two_time_correlation(gain, duration=2.0, initial_variance=1.0, noise_std=0.1**0.5, dt=0.1)
        return found.values[-1, -1]

    np.testing.assert_allclose(jax.jacfwd(final)(1.5), (final(1.5 + 1e-5) - final(1.5 - 1e-5)) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": 0.0}, "duration must be above 0"),
        ({"duration": 1e4}, "more than 4000"),
        ({"duration": 1.0, "initial_variance": -1.0}, "initial_variance must be at least 0"),
        ({"duration": 1.0, "initial_variance": np.ones(3)}, "initial_variance must have shape"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        dmft.two_time_correlation(1.5, **{"initial_variance": 1.0, **arguments})
