"""How results were made: the command line that makes them again, and every setting with its value."""

import dataclasses
import shlex
from collections.abc import Container, Sequence
from typing import Any, get_type_hints

from fisherjax.report import Table

from ._arguments import Common
from ._commands import COMMANDS, name_of
from ._values import is_positional, option

_ONCE = ("--resume", "--force")  # what says how to begin in a folder, and not what is computed
_DEFAULT = "by default"


def typed_line(words: Sequence[str]) -> str:
    """What the user typed, as it makes the same again in an empty folder."""
    return f"fisherjax {shlex.join(word for word in words if word not in _ONCE)}"


def full_line(command: Common) -> str:
    """A command line with everything that differs from the usual, for a command that nobody typed."""
    usual = COMMANDS[name_of(command)]
    hints = get_type_hints(type(command), include_extras=True)
    free, words = [], []
    for name, value in _values(command).items():
        if value is None or value == getattr(usual, name) or option(name) in _ONCE:
            continue
        if is_positional(hints[name]):
            free += _written(value)
        elif isinstance(value, bool):
            words.append(option(name) if value else option(f"no_{name}"))
        else:
            words += [option(name), *_written(value)]
    return f"fisherjax {shlex.join([name_of(command), *free, *words])}"


def settings_table(command: Common, left_out: Container[str] = ()) -> Table:
    """Every setting and its value, those of this command first; `left_out` are not told."""
    common = [field.name for field in dataclasses.fields(Common)]
    values = _values(command)
    names = [name for name in values if name not in common] + common
    rows = [[name.replace("_", "-"), _told(values[name])] for name in names if name not in left_out]
    return Table(("setting", "value"), rows)


def versions_table(versions: dict[str, str], device: str, seconds: dict[str, float]) -> Table:
    """Versions of the packages, the device, and how long each stage took."""
    rows = [[name, version] for name, version in versions.items()]
    rows.append(["device", device])
    return Table(("what", "which"), rows + [[f"{stage} (s)", f"{time:.1f}"] for stage, time in seconds.items()])


def _values(command: Common) -> dict[str, Any]:
    return {field.name: getattr(command, field.name) for field in dataclasses.fields(command)}


def _written(value: Any) -> list[str]:
    """A value as words of a command line."""
    return [str(part) for part in value] if isinstance(value, tuple) else [str(value)]


def _told(value: Any) -> str:
    """A value as a reader sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", ()):
        return _DEFAULT
    return " ".join(_written(value))
