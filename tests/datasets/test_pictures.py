"""Pictures as networks expect them, against the resampling written out, and Gabor patches."""

import struct
import warnings
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import PIL
import pytest
from PIL import Image

from fisherjax import datasets


def shrunk(picture, sides):
    """Bilinear resampling with antialiasing by its definition: weights of a triangle as wide as the scale."""
    for axis, after in enumerate(sides):
        before = picture.shape[axis]
        scale = before / after
        centers = (np.arange(after) + 0.5) * scale
        distance = np.abs(np.arange(before)[None, :] + 0.5 - centers[:, None]) / max(scale, 1)
        weights = np.maximum(1 - distance, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        picture = np.moveaxis(np.tensordot(weights, picture, axes=(1, axis)), 0, axis)
    return picture


@pytest.mark.parametrize(("height", "width"), [(300, 451), (512, 256), (40, 61)])
def test_published_preprocessing(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = datasets.Preprocessing()(picture)
    assert found.shape == (224, 224, 3)
    assert found.dtype == np.float32
    short = min(height, width)
    sides = [256 * side // short for side in (height, width)]
    expected = shrunk(picture.astype(float), sides) / 255
    top, left = (round((side - 224) / 2) for side in sides)
    expected = expected[top : top + 224, left : left + 224]
    expected = (expected - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    # Pillow rounds to whole levels after each axis
    assert np.abs(found - expected).max() < 1.5 / 255 / 0.224


def test_files_colors_and_orientation(tmp_path):
    picture = datasets.photograph("chelsea")
    path = tmp_path / "cat.png"
    Image.fromarray(picture).save(path)
    preprocess = datasets.Preprocessing()
    np.testing.assert_array_equal(preprocess(path), preprocess(picture))
    shown = preprocess.intensities(preprocess(path))
    assert shown.min() >= 0
    assert shown.max() <= 1
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[274] = 3  # upside down
    Image.fromarray(picture[::-1, ::-1].copy()).save(turned, quality=100, subsampling=0, exif=exif)
    assert np.abs(preprocess(turned) - preprocess(path)).mean() < 0.05
    gray = datasets.Preprocessing((8, 8, 1), resize=8, mean=(0.3,), std=(0.5,))
    dark = np.full((16, 16), 51, np.uint8)
    np.testing.assert_allclose(gray(dark), (0.2 - 0.3) / 0.5, atol=1e-6)
    np.testing.assert_allclose(gray.inverted()(dark), (0.8 - 0.3) / 0.5, atol=1e-6)
    gray.inverted().save(tmp_path / "kept")
    assert datasets.Preprocessing.load(tmp_path / "kept.npz") == gray.inverted()


def test_depth_and_transparency(tmp_path):
    """Sixteen bits are those of eight; ink on nothing is ink on white."""
    preprocess = datasets.Preprocessing((8, 8, 1), resize=8, mean=(0.0,), std=(1.0,))
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 4
    Image.fromarray(ramp * 257).save(tmp_path / "deep.png")
    np.testing.assert_allclose(preprocess(tmp_path / "deep.png")[..., 0], ramp / 255, atol=1e-6)
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[2, 3, 3] = 255
    Image.fromarray(ink).save(tmp_path / "ink.png")
    expected = np.ones((8, 8))
    expected[2, 3] = 0
    np.testing.assert_allclose(preprocess(tmp_path / "ink.png")[..., 0], expected, atol=1e-6)
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "real.tiff")
    with pytest.raises(ValueError, match="floating point numbers of unknown range"):
        preprocess(tmp_path / "real.tiff")
    whole = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) - 30])
    with pytest.raises(ValueError, match=r"cut\.png cannot be read"):
        preprocess(tmp_path / "cut.png")


