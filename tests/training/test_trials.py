"""Trials of different lengths, mappings of arrays, and loaders as people have them: finite, with an odd last batch."""

import jax
import numpy as np
import pytest

from fisherjax import tasks, training
from fisherjax.networks import RNN

TASK = tasks.flip_flop(num_bits=1, pulse_probability=0.3)
LENGTHS = (4, 7, 5, 6, 7, 3)


def small(key):
    return RNN(1, 6, 1, key=key)


def weights_of(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])


def fit(key, data, **options):
    settings = {"key": key, "num_steps": 6, "evaluate_every": 3, "batch_size": 4, **options}
    return training.fit(small(key), data, **settings)


def arrays(key, num_trials, num_steps=6):
    return tuple(np.array(part) for part in TASK.batch(key, num_trials, num_steps))


def trials(key):
    """Trials of their own lengths, and the same as padded arrays, with NaN beyond their ends."""
    inputs, targets, mask = arrays(key, len(LENGTHS), max(LENGTHS))
    for number, length in enumerate(LENGTHS):
        for part, filling in ((inputs, np.nan), (targets, np.nan), (mask, 0.0)):
            part[length:, number] = filling
    ragged = [(inputs[:n, k], targets[:n, k]) for k, n in enumerate(LENGTHS)]
    return ragged, (inputs, targets, mask)


def same(first, second):
    np.testing.assert_array_equal(weights_of(first.network), weights_of(second.network))


def test_trials_of_different_lengths_are_padded_and_masked(key):
    ragged, padded = trials(key)
    found, expected = fit(key, ragged, held_out=ragged), fit(key, padded, held_out=padded)
    same(found, expected)
    np.testing.assert_array_equal(found.history.held_out_loss, expected.history.held_out_loss)
    assert found.data == "7 steps × 6 trials"
    named = [{"inputs": one, "targets": two} for one, two in ragged]
    same(fit(key, named), found)
    # a mask in some of them, of every output
    wide = [(*ragged[0], np.ones((LENGTHS[0], 1))), *ragged[1:]]
    np.testing.assert_allclose(weights_of(fit(key, wide).network), weights_of(found.network), rtol=1e-9)


