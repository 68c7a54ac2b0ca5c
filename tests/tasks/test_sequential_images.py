"""Images pixel by pixel: the order of the pixels, classes, permutation, and that a network learns from them."""

import jax
import numpy as np
import pytest

from fisherjax import datasets, networks, tasks, training

PICTURES = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(np.uint8)


def test_row_by_row():
    batch = tasks.sequential_images(PICTURES, [1, 0])
    assert batch.inputs.shape == (12, 2, 1)
    np.testing.assert_allclose(batch.inputs[:, 1, 0], np.arange(12, 24) / 255)
    np.testing.assert_array_equal(batch.targets[:, 0], np.tile([0, 1], (12, 1)))
    np.testing.assert_array_equal(batch.mask.sum(axis=1), [0] * 11 + [2])
    rows = tasks.sequential_images(PICTURES / 10.0, [1, 0], pixels_per_step=4, blank_steps=2)
    np.testing.assert_allclose(rows.inputs[:3, 0], PICTURES[0] / 10.0)
    np.testing.assert_array_equal(rows.inputs[3:], np.zeros((2, 2, 4)))
    some = tasks.sequential_images(PICTURES, [1, 0], pixels_per_step=5)
    np.testing.assert_allclose(some.inputs[-1, 0], [10 / 255, 11 / 255, 0, 0, 0])
    colors = tasks.sequential_images(np.ones((2, 3, 4, 3)), [0, 1], num_classes=5)
    assert colors.inputs.shape == (12, 2, 3)
    assert colors.targets.shape == (12, 2, 5)


def test_a_permutation_is_the_same_for_all(key):
    plain, mixed = (tasks.sequential_images(PICTURES, [1, 0], key=k).inputs[..., 0] for k in (None, key))
    order = np.argsort(np.asarray(mixed[:, 0]))
    assert (order != np.arange(12)).any()
    np.testing.assert_array_equal(np.asarray(mixed)[order], plain)


def test_digits_row_by_row_are_learned(key):
    images, labels = datasets.digits()
    batch = tasks.sequential_images(images / images.max(), labels, pixels_per_step=8)
    network = networks.RNN(8, 40, 10, key=key, recurrent_initializer="orthogonal")
    trained = training.fit(
        network, tuple(batch), key=jax.random.key(1), num_steps=150, batch_size=64, learning_rate=3e-3,
        loss="cross_entropy",
    )  # fmt: skip
    outputs = networks.run(trained.network, batch.inputs)[1]
    assert float(tasks.choice_accuracy(outputs, batch)) > 0.6


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("images", "labels", "more", "error", "message"),
    [
        (PICTURES[0], [1], {}, ValueError, "images must have shape"),
        (PICTURES, [0.5, 1.0], {}, TypeError, "labels must be whole numbers"),
        (PICTURES, [1], {}, ValueError, r"labels must have shape \(2,\)"),
        (PICTURES, [-1, 0], {}, ValueError, "labels must be at least 0"),
        (PICTURES, [3, 0], {"num_classes": 3}, ValueError, "below num_classes=3"),
        (PICTURES[:0], np.zeros(0, int), {}, ValueError, "at least one"),
        (PICTURES, [1, 0], {"pixels_per_step": 0}, ValueError, "pixels_per_step must be at least 1"),
    ],
)
def test_bad_input_is_named(images, labels, more, error, message):
    with pytest.raises(error, match=message):
        tasks.sequential_images(images, labels, **more)
