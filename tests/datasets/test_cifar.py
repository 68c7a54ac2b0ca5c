"""CIFAR from every source that the reader knows, made here in the true formats; nothing is downloaded."""

import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from fisherjax import datasets
from fisherjax.datasets import _cifar, _prepared, _variants
from fisherjax.datasets._variants import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR100_SUPERCLASSES

PER_BATCH = 4


def data(count, seed=0, classes=10):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), np.uint8), rng.integers(0, classes, count).astype(np.int32)


TRAIN, TEST = data(5 * PER_BATCH), data(PER_BATCH, seed=1)


def rows(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def record(images, *labels):
    return np.concatenate([np.stack(labels, 1).astype(np.uint8), rows(images)], axis=1).tobytes()


def binary_files(images=TRAIN[0], labels=TRAIN[1]):
    parts = [slice(i * PER_BATCH, (i + 1) * PER_BATCH) for i in range(5)]
    files = {f"data_batch_{i + 1}.bin": record(images[part], labels[part]) for i, part in enumerate(parts)}
    return {"batches.meta.txt": "\n".join(CIFAR10_CLASSES).encode(), **files, "test_batch.bin": record(*TEST)}


def python_files(protocol=2):
    def batch(images, labels):
        return pickle.dumps({b"data": rows(images), b"labels": labels.tolist(), b"batch_label": b"x"}, protocol)

    parts = [slice(i * PER_BATCH, (i + 1) * PER_BATCH) for i in range(5)]
    return {f"data_batch_{i + 1}": batch(TRAIN[0][p], TRAIN[1][p]) for i, p in enumerate(parts)} | {
        "test_batch": batch(*TEST)
    }


def tar(files, folder="cifar-10-batches-bin", mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def check(found, expected):
    images, labels = found
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(labels, expected[1])


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(tar(binary_files()))
    return path


def test_binary_archive_byte_for_byte(archive):
    check(datasets.cifar10(archive), TRAIN)
    check(datasets.cifar10(archive, split="test"), TEST)
    check(datasets.cifar10(archive, num_images=7), (TRAIN[0][:7], TRAIN[1][:7]))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_python_archive_in_every_pickle_protocol(tmp_path, protocol):
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(tar(python_files(protocol), "cifar-10-batches-py"))
    check(datasets.cifar10(path), TRAIN)
    check(datasets.cifar10(path, split="test"), TEST)


def test_python_two_pickles(tmp_path):
    """The original files were written by Python 2: byte strings, and NumPy arrays whose state is such a string."""
    raw = rows(TEST[0]).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I4\nI3072\ntcnumpy\ndtype\n"
        b"(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\nT" + len(raw).to_bytes(4, "little") + raw + b"tb"
    )
    labels = b"(" + b"".join(b"I%d\n" % label for label in TEST[1]) + b"l"
    old = b"\x80\x02(U\x04data" + array + b"U\x06labels" + labels + b"d."
    (tmp_path / "test_batch").write_bytes(old)
    check(datasets.cifar10(tmp_path, split="test"), TEST)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("kind", ["bin", "py"])
def test_unpacked_folders(tmp_path, kind, nested):
    folder = tmp_path / f"cifar-10-batches-{kind}" if nested else tmp_path
    folder.mkdir(exist_ok=True)
    for name, content in (binary_files() if kind == "bin" else python_files()).items():
        (folder / name).write_bytes(content)
    check(datasets.cifar10(tmp_path), TRAIN)
    check(datasets.cifar10(str(tmp_path), split="test"), TEST)


def test_cifar100_has_two_kinds_of_labels(tmp_path):
    images, fine = data(6, seed=2, classes=100)
    coarse = (fine // 5).astype(np.int32)
    path = tmp_path / "cifar-100-binary.tar.gz"
    path.write_bytes(tar({"train.bin": record(images, coarse, fine), "test.bin": record(images, coarse, fine)}, "c"))
    check(datasets.cifar100(path), (images, fine))
    check(datasets.cifar100(path, split="test", labels="coarse"), (images, coarse))
    batch = {"data": rows(images), "fine_labels": fine.tolist(), "coarse_labels": coarse.tolist()}
    (tmp_path / "train").write_bytes(pickle.dumps(batch))
    path.unlink()
    check(datasets.cifar100(tmp_path, labels="coarse"), (images, coarse))
    assert (len(CIFAR10_CLASSES), len(CIFAR100_CLASSES)) == (10, 100)
    assert len(CIFAR100_SUPERCLASSES) == 20


def prepare(folder, images, labels, split):
    """What TensorFlow Datasets prepares: shuffled tf.train.Example records with PNG images."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from PIL import Image
    from tensorflow_datasets.proto import tf_example_pb2

    writer = ArrayRecordWriter(str(folder / f"cifar10-{split}.array_record-00000-of-00001"), "group_size:1")
    size = 0
    for index in np.random.default_rng(0).permutation(len(images)):
        picture, example = io.BytesIO(), tf_example_pb2.Example()
        Image.fromarray(images[index]).save(picture, "png")
        example.features.feature["id"].bytes_list.value.append(f"{split}_{index:05d}".encode())
        example.features.feature["image"].bytes_list.value.append(picture.getvalue())
        example.features.feature["label"].int64_list.value.append(int(labels[index]))
        row = example.SerializeToString()
        size += len(row)
        writer.write(row)
    writer.close()
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    return {"filepathTemplate": template, "name": split, "numBytes": str(size), "shardLengths": [str(len(images))]}


@pytest.fixture
def prepared(tmp_path):
    import tensorflow_datasets as tfds

    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    label = tfds.features.ClassLabel(num_classes=10)
    image = tfds.features.Image(shape=(32, 32, 3))
    tfds.features.FeaturesDict({"id": tfds.features.Text(), "image": image, "label": label}).save_config(str(folder))
    splits = [prepare(folder, *TRAIN, "train"), prepare(folder, *TEST, "test")]
    module = "tensorflow_datasets.image_classification.cifar"
    info = {"fileFormat": "array_record", "moduleName": module, "name": "cifar10", "splits": splits, "version": "3.0.2"}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return tmp_path


def test_prepared_data_in_the_original_order(prepared, monkeypatch):
    check(datasets.cifar10(prepared), TRAIN)
    check(datasets.cifar10(prepared / "cifar10" / "3.0.2", split="test"), TEST)
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    check(datasets.cifar10(split="test"), TEST)


def test_damaged_prepared_data(prepared):
    folder = prepared / "cifar10" / "3.0.2"
    path = folder / "cifar10-train.array_record-00000-of-00001"
    whole = path.read_bytes()
    path.write_bytes(whole[:30000] + bytes(2000) + whole[32000:])
    with pytest.raises(ValueError, match="cannot be read"):
        datasets.cifar10(prepared)
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps(info | {"name": "mnist"}))
    with pytest.raises(ValueError, match=r"mnist|cannot be read"):
        datasets.cifar10(prepared)


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def registered(variant, content, checksum=None):
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.core.utils import Size

    checksum = checksum or hashlib.sha256(content).hexdigest()
    return {variant.url: UrlInfo(Size(len(content)), checksum, variant.archive)}


def served(server, content):
    address, files, _ = server
    files["/a/cifar-10-binary.tar.gz"] = content
    return _variants.CIFAR10._replace(url=f"{address}/a/cifar-10-binary.tar.gz")


def test_download_once_with_the_registered_checksum(tmp_path, server):
    _, files, asked = server
    content = tar(binary_files())
    variant = served(server, content)
    right, wrong = registered(variant, content), registered(variant, content, "0" * 64)

    (tmp_path / "downloads" / "cifar10").mkdir(parents=True)
    (tmp_path / "downloads" / "extracted").mkdir()
    (tmp_path / "downloads" / "other").write_text("kept")
    before = listing(tmp_path)
    with pytest.raises(ValueError, match="wrong size or checksum"):
        _prepared.download(variant, tmp_path, url_infos=wrong)
    assert listing(tmp_path) == before

    for _ in range(2):
        path = _prepared.download(variant, tmp_path, url_infos=right)
        assert path.read_bytes() == content
    assert asked == ["/a/cifar-10-binary.tar.gz"] * 2  # the wrong one and the right one, not the cached one
    check(_cifar._read_archive(variant, path, "train"), TRAIN)

    files.clear()
    with pytest.raises(ConnectionError, match=r"cannot be reached .*404.* put it at .*manual.cifar-10-binary.tar.gz"):
        _prepared.download(variant, tmp_path / "new", url_infos=right)
    assert not (tmp_path / "new").exists()

    manual = tmp_path / "by hand" / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "cifar-10-binary.tar.gz").write_bytes(content)
    found = _prepared.download(variant, tmp_path / "by hand", url_infos=right)
    assert found == manual / "cifar-10-binary.tar.gz"


def test_what_another_process_downloads_meanwhile_stays(tmp_path, server, monkeypatch):
    """A failure removes what this process wrote, however much appeared beside it."""
    import tensorflow_datasets as tfds

    content = tar(binary_files())
    variant = served(server, content)
    whole = tfds.download.DownloadManager.download
    theirs = tmp_path / "downloads" / "mnist" / "train.gz"

    def beside(manager, url):
        theirs.parent.mkdir(parents=True)
        theirs.write_text("just downloaded")
        (tmp_path / "downloads" / "cifar10").mkdir()
        (tmp_path / "downloads" / "cifar10" / "other").write_text("too")
        return whole(manager, url)

    monkeypatch.setattr(tfds.download.DownloadManager, "download", beside)
    with pytest.raises(ValueError, match="wrong size or checksum"):
        _prepared.download(variant, tmp_path, url_infos=registered(variant, content, "0" * 64))
    assert [name for name in listing(tmp_path) if "." in name] == ["downloads/mnist/train.gz"]
    assert (tmp_path / "downloads" / "cifar10" / "other").read_text() == "too"


def test_a_cache_that_cannot_be_written_is_no_failed_download(tmp_path, server, monkeypatch):
    content = tar(binary_files())
    variant = served(server, content)
    infos = registered(variant, content)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot be written \(Not a directory\); set TFDS_DATA_DIR") as told:
        _prepared.download(variant, tmp_path / "file", url_infos=infos)
    assert not isinstance(told.value, ConnectionError)

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "cache"))

    monkeypatch.setattr(_prepared.Path, "mkdir", forbidden)
    with pytest.raises(PermissionError, match=r"cache cannot be written \(Permission denied\)"):
        _prepared.download(variant, tmp_path, url_infos=infos)


def test_torchvisions_root_and_a_missing_batch(tmp_path):
    """A folder with only the archive of pickles; with unpacked files of which one is missing; with both."""
    root = tmp_path / "root"
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in python_files().items():
        if name != "data_batch_3":
            (folder / name).write_bytes(content)
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py lacks data_batch_3, of the train split"):
        datasets.cifar10(root)
    check(datasets.cifar10(root, split="test"), TEST)
    (root / "cifar-10-python.tar.gz").write_bytes(tar(python_files(), "cifar-10-batches-py"))
    check(datasets.cifar10(root), TRAIN)
    for path in folder.iterdir():
        path.unlink()
    check(datasets.cifar10(root), TRAIN)


def test_registered_url_is_the_one_that_tensorflow_datasets_knows():
    from tensorflow_datasets.core.download.checksums import get_all_url_infos

    for variant, size in ((_variants.CIFAR10, 170052171), (_variants.CIFAR100, 168513733)):
        assert get_all_url_infos()[variant.url].size == size


def test_no_tensorflow_and_no_torch_in_a_fresh_process(prepared, archive, tmp_path):
    """Packages of these names are there, but importing them ends the process."""
    for name in ("tensorflow", "torch"):
        (tmp_path / "traps" / name).mkdir(parents=True)
        (tmp_path / "traps" / name / "__init__.py").write_text(f"raise SystemExit('{name} was imported')")
    code = f"""
from fisherjax import datasets
print(datasets.cifar10({str(archive)!r})[0].shape, datasets.cifar10({str(prepared)!r})[0].shape)
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "traps")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(20, 32, 32, 3) (20, 32, 32, 3)"


class Evil:
    def __reduce__(self):
        return (print, ("pwned",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar(binary_files(), mode="w")[:20000], r"the member '.*data_batch_2.bin' is \d+ bytes short of 12292"),
        (tar(binary_files())[:30000], r"truncated: the member '.*data_batch_\d.bin' is \d+ bytes short of 12292"),
        (tar(binary_files())[:-6], "compressed data ends early"),
        (tar({**binary_files(), "data_batch_3.bin": b"x" * 3074}), "data_batch_3.bin holds 3074 bytes.*3073"),
        (tar({k: v for k, v in binary_files().items() if "4" not in k}), "lacks data_batch_4.bin"),
        (tar({"../../data_batch_1.bin": b""}, ""), "points outside"),
        (tar({"/etc/data_batch_1.bin": b""}, ""), "points outside"),
        (tar({"readme.txt": b"hello"}), "not an archive of cifar10"),
        (b"PK\x03\x04 something else", "not a tar archive"),
        (b"\x1f\x8b\x08 something else", "damaged"),
        (b"", "not a tar archive"),
        (tar(binary_files(labels=np.full(20, 77))), r"data_batch_1.bin: record 0 has label 77; cifar10 has 10 classes"),
        (tar(python_files() | {"data_batch_2": pickle.dumps(Evil())}), "builtins.print; only NumPy arrays"),
        (tar(python_files() | {"data_batch_2": pickle.dumps([1, 2])}), "holds a list, not a dictionary"),
        (tar(python_files() | {"data_batch_2": pickle.dumps({"labels": [1]})}), "no entry 'data'"),
        (tar(python_files() | {"data_batch_2": pickle.dumps({"data": [1], "labels": [1]})}), "data must be bytes"),
        (tar(python_files() | {"data_batch_2": pickle.dumps({"data": rows(TEST[0]), "labels": [1]})}), "4 images"),
    ],
)
def test_bad_archives(tmp_path, content, message, capsys):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        datasets.cifar10(path)
    assert capsys.readouterr().out == ""