class _Set:
    """Like a data set of torch: a length and items."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, number):
        return self.items[number]


@pytest.mark.usefixtures("as_user")
def test_a_data_set_of_single_trials_is_a_list_of_them(key):
    ragged, _ = trials(key)
    same(fit(key, _Set(ragged)), fit(key, ragged))


def test_one_class_for_each_of_unequal_trials_is_wanted_at_its_end(key):
    ragged, (inputs, _, _) = trials(key)
    labels, ends = [0, 1, 1, 0, 0, 1], np.zeros((max(LENGTHS), len(LENGTHS)))
    for number, length in enumerate(LENGTHS):
        ends[length - 1, number] = 1
    network = RNN(1, 6, 2, key=key)
    settings = {"key": key, "num_steps": 4, "evaluate_every": 2, "batch_size": 4}
    found = training.fit(network, [(one, label) for (one, _), label in zip(ragged, labels, strict=True)], **settings)
    same(found, training.fit(network, (inputs, np.array(labels), ends), **settings))
    each = [(one, np.full(len(one), label)) for (one, _), label in zip(ragged, labels, strict=True)]
    assert np.any(weights_of(training.fit(network, each, **settings).network) != weights_of(found.network))


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda one: (one[0], one[1][:-1]), r"trial 2 of task must hold inputs and targets of the same steps"),
        (lambda one: (np.hstack([one[0], one[0]]), one[1]), "trial 2 of task must have inputs and targets of the same"),
        (lambda one: (one[0], 0), "trial 2 of task must have inputs and targets of the same kind"),
        (lambda one: (one[0] * np.nan, one[1]), "trial 2 of task: inputs hold NaN"),
        (lambda one: (*one, np.ones(3)), "the mask of trial 2 of task must be"),
        (lambda one: one[0], r"trial 2 of task must be \(inputs, targets\)"),
        (lambda one: {"input": one[0], "targets": one[1]}, "got 'input' .str.; did you mean 'inputs'"),
    ],
)
def test_a_wrong_trial_is_named(spoil, message, key):
    ragged, _ = trials(key)
    ragged[2] = spoil(ragged[2])
    with pytest.raises((ValueError, TypeError), match=message):
        fit(key, ragged)


def test_arrays_by_name(key):
    inputs, targets, mask = arrays(key, 8)
    same(fit(key, {"inputs": inputs, "targets": targets, "mask": mask}), fit(key, (inputs, targets, mask)))
    swapped = {name: np.swapaxes(part, 0, 1) for name, part in {"inputs": inputs, "targets": targets}.items()}
    same(fit(key, swapped, batch_first=True), fit(key, (inputs, targets)))


class _Loader:
    """Like a loader: a new pass whenever it is begun, the last batch smaller, another order in every pass."""

    def __init__(self, key, shuffled=False, named=False):
        self.inputs, self.targets, _ = arrays(key, 10)
        self.shuffled, self.named, self.passes = shuffled, named, 0

    def __iter__(self):
        self.passes += 1
        order = np.random.default_rng(self.passes if self.shuffled else 0).permutation(10)
        for start in (0, 4, 8):
            chosen = order[start : start + 4]
            batch = self.inputs[:, chosen], self.targets[:, chosen]
            yield dict(zip(("inputs", "targets"), batch, strict=True)) if self.named else batch


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("named", [False, True])
def test_a_loader_is_begun_again_until_the_steps_are_done(named, key):
    loader = _Loader(key, named=named)
    trained = fit(key, loader, num_steps=10)
    assert (trained.stopped, trained.num_steps, loader.passes) == ("finished", 10, 4)
    once = list(_Loader(key))
    same(trained, fit(key, iter(once * 4), num_steps=10))
    same(trained, fit(key, once, num_steps=10))
    ended = fit(key, iter(_Loader(key)), num_steps=10)
    assert (ended.stopped, ended.num_steps) == ("data exhausted", 3)


@pytest.mark.usefixtures("as_user")
def test_a_run_on_a_loader_goes_on_exactly(key, tmp_path):
    """Across the end of a pass, with another order in each."""
    whole = fit(key, _Loader(key, shuffled=True), num_steps=11)
    fit(key, _Loader(key, shuffled=True), num_steps=5, checkpoint=tmp_path / "run")
    resumed = fit(key, _Loader(key, shuffled=True), num_steps=11, checkpoint=tmp_path / "run")
    same(whole, resumed)
    np.testing.assert_array_equal(whole.history.loss, resumed.history.loss)


@pytest.mark.usefixtures("as_user")
def test_a_mask_of_outputs_may_come_late(key):
    batches = [arrays(own, 4) for own in jax.random.split(key, 6)]
    mixed = [*batches[:4], *((one, two, three[..., None]) for one, two, three in batches[4:])]
    found, expected = fit(key, iter(mixed)), fit(key, iter(batches))
    assert found.num_steps == 6
    np.testing.assert_allclose(weights_of(found.network), weights_of(expected.network), rtol=1e-9, atol=1e-12)


class _Empty:
    """One pass only, although it can be begun again."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        batches, self.batches = self.batches, []
        return iter(batches)


@pytest.mark.usefixtures("as_user")
def test_what_has_nothing_more_to_give_ends(key):
    trained = fit(key, _Empty([arrays(key, 4)] * 3))
    assert (trained.stopped, trained.num_steps) == ("data exhausted", 3)


@pytest.mark.usefixtures("as_user")
def test_an_iterator_of_single_trials_is_told_what_to_give(key):
    ragged, _ = trials(key)
    with pytest.raises(ValueError, match=r"batch 0 of the iterable is one trial.* give a list"):
        fit(key, iter(ragged))


@pytest.mark.usefixtures("as_user")
def test_targets_do_not_change_their_kind(key):
    inputs, targets, _ = arrays(key, 4)
    with pytest.warns(RuntimeWarning, match="targets must be classes in all batches or in none"):
        trained = fit(key, iter([(inputs, targets)] * 4 + [(inputs, np.zeros(4, int))]))
    assert trained.num_steps == 4
