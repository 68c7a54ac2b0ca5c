"""Files out of a tar archive, without writing anything to disk."""

import io
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

_GZIP = b"\x1f\x8b"
_LARGEST = 2**30  # bytes of an archive once it is decompressed; CIFAR has 184 MB


def read_members(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Contents of the wanted files, by base name, of a tar archive that may be gzipped.

    Raises
    ------
    ValueError
        If it is not such an archive, is truncated (which member, how many bytes short) or damaged, holds a
        member that points outside, or a wanted file that is not a regular one.
    """
    packed = path.read_bytes()
    data, whole = _decompress(path, packed) if packed[:2] == _GZIP else (packed, True)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{path}: the member {member.name!r} points outside of the archive")
                if name.name in wanted:
                    found[name.name] = _contents(path, member, data)
    except (tarfile.TarError, OSError, OverflowError, IndexError, KeyError, TypeError, UnicodeError) as error:
        if not found:
            raise ValueError(f"{path} is not a tar archive, or is damaged: {error}") from error
        raise ValueError(f"{path} is damaged after {list(found)[-1]}: {error}") from error
    if not whole:
        after = f" after {list(found)[-1]}" if found else ""
        raise ValueError(f"{path} is truncated{after}: the compressed data ends early")
    return found


def _decompress(path: Path, packed: bytes) -> tuple[bytes, bool]:
    """Decompressed bytes, and whether the stream came to its end."""
    engine = zlib.decompressobj(wbits=31)
    try:
        data = engine.decompress(packed, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if engine.unconsumed_tail:
        raise ValueError(f"{path} holds more than {_LARGEST} bytes: not the archive it should be")
    return data, engine.eof


def _contents(path: Path, member: tarfile.TarInfo, data: bytes) -> bytes:
    if not member.isreg():
        raise ValueError(f"{path}: the member {member.name!r} is not a regular file")
    contents = data[member.offset_data : member.offset_data + member.size]
    missing = member.size - len(contents)
    if missing:
        raise ValueError(f"{path} is truncated: the member {member.name!r} is {missing} bytes short of {member.size}")
    return contents
