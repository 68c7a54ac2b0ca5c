"""Files out of a tar archive, without writing anything to disk."""

import io
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from fisherjax._npy import told_bytes

_GZIP = b"\x1f\x8b"
_LARGEST = 2**28  # bytes of an archive, packed or not: those of CIFAR have 170 and 186 million
_CHUNK = 2**20


def read_members(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Contents of the wanted files, by base name, of a tar archive that may be gzipped.

    Raises
    ------
    ValueError
        If it is not such an archive, is larger than the data sets here are, packed or unpacked, is truncated (which
        member, how many bytes short) or damaged, holds a member that points outside, or a wanted file that is not a
        regular one.
    """
    data, whole = _contents(path)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{path}: the member {member.name!r} points outside of the archive")
                if name.name in wanted:
                    found[name.name] = _member(path, member, data)
    except (tarfile.TarError, OSError, OverflowError, IndexError, KeyError, TypeError, UnicodeError) as error:
        if not found:
            raise ValueError(f"{path} is not a tar archive, or is damaged") from error
        raise ValueError(f"{path} is damaged after {list(found)[-1]}") from error
    if not whole:
        after = f" after {list(found)[-1]}" if found else ""
        raise ValueError(f"{path} is truncated{after}: the compressed data ends early")
    return found


def check_size(path: Path) -> None:
    """Refuse a file that is larger than any file of the data sets here."""
    size = path.stat().st_size
    if size > _LARGEST:
        raise ValueError(f"{path} has {told_bytes(size)}, more than {_LARGEST} bytes: not the file it should be")


def _contents(path: Path) -> tuple[bytes, bool]:
    """Bytes of the archive, unpacked piece by piece, and whether they came to their end."""
    check_size(path)
    with path.open("rb") as stream:
        packed = stream.read(len(_GZIP)) == _GZIP
        stream.seek(0)
        if not packed:
            return stream.read(), True
        engine, data = zlib.decompressobj(wbits=31), bytearray()
        try:
            while not engine.eof and (block := stream.read(_CHUNK)):
                data += engine.decompress(block, _LARGEST + 1 - len(data))
                if len(data) > _LARGEST:
                    raise ValueError(f"{path} unpacks to more than {_LARGEST} bytes: not the archive it should be")
        except zlib.error as error:
            raise ValueError(f"{path} is damaged: it cannot be unpacked by gzip") from error
        return bytes(data), engine.eof


def _member(path: Path, member: tarfile.TarInfo, data: bytes) -> bytes:
    if not member.isreg() or member.issparse():
        raise ValueError(f"{path}: the member {member.name!r} is not a regular file")
    contents = data[member.offset_data : member.offset_data + member.size]
    missing = member.size - len(contents)
    if missing:
        raise ValueError(f"{path} is truncated: the member {member.name!r} is {missing} bytes short of {member.size}")
    return contents
