"""`fisherjax estimate`: files of responses."""

import json
import re

import numpy as np
import pytest

from fisherjax.cli import main


@pytest.fixture
def responses():
    rng = np.random.default_rng(0)
    slope = np.linspace(0.5, 1.5, 4)
    return rng.normal(size=(80, 4)) - 0.1 * slope, rng.normal(size=(100, 4)) + 0.1 * slope


def run(tmp_path, *words):
    return main(["estimate", "--out", str(tmp_path / "out"), *map(str, words)])


def written(tmp_path):
    return json.loads((tmp_path / "out" / "results.json").read_text())


def table(path, rows, header=None):
    lines = [header] * (header is not None) + [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_file_format_gives_the_same_estimate(tmp_path, responses):
    from fisherjax import fisher

    minus, plus = responses
    expected = float(fisher.direct(minus, plus, 0.2).value)
    np.savez(tmp_path / "data.npz", minus=minus, plus=plus, separation=0.2)
    one = table(
        tmp_path / "one.csv",
        [["a", *row] for row in minus] + [["b", *row] for row in plus],
        header="condition,u1,u2,u3,u4",
    )
    first, second = table(tmp_path / "first.csv", minus), table(tmp_path / "second.csv", plus)
    calls = (
        ["--responses", tmp_path / "data.npz"],
        ["--responses", one, "--separation", 0.2],
        ["--responses", first, second, "--separation", 0.2],
    )
    for index, words in enumerate(calls):
        folder = tmp_path / f"run{index}"
        folder.mkdir()
        assert run(folder, *words) == 0
        result = written(folder)
        assert result["estimates"]["direct"] == pytest.approx(expected, rel=1e-9)
        assert result["trials"] == [80, 100]
        assert (folder / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ([["a", 1, 2], ["b", 1]], ["--separation", 0.1], "line 2 has 2 values where line 1 has 3"),
        ([["a", 1, 2], ["b", 1, "x"]], ["--separation", 0.1], "line 2 holds 'x', which is not a number"),
        ([["a", 1, 2], ["a", 1, 3]], ["--separation", 0.1], "must name two conditions, got 1"),
        ([["a", 1, 5], ["b", 1, 3]], [], "--separation must be given"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, rows, words, message, capsys):
    path = table(tmp_path / "bad.csv", rows)
    assert run(tmp_path, "--responses", path, *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0 or error.strip().splitlines()[-1].startswith("fisherjax:")


def test_circular_stimuli_and_a_header_of_numbers(tmp_path, responses, capsys):
    """What pandas writes of directions in degrees: the header is no trial, and 359 and 1 are 2 apart."""
    from fisherjax import fisher

    minus, plus = responses
    rows = [[359, *row] for row in minus] + [[1, *row] for row in plus]
    path = table(tmp_path / "pandas.csv", rows, header="direction,0,1,2,3")
    assert run(tmp_path, "--responses", path, "--separation", 358) == 2
    assert "say --period 360 and --separation 2; if it is none, --period inf" in capsys.readouterr().err
    assert run(tmp_path, "--responses", path, "--separation", 358, "--period", 360) == 2
    assert "more than half of --period 360; the shorter way round is --separation 2" in capsys.readouterr().err
    assert run(tmp_path, "--responses", path, "--period", 360) == 0
    assert written(tmp_path)["estimates"]["direct"] == pytest.approx(float(fisher.direct(minus, plus, 2).value))
    said = capsys.readouterr().out
    assert "line 1 (direction, 0, 1, 2, 3) was taken for a header of numbers; --header no makes it a trial" in said
    assert "the separation is 2: stimuli 359 and 1 on a circle of 360" in said


def test_three_conditions(tmp_path, responses, capsys):
    minus, plus = responses
    rows = [[name, *row] for name, some in (("a", minus), ("b", plus), ("c", minus)) for row in some]
    path = table(tmp_path / "three.csv", rows)
    words = ["--responses", path, "--separation", 0.2]
    assert run(tmp_path, *words) == 2
    assert "got 3: 'b' (100 trials), 'a' (80 trials), 'c' (80 trials); choose two, as --conditions 'a' 'b'" in (
        capsys.readouterr().err
    )
    assert run(tmp_path, *words, "--conditions", "a", "b") == 0
    assert written(tmp_path)["trials"] == [80, 100]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "data.npz is empty"),
        (b"PK\x03\x04", "data.npz cannot be read"),
        (b"PAR1\x15\x04\0", "data.npz is a Parquet file, which is not read here"),
    ],
)
def test_files_that_are_something_else(tmp_path, content, message, capsys):
    (tmp_path / "data.npz").write_bytes(content)
    assert run(tmp_path, "--responses", tmp_path / "data.npz", "--separation", 0.1) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"fisherjax: --responses {tmp_path}")
    assert message in error


