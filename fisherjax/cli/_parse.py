"""From the command line and a configuration file to the arguments of a command."""

import contextlib
import dataclasses
import difflib
import io
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from ._arguments import COMMANDS, Command, Common

C = TypeVar("C", bound=Common)

_FRAME = "─│╭╮╰╯ "


class UsageError(Exception):
    """Something the user wrote cannot be used; the message is one line."""


def parse(arguments: Sequence[str]) -> Command:
    """Arguments of the command that was called.

    Raises
    ------
    UsageError
        If they cannot be understood.
    SystemExit
        With code 0, after printing help.
    """
    from fisherjax import __version__  # noqa: PLC0415

    if "--version" in arguments:
        sys.stdout.write(f"fisherjax {__version__}\n")
        raise SystemExit(0)
    arguments = _joined(arguments)
    defaults = dict(COMMANDS)
    name = next((word for word in arguments if word in defaults), None)
    path = _config_path(arguments)
    if path is not None and name is not None:
        defaults[name] = _with_config(defaults[name], path)
    kind = tyro.extras.subcommand_type_from_defaults(
        defaults, descriptions={key: _summary(value) for key, value in defaults.items()}
    )
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            return tyro.cli(
                kind,
                prog="fisherjax",
                description="How much information a recurrent network keeps about a stimulus, and for how long.",
                args=list(arguments) or ["--help"],
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(_one_line(captured.getvalue())) from None


def _joined(arguments: Sequence[str]) -> list[str]:
    """`convnet train …` as the command `convnet-train`, which it is short for."""
    words = list(arguments)
    if words[:1] != ["convnet"]:
        return words
    actions = [name.removeprefix("convnet-") for name in COMMANDS if name.startswith("convnet-")]
    if words[1:2] and words[1] in actions:
        return [f"convnet-{words[1]}", *words[2:]]
    given = f", got {words[1]!r}" if words[1:] else ""
    raise UsageError(f"convnet: say what to do: {', '.join(actions)}{given}; fisherjax convnet {actions[0]} --help")


def _summary(command: Command) -> str:
    return (type(command).__doc__ or "").splitlines()[0]


def _one_line(text: str) -> str:
    """The first message in a framed error text of the parser."""
    lines = [line.strip(_FRAME) for line in text.splitlines()]
    message = []
    for line in lines[1:]:
        if not line and message:
            break
        message.append(line)
    return " ".join(message) or "the arguments could not be understood"


def _config_path(arguments: Sequence[str]) -> Path | None:
    for index, word in enumerate(arguments):
        if word == "--config" and index + 1 < len(arguments):
            return Path(arguments[index + 1])
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    return None


def _with_config(command: Command, path: Path) -> Command:
    if not isinstance(command, Common):
        raise UsageError("this command takes no --config")
    return with_entries(command, read_toml(path, "--config"), f"--config {path}")


def read_toml(path: Path, name: str) -> dict[str, Any]:
    """Entries of a TOML file.

    Raises
    ------
    UsageError
        If it cannot be read; `name` is the argument that named it.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{name} {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} {path}: {error}") from error


def with_entries(command: C, entries: dict[str, Any], source: str) -> C:
    """A command with other values of some arguments.

    Raises
    ------
    UsageError
        If there is no such argument or it takes no such value; `source` says where they come from.
    """
    known, hints = {f.name: f for f in dataclasses.fields(command)}, get_type_hints(type(command))
    values: dict[str, Any] = {}
    for key, value in entries.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"{source}: unknown key {key!r}{suggestion(name, known)}")
        values[name] = _converted(name, value, getattr(command, name), source)
        choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else None
        if choices is not None and value not in choices:
            raise UsageError(f"{source}: {name} must be one of {', '.join(map(str, choices))}, got {value!r}")
    return dataclasses.replace(command, **values)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What a misspelt name may have meant."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"


def _converted(name: str, value: Any, default: Any, source: str) -> Any:
    """A TOML value as the type that the argument's default has."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(float(item) for item in value)
    if (isinstance(default, Path) or default is None) and isinstance(value, str):
        return Path(value)
    if default is None and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is type(default):
        return value
    raise UsageError(f"{source}: {name} must be a {type(default).__name__}, got {value!r}")
