"""Continuous-time dynamic mean-field theory: reference values, limits, identities, an independent discretization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_bvp
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq

from fisherjax import _theory, connectivity, dmft, meanfield
from fisherjax.dmft import _steady
from fisherjax.nonlinearities import SmoothFunction, as_nonlinearity

GAINS = [0.5, 1.2, 1.35, 2.0]
STRUCTURE = connectivity.GainMatrix(np.array([[1.5, 2.0], [0.5, 2.5]]), np.array([0.4, 0.6]))


@pytest.mark.parametrize(
    ("gain", "variance", "energy", "exponent"),
    [
        (1.2, 0.242628895987, -0.0239811916, 0.0119195579),
        (2.0, 1.924805413737, -0.2375630457, 0.1124581096),
        (5.0, 16.964045702382, -1.0554887765, 0.4336975889),
    ],
)
def test_reference_table(gain, variance, energy, exponent):
    found = dmft.autocorrelation(gain)
    np.testing.assert_allclose(found.variance, variance, atol=1e-8)
    np.testing.assert_allclose(found.ground_state_energy, energy, atol=1e-8)
    np.testing.assert_allclose(found.lyapunov_exponent, exponent, atol=1e-9)
    assert found.regime == "chaotic"
    assert found.converged


def _moment(f, variance, covariance):
    """E[f(a) f(b)] by Gauss–Hermite quadrature in NumPy, in the conditional form; nothing of fisherjax."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    inner = np.sqrt(variance - covariance) * nodes
    outer = np.sqrt(covariance) * nodes
    return weights @ (f(outer[:, None] + inner) @ weights) ** 2


@pytest.mark.parametrize(("gain", "noise"), [(1.5, 0.0), (1.3, 0.1)])
def test_against_scipy(gain, noise):
    """Energy by root finding, profile by SciPy's boundary-value solver, exponent by finite differences."""

    def force(c, variance):
        return gain**2 * _moment(np.tanh, variance, c) - c

    def energy(variance):
        return noise**2 / 2 + quad(force, 0, variance, args=(variance,), epsabs=1e-12)[0]

    variance = brentq(energy, 0.05, 2.0, xtol=1e-13)
    found = dmft.autocorrelation(gain, noise_std=jnp.sqrt(noise))
    np.testing.assert_allclose(found.variance, variance, rtol=1e-9)
    table = np.polynomial.Chebyshev.interpolate(lambda c: np.vectorize(force)(c, variance), 40, [0, variance])
    slopes = np.polynomial.Chebyshev.interpolate(
        np.vectorize(lambda c: gain**2 * _moment(lambda x: 1 / np.cosh(x) ** 2, variance, c)), 40, [0, variance]
    )
    kappa = np.sqrt(1 - slopes(0.0))
    lags = np.linspace(0, 12 / kappa, 400)
    start = variance * np.exp(-kappa * lags) if noise else variance / np.cosh(kappa * lags)
    solved = solve_bvp(
        lambda t, y: np.stack([y[1], -table(np.clip(y[0], 0, variance))]),
        lambda left, right: np.array([left[1] + noise, right[1] + kappa * right[0]]),
        lags,
        np.stack([start, np.gradient(start, lags)]),
        tol=1e-8,
        max_nodes=20_000,
    )
    assert solved.success
    asked = np.linspace(0, 8 / kappa, 30)
    values = dmft.autocorrelation(gain, noise_std=np.sqrt(noise), lags=asked).values
    np.testing.assert_allclose(values, solved.sol(asked)[0], atol=2e-6 * variance)
    # ground state on the half line, twice, for Richardson's extrapolation
    energies = []
    for count in (2000, 4000):
        fine = np.linspace(0, 20 / kappa, count)
        step = fine[1]
        well = 1 - slopes(np.clip(np.where(fine <= 12 / kappa, solved.sol(fine)[0], 0), 0, variance))
        diagonal, off = 2 / step**2 + well, np.full(count - 1, -1 / step**2)
        off[0] *= np.sqrt(2)
        energies.append(eigh_tridiagonal(diagonal, off, select="i", select_range=(0, 0))[0][0])
    energy = (4 * energies[1] - energies[0]) / 3
    np.testing.assert_allclose(found.ground_state_energy, energy, atol=1e-6)


