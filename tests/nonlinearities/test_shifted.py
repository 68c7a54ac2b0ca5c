"""Gaussian moments about any mean, the Lyapunov equation, the noncentral F, and small fits, against references."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy.stats import ncf

from fisherjax._linalg import solve_discrete_lyapunov
from fisherjax._runtime import fit_parameters
from fisherjax.fisher._interval import noncentral_f_cdf, noncentrality_interval
from fisherjax.nonlinearities import Erf, Identity, Logistic, SmoothFunction, Tanh, ThresholdLinear, as_nonlinearity
from fisherjax.nonlinearities._conditional import ConditionalMoments, conditional_moments
from fisherjax.nonlinearities._piecewise import PiecewiseSmooth

NONLINEARITIES = [
    Tanh(),
    Erf(),
    Logistic(),
    Identity(),
    ThresholdLinear(0.3),
    SmoothFunction(lambda x: x / jnp.sqrt(1 + (x - 0.5) ** 2)),
    PiecewiseSmooth(lambda x: jnp.maximum(x - 0.3, 0), ((0.0, 1.0), (0.3, 1.0)), (0.3,)),
]
CENTRAL = ("value_variance", "value_third_cumulant", "value_fourth_moment")
CASES = list(itertools.product((0.0, 0.4, -2.0), (1e-4, 0.09, 1.0, 25.0)))


@eqx.filter_jit
def apply(phi, x):
    return phi(x)


@eqx.filter_jit
def means(phi, m, v, order):
    return phi.derivative_means(m, v, order)


@eqx.filter_jit
def central(phi, m, v):
    return [getattr(phi, name)(m, v) for name in CENTRAL]


@eqx.filter_jit
def slopes_of_means(phi, m, v):
    """∂/∂m and ∂/∂v of the means of orders 0 to 2."""
    return [jax.grad(lambda m, v, k=order: phi.derivative_means(m, v, k)[k], (0, 1))(m, v) for order in range(3)]


@eqx.filter_jit
def slopes_of_central(phi, m, v):
    return [jax.grad(lambda m, v, name=name: jnp.sum(getattr(phi, name)(m, v)), (0, 1))(m, v) for name in CENTRAL]


def brute_force(phi, mean, variance, corner=0.3):
    """Mean and central moments of order 2 to 4 by Gauss–Legendre panels that meet at the corner of a ramp."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    middle = np.clip((corner - mean) / np.sqrt(variance), -12, 12)
    z = np.concatenate([(b - a) / 2 * nodes + (a + b) / 2 for a, b in ((-12, middle), (middle, 12))])
    w = np.concatenate([(b - a) / 2 * weights for a, b in ((-12, middle), (middle, 12))])
    w = w * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    values = np.asarray(apply(phi, jnp.asarray(mean + np.sqrt(variance) * z)))
    center = w @ values
    return center, *(w @ (values - center) ** power for power in (2, 3, 4))