def test_links_are_refused(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("c/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="not a regular file"):
        datasets.cifar10(tmp_path / "a.tar")


def test_archives_that_grow_too_large_are_refused(archive, monkeypatch):
    assert 186e6 < _cifar._LARGEST < 300e6  # the archives unpack to 184 and 186 MB
    monkeypatch.setattr(_cifar, "_LARGEST", 10_000)
    with pytest.raises(ValueError, match=r"has .* kB, more than 10000 bytes"):
        datasets.cifar10(archive)
    bomb = archive.with_name("bomb.tar.gz")
    bomb.write_bytes(gzip.compress(bytes(10**6)))
    with pytest.raises(ValueError, match="unpacks to more than 10000 bytes"):
        datasets.cifar10(bomb)


def test_bad_arguments(archive, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"split must be one of .*'train'.*got 'tran'"):
        datasets.cifar10(archive, split="tran")
    with pytest.raises(ValueError, match="num_images=21, but the train split holds 20"):
        datasets.cifar10(archive, num_images=21)
    with pytest.raises(ValueError, match="labels"):
        datasets.cifar100(archive, labels="superfine")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        datasets.cifar10(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no cifar10: neither data_batch_1\.bin"):
        datasets.cifar10(tmp_path / "empty")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
    with pytest.raises(ImportError, match=r"pip install 'fisherjax\[cifar\]'"):
        datasets.cifar10()


def test_offline_says_what_to_do(tmp_path, monkeypatch):
    variant = _variants.CIFAR10._replace(url="http://127.0.0.1:9/cifar-10-binary.tar.gz")
    infos = registered(variant, b"")
    with pytest.raises(
        ConnectionError, match=r"Download http://127.0.0.1:9/cifar-10-binary.tar.gz .*put it at"
    ) as told:
        _prepared.download(variant, tmp_path, url_infos=infos)
    assert "urlopen" not in str(told.value)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("kind", ["binary tar", "binary tar.gz", "python tar", "pickle"])
def test_mutations_end_in_data_or_in_the_documented_error(tmp_path, kind):
    """200 mutations of each format, 800 in all: an array of the right shape or a ValueError, nothing written."""
    files = python_files(2) if "py" in kind or kind == "pickle" else binary_files()
    whole = tar(files, mode="w:gz" if kind.endswith("gz") else "w")
    if kind == "pickle":
        whole = files["test_batch"]
    rng = np.random.default_rng(0)
    folder = tmp_path / "cache"
    folder.mkdir()
    target = folder / ("test_batch" if kind == "pickle" else "archive.tar")
    outcomes = {"read": 0, "refused": 0}
    for _ in range(200):
        mutated = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(max(1, len(mutated))))
            # headers and opcodes are at the start of things: look there more often
            place = place % 600 if rng.random() < 0.5 else place
            match rng.integers(4):
                case 0:
                    mutated[place : place + 1] = rng.bytes(1)
                case 1:
                    del mutated[place : place + int(rng.integers(1, 2000))]
                case 2:
                    mutated[place:place] = rng.bytes(int(rng.integers(1, 600)))
                case 3:
                    mutated = mutated[: max(1, place)]
        target.write_bytes(bytes(mutated))
        try:
            images, labels = datasets.cifar10(folder if kind == "pickle" else target, split="test")
            assert images.shape == (len(labels), 32, 32, 3)
            outcomes["read"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 20
    assert listing(tmp_path) == ["cache", f"cache/{target.name}"]