def test_transitions_out_of_the_ordinary():
    """Strong noise, activity without bound, and φ that is steepest far from zero."""
    strong = dmft.critical_gain(noise_std=100.0)
    np.testing.assert_allclose(dmft.autocorrelation(strong, noise_std=100.0).lyapunov_exponent, 0, atol=1e-9)
    with pytest.warns(RuntimeWarning, match="no such gain"):
        assert np.isnan(dmft.critical_gain(noise_std=0.1**0.5, nonlinearity="identity"))
    asked = {"noise_std": 1.0, "nonlinearity": lambda x: jnp.tanh(x - 3)}
    shifted = meanfield.critical_gain(**asked)
    exponent = meanfield.lyapunov_exponent(connectivity.homogeneous(shifted), **asked)
    np.testing.assert_allclose(exponent, 0, atol=1e-10)


@pytest.mark.parametrize(("gain", "noise"), [(100.0, 0.0), (50.0, 100.0)])
def test_large_variance_is_resolved(gain, noise):
    """More than twice the nodes change neither variance nor exponent, though both vary within 1/√Δ₀ of zero lag."""
    coarse, fine = (dmft.autocorrelation(gain, noise_std=np.sqrt(noise), num_nodes=n) for n in (97, 225))
    np.testing.assert_allclose(coarse.variance, fine.variance, rtol=1e-10)
    np.testing.assert_allclose(coarse.lyapunov_exponent, fine.lyapunov_exponent, atol=1e-6)


def test_noisy_transition():
    critical = dmft.critical_gain(noise_std=0.1**0.5)
    np.testing.assert_allclose(critical, 1.42503417, atol=1e-8)
    np.testing.assert_allclose(dmft.autocorrelation(critical, noise_std=0.1**0.5).variance, 0.63922274, atol=1e-8)
    np.testing.assert_allclose(dmft.local_stability_gain(noise_std=0.1**0.5), 1.24747185, atol=1e-8)
    between = dmft.autocorrelation(1.35, noise_std=0.1**0.5)
    assert between.regime == "expanding"
    assert between.local_growth > 0 > between.lyapunov_exponent


def test_transition_without_noise():
    np.testing.assert_allclose(dmft.critical_gain(noise_std=0.0), 1, rtol=1e-12)
    # where φ(0) ≠ 0 it is a fixed point that loses its stability
    critical = dmft.critical_gain(noise_std=0.0, nonlinearity="logistic")
    resting = dmft.autocorrelation(0.999 * critical, nonlinearity="logistic")
    assert resting.regime == "fixed"
    np.testing.assert_allclose(resting.values, resting.variance)
    static = meanfield.stationary_state(
        connectivity.homogeneous(0.999 * critical), noise_std=0.0, nonlinearity="logistic"
    )
    np.testing.assert_allclose(resting.variance, static.variance[0], rtol=1e-10)
    moving = dmft.autocorrelation(1.001 * critical, nonlinearity="logistic")
    assert moving.regime == "chaotic"
    assert moving.variance > moving.static_variance > 0


@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
def test_near_critical(epsilon):
    """Δ ≈ ε sech(ετ/√3), λ ≈ ε²/2, each up to a relative correction of order ε."""
    lags = np.linspace(0, 6 / epsilon, 40)
    found = dmft.autocorrelation(1 + epsilon, lags=lags)
    expected = epsilon / np.cosh(epsilon * lags / np.sqrt(3))
    np.testing.assert_allclose(found.values, expected, atol=3 * epsilon**2)
    np.testing.assert_allclose(found.lyapunov_exponent, epsilon**2 / 2, rtol=6 * epsilon)
    np.testing.assert_allclose(found.relaxation_time, np.sqrt(3) / epsilon, rtol=3 * epsilon)


