"""Periodic orbits of maps and flows in which they are known."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from fisherjax import dynamics, networks
from fisherjax.dynamics._orbits import PeriodicOrbits

CANDIDATES = np.linspace(0.02, 0.98, 60)[:, None]


def logistic(state, rate):
    return rate * state * (1 - state)


@pytest.fixture(scope="module")
def doubled():
    """Orbits of period two at several rates, one program for all."""
    rates = np.repeat([3.2, 3.9], len(CANDIDATES))[:, None]
    return dynamics.find_periodic_orbits(logistic, np.tile(CANDIDATES, (2, 1)), rates, period=2)


def test_period_two_of_the_logistic_map_in_closed_form(doubled):
    """X± = (r + 1 ± √((r − 3)(r + 1)))/2r with the multiplier 4 + 2r − r²; fixed points are not of period two."""
    assert len(doubled) == 2
    assert doubled.kind == ("attractor", "repeller")
    for orbit, rate, multipliers in zip(doubled.orbits, doubled.inputs[:, 0], doubled.multipliers, strict=True):
        expected = (rate + 1 + np.array([-1, 1]) * np.sqrt((rate - 3) * (rate + 1))) / (2 * rate)
        np.testing.assert_allclose(orbit[:, 0], expected, rtol=1e-12)
        np.testing.assert_allclose(multipliers, [4 + 2 * rate - rate**2], rtol=1e-12)
    assert doubled.num_lower > 20
    assert doubled.basin.sum() + doubled.num_lower <= 120
    assert "1 × attractor, 1 × repeller of period 2" in repr(doubled)


@pytest.mark.parametrize(("period", "count"), [(3, 2), (4, 3)])
def test_how_many_orbits_the_full_logistic_map_has(period, count):
    """At r = 4, x = sin²(πθ/2) makes it θ ↦ 2θ: 2 orbits of period three, 3 of four, all multipliers ±2^p."""
    found = dynamics.find_periodic_orbits(
        lambda x: 4 * x * (1 - x), np.linspace(0.003, 0.997, 200)[:, None], period=period
    )
    assert found.orbits.shape == (count, period, 1)
    np.testing.assert_allclose(np.abs(found.multipliers), 2**period, rtol=1e-9)
    moved = 4 * found.orbits * (1 - found.orbits)
    np.testing.assert_allclose(np.roll(moved, 1, axis=1), found.orbits, atol=1e-10)
    angles = np.sort(np.arcsin(np.sqrt(found.orbits[:, :, 0])).ravel() * 2 / np.pi)
    denominators = angles[:, None] * np.array([2**period - 1, 2**period + 1])
    assert np.abs(denominators - np.round(denominators)).min(axis=1).max() < 1e-9


def test_period_two_of_the_henon_map():
    """X = (1 − b ± √(4a − 3(1 − b)²))/2a, with the product of multipliers b² and the trace 4a² x₊ x₋ + 2b."""
    a, b = 1.4, 0.3
    found = dynamics.find_periodic_orbits(
        lambda x: jnp.array([1 - a * x[0] ** 2 + x[1], b * x[0]]),
        np.random.default_rng(0).normal(size=(40, 2)),
        period=2,
    )
    roots = (1 - b + np.array([-1, 1]) * np.sqrt(4 * a - 3 * (1 - b) ** 2)) / (2 * a)
    assert found.kind == ("1-saddle",)
    np.testing.assert_allclose(found.orbits[0, :, 0], roots, rtol=1e-12)
    np.testing.assert_allclose(found.orbits[0, :, 1], b * roots[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.multipliers[0].prod(), b**2, rtol=1e-12)
    np.testing.assert_allclose(found.multipliers[0].sum(), 4 * a**2 * roots.prod() + 2 * b, rtol=1e-12)


RATES = jnp.array([1.0, 3.0])


def oscillator(state, kind):
    """Stuart and Landau's oscillator, or van der Pol's."""
    x, y = state
    radius = x**2 + y**2
    first = jnp.array([x - RATES[1] * y - x * radius, RATES[1] * x + y - y * radius])
    second = jnp.array([y, (1 - x**2) * y - x])
    return jnp.where(kind[0] > 0, second, first)


@pytest.fixture(scope="module")
def cycles():
    """Both oscillators from eight states each, one program for both."""
    states = 1.5 * np.random.default_rng(0).normal(size=(8, 2))
    held = [np.zeros(1), np.ones(1)]
    flow = networks.Flow(oscillator)
    return [
        dynamics.find_periodic_orbits(flow, states, held[kind], period=guess, newton_steps=20, marquardt_steps=50)
        for kind, guess in ((0, 2.5), (1, 6.0))
    ]


def test_the_limit_cycle_of_stuart_and_landau(cycles):
    """Radius 1, period 2π/ω, multiplier e^{−2T}, and 1 along the orbit."""
    found, period = cycles[0], 2 * np.pi / 3
    assert found.kind == ("attractor",)
    assert abs(found.period[0] - period) < 2 * found.period_error[0] < 1e-8
    np.testing.assert_allclose(np.linalg.norm(found.orbits, axis=2), 1, atol=1e-9)
    np.testing.assert_allclose(found.multipliers, [[np.exp(-2 * period)]], rtol=1e-7)
    np.testing.assert_allclose(found.trivial, 1, atol=1e-10)
    angles = np.unwrap(np.arctan2(*found.orbits[0].T[::-1]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 120, rtol=1e-7)


def test_the_period_of_van_der_pol(cycles):
    """6.6632868593231301896996820305, at μ = 1 (Amore, Boyd & Fernández 2018); its multiplier is e^{∮ div}."""
    found = cycles[1]
    assert found.kind == ("attractor",)
    assert abs(found.period[0] - 6.66328685932313) < 2 * found.period_error[0] < 2e-8
    divergence = found.period[0] * np.mean(1 - found.orbits[0, :, 0] ** 2)  # the mean over a period converges fast
    np.testing.assert_allclose(found.multipliers, [[np.exp(divergence)]], rtol=1e-6)
    assert found.basin[0] + found.num_lower <= 8
    assert found.basin[0] >= 5


def test_orbits_of_a_network_that_rotates():
    """Two tanh units that turn by a right angle at gain g: (a, 0), (0, a), (−a, 0), (0, −a) with a = g tanh a."""
    gain = 1.5
    network = networks.RateNetwork(gain * np.array([[0.0, -1.0], [1.0, 0.0]]), np.ones(2), noise_std=0.1)
    root = scipy.optimize.brentq(lambda a: gain * np.tanh(a) - a, 0.5, 2)
    angles = np.linspace(0, 2 * np.pi, 25)[:-1]
    found = dynamics.find_periodic_orbits(network, np.stack([np.cos(angles), np.sin(angles)], 1), period=4)
    shown = found.orbits[np.argmin(np.abs(found.orbits).min(axis=(1, 2)))]
    np.testing.assert_allclose(shown, [[-root, 0], [0, -root], [root, 0], [0, root]], atol=1e-9)


def test_saved_orbits_come_back(doubled, tmp_path):
    loaded = PeriodicOrbits.load(doubled.save(tmp_path / "orbits"))
    np.testing.assert_array_equal(loaded.orbits, doubled.orbits)
    assert loaded.kind == doubled.kind


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("step", "changes", "error", "message"),
    [
        (jnp.tanh, {"period": 1}, ValueError, "period must be at least 2"),
        (jnp.tanh, {"period": 2.5}, TypeError, "period must be an integer"),
        (networks.Flow(jnp.tanh), {"period": -1.0}, ValueError, "period must be above 0"),
        (networks.Flow(jnp.tanh), {"period": 1.0}, ValueError, "at least two dimensions"),
        (jnp.tanh, {"period": 2, "tolerance": 0.0}, ValueError, "tolerance must be above 0"),
        (jnp.tanh, {"period": 2, "newton_steps": -1}, ValueError, "newton_steps must be at least 0"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(step, changes, error, message):
    with pytest.raises(error, match=message):
        dynamics.find_periodic_orbits(step, np.ones((3, 1)), **changes)
