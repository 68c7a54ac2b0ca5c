"""Archives of arrays: what NumPy writes is read, and what claims more than is there is refused before it is read."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from fisherjax._archive import npz_bytes, read_npz
from fisherjax._npy import read_npy

ARRAYS = {
    "x": np.arange(6.0).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "half": np.ones(3, np.float16),
    "big endian": np.arange(3, dtype=">f8"),
    "text": np.array(["aé", "b"]),
    "mask": np.array([True, False]),
    "number": np.array(2.5),
    "empty": np.zeros((0, 3)),
    "complex": np.ones(2, complex),
}


def saved(save=np.savez, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def header(shape, described="<f8", data=b"", text=None):
    """An .npy file with any header."""
    text = repr({"descr": described, "fortran_order": False, "shape": shape}) if text is None else text
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


def zipped(method=zipfile.ZIP_STORED, **entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


@pytest.mark.parametrize("write", [npz_bytes, lambda x: saved(**x), lambda x: saved(np.savez_compressed, **x)])
def test_arrays_of_every_sort_are_read(write):
    arrays = read_npz(write(ARRAYS))
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(arrays[name], array)


def test_numpy_reads_what_is_written_and_the_same_arrays_give_the_same_bytes():
    data = npz_bytes(ARRAYS)
    assert data == npz_bytes(ARRAYS)
    for name, array in dict(np.load(io.BytesIO(data))).items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_one_array_is_read():
    buffer = io.BytesIO()
    np.save(buffer, ARRAYS["x"])
    np.testing.assert_array_equal(read_npy(buffer.getvalue()), ARRAYS["x"])


def encrypted():
    data = bytearray(zipped(x=header((1,), data=bytes(8))))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def twice():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(2):
            archive.writestr("x.npy", header((1,), data=bytes(8)))
    return buffer.getvalue()


REFUSED = {
    "empty": (lambda: b"", "it is empty"),
    "other": (lambda: b"a,b\n1,2", "it is another format, or damaged"),
    "pickle": (lambda: b"\x80\x04N.", "it is a Python pickle"),
    "npy": (lambda: header((0,)), "it is an .npy file"),
    "truncated": (lambda: saved(**ARRAYS)[:-40], "truncated"),
    "8 TB": (lambda: zipped(x=header((10**12,))), r"claims 8 TB \(shape \(1000000000000,\), float64\), but 0 bytes"),
    "more than is there": (lambda: zipped(x=header((3,), data=bytes(16))), "claims 24 bytes .* but 16 bytes are there"),
    "objects": (lambda: saved(x=np.array([None])), "array 'x' holds Python objects; only numbers"),
    "records": (lambda: saved(x=np.zeros(1, [("a", float)])), "holds records of several fields"),
    "dates": (lambda: saved(x=np.zeros(1, "M8[s]")), r"holds dates \(M8\[s\]\)"),
    "raw": (lambda: zipped(x=header((1,), "|V2", bytes(2))), r"holds raw bytes \(V2\)"),
    "type": (lambda: zipped(x=header((1,), "<f3", bytes(3))), "unknown type '<f3'"),
    "zero-width": (lambda: zipped(x=header((10**9,), "<U0")), "unknown type"),
    "negative": (lambda: zipped(x=header((-1,))), "damaged header"),
    "overflow": (lambda: zipped(x=header((0, 2**70))), "impossible shape"),
    "brackets": (lambda: zipped(x=header((), text="(" * 5000)), "damaged header"),
    "no header": (lambda: zipped(x=b"text"), "truncated or not in NumPy format"),
    "no character": (lambda: zipped(x=header((1,), "<U1", b"\xff\xff\xff\xff")), "what is no character"),
    "bzip2": (
        lambda: zipped(zipfile.ZIP_BZIP2, x=header((0,))),
        r"packed in a way that NumPy does not use \(method 12",
    ),
    "lzma": (lambda: zipped(zipfile.ZIP_LZMA, x=header((0,))), r"method 14"),
    "encrypted": (encrypted, "is encrypted"),
    "twice": (twice, "is there twice"),
    "outside": (lambda: zipped(**{"../x": header((0,))}), "named as a path outside the archive"),
    "absolute": (lambda: zipped(**{"/x": header((0,))}), "named as a path outside the archive"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path, name):
    content, message = REFUSED[name]
    path = tmp_path / "mine.npz"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=message) as caught:
        read_npz(path)
    assert str(caught.value).startswith(f"{path} cannot be read as .npz: ")
    assert "\n" not in str(caught.value)
    assert "pickle=" not in str(caught.value)


def test_other_entries_and_other_files(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "text")
    with pytest.raises(ValueError, match=r"its entry 'notes.txt' is no array"):
        read_npz(buffer.getvalue())
    with pytest.raises(ValueError, match=r"data cannot be read as .npy: it has a header that claims 8 TB"):
        read_npy(header((10**12,)))
    with pytest.raises(ValueError, match=r"given cannot be read as .npy: it is truncated or not in NumPy format"):
        read_npy(b"1,2,3,4,5", "given")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match="is not a regular file"):
        read_npz("/dev/null")


def test_a_bomb_is_refused_before_it_fills_memory():
    """300 MB of zeros in 300 kB; of random numbers, or uncompressed, as much would be read."""
    size = 300_000_000
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(header((size // 8,)))
        for _ in range(size // 10_000_000):
            entry.write(bytes(10_000_000))
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"it would unpack to 300 MB, more than 100 times its .*write it again without"
    ):
        read_npz(buffer.getvalue())
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_zeros_that_the_library_writes_are_read_again(monkeypatch):
    """What compresses so well that it would look like a bomb is written without compression."""
    monkeypatch.setattr("fisherjax._archive._FREE_SIZE", 1000)
    zeros = {"x": np.zeros(100_000)}
    assert read_npz(npz_bytes(zeros))["x"].shape == (100_000,)
    with pytest.raises(ValueError, match="would unpack"):
        read_npz(saved(np.savez_compressed, **zeros))


def test_every_flipped_bit_is_noticed_or_changes_nothing():
    """All of them, of an archive that NumPy wrote and of one of ours."""
    arrays = {"a": np.arange(3.0), "b": np.array(["x"])}
    for data in (saved(**arrays), npz_bytes(arrays)):
        refused = 0
        for bit in range(0, 8 * len(data), 3):
            broken = bytearray(data)
            broken[bit // 8] ^= 1 << (bit % 8)
            try:
                read = read_npz(bytes(broken))
            except ValueError:
                refused += 1
            else:
                assert all(np.array_equal(read[name], array) for name, array in arrays.items())
                assert read.keys() == arrays.keys()
        assert refused > 4 * len(data) / 3
    for length in range(0, len(data), 7):
        with pytest.raises(ValueError, match=r"cannot be read as \.npz"):
            read_npz(data[:length])


def test_what_has_no_place_in_the_format_is_not_written():
    with pytest.raises(TypeError, match=r"'x' cannot be written as \.npz: object"):
        npz_bytes({"x": np.array([None])})
