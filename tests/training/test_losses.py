"""What is minimized: losses by name, classes, functions and penalties of the user, optimizers by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fisherjax import networks, tasks, training
from fisherjax._runtime._options import clipped
from fisherjax.networks import RNN
from fisherjax.training._loss import LossSettings, batch_loss
from fisherjax.training._losses import output_loss

STEPS, TRIALS, CLASSES = 5, 8, 3
QUICK = {"num_steps": 3, "evaluate_every": 3, "batch_size": 4}


def small(key, **options):
    return RNN(2, 6, CLASSES, key=key, **options)


def weights_of(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(STEPS, TRIALS, 2))
    labels = random.integers(0, CLASSES, size=(STEPS, TRIALS))
    mask = random.uniform(0.2, 1, size=(STEPS, TRIALS)) * (random.uniform(size=(STEPS, TRIALS)) > 0.3)
    return inputs, labels, mask


def by_hand(name, outputs, targets):
    """Of every output, or of every moment."""
    error = outputs - targets
    return {
        "mse": error**2,
        "mae": np.abs(error),
        "huber": np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5),
        "binary_cross_entropy": np.log1p(np.exp(outputs)) - targets * outputs,
        "cross_entropy": np.log(np.exp(outputs).sum(axis=-1)) - np.sum(outputs * targets, axis=-1),
    }[name]


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_cross_entropy", "cross_entropy"])
def test_named_losses_by_hand(name, data):
    _, labels, mask = data
    outputs, targets = 2 * np.random.default_rng(1).normal(size=(STEPS, TRIALS, CLASSES)), np.eye(CLASSES)[labels]
    each = by_hand(name, outputs, targets)
    expected = np.sum((each if each.ndim == 2 else each.mean(axis=-1)) * mask) / mask.sum()
    batch = tasks.TaskBatch(outputs, *(jnp.asarray(part) for part in (targets, mask)))
    np.testing.assert_allclose(output_loss(jnp.asarray(outputs), batch, name), expected, rtol=1e-12)
    if name != "cross_entropy":
        of_outputs = mask[..., None] * np.array([1.0, 0.0, 2.0])
        batch = batch._replace(mask=jnp.asarray(of_outputs))
        expected = np.sum(each * of_outputs) / of_outputs.sum()
        np.testing.assert_allclose(output_loss(jnp.asarray(outputs), batch, name), expected, rtol=1e-12)


def test_a_mask_of_every_output_hides_what_it_leaves_out(key, data):
    """NaN there, and a mask that is the same for all outputs is the mask of the moment."""
    inputs, labels, mask = data
    targets = np.eye(CLASSES)[labels]
    wide = np.repeat(mask[..., None], CLASSES, axis=-1)
    same = [training.fit(small(key), (inputs, targets, part), key=key, **QUICK) for part in (mask, wide)]
    np.testing.assert_allclose(*(weights_of(one.network) for one in same), rtol=1e-9, atol=1e-12)
    wide[..., 1] = 0
    runs = [
        training.fit(
            small(key), (inputs, np.where(wide > 0, targets, value), wide), key=key, rate_penalty=0.1,
            held_out=(inputs, np.where(wide > 0, targets, value), wide), **QUICK,
        )
        for value in (0.0, np.nan)
    ]  # fmt: skip
    np.testing.assert_array_equal(*(weights_of(one.network) for one in runs))
    np.testing.assert_array_equal(runs[0].network.output_weights[1], small(key).output_weights[1])
    assert np.isfinite(runs[1].history.held_out_loss).all()


def test_classes_as_whole_numbers_are_their_one_hot_vectors(key, data):
    inputs, labels, mask = data
    numbered, one_hot = (
        training.fit(small(key), (inputs, targets, mask), key=key, held_out=(inputs, targets, mask), loss=loss, **QUICK)
        for targets, loss in ((labels, None), (np.eye(CLASSES)[labels], "cross-entropy"))
    )
    np.testing.assert_allclose(weights_of(numbered.network), weights_of(one_hot.network), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(numbered.history.loss, one_hot.history.loss, rtol=1e-10)
    outputs = np.asarray(networks.run(numbered.network, inputs)[1])
    expected = np.sum((outputs.argmax(axis=-1) == labels) * mask) / mask.sum()
    for one in (numbered, one_hot):
        np.testing.assert_allclose(one.history.held_out_accuracy[-1], expected, rtol=1e-12)
        assert np.all((one.history.accuracy >= 0) & (one.history.accuracy <= 1))
    mse = training.fit(small(key), (inputs, np.eye(CLASSES)[labels]), key=key, **QUICK)
    assert np.isnan(mse.history.accuracy).all()


def test_one_class_for_a_trial(key, data):
    """At its last step, or where a mask says so; with trials first too."""
    inputs, labels, _ = data
    of_trial, last = labels[-1], np.zeros((STEPS, TRIALS))
    last[-1] = 1
    everywhere = np.broadcast_to(of_trial, (STEPS, TRIALS))
    swapped = np.swapaxes(inputs, 0, 1)
    plain, written_out, first = (
        training.fit(small(key), given, key=key, batch_first=order, **QUICK)
        for given, order in (
            ((inputs, of_trial), None),
            ((inputs, everywhere, last), None),
            ((swapped, of_trial), True),
        )
    )
    early = np.zeros((STEPS, TRIALS))
    early[1:3] = 1
    masked, also = (
        training.fit(small(key), (inputs, given, early), key=key, **QUICK) for given in (of_trial, everywhere)
    )
    for ours, reference in ((plain, written_out), (first, written_out), (masked, also)):
        np.testing.assert_array_equal(weights_of(ours.network), weights_of(reference.network))
    assert np.any(weights_of(masked.network) != weights_of(plain.network))


def test_it_learns_classes(key):
    """Which of two inputs was larger on average, said at the end; the accuracy is its own number, and can end it."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(6, 256, 2))
    labels = (inputs.sum(axis=0)[:, 1] > inputs.sum(axis=0)[:, 0]).astype(np.int32)
    trained = training.fit(
        RNN(2, 12, 2, key=key), (inputs, labels), key=key, num_steps=600, batch_size=64, learning_rate=1e-2,
        held_out=(inputs, labels), target_accuracy=0.95,
    )  # fmt: skip
    assert trained.stopped == "target reached"
    assert trained.history.held_out_accuracy[-1] >= 0.95
    assert trained.history.accuracy[-1] > 0.8


