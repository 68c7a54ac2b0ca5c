"""Pictures in folders and archives: ImageNet's in its own format, folders of a class each, and bad ones among them."""

import io
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fisherjax import datasets
from fisherjax.datasets._pictures import Part
from fisherjax.datasets._sources import Reader

RNG = np.random.default_rng(0)
WORDNET = ("n02000000", "n01000000", "n03000000")  # of ILSVRC's 1, 2 and 3
TRAIN = "ILSVRC2012_img_train.tar"
TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
SMALL = datasets.Preprocessing((8, 8, 3), resize=8)


def jpeg(shade):
    stream = io.BytesIO()
    Image.new("RGB", (12, 10), (shade, 2 * shade, 0)).save(stream, "PNG")
    return stream.getvalue()


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def packed(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            add(archive, name, data)
    return stream.getvalue()


@pytest.fixture
def challenge(tmp_path):
    """Archives of ILSVRC 2012 with two training pictures of each of three classes, and four to validate."""
    classes = {
        f"{name}.tar": packed({f"{name}_{k}.JPEG": jpeg(10 * place + k) for k in range(2)}) for place, name in
        enumerate(WORDNET)
    }  # fmt: skip
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(packed(classes))
    shown = {f"ILSVRC2012_val_{k:08d}.JPEG": jpeg(50 + k) for k in (4, 1, 3, 2)}
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(packed(shown))
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(index + 1, name, "", "", 0) for index, name in enumerate(WORDNET)] + [(4, "n00000001", "", "", 3)]
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": np.array(rows, dtype=kind)[:, None]})
    devkit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    devkit.mkdir(parents=True)
    (devkit / "meta.mat").write_bytes(meta.getvalue())
    (devkit / "ILSVRC2012_validation_ground_truth.txt").write_text("3\n1\n2\n1\n")
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    for place, name in enumerate(("cats", "dogs")):
        (tmp_path / name / "more").mkdir(parents=True)
        for k in range(3):
            (tmp_path / name / ("more" if k else "") / f"{k}.png").write_bytes(jpeg(20 * place + k))
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def shades(pixels):
    return pixels[:, 4, 4, 0].tolist()


def ordered(reader, number, indices):
    reader.order(number, indices)
    return reader.take(number)


def test_a_folder_for_each_class(folder):
    held = datasets.image_folder(folder, preprocessing=SMALL)
    assert held.classes == ("cats", "dogs")
    assert held.labels.tolist() == [0, 0, 0, 1, 1, 1]
    pixels, labels = held.pixels()
    assert shades(pixels) == [0, 1, 2, 20, 21, 22]
    assert pixels.dtype == np.uint8
    some, of = held.pixels([5, 0], num_threads=1)
    assert shades(some) == [22, 0]
    assert of.tolist() == [1, 0]
    assert held.select([3, 4]).names[0].endswith("dogs/0.png")
    # the same pixels as a call makes, before they are standardized
    whole = SMALL(folder / "dogs" / "0.png")
    mean, std = np.float32(SMALL.mean), np.float32(SMALL.std)
    np.testing.assert_allclose((pixels[3] / np.float32(255) - mean) / std, whole, rtol=1e-6)
    np.testing.assert_array_equal(SMALL.standardized(pixels)[3], whole)
    assert "6 of 2 classes: cats, dogs" in repr(held)
    assert labels.tolist() == held.labels.tolist()


def test_bad_pictures_are_named_and_skipped_by_choice(folder):
    bad = folder / "cats" / "0.png"
    bad.write_bytes(bad.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r'cats/0.png .*be read.*; bad="skip" leaves such pictures out'):
        datasets.image_folder(folder, preprocessing=SMALL).pixels()
    with pytest.warns(RuntimeWarning, match=r"1 of 6 pictures were left out: .*cats/0.png"):
        pixels, labels = datasets.image_folder(folder, preprocessing=SMALL, bad="skip").pixels()
    assert shades(pixels) == [1, 2, 20, 21, 22]
    assert labels.tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="none of 1 pictures can be read"), pytest.warns(RuntimeWarning):
        datasets.image_folder(folder, preprocessing=SMALL, bad="skip").pixels([0])


def test_a_bad_picture_in_a_batch_is_replaced_by_the_next_one_and_told_once(folder):
    (folder / "cats" / "0.png").write_bytes(b"nothing")
    reader = Reader(datasets.image_folder(folder, preprocessing=SMALL, bad="skip"))
    with pytest.warns(RuntimeWarning, match=r"the picture after it is shown instead of .*0.png"):
        shown = ordered(reader, 0, [0, 3])
    assert shades(shown[0]) == [1, 20]
    assert ordered(reader, 1, [0, 0])[1].tolist() == [0, 0]  # a warning would be an error
    reader.close()