def test_strong_coupling():
    """Δ₀/g² → 2(1 − 2/π), from E|x| of the sign function; the correction falls as 1/g."""
    limit = 2 * (1 - 2 / np.pi)
    gaps = [limit - float(dmft.autocorrelation(gain).variance) / gain**2 for gain in (25.0, 50.0, 100.0)]
    assert 0 < gaps[2] < 1e-3
    np.testing.assert_allclose([gaps[0] / gaps[1], gaps[1] / gaps[2]], [4, 4], rtol=0.2)


@pytest.mark.parametrize("gain", [0.0, 0.3, 0.9])
def test_linear_network(gain):
    """Δ(τ) = s₂ exp(−τ√(1 − g²)) / √(1 − g²), λ = g − 1."""
    lags = np.linspace(0, 5, 11)
    found = dmft.autocorrelation(gain, noise_std=0.3**0.5, nonlinearity="identity", lags=lags)
    rate = np.sqrt(1 - gain**2)
    np.testing.assert_allclose(found.values, 0.3 / rate * np.exp(-rate * lags), rtol=1e-10)
    np.testing.assert_allclose(found.lyapunov_exponent, gain - 1, atol=1e-5 if gain == 0 else 1e-9)


@pytest.mark.parametrize(("gain", "noise", "nonlinearity"), [(2.0, 0.0, "tanh"), (12.0, 0.0, "logistic")])
def test_energy_is_conserved(gain, noise, nonlinearity):
    """½ Δ′² + V(Δ) is the same at all lags, with V from quadrature in Δ and Δ′ from differences."""
    lags = np.linspace(0, 3, 301)
    found = dmft.autocorrelation(gain, noise_std=np.sqrt(noise), nonlinearity=nonlinearity, lags=lags)
    values = np.asarray(found.values)
    phi = as_nonlinearity(nonlinearity)

    def force(c):
        variance = jnp.full_like(jnp.asarray(c), found.variance)
        return gain**2 * np.asarray(phi.overlap(variance, variance, jnp.asarray(c))) - c

    slope = np.gradient(values, lags, edge_order=2)[1:-1]
    work = np.array([quad(force, values[k], values[0], epsabs=1e-12)[0] for k in range(1, 300, 20)])
    np.testing.assert_allclose(slope[::20] ** 2, noise**2 + 2 * work, atol=3e-4 * values[0] ** 2)
    # where it comes to rest
    limit = float(found.static_variance)
    np.testing.assert_allclose(force(limit), 0, atol=1e-9 * max(1, limit))
    total = quad(force, limit, float(found.variance), epsabs=1e-13, points=[limit + 0.99 * (values[0] - limit)])[0]
    np.testing.assert_allclose(noise**2 / 2 + total, 0, atol=1e-8 * values[0] ** 2)


def test_silence_is_no_error():
    found = dmft.autocorrelation(0.7)
    assert found.regime == "silent"
    assert found.variance == 0
    assert np.all(found.values == 0)
    np.testing.assert_allclose(found.lyapunov_exponent, -0.3, rtol=1e-12)
    np.testing.assert_allclose(found.memory, 0.49, rtol=1e-12)
    assert dmft.autocorrelation(0.7, noise_std=1e-3**0.5).regime == "driven"
    assert dmft.autocorrelation(0.0).regime == "silent"


def test_weak_noise_is_linear():
    """As s₂ → 0 below the transition, the linear network; the well is so shallow that its state is not bound."""
    found = dmft.autocorrelation(0.9, noise_std=1e-7**0.5)
    np.testing.assert_allclose(found.variance, 1e-7 / np.sqrt(1 - 0.81), rtol=1e-5)
    np.testing.assert_allclose(found.lyapunov_exponent, -0.1, atol=1e-6)


