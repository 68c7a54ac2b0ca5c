"""What a user's file is by its first bytes, and its contents as text; what cannot be read is told by its name."""

import codecs
import gzip
import zlib
from pathlib import Path

import numpy as np

from fisherjax._archive import read_npz
from fisherjax._errors import check_regular, require
from fisherjax._npy import read_npy, told_bytes

from ._matlab import read_matlab

_MOST_TEXT = 2**27  # bytes: as Python's strings they are several times as much
_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x93NUMPY", "npy"),
    (0, b"MATLAB 5.0", "mat"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"MATLAB 7.3", "a MATLAB 7.3 file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (512, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"FEA1", "a Feather file"),
    (0, b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"RDX", "an R data file"),
    (0, b"RDA", "an R data file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"BZh", "a file packed by bzip2"),
    (0, b"\xfd7zXZ", "a file packed by xz"),
    (0, b"\x28\xb5\x2f\xfd", "a file packed by zstd"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"<!DOCTYPE", "an HTML page"),
    (0, b"<html", "an HTML page"),
    (0, b"<?xml", "an XML document"),
    (0, b"{", "a JSON document"),
)
_TEXTS = {b"%PDF", b"<!DOCTYPE", b"<html", b"<?xml", b"{"}  # the others are text by chance, if they are text
_ADVICE = "export it as a table (.csv), or as arrays by numpy.savez (.npz)"


def file_kind(path: Path) -> str:
    """``"npy"``, ``"npz"``, ``"mat"``, ``"gzip"`` or ``"text"``; looks at 1 kB.

    Raises
    ------
    OSError
        If there is no such file, it is a folder, or may not be read.
    ValueError
        If it is empty, no regular file, or a format that is not read; says which.
    """
    kind = kind_of_file(path)
    require(" " not in kind, f"{path} is {kind}, which is not read here; {_ADVICE}")
    return kind


def kind_of_file(path: Path) -> str:
    """As `file_kind`, but what is not read is returned too, in words."""
    check_regular(path)
    with path.open("rb") as stream:
        start = stream.read(1024)
    require(len(start) > 0, f"{path} is empty")
    return _kind(start)


def _kind(start: bytes) -> str:
    text = _is_text(start)
    for place, mark, kind in _KINDS:
        if start[place : place + len(mark)] == mark and (not text or mark in _TEXTS):
            return kind
    if start[:2] == b"PK":
        # the name of the first entry stands at byte 30
        first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
        if first.startswith((b"[Content_Types]", b"xl/", b"_rels", b"docProps")):
            return "an Excel file"
        return "npz" if first.endswith(b".npy") or start[2:4] == b"\5\6" or len(start) < 31 else "a zip archive"
    if start[:1] == b"\x80" and start[1:2] in {b"\2", b"\3", b"\4", b"\5"}:
        return "a Python pickle (which can run code when it is read)"
    return "text" if text else "of an unknown binary format"


def _is_text(start: bytes) -> bool:
    if start.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _wide(start):
        return True
    control = bytes(range(9)) + bytes(range(14, 32))
    return not any(byte in control for byte in start)


def _wide(start: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of digits and separators is zero."""
    pairs = len(start) // 2
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if pairs >= 2 and zeros.count(0) > 0.9 * pairs and start.count(0) < 1.1 * pairs:
            return encoding
    return None


def read_text(path: Path) -> tuple[str, str]:
    """A text file, perhaps packed by gzip, and the encoding that it was in.

    Raises
    ------
    OSError
        If it may not be read.
    ValueError
        If it is too large (looked at before it is read), damaged, or no text.
    """
    kind = file_kind(path)
    require(kind in {"text", "gzip"}, f"{path} is no table of text but a .{kind} file")
    data = _unpacked(path) if kind == "gzip" else _bounded(path)
    for mark, encoding in (
        (codecs.BOM_UTF8, "UTF-8"),
        (codecs.BOM_UTF16_LE, "UTF-16-LE"),
        (codecs.BOM_UTF16_BE, "UTF-16-BE"),
    ):
        if data.startswith(mark):
            return _decoded(path, data[len(mark) :], encoding), encoding[:6].rstrip("-")
    wide = _wide(data[:1024])
    if wide:
        return _decoded(path, data, wide), "UTF-16"
    require(b"\0" not in data, f"{path} is not text: it holds zero bytes")
    try:
        return data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        # what Excel writes in Western countries; five bytes have no meaning there
        return data.decode("cp1252", errors="replace"), "Windows-1252"


def _bounded(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _MOST_TEXT:
        raise ValueError(
            f"{path} has {told_bytes(size)}; tables of text are read up to {told_bytes(_MOST_TEXT)}: {_ADVICE}"
        )
    return path.read_bytes()


def read_packed(path: Path, most: int) -> bytes:
    """At most so many bytes of what gzip has packed.

    Raises
    ------
    ValueError
        If it is truncated or damaged.
    """
    try:
        with gzip.open(path) as stream:
            return stream.read(most)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is truncated or damaged: it cannot be unpacked by gzip") from error


def _unpacked(path: Path) -> bytes:
    data = read_packed(path, _MOST_TEXT + 1)
    require(len(data) <= _MOST_TEXT, f"{path} unpacks to more than {told_bytes(_MOST_TEXT)}; {_ADVICE}")
    require(len(data) > 0, f"{path} is empty")
    kind = _kind(data[:1024])
    if kind != "text":
        what = kind if " " in kind else f"a .{kind} file"
        raise ValueError(f"{path} holds {what} packed by gzip; unpack it first (gunzip)")
    return data


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: byte {error.start} is no {encoding} text") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name of an .npz or a MATLAB 5 file, or the one of an .npy under the empty name.

    Raises
    ------
    OSError
        If it may not be read.
    ValueError
        If it is damaged, hostile, or another format.
    """
    kind = file_kind(path)
    if kind == "npy":
        return {"": read_npy(path)}
    if kind == "mat":
        return read_matlab(path)
    require(kind == "npz", f"{path} holds no arrays; expected .npz or .npy")
    return read_npz(path)
