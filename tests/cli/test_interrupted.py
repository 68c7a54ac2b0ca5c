"""Signals, full disks and folders that cannot be written: one line, an exit code of its own, nothing lost."""

import json
import os
import subprocess
import sys

import pytest
from processes import ended, signaled

from fisherjax._runtime import read_checkpoint
from fisherjax.cli import main
from fisherjax.optimize._checkpoint import OptimizationCheckpoint

OPTIMIZE = ["optimize", "--populations", "2", "--population-size", "8", "--restarts", "1", "--steps", "3"]
OPTIMIZE += ["--refine-steps", "10", "--units", "60", "--draws", "2", "--trials", "20", "--images", "12"]
OPTIMIZE += ["--nonlinearity", "relu"]  # which has one form, and one search


def start(command, cache, blocks="unlimited"):
    """A process that may write no file of more than so many blocks of 512 bytes."""
    environment = {**os.environ, "HOME": str(cache)}
    limited = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *command]
    return subprocess.Popen(limited, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fisherjax(*words):
    return [sys.executable, "-m", "fisherjax", *words]


def test_sigterm_keeps_a_checkpoint_and_has_its_own_code(tmp_path):
    """Resumed, the run finds what one without a break finds."""
    words = [*OPTIMIZE, "--generations", "300", "--seed", "4"]
    folder = tmp_path / "out"
    command = signaled("SIGTERM", folder / "checkpoint.npz", 0, *fisherjax(*words, "--out", str(folder))[1:])
    ((output, error, code),) = ended([start(command, tmp_path)])
    assert code == 75, error
    assert error.strip().splitlines()[-1] == "fisherjax: terminated; what was finished is in the output folder"
    assert f"--out {folder} --resume" in output
    assert not (folder / "results.json").exists()
    for more in (["--out", str(folder), "--resume"], ["--out", str(tmp_path / "whole")]):
        assert main([*words, *more]) == 0
    for name in ("results.json", "table.csv"):
        assert (folder / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_resume_without_a_checkpoint(tmp_path, capsys):
    assert main([*OPTIMIZE, "--generations", "10", "--out", str(tmp_path), "--resume"]) == 2
    assert f"--resume: there is no {tmp_path / 'checkpoint.npz'}" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    """Files may not grow beyond a limit: table and results fit, the figure does not."""
    folder = tmp_path / "out"
    assert main(["curve", "--steps", "2", "--out", str(folder)]) == 0
    before = (folder / "fisher.png").read_bytes()
    process = start(fisherjax("curve", "--steps", "3", "--force", "--out", str(folder)), tmp_path, blocks=16)
    ((_, error, code),) = ended([process])
    assert code == 74
    last = error.strip().splitlines()[-1]
    assert last == f"fisherjax: {folder / 'fisher.png'}: File too large; what was written before is kept"
    assert (folder / "fisher.png").read_bytes() == before
    assert len(json.loads((folder / "results.json").read_text())["theory"]) == 2
    assert not list(folder.glob(".*"))


def test_a_disk_that_fills_up_during_a_search_leaves_the_last_checkpoint(tmp_path):
    """No file of more than 4 KiB: the checkpoint grows beyond that."""
    folder = tmp_path / "out"
    words = [*OPTIMIZE, "--generations", "600", "--out", str(folder)]
    ((_, error, code),) = ended([start(fisherjax(*words), tmp_path, blocks=8)])
    assert code == 74, error
    last = error.strip().splitlines()[-1]
    assert last == f"fisherjax: {folder / 'checkpoint.npz'}: File too large; what was written before is kept"
    assert "Warning" not in error
    kept = read_checkpoint(OptimizationCheckpoint, folder / "checkpoint.npz")
    assert 25 <= len(kept.search.path) <= 600
    assert not list(folder.glob(".*"))
    assert main([*words, "--resume"]) == 0
    assert (folder / "results.json").exists()


@pytest.mark.parametrize("command", [["curve"], OPTIMIZE, ["train", "flip-flop"]])
def test_where_nothing_can_be_written_is_said_before_anything_is_computed(tmp_path, capsys, monkeypatch, command):
    def refused(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert error == f"fisherjax: --out {tmp_path / 'out'} cannot be written to: Read-only file system"
    assert main([*command, "--out", "/proc/fisherjax"]) == 2
    assert "--out /proc/fisherjax cannot be written to" in capsys.readouterr().err


def test_a_cpu_stands_for_a_few_devices_only(tmp_path):
    """In a process of its own, where JAX has not counted them yet."""
    process = start(fisherjax("curve", "--devices", "10000000", "--out", str(tmp_path / "out")), tmp_path)
    ((_, error, code),) = ended([process])
    assert code == 2, error
    assert error.startswith("fisherjax: --devices 10000000, but there are 64: cpu")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "many"], "--devices must be a positive number or all, got 'many'"),
        (["--devices", "1000"], "--devices 1000, but there are"),
        (["--coordinator", "localhost:1", "--num-processes", "2"], "go together: give all three, or none"),
        (["--num-processes", "2", "--process-id", "0"], "go together: give all three, or none"),
    ],
)
def test_wrong_devices_are_one_line(tmp_path, capsys, words, message):
    assert main(["curve", *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
