"""Estimators from samples: closed forms, bias, stated errors, coverage, laws and bad input."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fisherjax import fisher, networks

EQUICORRELATED = (np.arange(1.0, 11.0), 4 * (0.8 * np.eye(10) + 0.2))


def population(units, information=12.0):
    """A mean derivative and a correlated covariance with known linear information."""
    first, second = jax.random.split(jax.random.key(units))
    factor = np.asarray(jax.random.normal(first, (units, 2 * units + 2))) / np.sqrt(2 * units + 2)
    covariance = factor @ factor.T + 0.3 * np.eye(units)
    slope = np.asarray(jax.random.normal(second, (units,)))
    return slope * np.sqrt(information / fisher.gaussian_information(slope, covariance)), covariance


def test_closed_forms_of_theory():
    slope, covariance = EQUICORRELATED
    for form, value in (("linear", 52.7901785714), ("independent", 96.25), ("diagonal-decoder", 40.5873493976)):
        np.testing.assert_allclose(fisher.gaussian_information(slope, covariance, form=form), value, rtol=1e-9)
    # von Mises tuning, Poisson noise
    preferred = 2 * np.pi * np.arange(32) / 32
    rate = 2 + 20 * np.exp(2 * (np.cos(0.3 - preferred) - 1))
    rate_slope = -2 * np.sin(0.3 - preferred) * (rate - 2)
    np.testing.assert_allclose(fisher.gaussian_information(rate_slope, np.diag(rate)), 203.717427421, rtol=1e-9)
    # Σ = e^{2βθ}Σ₀ with β = 0.7 and N = 5: the covariance term alone is 2 N β²
    base = population(5)[1]
    np.testing.assert_allclose(fisher.gaussian_information(np.zeros(5), base, 1.4 * base, form="total"), 4.9, rtol=1e-9)


def test_rotating_gaussian():
    """f = 3 (cos 2θ, sin 2θ), Σ = R(2θ) diag(4, 1) R(2θ)ᵀ: 36 from the mean and 9 from the covariance."""

    def moments(theta):
        c, s = jnp.cos(2 * theta), jnp.sin(2 * theta)
        turn = jnp.array([[c, -s], [s, c]])
        return 3 * jnp.array([c, s]), turn @ jnp.diag(jnp.array([4.0, 1.0])) @ turn.T

    (_, covariance), (slope, change) = jax.jit(lambda theta: jax.jvp(moments, (theta,), (1.0,)))(0.4)
    np.testing.assert_allclose(fisher.gaussian_information(slope, covariance), 36, rtol=1e-9)
    np.testing.assert_allclose(fisher.gaussian_information(slope, covariance, change, form="total"), 45, rtol=1e-9)


OPTIMIZED = {"xla_backend_optimization_level": 2, "xla_llvm_disable_expensive_passes": False}  # pays for long runs


def replicates(units, trials, count, names):
    """Estimates of many independent Gaussian data sets: (count, value/error/low/high) for each estimator."""
    slope, covariance = population(units)
    root, step = np.linalg.cholesky(covariance), 0.3

    def summary(e):
        return jnp.stack([e.value, e.standard_error, *e.interval])

    def one(key):
        noise = jax.random.normal(key, (2, trials, units)) @ root.T
        minus, plus = noise[0] - slope * step / 2, noise[1] + slope * step / 2
        slopes = {
            "additive": jnp.broadcast_to(slope, noise[0].shape),
            "multiplicative": slope + 0.7 * noise[0],
            "independent": slope + noise[1],
        }
        found = {name: summary(getattr(fisher, name)(minus, plus, step)) for name in names if name not in slopes}
        asked = [name for name in names if name in slopes]
        if asked:  # one loop: compiled once
            paths = jax.lax.map(
                lambda slope: summary(fisher.pathwise(noise[0], slope)), jnp.stack([slopes[name] for name in asked])
            )
            found |= dict(zip(asked, paths, strict=True))
        return found

    out = jax.jit(lambda keys: jax.lax.map(one, keys), compiler_options=OPTIMIZED)(
        jax.random.split(jax.random.key(5), count)
    )
    truth = {"shuffled": float(fisher.gaussian_information(slope, covariance, form="independent"))}
    return {name: (np.asarray(out[name]).T, truth.get(name, 12.0)) for name in names}


FAST = ("shuffled", "additive", "multiplicative", "independent")


@pytest.mark.parametrize(
    ("units", "trials", "names", "count"),
    [
        (2, 200, FAST, 1000),
        (20, 200, FAST, 1000),
        (50, 200, FAST, 1000),
        (5, 500, FAST, 1000),
        (2, 200, ("direct",), 1000),
    ],
)
def test_bias_stated_variance_and_coverage(units, trials, names, count):
    """Bias within 3.5 standard errors; variance within 5 % and 4 standard errors of itself.

    benchmarks/estimators.py has the whole table, with enough replicates to see 5 %.
    """
    for (value, error, low, high), truth in replicates(units, trials, count, names).values():
        assert abs(value.mean() - truth) < 3.5 * value.std() / np.sqrt(count)
        spread = value.var()
        scatter = np.std((value - value.mean()) ** 2) / np.sqrt(count) / spread
        assert abs(np.mean(error**2) / spread - 1) < 0.05 + 4 * scatter
        covered = np.mean((low <= truth) & (truth <= high))
        assert abs(covered - 0.95) < 0.02 + 3.5 * np.sqrt(0.95 * 0.05 / count)


def test_no_information_is_estimated_as_zero():
    """At I = 0 the estimate is negative half the time, its stated error right, its interval from zero on."""

    def one(key):
        noise = jax.random.normal(key, (2, 100, 4))
        e = fisher.direct(noise[0], noise[1], 0.5)
        return jnp.stack([e.value, e.standard_error, e.interval[0]])

    value, error, low = np.asarray(jax.jit(lambda k: jax.lax.map(one, k))(jax.random.split(jax.random.key(1), 600))).T
    assert abs(value.mean()) < 3.5 * value.std() / np.sqrt(600)
    assert (value < 0).mean() > 0.4
    assert np.all(low >= 0)
    assert np.mean(low == 0) > 0.93
    assert 0.95 < np.sqrt(np.mean(error**2)) / value.std() < 1.35


def test_direct_is_the_formula_also_for_unequal_trials(key):
    first, second = jax.random.split(key)
    minus, plus, step = jax.random.normal(first, (40, 3)), 0.3 + jax.random.normal(second, (90, 3)), 0.4
    slope = (plus.mean(0) - minus.mean(0)) / step
    scatter = (minus - minus.mean(0)).T @ (minus - minus.mean(0)) + (plus - plus.mean(0)).T @ (plus - plus.mean(0))
    freedom, precision = 128, step**2 / (1 / 40 + 1 / 90)
    naive = slope @ jnp.linalg.solve(scatter / freedom, slope)
    found = fisher.direct(minus, plus, step)
    np.testing.assert_allclose(found.naive, naive, rtol=1e-10)
    np.testing.assert_allclose(found.value, (freedom - 4) / freedom * naive - 3 / precision, rtol=1e-10)
    single = fisher.shuffled(minus[:, :1], plus[:, :1], step)
    np.testing.assert_allclose(single.value, fisher.direct(minus[:, :1], plus[:, :1], step).value, rtol=1e-10)


def test_pathwise_is_the_formula(key):
    first, second = jax.random.split(key)
    responses, slopes = jax.random.normal(first, (60, 3)), 1 + 0.5 * jax.random.normal(second, (60, 3))
    inverse, mean = jnp.linalg.inv(jnp.cov(responses.T)), slopes.mean(0)
    expected = (59 - 4) / 59 * (mean @ inverse @ mean - jnp.trace(inverse @ jnp.cov(slopes.T)) / 60)
    np.testing.assert_allclose(fisher.pathwise(responses, slopes).value, expected, rtol=1e-10)
    parts = [fisher.pathwise(*(np.delete(x, range(6 * b, 6 * b + 6), axis=0) for x in (responses, slopes))).value
             for b in range(10)]  # fmt: skip
    found = fisher.jackknife(responses, slopes)
    np.testing.assert_allclose(found.value, 10 * expected - 9 * np.mean(parts), rtol=1e-8)
    np.testing.assert_allclose(found.standard_error, 3 * np.std(parts), rtol=1e-8)


def test_several_parameters_agree_with_one(key):
    """The diagonal of a Fisher matrix is each parameter's own estimate; direct and pathwise, value and error."""
    first, second = jax.random.split(key)
    responses = jax.random.normal(first, (300, 3))
    slopes = 1 + 0.3 * jax.random.normal(second, (300, 2, 3))
    matrix = fisher.pathwise(responses, slopes)
    assert matrix.value.shape == (2, 2)
    for index in range(2):
        single = fisher.pathwise(responses, slopes[:, index])
        for field in ("value", "standard_error", "naive"):
            np.testing.assert_allclose(getattr(matrix, field)[index, index], getattr(single, field), rtol=1e-9)
        np.testing.assert_allclose(matrix.interval[:, index, index], single.interval, rtol=1e-9)
    np.testing.assert_allclose(matrix.value, matrix.value.T, rtol=1e-9)
    minus = jax.random.normal(first, (2, 400, 3))
    plus = jax.random.normal(second, (2, 400, 3)) + 0.2
    pair = fisher.direct(minus, plus, [0.2, 0.4])
    assert pair.value.shape == (2, 2)
    assert pair.interval.shape == (2, 2, 2)
    # an off-diagonal entry compares independent derivatives: no information was shared, so no bias to remove
    np.testing.assert_allclose(pair.value[0, 1], pair.naive[0, 1] * (1596 - 4) / 1596, rtol=1e-10)


