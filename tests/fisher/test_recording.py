"""A recording: what it refuses, what it leaves out and tells, and how its stimuli are neighbours."""

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from fisherjax import fisher, networks

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(3, (40, 5)).astype(float)
STIMULUS = np.tile([0.0, 45.0, 90.0, 135.0], 10)


def spoiled(change):
    values = COUNTS.copy()
    change(values)
    return values


def test_what_was_found_is_told_and_left_out():
    def change(values):
        values[:, 1] = 2.0
        values[:, 3] = 2 * values[:, 0] + 1
        values[:, 4] = 0
        values[7, 4] = 1

    told = fisher.Recording(spoiled(change), STIMULUS, period=180, drop_rare=False)
    assert told.names == ("unit 0", "unit 2", "unit 4")
    assert [note.split(":")[0] for note in told.notes] == [
        "1 unit (unit 1) that never varies",
        "1 duplicate unit (unit 3)",
    ]
    rare = np.concatenate([spoiled(change)] * 3)
    dropped = fisher.Recording(rare, np.tile(STIMULUS, 3), drop_rare=True)
    assert dropped.names == ("unit 0", "unit 2", "unit 4")  # three of 120 trials are not rare
    values = spoiled(change)[:, [0, 2, 4]]
    long = np.concatenate([values, *[np.where([1, 1, 0], values, 0)] * 3])
    assert fisher.Recording(long, np.tile(STIMULUS, 4), drop_rare=True).num_units == 2
    with pytest.raises(ValueError, match=r"1 unit \(unit 1\) that never varies; drop_silent=True"):
        fisher.Recording(spoiled(change), STIMULUS, drop_silent=False)
    assert fisher.Recording(spoiled(change), STIMULUS, drop_duplicates=False).num_units == 4


def test_missing_values_are_refused_dropped_or_groups():
    def change(values):
        values[:20, :2] = np.nan
        values[20:, 2:] = np.nan
        values[3, 4] = np.nan

    values = spoiled(change)
    with pytest.raises(
        ValueError, match=r"101 values are missing, in 40 of 40 trials, and units fall into 2 groups.*pairwise"
    ):
        fisher.Recording(values, STIMULUS)
    with pytest.raises(ValueError, match="leaves no trial"):
        fisher.Recording(values, STIMULUS, missing="drop")
    kept = fisher.Recording(values, STIMULUS, missing="pairwise")
    assert np.isnan(kept.responses).all(axis=1).sum() == 0
    assert len(kept.stimulus) == 39  # a trial in which one of three units is missing is not whole
    assert "2 groups of units" in kept.notes[0]
    few = COUNTS.copy()
    few[5, 2] = np.nan
    assert len(fisher.Recording(few, STIMULUS, missing="drop").stimulus) == 39
    unknown = fisher.Recording(COUNTS, np.where(STIMULUS == 0, np.nan, STIMULUS), missing="drop")
    np.testing.assert_array_equal(unknown.responses, COUNTS[STIMULUS != 0])
    assert unknown.notes[0].startswith("stimulus is missing in 10 of 40 trials: those trials were left out")


def test_stimuli_are_neighbours_on_a_line_and_on_a_circle():
    line = fisher.Recording(COUNTS, STIMULUS)
    assert line.neighbors.tolist() == [[0, 1], [1, 2], [2, 3]]
    circle = fisher.Recording(COUNTS, STIMULUS + 180.0 * RNG.integers(-2, 3, 40), period=180)
    assert circle.stimuli.tolist() == [0, 45, 90, 135]
    assert circle.neighbors.tolist()[-1] == [3, 0]
    assert circle.separation(circle.neighbors).tolist() == [45] * 4
    two = fisher.Recording(COUNTS, np.tile([0.0, 170.0], 20), period=180)
    assert two.neighbors.tolist() == [[0, 1]]
    assert two.separation(two.neighbors).tolist() == [10]
    almost = fisher.Recording(COUNTS, np.where(RNG.random(40) < 0.5, 0.3, 0.1 + 0.2) + (np.arange(40) % 2))
    assert len(almost.stimuli) == 2


