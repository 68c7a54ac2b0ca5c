"""Functions of a user for a nonlinearity: known ones, kinks against closed forms, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from moments import moment
from scipy.stats import norm

from fisherjax import connectivity, fisher
from fisherjax.nonlinearities import (
    Erf,
    Identity,
    Logistic,
    Nonlinearity,
    PiecewiseSmooth,
    SmoothFunction,
    Tanh,
    ThresholdLinear,
    as_nonlinearity,
)

VARIANCE, NOISE = jnp.array([1.3, 0.02, 40.0]), jnp.array([0.4, 0.0004, 75.0])


@pytest.mark.parametrize(
    ("functions", "kind"),
    [
        ((jnp.tanh, np.tanh, jax.nn.tanh, jax.lax.tanh), Tanh()),
        ((jax.nn.relu,), ThresholdLinear()),
        ((jax.nn.sigmoid, jax.scipy.special.expit, scipy.special.expit), Logistic()),
        ((jax.nn.identity,), Identity()),
    ],
)
def test_known_functions_are_their_closed_forms(functions, kind):
    assert all(as_nonlinearity(function) == kind for function in functions)


@pytest.mark.parametrize(
    ("word", "kind"), [("sigmoid", Logistic()), ("linear", Identity()), ("threshold-linear", ThresholdLinear())]
)
def test_words_for_the_same_function(word, kind):
    assert as_nonlinearity(word) == kind


def test_rectified_tanh():
    """Values, and moments against SciPy's quadrature over the half line."""
    phi = as_nonlinearity("retanh")
    np.testing.assert_allclose(phi(jnp.array([-2.0, 0.0, 0.7])), [0.0, 0.0, np.tanh(0.7)], rtol=1e-15)
    assert phi == as_nonlinearity(phi.function)

    def expected(integrand):
        return scipy.integrate.quad(lambda x: integrand(np.tanh(x)) * norm.pdf(x, scale=np.sqrt(1.3)), 0, np.inf)[0]

    variance = jnp.array(1.3)
    np.testing.assert_allclose(moment(phi, "mean", variance), expected(lambda t: t), rtol=1e-8)
    np.testing.assert_allclose(moment(phi, "second_moment", variance), expected(lambda t: t**2), rtol=1e-8)
    np.testing.assert_allclose(moment(phi, "mean_slope", variance), expected(lambda t: 1 - t**2), rtol=1e-8)
    overlap = moment(phi, "two_point", variance, variance).slope_overlap
    np.testing.assert_allclose(overlap, expected(lambda t: 1 - t**2) ** 2, rtol=1e-8)


def test_the_error_function_without_a_factor():
    phi = as_nonlinearity(jax.lax.erf)
    assert isinstance(phi, Erf)
    np.testing.assert_allclose(phi(jnp.array(0.3)), scipy.special.erf(0.3), rtol=1e-14)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    expected = scipy.special.erf(np.sqrt(0.7) * nodes) ** 2 @ weights / weights.sum()
    np.testing.assert_allclose(moment(phi, "second_moment", jnp.array(0.7)), expected, rtol=1e-9)


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_kinks_by_their_closed_forms(threshold, as_user):
    """max(x − c, 0), written as anybody writes it, against the closed forms of the threshold-linear unit."""
    corner, written = ThresholdLinear(threshold), as_nonlinearity(lambda x: jnp.maximum(x - threshold, 0))
    assert isinstance(written, PiecewiseSmooth)
    assert written.kinks == (threshold,)

    @functools.partial(jax.jit, static_argnums=0)
    def moments(phi):
        return (
            *phi.two_point(VARIANCE, NOISE),
            phi.second_moment(VARIANCE),
            phi.second_moment_slope(VARIANCE),
            phi.slope_second_moment(VARIANCE),
            phi.mean(VARIANCE),
            *phi.derivative_means(0.3 * jnp.ones(3), VARIANCE, 3),
            phi.spread_slope(VARIANCE, NOISE),
        )

    for got, right in zip(moments(written), moments(corner), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-12)
    spread = jax.jit(written.spread)(VARIANCE, NOISE)
    np.testing.assert_allclose(
        spread, jax.jit(Nonlinearity.spread, static_argnums=0)(corner, VARIANCE, NOISE), rtol=1e-9
    )


def test_spread_of_relu_at_little_noise():
    """E[φ²] − E[φφ] tends to V/2 for V ≪ Δ, where the difference would keep no digit in float32."""
    with jax.enable_x64(False):
        variance, noise = jnp.ones(2), jnp.array([1e-4, 1e-8])
        np.testing.assert_allclose(moment(ThresholdLinear(), "spread", variance, noise), noise / 2, rtol=5e-3)