@given(seed=st.integers(0, 1000))
def test_laws_of_linear_information(seed):
    """Invariance under r → A r + b, additivity over independent groups, and no read-out above the whole."""
    units = 3
    a, b, c = jax.random.split(jax.random.key(seed), 3)
    responses, slopes = jax.random.normal(a, (60, units)), jax.random.normal(b, (60, units)) + 1
    mix = jax.random.normal(c, (units, units)) + 2 * jnp.eye(units)
    plain, mixed = fisher.pathwise(responses, slopes), fisher.pathwise(responses @ mix.T + 3, slopes @ mix.T)
    np.testing.assert_allclose(mixed.value, plain.value, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(mixed.standard_error, plain.standard_error, rtol=1e-6)
    slope, covariance = population(units)
    block = np.block(
        [[np.asarray(covariance), np.zeros((units, units))], [np.zeros((units, units)), 2 * np.eye(units)]]
    )
    both = fisher.gaussian_information(np.concatenate([slope, slope]), block)
    np.testing.assert_allclose(both, 12 + np.sum(np.asarray(slope) ** 2) / 2, rtol=1e-9)
    weights = np.asarray(mix[0])
    read_out = (weights @ slope) ** 2 / (weights @ covariance @ weights)
    assert read_out <= 12 * (1 + 1e-9)
    assert fisher.gaussian_information(slope, covariance, form="diagonal-decoder") <= 12 * (1 + 1e-9)


@given(seed=st.integers(0, 1000))
def test_a_linear_network_only_loses_information(seed):
    """Data processing: without new input, the linear form cannot grow in time."""
    weights = 1.2 * jax.random.normal(jax.random.key(seed), (6, 6)) / np.sqrt(6)
    network = networks.RateNetwork(weights, np.ones(6), noise_std=0.5, nonlinearity="identity")
    curve = fisher.closure_curve(network, stimulus=1.0, num_steps=5)
    assert np.all(np.diff(curve.total) <= 1e-9 * np.asarray(curve.total[:-1]))


def test_what_correlations_add_has_an_error_of_its_own(key):
    """direct − shuffled of the same trials, against the closed form over 40 data sets, and their actual spread."""
    slope, covariance = population(4)
    minus, plus = (
        mean * slope + jax.random.normal(k, (40, 120, 4)) @ jnp.linalg.cholesky(covariance).T
        for mean, k in zip((-0.1, 0.1), jax.random.split(key), strict=True)
    )
    found = [fisher.jackknife(a, b, 0.2, estimator="direct - shuffled") for a, b in zip(minus, plus, strict=True)]
    values, errors = (np.array([float(getattr(one, name)) for one in found]) for name in ("value", "standard_error"))
    true = slope @ np.linalg.solve(covariance, slope) - np.sum(np.asarray(slope) ** 2 / np.diag(covariance))
    assert abs(values.mean() - float(true)) < 3.5 * values.std(ddof=1) / np.sqrt(40)
    assert 0.6 < np.sqrt(np.mean(errors**2)) / values.std(ddof=1) < 1.6
    parts = [fisher.jackknife(minus[0], plus[0], 0.2, estimator=name).value for name in ("direct", "shuffled")]
    np.testing.assert_allclose(found[0].value, parts[0] - parts[1], rtol=1e-9)
    assert found[0].interval_of == "what noise correlations add to linear Fisher information"


def test_resampling_errors_are_right(key):
    """Jackknife and bootstrap errors against the known one, at 25 trials per unit."""
    slope, covariance = population(4)
    noise = jax.random.normal(key, (40, 200, 4)) @ jnp.linalg.cholesky(covariance).T
    slopes = jnp.broadcast_to(slope, noise.shape[1:])
    true = 12 * np.sqrt(2 / (199 - 4 - 3))
    jackknifed = [float(fisher.jackknife(part, slopes).standard_error) for part in noise]
    assert abs(np.sqrt(np.mean(np.square(jackknifed))) / true - 1) < 0.25
    bootstrapped = [
        float(fisher.bootstrap(part, slopes, key=key, num_resamples=300).standard_error) for part in noise[:8]
    ]
    assert abs(np.sqrt(np.mean(np.square(bootstrapped))) / true - 1) < 0.25


def test_jackknife_of_a_function_and_of_blocks_that_do_not_divide(key):
    """For a mean the jackknife is the textbook error, whatever the blocks."""
    data = jax.random.normal(key, (103, 1))
    found = fisher.jackknife(data, estimator=_mean, num_blocks=51)
    np.testing.assert_allclose(found.value, data.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, data.std() / np.sqrt(103), rtol=0.25)
    assert "mean" in found.method


def _mean(data):
    return jnp.mean(data)


def test_gaussian_total_counts_the_covariance(key):
    """r = f(θ) + e^{βθ} z: the covariance term 2 p β² is found without the bias p(p+1)/n of the plug-in."""
    noise = jax.random.normal(key, (4000, 5))
    with pytest.warns(UserWarning, match="neither the Fisher information"):
        found = fisher.gaussian_total(noise, 0.5 + 0.7 * noise)
    assert abs(float(found.value) - (5 * 0.25 + 4.9)) < 3.5 * float(found.standard_error)
    assert float(found.standard_error) < 0.4


@pytest.mark.parametrize("method", ["held-out", "diagonal", "early-stopped", "neural"])
def test_decoders_reach_what_they_can(method, key):
    """Close to the information, and not above it by more than its error; the diagonal one to its own value."""
    slope, covariance = EQUICORRELATED
    noise = np.asarray(jax.random.normal(key, (2, 3000, 10))) @ np.linalg.cholesky(covariance).T
    minus, plus = noise[0] - 0.05 * slope, noise[1] + 0.05 * slope
    found = fisher.decoder(minus, plus, 0.1, key=key, method=method)
    best = float(
        fisher.gaussian_information(slope, covariance, form="diagonal-decoder" if method == "diagonal" else "linear")
    )
    assert float(found.value) < best + 3.5 * float(found.standard_error)
    assert float(found.value) > 0.75 * best - 3.5 * float(found.standard_error)
    assert found.method == f"{method} decoder"


@pytest.mark.filterwarnings("ignore::fisherjax.fisher.AssumptionWarning")
def test_a_network_finds_what_no_linear_decoder_can(key):
    """Information in the variance alone: r = e^{θ} z has 2 per unit, and none that is linear."""
    noise = np.asarray(jax.random.normal(key, (2, 4000, 3)))
    minus, plus = np.exp(-0.1) * noise[0], np.exp(0.1) * noise[1]
    linear = fisher.decoder(minus, plus, 0.2, key=key)
    network = fisher.decoder(minus, plus, 0.2, key=key, method="neural")
    assert abs(float(linear.value)) < 4 * float(linear.standard_error)
    assert 6 * 0.7 < float(network.value) < 6 + 3.5 * float(network.standard_error)


def test_a_biased_decoder_against_its_bound(key):
    """θ̂ = 0.8 θ + noise of s.d. 0.1 about one number r ~ N(θ, s²): variance is the bound (1 + b′)²/I exactly."""
    stimuli = jnp.linspace(-1, 1, 9)
    responses = stimuli[:, None] + 0.125 * jax.random.normal(key, (9, 4000))
    found = fisher.cramer_rao(0.8 * responses, stimuli, jnp.full(9, 64.0))
    np.testing.assert_allclose(found.bias, -0.2 * stimuli, atol=0.008)
    np.testing.assert_allclose(found.bias_slope, -0.2, atol=0.03)
    assert np.all(np.abs(found.variance - 0.01) < 4 * found.variance_error)
    given_slope = fisher.cramer_rao(0.8 * responses, stimuli, jnp.full(9, 64.0), mean_slopes=jnp.full(9, 0.8))
    np.testing.assert_allclose(given_slope.bound, 0.01, rtol=1e-9)
    np.testing.assert_allclose(given_slope.discrimination_bound, 0.125, rtol=1e-9)


def test_errors_are_taken_on_the_circle():
    found = fisher.cramer_rao(
        jnp.array([[0.02, np.pi - 0.02], [1.0, 1.1], [2.0, 2.1]]),
        jnp.array([0.0, 1.05, 2.05]),
        jnp.ones(3),
        period=np.pi,
    )
    np.testing.assert_allclose(found.bias, 0, atol=1e-12)
    np.testing.assert_allclose(found.variance[0], 2 * 0.02**2, rtol=1e-9)


def test_a_robust_spread_is_the_plain_one_of_gaussian_errors_and_ignores_outliers():
    """Of Gaussian errors at k standard errors; a trial in a hundred half a period off is counted and left out."""
    rng = np.random.default_rng(0)
    stimuli, right = np.linspace(0, 3, 6), 0.1 * rng.normal(size=(6, 4000))
    options = {"stimuli": stimuli, "information": np.full(6, 100.0), "period": np.pi}
    plain = fisher.cramer_rao(stimuli[:, None] + right, **options)
    assert float(np.max(plain.outliers)) < 0.002
    np.testing.assert_allclose(plain.robust_variance, plain.variance, rtol=0.01)
    assert np.all(np.abs(plain.robust_variance - 0.01) < 4 * plain.variance_error)
    far = right + np.where(np.arange(4000) % 100 == 0, np.pi / 2, 0)
    found = fisher.cramer_rao(stimuli[:, None] + far, **options)
    assert np.all(found.variance > 2 * plain.variance)
    np.testing.assert_allclose(found.outliers, 0.01, atol=0.001)
    np.testing.assert_allclose(found.robust_variance, plain.variance, rtol=0.02)
    np.testing.assert_allclose(found.robust_bias, plain.bias, atol=1e-3)
    np.testing.assert_allclose(found.robust_efficiency, plain.efficiency, rtol=0.1)
    # a bias of half a period does not divide the errors into two heaps
    moved = fisher.cramer_rao(np.mod(stimuli[:, None] + np.pi / 2 + right, np.pi), **options)
    np.testing.assert_allclose(moved.robust_variance, plain.robust_variance, rtol=1e-6)


def test_sensitivity_index():
    np.testing.assert_allclose(fisher.sensitivity_index(25.0, -0.2), 1.0)


def test_estimates_are_saved_and_shown(tmp_path, key):
    noise = jax.random.normal(key, (2, 50, 2))
    found = fisher.direct(noise[0], noise[1] + 0.5, 0.5)
    loaded = fisher.FisherEstimate.load(found.save(tmp_path / "estimate"))
    np.testing.assert_array_equal(loaded.interval, found.interval)
    assert loaded.method == "direct"
    assert repr(found).startswith("FisherEstimate(value=")


def test_shrinkage_is_labeled_and_works_with_more_units_than_trials(key):
    noise = jax.random.normal(key, (2, 40, 100))
    found = fisher.direct(noise[0], noise[1] + 0.05, 0.1, shrinkage=0.5)
    assert "shrinkage 0.5 (biased)" in found.method
    assert np.isfinite(float(found.value))
    assert float(found.standard_error) > 0


BAD = [
    (lambda x: fisher.direct(x[:20], x[20:40], 0.1), "p = 50 units need more than p"),
    (lambda x: fisher.pathwise(x[:50], x[:50]), r"ν = 49 \(T = 50 trials\)"),
    (lambda x: fisher.direct(x[:, :3], x[:, :4], 0.1), "must have the same units"),
    (lambda x: fisher.direct(x[:, :3], x[:, :3], 0.0), "separation must be above 0"),
    (lambda x: fisher.direct(x[:, :3], x[:, :3], -1.0), "separation must be above 0"),
    (lambda x: fisher.direct(x[:1, :3], x[:1, :3], 0.1), "has 1 trial: a covariance needs at least 2"),
    (lambda x: fisher.direct(x[:, 0], x[:, 0], 0.1), r"one unit is a column"),
    (lambda x: fisher.direct(x[:, :3].at[4, 1].set(jnp.nan), x[:, :3], 0.1), r"in 1 of 60 rows \(trials 4\)"),
    (lambda x: fisher.direct(x[:, [0, 1, 0]], x[:, [0, 1, 0]] + 1, 0.1), "singular to rounding"),
    (lambda x: fisher.shuffled(0 * x, 0 * x, 0.1), "never vary"),
    (lambda x: fisher.pathwise(x[:, :3], x[:, :4]), "derivatives must have shape"),
    (lambda x: fisher.direct(x[:, :3], x[:, :3], 0.1, shrinkage=2.0), "shrinkage must be between 0 and 1"),
    (lambda x: fisher.jackknife(x[:, :40], x[:, :40], num_blocks=3), "when one of 3 blocks is left out"),
    (lambda x: fisher.jackknife(x[:15, :2], x[:15, :2]), "10 blocks need 20 trials"),
    (lambda x: fisher.jackknife(x, estimator="no"), "estimator must be a function or one of"),
    (lambda x: fisher.bootstrap(x, x, key=jax.random.key(0), estimator=lambda a, b: a.sum()), "paired must be given"),
    (lambda x: fisher.decoder(x[:, :3], x[:, :3], 0.1, key=jax.random.key(0), method="best"), "method must be one of"),
    (lambda x: fisher.decoder(x[:6, :3], x[:6, :3], 0.1, key=jax.random.key(0)), "at least 4 to validate"),
    (
        lambda x: fisher.information_scaling(x[:, :9], x[:, :9], key=jax.random.key(0), sizes=[2, 12]),
        "sizes must be at most 9, got 12",
    ),
    (lambda x: fisher.gaussian_information(np.ones(2), np.ones((2, 2))), "covariance is singular to rounding"),
    (lambda x: fisher.gaussian_information(np.ones(2), np.eye(2), form="total"), "needs covariance_slope"),
    (lambda x: fisher.cramer_rao(x, jnp.arange(60.0), jnp.zeros(60)), "information must be positive"),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(BAD)))
