"""Predicted and measured Fisher curves against each other and against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rate_networks import simulated

from fisherjax import connectivity as cn
from fisherjax import fisher


def test_operator_overestimates_at_finite_stimulus():
    """The bare operator keeps κD only: at t = 2 it is off by κ D(1)/D(2), with D(2) from theory.md §2.

    κ ≥ (E φ′)² bounds that factor from below by 2.56, so the 2.1 that theory.md states cannot be.
    """
    settings = {"stimulus": 1.0, "noise_std": 0.1, "num_steps": 8}
    exact = fisher.meanfield_curve(cn.homogeneous(1.0), **settings).total
    bare = fisher.operator_curve(cn.homogeneous(1.0), **settings).total
    z = np.linspace(-9, 9, 801)
    w = np.exp(-(z**2) / 2) / np.sum(np.exp(-(z**2) / 2))
    overlap = np.tanh(1.0) ** 2
    slope = (1 - np.tanh(np.sqrt(overlap) * z[:, None] + 0.1 * z) ** 2) @ w
    kappa, first = w @ slope**2, (1 - overlap) ** 2
    assert float(bare[1] / exact[1]) == pytest.approx(kappa * first / 0.03359779656, rel=1e-9)
    assert kappa * first / 0.03359779656 > (w @ (1 - np.tanh(np.sqrt(overlap + 0.01) * z) ** 2)) ** 2 * first / 0.0336
    assert bool(jnp.all(jnp.diff(bare / exact) > 0))


def brute_force_curve(gain_matrix, theta, noise_std, num_steps):
    """Exact curve by finite-difference-free quadrature: dense tensor Gauss–Legendre in the conditional form.

    Independent of the package's moments: plain NumPy, D from the two-replica overlap by complex steps in
    neither argument but by its own derivative recursion written out with numerical moments.
    """
    gain = np.asarray(gain_matrix.variance_gain)
    nodes, weights = np.polynomial.legendre.leggauss(1200)

    def functions(x):
        t = np.tanh(x)
        s = 1 - t**2
        return t, s, -2 * t * s, s * (6 * t**2 - 2)

    def moments(variance, overlap):
        common, private = np.sqrt(max(overlap, 0)), np.sqrt(variance - overlap)
        m, w = 10 * common * nodes, 10 * weights * np.exp(-((10 * nodes) ** 2) / 2) / np.sqrt(2 * np.pi)
        d = 10 * private * nodes
        inner = [f @ w for f in functions(m[:, None] + d)]
        x = functions(10 * np.sqrt(variance) * nodes)
        one = [w @ (x[0] ** 2), w @ (x[1] ** 2 + x[0] * x[2])]
        pair = [w @ (inner[i] * inner[j]) for i, j in ((0, 0), (1, 1), (2, 0), (2, 2), (1, 3))]
        return np.array(one + pair)

    pattern = np.eye(len(gain))[0]
    s, ds = np.tanh(theta * pattern), pattern / np.cosh(theta * pattern) ** 2
    overlap, slope, sensitivity = gain @ s**2, 2 * gain @ (s * ds), gain @ ds**2
    variance, variance_slope = overlap + noise_std**2, slope.copy()
    curve = []
    for _ in range(num_steps):
        curve.append(np.asarray(gain_matrix.fractions) * sensitivity / (variance - overlap))
        square, square_slope, value, kappa, mixed, curvature, third = np.array(
            [moments(v, c) for v, c in zip(variance, overlap, strict=True)]
        ).T
        sensitivity = gain @ (
            kappa * sensitivity + curvature / 4 * (slope**2 + variance_slope**2) + third / 2 * slope * variance_slope
        )
        slope = gain @ (kappa * slope + mixed * variance_slope)
        variance_slope = gain @ (square_slope * variance_slope)
        variance, overlap = noise_std**2 + gain @ square, gain @ value
    return np.array(curve)


def test_large_gains_against_brute_force():
    """A Toeplitz network with gains up to 5, where variances reach 30 and Gauss–Hermite rules fail."""
    matrix = cn.toeplitz([3.0, 0.5, 1.0, 0.2, 5.0, 0.1, 2.0, 4.0, 0.3])
    exact = fisher.meanfield_curve(matrix, stimulus=1.0, noise_std=0.3, num_steps=5)
    expected = brute_force_curve(matrix, 1.0, 0.3, 5)
    np.testing.assert_allclose(exact.by_population, expected, rtol=1e-6)


@pytest.mark.parametrize("theta", [0.1, 1.0])
def test_simulation_agrees_with_the_exact_curve(two_populations, theta, key):
    curve = fisher.meanfield_curve(two_populations, stimulus=theta, noise_std=0.3, num_steps=5, num_units=600)
    measured = fisher.ensemble_curve(
        two_populations, stimulus=theta, noise_std=0.3, num_steps=5, num_units=600, num_trials=60, num_draws=12, key=key
    )
    assert measured.form == "independent"
    error = np.asarray(measured.standard_error, np.float64)
    distance = np.abs(np.asarray(measured.total) - np.asarray(curve.total))
    assert np.all(distance < np.maximum(4 * error, 0.05 * np.asarray(curve.total)))
    populations = np.abs(np.asarray(measured.by_population) - np.asarray(curve.by_population))
    assert np.all(populations < np.maximum(5 * np.asarray(measured.by_population_error), 0.08 * curve.by_population))
    np.testing.assert_allclose(measured.by_population.sum(axis=1), measured.total, rtol=1e-5)


def linear_information(weights, vector, noise_std, num_steps):
    """Exact Fisher information of a linear network after a pulse: m = W^t v, Σ = σ² Σ W^k W^kᵀ."""
    covariance, mean, values, diagonal = np.zeros_like(weights), np.asarray(vector), [], []
    for _ in range(num_steps):
        mean = weights @ mean
        covariance = noise_std**2 * np.eye(len(weights)) + weights @ covariance @ weights.T
        values.append(mean @ np.linalg.solve(covariance, mean))
        diagonal.append(np.sum(mean**2 / np.diag(covariance)))
    return np.array(values), np.array(diagonal)


@pytest.mark.parametrize("form", ["linear", "independent"])
def test_both_forms_are_unbiased_for_a_linear_network(form, key):
    """A linear network is Gaussian and its derivative is exact, so theory is known: bias within 3.5 s.e."""
    weights = np.asarray(cn.sample_weights(cn.homogeneous(0.9), 12, key=key))
    vector = np.linspace(0.2, 1.0, 12)
    expected = linear_information(weights, vector, 0.3, 4)[form == "independent"]
    values, errors = [], []
    for seed in range(40):
        curve = simulated(
            weights, stimulus=0.5, noise_std=0.3, num_steps=4, input_vector=vector, num_trials=240,
            key=jax.random.key(seed), form=form, nonlinearity="identity",
        )  # fmt: skip
        values.append(curve.total)
        errors.append(curve.standard_error)
    values = np.asarray(values)
    spread = values.std(axis=0, ddof=1)
    assert np.all(np.abs(values.mean(axis=0) - expected) < 3.5 * spread / np.sqrt(40))
    # the stated error is the actual one, to what 40 repetitions can tell
    ratio = np.mean(np.asarray(errors) ** 2, axis=0) / spread**2
    assert np.all((ratio > 0.5) & (ratio < 2))


def test_vector_stimulus_gives_a_matrix(key):
    weights = np.asarray(cn.sample_weights(cn.homogeneous(0.9), 10, key=key))
    vectors = np.random.default_rng(0).standard_normal((10, 2))
    curve = simulated(
        weights, stimulus=[0.3, 0.1], noise_std=0.3, num_steps=3, input_vector=vectors, num_trials=3000,
        key=key, nonlinearity="identity",
    )  # fmt: skip
    assert curve.total.shape == (3, 2, 2)
    for column in range(2):
        expected, _ = linear_information(weights, vectors[:, column], 0.3, 3)
        distance = np.abs(curve.total[:, column, column] - expected)
        assert np.all(distance < 4 * curve.standard_error[:, column, column])
    theory = fisher.meanfield_curve(cn.homogeneous(0.9, 2), stimulus=[0.3, 0.1], noise_std=0.3, num_steps=3)
    assert theory.total.shape == (3, 2, 2)


def test_results_do_not_depend_on_chunks(key, monkeypatch):
    """Trials are numbered: the same ones in other chunks have the same noise, and their moments merge exactly."""
    from fisherjax import networks, simulate

    weights = cn.sample_weights(cn.homogeneous(0.9), 8, key=key)
    network = networks.RateNetwork(weights, np.ones(8), noise_std=0.3)
    settings = {"stimulus": 0.5, "num_steps": 3, "num_trials": 50, "key": key, "covariance": "full"}
    moments = simulate.sensitivity_moments(network, **settings)
    assert float(moments.count.sum()) == 50
    pooled = moments.pooled()
    # pooling in two stages is pooling at once
    halves = [moments.pooled(np.arange(10) < 4), moments.pooled(np.arange(10) >= 4)]
    again = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *halves).pooled()
    for one, two in zip(jax.tree.leaves(pooled), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-14)
    monkeypatch.setattr("fisherjax._runtime._memory.available_bytes", lambda: 16 * 6 * 2 * 8 * 8 * 20)
    monkeypatch.setattr("fisherjax.simulate._moments.check_allocation", lambda *_: 0)
    small = simulate.sensitivity_moments(network, **settings)
    assert float(small.count.sum()) == 50
    for one, two in zip(jax.tree.leaves(small), jax.tree.leaves(moments), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)


def test_chunks_of_one_trial_may_leave_a_block_empty(key, monkeypatch):
    """So little memory that 25 trials in 10 blocks come in three chunks of one: some hold no trial of a block."""
    from fisherjax import networks, simulate

    network = networks.RateNetwork(cn.sample_weights(cn.homogeneous(0.9), 8, key=key), np.ones(8), noise_std=0.3)
    monkeypatch.setattr("fisherjax._runtime._memory.available_bytes", lambda: 16)
    moments = simulate.sensitivity_moments(network, stimulus=0.5, num_steps=3, num_trials=25, key=key)
    assert sorted(moments.count.tolist()) == [2.0] * 5 + [3.0] * 5
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(moments))


def test_curve_helpers(tmp_path):
    curve = fisher.meanfield_curve(cn.homogeneous(1.0), stimulus=0.1, noise_std=0.1, num_steps=3)
    assert curve.first_non_finite() is None
    assert float(curve.retention[0]) == 1
    broken = fisher.FisherCurve(curve.times, curve.by_population, curve.total.at[1].set(jnp.nan))
    assert broken.first_non_finite() == 2
    loaded = fisher.FisherCurve.load(curve.save(tmp_path / "curve.npz"))
    np.testing.assert_array_equal(loaded.total, curve.total)
    assert loaded.form == "independent"
    assert loaded.standard_error is None


def test_a_curve_that_overflows_says_when(key):
    settings = {"stimulus": 1.0, "noise_std": 0.1, "nonlinearity": "identity"}
    with pytest.warns(RuntimeWarning, match=r"not known from time [0-9]+ on: .*lower the gains"):
        fisher.meanfield_curve(cn.homogeneous(1e3), num_steps=60, **settings)
    with pytest.warns(RuntimeWarning, match="unstable weights"):
        simulated(
            np.eye(4) * 1e40,
            num_steps=9,
            num_trials=40,
            key=key,
            input_vector=np.ones(4),
            form="independent",
            **settings,
        )


def test_what_broke_stays_broken_though_tanh_would_hide_it(key):
    """States of 1e300² are infinite at t = 2, and tanh(∞) = 1 would go on from there."""
    weights = np.diag([1e300, 0.5, 0.5, 0.5])
    broken = fisher.FisherCurve(jnp.arange(1.0, 4), jnp.ones((3, 1)), jnp.array([1.0, jnp.nan, 2.0]))
    from fisherjax.fisher._curve import warn_if_not_finite

    with pytest.warns(RuntimeWarning, match="not finite from time 2 on: because"):
        ended = warn_if_not_finite(broken, "because")
    assert np.isfinite(ended.total).tolist() == [True, False, False]
    assert np.isfinite(ended.by_population[:, 0]).tolist() == [True, False, False]
    with pytest.warns(RuntimeWarning, match="not finite from time"):
        curve = simulated(
            weights, stimulus=1.0, noise_std=0.1, num_steps=4, num_trials=40, key=key, input_vector=np.ones(4),
            form="independent", nonlinearity="relu",
        )  # fmt: skip
    finite = np.isfinite(np.asarray(curve.total))
    assert not np.any(finite[int(np.argmin(finite)) :])


def test_a_worthless_number_is_told(key):
    """In a chaotic network derivatives at fixed noise diverge: after some steps their error is all there is."""
    weights = cn.sample_weights(cn.homogeneous(4.0), 12, key=key)
    with pytest.warns(RuntimeWarning, match="standard error exceeds the information itself, first at time"):
        simulated(weights, stimulus=0.1, noise_std=0.1, num_steps=25, num_trials=60, key=key, input_vector=np.ones(12))


def test_observation_noise_lowers_information_and_replaces_process_noise():
    settings = {"stimulus": 0.3, "num_steps": 3}
    one = cn.homogeneous(1.0)
    noisy = fisher.meanfield_curve(one, noise_std=0.2, observation_noise_std=0.1, **settings)
    clean = fisher.meanfield_curve(one, noise_std=0.2, **settings)
    assert bool(jnp.all(noisy.total < clean.total))
    silent = fisher.meanfield_curve(one, noise_std=0.0, observation_noise_std=0.1, **settings)
    assert bool(jnp.all(jnp.isfinite(silent.total)))


WEIGHTS = np.eye(4) * 0.5
PULSE = {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 2, "input_vector": np.ones(4), "num_trials": 100}
KEY = jax.random.key(0)
BAD = [
    (lambda: fisher.meanfield_curve(cn.homogeneous(1.0), stimulus=0.1, noise_std=0.0, num_steps=2), "noise_std is 0"),
    (lambda: simulated(WEIGHTS, key=KEY, **PULSE | {"num_trials": 20}, num_blocks=2, form="x"), "form"),
    (lambda: simulated(np.eye(90), key=KEY, **PULSE | {"input_vector": np.ones(90)}), "needs more trials than that"),
    (lambda: simulated(WEIGHTS, key=KEY, **PULSE | {"noise_std": 0.0}), "network has noise_std 0"),
    (lambda: simulated(WEIGHTS[:3], key=KEY, **PULSE), r"weights must have shape \(N, N\)"),
    (lambda: simulated(WEIGHTS, key=KEY, **PULSE | {"input_vector": np.ones(3)}), "input_vector must"),
    (lambda: simulated(WEIGHTS, key=KEY, **PULSE | {"num_steps": 0}), "num_steps must be at least 1"),
    (lambda: simulated(WEIGHTS * np.nan, key=KEY, **PULSE), "weights must be finite"),
    (lambda: simulated(WEIGHTS, key=KEY, **PULSE | {"stimulus": [0.1, 0.2]}), "stimulus must have shape"),
    (
        lambda: simulated(WEIGHTS, key=KEY, **PULSE | {"num_trials": 12}, form="independent"),
        "num_trials must be at least two per block",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_named(call, message, as_user):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_integer_is_no_key(as_user):
    with pytest.raises(TypeError, match=r"key must be a JAX random key, got 0"):
        simulated(WEIGHTS, key=0, **PULSE)
