"""Recordings from files: each format as its own library writes it, read back equal; spoiled ones refused in words."""

import datetime as dt
import gzip
import sys
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

from fisherjax import fisher

RNG = np.random.default_rng(0)
TRIALS, UNITS = 40, 5
COUNTS = RNG.poisson(3, (TRIALS, UNITS)).astype(float)
STIMULUS = np.tile([0.0, 22.5, 45.0, 67.5], TRIALS // 4)
DAY = np.repeat(["monday", "tuesday"], TRIALS // 2)


def frame():
    table = pd.DataFrame(COUNTS, columns=[f"cell {index}" for index in range(UNITS)])
    return table.assign(orientation=STIMULUS, day=DAY)


def matlab_7_3(path, **arrays):
    """As MATLAB writes it: a user block that says so, axes in reverse, the class of every array."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            *folders, last = name.split(".")
            group = file
            for folder in folders:
                group = group.require_group(folder)
                group.attrs["MATLAB_class"] = np.bytes_("struct")
            held = group.create_dataset(last, data=np.asarray(value).T)
            held.attrs["MATLAB_class"] = np.bytes_("double")
    words = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."
    with path.open("r+b") as file:
        file.write(words.ljust(116) + bytes(8) + b"\x00\x02IM")


def nwb(path, *, spikes=True, imaging=False, trials=True, length=0.5):
    """A session with the counts as spikes, or as fluorescence at 10 Hz."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, RoiResponseSeries

    session = NWBFile("a test", "one", dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    starts = np.arange(TRIALS) * 1.0
    if trials:
        session.add_trial_column("orientation", "of the grating, in degrees")
        session.add_trial_column("day", "of the session")
        for start, value, day in zip(starts, STIMULUS, DAY, strict=True):
            session.add_trial(start_time=start, stop_time=start + length, orientation=value, day=day)
    if spikes:
        for unit in range(UNITS):
            times = [start + 0.4 * (np.arange(count) + 0.5) / count for start, count in
                     zip(starts, COUNTS[:, unit].astype(int), strict=True)]  # fmt: skip
            session.add_unit(
                spike_times=np.concatenate(times), obs_intervals=[[0.0, TRIALS - (10.0 if unit == 4 else 0.0)]]
            )
    if imaging:
        device = session.create_device("microscope")
        channel = OpticalChannel(name="green", description="-", emission_lambda=500.0)
        plane = session.create_imaging_plane(
            name="plane", optical_channel=channel, imaging_rate=10.0, description="-", device=device,
            excitation_lambda=600.0, indicator="GFP", location="V1",
        )  # fmt: skip
        segmentation = ImageSegmentation()
        module = session.create_processing_module("ophys", "-")
        module.add(segmentation)
        cells = segmentation.create_plane_segmentation(name="cells", description="-", imaging_plane=plane)
        for _ in range(UNITS):
            cells.add_roi(image_mask=np.ones((2, 2)))
        region = cells.create_roi_table_region(region=list(range(UNITS)), description="-")
        data = np.repeat(COUNTS, 10, axis=0)
        series = RoiResponseSeries(name="dff", data=data, rois=region, unit="1", rate=10.0, starting_time=0.0)
        module.add(DfOverF(roi_response_series=series))
    with warnings.catch_warnings(), NWBHDF5IO(str(path), "w") as file:
        warnings.simplefilter("ignore")  # of links between tables
        file.write(session)
    return path


def same(recording, *, names=True):
    assert np.array_equal(recording.responses, COUNTS)
    assert np.array_equal(recording.stimulus, STIMULUS)
    if names:
        assert recording.names == tuple(f"cell {index}" for index in range(UNITS))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: frame().to_csv(path / "a.csv"),
        lambda path: frame().to_csv(path / "a.csv", index=False, encoding="utf-8-sig"),
        lambda path: frame().to_csv(path / "a.tsv", sep="\t", index=False),
        lambda path: frame().to_csv(path / "a.csv", sep=";", decimal=",", index=False),
        lambda path: frame().to_csv(path / "a.csv.gz", index=False),
        lambda path: frame().to_parquet(path / "a.parquet"),
    ],
    ids=["index", "mark", "tabs", "commas", "gzip", "parquet"],
)
def test_tables_are_read_as_they_were_written(write, tmp_path):
    write(tmp_path)
    file = next(tmp_path.iterdir())
    held = fisher.read_recording(file, "orientation", block="day", period=180)
    same(held)
    assert held.block.tolist() == [0] * 20 + [1] * 20
    assert file.name in held.notes[0]
    part = fisher.read_recording(file, "orientation", units=["cell 3", "cell 0"])
    assert np.array_equal(part.responses, COUNTS[:, [3, 0]])
    same(fisher.read_recording(file, "orientation", exclude=["day"]))


@pytest.mark.parametrize("kind", ["npz", "npy", "mat", "mat 7.3", "mat struct", "h5"])
def test_arrays_are_read_as_they_were_written(kind, tmp_path):
    options = {"stimulus": "orientation"}
    if kind == "npz":
        file = tmp_path / "a.npz"
        np.savez(file, responses=COUNTS, orientation=STIMULUS, other=np.zeros((3, 3)))
    elif kind == "npy":
        file = tmp_path / "a.npy"
        np.save(file, COUNTS)
        np.save(tmp_path / "theta.npy", STIMULUS)
        options["stimulus"] = str(tmp_path / "theta.npy")
    elif kind == "mat":
        file = tmp_path / "a.mat"
        scipy.io.savemat(file, {"R": COUNTS.T, "orientation": STIMULUS})
        options["axes"] = "units trials"
    elif kind == "h5":
        file = tmp_path / "a.h5"
        with h5py.File(file, "w") as held:
            held["session/counts"], held["orientation"] = COUNTS, STIMULUS
    else:
        file = tmp_path / "a.mat"
        inside = "data." if "struct" in kind else ""
        matlab_7_3(file, **{f"{inside}counts": COUNTS, f"{inside}orientation": STIMULUS[:, None]})
        options["stimulus"] = f"{inside}orientation"
    same(fisher.read_recording(file, **options), names=False)


def test_axes_are_said_and_not_guessed(tmp_path):
    cube = COUNTS.reshape(10, 4, UNITS).transpose(2, 1, 0)  # units, stimuli, trials
    np.savez(tmp_path / "a.npz", responses=cube, orientation=STIMULUS[:4])
    with pytest.raises(
        ValueError, match=r"has shape \(5, 4, 10\); say which axis is which, as axes='units stimuli trials'"
    ):
        fisher.read_recording(tmp_path / "a.npz", "orientation")
    held = fisher.read_recording(tmp_path / "a.npz", "orientation", axes="units stimuli trials")
    assert np.array_equal(held.at(1), COUNTS[STIMULUS == 22.5])
    np.savez(tmp_path / "b.npz", responses=COUNTS.T, orientation=STIMULUS)
    with pytest.raises(ValueError, match="its trials are columns; say axes='units trials'"):
        fisher.read_recording(tmp_path / "b.npz", "orientation")


@pytest.mark.filterwarnings("ignore:The linked table")
@pytest.mark.parametrize("source", ["units", "dff"])
def test_nwb_is_counted_and_averaged(source, tmp_path):
    file = nwb(tmp_path / "a.nwb", spikes=source == "units", imaging=source == "dff")
    if source == "units":
        with pytest.raises(ValueError, match="10 values are missing, in 10 of 40 trials"):  # a unit was lost on the way
            fisher.read_recording(file, "orientation", block="day")
        held = fisher.read_recording(file, "orientation", block="day", missing="drop")
        assert np.array_equal(held.responses, COUNTS[:30])
        assert "spike counts from 0 to 0.5 s" in held.notes[0]
    else:
        held = fisher.read_recording(file, "orientation", window=(0.1, 0.4), period=180)
        same(held, names=False)
        assert held.names[0] == "region 0"


def test_nwb_trials_without_a_start_are_missing(tmp_path):
    nwb(tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb", "a") as held:
        held["intervals/trials/start_time"][3] = np.nan
    with pytest.raises(ValueError, match=r"1\d values are missing"):
        fisher.read_recording(tmp_path / "a.nwb", "orientation", window=(0, 0.5))
    kept = fisher.read_recording(tmp_path / "a.nwb", "orientation", window=(0, 0.5), missing="drop")
    assert np.array_equal(kept.responses, np.delete(COUNTS[:30], 3, axis=0))


@pytest.mark.filterwarnings("ignore:The linked table")
def test_nwb_asks_what_it_does_not_say(tmp_path):
    both = nwb(tmp_path / "both.nwb", imaging=True)
    with pytest.raises(ValueError, match="several recordings; say responses='units' or responses='dff'"):
        fisher.read_recording(both, "orientation")
    with pytest.raises(
        ValueError, match=r"stimulus: .*both.nwb has no 'angle', only start_time, stop_time, orientation"
    ):
        fisher.read_recording(both, "angle", responses="dff")
    with pytest.raises(ValueError, match=r"has no 'spikes', only 'units', 'dff'"):
        fisher.read_recording(both, "orientation", responses="spikes")
    with pytest.raises(ValueError, match="has no table of trials"):
        fisher.read_recording(nwb(tmp_path / "none.nwb", trials=False), "orientation")
    with pytest.raises(ValueError, match="neither units with spikes nor series"):
        fisher.read_recording(nwb(tmp_path / "empty.nwb", spikes=False), "orientation")
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(both.read_bytes()[: both.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cannot be read as NWB|truncated or damaged"):
        fisher.read_recording(broken, "orientation", responses="units")


def csv(text, **options):
    def write(path):
        (path / "a.csv").write_text(text)
        return path / "a.csv", {"stimulus": "ori", **options}

    return write


def arrays(writer=np.savez, name="a.npz", **held):
    options = held.pop("options", {})

    def write(path):
        writer(path / name, **held)
        return path / name, {"stimulus": "ori", **options}

    return write


def raw(name, data, **options):
    def write(path):
        (path / name).write_bytes(data)
        return path / name, {"stimulus": "ori", **options}

    return write


def mat(**held):
    def write(path):
        scipy.io.savemat(path / "a.mat", held)
        return path / "a.mat", {"stimulus": "ori"}

    return write


def spoiled_hdf5(path):
    matlab_7_3(path / "a.mat", R=COUNTS, ori=STIMULUS)
    data = bytearray((path / "a.mat").read_bytes())
    data[600:900] = bytes(300)
    (path / "a.mat").write_bytes(data)
    return path / "a.mat", {"stimulus": "ori"}


def spoiled_parquet(path):
    frame().to_parquet(path / "a.parquet")
    (path / "a.parquet").write_bytes((path / "a.parquet").read_bytes()[:-40])
    return path / "a.parquet", {"stimulus": "orientation"}


ROWS = "ori,a,b\n" + "".join(f"{22.5 * (i % 2)},{i % 3},{i % 5}\n" for i in range(12))
SPOILED = {
    "empty": (raw("a.csv", b""), "is empty"),
    "no header": (csv(ROWS.split("\n", 1)[1], header="no"), "has no header"),
    "no such column": (csv(ROWS, stimulus="angle"), "has no 'angle', only ori, a, b"),
    "near column": (csv(ROWS, stimulus="or"), "did you mean 'ori'"),
    "text stimulus": (csv(ROWS.replace("22.5", "right")), "stimulus must be numbers, but it holds 'right'"),
    "text unit": (csv(ROWS.replace("ori,a,b", "ori,a,kind").replace(",1\n", ",m1\n")), "column 'kind' holds 'm1'"),
    "trial numbers": (csv(ROWS.replace("ori,a,b", "ori,trial,b")), "'trial' is no unit by its name; exclude="),
    "times": (csv("ori,a,begin\n" + "".join(f"{i % 2},{i % 5},{i * 1.5}\n" for i in range(20))), "'begin' is no unit"),
    "identities": (csv(ROWS.replace("ori,a,b", "ori,trial_id,b")), "'trial_id' is no unit by its name"),
    "blocks missing": (csv(ROWS.replace("a,b", "day,b").replace("22.5,1", "22.5,"), block="day"), "'day' .* missing"),
    "square": (arrays(responses=COUNTS[:5], ori=STIMULUS[:5]), "say axes='trials units' or axes='units trials'"),
    "two names": (csv(ROWS.replace("ori,a,b", "ori,a,a")), "two columns are named 'a'"),
    "missing stimulus": (csv(ROWS.replace("0.0,0,0", ",0,0")), "stimulus is missing in 1 of 12 trials"),
    "missing response": (csv(ROWS.replace("0.0,0,0", "0.0,,0")), "1 values are missing, in 1 of 12 trials; missing="),
    "short row": (csv(ROWS + "22.5,1\n"), "line 14 has 2 values where line 1 has 3"),
    "only a stimulus": (csv("ori\n1\n2\n"), "has no column of a unit"),
    "infinite": (csv(ROWS.replace("0.0,0,0", "0.0,inf,0")), "holds 'inf'|infinite"),
    "unknown exclude": (csv(ROWS, exclude=["c"]), "exclude: .* has no 'c'"),
    "unknown unit": (csv(ROWS, units=["c"]), "units: .* has no 'c'"),
    "axes of a table": (csv(ROWS, axes="units trials"), "axes is for arrays, which a.csv is not"),
    "window of a table": (csv(ROWS, window=(0, 1)), "window is for NWB files, which a.csv is not"),
    "silent": (csv("ori,a\n" + "0,1\n22.5,1\n" * 5), "no unit is left|no value"),
    "no responses": (arrays(ori=STIMULUS), "has no array of responses"),
    "several": (arrays(a=COUNTS, b=COUNTS, ori=STIMULUS), "holds several arrays .* say which by responses="),
    "stimulus of two axes": (arrays(responses=COUNTS, ori=COUNTS), "'ori' in .* has shape"),
    "lengths": (arrays(responses=COUNTS, ori=STIMULUS[:-3]), "one for each of 40 trials, got 37"),
    "axes": (arrays(responses=COUNTS, ori=STIMULUS, options={"axes": "time units"}), "axes must name trials and units"),
    "axes too many": (
        arrays(responses=COUNTS, ori=STIMULUS, options={"axes": "units stimuli trials"}),
        "has shape .* names 3",
    ),
    "units of arrays": (arrays(responses=COUNTS, ori=STIMULUS, options={"units": ["a"]}), "units is for tables"),
    "complex": (arrays(responses=COUNTS + 1j, ori=STIMULUS), "real numbers"),
    "structure": (mat(data={"R": COUNTS, "ori": STIMULUS}), r"only data \(a structure\); save its fields apart"),
    "truncated MATLAB": (raw("a.mat", b"MATLAB 5.0".ljust(124) + b"\x00\x01IM\x0f\0\0\0\xff\0\0\0"), "damaged"),
    "damaged HDF5": (spoiled_hdf5, "truncated or damaged"),
    "damaged Parquet": (spoiled_parquet, "truncated or damaged"),
    "picture": (raw("a.png", b"\x89PNG\r\n\x1a\n" + bytes(200)), "PNG picture"),
    "zip": (raw("a.zip", b"PK\3\4" + bytes(22) + b"\4\0\0\0read"), "zip archive"),
    "pickle": (raw("a.pkl", b"\x80\4\x95" + bytes(60)), "pickle"),
    "gzip cut": (raw("a.csv.gz", gzip.compress(ROWS.encode())[:-12]), "truncated or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_files_are_refused_in_words(name, tmp_path):
    write, words = SPOILED[name]
    file, options = write(tmp_path)
    with pytest.raises((ValueError, TypeError), match=words):
        fisher.read_recording(file, **options)


def test_there_are_thirty_of_them():
    assert len(SPOILED) >= 30


@pytest.mark.parametrize(("library", "file"), [("h5py", "a.h5"), ("pyarrow", "a.parquet"), ("pynwb", "a.nwb")])
def test_what_is_not_installed_says_how(library, file, tmp_path, monkeypatch):
    path = tmp_path / file
    if library == "h5py":
        with h5py.File(path, "w") as held:
            held["counts"] = COUNTS
    elif library == "pyarrow":
        frame().to_parquet(path)
    else:
        nwb(path)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"needs {library}: pip install 'fisherjax\[recordings\]'"):
        fisher.read_recording(path, "orientation")
