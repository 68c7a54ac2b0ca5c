"""Gray values, contrast and whitening."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import datasets


@pytest.fixture
def patches(key):
    return datasets.natural_patches(400, key=key, size=6)


def test_bytes_become_intensities_and_luminance():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[0, ..., 1] = 255
    assert float(datasets.intensities(images).max()) == 1
    np.testing.assert_allclose(datasets.gray(images)[0], 0.7154, rtol=1e-6)
    np.testing.assert_array_equal(datasets.gray(images)[1], 0)
    with pytest.raises(ValueError, match=r"images must have shape .*3\), got \(2, 4, 4\)"):
        datasets.gray(images[..., 0])


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (np.int64, 51, 0.2),
        (np.int16, 255, 1.0),
        (np.uint16, 51, 0.2),
        (np.uint16, 13107, 0.2),
        (np.bool_, 1, 1.0),
        (np.float32, 51, 51.0),
    ],
)
def test_whole_numbers_of_any_type_are_bytes_or_sixteen_bits(kind, value, expected):
    np.testing.assert_allclose(datasets.intensities(np.full((2, 3), value, kind)), expected, rtol=1e-6)


def test_whole_numbers_that_may_mean_anything(as_user):
    for value in (np.full(3, 300), np.full(3, -1), np.full(3, 40_000, np.int32)):
        with pytest.raises(ValueError, match="images must be bytes"):
            datasets.intensities(value)
    with pytest.raises(ValueError, match="images hold only 0 and 1 as int64"):
        datasets.intensities(np.array([0, 1]))
    with pytest.raises(ValueError, match="images must be finite"):
        datasets.intensities(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="channels are last here"):
        datasets.gray(np.zeros((2, 3, 4, 4)))


def test_flat_up_to_rounding_and_large_values():
    """A flat image whose mean rounds is no noise; squares of large values do not overflow."""
    np.testing.assert_array_equal(datasets.normalize_contrast(np.full((2, 5, 5), 0.1, np.float32), offset=0.0), 0)
    wave = np.sin(np.arange(50.0)).reshape(2, 25).astype(np.float32)
    large = datasets.normalize_contrast(np.float32(1e30) * wave, offset=0.0)
    np.testing.assert_allclose(large, datasets.normalize_contrast(wave, offset=0.0), rtol=1e-4)
    with pytest.raises(ValueError, match="all are the same up to rounding"):
        datasets.fit_whitening(np.full((5, 4), 1 / 3) * np.linspace(1, 1 + 1e-16, 5)[:, None])


def test_natural_patches_are_gray_patches_of_color(key):
    color = datasets.natural_patches(5, key=key, color=True)
    np.testing.assert_allclose(datasets.gray(color), datasets.natural_patches(5, key=key), atol=1e-6)


def test_contrast_is_normalized_but_flat_images_are_left_flat(patches):
    images = patches.astype(float).at[0].set(0.25)
    for offset in (0.0, 1e-4):
        normal = datasets.normalize_contrast(images, offset=offset)
        np.testing.assert_array_equal(normal[0], jnp.zeros_like(normal[0]))
        np.testing.assert_allclose(jnp.mean(normal, axis=(1, 2)), 0, atol=1e-5)
    spread = jnp.std(datasets.normalize_contrast(images, offset=0.0)[1:], axis=(1, 2))
    flat = jnp.ptp(images, axis=(1, 2))[1:] == 0  # some patches of the night sky
    np.testing.assert_allclose(spread, jnp.where(flat, 0, 1), atol=1e-4)
    with pytest.raises(ValueError, match="offset must be at least 0"):
        datasets.normalize_contrast(images, offset=-1.0)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_whitened_pixels_are_uncorrelated(patches, method):
    images = patches.astype(float)
    whitening = datasets.fit_whitening(images, method=method, regularization=0.0)
    white = datasets.whiten(images, whitening)
    np.testing.assert_allclose(jnp.mean(white, axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(jnp.cov(white.T), jnp.eye(36), atol=1e-7)


def test_zca_changes_images_least(patches):
    """Of all whitenings, rotations of each other, ZCA's correlates best with the pixels."""
    flat = patches.reshape(len(patches), -1).astype(float)
    zca = datasets.whiten(flat, datasets.fit_whitening(flat, regularization=0.0))
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(3), (36, 36)))[0]

    def likeness(white):
        return float(jnp.sum(white * (flat - flat.mean(0))))

    assert likeness(zca) > likeness(zca @ turn)
    matrix = datasets.fit_whitening(flat).matrix
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-10)


def test_principal_components_are_the_leading_ones(patches):
    flat = patches.reshape(len(patches), -1).astype(float)
    few = datasets.fit_whitening(flat, method="pca", num_components=3, regularization=0.0)
    assert few.matrix.shape == (3, 36)
    variances = np.linalg.eigvalsh(np.cov(np.asarray(flat).T))[::-1][:3]
    np.testing.assert_allclose(1 / jnp.sum(few.matrix**2, axis=1), variances, rtol=1e-8)


def test_fewer_images_than_pixels_leave_empty_directions_out(patches):
    few = patches[:20].astype(float)
    white = datasets.whiten(few, datasets.fit_whitening(few, regularization=0.0))
    eigenvalues = np.linalg.eigvalsh(np.cov(np.asarray(white).T))
    np.testing.assert_allclose(eigenvalues[-19:], 1, rtol=1e-6)
    np.testing.assert_allclose(eigenvalues[:-19], 0, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "pcaa"}, "method must be one of"),
        ({"num_components": 3}, "is for method='pca'"),
        ({"method": "pca", "num_components": 37}, "at most 36"),
        ({"regularization": -1.0}, "regularization must be at least 0"),
    ],
)
def test_bad_whitening(patches, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.fit_whitening(patches, **options)


def test_whitening_of_other_images(patches):
    whitening = datasets.fit_whitening(patches)
    with pytest.raises(ValueError, match="images must have 36 pixels like those of the fit, got 25"):
        datasets.whiten(patches[:, :5, :5], whitening)
    with pytest.raises(ValueError, match="all are the same"):
        datasets.fit_whitening(jnp.ones((3, 4)))
