"""What a user brings to train on: padding that may be anything, layouts, and data that fail in the middle of a run."""

import errno

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import networks, tasks, training
from fisherjax._runtime import _run
from fisherjax.networks import RNN
from fisherjax.tasks._memory import FlipFlop
from fisherjax.tasks._task import weighted_mean
from fisherjax.training._loss import LossSettings, batch_loss

TASK = tasks.flip_flop(num_bits=1, pulse_probability=0.2)


def small(key, **options):
    return RNN(1, 8, 1, key=key, **options)


def weights_of(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])


def batches_of(key, count, num_trials=4, num_steps=6):
    return [
        tuple(np.array(part) for part in TASK.batch(k, num_trials, num_steps)) for k in jax.random.split(key, count)
    ]


def fit(key, data, **options):
    settings = {"key": key, "num_steps": 12, "evaluate_every": 4, "batch_size": 4, **options}
    return training.fit(small(key), data, **settings)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_padding_changes_no_term_of_the_loss(penalty, key):
    """Steps added at the end under the mask, whatever stands there; the bias makes rates there differ from zero."""
    network = networks.RNN(1, 8, 1, key=key, noise_std=0.0)
    network = jax.tree.map(lambda leaf: leaf + 0.1, network)
    inputs, targets, mask = (np.asarray(part) for part in TASK.batch(key, 4, 6))
    settings = LossSettings("mse", penalty, 0.1, False, 1)
    losses, slopes = [], []

    @eqx.filter_jit
    def loss_and_slope(network, batch):
        value, slope = jax.value_and_grad(lambda n: batch_loss(n, batch, None, settings), allow_int=True)(network)
        return value, slope.recurrent.parameter

    for added in (0, 8, 40):
        margin = ((0, added), (0, 0), (0, 0))
        batch = tasks.TaskBatch(
            *(np.pad(part, margin, constant_values=7.0) for part in (inputs, targets)), np.pad(mask, margin[:2])
        )
        loss, slope = loss_and_slope(network, batch)
        losses.append(float(loss))
        slopes.append(np.asarray(slope))
    np.testing.assert_allclose(losses[1:], losses[0], rtol=1e-12)
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slopes[2], slopes[0], rtol=1e-9, atol=1e-12)


def test_nan_under_the_mask_changes_nothing(key):
    """Of inputs, targets and held-out trials: the same bits as zeros there."""
    inputs, targets, mask = (np.array(part) for part in TASK.batch(key, 8, 6))
    mask[4:, :5] = 0
    kept = mask[..., None] > 0
    results = []
    for filling in (0.0, np.nan):
        data = (np.where(kept, inputs, filling), np.where(kept, targets, filling), mask)
        results.append(fit(key, data, held_out=data, num_steps=4, rate_penalty=0.1))
    np.testing.assert_array_equal(weights_of(results[0].network), weights_of(results[1].network))
    np.testing.assert_array_equal(results[0].history.held_out_loss, results[1].history.held_out_loss)
    assert results[1].stopped == "finished"


def test_measures_ignore_what_is_masked(key):
    outputs, targets = jax.random.normal(key, (2, 6, 4, 3))
    mask = jnp.ones((6, 4)).at[4:, 1].set(0.0)
    spoiled = jnp.where(mask[..., None] > 0, targets, jnp.nan)
    noisy = jnp.where(mask[..., None] > 0, outputs, jnp.inf)
    measures = (tasks.explained_variance, tasks.sign_accuracy, tasks.choice_accuracy, tasks.adding.accuracy)
    for measure in measures:
        clean = measure(outputs, tasks.TaskBatch(outputs, targets, mask))
        np.testing.assert_array_equal(measure(noisy, tasks.TaskBatch(outputs, spoiled, mask)), clean)
    values = jnp.where(mask > 0, outputs[..., 0], jnp.nan)
    assert np.isfinite(weighted_mean(values, mask))
    decision = tasks.perceptual_decision
    batch = decision.batch(key, 8)
    ignored = batch._replace(mask=batch.mask.at[:, :4].set(0.0))
    wrong = batch.targets.at[:, :4].set(-batch.targets[:, :4])
    np.testing.assert_allclose(decision.accuracy(wrong, ignored), 1.0)


