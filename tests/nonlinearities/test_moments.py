"""Gaussian moments against adaptive references, identities and each other."""

import functools
import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import moment

from fisherjax.nonlinearities import Erf, Identity, Logistic, SmoothFunction, Tanh, ThresholdLinear, as_nonlinearity
from fisherjax.nonlinearities._mixture import kolmogorov_rule

VARIANCES = (1e-6, 0.01, 1.0, 16.0, 300.0, 1e4)
RATIOS = (-1.0, -0.6, 0.0, 0.35, 0.9, 0.9999, 1.0)


def array(x):
    return jnp.asarray(x, jnp.float64)


def name_of(phi):
    return phi.function.__name__ if isinstance(phi, SmoothFunction) else repr(phi)


def panels(reach, features=(0.0,)):
    """Break points for an adaptive rule: dense at the origin, where a nonlinearity bends."""
    inner = [x for x in (0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if x < reach]
    points = {-reach, 0.0, reach, *features, *inner, *(-x for x in inner)}
    return sorted(points)


def reference_one_point(function, variance):
    """E[f(x)] by mpmath's adaptive Gauss–Legendre, breaking the range at the function's features."""
    deviation = mpmath.sqrt(variance)
    density = lambda x: mpmath.exp(-(x**2) / (2 * variance)) / (deviation * mpmath.sqrt(2 * mpmath.pi))  # noqa: E731
    return float(mpmath.quad(lambda x: function(x) * density(x), panels(float(10 * deviation))))


def composite(breaks, order):
    """Gauss–Legendre nodes and weights on consecutive panels."""
    x, w = np.polynomial.legendre.leggauss(order)
    half, middle = np.diff(breaks) / 2, (breaks[1:] + breaks[:-1]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def reference_pairs(functions, orders, variance, ratio):
    """E[f_i(a) f_j(b)] for all `orders` by dense composite rules over the common and the private parts."""
    common, private = np.sqrt(variance * abs(ratio)), np.sqrt(variance * (1 - abs(ratio)))
    grid = np.concatenate([panels(10 * common), np.linspace(-10 * common, 10 * common, 41)]) if common else None
    m, w = composite(np.unique(grid), order=24) if common else (np.zeros(1), np.ones(1))
    weight = w * np.exp(-(m**2) / (2 * common**2)) / (common * np.sqrt(2 * np.pi)) if common else w
    if private:
        # over y = center + d: panels fine at the features of the function, and two private deviations wide elsewhere
        reach = 10 * (private + common)
        count = int(np.clip(reach / private, 161, 2001))
        y, v = composite(np.unique(np.concatenate([panels(reach), np.linspace(-reach, reach, count)])), order=24)
        kernel = np.exp(-((y - m[:, None]) ** 2) / (2 * private**2)) / (private * np.sqrt(2 * np.pi))
        means = [kernel @ (v * function(y)) for function in functions]
    else:
        means = [function(m) for function in functions]
    # the rule over m is symmetric, so the mirrored conditional mean is the reversed one
    mirror = -1 if ratio < 0 else 1
    return [float(np.sum(weight * means[i] * means[j][::mirror])) for i, j in orders]


SECH2 = lambda x: 1 / np.cosh(np.clip(x, -350, 350)) ** 2  # noqa: E731
TANH_DERIVATIVES = (
    np.tanh,
    SECH2,
    lambda x: -2 * np.tanh(x) * SECH2(x),
    lambda x: SECH2(x) * (4 * np.tanh(x) ** 2 - 2 * SECH2(x)),
)


@pytest.mark.parametrize("variance", VARIANCES)
def test_tanh_one_point_moments_match_an_adaptive_reference(variance):
    mpmath.mp.dps = 25
    phi, x = Tanh(), array(variance)
    sech2 = lambda x: mpmath.sech(x) ** 2  # noqa: E731
    np.testing.assert_allclose(moment(phi, "mean_slope", x), reference_one_point(sech2, variance), rtol=1e-10)
    np.testing.assert_allclose(
        moment(phi, "second_moment", x), reference_one_point(lambda x: mpmath.tanh(x) ** 2, variance), rtol=1e-10
    )
    np.testing.assert_allclose(
        moment(phi, "slope_second_moment", x), reference_one_point(lambda x: sech2(x) ** 2, variance), rtol=1e-10
    )


@pytest.mark.parametrize(("variance", "ratio"), list(itertools.product((0.01, 1.0, 16.0, 300.0, 1e4), RATIOS)))
def test_tanh_pair_moments_match_a_dense_reference(variance, ratio):
    moments = moment(Tanh(), "two_point", array(variance), array(variance * (1 - ratio)))
    orders = ((0, 0), (1, 1), (2, 0), (2, 2), (1, 3))
    expected = reference_pairs(TANH_DERIVATIVES, orders, variance, ratio)
    np.testing.assert_allclose(moments, expected, rtol=1e-10, atol=1e-14)


def test_tanh_pair_moments_at_large_independent_variance():
    """At Δ = 10⁴ and C = 0 the moments factorize into one-point moments."""
    phi, variance = Tanh(), array(1e4)
    moments = moment(phi, "two_point", variance, variance)
    np.testing.assert_allclose(moments.slope_overlap, moment(phi, "mean_slope", variance) ** 2, rtol=1e-13)
    assert moments.overlap == 0
    assert moments.curvature_overlap == 0


def test_mixture_reproduces_tanh_pointwise():
    scales, weights = kolmogorov_rule(24)
    x = np.linspace(-10, 10, 401)
    mixture = np.sum(weights * np.asarray(jax.lax.erf(x[:, None] / (np.sqrt(2) * scales))), axis=1)
    np.testing.assert_allclose(mixture, np.tanh(x), atol=1e-13)
    assert np.isclose(weights.sum(), 1, atol=1e-14)
    assert (weights > 0).all()


@pytest.mark.parametrize("variance", VARIANCES)
def test_coarse_rule_is_good_to_1e_8(variance):
    fine, coarse = Tanh(), Tanh(num_nodes=8)
    for ratio in (0.0, 0.5, 0.99, 1.0):
        arguments = array(variance), array(variance * (1 - ratio))
        for exact, cheap in zip(*(moment(phi, "two_point", *arguments) for phi in (fine, coarse)), strict=True):
            np.testing.assert_allclose(cheap, exact, rtol=1e-8)
        spreads = [moment(phi, "spread", *arguments) for phi in (coarse, fine)]
        np.testing.assert_allclose(*spreads, rtol=1e-8)


NONLINEARITIES = [
    Tanh(),
    Erf(),
    Logistic(),
    Identity(),
    ThresholdLinear(),
    ThresholdLinear(0.7),
    SmoothFunction(jnp.sin),
]


@pytest.mark.parametrize("phi", NONLINEARITIES, ids=name_of)
@pytest.mark.parametrize(("variance", "ratio"), [(0.3, 0.5), (2.0, -0.4), (1.3, 0.95), (2.0, 0.0)])
def test_moments_match_monte_carlo_free_quadrature_of_the_function_itself(phi, variance, ratio):
    """A plain tensor rule on a fine grid, for every nonlinearity; corners limit it to 1e-4."""
    z = np.linspace(-8.5, 8.5, 1701)
    w = np.exp(-(z**2) / 2)
    w /= w.sum()
    common, private = np.sqrt(variance * abs(ratio)), np.sqrt(variance * (1 - abs(ratio)))
    sign = np.sign(ratio) or 1.0
    values = np.asarray(phi(array(common * z[:, None] + private * z)))
    mirrored = np.asarray(phi(array(sign * common * z[:, None] + private * z)))
    expected = w @ ((values @ w) * (mirrored @ w))
    overlap = moment(phi, "overlap", array(variance), array(variance), array(ratio * variance))
    np.testing.assert_allclose(overlap, expected, atol=1e-5)
    direct = np.asarray(phi(array(np.sqrt(variance) * z)))
    np.testing.assert_allclose(moment(phi, "mean", array(variance)), w @ direct, atol=1e-5)
    np.testing.assert_allclose(moment(phi, "second_moment", array(variance)), w @ direct**2, atol=1e-5)


@functools.cache
def moments_and_overlaps(phi):
    """One program for all examples."""
    return jax.jit(lambda variance, noise, at: (phi.two_point(variance, noise), phi.overlap(*at.T)))


@pytest.mark.parametrize("phi", [*NONLINEARITIES, SmoothFunction(jnp.tanh)], ids=name_of)
@given(variance=st.floats(0.02, 20.0), ratio=st.floats(-0.98, 0.98))
def test_prices_theorem(phi, variance, ratio):
    """∂_C E[φφ] = E[φ′φ′] and ∂_Δa E[φφ] = ½E[φ″φ], against central differences of the overlap."""
    covariance, step = ratio * variance, 1e-5 * variance
    asked = [
        (variance, variance, variance),
        (variance, variance, covariance + step),
        (variance, variance, covariance - step),
        (variance + step, variance, covariance),
        (variance - step, variance, covariance),
    ]
    moments, overlaps = moments_and_overlaps(phi)(array(variance), array(variance - covariance), array(asked))
    whole, *ends = np.asarray(overlaps)
    scale = abs(whole) / variance + 1e-3
    by_covariance, by_variance = (ends[0] - ends[1]) / (2 * step), (ends[2] - ends[3]) / (2 * step)
    np.testing.assert_allclose(moments.slope_overlap, by_covariance, rtol=2e-6, atol=2e-6 * scale)
    np.testing.assert_allclose(moments.curvature_value, 2 * by_variance, rtol=2e-6, atol=2e-6 * scale)


@functools.cache
def moments_and_their_derivatives(phi):
    """One program for all examples."""

    def both(variance, noise):
        slopes = jax.grad(lambda *at: phi.two_point(*at).slope_overlap, (0, 1))(variance, noise)
        return phi.two_point(variance, noise), *slopes, jax.grad(phi.spread, argnums=1)(variance, noise)

    return jax.jit(both)


@pytest.mark.parametrize("phi", [Tanh(), Erf(), Logistic(), SmoothFunction(jnp.tanh)], ids=name_of)
@given(variance=st.floats(1e-3, 30.0), ratio=st.floats(-1.0, 1.0))
def test_derivatives_of_moments_are_the_higher_moments(phi, variance, ratio):
    noise = variance * (1 - ratio)
    moments, by_variance, by_noise, spread = moments_and_their_derivatives(phi)(array(variance), array(noise))
    np.testing.assert_allclose(-by_noise, moments.curvature_overlap, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(by_variance, moments.curvature_overlap + moments.slope_third, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(spread, moments.slope_overlap, rtol=1e-9)


@functools.cache
def hessian_and_curvature_overlap(phi):
    """One program for all edges."""
    return jax.jit(lambda p: (jax.hessian(lambda q: phi.spread(q[0], q[1]))(p), phi.two_point(*p).curvature_overlap))


@pytest.mark.parametrize("phi", [Tanh(), Erf(), SmoothFunction(jnp.tanh)], ids=name_of)
@pytest.mark.parametrize(("variance", "noise"), [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0), (1e4, 0.0)])
def test_second_derivatives_are_finite_at_the_edges(phi, variance, noise):
    hessian, curvature_overlap = hessian_and_curvature_overlap(phi)(array([variance, noise]))
    assert bool(np.all(np.isfinite(hessian)))
    np.testing.assert_allclose(hessian[1, 1], -curvature_overlap, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("phi", [Tanh(), SmoothFunction(jnp.tanh), Erf()], ids=name_of)
def test_spread_keeps_its_relative_accuracy_for_tiny_noise(phi):
    """V = 10⁻¹⁴ Δ: to first order the spread is E[φ′²] V, which a difference of moments cannot resolve."""
    variance, noise = array(2.0), array(2e-14)
    np.testing.assert_allclose(phi.spread(variance, noise), phi.slope_second_moment(variance) * noise, rtol=1e-10)


def test_relu_is_the_arc_cosine_kernel():
    variance, covariance = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.3, -1.2, 0.5, 0.0])
    angle = np.arccos(covariance / variance)
    expected = variance / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
    overlap = moment(ThresholdLinear(), "overlap", *map(array, (variance, variance, covariance)))
    np.testing.assert_allclose(overlap, expected, rtol=1e-12)
    moments = moment(ThresholdLinear(), "two_point", *map(array, (variance, variance - covariance)))
    np.testing.assert_allclose(moments.slope_overlap, (np.pi - angle) / (2 * np.pi), rtol=1e-12)


@given(a=st.floats(0.1, 5.0), b=st.floats(0.1, 5.0), ratio=st.floats(-0.95, 0.95), threshold=st.floats(-1.0, 1.0))
def test_threshold_linear_pair_against_scipy(a, b, ratio, threshold):
    """P(a > θ, b > θ) from scipy's bivariate normal distribution, for unequal variances."""
    from scipy.stats import multivariate_normal

    covariance = ratio * np.sqrt(a * b)
    expected = multivariate_normal([0, 0], [[a, covariance], [covariance, b]]).cdf([-threshold, -threshold])
    value = jax.grad(ThresholdLinear(threshold).overlap, argnums=2)(array(a), array(b), array(covariance))
    np.testing.assert_allclose(value, expected, atol=1e-7)


def test_threshold_linear_at_zero_is_relu():
    assert as_nonlinearity("relu") == as_nonlinearity("threshold-linear") == ThresholdLinear(0.0)


def test_unequal_variances_agree_between_mixture_and_quadrature():
    arguments = array(0.8), array(3.1), array(0.9)
    overlaps, gradients = zip(
        *(
            jax.jit(jax.value_and_grad(phi.overlap, (0, 1, 2)))(*arguments)
            for phi in (Tanh(), SmoothFunction(jnp.tanh))
        ),
        strict=True,
    )
    np.testing.assert_allclose(*overlaps, rtol=1e-11)
    np.testing.assert_allclose(*gradients, rtol=1e-10)


@pytest.mark.parametrize("variance", [0.01, 1.0, 100.0])
def test_float32_is_good_to_a_few_units_in_the_last_place(variance):
    for ratio in (-0.5, 0.5, 0.999, 1.0):
        wide, narrow = (
            moment(Tanh(), "two_point", *(jnp.asarray(x, kind) for x in (variance, variance * (1 - ratio))))
            for kind in (jnp.float64, jnp.float32)
        )
        for exact, value in zip(wide, narrow, strict=True):
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, exact, rtol=2e-5)


@pytest.mark.parametrize(("value", "error"), [("tahn", ValueError), (3, TypeError), (None, TypeError)])
def test_bad_nonlinearity_is_refused(value, error):
    with pytest.raises(error, match="nonlinearity"):
        as_nonlinearity(value)
