"""fisherjax convnet, end to end, and what it says to wrong input."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from fisherjax import datasets, fisher, networks, vision
from fisherjax.cli import main

FAST = ["--data", "digits", "--preset", "R2-8", "--images", "200", "--blank-steps", "2", "--image-steps", "4"]
FAST += ["--feedforward", "20", "--recurrence", "5", "--linear", "5", "--anneal", "1", "--fine-tune", "5"]
FAST += ["--batch-size", "16"]


@pytest.mark.filterwarnings("ignore:after .* the network does not return")  # after 55 updates
def test_train_writes_a_report_and_goes_on(tmp_path, capsys, optimized_here):
    folder = tmp_path / "run"
    assert main(["convnet", "train", *FAST, "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "after 55 updates" in printed
    for name in ("report.html", "training.npz", "training.png", "manifest.json", "network.npz", "table.csv"):
        assert (folder / name).stat().st_size > 0
    facts = json.loads((folder / "results.json").read_text())
    network = vision.ConvolutionalRNN.load(folder / "network.npz")
    known = datasets.digits()[0][:200]
    images, labels = datasets.digits(split="test")
    expected = vision.evaluate(network, (images - known.mean()) / known.std(), labels).accuracy
    assert abs(facts["accuracy"] - expected) < 0.01
    assert facts["test_images"] == 360
    published = vision.load_checkpoint(folder / "weights.safetensors")
    np.testing.assert_array_equal(published.recurrent[1].direction, network.recurrent[1].direction)
    # its own pictures: no other file is named, names of classes and preprocessing are found
    pixels = (255 * datasets.digits(split="test")[0][:2, ..., 0]).astype(np.uint8)
    for name, one in zip("ab", pixels, strict=True):
        Image.fromarray(one).save(tmp_path / f"{name}.png")
    shown = tmp_path / "shown"
    pictures = [str(tmp_path / f"{name}.png") for name in "ab"]
    checkpoint = ["--checkpoint", str(folder / "network.npz")]
    kept = ["--areas", "1", "--at", "3", "6"]
    assert main(["convnet", "run", *pictures, *checkpoint, "--out", str(shown), "--top", "3", *kept]) == 0
    ranked = json.loads((shown / "results.json").read_text())["rows"]
    logits = vision.respond(network, (pixels[..., None] / np.float32(255) - known.mean()) / known.std()).logits[-1]
    expected = np.asarray(jax.nn.softmax(logits))
    assert [row["class"] for row in ranked[::3]] == [str(index) for index in expected.argmax(axis=-1)]
    np.testing.assert_allclose([row["probability"] for row in ranked[::3]], expected.max(axis=-1), rtol=1e-4)
    held, response = np.load(shown / "arrays.npz"), vision.respond(network, images[:2], areas=[1], at=[3, 6])
    assert held["activity_area_1"].shape == (2, 2, *network.architecture.area_shapes[1])
    assert held["activity_steps"].tolist() == [[3, 6]] * 2
    assert response.recorded.tolist() == [3, 6]
    assert (shown / "01-a.png").stat().st_size > 10_000
    analyzed = tmp_path / "analyzed"
    words = ["--images", "20", "--trials", "60", "--eigenvalues", "2", "--out", str(analyzed)]
    with optimized_here():
        assert main(["convnet", "analyze", str(folder / "network.npz"), *words]) == 0
    found = json.loads((analyzed / "results.json").read_text())
    assert found["images"] == "digits"
    np.testing.assert_allclose(
        found["accuracy"], vision.evaluate(network, (images - known.mean())[:20] / known.std(), labels[:20]).accuracy
    )
    bounds = vision.stability_certificate(network)
    assert found["globally_stable"] == bounds.globally_stable.tolist()
    assert 0 < found["largest_spectral_radius"] <= bounds.jacobian_radius.max() + 1e-6
    arrays = np.load(analyzed / "arrays.npz")
    noisy = networks.in_precision(network, float).replaced(noise_std=found["information_noise_std"])

    def patch(angle):
        return datasets.gabor((8, 8, 1), angle=angle)

    shown, at = vision.shown(noisy, patch), arrays["information_steps"].tolist()
    expected = fisher.linearized_curve(
        noisy, stimulus=0.6, num_steps=shown.num_steps, protocol=shown, read=vision.channel_means(noisy), at=at
    )
    np.testing.assert_allclose(arrays["information_angle"], expected.total, rtol=1e-6)
    for name in ("angle", "contrast", "position"):
        error = np.abs(arrays[f"information_{name}_simulated"] - arrays[f"information_{name}"])
        assert (error < 5 * arrays[f"information_{name}_error"] + 0.2 * arrays[f"information_{name}"]).all()
    report = (analyzed / "report.html").read_text()
    for heading in ("Stability", "Decisions, noise and relaxation", "Fisher information", "Eigendistortions"):
        assert f"<h2>{heading}</h2>" in report
    # every stage is there: nothing is trained again
    before = {path: path.stat().st_mtime_ns for path in folder.glob("stage-*.npz")}
    assert len([path for path in before if ".previous" not in path.name]) == 5
    (folder / "network.npz").unlink()
    assert main(["convnet-train", *FAST, "--out", str(folder), "--resume"]) == 0
    again = vision.ConvolutionalRNN.load(folder / "network.npz")
    np.testing.assert_array_equal(again.recurrent[1].direction, network.recurrent[1].direction)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert main(["convnet", "train", *FAST, "--out", str(folder), "--resume", "--learning-rate", "0.1"]) == 2
    assert "--learning-rate = 0.002, this run has 0.1" in capsys.readouterr().err


def test_published_checkpoints_run(tmp_path, capsys):
    """A file under the published names alone: ImageNet's preprocessing, photographs without labels."""
    plan = vision.Architecture((16, 16, 3), 12, (4, 4), blank_steps=2, image_steps=3)
    path = vision.save_checkpoint(vision.ConvolutionalRNN(plan, key=jax.random.key(0)), tmp_path / "net.safetensors")
    Image.fromarray(datasets.photograph("coffee")).save(tmp_path / "cup.jpg")
    (tmp_path / "names.txt").write_text("\n".join(f"thing {index}" for index in range(12)))
    phases = ["--blank-steps", "2", "--image-steps", "3"]
    words = [str(tmp_path / "cup.jpg"), "--checkpoint", str(path), "--classes", str(tmp_path / "names.txt"), *phases]
    assert main(["convnet", "run", *words, "--out", str(tmp_path / "run")]) == 0
    assert "cup.jpg: thing " in capsys.readouterr().out
    parts = ["--parts", "decisions", "relaxation"]
    assert main(["convnet", "analyze", str(path), *phases, *parts, "--out", str(tmp_path / "analysis")]) == 0
    assert "No labels are known for these images: decisions left out" in capsys.readouterr().out
    (tmp_path / "names.txt").write_text("one thing")
    assert main(["convnet", "run", *words, "--out", str(tmp_path / "again")]) == 2
    assert "the network has 12 classes, got 1" in capsys.readouterr().err
    assert main(["convnet", "analyze", str(path), "--data", "digits", "--out", str(tmp_path / "other")]) == 2
    assert "--data digits has images of (8, 8, 1), the network expects (16, 16, 3)" in capsys.readouterr().err
    (tmp_path / "classes.json").write_text("{}")
    assert main(["convnet", "run", *words[:3], *phases, "--out", str(tmp_path / "more")]) == 2
    assert "classes.json cannot be read as names of classes" in capsys.readouterr().err
    (tmp_path / "classes.json").write_text(json.dumps([f"object {index}" for index in range(12)]))
    assert main(["convnet", "run", *words[:3], *phases, "--out", str(tmp_path / "more")]) == 0
    assert "cup.jpg: object " in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:300])
    assert main(["convnet", "run", *words, "--out", str(tmp_path / "third")]) == 2
    assert "net.safetensors" in capsys.readouterr().err


