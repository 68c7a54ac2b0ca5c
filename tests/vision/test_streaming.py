"""Training on pictures that are read meanwhile: the same as on arrays, and to the same bits after a stop."""

import jax
import numpy as np
import pytest
from PIL import Image

from fisherjax import datasets, vision
from fisherjax.datasets._sources import Pictures
from fisherjax.vision._augmentation import Augmentation
from fisherjax.vision._source import FromPictures, StreamedEpochs

KEY = jax.random.key(0)
PLAN = vision.Architecture((8, 8, 1), 3, (4, 4), blank_steps=1, image_steps=3)
GRAY = datasets.Preprocessing((8, 8, 1), resize=8, mean=(0.4,), std=(0.2,))
SHORT = {"num_steps": 6, "batch_size": 8, "evaluate_every": 3}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for label in range(3):
        (folder / f"class {label}").mkdir()
        for number in range(7):
            shade = rng.integers(0, 60, (10, 10)) + 70 * label
            Image.fromarray(shade.astype(np.uint8)).save(folder / f"class {label}" / f"{number}.png")
    return datasets.image_folder(folder, preprocessing=GRAY)


def trained(images, labels=None, **options):
    return vision.train_feedforward(PLAN, images, labels, key=KEY, **{**SHORT, **options})


def test_pictures_train_as_their_arrays_do(pictures):
    pixels, labels = pictures.pixels()
    arrays = GRAY.standardized(pixels), labels
    streamed, course = trained(pictures, held_out=pictures)
    held, expected = trained(*arrays, held_out=arrays)
    np.testing.assert_allclose(course.loss, expected.loss, rtol=1e-5)
    assert course.evaluated.tolist() == expected.evaluated.tolist() == [3, 6]
    np.testing.assert_allclose(course.held_out_loss, expected.held_out_loss, rtol=1e-5)
    found, told = (vision.evaluate(network, *pair) for network, pair in ((streamed, [pictures]), (held, arrays)))
    assert found.accuracy == told.accuracy
    np.testing.assert_array_equal(found.confusion, told.confusion)
    assert found.confusion.sum() == 21


def test_short_chunks_and_a_stop_between_change_no_bit(pictures, tmp_path, monkeypatch):
    """Two steps fit into memory at once, three lie between evaluations, and Ctrl-C comes after the fourth."""
    changed = {"augmentation": Augmentation(flip=True, crop=1, area=0.3), "held_out": pictures}
    expected, course = trained(pictures, **changed)
    monkeypatch.setattr("fisherjax.vision._source._MOST_BYTES", 2 * 8 * 64)
    seen = []

    def stopped(stream, start, count):
        seen.append((start, count))
        if start == 5:
            raise KeyboardInterrupt
        return take(stream, start, count)

    take = StreamedEpochs.take
    monkeypatch.setattr(StreamedEpochs, "take", stopped)
    with pytest.raises(KeyboardInterrupt, match="interrupted after step 5"):
        trained(pictures, checkpoint=tmp_path / "run.npz", **changed)
    assert seen == [(0, 2), (2, 1), (3, 2), (5, 1)]
    monkeypatch.setattr(StreamedEpochs, "take", take)
    found, again = trained(pictures, checkpoint=tmp_path / "run.npz", **changed)
    np.testing.assert_array_equal(again.loss, course.loss)
    np.testing.assert_array_equal(again.held_out_loss, course.held_out_loss)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="is of a run on other data"):
        trained(pictures.select(range(12)), checkpoint=tmp_path / "run.npz", **changed)


def test_every_picture_is_shown_once_in_an_epoch_and_no_more_is_decoded_than_asked(pictures):
    stream = StreamedEpochs(KEY, FromPictures(pictures, 3), 7, 5, Augmentation())
    labels = [stream.take(number, 1)[1][0] for number in range(3)]
    assert np.bincount(np.concatenate(labels)).tolist() == [7, 7, 7]
    assert sorted(stream.reader.ahead) == [3]
    stream.take(3, 2)
    assert not stream.reader.ahead
    stream.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: (p, np.zeros(21, int)), "labels must not be given with pictures"),
        (lambda p: (p.prepared(datasets.Preprocessing((16, 16, 3))),), r"makes \(16, 16, 3\), the architecture"),
        (lambda p: (Pictures(p.places, p.labels, (*p.classes, "d"), preprocessing=GRAY),), "4 classes, the arch"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(change, words, pictures):
    with pytest.raises(ValueError, match=words):
        trained(*change(pictures))


def test_parts_are_of_pictures_and_labels_of_arrays(pictures):
    pixels, labels = pictures.pixels()
    with pytest.raises(ValueError, match="area is for pictures from files"):
        trained(GRAY.standardized(pixels), labels, augmentation=Augmentation(area=0.5))
    with pytest.raises(TypeError, match="labels must be given with arrays of images"):
        vision.train_feedforward(PLAN, GRAY.standardized(pixels), key=KEY, num_steps=1)