def test_what_others_hold_is_taken_with_its_names():
    frame = pd.DataFrame(COUNTS, columns=list("abcde")).astype("Float64")
    frame.iloc[3, 2] = pd.NA
    held = fisher.Recording(frame, pd.Series(STIMULUS), missing="drop")
    assert held.names == tuple("abcde")
    assert len(held.stimulus) == 39
    array = xr.DataArray(COUNTS, dims=("trial", "unit"), coords={"unit": [10, 11, 12, 13, 14]})
    assert fisher.Recording(array, STIMULUS).names == ("10", "11", "12", "13", "14")
    blocks = COUNTS.reshape(10, 4, 5).transpose(1, 0, 2)
    same = fisher.Recording(blocks, [0, 45, 90, 135])
    assert np.array_equal(same.at(2), COUNTS[STIMULUS == 90])


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (
            (COUNTS.T, STIMULUS),
            {},
            r"one for each of 5 trials, got 40; responses are \(trials, units\): give responses.T",
        ),
        ((COUNTS, STIMULUS[:-1]), {}, "one for each of 40 trials, got 39"),
        ((COUNTS, np.where(STIMULUS == 0, np.nan, STIMULUS)), {}, "stimulus is missing in 10 of 40 trials; missing="),
        ((COUNTS[None], STIMULUS), {}, "one for each of the 1 along the first axis"),
        ((np.where(COUNTS > 6, np.inf, COUNTS), STIMULUS), {}, "infinite"),
        ((COUNTS, STIMULUS), {"missing": "ignore"}, "missing must be one of"),
        ((COUNTS, STIMULUS), {"names": ["a"]}, "names must be one for each of 5 units, got 1"),
        ((COUNTS, STIMULUS), {"period": -1}, "period must be above 0"),
        ((COUNTS, STIMULUS), {"block": [1, 2]}, "block must be one label for each of 40"),
        ((COUNTS * 0, STIMULUS), {}, "no unit is left"),
    ],
)
def test_wrong_recordings_are_refused(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        fisher.Recording(*arguments, **options)


def test_a_frame_with_text_names_its_column():
    frame = pd.DataFrame(COUNTS, columns=list("abcde")).assign(mouse="m1")
    with pytest.raises(TypeError, match="column mouse"):
        fisher.Recording(frame, STIMULUS)


def test_parts_of_a_recording():
    whole = fisher.Recording(COUNTS, STIMULUS, period=180, names=list("abcde"), block=np.arange(40) // 10)
    part = whole.select(units=["c", "a"], trials=np.arange(20))
    assert part.names == ("c", "a")
    assert np.array_equal(part.responses, COUNTS[:20][:, [2, 0]])
    assert part.block.tolist() == [0] * 10 + [1] * 10
    assert part.period == 180
    with pytest.raises(ValueError, match="no 'z'"):
        whole.select(units=["z"])
    features = whole.principal_components(3)
    assert np.allclose(np.cov(features.responses.T), np.diag(np.var(features.responses, axis=0, ddof=1)))
    assert np.allclose(whole.square_root().responses, np.sqrt(COUNTS + 0.375))
    with pytest.raises(ValueError, match="least response is -1"):
        fisher.Recording(COUNTS - COUNTS.min() - 1, STIMULUS).square_root()


def test_stimuli_of_single_precision_are_what_they_seem():
    theta = np.repeat(np.linspace(0, 2 * np.pi, 5, dtype=np.float32), 8)
    assert len(fisher.Recording(COUNTS, theta, period=2 * np.pi).stimuli) == 4
    mixed = np.where(np.arange(40) % 2, np.float64(np.float32(0.1)), 0.1) + (np.arange(40) > 20)
    assert len(fisher.Recording(COUNTS, mixed).stimuli) == 2
    with pytest.warns(RuntimeWarning, match="span 11 turns of period=6.28319: is it in the unit"):
        fisher.Recording(COUNTS, STIMULUS / 2, period=2 * np.pi)


def test_what_is_a_function_of_the_stimulus_is_no_unit():
    with pytest.raises(ValueError, match=r"unit 5.: every response to a stimulus is the same"):
        fisher.Recording(np.column_stack([COUNTS, STIMULUS]), STIMULUS)


def test_what_was_said_holds_for_parts():
    twice = np.column_stack([COUNTS, COUNTS[:, 0]])
    kept = fisher.Recording(twice, STIMULUS, drop_duplicates=False, notes=("from a file",))
    part = kept.select(trials=np.arange(20))
    assert part.num_units == 6
    assert "from a file" in part.notes
    quiet = COUNTS.copy()
    quiet[:20, 1] = 0
    assert fisher.Recording(quiet, STIMULUS).select(trials=np.arange(20)).num_units == 5


def test_a_recording_outlives_its_file(tmp_path):
    whole = fisher.Recording(COUNTS, STIMULUS, period=180, stimulus_unit="deg", block=np.arange(40) // 10)
    again = fisher.Recording.load(whole.save(tmp_path / "recording"))
    assert repr(again) == repr(whole)
    assert np.array_equal(again.responses, whole.responses)


def test_models_are_recorded_like_cortex(key):
    weights = 0.5 * jax.random.normal(key, (6, 6)) / np.sqrt(6)
    network = networks.RateNetwork(weights, np.ones(6), nonlinearity="identity", noise_std=0.2)
    stimuli = np.array([-1.0, 0.0, 1.0])
    held = fisher.record(network, stimuli, key=key, num_trials=4000, num_steps=3)
    assert held.num_trials.tolist() == [4000] * 3
    found = fisher.recorded_information(held, check=False)
    exact = fisher.linearized_curve(network, stimulus=0.0, num_steps=3).total[-1]
    average = found.averages["direct"]
    assert abs(float(average.value) - float(exact)) < 4 * float(average.standard_error)
    assert float(average.standard_error) < 0.2 * float(exact)

    def respond(theta, key):
        return theta * jax.numpy.arange(1.0, 4.0) + jax.random.normal(key, (3,))

    direct = fisher.record(respond, [0.0, 1.0], key=key, num_trials=3000)
    one = fisher.recorded_information(direct, check=False)["direct"]
    assert abs(float(one.value[0]) - 14) < 4 * float(one.standard_error[0])
    with pytest.raises(ValueError, match="alike in every trial"):
        fisher.record(lambda theta, key: theta * jax.numpy.ones(3), [0.0, 1.0], key=key, num_trials=5)
    with pytest.raises(ValueError, match="num_steps belongs to a Network"):
        fisher.record(respond, [0.0, 1.0], key=key, num_trials=5, num_steps=3)
    with pytest.raises(ValueError, match="num_steps must be given"):
        fisher.record(network, stimuli, key=key, num_trials=5)