def test_a_static_bound_is_not_the_exponent():
    """Noise: the exponent lies between the static one and that of uncorrelated slopes."""
    found = dmft.autocorrelation(2.0, noise_std=0.5**0.5)
    assert np.sqrt(float(found.memory)) - 1 < found.lyapunov_exponent < found.local_growth


def test_identical_populations_are_one():
    one = dmft.autocorrelation(1.7, noise_std=0.05**0.5, lags=np.linspace(0, 20, 50))
    split = connectivity.GainMatrix(np.full((2, 2), 1.7), np.array([0.3, 0.7]))
    two = dmft.autocorrelation(split, noise_std=0.05**0.5, lags=np.linspace(0, 20, 50))
    np.testing.assert_allclose(two.values, np.tile(one.values[:, None], 2), atol=1e-10)
    for name in ("lyapunov_exponent", "memory", "local_growth", "relaxation_time"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-9)


@pytest.mark.parametrize("noise", [0.0, np.array([0.3, 0.05])])
def test_two_ways_to_coupled_populations(noise):
    """Newton's method on Legendre nodes against iteration in Fourier space."""
    spectrum = dmft.power_spectrum(STRUCTURE, noise_std=np.sqrt(noise), num_lags=512, tolerance=1e-6)
    found = dmft.autocorrelation(STRUCTURE, noise_std=np.sqrt(noise), lags=spectrum.lags)
    assert spectrum.converged
    np.testing.assert_allclose(found.values, spectrum.values, atol=2e-4 * float(found.variance.max()))
    np.testing.assert_allclose(
        spectrum.power[0], 2 * np.trapezoid(np.asarray(found.values), spectrum.lags, axis=0), rtol=1e-3
    )
    permuted = connectivity.GainMatrix(STRUCTURE.gains[::-1, ::-1], STRUCTURE.fractions[::-1])
    turned = dmft.autocorrelation(permuted, noise_std=np.sqrt(noise if np.ndim(noise) == 0 else noise[::-1]))
    np.testing.assert_allclose(turned.variance[::-1], found.variance, rtol=1e-9)
    np.testing.assert_allclose(turned.lyapunov_exponent, found.lyapunov_exponent, rtol=1e-8)


def test_fourier_form_of_one_population():
    spectrum = dmft.power_spectrum(2.0, num_lags=512, tolerance=1e-6)
    found = dmft.autocorrelation(2.0, lags=spectrum.lags)
    np.testing.assert_allclose(spectrum.values[:, 0], found.values, atol=4e-4)


def test_no_way_back_means_no_exponent_of_its_own():
    """A chain has the exponent of a single unit; a population without input is silent."""
    chain = connectivity.GainMatrix(np.array([[0.0, 0.0], [1.5, 0.0]]))
    found = dmft.autocorrelation(chain, noise_std=0.1**0.5)
    np.testing.assert_allclose(found.variance[0], 0.1, rtol=1e-10)
    np.testing.assert_allclose(found.lyapunov_exponent, -1, atol=1e-4)


@pytest.mark.parametrize("gain", [1.2, 1.42503417, 2.5])
def test_derivatives(gain):
    names = ("variance", "lyapunov_exponent", "memory")

    def values(gain, noise):
        found = dmft.autocorrelation(gain, noise_std=jnp.sqrt(noise))
        return tuple(getattr(found, name) for name in names)

    _, back = jax.vjp(values, gain, 0.1)
    step = 1e-5
    ends = [(gain + step, 0.1), (gain - step, 0.1), (gain, 0.1 + step), (gain, 0.1 - step)]
    ends = np.array([values(*end) for end in ends])
    for name, row, differences in zip(names, np.eye(3), (ends[::2] - ends[1::2]).T / (2 * step), strict=True):
        np.testing.assert_allclose(back(tuple(map(jnp.asarray, row))), differences, rtol=2e-6, err_msg=name)


