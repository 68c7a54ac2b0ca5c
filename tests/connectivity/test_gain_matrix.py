"""Structures, families and sampled weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fisherjax import _linalg
from fisherjax import connectivity as cn
from fisherjax.connectivity._gain_matrix import population_sizes

FAMILIES = [
    cn.HomogeneousFamily(3),
    cn.ToeplitzFamily(4),
    cn.SymmetricToeplitzFamily(4),
    cn.GeneralizedToeplitzFamily(4),
    cn.CirculantFamily(4),
    cn.FeedforwardChainFamily(4),
    cn.FreeFamily(3),
    cn.BlockFamily(5, groups=(0, 0, 1, 1, 1)),
    cn.WithFractions(cn.ToeplitzFamily(3)),
    cn.WithFractions(cn.FreeFamily(2), floor=0.1),
    cn.WithMeans(cn.ToeplitzFamily(3)),
    cn.WithMeans(cn.FreeFamily(2), signs=(1, -1)),
    cn.WithFractions(cn.WithMeans(cn.FreeFamily(2))),
]


def name_of(family):
    inner = f"-{type(family.family).__name__}" if isinstance(family, cn.WithFractions | cn.WithMeans) else ""
    return type(family).__name__ + inner


def interior(family, seed=0):
    """A random point well inside the family's box."""
    low, high = family.bounds
    unit = np.random.default_rng(seed).uniform(0.15, 0.85, family.num_parameters)
    return jnp.asarray(low + (high - low) * unit)


@pytest.mark.parametrize("family", FAMILIES, ids=name_of)
def test_round_trip(family):
    for seed in range(3):
        parameters = interior(family, seed)
        built = family.build(parameters)
        np.testing.assert_allclose(family.parameters(built), parameters, rtol=1e-9)
        again = family.build(family.parameters(built))
        np.testing.assert_allclose(again.gains, built.gains, rtol=1e-9)
        np.testing.assert_allclose(again.fractions, built.fractions, rtol=1e-12)
        np.testing.assert_allclose(again.means, built.means, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=name_of)
def test_build_is_differentiable_and_batches(family):
    parameters = interior(family)

    def numbers(x):
        built = family.build(x)
        return jnp.concatenate([built.gains.reshape(-1), built.fractions, built.means.reshape(-1)])

    jacobian = np.asarray(jax.jit(jax.jacobian(numbers))(parameters))
    assert np.all(np.isfinite(jacobian))
    assert np.linalg.matrix_rank(jacobian) == parameters.size
    batch = jax.jit(jax.vmap(family.build))(np.stack([parameters, parameters * 0.9]))
    assert batch.gains.shape == (2, family.num_populations, family.num_populations)


@pytest.mark.parametrize("family", FAMILIES, ids=name_of)
def test_bounds_have_one_entry_per_parameter(family):
    low, high = family.bounds
    assert low.shape == high.shape == (family.num_parameters,)
    assert (low < high).all()