def test_bad_input(index, key, as_user):
    call, message = BAD[index]
    with pytest.raises(ValueError, match=message):
        call(jax.random.normal(key, (60, 50)))


# confidence levels that are none, and series whose end depended on the data: each came back at once or never
@pytest.mark.parametrize("confidence", [95, 0, 1, -0.1, float("nan"), "0.95", None])
@pytest.mark.parametrize(
    "name", ["direct", "shuffled", "pathwise", "jackknife", "bootstrap", "decoder", "gaussian_total"]
)
def test_confidence_is_a_share(name, confidence, as_user):
    x = np.random.default_rng(0).normal(size=(2, 60, 2))
    two = (x[0], x[1] + 1) if name in {"pathwise", "gaussian_total"} else (x[0], x[1] + 1, 0.5)
    options = {"key": jax.random.key(0)} if name in {"bootstrap", "decoder"} else {}
    with pytest.raises((ValueError, TypeError), match="confidence must be"):
        getattr(fisher, name)(*two, confidence=confidence, **options)


@pytest.mark.parametrize("d_prime", [3, 30, 300, 500, 1e4])
def test_intervals_in_single_precision_are_those_of_double(d_prime):
    """Against SciPy's distribution of the ratio, integrated over its χ² in other words than the library's."""
    rng = np.random.default_rng(0)
    minus, plus = rng.normal(size=(2, 100, 2))
    plus[:, 0] += d_prime
    with jax.enable_x64(False):
        single = fisher.direct(np.float32(minus), np.float32(plus), 1.0)
    double = fisher.direct(minus, plus, 1.0)
    np.testing.assert_allclose(single.interval, double.interval, rtol=1e-4)
    # at either end the observed ratio is the quantile that it should be
    quantiles = scipy.stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, 198 - 1)
    for end, share in zip(np.asarray(double.interval), (0.975, 0.025), strict=True):
        ratio, center = float(double.naive) * 50 / 198, end * 50
        if center < 1e4:
            below = np.mean(scipy.stats.ncx2.cdf(ratio * quantiles, 2, center))
        else:
            below = np.mean(scipy.stats.norm.cdf(np.sqrt(ratio * quantiles) - np.sqrt(center + 1)))
        assert abs(below - share) < 1e-3
    assert single.interval[0] < single.value < single.interval[1]


