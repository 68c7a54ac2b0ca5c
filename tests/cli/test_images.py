"""fisherjax geometry with images from files."""

import json
from pathlib import Path

import numpy as np
import pytest

from fisherjax.cli import main


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    return rng.integers(0, 128, (30, 6, 6, 3), np.uint8) + 60 * labels[:, None, None, None].astype(np.uint8), labels


def run(folder, *words):
    common = ["--steps", 2, "--units", 150, "--images", 30, "--trials", 3, "--draws", 2, "--out", folder / "out"]
    return main([str(word) for word in ["geometry", *common, *words]])


def test_own_images_with_labels(tmp_path, images, capsys):
    np.savez(tmp_path / "mine.npz", images=images[0], labels=images[1])
    assert run(tmp_path, "--data", tmp_path / "mine.npz", "--color", "--preprocess", "whiten") == 0
    assert "30 images from mine.npz" in json.loads((tmp_path / "out" / "results.json").read_text())["images"]
    header = (tmp_path / "out" / "table.csv").read_text().splitlines()[0]
    assert "linear probe" in header
    assert "class neighbors" in header
    assert "simulated" in capsys.readouterr().out


def test_cifar_by_its_path(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        labels = np.arange(40)[:, None] % 4
        (folder / name).write_bytes(np.concatenate([labels, rng.integers(0, 256, (40, 3072))], 1).astype(np.uint8))
    assert run(tmp_path, "--data", tmp_path, "--split", "test", "--preprocess", "contrast", "--projection", "crop") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "nowhere: No such file"),
        (["--data", "few.npy"], "few.npy holds 3 images, fewer than the 30 asked for"),
        (["--data", "flat.npy"], "images must have shape (n, height, width)"),
        (["--data", "other.npz"], "other.npz has no array 'images', only pictures"),
        (["--data", "alike.npy"], "images must differ from each other"),
        (["--data", "cut.npy"], "cut.npy"),
        (["--data", "nan.npy"], "nan.npy: images must be finite"),
        (["--data", "page.npy"], "page.npy is text, no images"),
        (["--data", "empty"], "empty is an empty folder"),
        (["--data", "bytes.npy"], "images must be bytes (0 to 255), 16-bit (uint16) or floats"),
        (["--projection", "identity"], "fewer than the 256 numbers of an image"),
    ],
)
def test_bad_data_in_one_line(tmp_path, monkeypatch, words, message, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("few.npy", np.zeros((3, 4, 4)))
    np.save("flat.npy", np.zeros((40, 16)))
    np.save("alike.npy", np.ones((40, 4, 4)))
    np.savez("other.npz", pictures=np.zeros((40, 4, 4)))
    np.save("nan.npy", np.full((40, 4, 4), np.nan))
    np.save("bytes.npy", np.arange(40 * 16).reshape(40, 4, 4))
    Path("cut.npy").write_bytes(Path("alike.npy").read_bytes()[:500])
    Path("page.npy").write_text("not found")
    Path("empty").mkdir()
    assert run(tmp_path, *words) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
