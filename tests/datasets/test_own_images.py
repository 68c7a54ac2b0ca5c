"""A user's own images from files."""

import io

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fisherjax import datasets

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4), np.uint8)


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("first", [0, 1])
def test_images_and_labels_of_any_base(tmp_path, first):
    labels = np.arange(5) % 2 + first
    images, found = datasets.read_images(write(tmp_path / "mine.npz", images=IMAGES, labels=labels), num_images=3)
    np.testing.assert_array_equal(images, IMAGES[:3])
    np.testing.assert_array_equal(found, labels[:3])
    scipy.io.savemat(tmp_path / "mine.mat", {"images": IMAGES, "labels": labels})
    images, found = datasets.read_images(tmp_path / "mine.mat")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(found, labels)
    np.save(tmp_path / "mine.npy", IMAGES)
    images, found = datasets.read_images(tmp_path / "mine.npy")
    np.testing.assert_array_equal(images, IMAGES)
    assert found is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "has no array 'images', only pictures"),
        ({"images": IMAGES[0]}, r"images must have shape .*, got \(3, 4\)"),
        ({"images": np.zeros((5, 3, 8, 8))}, r"channels are last here: numpy.moveaxis\(images, 1, -1\)"),
        ({"images": np.zeros((5, 8, 8, 4))}, "take the first three"),
        ({"images": np.full((5, 3, 4), np.nan)}, "images must be finite"),
        ({"images": np.zeros((0, 3, 4))}, "holds no pixels"),
        ({"images": IMAGES + 1j}, "images must be real numbers"),
        ({"images": IMAGES, "labels": np.arange(4)}, "labels must be one label for each of 5"),
        ({"images": IMAGES, "labels": np.full(5, np.nan)}, "labels must be finite"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, arrays, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        datasets.read_images(write(tmp_path / "mine.npz", **arrays))
    assert "mine.npz" in str(caught.value)


def test_files_and_folders_that_are_no_images(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(buffer, "png")
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(ValueError, match="pictures is an empty folder"):
        datasets.read_images(folder)
    (folder / "cat.png").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"cat\.png is a PNG picture; of several pictures put them into one array"):
        datasets.read_images(folder / "cat.png")
    with pytest.raises(ValueError, match=r"pictures holds pictures \(cat\.png\); put them into one array"):
        datasets.read_images(folder)
    (tmp_path / "words.npy").write_text("not an array")
    with pytest.raises(ValueError, match=r"words\.npy is text, no images"):
        datasets.read_images(tmp_path / "words.npy")
    with pytest.raises(FileNotFoundError):
        datasets.read_images(tmp_path / "nowhere")


def test_classes_that_count_from_one_are_said():
    from fisherjax._arrays import as_class_numbers

    with pytest.raises(ValueError, match="from 0 to 2, got 1 to 3; classes that count from 1 need 1 taken off"):
        as_class_numbers("labels", np.array([1, 2, 3]), 3, 3)