def test_intervals_under_jit_are_those_without(key):
    first, second = np.asarray(jax.random.normal(key, (2, 60, 3)))
    plain, traced = fisher.direct(first, second + 1, 0.5), jax.jit(fisher.direct)(first, second + 1, 0.5)
    np.testing.assert_allclose(traced.interval, plain.interval, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda shift: jnp.sum(fisher.direct(first, second + shift, 0.5).interval)))(1.0)
    assert np.isfinite(gradient)


def test_conditions_far_apart_come_back(key):
    """The bracket of the interval's ends once grew for ever."""
    noise = np.asarray(jax.random.normal(key, (50, 3)), np.float32)
    with jax.enable_x64(False):
        found = fisher.direct(noise, noise[::-1] + 1e4, 0.5)
    assert found.interval[0] < found.value < found.interval[1]


@pytest.mark.parametrize("constant", [1000 / 3, 0.1, 0.0, -7e8])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_unit_that_is_constant_up_to_rounding_is_named(constant, kind, as_user):
    rng = np.random.default_rng(0)
    minus, plus = (np.column_stack([rng.normal(size=(n, 3)), np.full(n, constant)]).astype(kind) for n in (200, 150))
    plus[::7, 3] = np.nextafter(plus[::7, 3], kind(np.inf))
    for estimator in (fisher.direct, fisher.shuffled, fisher.jackknife):
        with pytest.raises(ValueError, match="units 3 never vary"):
            estimator(minus, plus, 0.5)
    with pytest.raises(ValueError, match="units 3 never vary"):
        fisher.pathwise(minus, np.ones_like(minus))