def test_derivatives_of_chaos_and_of_structure():
    derivative = jax.jacfwd(lambda g: dmft.autocorrelation(g).lyapunov_exponent)(2.0)
    ends = [dmft.autocorrelation(2.0 + d).lyapunov_exponent for d in (1e-5, -1e-5)]
    np.testing.assert_allclose(derivative, (ends[0] - ends[1]) / 2e-5, rtol=1e-5)

    def exponent(gains, fraction):
        matrix = connectivity.GainMatrix(gains, jnp.stack([fraction, 1 - fraction]))
        return dmft.autocorrelation(matrix, noise_std=0.1**0.5).lyapunov_exponent

    gains, fraction, step = jnp.asarray(STRUCTURE.gains), jnp.asarray(0.4), 1e-5
    by_gain, by_fraction = jax.grad(exponent, (0, 1))(gains, fraction)
    ends = [exponent(gains.at[0, 1].add(d), fraction) for d in (step, -step)]
    np.testing.assert_allclose(by_gain[0, 1], (ends[0] - ends[1]) / (2 * step), rtol=1e-5)
    ends = [exponent(gains, fraction + d) for d in (step, -step)]
    np.testing.assert_allclose(by_fraction, (ends[0] - ends[1]) / (2 * step), rtol=1e-5)


def test_derivative_of_the_critical_gain():
    def critical(noise):
        return dmft.critical_gain(noise_std=jnp.sqrt(noise))

    # on the line λ(g, s₂) = 0 the two partial derivatives of λ tell the same slope
    gain, derivative = jax.value_and_grad(critical)(0.1)
    by_gain, by_noise = jax.grad(lambda g, s: dmft.autocorrelation(g, noise_std=jnp.sqrt(s)).lyapunov_exponent, (0, 1))(
        gain, 0.1
    )
    np.testing.assert_allclose(derivative, -by_noise / by_gain, rtol=1e-6)


def test_batches():
    gains = jnp.array([0.5, 1.3, 3.0])
    batch = jax.vmap(lambda g: dmft.autocorrelation(g, noise_std=0.02**0.5))(gains)
    single = [dmft.autocorrelation(g, noise_std=0.02**0.5) for g in gains]
    np.testing.assert_allclose(batch.variance, [s.variance for s in single], rtol=1e-10)
    np.testing.assert_allclose(batch.lyapunov_exponent, [s.lyapunov_exponent for s in single], atol=1e-10)


def test_nothing_is_compiled_twice(num_programs):
    """Neither for another gain or noise, as Python or NumPy numbers, nor for other lags or another interval."""
    dmft.autocorrelation(1.2)
    before = num_programs(_steady.steady_state)
    dmft.autocorrelation(np.float64(1.3), noise_std=np.array(0.1))
    dmft.autocorrelation(jnp.asarray(2.0), lags=np.linspace(0, 3, 7))
    dmft.autocorrelation(2, noise_std=1, max_lag=100.0)
    assert num_programs(_steady.steady_state) == before


def test_a_function_of_the_user():
    own = dmft.autocorrelation(1.5, nonlinearity=SmoothFunction(jnp.tanh, num_nodes=61))
    np.testing.assert_allclose(own.variance, dmft.autocorrelation(1.5).variance, rtol=1e-9)
    np.testing.assert_allclose(own.lyapunov_exponent, dmft.autocorrelation(1.5).lyapunov_exponent, rtol=1e-7)


def test_noise_is_one_thing():
    """σ everywhere: an unconnected unit has variance σ², and the diagram is the same theory."""
    np.testing.assert_allclose(dmft.autocorrelation(0.0, noise_std=0.5).variance, 0.25, rtol=1e-12)
    variance = dmft.autocorrelation(1.2, noise_std=0.5).variance
    np.testing.assert_allclose(variance, 0.5144814126822982, rtol=1e-10)
    np.testing.assert_allclose(dmft.phase_diagram(GAINS, [0.5, 0.6]).variance[0, 1], [variance], rtol=1e-8)