def test_feedback_no_blank_and_one_step(tmp_path, capsys):
    """Nothing is certified with feedback, nothing relaxes without a baseline, and one step is enough."""
    plan = vision.Architecture((8, 8, 1), 10, (4, 4), blank_steps=3, image_steps=3, feedback=True)
    network = vision.ConvolutionalRNN(plan, key=jax.random.key(0))
    network.save(tmp_path / "network.npz")
    words = ["--blank-steps", "0", "--image-steps", "1", "--parts", "stability", "relaxation", "--eigenvalues", "2"]
    out = tmp_path / "analysis"
    assert main(["convnet", "analyze", str(tmp_path / "network.npz"), *words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "nothing is certified" in printed
    assert "Without blank steps before the image there is no baseline" in printed
    damaged = bytearray((tmp_path / "network.npz").read_bytes())
    damaged[200:260] = bytes(60)
    (tmp_path / "network.npz").write_bytes(damaged)
    assert main(["convnet", "analyze", str(tmp_path / "network.npz"), "--out", str(tmp_path / "b")]) == 2
    assert "network.npz cannot be read" in capsys.readouterr().err


def test_interrupted_training_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(*_, folder, **__):
        (folder / "stage-feed-forward.npz").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(vision, "train", interrupted)
    assert main(["convnet", "train", *FAST, "--out", str(tmp_path / "run")]) == 130
    assert f"--out {tmp_path / 'run'} --resume" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convnet"], "convnet: say what to do: train, run, analyze, evaluate; fisherjax convnet train --help"),
        (["convnet", "trian"], "did you mean 'train'?"),
        (["convnet", "train", "--preset", "R3"], "must be one of"),
        (["convnet", "train", "--images", "3"], "--images must be at least 10, or 0 for all, got 3"),
        (["convnet", "train", "--alpha", "2"], "--alpha must be at most 1, got 2"),
        (["convnet", "train", "--resume"], "--resume: there is no"),
        (["convnet", "run"], "convnet run: name a picture"),
        (["convnet", "run", __file__, "--offset-steps", "-3"], "--offset-steps must be at least 0, got -3"),
        (["convnet", "run", __file__, "--checkpoint", "/nowhere.pt"], "--checkpoint /nowhere.pt: No such file"),
        (["convnet", "analyze", "/nowhere.pt"], "checkpoint /nowhere.pt: No such file"),
        (["convnet", "analyze", "--parts", "stabillity"], "did you mean 'stability'?"),
        (["convnet", "train", "--data", "cifar"], "neither a data set nor a file or folder; did you mean 'cifar10'?"),
    ],
)
def test_wrong_input(tmp_path, capsys, words, message):
    extra = ["--out", str(tmp_path / "out")] if len(words) > 1 else []
    assert main([*words, *extra]) == 2
    assert message in capsys.readouterr().err
