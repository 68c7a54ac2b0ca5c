"""Archives of arrays (.npz): one writer whose files show any damage, and one reader that looks before it reads.

A file that the library writes ends with a SHA-256 over all that stands before it, as the comment of the zip archive:
NumPy reads such a file as any other, and a bit that flipped anywhere in it is noticed. Files of others have only the
zip format's own checksums (CRC-32 of every entry), which notice a flip in the contents.

What a reader believes is checked first against what is there: sizes in the zip directory and in the headers of arrays
must agree with each other, and their sum is bounded by the size of the file, so that a small file cannot fill memory.
"""

import contextlib
import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from fisherjax._errors import as_path, check_regular
from fisherjax._npy import CHUNK, MAGIC, DamagedFileError, Source, label_of, read_array, told_bytes

_SEAL = b"fisherjax sha256 "
_DIGITS = 64
_FREE_SIZE, _MOST_EXPANSION = 2**28, 100  # an archive may hold 256 MiB, or a hundred times its own size
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNREADABLE_FLAGS = 0x2061  # encrypted in any way, or a patch of another file

# what zipfile raises for a damaged archive, RuntimeError and NotImplementedError included; a failing disk is an OSError
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, UnicodeDecodeError, RuntimeError, OverflowError)


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz archive of these arrays, sealed with its checksum; the same arrays give the same bytes.

    It is compressed, unless that would make it so small that `read_npz` would take it for a bomb.

    Raises
    ------
    TypeError
        If an array holds neither numbers, Booleans nor text.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "biufcSU":
            raise TypeError(f"{name!r} cannot be written as .npz: {array.dtype} is none of NumPy's numbers, nor text")
    data = _zipped(arrays, zipfile.ZIP_DEFLATED)
    if sum(array.nbytes for array in arrays.values()) > _most_bytes(len(data)) // 2:
        data = _zipped(arrays, zipfile.ZIP_STORED)
    return data + hashlib.sha256(data).hexdigest().encode()


def read_npz(source: Source, name: object = None) -> dict[str, np.ndarray]:
    """All arrays of an .npz archive by name, in the order of the file.

    Parameters
    ----------
    source
        A path, or the contents.
    name
        What messages call it; by default the path.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    ValueError
        If it is refused: it is empty, truncated, another format, or fails a checksum; an entry is encrypted, packed in
        another way than NumPy does, named twice, named as a path outside the archive, or no array; an array is of
        objects or records (only numbers, Booleans and text are read); a header claims another size than the entry has;
        or the arrays would take more than 256 MiB and more than a hundred times the size of the file.
    """
    label = label_of(source, name)
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), label)
    path = as_path("path", source)
    check_regular(path)
    with path.open("rb") as stream:
        return _read(stream, label)


def _zipped(arrays: Mapping[str, np.ndarray], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=array.nbytes >= 2**30) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
        archive.comment = _SEAL + bytes(_DIGITS)  # its length is part of what is sealed
    return buffer.getvalue()[:-_DIGITS]


