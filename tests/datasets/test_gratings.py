"""Gratings: exact moments, differentiability, angles, bad input."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fisherjax.datasets import grating_moments, gratings
from fisherjax.datasets._gratings import grating_angles


@pytest.mark.parametrize(("angle", "information"), [(0.0, 569.699729979), (np.pi / 4, 552.670593552)])
def test_image_information_is_that_of_theory(angle, information):
    """theory.md §5: linear information of images of side 21."""

    def moments(theta):
        return grating_moments(theta, size=21)

    (_, variance), (slope, _) = jax.jvp(moments, (jnp.asarray(angle),), (jnp.ones(()),))
    inside = np.asarray(variance) > 0
    np.testing.assert_allclose(
        np.sum(np.asarray(slope)[inside] ** 2 / np.asarray(variance)[inside]), information, rtol=1e-9
    )


def test_moments_agree_with_samples(key):
    images = gratings(jnp.full(4000, 0.4), key=key, size=9)
    mean, variance = grating_moments(0.4, size=9)
    error = np.sqrt(np.asarray(variance) / 4000)
    assert np.all(np.abs(images.mean(0) - mean) <= 5 * error)
    spread = np.asarray(images.var(0))
    assert np.all(np.abs(spread - variance) <= 5 * np.sqrt(2 / 4000) * np.asarray(variance) + 1e-12)
    assert np.all(np.abs(images) <= 1)


def test_disc_and_noiseless_wave():
    axis = np.linspace(-np.pi, np.pi, 15)
    x, y = axis[None], axis[:, None]
    image = np.asarray(gratings(0.3, key=jax.random.key(0), size=15, noise_probability=0.0))
    expected = np.where(x**2 + y**2 < 6, np.cos(5 * (y * np.cos(0.3) + x * np.sin(0.3))), 0)
    np.testing.assert_allclose(image, expected, atol=1e-12)
    np.testing.assert_allclose(grating_moments(0.3, size=15, noise_variance=0.0)[0], expected, atol=1e-12)


def test_derivative_in_the_angle_at_fixed_noise(key):
    image = lambda angle: gratings(angle, key=key, size=11)  # noqa: E731
    _, slope = jax.jvp(image, (0.7,), (1.0,))
    difference = (image(0.7 + 1e-6) - image(0.7 - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, difference, atol=1e-6)


def test_each_image_has_its_own_noise_and_the_key_decides(key):
    pair = gratings(jnp.zeros(2), key=key, size=9)
    assert not np.array_equal(pair[0], pair[1])
    np.testing.assert_array_equal(pair, gratings(jnp.zeros(2), key=key, size=9))


@pytest.mark.parametrize("concentration", [0.0, 3.0])
def test_angles_follow_von_mises_modulo_pi(concentration, key):
    angles = np.asarray(grating_angles(4000, key=key, concentration=concentration, location=1.0))
    assert np.all((angles >= 0) & (angles < np.pi))
    law = scipy.stats.vonmises(concentration, loc=1.0) if concentration else scipy.stats.uniform(-np.pi, 2 * np.pi)
    grid = np.linspace(0, np.pi, 9)
    cells = [
        sum(law.cdf(high - turn) - law.cdf(low - turn) for turn in (-np.pi, 0, np.pi, 2 * np.pi))
        for low, high in itertools.pairwise(grid)
    ]
    counts = np.histogram(angles, grid)[0]
    assert scipy.stats.chisquare(counts, 4000 * np.array(cells) / np.sum(cells)).pvalue > 1e-3


def test_bad_input(key, as_user):
    with pytest.raises(ValueError, match="angles must be finite"):
        gratings(np.nan, key=key, size=5)
    with pytest.raises(ValueError, match="noise_variance must be at least 0"):
        gratings(0.1, key=key, size=5, noise_variance=-1.0)
    with pytest.raises(ValueError, match="noise_probability must be at most 1"):
        gratings(0.1, key=key, size=5, noise_probability=1.5)
    with pytest.raises(ValueError, match="concentration must be at least 0"):
        grating_angles(3, key=key, concentration=-1.0)
