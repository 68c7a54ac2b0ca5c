"""Distances, Shepard diagrams and their prediction."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kendalltau, pearsonr, spearmanr

from fisherjax import connectivity as cn
from fisherjax import datasets, fisher, geometry
from fisherjax.connectivity._gain_matrix import population_sizes
from fisherjax.geometry._distances import starting_overlap
from fisherjax.nonlinearities import as_nonlinearity


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
        two_populations,
        patterns,
        noise_std=0.2,
        num_steps=4,
        num_trials=30,
        num_draws=30,
        key=key,
        kept_times=range(1, 5),
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
    # neighboring pixels of photographs are alike
    flat = np.asarray(patches)
    neighbors = np.corrcoef(flat[:, :, :-1].ravel(), flat[:, :, 1:].ravel())[0, 1]
    assert neighbors > 0.8
    assert datasets.natural_patches(2, key=key, color=True).shape == (2, 16, 16, 3)


def test_predicted_correlation_of_many_units_is_that_of_predicted_distances(two_populations, patterns):
    original = geometry.pairwise_distances(patterns)
    start = starting_overlap(two_populations, patterns, as_nonlinearity("tanh"))
    settings = {"noise_std": 0.2, "num_steps": 4}
    plain = geometry.distance_correlation(
        original, geometry.predicted_distances(two_populations, patterns, **settings)
    ).pearson
    options = settings | {"num_units": 400}
    many = settings | {"num_units": 10**12, "num_trials": None}
    averaged = geometry.predicted_correlation(two_populations, start, original, **many)
    np.testing.assert_allclose(averaged, plain, rtol=1e-9)
    single, few = (
        geometry.predicted_correlation(two_populations, start, original, **options, num_trials=n) for n in (1, 5)
    )
    assert np.all(np.asarray(single)[1:] < few[1:])


def test_scatter_of_single_trials_lowers_the_correlation_as_predicted(key):
    """Where a part of the noise-free correlation is lost in the noise of 400 units, within 0.05 of simulation."""
    matrix = cn.homogeneous(0.8)
    patterns = geometry.initial_patterns(datasets.natural_patches(40, key=key), matrix, 400, key=key, amplitude=0.3)
    found = geometry.compare_geometry(
        matrix, patterns, noise_std=0.2, num_steps=3, num_trials=1, num_draws=12, key=key, num_resamples=0
    )
    noise_free = geometry.distance_correlation(
        found.original, geometry.predicted_distances(matrix, patterns, noise_std=0.2, num_steps=3)
    ).pearson
    assert noise_free[2] - found.measured.pearson[2] > 0.1
    np.testing.assert_allclose(found.measured.pearson, found.theory.pearson, atol=0.05)


def clouds(stimuli=60, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(stimuli, 30))
    return points, points + noise * rng.normal(size=points.shape)


@pytest.mark.parametrize(("stimuli", "tolerance"), [(12, 1e-12), (70, 2e-3)])
def test_correlations_are_scipys(stimuli, tolerance):
    before, after = (pdist(points) for points in clouds(stimuli))
    curve = geometry.distance_correlation(before, squareform(after)[None])
    assert curve.pearson[0] == pytest.approx(pearsonr(before, after).statistic)
    assert curve.spearman[0] == pytest.approx(spearmanr(before, after).statistic)
    assert curve.kendall[0] == pytest.approx(kendalltau(before, after).statistic, abs=tolerance)


def test_ties_are_shared():
    before = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    after = np.array([1.0, 2.0, 2.0, 3.0, 3.0, 1.0])
    curve = geometry.distance_correlation(before, squareform(after)[None])
    assert curve.spearman[0] == pytest.approx(spearmanr(before, after).statistic)
    assert curve.kendall[0] == pytest.approx(kendalltau(before, after).statistic)


def test_bootstrap_over_stimuli_is_the_plain_one():
    """Against drawing stimuli again and computing everything anew: alike to first order."""
    from fisherjax.geometry import _shepard as inner

    points, moved = clouds()
    before, after = squareform(pdist(points)), squareform(pdist(moved))
    excess = inner.bootstrap_excess(150, 60, jax.random.key(3))
    known = inner.reference(before)
    value, influence = inner.correlations(known, pdist(moved))
    samples = inner.resampled(known, value[None], [influence], excess)[0]
    plain = []
    for row in excess:
        index = np.repeat(np.arange(60), (row + 1).astype(int))
        first, second = (index[part] for part in np.triu_indices(60, 1))
        first, second = first[first != second], second[first != second]
        x, y = before[first, second], after[first, second]
        plain.append([f(x, y).statistic for f in (pearsonr, spearmanr, kendalltau)])
    plain = np.array(plain)
    for place, likeness in enumerate((0.93, 0.93, 0.9)):
        assert np.corrcoef(samples[:, place], plain[:, place])[0, 1] > likeness
        np.testing.assert_allclose(samples[:, place].std(), plain[:, place].std(), rtol=0.1)


def test_intervals_cover_the_correlation_of_many_stimuli():
    """95 % intervals from 60 stimuli hold the value of 1500 others in 85 to 100 % of 60 data sets."""
    truth = geometry.distance_correlation(*(d[None] if k else d for k, d in enumerate(map(pair, clouds(1500, seed=9)))))
    covered = []
    for seed in range(60):
        before, after = map(pair, clouds(seed=seed))
        found = geometry.distance_correlation(before, after[None], key=jax.random.key(seed), num_resamples=200)
        low, high = np.stack([found.pearson_interval[0], found.spearman_interval[0], found.kendall_interval[0]]).T
        covered.append((low <= (value := [truth.pearson[0], truth.spearman[0], truth.kendall[0]])) & (value <= high))
    assert np.all(np.mean(covered, axis=0) > 0.85)


def pair(points):
    return squareform(pdist(points))


def test_near_isometry_of_a_stretched_ellipse():
    """Along orthogonal directions stretched by 1 and 3, the extremes relative to their root mean square."""
    points = np.concatenate([np.zeros((1, 2)), np.eye(2)])
    found = geometry.near_isometry(pair(points), pair(points * [1.0, 3.0]))
    scale = np.sqrt((1 + 9 + 10) / (1 + 1 + 2))
    np.testing.assert_allclose([found.smallest, found.largest, found.scale], [1 / scale, 3 / scale, scale])
    exact = geometry.near_isometry(pair(points), np.stack([pair(points), 5 * pair(points)]))
    np.testing.assert_allclose(exact.constant, 0, atol=1e-12)


def test_sparse_pairs_differ_in_few_driven_coordinates(two_populations, key):
    patterns = geometry.initial_patterns(np.random.default_rng(0).normal(size=(6, 40)), two_populations, 100, key=key)
    both = geometry.sparse_pairs(patterns, 3, key=key, amplitude=0.5)
    change = np.asarray(both[6:] - both[:6])
    assert np.all((change != 0).sum(axis=1) == 3)
    assert not np.any(change[:, ~np.any(np.asarray(patterns) != 0, axis=0)])
    driven = np.asarray(patterns)[:, np.any(np.asarray(patterns) != 0, axis=0)]
    np.testing.assert_allclose(np.linalg.norm(change, axis=1), 0.5 * np.sqrt(np.mean(driven**2)), rtol=1e-6)


def test_a_random_network_keeps_sparse_differences_in_its_linear_regime(key):
    """Compressed sensing: a Gaussian matrix stretches all 3-sparse differences alike, to a few 1/√N."""
    one = cn.homogeneous(1.0)
    patterns = geometry.initial_patterns(np.random.default_rng(0).normal(size=(40, 50)), one, 1000, key=key)
    both = geometry.sparse_pairs(0.01 * patterns, 3, key=key)
    weights = cn.sample_weights(one, 1000, key=key)
    before, after = (np.linalg.norm(np.asarray(x[40:] - x[:40]), axis=1) for x in (both, jnp.tanh(both) @ weights.T))
    found = geometry.near_isometry(before, after)
    assert found.scale == pytest.approx(1, abs=0.05)
    assert 0.85 < found.smallest < found.largest < 1.15


def test_neighbors_and_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    points = rng.normal(size=(60, 5)) + 20 * np.eye(3, 5)[labels]
    distances = pair(points)
    np.testing.assert_allclose(geometry.neighbors_kept(distances, np.stack([distances, distances**2]), 10), 1)
    shuffled = pair(rng.permutation(points))
    assert geometry.neighbors_kept(distances, shuffled, 10) == pytest.approx(10 / 59, abs=0.06)
    assert geometry.class_neighbors(distances, labels, 10) == 1
    assert geometry.class_neighbors(distances, rng.permutation(labels), 10) == pytest.approx(19 / 59, abs=0.06)


def test_linear_probe_learns_what_is_linear_and_nothing_from_noise():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    noise = rng.normal(size=(200, 60))
    assert float(geometry.linear_probe(noise + 4 * np.eye(4, 60)[labels], labels)) > 0.9
    assert float(geometry.linear_probe(noise, labels)) == pytest.approx(0.25, abs=0.12)


def test_participation_ratio_counts_dimensions():
    rng = np.random.default_rng(0)
    states = np.zeros((2, 4000, 8))
    states[0, :, :5] = rng.normal(size=(4000, 5))
    states[1, :, 2] = rng.normal(size=4000)
    np.testing.assert_allclose(geometry.participation_ratio(states), [5, 1], rtol=0.01)
    assert float(geometry.participation_ratio(np.ones((3, 2)))) == 0


def test_projections(two_populations, key):
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), np.uint8)
    sizes = population_sizes(two_populations, 2000)
    as_is = np.asarray(geometry.initial_patterns(images, two_populations, 2000, key=key, projection="identity"))
    flat = images.reshape(5, -1) / 255.0
    np.testing.assert_allclose(
        pair(as_is) / pair(flat)[0, 1] * pair(flat)[0, 1] / pair(as_is)[0, 1], pair(flat) / pair(flat)[0, 1], atol=1e-6
    )
    small = round(400 / (sizes[0] / 2000))
    cropped = geometry.initial_patterns(images, two_populations, small, key=key, projection="crop")
    side = math.isqrt(population_sizes(two_populations, small)[0] // 3)
    low = (12 - side) // 2
    inner = images[:, low : low + side, low : low + side].reshape(5, -1) / 255.0
    ratio = pdist(cropped) / pdist(inner)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    with pytest.raises(ValueError, match=r"has \d+ units, fewer than the 432 numbers of an image"):
        geometry.initial_patterns(images, two_populations, 300, key=key, projection="identity")


def test_comparison_summaries_are_those_of_its_distances(two_populations, patterns, key):
    labels = np.arange(12) % 2
    found = geometry.compare_geometry(
        two_populations, patterns, noise_std=0.2, num_steps=6, num_draws=1, num_trials=4, key=key, labels=labels
    )
    assert found.kept_times.tolist() == [1, 2, 4, 6]
    for place, time in enumerate(found.kept_times):
        diagram = geometry.shepard(found.original, found.simulated[place])
        assert found.measured.pearson[time - 1] == pytest.approx(diagram.pearson, abs=1e-6)
        assert found.measured.stress[time - 1] == pytest.approx(diagram.stress, abs=1e-6)
        kept = geometry.neighbors_kept(found.original, found.simulated[place], 10)
        assert found.measured.neighbors[time - 1] == pytest.approx(float(kept))
        exact = geometry.predicted_distances(two_populations, patterns, noise_std=0.2, num_steps=6, num_trials=4)
        np.testing.assert_allclose(found.predicted[place], exact[time - 1], rtol=1e-6, atol=1e-6)
    assert np.all(found.measured.pearson_interval[:, 0] <= found.measured.pearson_interval[:, 1])
    assert found.measured.probe_accuracy.shape == found.measured.class_neighbors.shape == (6,)
    again = geometry.compare_geometry(
        two_populations, patterns, noise_std=0.2, num_steps=6, num_draws=1, num_trials=4, key=key, num_resamples=0
    )
    np.testing.assert_array_equal(again.measured.pearson, found.measured.pearson)
    assert again.measured.pearson_interval is None


KEY = jax.random.key(0)
ONE = cn.homogeneous(1.0)


def compare(**options):
    patterns = geometry.initial_patterns(np.eye(4), ONE, 10, key=KEY)
    settings = {"noise_std": 0.1, "num_steps": 2, "num_trials": 1, "num_draws": 1, "key": KEY} | options
    return geometry.compare_geometry(ONE, patterns, **settings)


BAD = [
    (lambda: geometry.pairwise_distances(np.array([[np.nan, 1.0], [0.0, 1.0]])), "states must be finite"),
    (lambda: geometry.shepard(np.ones(6), np.arange(6.0)), "original must vary"),
    (lambda: geometry.shepard(np.arange(6.0), np.arange(10.0)), "original and latent must match"),
    (lambda: geometry.shepard(np.arange(5.0), np.arange(5.0)), "not one per pair"),
    (lambda: geometry.initial_patterns(np.ones((3, 4)), ONE, 10, key=KEY), "images must differ"),
    (lambda: geometry.initial_patterns(np.ones((1, 4)), ONE, 10, key=KEY), "at least two images"),
    (lambda: geometry.initial_patterns(np.eye(4), ONE, 10, key=KEY, population=2), "population must be below 1"),
    (lambda: geometry.distance_correlation(1 - np.eye(4), np.zeros((2, 4, 4))), "original must vary"),
    (lambda: geometry.near_isometry(np.zeros((3, 3)), np.zeros((3, 3))), "no pair of different stimuli"),
    (lambda: geometry.near_isometry(1 - np.eye(3), 1 - np.eye(4)), "latent must have shape"),
    (lambda: geometry.neighbors_kept(1 - np.eye(3), 1 - np.eye(3), 3), "must be below the 3 stimuli"),
    (lambda: geometry.class_neighbors(1 - np.eye(3), np.ones(4), 1), "labels"),
    (lambda: geometry.linear_probe(np.ones((4, 2)), np.arange(4)), "5 folds need 10 stimuli"),
    (lambda: geometry.sparse_pairs(np.eye(3), 4, key=KEY), "only 3 coordinates are driven"),
    (lambda: geometry.initial_patterns(np.eye(4), ONE, 10, key=KEY, projection="crop"), "needs images"),
    (lambda: geometry.initial_patterns(np.eye(4), ONE, 10, key=KEY, projection="zoom"), "projection must be one of"),
    (lambda: compare(kept_times=[3]), "kept_times must be within 1…2"),
    (lambda: compare(labels=np.arange(3)), "labels"),
    (lambda: datasets.natural_patches(2, key=KEY, size=1000), "size must be at most"),
    (lambda: datasets.natural_patches(0, key=KEY), "num_images must be at least 1"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_named(call, message, as_user):
    with pytest.raises(ValueError, match=message):
        call()