def _with_rare_unit():
    rng = np.random.default_rng(3)
    minus, plus = rng.normal(size=(2, 200, 3)) + np.array([0, 0.4])[:, None, None]
    rare = np.zeros((2, 200, 1))
    rare[0, 17] = 1.0
    return (minus, plus), tuple(
        np.concatenate([part, extra], axis=1) for part, extra in zip((minus, plus), rare, strict=True)
    )


@pytest.mark.filterwarnings("ignore::fisherjax.fisher.AssumptionWarning")
def test_a_unit_that_spikes_once_costs_itself_and_no_error_bar(key):
    """In the parts of the data without its spike it is absent: the error is that of the other units, or near."""
    plain, rare = _with_rare_unit()
    options = {"jackknife": {}, "bootstrap": {"key": key, "num_resamples": 200}}
    for name, extra in options.items():
        without, found = (getattr(fisher, name)(*data, 0.5, **extra) for data in (plain, rare))
        assert 0.8 < float(found.standard_error / without.standard_error) < 1.3
        assert np.all(np.isfinite(found.interval))
    for shrinkage in (0.2, 1.0):
        assert 0 < float(fisher.direct(*rare, 0.5, shrinkage=shrinkage).standard_error) < 10
    for method in ("held-out", "diagonal", "early-stopped"):
        found = fisher.decoder(*rare, 0.5, key=key, method=method)
        assert abs(float(found.value) - 1.9) < 4 * float(found.standard_error)
    paths = fisher.jackknife(rare[0], np.ones((200, 4)))
    assert float(paths.standard_error) > 0


