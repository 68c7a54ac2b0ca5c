"""Training a convolutional recurrent network in steps: every objective against its formula, and all in order."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import datasets, vision
from fisherjax._runtime import _run
from fisherjax.datasets._offline import SHAPES
from fisherjax.vision import (
    Architecture,
    Augmentation,
    ConvolutionalRNN,
    FeedforwardCNN,
    StageSteps,
    feedforward_pass,
    fold_batch_norm,
    respond,
)
from fisherjax.vision import _objectives as objectives
from fisherjax.vision import _source as augmenting
from fisherjax.vision._augmentation import augment

PLAN = Architecture((4, 4, 1), 3, (2, 2, 3, 3), blank_steps=2, image_steps=7, alpha=0.3)
TINY = Architecture((4, 4, 1), 3, (2, 2), blank_steps=2, image_steps=4, alpha=0.3)


@pytest.fixture(scope="module")
def trained_norms():
    """A feed-forward network whose normalization has seen batches and whose scales and shifts are not trivial."""
    cnn = FeedforwardCNN(PLAN, key=jax.random.key(1))
    images = 1 + jax.random.normal(jax.random.key(2), (5, 4, 4, 1))
    _, cnn = cnn.evaluate(images, training=True)
    keys = iter(jax.random.split(jax.random.key(3), 100))
    where = lambda m: [part for n in (*m.drive_norms, *m.area_norms) for part in (n.scale, n.shift)]  # noqa: E731
    return eqx.tree_at(where, cnn, [p + 0.3 * jax.random.normal(next(keys), p.shape) for p in where(cnn)])


def test_folding_preserves_every_output(trained_norms):
    images = jax.random.normal(jax.random.key(4), (6, 4, 4, 1))
    folded = fold_batch_norm(trained_norms)
    found = feedforward_pass(folded, images)
    np.testing.assert_allclose(found.logits, trained_norms(images), rtol=0, atol=1e-10)
    # biases differ between the edge and the middle: one number per channel would not do
    bias = np.asarray(folded.biases[0])
    assert np.abs(bias[:, 0, 0] - bias[:, 1, 1]).max() > 1e-3
    flat = eqx.tree_at(lambda n: n.biases, folded, tuple(b.mean((1, 2), keepdims=True) + 0 * b for b in folded.biases))
    assert np.abs(feedforward_pass(flat, images).logits - found.logits).max() > 1e-3


def test_running_averages(key):
    cnn = FeedforwardCNN(TINY, key=key)
    images = jax.random.normal(key, (6, 4, 4, 1))
    _, moved = cnn.evaluate(images, training=True)
    drive = np.asarray(cnn.weights.feedforward[0](cnn.weights.project(images)))
    norm = moved.drive_norms[0]
    np.testing.assert_allclose(norm.mean, 0.1 * drive.mean((0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(norm.variance, 0.9 + 0.1 * drive.var((0, 1, 2), ddof=1), atol=1e-12)


def test_reading_weights():
    weights = objectives.reading_weights(20)
    assert len(weights) == 6
    np.testing.assert_allclose(weights.sum(), 1)
    np.testing.assert_allclose(weights[-1] / weights[0], 1000)
    np.testing.assert_allclose(np.diff(np.log(weights)), np.log(1000) / 5)
    assert objectives.reading_weights(1).tolist() == [1.0]


@pytest.mark.parametrize("blank_steps", [0, 2])
def test_recurrent_loss_is_its_formula(key, blank_steps):
    network = ConvolutionalRNN(PLAN, key=key, recurrent_gain=0.8)
    biases = tuple(0.2 * jax.random.normal(key, b.shape) for b in network.biases)
    network = eqx.tree_at(lambda n: n.biases, network, biases)
    images, targets = jax.random.normal(key, (3, 4, 4, 1)), jax.nn.softmax(jax.random.normal(key, (3, 3)))
    objective = objectives.RecurrentObjective(
        blank_steps, 7, 12, leak=0.95, leak_decrement=0.05, level_steps=4, return_penalty=0.7
    )
    loss, moved = objective.loss(network, images, targets, key, jnp.asarray(9))
    np.testing.assert_allclose(moved.leak, 0.85)
    found = respond(moved, images, blank_steps=blank_steps, image_steps=7, offset_steps=12, areas="all")
    steps = np.asarray(jax.nn.log_softmax(found.logits))[blank_steps + 5 : blank_steps + 7]
    entropies = -(np.asarray(targets) * steps).sum(-1).mean(-1)
    expected = entropies @ (np.array([1e-3, 1]) / 1.001)
    squares = 0.0
    for area in found.activity:
        baseline = np.asarray(area[blank_steps - 1]) if blank_steps else np.zeros(area.shape[1:])
        squares += ((np.asarray(area[-10:]) - baseline) ** 2).sum()
    expected += 0.7 * squares / (10 * 3 * PLAN.num_units)
    np.testing.assert_allclose(loss, expected, rtol=1e-10)
    assert squares > 1e-3


def test_recurrence_loss_is_its_formula(trained_norms, key):
    folded = fold_batch_norm(trained_norms)
    network = eqx.tree_at(lambda n: n.recurrent, folded, ConvolutionalRNN(PLAN, key=key, recurrent_gain=0.4).recurrent)
    images = jax.random.normal(key, (2, 4, 4, 1))
    objective = objectives.RecurrenceObjective(10.0)
    loss, _ = objective.loss(objectives.RecurrenceFit(network, folded), images, jnp.zeros((2, 3)), key, jnp.asarray(0))
    wanted, expected = feedforward_pass(folded, images), 0.0
    from fisherjax.vision._convolution_spectrum import convolution_matrix

    for area, (height, width, _) in enumerate(PLAN.area_shapes):
        matrix = np.asarray(convolution_matrix(network.recurrent[area].weights, (height, width)))
        start = np.asarray(wanted.drives[area]) + np.moveaxis(np.asarray(network.biases[area]), 0, -1)
        start = start.reshape(2, -1)
        terms = [start @ np.linalg.matrix_power(matrix, power).T for power in range(4)]
        current = np.asarray(wanted.currents[area]).reshape(2, -1)
        expected += ((sum(terms) - current) ** 2).mean() + 10 * (terms[-1] ** 2).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-10)


def test_fast_gradients_are_the_gradients(key):
    """Of convolutions of every stride and side, in batches that blocks divide and that they do not."""
    from fisherjax.vision._convolution import convolve

    for side, stride, count in ((3, 1, 5), (3, 2, 4), (1, 2, 3), (7, 2, 1), (5, 3, 2)):
        maps = jax.random.normal(key, (count, 8, 12, 2))
        kernel = jax.random.normal(key, (side, side, 2, 3))

        def slopes(reverse_mode, maps=maps, kernel=kernel, stride=stride):
            def energy(maps, kernel):
                return jnp.sum(jnp.sin(convolve(maps, kernel, stride, reverse_mode=reverse_mode)))

            return jax.jit(jax.grad(energy, (0, 1)))(maps, kernel)

        for fast, plain in zip(slopes(True), slopes(False), strict=True):
            np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-11)


def test_fast_gradient_of_what_is_the_same_for_a_batch(key):
    from fisherjax.vision._convolution import repeat

    maps, weights = jax.random.normal(key, (4, 5, 2)), jax.random.normal(key, (3, 2, 4, 5, 2))

    def slope(reverse_mode):
        return jax.grad(lambda maps: jnp.sum(weights * repeat(maps, (3, 2), reverse_mode=reverse_mode)))(maps)

    np.testing.assert_allclose(slope(True), slope(False), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(repeat(maps, (), reverse_mode=True), maps)


@pytest.fixture(scope="module")
def bars():
    """Three classes that differ in which row is bright."""
    keys = jax.random.split(jax.random.key(5), 2)
    labels = jax.random.randint(keys[0], (60,), 0, 3)
    images = 2 * jax.nn.one_hot(labels, 4)[:, :, None] + 0.3 * jax.random.normal(keys[1], (60, 4, 4))
    return np.asarray(images[..., None] - 0.5), np.asarray(labels)


def test_all_steps_in_order_and_on_again(bars, key, tmp_path):
    images, labels = bars
    held_out = (images[40:], labels[40:])
    options = {
        "steps": StageSteps(30, 20, 20, 1, 20), "batch_size": 16, "held_out": held_out, "learning_rate": 1e-2,
    }  # fmt: skip
    found = vision.train(TINY, images[:40], labels[:40], key=key, folder=tmp_path, **options)
    assert list(found.histories) == ["feed-forward", "recurrence", "linear", "anneal", "fine-tune"]
    assert [len(one.loss) for one in found.histories.values()] == [30, 20, 20, 20, 20]
    assert StageSteps(30, 20, 20, 1, 20).total == 110
    assert found.histories["feed-forward"].held_out_accuracy[-1] > 0.8
    assert found.histories["recurrence"].loss[-1] < found.histories["recurrence"].loss[0] * 0.8
    assert found.histories["fine-tune"].held_out_accuracy[-1] > 0.9
    assert found.histories["fine-tune"].evaluated.tolist() == list(range(2, 21, 2))
    assert float(found.network.leak) == 0
    assert vision.evaluate(found.network, *held_out).accuracy == found.histories["fine-tune"].held_out_accuracy[-1]
    # what is there is not trained again; a stage that is missing is, to the same bits
    (tmp_path / "stage-fine-tune.npz").unlink()
    again = vision.train(TINY, images[:40], labels[:40], key=key, folder=tmp_path, **options)
    for a, b in zip(jax.tree.leaves(found.network), jax.tree.leaves(again.network), strict=True):
        np.testing.assert_array_equal(a, b)
    loaded = vision.ConvolutionalTraining.load(found.save(tmp_path / "training"))
    np.testing.assert_array_equal(loaded.histories["anneal"].loss, found.histories["anneal"].loss)
    with pytest.raises(ValueError, match=r"was written with learning_rate = 0.01, this run has 0.02"):
        vision.train(TINY, images[:40], labels[:40], key=key, folder=tmp_path, **{**options, "learning_rate": 2e-2})


def test_a_stage_goes_on_to_the_same_bits(bars, key, tmp_path, monkeypatch):
    images, labels = bars
    network = ConvolutionalRNN(TINY, key=key, noise_std=0.1)
    options = {"key": key, "num_steps": 9, "batch_size": 16, "evaluate_every": 4}
    options |= {"augmentation": Augmentation(flip=True, crop=1, mixup=0.2), "held_out": (images, labels)}
    whole, history = vision.fine_tune(network, images, labels, **options)
    path = tmp_path / "stage.npz"
    saves = []
    save = _run.write_checkpoint

    def stop_after_one(found, target):
        save(found, target)
        saves.append(found.step)
        if found.step:
            raise KeyboardInterrupt

    monkeypatch.setattr(_run, "write_checkpoint", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        vision.fine_tune(network, images, labels, checkpoint=path, **options)
    monkeypatch.undo()
    assert set(saves) == {0, 4}
    resumed, course = vision.fine_tune(network, images, labels, checkpoint=path, **options)
    np.testing.assert_array_equal(course.loss, history.loss)
    assert course.evaluated.tolist() == [4, 8, 9]
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    path.with_name(f"{path.stem}.previous.npz").unlink()
    with pytest.raises(ValueError, match=r"cannot be read .* remove it to begin anew"):
        vision.fine_tune(network, images, labels, checkpoint=path, **options)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="started from other weights"):
        vision.fine_tune(
            ConvolutionalRNN(TINY, key=jax.random.key(9), noise_std=0.1), images, labels, checkpoint=path, **options
        )


def test_augmentation(key):
    images, targets = jax.random.normal(key, (400, 4, 5, 1)), jax.nn.one_hot(jnp.arange(400) % 3, 3)
    same, classes = augment(images, targets, key=key, augmentation=Augmentation())
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(classes, targets)
    flipped, _ = augment(images, targets, key=key, augmentation=Augmentation(flip=True))
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, images, strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored ^ kept).all()
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(400)
    shifted, _ = augment(images, targets, key=key, augmentation=Augmentation(crop=1))
    padded = np.pad(np.asarray(images), ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [
        [(a, b) for a in range(3) for b in range(3) if np.array_equal(one, whole[a : a + 4, b : b + 5])]
        for one, whole in zip(np.asarray(shifted), padded, strict=True)
    ]
    assert all(len(one) == 1 for one in places)
    counts = np.bincount([3 * a + b for ((a, b),) in places], minlength=9)
    assert np.abs(counts - 400 / 9).max() < 4 * np.sqrt(400 / 9)
    mixed, shares = augment(images, targets, key=key, augmentation=Augmentation(mixup=0.4))
    np.testing.assert_allclose(shares.sum(1), 1)
    assert np.asarray(shares.max(1)).min() < 0.9
    np.testing.assert_allclose(mixed.sum(0), images.sum(0) + (mixed - images).sum(0), atol=1e-9)
    variance = float(jnp.var(mixed))
    assert 0.4 < variance < 1  # λ² + (1 − λ)² of the variance of the images


def test_labels():
    found = augmenting.class_probabilities(np.array([2, 0]), 3, 2)
    np.testing.assert_array_equal(found, [[0, 0, 1], [1, 0, 0]])
    soft = np.array([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_array_equal(augmenting.class_probabilities(soft, 2, 2), soft)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4)), [0, 1], r"images must be \(…, 4, 4, 1\).*got \(2, 4, 4\)"),
        (np.zeros((4, 4, 1)), [0], r"images must be \(n, height, width, colors\), got \(4, 4, 1\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 1], "floats, got uint8; standardize"),
        (np.zeros((2, 4, 4, 1)), [0, 3], "labels must be class numbers from 0 to 2, got 0 to 3"),
        (np.zeros((2, 4, 4, 1)), [-1, 0], "got -1 to 0"),
        (np.zeros((2, 4, 4, 1)), [0, 1, 2], r"labels must be one label for each of 2, got shape \(3,\)"),
        (np.zeros((2, 4, 4, 1)), [0.5, 1.0], "labels must be classes"),
        (np.zeros((2, 4, 4, 1)), [0, np.nan], "labels must be finite"),
        (np.full((2, 4, 4, 1), np.nan), [0, 1], "images must be finite, but 32 of its 32"),
        (np.zeros((2, 4, 4, 1)), np.full((2, 3), np.nan), "labels must be finite"),
        (np.zeros((2, 4, 4, 1)), [[0.5, 0.5, 0.0], [1.0]], "labels must be rectangular"),
        (np.zeros((2, 4, 4, 1)), np.ones((2, 3)), "probabilities: not negative, of sum one"),
        (np.zeros((2, 4, 4, 1)), np.ones((2, 2)) / 2, r"labels must have shape \(2, 3\), got \(2, 2\)"),
    ],
)
def test_data_that_do_not_fit(as_user, key, images, labels, message):
    with pytest.raises(ValueError, match=message):
        vision.train_feedforward(TINY, images, labels, key=key, num_steps=1)


def test_a_loss_that_is_not_finite(as_user, bars, key):
    images, labels = bars
    broken = images.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="images must be finite, but 16 of its 960 entries are NaN"):
        vision.train_feedforward(TINY, broken, labels, key=key, num_steps=4, batch_size=16)
    with pytest.raises(ValueError, match=r"held_out.*images must be finite"):
        vision.train_feedforward(TINY, images, labels, key=key, num_steps=4, batch_size=16, held_out=(broken, labels))
    start = ConvolutionalRNN(TINY, key=key)
    with pytest.warns(RuntimeWarning, match="fine-tune stopped after 0 steps: non-finite loss at step 0"):
        stopped, history = vision.fine_tune(start, 1e200 * images, labels, key=key, num_steps=2)
    assert len(history.loss) == 0
    assert eqx.tree_equal(stopped, start)
    with pytest.raises(TypeError, match="network must be a ConvolutionalRNN"):
        vision.fine_tune(None, images, labels, key=key, num_steps=1)
    with pytest.raises(ValueError, match="has no feedback"):
        FeedforwardCNN(Architecture((4, 4, 1), 3, (2, 2), feedback=True), key=key)


def test_labeled_images(key):
    images, labels = datasets.digits()
    other, others = datasets.digits(split="test")
    everything, _ = datasets.digits(split="all")
    assert (images.shape, other.shape, everything.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1), (1797, 8, 8, 1))
    assert (images.min(), images.max(), labels.max()) == (0, 1, 9)
    joined = np.concatenate([images, other]).reshape(1797, -1)
    np.testing.assert_array_equal(np.sort(joined.sum(1)), np.sort(everything.reshape(1797, -1).sum(1)))
    assert np.bincount(others, minlength=10).min() > 20
    gratings, classes = datasets.oriented_gratings(40, key=key, size=16, num_classes=4, noise_std=0.0)
    spectra = np.abs(np.fft.fft2(np.asarray(gratings[..., 0]), (64, 64)))
    down, across = np.unravel_index(spectra[:, :, :32].reshape(40, -1).argmax(1), (64, 32))
    angle = np.mod(np.arctan2(np.where(down > 32, down - 64, down), across), np.pi)
    difference = np.abs(angle - np.asarray(classes) * np.pi / 4)
    assert np.minimum(difference, np.pi - difference).max() < np.pi / 8
    drawn, kinds = datasets.shapes(60, key=key, size=16, noise_std=0.0)
    bright = np.asarray((drawn > 0).sum((1, 2, 3)))
    boxes = [np.argwhere(np.asarray(one[..., 0]) > 0) for one in drawn]
    filled = np.array([n / np.prod(np.ptp(box, axis=0) + 1) for n, box in zip(bright, boxes, strict=True)])
    kinds = np.asarray(kinds)
    assert (filled[kinds == SHAPES.index("square")] == 1).all()
    assert (filled[kinds != SHAPES.index("square")] < 1).all()
    assert abs(filled[kinds == SHAPES.index("disc")].mean() - np.pi / 4) < 0.08
