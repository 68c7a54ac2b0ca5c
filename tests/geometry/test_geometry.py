"""Distances, Shepard diagrams and their prediction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from fisherjax import connectivity as cn
from fisherjax import datasets, fisher, geometry


@pytest.fixture
def patterns(two_populations, key):
    images = datasets.natural_patches(12, key=key)
    return geometry.initial_patterns(images, two_populations, 400, key=key)


def test_pairwise_distances_are_scipys():
    states = np.random.default_rng(0).standard_normal((3, 7, 5)) + 100
    distances = geometry.pairwise_distances(states)
    for batch in range(3):
        np.testing.assert_allclose(distances[batch], squareform(pdist(states[batch])), atol=1e-9)


def test_initial_patterns_drive_one_population_and_keep_distances(two_populations, key):
    images = datasets.natural_patches(20, key=key)
    patterns = geometry.initial_patterns(images, two_populations, 2000, key=key, amplitude=0.7, population=1)
    index = cn.population_index(two_populations, 2000)
    assert not np.any(np.asarray(patterns)[:, index == 0])
    assert float(jnp.sqrt(jnp.mean(patterns[:, index == 1] ** 2))) == pytest.approx(0.7)
    correlation = geometry.shepard(
        geometry.pairwise_distances(np.asarray(images, np.float64).reshape(20, -1)),
        geometry.pairwise_distances(patterns),
    ).pearson
    assert correlation > 0.99


def test_predicted_distances_match_simulation(two_populations, patterns, key):
    comparison = geometry.compare_geometry(
        two_populations, patterns, noise_std=0.2, num_steps=4, num_trials=30, num_draws=30, key=key
    )
    pairs = np.triu_indices(12, 1)
    for step in range(4):
        predicted, simulated = (np.asarray(x[step])[pairs] for x in (comparison.predicted, comparison.simulated))
        # a squared distance averages 400 units over 30 draws; units share weights, so allow 5 % per pair, 2 % overall
        np.testing.assert_allclose(simulated, predicted, rtol=0.08)
        assert abs(np.mean(simulated / predicted) - 1) < 0.02


def test_distance_of_near_stimuli_is_the_sensitivity(two_populations):
    """For patterns θ w and (θ + h) w, d² → h² N Σ f D: geometry and Fisher information share one theory."""
    units, theta, step = 500, 0.6, 1e-4
    index = cn.population_index(two_populations, units)
    vector = (index == 0).astype(float)
    patterns = jnp.asarray(np.stack([theta * vector, (theta + step) * vector, 2 * vector]))
    distances = geometry.predicted_distances(two_populations, patterns, noise_std=0.3, num_steps=4)
    curve = fisher.meanfield_curve(two_populations, stimulus=theta + step / 2, noise_std=0.3, num_steps=4)
    from fisherjax.meanfield import propagate

    order = propagate(two_populations, stimulus=theta + step / 2, noise_std=0.3, num_steps=4)
    expected = units * jnp.sum(two_populations.fractions * order.sensitivity[..., 0, 0], axis=1)
    np.testing.assert_allclose(distances[:, 0, 1] ** 2 / step**2, expected, rtol=1e-5)
    assert curve.total.shape == (4,)


def test_trial_noise_adds_its_variance(two_populations, patterns):
    settings = {"noise_std": 0.3, "num_steps": 3}
    clean = geometry.predicted_distances(two_populations, patterns, **settings)
    single = geometry.predicted_distances(two_populations, patterns, num_trials=1, **settings)
    many = geometry.predicted_distances(two_populations, patterns, num_trials=4, **settings)
    np.testing.assert_allclose(single**2 - clean**2, 4 * (many**2 - clean**2), rtol=1e-8, atol=1e-8)
    assert float(jnp.max(jnp.diagonal(single, axis1=1, axis2=2))) == 0


def test_shepard_of_monotone_distances_has_no_stress():
    original = np.random.default_rng(0).uniform(1, 2, 45)
    diagram = geometry.shepard(original, original**3)
    assert diagram.stress < 1e-12
    assert diagram.spearman == pytest.approx(1)
    assert diagram.pearson < 1
    np.testing.assert_allclose(diagram.fitted, diagram.latent)


def test_shepard_statistics_are_scipys_and_the_fit_is_monotone():
    rng = np.random.default_rng(1)
    original = rng.uniform(1, 2, 45)
    latent = original + rng.normal(0, 0.3, 45)
    diagram = geometry.shepard(squareform(original), squareform(latent))
    assert diagram.spearman == pytest.approx(spearmanr(original, latent).statistic)
    order = np.argsort(original)
    assert np.all(np.diff(diagram.fitted[order]) >= 0)
    # the isotonic fit conserves the mean, and stress is its relative residual
    assert diagram.fitted.mean() == pytest.approx(latent.mean())
    residual = np.sqrt(np.sum((latent - diagram.fitted) ** 2) / np.sum(latent**2))
    assert diagram.stress == pytest.approx(residual)


def test_correlation_over_time(two_populations, patterns):
    distances = geometry.predicted_distances(two_populations, patterns, noise_std=0.2, num_steps=5)
    curve = geometry.distance_correlation(geometry.pairwise_distances(patterns), distances)
    assert curve.pearson.shape == (5,)
    step = geometry.shepard(geometry.pairwise_distances(patterns), distances[2])
    assert curve.pearson[2] == pytest.approx(step.pearson)
    assert curve.spearman[2] == pytest.approx(step.spearman)


def test_natural_patches_are_deterministic_and_real(key):
    patches = datasets.natural_patches(30, key=key, size=12)
    assert patches.shape == (30, 12, 12)
    assert patches.dtype == jnp.float32
    np.testing.assert_array_equal(patches, datasets.natural_patches(30, key=key, size=12))
    assert float(patches.min()) >= 0
    assert float(patches.max()) <= 1
    assert float(patches.std()) > 0.05
    # neighbouring pixels of photographs are alike
    flat = np.asarray(patches)
    neighbours = np.corrcoef(flat[:, :, :-1].ravel(), flat[:, :, 1:].ravel())[0, 1]
    assert neighbours > 0.8
    assert datasets.natural_patches(2, key=key, color=True).shape == (2, 16, 16, 3)


KEY = jax.random.key(0)
ONE = cn.homogeneous(1.0)
BAD = [
    (lambda: geometry.pairwise_distances(np.array([[np.nan, 1.0], [0.0, 1.0]])), "states must be finite"),
    (lambda: geometry.shepard(np.ones(6), np.arange(6.0)), "original must vary"),
    (lambda: geometry.shepard(np.arange(6.0), np.arange(10.0)), "original and latent must match"),
    (lambda: geometry.shepard(np.arange(5.0), np.arange(5.0)), "not one per pair"),
    (lambda: geometry.initial_patterns(np.ones((3, 4)), ONE, 10, key=KEY), "images must differ"),
    (lambda: geometry.initial_patterns(np.ones((1, 4)), ONE, 10, key=KEY), "at least two images"),
    (lambda: geometry.initial_patterns(np.eye(4), ONE, 10, key=KEY, population=2), "population must be below 1"),
    (lambda: datasets.natural_patches(2, key=KEY, size=1000), "size must be at most"),
    (lambda: datasets.natural_patches(0, key=KEY), "num_images must be at least 1"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_named(call, message, as_user):
    with pytest.raises(ValueError, match=message):
        call()