def test_leaky_relu_and_hard_tanh(as_user):
    """Sums of corners: x/100 + 0.99 max(x, 0), and −1 + max(x + 1, 0) − max(x − 1, 0)."""
    leaky, clipped = as_nonlinearity(jax.nn.leaky_relu), as_nonlinearity(jax.nn.hard_tanh)
    variance = jnp.array([0.1, 1.0, 20.0])
    np.testing.assert_allclose(moment(leaky, "second_moment", variance), variance * (1 + 1e-4) / 2, rtol=1e-10)
    root = np.sqrt(np.asarray(variance))
    inside = scipy.special.erf(1 / (root * np.sqrt(2)))
    density = np.exp(-1 / (2 * root**2)) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(
        moment(clipped, "second_moment", variance), root**2 * inside - 2 * root * density + 1 - inside, rtol=1e-10
    )
    slope = moment(clipped, "mean_slope", variance)
    np.testing.assert_allclose(slope, inside, rtol=1e-10)
    # of a pair with little in common the slopes are independent up to order C²
    overlap = moment(clipped, "two_point", variance, variance).slope_overlap
    np.testing.assert_allclose(overlap, np.asarray(slope) ** 2, rtol=1e-9)


def test_steep_is_not_a_kink(as_user):
    """tanh(50 x) has the moments of tanh at 2500 times the variance."""
    phi = as_nonlinearity(lambda x: jnp.tanh(50 * x))
    assert phi.kinks == ()
    steep, plain = (moment(f, "two_point", k * VARIANCE, k * NOISE) for f, k in ((phi, 1), (Tanh(), 2500)))
    for got, right, power in zip(steep, plain, (0, 1, 1, 2, 2), strict=True):
        np.testing.assert_allclose(got, right * 2500.0**power, rtol=1e-6, atol=1e-12)


def test_price_s_theorem_across_a_kink(as_user):
    """Derivatives of moments in variance and covariance, against differences."""
    phi = as_nonlinearity(jax.nn.selu)

    def moments(variance, noise):
        return jnp.stack(phi.two_point(variance, noise)[:4])

    step, point = 1e-5, (jnp.array(0.8), jnp.array(0.3))
    exact = jax.jit(jax.jacfwd(moments, (0, 1)))(*point)
    moments = jax.jit(moments)
    low, high = (moments(point[0] + s, point[1]) for s in (-step, step))
    np.testing.assert_allclose(exact[0], (high - low) / (2 * step), rtol=1e-6)
    low, high = (moments(point[0], point[1] + s) for s in (-step, step))
    np.testing.assert_allclose(exact[1], (high - low) / (2 * step), rtol=1e-6)


def test_information_does_not_depend_on_how_relu_is_written(as_user):
    """Integrated as if it were smooth it came out at 1.11 where the name says 2.15."""
    settings = {"stimulus": 1.0, "noise_std": 0.1, "num_steps": 4}
    curves = [
        fisher.meanfield_curve(connectivity.homogeneous(1.0), nonlinearity=relu, **settings).total
        for relu in ("relu", jax.nn.relu, lambda x: jnp.maximum(x, 0))
    ]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-14)
    np.testing.assert_allclose(curves[2], curves[0], rtol=1e-9)


REFUSED = [
    (jnp.sign, ValueError, "jumps at 0"),
    (lambda x: jnp.where(x > 1.5, jnp.tanh(x) + 1e-3, jnp.tanh(x)), ValueError, "jumps at 1.5"),
    (lambda x: jnp.exp(x**2), ValueError, "grows too fast"),
    (jnp.log, ValueError, "not a number at -"),
    (lambda x: jnp.sqrt(jnp.abs(x)), ValueError, "infinite derivative"),
    (jnp.cumsum, TypeError, "one number for each"),
    (lambda x: x - jnp.mean(x), TypeError, "by itself"),
    (jnp.sum, TypeError, "one number for each"),
    (jax.lax.stop_gradient, ValueError, "derivative by JAX"),
    (np.sinh, TypeError, "jax.numpy"),
    (lambda x: jax.lax.complex(x, x), TypeError, "real numbers"),
    (lambda x: x > 0, TypeError, "real numbers"),
    (lambda x: None, TypeError, "real numbers"),
    (lambda: 0.0, TypeError, "could not be called"),
    (Tanh, TypeError, r"write Tanh\(\)"),
    (3.0, TypeError, "a name or a function"),
    (None, TypeError, "a name or a function"),
    ("expit", ValueError, "did you mean 'logistic'"),
    ("rectified-tanh", ValueError, "did you mean 'retanh'"),
    ("Tanh", ValueError, "did you mean 'tanh'"),
]


@pytest.mark.parametrize(("nonlinearity", "error", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_what_is_no_nonlinearity_is_said(nonlinearity, error, message, as_user):
    with pytest.raises(error, match=message) as caught:
        as_nonlinearity(nonlinearity)
    assert "nonlinearity" in str(caught.value)


def test_smooth_function_refuses_a_kink(as_user):
    with pytest.raises(ValueError, match="kink at 0"):
        SmoothFunction(jax.nn.relu)