@pytest.mark.usefixtures("as_user")
def test_measures_say_what_cannot_be_measured(key):
    ones = jnp.ones((5, 3, 1))
    with pytest.warns(RuntimeWarning, match="R² is undefined"):
        assert np.isnan(tasks.explained_variance(2 * ones, tasks.TaskBatch(ones, ones, ones[..., 0])))
    batch = tasks.TaskBatch(ones, ones, ones[..., 0])
    for changed, message in (
        (batch._replace(mask=-ones[..., 0]), "the mask of batch must be at least 0"),
        (batch._replace(mask=0 * ones[..., 0]), "zero everywhere"),
        (batch._replace(targets=ones.at[2, 1].set(jnp.nan)), "targets of batch hold NaN in 1 of 3 trials"),
        (batch._replace(targets=ones[:4]), "the targets of batch must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            tasks.sign_accuracy(ones, changed)
    with pytest.raises(ValueError, match="outputs hold NaN in 2 of 3 trials"):
        tasks.sign_accuracy(ones.at[0, :2].set(jnp.nan), batch)


def spoiled(part, value):
    """Twenty trials of six steps with a value in three of them."""
    arrays = [np.random.default_rng(0).normal(size=(6, 20, 1)) for _ in range(2)] + [np.ones((6, 20))]
    arrays[part][2, [3, 5, 8]] = value
    return tuple(arrays)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (spoiled(0, np.nan), r"task: inputs hold NaN in 3 of 20 trials \(first at step 2 of trial 3\)"),
        (spoiled(1, np.nan), "task: targets hold NaN in 3 of 20 trials"),
        (spoiled(1, np.inf), "task: targets hold infinities in 3 of 20 trials"),
        (spoiled(2, -1.0), "the mask of task must be at least 0, but its least entry is -1"),
        (spoiled(2, np.nan), "the mask of task must be finite"),
        ((*spoiled(0, 0)[:2], np.zeros((6, 20))), "the mask of task is zero everywhere"),
        ((np.zeros((6, 20, 1)), np.zeros((20, 6, 1))), "6 steps × 20 trials, targets .* its axes swapped.*batch_first"),
        ((np.zeros((6, 20, 1)), np.zeros((5, 20, 1))), r"targets \(5, 20, 1\) are 5 steps × 20 trials"),
        ((*spoiled(0, 0)[:2], np.ones((20, 6))), "6 steps × 20 trials as they are read, time first, and 20 steps × 6"),
        ((*spoiled(0, 0)[:2], np.arange(20) < np.array([[3, 9, 5, 20, 1, 7]]).T), "6 trials last 1 to 20 of 20 steps"),
        ((np.zeros((20, 2, 1)), np.zeros((20, 2, 1))), "read as 20 steps × 2 trials, and with batch_first=True as 2"),
        ([], "an iterable without a batch"),
        ([spoiled(0, np.nan)], "batch 0 of the iterable: inputs hold NaN in 3 of 20 trials"),
    ],
)
def test_data_are_checked_at_the_door(data, message, key):
    with pytest.raises(ValueError, match=message):
        fit(key, data, callback=lambda _: pytest.fail("trained"))


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    "data", [np.zeros((6, 4, 1)), "flip-flop", {"inputs": 1}, [np.zeros((6, 4, 1)), np.zeros((6, 4, 1))], 3, None]
)
def test_what_are_no_batches(data, key):
    with pytest.raises((TypeError, ValueError), match=r"task|batch 0 of the iterable"):
        fit(key, data)


@pytest.mark.usefixtures("as_user")
def test_classes_are_probabilities(key):
    numbers = np.ones((6, 8, 1)) * 2
    with pytest.raises(ValueError, match=r"targets must be probabilities of classes.*in 8 of 8 trials"):
        fit(key, (np.zeros((6, 8, 1)), numbers), loss="cross-entropy")


