"""MNIST and Fashion-MNIST: files in the true format, folders as others make them, a download, and what is refused."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from fisherjax import datasets
from fisherjax.datasets import _idx, _prepared

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (7, 28, 28), np.uint8), RNG.integers(0, 10, 7, np.uint8)
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def packed(values):
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def written(folder, ending="", contents=(IMAGES, LABELS)):
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in zip(NAMES, contents, strict=True):
        data = values if isinstance(values, bytes) else packed(values)
        (folder / f"{name}{ending}").write_bytes(gzip.compress(data) if ending else data)
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("load", "inner"), [("mnist", ""), ("mnist", "MNIST/raw"), ("fashion_mnist", "FashionMNIST/raw")]
)
def test_files_byte_for_byte(tmp_path, ending, load, inner):
    written(tmp_path / inner, ending)
    images, labels = getattr(datasets, load)(tmp_path)
    np.testing.assert_array_equal(images[..., 0], IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert labels.dtype == np.int32
    first, _ = getattr(datasets, load)(tmp_path, num_images=3)
    np.testing.assert_array_equal(first, images[:3])


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ((packed(IMAGES)[:-1], LABELS), "is truncated: 5487 numbers of 7 × 28 × 28"),
        ((packed(IMAGES) + b"x", LABELS), "is longer than it says"),
        ((LABELS, LABELS), "is not an IDX file of bytes in 3 axes: it begins with 00 00 08 01"),
        ((b"", LABELS), "is not an IDX file"),
        ((IMAGES[:, :27], LABELS), "not 28 × 28"),
        ((IMAGES, LABELS[:6]), "holds 7 images, .* 6 labels"),
        ((IMAGES, LABELS + 10), "of ten classes"),
    ],
)
def test_other_files_are_refused(tmp_path, contents, message):
    with pytest.raises(ValueError, match=message):
        datasets.mnist(written(tmp_path, contents=contents))


def test_bad_paths_and_arguments(tmp_path):
    written(tmp_path, ".gz")
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(gzip.compress(packed(IMAGES))[:-20])
    with pytest.raises(ValueError, match="cannot be unpacked by gzip"):
        datasets.mnist(tmp_path)
    (tmp_path / f"{NAMES[1]}.gz").unlink()
    with pytest.raises(FileNotFoundError, match="lacks train-labels-idx1-ubyte, of mnist"):
        datasets.mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no mnist: neither t10k-images-idx3-ubyte"):
        datasets.mnist(tmp_path, split="test")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        datasets.mnist(tmp_path / "absent")
    with pytest.raises(ValueError, match="split must be"):
        datasets.mnist(tmp_path, split="validation")
    with pytest.raises(ValueError, match="num_images=8, but the train split holds 7"):
        datasets.mnist(written(tmp_path / "whole"), num_images=8)


def test_every_file_is_registered():
    """With the size and checksum that a download is compared with."""
    from tensorflow_datasets.core.download import checksums

    known = checksums.get_all_url_infos()
    for data in (_idx.MNIST, _idx.FASHION_MNIST):
        for stem in ("train", "t10k"):
            for kind in ("images-idx3", "labels-idx1"):
                assert f"{data.url}/{stem}-{kind}-ubyte.gz" in known


def test_a_download_is_kept(tmp_path, monkeypatch, server):
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.core.utils import Size

    address, files, asked = server
    infos = {}
    for name, values in zip(NAMES, (IMAGES, LABELS), strict=True):
        content = gzip.compress(packed(values))
        files[f"/{name}.gz"] = content
        checksum = hashlib.sha256(content).hexdigest()
        infos[f"{address}/{name}.gz"] = UrlInfo(Size(len(content)), checksum, f"{name}.gz")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(_idx, "MNIST", _idx.MNIST._replace(url=address))
    monkeypatch.setattr(_idx, "download", lambda file, folder: _prepared.download(file, folder, url_infos=infos))
    for _ in range(2):
        images, labels = datasets.mnist()
        np.testing.assert_array_equal(images[..., 0], IMAGES)
        np.testing.assert_array_equal(labels, LABELS)
    assert len(asked) == 2
