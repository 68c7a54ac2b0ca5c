"""What users bring: numbers of every type, large offsets, duplicates, ties, labels in any order, no distances."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from fisherjax import geometry

RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 200, (40, 6))
CYCLE = np.arange(40) % 5


def separated(labels, seed=0):
    """Whole numbers, in which the classes are far apart."""
    noise = np.random.default_rng(seed).integers(0, 4, (len(labels), 8))
    return noise + 40 * np.eye(5, 8, dtype=int)[labels]


def random_distances(stimuli=6):
    return squareform(pdist(RNG.normal(size=(stimuli, 3))))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float16, np.float32, bool])
def test_the_type_of_the_numbers_does_not_matter(kind):
    states = (WHOLE > 100 if kind is bool else WHOLE).astype(kind)
    exact = states.astype(np.float64)
    np.testing.assert_allclose(geometry.pairwise_distances(states), squareform(pdist(exact)), rtol=1e-5)
    assert float(geometry.participation_ratio(states)) == pytest.approx(
        float(geometry.participation_ratio(exact)), rel=1e-5
    )
    labels = separated(CYCLE)[:, :2].argmax(axis=1)
    values = [float(geometry.linear_probe(x, labels)) for x in (states, exact)]
    assert values[0] == pytest.approx(values[1], abs=0.03)
    both = np.asarray(geometry.sparse_pairs(states, 2, key=jax.random.key(0)), np.float64)
    np.testing.assert_array_equal(both[:40], exact)
    lengths = np.linalg.norm(both[40:] - both[:40], axis=1)
    np.testing.assert_allclose(lengths, np.sqrt(np.mean(exact**2)), rtol=1e-3)


def test_whole_numbers_in_cyclic_order_are_told_apart():
    """Every fifth stimulus is of one class: folds of every fifth stimulus would hold out whole classes."""
    states = separated(CYCLE)
    assert float(geometry.linear_probe(states, CYCLE)) == 1
    assert float(geometry.linear_probe(states, np.array(list("abcde"))[CYCLE])) == 1
    for order in (np.argsort(CYCLE, kind="stable"), np.random.default_rng(1).permutation(40)):
        assert float(geometry.linear_probe(states[order], CYCLE[order])) == 1


def test_names_of_classes_do_not_matter():
    labels = np.random.default_rng(2).integers(0, 3, 60)
    states = np.random.default_rng(3).normal(size=(60, 5)) + np.eye(3, 5)[labels]
    values = [float(geometry.linear_probe(states, new[labels])) for new in (np.arange(3), np.array([7, -2, 5]))]
    assert abs(values[0] - values[1]) < 0.15
    assert min(values) > 0.5


def test_small_classes_are_said_and_one_class_is_refused(as_user):
    labels = np.array([0] * 20 + [1] * 18 + [2] * 2)
    with pytest.warns(RuntimeWarning, match=r"fewer members than the 5 folds.*2 \(2\)"):
        geometry.linear_probe(separated(labels), labels)
    with pytest.raises(ValueError, match="labels must hold at least two classes"):
        geometry.linear_probe(separated(labels), np.zeros(40))


def test_offsets_cost_nothing_in_single_precision():
    states = np.random.default_rng(0).normal(size=(30, 5))
    labels = (states[:, 0] > 0).astype(int)
    exact = squareform(pdist(states))
    ratio = float(geometry.participation_ratio(states))
    with jax.enable_x64(False):
        found = geometry.pairwise_distances(states + 1e6)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
        assert float(geometry.participation_ratio(states + 1e6)) == pytest.approx(ratio, rel=1e-4)
        probes = [float(geometry.linear_probe(states + shift, labels)) for shift in (0.0, 1e6)]
    assert probes[0] == pytest.approx(probes[1], abs=0.04)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_scale_costs_nothing(scale):
    states = np.random.default_rng(0).normal(size=(7, 4))
    small = (scale * states).astype(np.float32)
    np.testing.assert_allclose(geometry.pairwise_distances(small) / np.float32(scale), squareform(pdist(states)), 1e-5)
    ratio = float(geometry.participation_ratio(states))
    assert float(geometry.participation_ratio(small)) == pytest.approx(ratio, rel=1e-4)


def test_near_states_beside_far_ones_keep_their_distance():
    states = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    states[4:] += 3e4
    exact = squareform(pdist(states.astype(np.float64)))
    np.testing.assert_allclose(geometry.pairwise_distances(states), exact, rtol=1e-4)


def test_equal_states_are_at_distance_zero_with_gradient_zero():
    states = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)).repeat(2, axis=0))
    distances = geometry.pairwise_distances(states)
    assert float(distances[0, 1]) == 0
    slope = jax.grad(lambda x: jnp.sum(geometry.pairwise_distances(x)))(states)
    assert np.isfinite(slope).all()
    alone = jax.grad(lambda x: geometry.pairwise_distances(x)[0, 1])(states)
    np.testing.assert_array_equal(alone, 0)


def test_gradient_of_distances_is_that_of_differences():
    states = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(5, 5)))

    def total(x):
        return jnp.sum(weights * geometry.pairwise_distances(x))

    slope, step = jax.grad(total)(states), 1e-6
    for place in ((0, 0), (3, 2)):
        moved = [total(states.at[place].add(sign * step)) for sign in (1, -1)]
        assert float(slope[place]) == pytest.approx(float(moved[0] - moved[1]) / (2 * step), rel=1e-6)


def test_neighbors_at_equal_distance_count_in_part():
    """All at distance 1: nobody is nearer, whatever the order of the stimuli."""
    equal, labels = 1.0 - np.eye(10), np.repeat([0, 1], 5)
    assert geometry.class_neighbors(equal, labels, 3) == pytest.approx(4 / 9)
    assert geometry.neighbors_kept(equal, equal, 3) == pytest.approx(1)
    assert geometry.neighbors_kept(random_distances(10), equal, 3) == pytest.approx(3 / 9)
    line = np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    order = np.random.default_rng(0).permutation(10)
    for k in (1, 3):
        straight, mixed = (geometry.class_neighbors(line[p][:, p], labels[p], k) for p in (np.arange(10), order))
        assert straight == pytest.approx(mixed)


def with_entry(place, value):
    distances = random_distances()
    distances[place] = value
    return distances


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (with_entry((0, 1), np.nan), "must be finite"),
        (with_entry((0, 1), 9.0), "must be symmetric"),
        (-random_distances(), "must be distances, at least 0"),
        (random_distances() + np.eye(6), "must have zeros on its diagonal"),
        (random_distances() * 1j, "must be real numbers"),
    ],
)
def test_what_is_no_distance_is_refused(wrong, message, as_user):
    right = random_distances()
    calls = [
        lambda d: geometry.neighbors_kept(right, d, 2),
        lambda d: geometry.neighbors_kept(d, right, 2),
        lambda d: geometry.class_neighbors(d, np.arange(6) % 2, 2),
        lambda d: geometry.near_isometry(right, d),
        lambda d: geometry.shepard(d, right),
        lambda d: geometry.distance_correlation(right, d[None]),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError), match=rf"(original|latent) {message}"):
            call(wrong)


def test_correlations_of_equal_distances_are_not_numbers():
    right, equal = random_distances(), 0.1 * (1 - np.eye(6))
    equal[0, 1] = equal[1, 0] = np.nextafter(0.1, 1)
    with pytest.warns(RuntimeWarning, match="all equal, and their correlations NaN, at t = 2"):
        curve = geometry.distance_correlation(
            right, np.stack([right, equal, right]), key=jax.random.key(0), num_resamples=20
        )
    np.testing.assert_array_equal(np.isnan(curve.pearson), [False, True, False])
    assert np.isnan(curve.pearson_interval[1]).all()
    assert np.isfinite(curve.pearson_interval[[0, 2]]).all()
    with pytest.warns(RuntimeWarning, match="stress and correlations are NaN"):
        diagram = geometry.shepard(right, equal)
    assert np.isnan([diagram.pearson, diagram.spearman, diagram.stress]).all()
    with pytest.warns(RuntimeWarning, match="stretch is NaN"):
        stretch = geometry.near_isometry(right, np.stack([right, 0 * right]))
    np.testing.assert_array_equal(np.isnan(stretch.smallest), [False, True])
    with pytest.raises(ValueError, match="original must vary"):
        geometry.shepard(equal, right)


def test_nothing_is_said_of_what_is_in_order():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        geometry.shepard(random_distances(), random_distances())
        geometry.linear_probe(separated(CYCLE), CYCLE)