class _Padded(FlipFlop):
    """A task that a user wrote: NaN beyond a trial's end, or where it counts."""

    counted: bool = eqx.field(static=True, default=False)

    def draw(self, key, batch_size, num_steps):
        batch = super().draw(key, batch_size, num_steps)
        mask = batch.mask if self.counted else batch.mask.at[-2:].set(0.0)
        return tasks.TaskBatch(batch.inputs.at[-2:].set(jnp.nan), batch.targets.at[-2:].set(jnp.nan), mask)


def test_a_task_may_pad_with_nan(key):
    trained = fit(key, _Padded(num_bits=1), num_steps=4, trial_steps=6)
    assert trained.stopped == "finished"
    assert np.isfinite(trained.history.held_out_accuracy).all()


@pytest.mark.usefixtures("as_user")
def test_a_task_that_draws_nan_is_named(key):
    for held_out in (None, TASK.batch(key, 4, 6)):
        with pytest.raises(ValueError, match="what task _Padded draws: inputs hold NaN in"):
            fit(key, _Padded(num_bits=1, counted=True), trial_steps=6, held_out=held_out)


def test_trials_first(key):
    """The same run to the bit, whichever axis comes first; the sizes are told."""
    inputs, targets, mask = (np.asarray(part) for part in TASK.batch(key, 10, 6))
    swapped = tuple(np.swapaxes(part, 0, 1) for part in (inputs, targets, mask))
    first = fit(key, (inputs, targets, mask), held_out=(inputs, targets), num_steps=4)
    second = fit(key, swapped, held_out=swapped[:2], num_steps=4, batch_first=True)
    np.testing.assert_array_equal(weights_of(first.network), weights_of(second.network))
    assert first.data == second.data == "6 steps × 10 trials"
    assert "6 steps × 10 trials" in repr(first)
    third = fit(
        key, [tuple(np.swapaxes(part, 0, 1) for part in batch) for batch in batches_of(key, 2)], batch_first=True
    )
    assert third.data == "6 steps × 4 trials"


def test_a_ragged_mask_is_read_as_told(key):
    inputs, targets, _ = spoiled(0, 0)
    mask = np.arange(20) < np.array([[3, 9, 5, 20, 1, 7]]).T
    assert fit(key, (inputs, targets, mask), batch_first=False, num_steps=4).stopped == "finished"


@pytest.mark.parametrize("place", [2, 4, 6])
def test_batches_of_other_sizes_are_trained_on(place, key):
    """Fewer trials or steps, inside a chunk and at its border: as if the batch had come at its own size."""
    batches = batches_of(key, 8)
    short = tuple(part[:, :3] for part in batches[place])
    brief = tuple(part[:4] for part in batches[place])
    for odd in (short, brief):
        mixed = [*batches[:place], odd, *batches[place + 1 :]]
        padded = [*batches[:place], padded_to(odd, 6, 4), *batches[place + 1 :]]
        trained, expected = fit(key, iter(mixed)), fit(key, iter(padded))
        assert (trained.stopped, trained.num_steps) == ("data exhausted", 8)
        np.testing.assert_allclose(weights_of(trained.network), weights_of(expected.network), rtol=1e-12)


def padded_to(batch, num_steps, num_trials):
    margin = ((0, num_steps - batch[0].shape[0]), (0, num_trials - batch[0].shape[1]), (0, 0))
    return tuple(np.pad(part, margin[: part.ndim]) for part in batch)


def test_a_larger_batch_is_trained_on(key):
    batches = [*batches_of(key, 5), *batches_of(key, 2, num_trials=7)]
    trained = fit(key, iter(batches))
    assert trained.num_steps == 7
    alone = fit(key, batches[:1], num_steps=1, evaluate_every=1)
    np.testing.assert_allclose(trained.history.loss[0], alone.history.loss[0], rtol=1e-12)


def broken_after(batches, what):
    yield from batches
    if isinstance(what, Exception):
        raise what
    yield what


