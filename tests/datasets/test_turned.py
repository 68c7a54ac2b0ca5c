"""Turned pictures: what a turn is, its derivative, what is read, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fisherjax import datasets

RAMP = np.add.outer(np.arange(24) ** 2 // 4, 3 * np.arange(24)).astype(np.uint8)
QUIET = {"noise_std": 1e-12, "size": 9}


def test_a_turn_is_a_rotation(key):
    """Quarter turns are those of NumPy, a whole one is none, and no corner is shown."""
    pictures = datasets.turned_pictures([RAMP, RAMP.T], window=0.6, **QUIET)
    image = lambda angle: np.asarray(pictures(angle, key=key))  # noqa: E731
    upright = image(0.0)
    assert upright.std() > 0.1
    for quarters in (1, 2, 3):
        np.testing.assert_allclose(image(quarters * np.pi / 2), np.rot90(upright, quarters), atol=1e-6)
    np.testing.assert_allclose(image(2 * np.pi), upright, atol=1e-6)
    axis = np.arange(9) - 4
    outside = axis[:, None] ** 2 + axis**2 > 16
    assert not image(0.4)[outside].any()


def test_a_turned_plane_is_a_plane(key):
    """Splines reproduce polynomials of degree one: a gradient turned by θ has the direction θ, at every place."""
    pictures = datasets.turned_pictures([np.tile(np.arange(0, 180, 10, np.uint8), (18, 1))], window=0.5, **QUIET)
    angle = 0.7
    image = np.asarray(pictures(angle, key=key))[3:6, 3:6]
    right, up = (image[1, 2] - image[1, 0]) / 2, (image[0, 1] - image[2, 1]) / 2
    np.testing.assert_allclose(np.arctan2(up, right), angle, rtol=1e-6)


def test_derivative_in_the_angle(key):
    """Against differences, at angles where pixels cross from one nearest pixel to the next."""
    pictures = datasets.turned_pictures([RAMP], size=9, window=0.8, noise_std=0.3)
    image = lambda angle: pictures(angle, key=key)  # noqa: E731
    for angle in (0.0, 0.3, np.pi / 4):
        slope = jax.jvp(image, (angle,), (1.0,))[1]
        np.testing.assert_allclose(slope, (image(angle + 1e-5) - image(angle - 1e-5)) / 2e-5, atol=3e-4)


def test_each_image_has_its_own_piece_and_noise(key):
    pictures = datasets.turned_pictures(size=9)
    assert pictures.title == "photographs"
    np.testing.assert_allclose(jnp.mean(pictures.pictures, axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(jnp.std(pictures.pictures, axis=(1, 2)), 1, atol=1e-6)
    pair = pictures(jnp.zeros((2, 1)), key=key)
    assert pair.shape == (2, 1, 9, 9)
    assert float(jnp.max(jnp.abs(pair[0] - pair[1]))) > 0.1
    whole = datasets.turned_pictures([RAMP], window=1, **QUIET)  # one place only
    assert float(jnp.ptp(whole(jnp.zeros(5), key=key), axis=0).max()) < 1e-10


def test_pictures_are_read_from_files_and_folders(tmp_path, key):
    (tmp_path / "inside").mkdir()
    Image.fromarray(RAMP).save(tmp_path / "inside" / "a.png")
    Image.fromarray(np.stack([RAMP] * 3, axis=-1)).save(tmp_path / "b.png")
    expected = datasets.turned_pictures([RAMP], size=9).pictures[0]
    for source, count in ((tmp_path, 2), (tmp_path / "b.png", 1), ([str(tmp_path / "b.png"), RAMP], 2)):
        pictures = datasets.turned_pictures(source, size=9, symmetry=2)
        assert pictures.pictures.shape[0] == count
        np.testing.assert_allclose(pictures.pictures[0], expected, atol=1e-6)
    loaded = type(pictures).load(pictures.save(tmp_path / "stimuli"))
    np.testing.assert_array_equal(loaded(0.2, key=key), pictures(0.2, key=key))
    assert loaded.symmetry == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("photograph",), FileNotFoundError, "pictures photograph does not exist; did you mean 'photographs'"),
        (("",), ValueError, "pictures must be the path of a file"),
        (([],), ValueError, "pictures must hold at least one"),
        ((3,), TypeError, "pictures must be 'photographs', a path, or a list of pictures, got 3"),
        (([3],), TypeError, r"pictures\[0\] must be a path or a uint8 array"),
        (([RAMP / 2],), ValueError, "picture must be uint8"),
        (([0 * RAMP],), ValueError, r"pictures\[0\] has the same intensity everywhere"),
    ],
)
def test_what_is_no_picture_is_named(arguments, error, message, as_user, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        datasets.turned_pictures(*arguments)


def test_numbers_out_of_range(as_user, tmp_path):
    for options in ({"size": 2}, {"window": 0.0}, {"window": 1.5}, {"noise_std": 0.0}, {"symmetry": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            datasets.turned_pictures([RAMP], **options)
    with pytest.raises(ValueError, match="holds no picture"):
        datasets.turned_pictures(tmp_path)