def test_offset_and_unit_of_measurement_do_not_matter():
    """Double data about 10⁷, or in units of 10⁻³⁰, in single precision: centered and scaled before they are cut."""
    rng = np.random.default_rng(1)
    minus, plus = rng.normal(size=(2, 200, 4)) + np.array([0, 0.3])[:, None, None]
    slopes = rng.normal(size=(200, 4)) + 1
    with jax.enable_x64(False):
        wanted, path = fisher.direct(minus, plus, 0.5), fisher.pathwise(minus, slopes)
        for offset, scale in ((1e7, 1.0), (-1e9, 1.0), (0.0, 1e-30), (0.0, 1e25), (1e12, 1e3)):
            found = fisher.direct(scale * minus + offset, scale * plus + offset, 0.5)
            np.testing.assert_allclose(found.value, wanted.value, rtol=1e-4)
            found = fisher.pathwise(scale * minus + offset, scale * slopes)
            np.testing.assert_allclose(found.value, path.value, rtol=1e-4)
        order = fisher.direct(np.float16(minus), plus, 0.5), fisher.direct(np.float16(plus), minus, 0.5)
        assert all(found.value.dtype == jnp.float32 for found in order)
        counts = np.round(3 * np.exp(0.3 * minus)).astype(np.int64), np.round(3 * np.exp(0.3 * plus)).astype(np.uint8)
        assert np.isfinite(float(fisher.jackknife(*counts, 0.5).standard_error))