@pytest.mark.parametrize("good", [4, 6])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
        (StopIteration(), "raised RuntimeError"),
        (tuple(np.zeros((6, 4, width)) for width in (1, 2)), "targets must have the shape of the outputs"),
        (tuple(np.zeros((6, 4, width)) for width in (3, 1)), r"inputs must have shape \(T, …, 1\)"),
        ((np.full((6, 4, 1), np.nan), np.zeros((6, 4, 1))), "inputs hold NaN in 4 of 4 trials"),
        (None, "must be .inputs, targets"),
        ("text", "must be .inputs, targets"),
    ],
    ids=["exception", "stop", "targets", "inputs", "nan", "none", "text"],
)
def test_data_that_fail_lose_nothing(good, what, message, key):
    """Inside a chunk of four steps and at its border, the network is that of the batches before."""
    batches = batches_of(key, good)
    with pytest.warns(RuntimeWarning, match=rf"after {good} steps: the data failed: batch {good} .*{message}"):
        trained = fit(key, broken_after(batches, what))
    assert trained.num_steps == len(trained.history.loss) == good
    assert trained.stopped.startswith(f"the data failed: batch {good} of the iterable")
    np.testing.assert_array_equal(weights_of(trained.network), weights_of(fit(key, iter(batches)).network))


class _Loader:
    """Like a loader of data sets: a length and items, no iterator of its own."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return list(self.batches[number])


@pytest.mark.usefixtures("as_user")
def test_a_loader_is_an_iterable(key):
    batches = batches_of(key, 3)
    trained = fit(key, _Loader(batches))
    np.testing.assert_array_equal(weights_of(trained.network), weights_of(fit(key, batches).network))


@pytest.mark.usefixtures("as_user")
def test_a_generator_that_is_used_up_says_so(key):
    batches = iter(batches_of(key, 3))
    fit(key, batches)
    with pytest.raises(ValueError, match="a generator that has been used already"):
        fit(key, batches)


def test_a_callback_that_raises_loses_nothing(key):
    def fail(progress):
        if progress.step == 8:
            raise KeyError("missing")

    with pytest.warns(RuntimeWarning, match=r"callback failed at step 8: it raised KeyError.* trained so far"):
        trained = fit(key, TASK, trial_steps=6, callback=fail)
    assert trained.num_steps == 8
    assert trained.stopped.startswith("callback failed")


def test_a_full_disk_does_not_end_a_run(key, tmp_path, monkeypatch):
    write, calls = _run.write_checkpoint, []

    def full_for_once(record, path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(record, path)

    monkeypatch.setattr(_run, "write_checkpoint", full_for_once)
    settings = {"trial_steps": 6, "checkpoint_every": 4}
    with pytest.warns(RuntimeWarning, match=r"checkpoint of step 4 could not be written .*No space left"):
        trained = fit(key, TASK, checkpoint=tmp_path / "run", **settings)
    assert (trained.stopped, trained.num_steps) == ("finished", 12)
    np.testing.assert_array_equal(weights_of(trained.network), weights_of(fit(key, TASK, trial_steps=6).network))
    assert training.load_checkpoint(tmp_path / "run.npz").step == 12


def test_an_error_after_some_steps_returns_what_is_trained(key, monkeypatch):
    chunks, run_steps = [], _run.run_steps

    def out_of_memory(*arguments, **options):
        chunks.append(1)
        if len(chunks) == 3:
            raise RuntimeError("RESOURCE_EXHAUSTED")
        return run_steps(*arguments, **options)

    monkeypatch.setattr(_run, "run_steps", out_of_memory)
    with pytest.warns(RuntimeWarning, match="failed after step 8: RuntimeError: RESOURCE_EXHAUSTED"):
        trained = fit(key, TASK, trial_steps=6)
    assert trained.num_steps == 8
    chunks[:] = [1, 1]
    with pytest.raises(RuntimeError, match="RESOURCE"):
        fit(key, TASK, trial_steps=6)


def test_advice_names_what_is_to_blame(key):
    inputs, targets, _ = TASK.batch(key, 8, 6)
    with pytest.warns(RuntimeWarning, match="no step was made before it: look at the size"):
        trained = fit(key, (inputs, targets * 1e200))
    assert trained.stopped == "non-finite loss at step 0"