@pytest.mark.parametrize("phi", NONLINEARITIES, ids=lambda phi: type(phi).__name__)
@pytest.mark.parametrize(("mean", "variance"), CASES)
def test_moments_about_a_mean(phi, mean, variance):
    expected = brute_force(phi, mean, variance)
    m, v = jnp.asarray(mean), jnp.asarray(variance)
    second, third, fourth = central(phi, m, v)
    np.testing.assert_allclose(means(phi, m, v, 0)[0], expected[0], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(second, expected[1], rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(third, expected[2], rtol=1e-7, atol=1e-12 * max(1.0, variance**1.5))
    np.testing.assert_allclose(fourth, expected[3], rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("phi", NONLINEARITIES, ids=lambda phi: type(phi).__name__)
@pytest.mark.parametrize(("mean", "variance"), [(0.4, 0.09), (-2.0, 1.0), (0.7, 25.0)])
def test_each_order_is_the_derivative_of_the_one_below(phi, mean, variance):
    """Price's theorem: d/dm E[φ^(k)] = E[φ^(k+1)] and d/dv E[φ^(k)] = ½ E[φ^(k+2)]."""
    m, v = jnp.asarray(mean), jnp.asarray(variance)
    moments = np.asarray(means(phi, m, v, 4))
    for order, (by_mean, by_variance) in enumerate(slopes_of_means(phi, m, v)):
        np.testing.assert_allclose(by_mean, moments[order + 1], rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(by_variance, moments[order + 2] / 2, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("phi", NONLINEARITIES, ids=lambda phi: type(phi).__name__)
def test_derivatives_of_the_variance_match_differences(phi):
    m, v, h = 0.4, 0.3, 1e-5
    around = ((m + h, v), (m - h, v), (m, v + h), (m, v - h))
    moments = np.array([central(phi, *map(jnp.asarray, point)) for point in around])
    differences = (moments[::2] - moments[1::2]) / (2 * h)
    slopes = slopes_of_central(phi, jnp.asarray(m), jnp.asarray(v))
    np.testing.assert_allclose(slopes, differences.T, rtol=1e-7, atol=1e-10)


def test_moments_of_a_ramp_at_and_beyond_its_corner():
    """Slopes at the corner itself are those beside it; far beyond it nothing is lost to rounding, in float32 either."""
    ramp, v, h = ThresholdLinear(), jnp.asarray(0.7), 1e-5
    for moment in (ramp.value_variance, ramp.value_fourth_moment):
        moment = jax.jit(moment)  # noqa: PLW2901
        slope = jax.jit(jax.grad(moment))(jnp.asarray(0.0), v)
        np.testing.assert_allclose(slope, (moment(jnp.asarray(h), v) - moment(jnp.asarray(-h), v)) / (2 * h), rtol=1e-7)
    far = ramp.value_fourth_moment(jnp.asarray([3.0, 30.0], jnp.float32), jnp.asarray(0.25, jnp.float32))
    np.testing.assert_allclose(far, 3 * 0.25**2, rtol=3e-6)


def test_moments_at_variance_zero_are_values():
    m, v = jnp.asarray([0.2, -1.0]), jnp.zeros(2)
    for phi in NONLINEARITIES:
        np.testing.assert_allclose(means(phi, m, v, 2)[0], apply(phi, m), atol=1e-14)
        np.testing.assert_allclose(central(phi, m, v)[0], 0, atol=1e-30)
        assert np.all(np.isfinite(slopes_of_central(phi, m, v)[0][1]))


@pytest.mark.parametrize("name", ["softplus", jnp.arctan])
def test_means_at_variance_zero_are_derivatives(name, as_user):
    """Means were 1 to 20 % too high, whose rule was as narrow as rounding."""
    phi, m = as_nonlinearity(name), jnp.asarray([0.3, -1.2, 40.0])
    slope = jax.grad(lambda x: jnp.sum(phi(x)))
    expected = jax.jit(lambda m: (phi(m), slope(m), jax.grad(lambda x: jnp.sum(slope(x)))(m)))(m)
    for variance in (0.0, 1e-20, 1e-12):
        found = means(phi, m, jnp.asarray(np.full(3, variance)), 2)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_lyapunov_solution_and_its_derivative(key):
    first, second = jax.random.split(key)
    matrix = jnp.asarray(0.8 * np.asarray(jax.random.normal(first, (8, 8))) / np.sqrt(8))
    source = jnp.asarray(np.eye(8) + 0.1)
    solution = solve_discrete_lyapunov(matrix, source)
    np.testing.assert_allclose(solution, scipy.linalg.solve_discrete_lyapunov(matrix, source), rtol=1e-10)
    direction = jax.random.normal(second, (8, 8))
    function = jax.jit(lambda matrix: jnp.sum(solve_discrete_lyapunov(matrix, source) ** 2))
    step = 1e-6 * np.asarray(direction)
    difference = (function(matrix + step) - function(matrix - step)) / 2e-6
    np.testing.assert_allclose(np.sum(np.asarray(jax.grad(function)(matrix)) * direction), difference, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(function, (matrix,), (direction,))[1], difference, rtol=1e-6)


def test_lyapunov_of_an_unstable_matrix_is_not_a_number():
    assert np.all(np.isnan(solve_discrete_lyapunov(1.01 * jnp.eye(3), jnp.eye(3))))


@pytest.mark.parametrize(("p", "d", "noncentrality"), [(2, 50, 0.0), (1, 397, 40.0), (50, 149, 400.0), (5, 3000, 1e5)])
def test_noncentral_f_against_scipy(p, d, noncentrality):
    x = ncf.ppf(0.7, p, d, noncentrality)
    value = jax.jit(noncentral_f_cdf)(*map(jnp.asarray, (x, float(p), float(d), noncentrality)))
    np.testing.assert_allclose(value, 0.7, atol=1e-8)
    interval = jax.jit(noncentrality_interval, static_argnums=3)
    low, high = np.asarray(interval(*map(jnp.asarray, (x, float(p), float(d))), 0.9))
    np.testing.assert_allclose(ncf.cdf(x, p, d, high), 0.05, atol=1e-6)
    if noncentrality:
        np.testing.assert_allclose(ncf.cdf(x, p, d, low), 0.95, atol=1e-6)
    else:
        assert low == 0


def test_fit_finds_a_line_and_keeps_what_is_not_a_number(key):
    line = eqx.nn.Linear(1, 1, key=key)

    def loss(line, batch_key):
        x = jax.random.normal(batch_key, (64, 1))
        return jnp.mean((jax.vmap(line)(x) - (2 * x + 1)) ** 2)

    fit = fit_parameters(line, loss, key, learning_rate=0.05, num_steps=400)
    np.testing.assert_allclose([fit.last.weight[0, 0], fit.last.bias[0]], [2, 1], atol=1e-3)
    assert fit.last.in_features == 1
    assert fit.loss[-1] < 1e-5 < fit.loss[0]


def test_fit_returns_the_best_by_the_held_out_loss(key):
    """Steps that overshoot: the best parameter seen is kept, not the last."""
    fit = fit_parameters(
        jnp.asarray(1.0),
        lambda x, _: -x,
        key,
        optimizer="sgd",
        learning_rate=0.1,
        num_steps=20,
        held_out=lambda x: (x - 1.5) ** 2,
        evaluate_every=1,
    )
    np.testing.assert_allclose([fit.best, fit.last], [1.5, 3.0], atol=1e-9)


def dense_conditional(function, mean, variance):
    """υ, κ₃ and π and their derivatives in m by a fine rule in plain NumPy, derivatives as weights He_k(z)/√V^k."""
    z = np.linspace(-11, 11, 20_001)
    w = np.exp(-(z**2) / 2)
    w /= w.sum()
    x, deviation = mean + np.sqrt(variance) * z, np.sqrt(variance)
    f = function(x)
    slopes = [w @ (f * h) / deviation**k for k, h in enumerate((1 + 0 * z, z, z**2 - 1, z**3 - 3 * z))]
    c = f - slopes[0]
    spread, third, fourth = w @ c**2, w @ c**3, w @ c**4
    d = w @ (c**2 * z) / deviation
    bend = w @ (c**2 * (z**2 - 1)) / variance - 2 * slopes[1] ** 2
    third_slope = w @ (c**3 * z) / deviation - 3 * slopes[1] * spread
    a, b = slopes[1:3]
    return {
        "variance": spread, "by_mean": d, "bend": bend, "by_variance": bend / 2 + a**2,
        "rest": spread - a**2 * variance,
        "rest_by_mean": d - 2 * a * b * variance, "rest_bend": bend - 2 * (b**2 + a * slopes[3]) * variance,
        "skew": third - a * d * variance, "skew_by_mean": third_slope - (b * d + a * bend) * variance,
        "excess": fourth - spread**2 - d**2 * variance, "mean": slopes[0], "slope": a, "curvature": b,
        "third": slopes[3],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tanh", "erf", "steep"])
def test_conditional_moments_are_those_of_a_fine_rule(name):
    """At means where φ bends and where it saturates, and variances up to those of strongly amplifying networks."""
    function = (lambda x: jnp.tanh(3 * x)) if name == "steep" else name
    phi = as_nonlinearity(function)
    means, variances = np.array([0.0, 0.3, -1.2, 4.0]), np.array([0.2, 1.0, 5.0, 30.0])[:, None]
    stacked = jax.jit(lambda m, v: conditional_moments(ConditionalMoments, phi, m, v))(
        jnp.asarray(means), jnp.asarray(variances)
    )
    found = ConditionalMoments(*stacked)
    for i, variance in enumerate(variances[:, 0]):
        for j, mean in enumerate(means):
            for field, expected in dense_conditional(lambda x: np.asarray(phi(jnp.asarray(x))), mean, variance).items():
                assert float(getattr(found, field)[i, j]) == pytest.approx(expected, rel=1e-9, abs=1e-11), field


def test_odd_functions_are_known():
    assert all(as_nonlinearity(phi).odd for phi in ("tanh", "erf", "identity", jnp.arctan))
    assert not any(as_nonlinearity(phi).odd for phi in ("relu", "logistic", "softplus", lambda x: jnp.tanh(x + 1e-3)))
