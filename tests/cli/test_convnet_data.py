"""Data as users have them: each format trains, stops, goes on to the same bits and is evaluated by one command."""

import gzip
import io
import json
import tarfile

import jax
import numpy as np
import pytest
import scipy.io
from PIL import Image

from fisherjax import datasets, vision
from fisherjax._runtime._run import Run
from fisherjax.cli import _image_data, main
from fisherjax.cli._convnet_arguments import DATA
from fisherjax.cli._convnet_data import Known, keep_known

RNG = np.random.default_rng(0)
TINY = ["--route", "direct", "--blank-steps", "0", "--image-steps", "2", "--batch-size", "4", "--anneal", "1"]
TINY += ["--feedforward", "1", "--recurrence", "1", "--linear", "1", "--fine-tune", "1"]


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape) + array.tobytes()


def as_mnist(folder):
    """Four files of IDX, packed."""
    for stem, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = RNG.integers(0, 99, (count, 28, 28), np.uint8) + 15 * labels[:, None, None]
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return ["--preset", "R2-28"], 20


def as_cifar(folder):
    """The binary archive of CIFAR-10."""
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
            records = RNG.integers(0, 256, (10, 3073)).astype(np.uint8)
            records[:, 0] = np.arange(10)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = records.nbytes
            archive.addfile(member, io.BytesIO(records.tobytes()))
    return ["--preset", "R2-32"], 10


def jpeg(label):
    stream = io.BytesIO()
    pixels = RNG.integers(0, 99, (40, 48, 3)) + 15 * label
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def packed(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def as_imagenet(folder):
    """Archives of ILSVRC 2012 with ten classes, five pictures to train and two to validate of each."""
    names = [f"n{k:08d}" for k in range(10)]
    classes = {f"{name}.tar": packed({f"{name}_{k}.JPEG": jpeg(c) for k in range(5)}) for c, name in enumerate(names)}
    (folder / "ILSVRC2012_img_train.tar").write_bytes(packed(classes))
    shown = {f"ILSVRC2012_val_{k + 1:08d}.JPEG": jpeg(k % 10) for k in range(20)}
    (folder / "ILSVRC2012_img_val.tar").write_bytes(packed(shown))
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    devkit = folder / "ILSVRC2012_devkit_t12" / "data"
    devkit.mkdir(parents=True)
    rows = np.array([(c + 1, name, "", "", 0) for c, name in enumerate(names)], dtype=kind)
    scipy.io.savemat(devkit / "meta.mat", {"synsets": rows[:, None]})
    truth = "".join(f"{k % 10 + 1}\n" for k in range(20))
    (devkit / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    return ["--preset", "R2-32", "--area", "0.5"], 20


def as_folder(folder):
    """A folder for each class, with one picture that cannot be read."""
    for label in range(10):
        (folder / f"kind-{label}").mkdir()
        for number in range(7):
            (folder / f"kind-{label}" / f"{number}.jpg").write_bytes(jpeg(label))
    (folder / "kind-3" / "0.jpg").write_bytes(b"nothing")
    return ["--preset", "R2-32", "--area", "0.5", "--skip-bad"], 10


@pytest.mark.filterwarnings("ignore:the picture after it is shown", "ignore:after .* the network does not return")
@pytest.mark.parametrize("make", [as_mnist, as_cifar, as_imagenet, as_folder])
def test_each_format_trains_stops_goes_on_and_is_evaluated(make, tmp_path, monkeypatch, capsys):
    (data := tmp_path / "data").mkdir()
    options, tested = make(data)
    words = ["convnet", "train", "--data", str(data), *options, *TINY, "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    stops_and_goes_on(words, tmp_path, monkeypatch, capsys)
    network = tmp_path / "whole" / "network.npz"
    bad = options[-1:] if "--skip-bad" in options else []
    assert main(["convnet", "evaluate", str(network), *bad, "--out", str(tmp_path / "evaluated")]) == 0
    found = json.loads((tmp_path / "evaluated" / "results.json").read_text())
    trained = json.loads((tmp_path / "whole" / "results.json").read_text())
    assert found["images"] == trained["test_images"] == tested
    assert found["top_1"] == trained["accuracy"]
    assert vision.ConvolutionalRNN.load(network).architecture.num_classes == 10


def stops_and_goes_on(words, folder, monkeypatch, capsys):
    """To the same bits."""
    advance, calls = Run.advance, []

    def stopped(run):
        calls.append(run.state.step)
        if len(calls) == 5:
            raise KeyboardInterrupt
        advance(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", stopped)
        assert main([*words, str(folder / "twice")]) == 130
    assert "--resume" in capsys.readouterr().out
    assert main([*words, str(folder / "twice"), "--resume"]) == 0
    whole, twice = ((folder / name / "weights.safetensors").read_bytes() for name in ("whole", "twice"))
    assert whole == twice


def test_arrays_in_one_file_are_parted_and_classes_found_by_name(tmp_path, capsys):
    """The test part is every tenth image of a class; a network that knows more classes finds these by their names."""
    images = RNG.random((60, 8, 8, 1)).astype(np.float32)
    np.savez(tmp_path / "own.npz", images=images, labels=np.array(["3", "7"] * 30))
    plan = vision.Architecture((8, 8, 1), 10, (4, 4), blank_steps=1, image_steps=2)
    gray = datasets.Preprocessing((8, 8, 1), mean=(0.5,), std=(0.25,))
    network = vision.ConvolutionalRNN(plan, key=jax.random.key(0))
    keep_known(tmp_path, Known(network, gray, tuple("0123456789"), None))
    evaluate = ["convnet", "evaluate", str(tmp_path / "network.npz"), "--data", str(tmp_path / "own.npz")]
    assert main([*evaluate, "--split", "all", "--out", str(tmp_path / "all")]) == 0
    arrays = np.load(tmp_path / "all" / "arrays.npz")
    assert np.flatnonzero(arrays["confusion"].sum(axis=1)).tolist() == [3, 7]
    assert arrays["confusion"].sum() == 60
    assert main([*evaluate, "--out", str(tmp_path / "test")]) == 0
    assert json.loads((tmp_path / "test" / "results.json").read_text())["images"] == 6
    capsys.readouterr()
    assert main([*evaluate, "--skip-bad", "--out", str(tmp_path / "bad")]) == 2
    assert "--skip-bad belongs to pictures in files" in capsys.readouterr().err
    np.savez(tmp_path / "own.npz", images=images, labels=np.array(["a", "b"] * 30))
    assert main([*evaluate, "--out", str(tmp_path / "other")]) == 2
    assert "has 2 classes, the network 10, and names do not tell which" in capsys.readouterr().err
    assert main([*evaluate[:3], "--out", str(tmp_path / "auto")]) == 2
    assert "what the network was trained on is not known; name images with --data" in capsys.readouterr().err


def test_every_name_is_a_data_set():
    """The list of names, which imports nothing heavy, is that of what can be opened."""
    assert set(DATA) == {"digits", *_image_data._SYNTHETIC, *_image_data._DOWNLOADED}


def test_only_the_part_that_is_asked_for_is_opened(tmp_path):
    as_imagenet(tmp_path)
    (tmp_path / "ILSVRC2012_img_train.tar").unlink()
    found = _image_data.named_images(str(tmp_path), ("test",), 0, jax.random.key(0))
    assert list(found.parts) == ["test"]
    assert found.classes[3] == "n00000003"