def test_archive_without_a_condition(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", minus=np.ones((3, 2)))
    assert run(tmp_path, "--responses", tmp_path / "data.npz", "--separation", 0.1) == 2
    assert "has no array 'plus'" in capsys.readouterr().err


def test_something_to_estimate_from_must_be_named(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "name files by --responses or a network by --network" in capsys.readouterr().err
    assert run(tmp_path, "--angles", 4) == 2
    assert "there is no option '--angles'" in capsys.readouterr().err


@pytest.fixture
def recorded(tmp_path):
    """A table of 160 trials of six units at four orientations, one unit silent."""
    rng = np.random.default_rng(1)
    theta = np.tile([0.0, 45.0, 90.0, 135.0], 60)
    preferred = np.arange(5) * 36
    rows = rng.poisson(4 + 3 * np.cos(np.pi / 90 * (theta[:, None] - preferred)))
    columns = np.column_stack([theta, rows, np.zeros(len(theta))]).astype(int)
    return table(tmp_path / "session.csv", columns.tolist(), header="orientation,a,b,c,d,e,dead"), theta, rows


def test_a_recording_is_asked_everything(tmp_path, recorded, capsys):
    from fisherjax import fisher

    file, theta, rows = recorded
    words = ["--responses", file, "--stimulus", "orientation", "--period", 180, "--stimulus-unit", "deg"]
    assert run(tmp_path, *words, "--quick", "--format", "svg") == 0
    told = capsys.readouterr().out
    assert "1 unit (dead) that never varies: left out" in told
    assert "Recording of 5 units in 240 trials" in told
    results = written(tmp_path)
    recording = fisher.Recording(rows, theta, period=180)
    expected = fisher.recorded_information(recording, check=False).averages
    for name in ("direct", "shuffled", "direct - shuffled", "diagonal", "poisson"):
        assert results["estimates"][name]["value"] == pytest.approx(float(expected[name].value), rel=1e-6)
    assert results["tests"]["information"] < 0.05
    assert {"ridge decoder"} <= results["estimates"].keys()
    for name in ("recording.svg", "recording.png", "report.html", "information.npz", "table.csv"):
        assert (tmp_path / "out" / name).exists(), name
    assert fisher._recorded._information.RecordedInformation.load(tmp_path / "out" / "information.npz").period == 180


def test_a_recording_without_pairs_is_asked_what_it_can_be(tmp_path, capsys):
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 360, 400)
    np.savez(
        tmp_path / "wide.npz",
        responses=np.cos(np.radians(angle[:, None] - [0, 90])) + rng.normal(size=(400, 2)),
        angle=angle,
    )
    assert run(tmp_path, "--responses", tmp_path / "wide.npz", "--stimulus", "angle", "--period", 360, "--quick") == 0
    assert "over the stimulus" in capsys.readouterr().out
    assert "smooth_direct" in np.load(tmp_path / "out" / "arrays.npz")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stimulus", "angle"], "stimulus: .*session.csv has no 'angle', only orientation, a, b, c, d, e"),
        (["--stimulus", "orientation", "a"], "--stimulus must be one column or array of a recording, got 2"),
        (["--stimulus", "orientation", "--separation", 0.1], "--separation is for two conditions; --stimulus names"),
        (["--missing", "drop"], "--missing is of a recording; name its stimulus by --stimulus"),
        (
            ["--stimulus", "orientation", "--window", 2, 1],
            "--window must be a start and a later stop in seconds, got 2 1",
        ),
        (["--stimulus", "orientation", "--axes", "units trials"], "--axes is for arrays, which session.csv is not"),
        (["--stimulus", "orientation", "--block", "day"], "--block: .*has no 'day'|block: .*has no 'day'"),
    ],
)
def test_what_a_recording_lacks_is_said_in_options(words, message, recorded, tmp_path, capsys):
    assert run(tmp_path, "--responses", recorded[0], *words) == 2
    told = capsys.readouterr().err
    assert re.search(message, told), told