@contextlib.contextmanager
def opened_zip(stream: io.BufferedIOBase, refused: str) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose directory was looked through; damage that shows later is told in the same words.

    Parameters
    ----------
    stream
        The file.
    refused
        How messages begin.

    Raises
    ------
    ValueError
        As `read_npz`, but for what its entries are.
    """
    size = stream.seek(0, os.SEEK_END)
    _check_start(stream, size, refused)
    _check_seal(stream, size, refused)
    try:
        with zipfile.ZipFile(stream) as archive:
            _check_end(stream, size - len(archive.comment), archive, refused)
            _check_entries(archive.infolist(), size, refused)
            for entry in archive.infolist():
                archive.open(entry).close()  # compares its names in the directory and before its contents
            yield archive
    except _BROKEN as error:
        raise DamagedFileError(f"{refused} it is damaged, truncated or no zip archive") from error


def _read(stream: io.BufferedIOBase, label: str) -> dict[str, np.ndarray]:
    refused = f"{label} cannot be read as .npz:"
    with opened_zip(stream, refused) as archive:
        others = [name for name in archive.namelist() if not name.endswith(".npy")]
        if others:
            raise ValueError(f"{refused} its entry {others[0][:80]!r} is no array")
        return {entry.filename.removesuffix(".npy"): _entry(archive, entry, refused) for entry in archive.infolist()}


def _check_start(stream: io.BufferedIOBase, size: int, refused: str) -> None:
    stream.seek(0)
    start = stream.read(6)
    if not size:
        raise DamagedFileError(f"{refused} it is empty")
    if not start.startswith(b"PK"):
        what = "an .npy file" if start == MAGIC else "a Python pickle" if start[:1] == b"\x80" else "another format"
        raise DamagedFileError(f"{refused} it is {what}, or damaged")


def _check_seal(stream: io.BufferedIOBase, size: int, refused: str) -> None:
    """If the file ends with our checksum, it must be the right one."""
    length = size - _DIGITS
    if length < len(_SEAL):
        return
    stream.seek(length - len(_SEAL))
    if stream.read(len(_SEAL)) != _SEAL:
        return
    stored = stream.read(_DIGITS)
    summary = hashlib.sha256()
    stream.seek(0)
    while length:
        block = stream.read(min(length, CHUNK))
        summary.update(block)
        length -= len(block)
    if summary.hexdigest().encode() != stored:
        raise DamagedFileError(f"{refused} it was changed or damaged since it was written (its checksum differs)")


def _check_end(stream: io.BufferedIOBase, end: int, archive: zipfile.ZipFile, refused: str) -> None:
    """What zipfile does not notice: entries that a damaged length hides in the one before, and a comment cut short."""
    stream.seek(end - 12)
    stored, _, _, comment = struct.unpack("<HIIH", stream.read(12))
    listed = len(archive.infolist())
    if stored not in {listed, 0xFFFF}:
        raise DamagedFileError(f"{refused} it is damaged; of its {stored} entries {listed} are listed")
    if comment != len(archive.comment):
        raise DamagedFileError(f"{refused} it is truncated")


def _check_entries(entries: list[zipfile.ZipInfo], size: int, refused: str) -> None:
    """Everything that the directory of the archive says, before any entry is read."""
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        where = f"{refused} its entry {name[:80]!r}"
        if name in names:
            raise ValueError(f"{where} is there twice")
        names.add(name)
        if name.startswith("/") or "\\" in name or ".." in name.split("/") or "\0" in entry.orig_filename:
            raise ValueError(f"{where} is named as a path outside the archive")
        if not 0 <= entry.header_offset < size:
            raise DamagedFileError(f"{where} begins outside the file")
        if entry.flag_bits & _UNREADABLE_FLAGS:
            raise ValueError(f"{where} is encrypted")
        if entry.compress_type not in _READABLE:
            raise ValueError(f"{where} is packed in a way that NumPy does not use (method {entry.compress_type})")
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise DamagedFileError(f"{where} has two sizes, {entry.compress_size} and {entry.file_size} bytes")
    total = sum(entry.file_size for entry in entries)
    if total > _most_bytes(size):
        raise ValueError(
            f"{refused} it would unpack to {told_bytes(total)}, more than {_MOST_EXPANSION} times its "
            f"{told_bytes(size)}; if you trust it, write it again without compression (numpy.savez)"
        )


def _most_bytes(size: int) -> int:
    """What an archive of this size may hold; zeros compress a thousandfold, so that only what is large is bounded."""
    return max(_FREE_SIZE, _MOST_EXPANSION * size)


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, refused: str) -> np.ndarray:
    subject = f"{refused} its array {entry.filename.removesuffix('.npy')[:80]!r}"
    try:
        with archive.open(entry) as stream:
            array = read_array(stream, entry.file_size, subject)  # pyright: ignore[reportArgumentType]
            stream.read(1)  # at the end of an entry its checksum is looked at
            return array
    except _BROKEN as error:
        raise DamagedFileError(f"{subject} is truncated or damaged") from error
