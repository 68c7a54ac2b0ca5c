"""Files that a user names: configurations, plans, names of classes, records. What is wrong with one is one line."""

import contextlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ._values import UsageError

T = TypeVar("T")

_LARGEST = 2**20  # bytes
_PLACE = re.compile(r"line (\d+),? column (\d+)")


@contextlib.contextmanager
def reading(
    name: str, *places: Path | str, translated: Callable[[str], str] = lambda message: message
) -> Iterator[None]:
    """Say on one line what is wrong with a file, with the option that named it and its path."""
    try:
        yield
    except OSError as error:
        where = error.filename or " ".join(map(str, places))
        raise UsageError(f"{_joined(name, where)}: {error.strerror or error or 'it cannot be read'}") from error
    except (ValueError, TypeError, ImportError) as error:
        message = translated(str(error))
        if message.startswith("--"):
            raise UsageError(message) from error
        if not places or message.startswith(tuple(map(str, places))):
            raise UsageError(_joined(name, message)) from error
        raise UsageError(f"{_joined(name, *places)}: {message}") from error


def read_small(path: Path, name: str) -> str:
    """Text of a small file in UTF-8, whatever the language of the system; `name` is what messages call it."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise UsageError(f"{name} holds more than {_LARGEST // 2**20} MiB, which is too much")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not text in UTF-8") from error


def read_toml(path: Path, option: str) -> dict[str, Any]:
    """Entries of a TOML file."""
    return _parsed(path, f"{option} {path}", tomllib.loads, "TOML, whose entries are name = value")


def read_json(path: Path, name: str) -> Any:
    """What a JSON file holds."""
    return _parsed(path, name, json.loads, "JSON")


def holds_record(path: Path, name: str) -> bool:
    """Whether fisherjax wrote the file; of one that cannot be read its name tells, and its reader says why."""
    from fisherjax._archive import opened_zip  # noqa: PLC0415
    from fisherjax._errors import check_regular  # noqa: PLC0415
    from fisherjax._records import META  # noqa: PLC0415

    with reading(name, path), contextlib.suppress(ValueError):
        check_regular(path)
        with path.open("rb") as stream, opened_zip(stream, "") as archive:
            return f"{META}.npy" in archive.namelist()
    return path.suffix not in {".pt", ".pth", ".safetensors"}


def load_record(path: Path, name: str) -> Any:
    """What `Record.save` wrote; `name` is what named the file."""
    from fisherjax._types import Record  # noqa: PLC0415

    with reading(name, path):
        return Record.load(path)


def part_of(saved: Any, kind: type[T], source: str, lacking: str) -> T:
    """A record of a kind, or the part of another that is: the network of a training, the gains of an optimum."""
    parts = (saved, *(getattr(saved, part, None) for part in ("best_network", "network", "gain_matrix")))
    for part in parts:
        if isinstance(part, kind):
            return part
    raise UsageError(f"{source} holds a {type(saved).__name__}, which has no {lacking}")


def _joined(*words: Path | str) -> str:
    return " ".join(str(word) for word in words if str(word))


def _parsed(path: Path, name: str, parse: Any, kind: str) -> Any:
    text = read_small(path, name)
    try:
        return parse(text)
    except RecursionError as error:
        raise UsageError(f"{name} holds too many brackets inside each other") from error
    except ValueError as error:
        place = _PLACE.search(str(error))
        where = f" at line {place[1]}, column {place[2]}" if place else ""
        raise UsageError(f"{name} cannot be read{where}: it is not {kind}") from error