def last_step(outputs, targets, mask):
    return jnp.sum(mask[-1][:, None] * (outputs[-1] - targets[-1]) ** 2)


def rough(network, states, outputs):
    return jnp.mean((states[1:] - states[:-1]) ** 2) + 0.1 * jnp.sum(jnp.abs(network.input_weights))


def counted(network, states, outputs, mask):
    return jnp.sum(mask[..., None] * outputs**2)


def test_a_loss_and_penalties_of_the_user(key, data):
    inputs, labels, mask = data
    targets = np.eye(CLASSES)[labels]
    network = small(key)
    states, outputs = (np.asarray(part) for part in networks.run(network, inputs))
    expected = np.sum(mask[-1][:, None] * (outputs[-1] - targets[-1]) ** 2)
    expected += 0.3 * (np.mean(np.diff(states, axis=0) ** 2) + 0.1 * np.abs(network.input_weights).sum())
    expected += 0.7 * np.sum(mask[..., None] * outputs**2)
    batch = tasks.TaskBatch(*(jnp.asarray(part) for part in (inputs, targets, mask)))
    settings = LossSettings(last_step, 0.0, 0.0, False, 1, ((rough, 0.3), (counted, 0.7)))
    np.testing.assert_allclose(batch_loss(network, batch, None, settings), expected, rtol=1e-10)
    trained = training.fit(
        network, (inputs, targets, mask), key=key, num_steps=1, batch_size=TRIALS, evaluate_every=1, loss=last_step,
        penalties=[(rough, 0.3), (counted, 0.7)], held_out=(inputs, targets, mask),
    )  # fmt: skip
    np.testing.assert_allclose(trained.history.loss[0], expected, rtol=1e-10)
    after = np.asarray(networks.run(trained.network, inputs)[1])
    held_out = np.sum(mask[-1][:, None] * (after[-1] - targets[-1]) ** 2)
    np.testing.assert_allclose(trained.history.held_out_loss, [held_out], rtol=1e-9)


def test_a_loss_that_holds_arrays(key, data):
    """A weight for every class, as a callable that cannot be compared."""
    inputs, labels, mask = data
    weighted = jax.tree_util.Partial(
        lambda weights, outputs, targets, mask: jnp.sum(
            weights[targets] * mask * optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        ),
        jnp.array([1.0, 0.0, 3.0]),
    )
    trained = training.fit(small(key), (inputs, labels, mask), key=key, loss=weighted, **QUICK | {"batch_size": TRIALS})
    outputs = np.asarray(networks.run(small(key), inputs)[1])
    each = by_hand("cross_entropy", outputs, np.eye(CLASSES)[labels])
    np.testing.assert_allclose(
        trained.history.loss[0], np.sum(np.array([1.0, 0.0, 3.0])[labels] * mask * each), rtol=1e-10
    )
    assert np.isfinite(trained.history.accuracy).all()


PAIRS = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "nadam": optax.nadam,
    "amsgrad": optax.amsgrad,
    "rmsprop": optax.rmsprop,
    "lion": lambda rate: optax.lion(rate, weight_decay=0.0),
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "sgd": optax.sgd,
}


