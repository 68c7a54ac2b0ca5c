"""Every report says how to make it again, with all settings, and what its numbers are."""

import shlex
from pathlib import Path

import pytest

from fisherjax.cli import main
from fisherjax.cli._arguments import Common
from fisherjax.cli._commands import COMMANDS
from fisherjax.cli._parse import parse
from fisherjax.cli._provenance import full_line, settings_table, typed_line
from fisherjax.cli._quantities import argument, quantity

LINES = [
    "curve --gain 1.2 --steps 3 --out a",
    "train adding --dale 0.8 --no-autapses --units 20",
    "simulate --gains 'my gains.txt' --fractions 0.3 0.7 --seed 4",
    "convnet run a.png b.png --top 3",
    "optimize --bounds 0 2 --quick",
]


@pytest.mark.parametrize("line", LINES)
def test_a_written_command_line_is_the_command(line, tmp_path, monkeypatch):
    """What differs from the usual, written as a command line, is read as the same command."""
    monkeypatch.chdir(tmp_path)
    for name in ("my gains.txt", "a.png", "b.png"):
        Path(name).touch()
    command = parse(shlex.split(line))
    assert isinstance(command, Common)
    words = shlex.split(full_line(command))
    assert words[0] == "fisherjax"
    assert parse(words[1:]) == command


def test_what_was_typed_is_told_as_it_begins_anew():
    assert typed_line(["train", "--out", "my run", "--resume", "--force"]) == "fisherjax train --out 'my run'"


def test_all_settings_are_told():
    command = COMMANDS["curve"]
    assert isinstance(command, Common)
    rows = dict(settings_table(command, {"out"}).rows)
    assert rows["noise-std"] == "by default"
    assert rows["stimulus"] == "0.1"
    assert rows["force"] == "no"
    assert "out" not in rows


def test_numbers_have_names():
    assert quantity("curve", "theory[2]") == "Fisher information, theory, step 3 (1/θ²)"
    assert quantity("optimize", "value") == "objective of the optimum"
    assert quantity("estimate", "estimates.direct") == "estimates: direct"
    assert quantity("dmft", "variance[1]") == "variance, entry 2"
    assert argument("noise-std") == "noise σ"
    assert argument("max-radius") == "max radius"


def test_a_report_tells_its_command(tmp_path, capsys):
    words = ["curve", "--steps", "2", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"<pre><code>fisherjax {shlex.join(words)}</code></pre>" in page
    assert "<summary>All settings</summary>" in page
    assert "<td class=text>noise-std</td><td class=text>0.1</td>" in page
    assert "matplotlib" in page


PLAN = """
command = "curve"
[fixed]
steps = 2
[vary]
gain = [0.8, 1.0]
units = [100, 200]
seed = [0, 1]
"""


def test_a_sweep_tells_what_varies_and_draws_no_chance_where_there_is_none(tmp_path, monkeypatch, capsys):
    """Theory does not depend on the seed: lines for each number of units, without errors; names, not keys."""
    monkeypatch.chdir(tmp_path)
    drawn = {}

    def save_sweep(path, columns, **options):
        drawn.update(options, columns=columns)
        path.write_bytes(b"")
        return path

    monkeypatch.setattr("fisherjax.cli._sweep_results.save_sweep", save_sweep)
    Path("plan.toml").write_text(PLAN)
    assert main(["sweep", "plan.toml"]) == 0
    assert drawn["color"] == ["units N"]
    assert drawn["ylabel"] == "Fisher information, theory, step 2 (1/θ²)"
    assert drawn["xlabel"] == "gain g"
    page = Path("results/plan/report.html").read_text()
    assert "<pre><code>fisherjax sweep plan.toml</code></pre>" in page
    assert "<td class=text>gain</td><td class=text>0.8, 1.0</td>" in page
    assert "<td class=text>steps</td><td class=text>2</td>" in page
    assert "theory[" not in page
    point = next(Path("results/plan/points").glob("*/report.html")).read_text()
    assert "fisherjax curve " in point
    assert "--steps 2" in point
