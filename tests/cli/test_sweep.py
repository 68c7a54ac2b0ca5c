"""`fisherjax sweep`: planned, divided, idempotent, put together."""

import csv
import json

import pytest

from fisherjax.cli import main
from fisherjax.cli._sweep_results import flat_numbers

PLAN = """
command = "curve"
[fixed]
steps = 3
[vary]
gain = [0.8, 1.0]
noise-std = [0.1, 0.2]
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "gains.toml"
    path.write_text(PLAN)
    return path


def table(folder):
    with (folder / "table.csv").open() as file:
        return list(csv.DictReader(file))


def test_shards_do_their_part_once_and_the_last_puts_together(plan, tmp_path, capsys):
    out = tmp_path / "results" / "gains"
    assert main(["sweep", str(plan), "--shard", "1/2"]) == 0
    assert "4 points, 2 in this shard, 2 to do" in capsys.readouterr().out
    assert not (out / "table.csv").exists()
    done = sorted(out.glob("points/*/done.json"))
    assert len(done) == 2
    assert main(["sweep", str(plan), "--merge"]) == 0
    assert "2 points; 2 are not done" in capsys.readouterr().out
    assert len(table(out)) == 2
    written = [path.stat().st_mtime_ns for path in done]
    assert main(["sweep", str(plan), "--shard", "2/2"]) == 0
    rows = table(out)
    assert [(row["gain"], row["noise-std"]) for row in rows] == [
        ("0.8", "0.1"), ("0.8", "0.2"), ("1.0", "0.1"), ("1.0", "0.2")
    ]  # fmt: skip
    assert main(["curve", "--gain", "1", "--noise-std", "0.2", "--steps", "3", "--out", str(tmp_path / "one")]) == 0
    theory = json.loads((tmp_path / "one" / "results.json").read_text())["theory"]
    assert [float(rows[3][f"theory[{index}]"]) for index in range(3)] == theory
    assert main(["sweep", str(plan)]) == 0
    assert "4 in this shard, 0 to do" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in done] == written
    assert (out / "sweep.png").stat().st_size > 1000
    assert "4 points" in (out / "report.html").read_text()


def test_a_longer_plan_keeps_what_is_done(plan, tmp_path, capsys):
    assert main(["sweep", str(plan)]) == 0
    plan.write_text(PLAN.replace("[0.8, 1.0]", "[1.0, 1.2, 0.8]"))
    assert main(["sweep", str(plan)]) == 0
    assert "6 points, 6 in this shard, 2 to do" in capsys.readouterr().out
    assert len(table(tmp_path / "results" / "gains")) == 6
    assert main(["sweep", str(plan), "--force", "--shard", "1/6"]) == 0
    assert "1 in this shard, 1 to do" in capsys.readouterr().out


def test_a_point_that_fails_stops_no_other(plan, tmp_path, capsys):
    (tmp_path / "good.txt").write_text("0.8")
    (tmp_path / "ragged.txt").write_text("1 2\n3")
    plan.write_text(PLAN.replace("gain = [0.8, 1.0]", 'gains = ["good.txt", "ragged.txt"]'))
    assert main(["sweep", str(plan)]) == 2
    captured = capsys.readouterr()
    assert "2 points failed, the first: gains = ragged.txt" in captured.err
    assert len(list((tmp_path / "results" / "gains" / "points").glob("*/done.json"))) == 2


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ('command = "chess"', [], "command must be one of optimize, curve"),
        ('command = "curve"', [], "[vary] must name at least one argument"),
        ('command = "curve"\n[vary]\ngian = [1.0]', [], "[vary]: unknown key 'gian'; did you mean 'gain'?"),
        ('command = "curve"\n[vary]\ngain = []', [], "[vary] must name"),
        ('command = "curve"\nvery = 1', [], "unknown key 'very'; did you mean 'vary'?"),
        ('command = "curve"\n[fixed]\nout = "x"\n[vary]\ngain = [1.0]', [], "out is the sweep's own"),
        ('command = "curve"\n[fixed]\ndevice = "cpu"\n[vary]\ngain = [1.0]', [], "device is the sweep's own"),
        ('command = "curve"\n[vary]\ngain = [1, 1.0]', [], "the same combination twice"),
        ('command = "optimize"\n[vary]\nstructure = ["toeplitz", "foo"]', [], "structure must be one of toeplitz"),
        ('command = "curve"\nfixed = 3\n[vary]\ngain = [1.0]', [], "fixed must be a table"),
        (PLAN + '[show]\nx = "units"', [], "[show] takes x and color among what varies"),
        (PLAN.replace("[0.8, 1.0]", "[0.8, -1.0]"), [], "gain = -1.0, noise-std = 0.1: --gain must be at least 0"),
        (PLAN.replace("gain =", "gains ="), [], "gains must be the name of a file or folder, as text, got 0.8"),
        ('command = ["curve"]', [], "command must be one of optimize"),
        (PLAN + "[show]\nx = [1]", [], "[show] takes x and color among what varies"),
        ("out = 5\n" + PLAN, [], "out must be the name of a file or folder, as text, got 5"),
        (PLAN, ["--shard", "3/2"], "--shard must be i/n"),
        (PLAN, ["--merge"], "no point of"),
        (PLAN, ["--distributed"], "share the points by --shard"),
        (PLAN + '[show]\ny = "therory[2]"', [], "did you mean 'theory[2]'?"),
        ("command =", [], "is not TOML"),
    ],
)
def test_wrong_plans_are_one_line(plan, capsys, text, words, message):
    plan.write_text(text)
    assert main(["sweep", str(plan), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len([line for line in error.strip().splitlines() if not line.startswith("[")]) == 1


def test_other_folders_are_left_alone(plan, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    assert main(["sweep", str(plan), "--out", str(tmp_path / "other")]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert main(["sweep", str(tmp_path / "none.toml")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_numbers_of_results():
    found = flat_numbers({"a": 1, "b": [1, 2], "c": None, "facts": [{"quantity": "d", "note": "", "value": 3}]})
    assert found == {"a": 1.0, "b[0]": 1.0, "b[1]": 2.0, "d": 3.0}
    assert flat_numbers({"long": list(range(1000)), "text": "x"}) == {}