@pytest.mark.parametrize("name", PAIRS)
def test_optimizers_by_name_are_those_of_optax(name):
    """Three steps down the same gradients, with clipping."""
    ours, theirs = clipped(1.0, name), optax.chain(optax.clip_by_global_norm(1.0), PAIRS[name](0.01))
    parameters = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    states = [ours.init(parameters), theirs.init(parameters)]
    for number in range(3):
        slope = jax.tree.map(lambda leaf, number=number: jnp.sin(leaf + number), parameters)
        with jax.numpy_dtype_promotion("standard"):
            step, states[0] = ours.update(slope, states[0], parameters)
            expected, states[1] = theirs.update(slope, states[1], parameters)
        for name_of_leaf, change in expected.items():
            np.testing.assert_allclose(-0.01 * step[name_of_leaf], change, rtol=1e-12)
        parameters = optax.apply_updates(parameters, expected)


def test_a_named_optimizer_takes_the_learning_rate(key, data):
    inputs, labels, _ = data
    named, given = (
        training.fit(small(key), (inputs, labels), key=key, **options, **QUICK)
        for options in ({"optimizer": "momentum", "learning_rate": 0.01}, {"optimizer": PAIRS["momentum"](0.01)})
    )
    np.testing.assert_allclose(weights_of(named.network), weights_of(given.network), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(named.history.learning_rate, [0.01] * 3)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": "cross_entopy"}, ValueError, "did you mean 'cross_entropy'"),
        ({"loss": "bce"}, ValueError, "did you mean 'binary_cross_entropy'"),
        ({"loss": 3}, TypeError, "loss must be a function"),
        ({"loss": "mse"}, ValueError, "loss = 'mse' needs targets"),
        ({"loss": lambda outputs, targets, mask: outputs}, ValueError, "loss must give one number, got shape"),
        ({"loss": lambda outputs, targets: 0.0}, TypeError, r"loss.*loss\(outputs, targets, mask\)|loss, called"),
        ({"loss": lambda o, t, m: float(o.sum())}, TypeError, "loss cannot be traced by JAX"),
        ({"penalties": [(rough, -1.0)]}, ValueError, r"weight of penalties\[0\] must be at least 0"),
        ({"penalties": rough}, TypeError, "penalties must be pairs"),
        ({"penalties": [rough]}, TypeError, "penalties must be pairs"),
        ({"penalties": [(lambda n, s, o: s, 1.0)]}, ValueError, r"penalties\[0\] must give one number"),
        ({"penalties": [("rates", 1.0)]}, TypeError, r"penalties\[0\] must be a function"),
        ({"optimizer": "adma"}, ValueError, "optimizer must be one of .*did you mean 'adam"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be a GradientTransformation"),
        ({"optimizer": optax.sgd(0.1), "learning_rate": 0.1}, ValueError, "give either learning_rate"),
        ({"targets": "one more"}, ValueError, "classes from 0 to 2, one output each, got 1 to 3; classes that count"),
        ({"targets": "negative"}, ValueError, "classes from 0 to 2, one output each, got -1 to 2"),
        ({"targets": "floats"}, ValueError, "classes are whole numbers"),
        ({"targets": "too few"}, ValueError, "one class for each of 8 trials, got 7"),
        ({"mask": "wide"}, ValueError, "the mask of task must be"),
        ({"held_out": "numbers", "loss": lambda o, t, m: jnp.sum(o)}, ValueError, "held_out must have classes"),
        ({"target_accuracy": 0.9}, ValueError, "need held-out trials"),
    ],
)
def test_what_cannot_be_minimized_is_said(change, error, message, key, data):
    inputs, labels, _ = data
    change = dict(change)
    kinds = {
        "one more": labels + 1,
        "negative": labels - (labels == 0),
        "floats": labels * 1.0,
        "too few": labels[0, 1:],
    }
    targets = kinds.get(change.pop("targets", None), labels)
    parts = (inputs, targets, np.ones((STEPS, TRIALS, CLASSES))) if change.pop("mask", None) else (inputs, targets)
    if "held_out" in change:
        change["held_out"] = (inputs, np.eye(CLASSES)[labels])
    with pytest.raises(error, match=message):
        training.fit(small(key), parts, key=key, callback=lambda _: pytest.fail("trained"), **QUICK | change)


def test_what_masks_hide_need_not_be_a_class(key, data):
    """Labels of −1 or 255 where nothing is asked, as data sets have them."""
    inputs, labels, mask = data
    other = np.where(mask > 0, labels, 255)
    plain, odd = (training.fit(small(key), (inputs, part, mask), key=key, **QUICK) for part in (labels, other))
    np.testing.assert_array_equal(weights_of(plain.network), weights_of(odd.network))
