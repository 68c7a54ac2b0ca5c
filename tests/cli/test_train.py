"""fisherjax train and fixed-points, end to end, and what they say to wrong input."""

import json

import numpy as np
import pytest

from fisherjax import connectivity
from fisherjax.cli import main

FAST = ["--units", "12", "--steps", "40", "--batch-size", "8", "--trial-steps", "10"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train") / "run"
    assert main(["train", "flip-flop", *FAST, "--dale", "0.75", "--no-autapses", "--out", str(folder)]) == 0
    return folder


def test_train_writes_a_report(trained):
    for name in ("report.html", "checkpoint.npz", "training.npz", "training.png", "trials.png", "manifest.json"):
        assert (trained / name).stat().st_size > 0
    facts = json.loads((trained / "results.json").read_text())
    assert facts["stopped"] == "finished"
    assert 0.4 < facts["accuracy"] <= 1
    weights = np.load(trained / "arrays.npz")["recurrent_weights"]
    assert np.all(np.diag(weights) == 0)
    assert np.all(weights[:, :9] >= 0)
    assert np.all(weights[:, 9:] <= 0)


def test_weights_that_remember(tmp_path, capsys):
    """Orthogonal ones with the gain of the theory, for the delay and the inputs that the task has."""
    words = ["--initializer", "memory", "--delay", "20", "--units", "60", "--steps", "1", "--batch-size", "4"]
    words += ["--length", "2", "--symbols", "5"]
    assert main(["train", "copy-memory", *words, "--learning-rate", "1e-9", "--out", str(tmp_path / "run")]) == 0
    facts = json.loads((tmp_path / "run" / "results.json").read_text())
    expected = connectivity.memory_gain(20, noise_std=0.0, input_variance=1 / 18, length=2, num_symbols=5)
    assert facts["memory_gain"] == pytest.approx(expected)
    assert f"with the gain {expected:.4f}" in capsys.readouterr().out
    weights = np.load(tmp_path / "run" / "arrays.npz")["recurrent_weights"]
    np.testing.assert_allclose(np.linalg.svd(weights, compute_uv=False), expected, rtol=1e-5)


def test_resume_goes_on(trained, capsys):
    words = ["train", "flip-flop", *FAST, "--dale", "0.75", "--no-autapses", "--out", str(trained), "--resume"]
    assert main([*words, "--steps", "60"]) == 0
    assert "finished after 60 steps" in capsys.readouterr().out
    assert len(np.load(trained / "arrays.npz")["loss"]) == 60
    assert main([*words, "--steps", "70", "--learning-rate", "0.1"]) == 2
    assert "--learning-rate = 0.002, this run has 0.1" in capsys.readouterr().err


def test_fixed_points_of_a_checkpoint(trained, tmp_path, capsys):
    folder = tmp_path / "points"
    assert (
        main(["fixed-points", "--network", str(trained / "checkpoint.npz"), "--candidates", "40", "--out", str(folder)])
        == 0
    )
    assert "candidates converged" in capsys.readouterr().out
    facts = json.loads((folder / "results.json").read_text())
    assert facts["largest_q"] < 1e-16
    assert sum(facts["kinds"].values()) == len(np.load(folder / "arrays.npz")["points"])
    assert (folder / "report.html").stat().st_size > 0
    assert (folder / "state_space.html").stat().st_size > 0
    network = ["fixed-points", "--network", str(trained / "training.npz"), "--candidates", "40"]
    assert main([*network, "--out", str(tmp_path / "b")]) == 0  # without a task, from around rest
    assert main([*network, "--task", "integrator", "--out", str(tmp_path / "d")]) == 2
    assert "--task: the network has 3 inputs, the task" in capsys.readouterr().err
    assert main([*network, "--task", "flip-flop", "--inputs", "0", "0", "--out", str(tmp_path / "c")]) == 2
    assert "the network has 3 inputs, got 2 numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "chess"], "chess"),
        (["train", "flip-flop", "--dale", "1.5"], "--dale must be at most 1, got 1.5"),
        (["train", "flip-flop", "--kind", "gru", "--nonlinearity", "relu"], "have their own"),
        (["train", "flip-flop", "--delay", "5"], "--delay is that of copy-memory"),
        (["train", "flip-flop", "--initializer", "memory"], "--initializer memory is for copy-memory"),
        (["train", "copy-memory", "--initializer", "memory", "--kind", "gru"], "is for rnn with tanh"),
        (["train", "copy-memory", "--delay", "5", "--trial-steps", "20"], "give one of them"),
        (["train", "flip-flop", "--length", "5"], "--length is that of copy-memory"),
        (["train", "copy-memory", "--symbols", "1"], "--symbols must be at least 2, got 1"),
        (["train", "flip-flop", "--resume"], "there is no"),
        (["train", "flip-flop", "--rank", "2", "--no-autapses"], "--rank and --no-autapses exclude each other"),
        (["fixed-points", "--network", "nowhere.npz"], "No such file"),
    ],
)
def test_wrong_input_is_one_line(words, message, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) <= 2


def test_a_truncated_checkpoint_is_refused(trained, tmp_path, capsys):
    broken = tmp_path / "broken.npz"
    broken.write_bytes((trained / "checkpoint.npz").read_bytes()[:500])
    assert main(["fixed-points", "--network", str(broken), "--out", str(tmp_path / "out")]) == 2
    assert "cannot be read" in capsys.readouterr().err