def claiming(width, height):
    """A PNG whose header claims a size, with hardly any pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@pytest.mark.parametrize("size", [(12_000, 9_000), (100_000, 100_000)])
def test_decompression_bombs(tmp_path, size):
    """In our words, where Pillow warns and where it raises."""
    (tmp_path / "bomb.png").write_bytes(claiming(*size))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"bomb\.png claims .*more than 100 million"):
            datasets.Preprocessing()(tmp_path / "bomb.png")


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "YCbCr", "RGBA"])
def test_forms_of_color(tmp_path, mode):
    preprocess = datasets.Preprocessing((8, 8, 3), resize=8, mean=(0, 0, 0), std=(1, 1, 1))
    color = np.array([153, 51, 204], np.uint8)  # of the palette of browsers, so that no form loses it
    picture = Image.fromarray(np.broadcast_to(color, (8, 8, 3)).copy()).convert(mode)
    path = tmp_path / ("picture.png" if mode in {"RGB", "P", "RGBA"} else "picture.tif")
    picture.save(path)
    if mode == "YCbCr" and int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("before version 13, Pillow cannot read what it has written")
    np.testing.assert_allclose(preprocess(path)[3, 3], color / 255, atol=0.02)


def test_what_is_not_one_picture_of_known_intensities(tmp_path):
    preprocess = datasets.Preprocessing()
    picture = Image.fromarray(np.full((8, 8, 3), 90, np.uint8))
    other = Image.fromarray(np.full((8, 8, 3), 20, np.uint8))
    for name in ("two.gif", "two.png", "two.tif"):
        picture.save(tmp_path / name, save_all=True, append_images=[other])
        with pytest.raises(ValueError, match=rf"{name} holds 2 pictures \(an animation or pages\)"):
            preprocess(tmp_path / name)
    picture.convert("LAB").save(tmp_path / "lab.tif")
    with pytest.raises(ValueError, match=r"lab\.tif has colors in the form LAB; save it as RGB"):
        preprocess(tmp_path / "lab.tif")
    Image.fromarray(np.zeros((1, 60_000, 3), np.uint8)).save(tmp_path / "thin.png")
    with pytest.raises(ValueError, match=r"thin\.png is too narrow: 60000 × 1 pixels"):
        preprocess(tmp_path / "thin.png")


def test_wrong_settings(as_user):
    for options, message in (
        ({"image_shape": 5}, "image_shape must be"),
        ({"image_shape": (2, 2.5, 3)}, "image_shape must be an integer"),
        ({"mean": "dark"}, "mean must be an array"),
        ({"std": (1.0, 1.0, np.nan)}, "std must be finite"),
        ({"invert": "yes"}, "invert must be True or False"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            datasets.Preprocessing(**options)


def test_wrong_pictures(tmp_path, as_user):
    (tmp_path / "words.png").write_text("not a picture")
    preprocess = datasets.Preprocessing()
    with pytest.raises(ValueError, match=r"words\.png is not a picture that can be read"):
        preprocess(tmp_path / "words.png")
    with pytest.raises(FileNotFoundError):
        preprocess(tmp_path / "absent.png")
    with pytest.raises(ValueError, match="picture must be uint8"):
        preprocess(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="this network expects 4"):
        datasets.Preprocessing((8, 8, 4))
    with pytest.raises(ValueError, match="resize must be at least 224"):
        datasets.Preprocessing(resize=100)
    with pytest.raises(ValueError, match="need 1 numbers each, got 3 and 3"):
        datasets.Preprocessing((8, 8, 1))


def test_gabor_is_a_wave_under_a_bell_and_differentiable():
    found = np.asarray(datasets.gabor((12, 16, 3), angle=0.3, contrast=2.0, position=1.5))
    y, x = np.mgrid[:12, :16]
    x, y = (x - 7.5 - 1.5) / 12, (y - 5.5) / 12
    expected = 2 * np.exp(-(x**2 + y**2) / 0.08) * np.cos(4 * np.pi * (x * np.cos(0.3) + y * np.sin(0.3)))
    np.testing.assert_allclose(found, np.repeat(expected[..., None], 3, axis=-1), atol=1e-12)
    for name in ("angle", "contrast", "position", "cycles", "width"):
        at = {"angle": 0.3, "contrast": 1.0, "position": 0.5, "cycles": 2.0, "width": 0.2}[name]

        def patch(value, name=name):
            return datasets.gabor((8, 8, 1), **{name: value})

        slope = jax.jvp(patch, (jnp.asarray(at),), (jnp.asarray(1.0),))[1]
        difference = (patch(at + 1e-6) - patch(at - 1e-6)) / 2e-6
        np.testing.assert_allclose(slope, difference, atol=1e-7)
        assert np.abs(slope).max() > 0.1