def _ar(rng, trials, units, coefficient):
    rows = [rng.normal(size=units)]
    for fresh in rng.normal(size=(trials - 1, units)):
        rows.append(coefficient * rows[-1] + np.sqrt(1 - coefficient**2) * fresh)
    return np.stack(rows)


def test_what_the_interval_assumes_is_tested_and_the_remedy_named():
    rng = np.random.default_rng(5)
    normal, shift = rng.normal(size=(2, 150, 5)), np.array([0, 0.5])[:, None, None]
    spoiled = normal.copy()
    spoiled[0, 7] *= 20
    heavy = normal * np.sqrt(3 / rng.chisquare(5, size=(2, 150, 1)))
    skewed = np.exp(0.4 * normal)
    drifting = np.stack([_ar(rng, 150, 5, 0.5) for _ in range(2)])
    unequal = normal * np.array([1, 1.7])[:, None, None]
    cases = [
        (spoiled, r"1 of 300 trials lie far outside the rest \(condition 0: 7\).*robust=True"),
        (heavy, "heavier tails.*use fisher.jackknife"),
        (skewed, "use fisher.jackknife"),
        (drifting, r"trials are correlated with the next ones \(by 0.[45].*blocks=1[0-9]"),
        (unequal, "covariance differs between the conditions.*fisher.jackknife"),
    ]
    for data, message in cases:
        with pytest.warns(fisher.AssumptionWarning, match=message):
            found = fisher.direct(*(data + shift), 0.5)
        assert len(found.diagnosis.findings) >= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fisher.direct(*(normal + shift), 0.5).diagnosis.findings == ()
        # what the remedies allow for is not warned of again
        fisher.direct(*(spoiled + shift), 0.5, robust=True)
        fisher.direct(*(drifting + shift), 0.5, blocks=12)
        fisher.jackknife(*(heavy + shift), 0.5)