def test_toeplitz_orders_lags_from_feedback_to_feedforward():
    matrix = cn.toeplitz([1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(matrix.gains, [[3, 2, 1], [4, 3, 2], [5, 4, 3]])


def test_structures_are_special_cases_of_each_other():
    ones = np.ones(3)
    base = cn.toeplitz([1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(cn.generalized_toeplitz([1.0, 2, 3, 4, 5], ones, ones).gains, base.gains)
    np.testing.assert_array_equal(
        cn.symmetric_toeplitz([3.0, 2.0, 1.0]).gains, cn.toeplitz([1.0, 2.0, 3.0, 2.0, 1.0]).gains
    )
    np.testing.assert_array_equal(cn.circulant([1.0, 2.0, 3.0]).gains, [[1, 3, 2], [2, 1, 3], [3, 2, 1]])
    chain = cn.feedforward_chain(2.0, num_populations=3, recurrent=0.5, feedback=0.1)
    np.testing.assert_allclose(chain.gains, cn.toeplitz([0, 0.1, 0.5, 2.0, 0]).gains)
    np.testing.assert_array_equal(cn.homogeneous(1.5, 2).gains, cn.block(np.full((2, 2), 1.5)).gains)


def test_budget_of_the_critical_homogeneous_network_is_one():
    assert float(cn.homogeneous(1.0, 5).mean_synaptic_budget) == pytest.approx(1, rel=1e-14)


@given(weights=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=7), num_units=st.integers(150, 5000))
def test_population_sizes_sum_to_the_number_of_units(weights, num_units):
    shares = np.asarray(weights) / np.sum(weights)
    matrix = cn.GainMatrix(np.ones((len(shares), len(shares))), shares)
    sizes = population_sizes(matrix, num_units)
    assert sum(sizes) == num_units
    assert np.all(np.abs(np.asarray(sizes) - shares * num_units) < 1 + 1e-6)
    assert np.array_equal(np.bincount(cn.population_index(matrix, num_units)), sizes)


def test_weights_have_the_stated_variance_and_are_fixed_by_the_key(two_populations, key):
    units = 1000
    weights = cn.sample_weights(two_populations, units, key=key)
    assert weights.dtype == jnp.float64
    np.testing.assert_array_equal(weights, cn.sample_weights(two_populations, units, key=key))
    index = cn.population_index(two_populations, units)
    for p in range(2):
        for q in range(2):
            entries = weights[index == p][:, index == q]
            expected = float(two_populations.gains[p, q]) ** 2 / units
            error = expected * np.sqrt(2 / entries.size)
            assert abs(float(jnp.mean(entries**2)) - expected) < 4 * error
    assert cn.sample_weights(two_populations, 50, key=key, dtype=jnp.float32).dtype == jnp.float32


@pytest.mark.parametrize("seed", [0, 1])
def test_spectral_radius_follows_the_circular_law(seed):
    matrix = cn.toeplitz([0.3, 0.9, 0.6, 1.4, 0.2])
    weights = cn.sample_weights(matrix, 900, key=jax.random.key(seed))
    measured = float(_linalg.spectral_radius(weights))
    # the edge fluctuates by about N^(-1/2) times a number of order one
    assert abs(measured / float(cn.spectral_radius(matrix)) - 1) < 4 / np.sqrt(900)


def test_spectral_radius_gradient_matches_differences():
    matrix = cn.toeplitz([0.3, 0.9, 0.6, 1.4, 0.2]).variance_gain
    direction = jnp.asarray(np.random.default_rng(0).standard_normal(matrix.shape))
    step = 1e-6
    difference = (
        _linalg.spectral_radius(matrix + step * direction) - _linalg.spectral_radius(matrix - step * direction)
    ) / (2 * step)
    slope = jnp.sum(jax.grad(_linalg.spectral_radius)(matrix) * direction)
    np.testing.assert_allclose(slope, difference, rtol=1e-8)


def test_perron_vectors_are_eigenvectors():
    matrix = cn.toeplitz([0.3, 0.9, 0.6, 1.4, 0.2]).variance_gain
    left, right = _linalg.perron_vectors(matrix)
    radius = _linalg.spectral_radius(matrix)
    np.testing.assert_allclose(left @ matrix, radius * left, rtol=1e-12)
    np.testing.assert_allclose(matrix @ right, radius * right, rtol=1e-12)
    assert bool(jnp.all(left > 0))
    assert bool(jnp.all(right > 0))


def test_results_save_and_load(tmp_path, two_populations):
    path = two_populations.save(tmp_path / "matrix")
    assert path.suffix == ".npz"
    loaded = cn.GainMatrix.load(path)
    np.testing.assert_array_equal(loaded.gains, two_populations.gains)
    np.savez(tmp_path / "foreign.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="not written by fisherjax"):
        cn.GainMatrix.load(tmp_path / "foreign.npz")
    assert repr(two_populations).startswith("GainMatrix(gains=")
    assert not list(tmp_path.glob("*.tmp"))


BAD = [
    (lambda: cn.GainMatrix([[1.0, -0.1], [0.2, 0.3]]), "gains must be non-negative"),
    (lambda: cn.GainMatrix([[1.0, np.nan], [0.2, 0.3]]), "gains must be finite"),
    (lambda: cn.GainMatrix([[1.0, 2.0]]), "gains must have shape"),
    (lambda: cn.GainMatrix(np.ones((2, 2)), [0.5, 0.6]), "fractions must sum to 1"),
    (lambda: cn.GainMatrix(np.ones((2, 2)), [0.0, 1.0]), "fractions must be positive"),
    (lambda: cn.GainMatrix(np.ones((2, 2)), [0.2, 0.3, 0.5]), "fractions must have shape"),
    (lambda: cn.toeplitz([1.0, 2.0]), "coefficients must hold an odd number"),
    (lambda: cn.generalized_toeplitz([1.0, 2.0, 3.0], [1.0], [1.0, 1.0]), "row_scale must have one entry"),
    (lambda: population_sizes(cn.GainMatrix(np.ones((2, 2)), [0.01, 0.99]), 10), "would hold no unit"),
    (lambda: cn.ToeplitzFamily(3, low=2.0, high=1.0), "bounds must have 0 <= low < high"),
    (lambda: cn.ToeplitzFamily(0), "num_populations must be at least 1"),
    (lambda: cn.WithFractions(cn.FreeFamily(3), floor=0.5), "floor must be positive and below"),
    (lambda: cn.BlockFamily(3, groups=(0, 2, 2)), "groups must label"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_named(call, message, as_user):
    with pytest.raises(ValueError, match=message):
        call()


def test_keys_are_checked(two_populations, as_user):
    with pytest.raises(TypeError, match=r"write jax.random.key\(3\)"):
        cn.sample_weights(two_populations, 10, key=3)
    legacy = cn.sample_weights(two_populations, 10, key=jax.random.PRNGKey(3))
    np.testing.assert_array_equal(legacy, cn.sample_weights(two_populations, 10, key=jax.random.key(3)))


@pytest.mark.parametrize("fractions", [None, (0.25, 0.75)])
def test_networks_are_sampled_from_structures_built_inside_a_jit(fractions):
    @jax.jit
    def inside(gain, key):
        return cn.sample_weights(cn.homogeneous(gain, 2, fractions), 8, key=key)

    key = jax.random.key(0)
    outside = cn.sample_weights(cn.homogeneous(1.3, 2, fractions), 8, key=key)
    np.testing.assert_allclose(inside(1.3, key), outside, rtol=1e-12)
