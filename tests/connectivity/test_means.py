"""Structures whose weights have means: networks drawn from them, their spectra, who follows them and who refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import dmft, fisher, geometry, meanfield, optimize

EI = cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], [0.8, 0.2], [[2.0, -4.0], [2.0, -3.0]])


def test_weights_have_the_means_and_the_deviations(key):
    units = 1000
    weights = np.asarray(cn.sample_weights(EI, units, key=key))
    index = cn.population_index(EI, units)
    for row in range(2):
        for column in range(2):
            block = weights[index == row][:, index == column]
            error = block.std() / np.sqrt(block.size)
            assert abs(block.mean() - EI.means[row, column] / units) < 4 * error
            assert block.std() * np.sqrt(units) == pytest.approx(float(EI.gains[row, column]), rel=0.02)
    # the same numbers about another mean
    centered = np.asarray(cn.sample_weights(cn.GainMatrix(EI.gains, EI.fractions), units, key=key))
    np.testing.assert_allclose(weights - centered, np.asarray(EI.means)[index][:, index] / units, atol=1e-15)


def test_weights_are_differentiable_in_the_means(key):
    def total(means):
        return jnp.sum(cn.sample_weights(cn.GainMatrix(EI.gains, EI.fractions, means), 20, key=key))

    # every mean stands in so many entries, each divided by N
    np.testing.assert_allclose(jax.grad(total)(EI.means), np.outer([16, 4], [16, 4]) / 20, rtol=1e-12)


def test_outliers_are_those_of_drawn_weights(key):
    strong = cn.GainMatrix(0.5 * np.ones((2, 2)), [0.8, 0.2], [[3.0, -1.0], [2.0, -4.0]])
    found = np.asarray(cn.spectral_outliers(strong))
    values = np.linalg.eigvals(np.asarray(cn.sample_weights(strong, 1200, key=key)))
    beyond = values[np.abs(values) > float(cn.spectral_radius(strong)) * 1.1]
    assert len(beyond) == np.isfinite(found).sum()
    np.testing.assert_allclose(np.sort(beyond.real), np.sort(found[np.isfinite(found)].real), atol=0.05)
    # the radius is that of the rest
    assert float(cn.spectral_radius(strong)) == pytest.approx(0.5)
    inside = cn.GainMatrix(np.ones((2, 2)), None, 0.5 * np.ones((2, 2)))
    assert np.isnan(np.asarray(cn.spectral_outliers(inside))).all()


def test_a_budget_counts_the_means():
    assert float(EI.mean_synaptic_budget) == pytest.approx(
        sum(
            EI.fractions[p] * (EI.gains[p, q] ** 2 + EI.means[p, q] ** 2) * EI.fractions[q]
            for p in range(2)
            for q in range(2)
        )
    )
    scaled = optimize.Budget(1.0).rescale(EI)
    assert float(scaled.mean_synaptic_budget) == pytest.approx(1)
    np.testing.assert_allclose(scaled.means / EI.means, scaled.gains / EI.gains, rtol=1e-12)


def test_none_is_not_zero():
    """Both are the same in numbers; only one that was given can be differentiated."""
    assert EI.centered is False
    assert cn.homogeneous(1.0).centered
    np.testing.assert_array_equal(cn.homogeneous(1.0, 2).means, np.zeros((2, 2)))
    order = EI.permuted([1, 0])
    np.testing.assert_array_equal(order.means, np.asarray(EI.means)[::-1, ::-1])


def test_saved_and_loaded(tmp_path):
    loaded = cn.GainMatrix.load(EI.save(tmp_path / "ei"))
    np.testing.assert_array_equal(loaded.means, EI.means)
    assert cn.GainMatrix.load(cn.homogeneous(1.0).save(tmp_path / "plain")).centered


REFUSING = {
    "operator": lambda: fisher.operator_curve(EI, stimulus=0.5, noise_std=0.3, num_steps=2),
    "two times": lambda: meanfield.two_time_correlation(EI, num_steps=3, initial_variance=1.0),
    "dmft": lambda: dmft.autocorrelation(EI),
    "distances": lambda: geometry.predicted_distances(EI, np.eye(3), noise_std=0.3, num_steps=2),
    "family": lambda: cn.FreeFamily(2).parameters(EI),
}


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("call", REFUSING.values(), ids=REFUSING)
def test_what_does_not_follow_means_refuses_them(call):
    with pytest.raises(ValueError, match="gain_matrix has means, which are not followed here"):
        call()


@pytest.mark.usefixtures("as_user")
def test_bad_means_are_named():
    with pytest.raises(ValueError, match=r"means must have shape \(2, 2\)"):
        cn.GainMatrix(np.ones((2, 2)), None, np.ones(2))
    with pytest.raises(ValueError, match="signs must be 1 or -1 for each of 2 populations"):
        cn.WithMeans(cn.FreeFamily(2), signs=(1, 0))
    with pytest.raises(ValueError, match="low_mean must be at least 0 where there are signs"):
        cn.WithMeans(cn.FreeFamily(2), low_mean=-1.0, signs=(1, -1))
    with pytest.raises(ValueError, match="low_mean must be below high_mean"):
        cn.WithMeans(cn.FreeFamily(2), low_mean=6.0)
