"""fisherjax convnet, end to end, and what it says to wrong input."""

import json

import numpy as np
import pytest

from fisherjax import datasets, networks, training
from fisherjax.cli import main

FAST = ["--data", "digits", "--preset", "R2-8", "--images", "200", "--blank-steps", "2", "--image-steps", "4"]
FAST += ["--feedforward", "20", "--recurrence", "5", "--linear", "5", "--anneal", "1", "--fine-tune", "5"]
FAST += ["--batch-size", "16"]


def test_train_writes_a_report_and_goes_on(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["convnet", "train", *FAST, "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "after 55 updates" in printed
    for name in ("report.html", "training.npz", "training.png", "manifest.json", "network.npz", "table.csv"):
        assert (folder / name).stat().st_size > 0
    facts = json.loads((folder / "results.json").read_text())
    network = networks.ConvolutionalRNN.load(folder / "network.npz")
    known = datasets.digits()[0][:200]
    images, labels = datasets.digits(split="test")
    expected = training.accuracy(network, (images - known.mean()) / known.std(), labels)
    assert abs(facts["accuracy"] - expected) < 0.01
    assert facts["test_images"] == 360
    published = networks.load_cordsnet(folder / "weights.safetensors")
    np.testing.assert_array_equal(published.recurrent[1].direction, network.recurrent[1].direction)
    # the stages are there: nothing is trained again, and the result is the same
    (folder / "stage-fine-tune.npz").unlink()
    assert main(["convnet-train", *FAST, "--out", str(folder), "--resume"]) == 0
    again = networks.ConvolutionalRNN.load(folder / "network.npz")
    np.testing.assert_array_equal(again.recurrent[1].direction, network.recurrent[1].direction)
    assert main(["convnet", "train", *FAST, "--out", str(folder), "--resume", "--learning-rate", "0.1"]) == 2
    assert "learning_rate = 0.002, this run has 0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convnet"], "convnet: say what to do: train; fisherjax convnet train --help"),
        (["convnet", "trian"], "got 'trian'"),
        (["convnet", "train", "--preset", "R3"], "must be one of"),
        (["convnet", "train", "--images", "3"], "digits has 10 to 1437 training images, got 3"),
        (["convnet", "train", "--alpha", "2"], "must be in (0, 1], got 2"),
        (["convnet", "train", "--resume"], "--resume: there are no checkpoints in"),
        (["convnet", "train", "--data", "cifar10", "--cifar", "/nowhere"], "--data cifar10: /nowhere does not exist"),
    ],
)
def test_wrong_input(tmp_path, capsys, words, message):
    extra = ["--out", str(tmp_path / "out")] if len(words) > 2 else []
    assert main([*words, *extra]) == 2
    assert message in capsys.readouterr().err