def test_a_share_of_every_class_is_set_aside_by_name(folder):
    held = datasets.image_folder(folder)
    kept, aside = held.split(0.3)
    assert sorted(kept.names + aside.names) == sorted(held.names)
    assert aside.labels.tolist() == [0, 1]
    assert held.split(0.3)[1].names == aside.names
    assert kept.classes == held.classes
    with pytest.raises(ValueError, match="class cats has one picture; one to learn"):
        held.select([0, 3, 4]).split(0.3)


def test_a_part_of_a_picture_is_that_part(tmp_path):
    """Of a ramp from left to right, the mean tells where a part lies, the slope how large it is."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    square = datasets.Preprocessing((10, 10, 3))
    shown = square.pixels(tmp_path / "ramp.png", Part(0.125, 1.0, 0.5, 0.5))[..., 0].astype(float)
    assert abs(shown.mean() - 99.5) < 1  # a square of 50 × 50 in the middle
    assert abs(shown[5, -1] - shown[5, 0] - 45) < 2
    left = square.pixels(tmp_path / "ramp.png", Part(0.5, 1.0, 0.0, 0.0))[..., 0].astype(float)
    assert abs(left.mean() - 49.5) < 1
    # what would stick out is cut short: 100 rows, all of the columns
    whole = square.pixels(tmp_path / "ramp.png", Part(1.0, 4 / 3, 0.3, 0.9))[..., 0].astype(float)
    assert abs(whole.mean() - 0.3 * (200 - 163.3) - 81.6) < 1


def test_imagenet_is_read_from_its_archives(challenge):
    train = datasets.imagenet(challenge, preprocessing=SMALL)
    assert train.classes == tuple(sorted(WORDNET))
    assert train.labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert shades(train.pixels()[0]) == [0, 1, 10, 11, 20, 21]
    shown = datasets.imagenet(challenge, split="validation", preprocessing=SMALL)
    assert shown.labels.tolist() == [2, 1, 0, 1]  # classes 3, 1, 2, 1 of the challenge, by WordNet's number
    assert shades(shown.pixels()[0]) == [51, 52, 53, 54]
    assert shown.classes == train.classes


def test_imagenet_is_read_from_a_packed_devkit_and_from_folders(challenge):
    devkit = challenge / "ILSVRC2012_devkit_t12"
    with tarfile.open(challenge / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(devkit, "ILSVRC2012_devkit_t12")
    for file in (devkit / "data").iterdir():
        file.unlink()
    (devkit / "data").rmdir()
    devkit.rmdir()
    assert datasets.imagenet(challenge, split="validation").labels.tolist() == [2, 1, 0, 1]
    (challenge / "val" / "n01").mkdir(parents=True)
    (challenge / "val" / "n01" / "a.JPEG").write_bytes(jpeg(7))
    assert len(datasets.imagenet(challenge, split="validation")) == 1


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (lambda path: (path / TRAIN).unlink(), {}, "neither a folder train nor ILSVRC2012_img_train"),
        (lambda path: (path / TRAIN).write_bytes(b"nothing"), {}, "is no tar archive"),
        (lambda path: (path / TRAIN).write_bytes(packed({"a.JPEG": jpeg(1)})), {}, "no archive of a class"),
        (
            lambda path: (path / TRAIN).write_bytes(
                (path / TRAIN).read_bytes()[:3000]
            ),
            {},
            "damaged",
        ),
        (
            lambda path: (path / TRUTH).write_text("1\n2\n"),
            {"split": "validation"},
            "holds 4 pictures, and ILSVRC2012_devkit_t12 the classes of 2",
        ),
        (
            lambda path: (path / TRUTH).write_text("9\n1\n2\n1\n"),
            {"split": "validation"},
            "names classes that it does not describe: 9",
        ),
        (lambda path: None, {"split": "test"}, "split must be one of"),
    ],
)  # fmt: skip
def test_what_is_not_imagenet_is_said(spoil, options, words, challenge):
    spoil(challenge)
    with pytest.raises(ValueError, match=words):
        datasets.imagenet(challenge, **options)


def test_what_is_no_folder_of_classes_is_said(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        datasets.image_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="is no folder"):
        datasets.image_folder(folder / "notes.txt")
    with pytest.raises(ValueError, match=r"has no subfolder for a class; it holds pictures itself \(1.png, 2.png"):
        datasets.image_folder(folder / "cats" / "more")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures in empty"):
        datasets.image_folder(folder, preprocessing=SMALL)
