"""Files that a user names: configurations, plans, names of classes, records. Refused on one line."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from ._limits import UsageError

_LARGEST = 2**20  # bytes
_PLACE = re.compile(r"line (\d+),? column (\d+)")


def read_small(path: Path, name: str) -> str:
    """Text of a small file in UTF-8, whatever the language of the system; `name` is what messages call it.

    Raises
    ------
    UsageError
        If it cannot be read, is larger than a mebibyte, or holds something else than text.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise UsageError(f"{name} holds more than {_LARGEST // 2**20} MiB, which is too much")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not text in UTF-8") from error


def read_toml(path: Path, option: str) -> dict[str, Any]:
    """Entries of a TOML file.

    Raises
    ------
    UsageError
        If it cannot be read; `option` is the argument that named it.
    """
    return _parsed(path, f"{option} {path}", tomllib.loads, "TOML, whose entries are name = value")


def read_json(path: Path, name: str) -> Any:
    """What a JSON file holds.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    return _parsed(path, name, json.loads, "JSON")


def load_record(path: Path, name: str) -> Any:
    """What `Record.save` wrote.

    Raises
    ------
    UsageError
        If it cannot be read; `name` says what it should be.
    """
    from fisherjax._types import Record  # noqa: PLC0415

    try:
        return Record.load(path)
    except OSError as error:
        raise UsageError(f"{name} {path}: {error.strerror or 'it cannot be read'}") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{name} {error}") from error


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