def test_outliers_are_set_aside_and_nothing_else():
    """With one trial in a hundred twenty times too large, robust estimates are those without them."""
    rng = np.random.default_rng(6)
    minus, plus = rng.normal(size=(2, 200, 4)) + np.array([0, 0.4])[:, None, None]
    bad = minus.copy()
    bad[[3, 90]] *= 20
    wanted = fisher.direct(np.delete(minus, [3, 90], axis=0), plus, 0.5)
    found = fisher.direct(bad, plus, 0.5, robust=True)
    np.testing.assert_allclose(found.value, wanted.value, rtol=1e-9)
    assert "2 of 400 trials set aside" in found.method
    np.testing.assert_allclose(
        fisher.direct(minus, plus, 0.5, robust=True).value, fisher.direct(minus, plus, 0.5).value
    )
    for call in (
        lambda: fisher.shuffled(bad, plus, 0.5, robust=True),
        lambda: fisher.jackknife(bad, plus, 0.5, robust=True),
        lambda: fisher.decoder(bad, plus, 0.5, key=jax.random.key(0), robust=True),
        lambda: fisher.pathwise(bad, np.ones_like(bad), robust=True),
        lambda: fisher.jackknife(bad, np.ones_like(bad), robust=True),
        lambda: fisher.bootstrap(bad, plus, 0.5, robust=True, key=jax.random.key(0), num_resamples=50),
        lambda: fisher.bootstrap(bad, np.ones_like(bad), robust=True, key=jax.random.key(0), num_resamples=50),
    ):
        assert "set aside" in call().method
    with pytest.raises(ValueError, match="robust needs concrete responses"):
        jax.jit(lambda x: fisher.jackknife(x, jnp.ones_like(x), robust=True).value)(jnp.asarray(bad))


def test_blocks_count_correlated_trials_as_fewer():
    """Bias and stated error of trials with AR(0.5); 150 data sets, every trial of which counts for a third."""
    rng, slope = np.random.default_rng(7), np.full(3, 1.2)
    truth, values, errors, plain = 3 * 1.44, [], [], []
    for _ in range(150):
        minus, plus = (_ar(rng, 100, 3, 0.5) + sign * slope / 4 for sign in (-1, 1))
        found = fisher.direct(minus, plus, 0.5, blocks=10)
        values.append(float(found.value))
        errors.append(float(found.standard_error))
        moments = np.concatenate([part - part.mean(0) for part in (minus, plus)])
        derivative = (plus.mean(0) - minus.mean(0)) / 0.5
        plain.append(194 / 198 * derivative @ np.linalg.solve(moments.T @ moments / 198, derivative) - 3 / 12.5)
    scatter = np.std(values)
    assert abs(np.mean(values) - truth) < 3.5 * scatter / np.sqrt(150)
    assert np.mean(plain) - truth > 4 * np.std(plain) / np.sqrt(150)
    assert 0.8 < np.sqrt(np.mean(np.square(errors))) / scatter < 1.25
    labels = [np.repeat(np.arange(10), 10)] * 2
    with_labels = fisher.direct(minus, plus, 0.5, blocks=labels)
    assert abs(float(with_labels.value) - values[-1]) < float(with_labels.standard_error)
    for wrong in (60, [labels[0][:50], labels[1]], [labels[0]], 0, "ten"):
        with pytest.raises((ValueError, TypeError), match="blocks"):
            fisher.direct(minus, plus, 0.5, blocks=wrong)


def test_the_result_says_what_its_interval_is_of(key):
    noise = jax.random.normal(key, (2, 80, 3))
    assert fisher.direct(noise[0], noise[1] + 1, 0.5).interval_of == "linear Fisher information"
    assert "decoder reaches" in fisher.decoder(noise[0], noise[1] + 1, 0.5, key=key).interval_of
    assert "independent" in fisher.shuffled(noise[0], noise[1] + 1, 0.5).interval_of


WRONG = [None, "abc", ["a", "b"], [[1.0, 2.0], [3.0]], np.ones((20, 2)) * 1j, np.full((20, 2), object()), {"a": 1}]


@pytest.mark.parametrize("wrong", range(len(WRONG)))
def test_what_is_no_array_of_numbers_is_refused_by_name(wrong, as_user, key):
    good = np.random.default_rng(0).normal(size=(20, 2))
    calls = {
        "responses_minus": lambda x: fisher.direct(x, good, 0.5),
        "responses_plus": lambda x: fisher.shuffled(good, x, 0.5),
        "separation": lambda x: fisher.decoder(good, good, x, key=key),
        "responses": lambda x: fisher.pathwise(x, good),
        "derivatives": lambda x: fisher.jackknife(good, x, num_blocks=2),
    }
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=rf"^{name} must"):
            call(WRONG[wrong])


def test_integer_responses_have_no_derivative(as_user):
    with pytest.raises(TypeError, match="have no derivative"):
        fisher.pathwise(np.ones((10, 2), int), np.ones((10, 2)))


def test_many_trials_in_single_precision():
    """Products of large counts must not be formed as 32-bit integers."""
    with jax.enable_x64(False):
        noise = jax.random.normal(jax.random.key(0), (2, 100_000, 2))
        for found in (fisher.direct(noise[0], noise[1] + 1, 1.0), fisher.pathwise(noise[0], jnp.ones((100_000, 2)))):
            assert abs(float(found.value) - 2) < 5 * float(found.standard_error)
            assert found.value.dtype == jnp.float32