def test_phase_diagram():
    diagram = dmft.phase_diagram(GAINS, [0.0, np.sqrt(0.1)])
    names = [[_theory.REGIMES[k] for k in row] for row in np.asarray(diagram.regime)]
    assert names == [["silent", "chaotic", "chaotic", "chaotic"], ["driven", "driven", "expanding", "chaotic"]]
    one = dmft.autocorrelation(1.35, noise_std=0.1**0.5)
    np.testing.assert_allclose(diagram.memory[1, 2], one.memory, rtol=1e-8)
    np.testing.assert_allclose(diagram.variance[1, 2, 0], one.variance, rtol=1e-8)
    assert np.all(diagram.memory < 1)
    with pytest.warns(RuntimeWarning, match="at 1 of 2 points, the first at gain 1.5"):
        linear = dmft.phase_diagram([0.5, 1.5], [0.3], nonlinearity="identity")
    np.testing.assert_array_equal(linear.regime, [[2, -1]])
    assert np.isnan(linear.lyapunov_exponent[0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gain": -1.0}, "gain must be at least 0"),
        ({"gain": 2.0, "noise_std": -0.1}, "noise_std must be at least 0"),
        ({"gain": 2.0, "noise_std": np.ones(3)}, "noise_std must have shape"),
        ({"gain": 1.5, "nonlinearity": "identity"}, "grows without bound"),
        ({"gain": 1.2, "max_lag": 20.0}, "too short for the correlation to decay; it must be at least 69.2"),
        ({"gain": 2.0, "tolerance": 1e-16}, "cannot be reached in float64"),
        ({"gain": 2.0, "lags": [-1.0]}, "lags must be at least 0"),
        ({"gain": 2.0, "num_nodes": 2}, "num_nodes must be at least 9"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        dmft.autocorrelation(**arguments)


def test_wrong_arguments_of_the_others():
    with pytest.raises(ValueError, match="too short"):
        dmft.power_spectrum(1.2, max_lag=20.0, num_lags=64)
    with pytest.raises(ValueError, match="gains must be at least 0"):
        dmft.phase_diagram([-1.0], [0.1])
    with pytest.raises(ValueError, match="noise_stds must have shape"):
        dmft.phase_diagram([1.0], 0.1)


def test_single_precision():
    """Well into the driven regime float32 once began from another eigenfunction, and called λ = −0.19 a 1.48."""
    grid = [0.8, 0.95, 1.0, 2.0], [0.4, 0.8]
    with jax.enable_x64(False):
        found = dmft.phase_diagram(*grid)
        assert found.variance.dtype == jnp.float32
        alone = dmft.autocorrelation(2.0)
        assert alone.values.dtype == jnp.float32
        np.testing.assert_allclose(alone.variance, 1.924805413737, rtol=2e-5)
        np.testing.assert_allclose(alone.lyapunov_exponent, 0.1124581096, atol=2e-5)
        with pytest.raises(ValueError, match="cannot be reached in float32"):
            dmft.autocorrelation(2.0, tolerance=1e-10)
    expected = dmft.phase_diagram(*grid)
    np.testing.assert_array_equal(found.regime, expected.regime)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=5e-4)
    np.testing.assert_allclose(found.lyapunov_exponent, expected.lyapunov_exponent, atol=5e-5)


def test_a_longer_given_interval_changes_nothing():
    lags = np.linspace(0, 60, 20)
    short = dmft.autocorrelation(1.6, lags=lags)
    long = dmft.autocorrelation(1.6, lags=lags, max_lag=130.0)
    np.testing.assert_allclose(short.values, long.values, atol=1e-9)
