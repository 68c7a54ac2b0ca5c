"""Balanced initial weights: whatever regions, masks and ratios, no eigenvalue grows with the number of units."""

import jax
import numpy as np
import pytest

from fisherjax import networks
from fisherjax.networks import RNN, MultiRegion, Projection, Region, dale, initializers, low_rank, mask
from fisherjax.networks._balance import _largest_eigenvalue

BULK = np.sqrt(1 - 2 / np.pi)  # of |N(0, 1)| of random sign and mean square one, its mean taken out


def radius(matrix):
    return np.abs(np.linalg.eigvals(np.asarray(matrix))).max()


def weights(key, num_units, constraints, initializer=None):
    network = RNN(1, num_units, 1, key=key, constraints=constraints, recurrent_initializer=initializer)
    return np.asarray(network.recurrent_weights)


def two_regions(num_units, probability, ratios=(0.8, 0.8)):
    half = num_units // 2
    regions = {name: Region(half, dale=ratio) for name, ratio in zip("ab", ratios, strict=True)}
    return MultiRegion(regions, [Projection("a", "b", probability), Projection("b", "a", probability)])


@pytest.mark.parametrize("num_units", [100, 400])
@pytest.mark.parametrize(
    "probability",
    [1.0, 0.2, {"E->E": 0.3}, {"E->E": 0.2, "E->I": 0.2}, {"E->I": 0.3}, {"E->E": 0.2, "I->E": 0.2}],
    ids=str,
)
def test_two_regions_have_no_outlier(probability, num_units, key):
    """Projections that only excite cannot be canceled; their weights are small enough."""
    for own in jax.random.split(key, 2 if num_units == 400 else 3):
        matrix = weights(own, num_units, two_regions(num_units, probability))
        assert radius(matrix) < 0.9
        np.testing.assert_allclose((matrix**2).sum(axis=1), 1, rtol=1e-6)
        assert radius(matrix) > 0.8 * BULK


def test_every_source_region_cancels_by_itself(key):
    matrix = weights(key, 100, two_regions(100, 1.0, (0.8, 0.5)))
    for source in (slice(0, 50), slice(50, 100)):
        np.testing.assert_allclose(matrix[:, source].sum(axis=1), 0, atol=1e-12)


def test_regions_of_one_sign_cancel_each_other(key):
    """Excitatory and inhibitory units as two regions are balanced as one."""
    for num_units in (100, 400):
        matrix = weights(key, num_units, two_regions(num_units, 0.5, (1.0, 0.0)))
        np.testing.assert_allclose(matrix.sum(axis=1), 0, atol=1e-12)
        assert radius(matrix) < 1.0


@pytest.mark.parametrize("num_units", [100, 400])
@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.8])
def test_ratios_and_sparse_masks(ratio, num_units, key):
    dense = weights(key, num_units, dale(ratio))
    assert radius(dense) < 0.8
    allowed = np.asarray(jax.random.bernoulli(key, 0.4, (num_units, num_units)))
    sparse = weights(key, num_units, [dale(ratio), mask(recurrent=allowed)])
    assert radius(sparse) < 1.25
    np.testing.assert_allclose(sparse.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize(("ratio", "sign"), [(1.0, 1), (0.0, -1)])
def test_one_sign_has_the_radius_that_was_asked(ratio, sign, key):
    """Perron–Frobenius: rows of one sign that sum to g have the radius g."""
    for num_units in (50, 200):
        with pytest.warns(RuntimeWarning, match="nothing can balance them"):
            matrix = weights(key, num_units, dale(ratio), initializers.balanced(0.9))
        np.testing.assert_allclose(matrix.sum(axis=1), sign * 0.9, rtol=1e-12)
        np.testing.assert_allclose(radius(matrix), 0.9, rtol=1e-10)


def block_mask(num_units):
    """Two blocks between which only excitatory units project, said by a mask alone."""
    half = num_units // 2
    excitatory = np.arange(num_units) % half < 0.8 * half
    same = (np.arange(num_units) < half)[:, None] == (np.arange(num_units) < half)
    return [dale(signs=np.where(excitatory, 1, -1)), mask(recurrent=same | excitatory)]


def test_a_mask_that_cannot_be_balanced_says_so(key):
    for num_units in (200, 400):
        with pytest.warns(RuntimeWarning, match="leave an eigenvalue of"):
            matrix = weights(key, num_units, block_mask(num_units))
        np.testing.assert_allclose(radius(matrix), 1.0, rtol=1e-3)


def test_low_rank(key):
    np.testing.assert_allclose(radius(weights(key, 60, [low_rank(8), dale(0.8)])), 1.0, rtol=1e-6)
    for constraints in (low_rank(3), [low_rank(3), dale(0.8)]):
        asked = weights(key, 60, constraints, initializers.spectral_radius(0.9))
        np.testing.assert_allclose(radius(asked), 0.9, rtol=1e-8)
    gated = networks.GRU(1, 20, 1, key=key, constraints=low_rank(3), recurrent_initializer="spectral-radius")
    for gate in np.split(np.asarray(gated.recurrent_weights), 3):
        np.testing.assert_allclose(radius(gate), 1.0, rtol=1e-8)


def test_spectral_radius_is_measured_as_asked(key):
    for constraints in ((), dale(0.8), two_regions(60, {"E->E": 0.3}), block_mask(60)):
        matrix = weights(key, 60, constraints, initializers.spectral_radius(1.2))
        np.testing.assert_allclose(radius(matrix), 1.2, rtol=1e-10)


def test_arnoldi_finds_an_eigenvalue_outside_of_the_bulk():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(300, 300)) / np.sqrt(300) + 2.0 * np.ones((300, 300)) / 300
    np.testing.assert_allclose(_largest_eigenvalue(matrix), radius(matrix), rtol=1e-6)
    nilpotent = np.zeros((300, 300))
    nilpotent[0, 1] = 1.0
    assert _largest_eigenvalue(nilpotent) < 1e-6
