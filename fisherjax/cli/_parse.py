"""From the command line and a configuration file to the arguments of a command."""

import contextlib
import dataclasses
import io
import sys
from collections.abc import Container, Sequence
from typing import Any, TypeVar, get_type_hints

import tyro

from ._arguments import COMMANDS, Command, Common
from ._checks import check_combination
from ._files import read_toml
from ._limits import UsageError, check_limits
from ._usage import check_words, said
from ._values import converted, suggestion

C = TypeVar("C", bound=Common)


def parse(arguments: Sequence[str]) -> Command:
    """Arguments of the command that was called.

    Raises
    ------
    UsageError
        If they cannot be understood, one is out of range, or they do not go together.
    SystemExit
        With code 0, after printing help.
    """
    from fisherjax import __version__  # noqa: PLC0415

    if "--version" in arguments:
        sys.stdout.write(f"fisherjax {__version__}\n")
        raise SystemExit(0)
    words = _joined(arguments)
    check_words(words, COMMANDS)
    command = _parsed(words, COMMANDS)
    if not isinstance(command, Common):
        return command
    known = said(words, command)
    if command.config is not None:
        source = f"--config {command.config}"
        entries = read_toml(command.config, "--config")
        if "config" in entries:
            raise UsageError(f"{source}: config cannot name another file")
        changed = with_entries(COMMANDS[words[0]], entries, source)  # pyright: ignore[reportArgumentType]
        try:
            check_limits(changed)
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error
        command = _parsed(words, {**COMMANDS, words[0]: changed})
        known |= {key.replace("-", "_") for key in entries}
    return finished(command, known)  # pyright: ignore[reportArgumentType, reportReturnType]


def finished(command: C, known: Container[str]) -> C:
    """A command with usual values, and the sizes of --quick where it is quick, for what is not in `known`; checked.

    Raises
    ------
    UsageError
        If a number is out of range, or arguments do not go together.
    """
    check_limits(command)
    for _ in range(2 if command.quick else 0):  # twice: one size may follow from another
        sizes = {name: size for name, size in command.quick_sizes().items() if name not in known}
        command = dataclasses.replace(command, **sizes)
    usual = command.usual().items()
    left_open = {name: value for name, value in usual if name not in known or getattr(command, name) is None}
    command = dataclasses.replace(command, **left_open)
    check_combination(command, known)
    return command


def _parsed(words: Sequence[str], commands: dict[str, Command]) -> Command:
    kind = tyro.extras.subcommand_type_from_defaults(
        commands, descriptions={key: _summary(value) for key, value in commands.items()}
    )
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(
                kind,
                prog="fisherjax",
                description="How much information a recurrent network keeps about a stimulus, and for how long.",
                args=list(words) or ["--help"],
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
    known = f"fisherjax {words[0]} --help" if words[0] in COMMANDS else "fisherjax --help"
    raise UsageError(f"the arguments could not be understood; {known} lists what there is")


def _joined(arguments: Sequence[str]) -> list[str]:
    """`convnet train …` as the command `convnet-train`, which it is short for."""
    words = list(arguments)
    if words[:1] != ["convnet"]:
        return words
    actions = [name.removeprefix("convnet-") for name in COMMANDS if name.startswith("convnet-")]
    if words[1:2] and words[1] in actions:
        return [f"convnet-{words[1]}", *words[2:]]
    given = f", got {words[1]!r}{suggestion(words[1], actions)}" if words[1:] else ""
    raise UsageError(f"convnet: say what to do: {', '.join(actions)}{given}; fisherjax convnet {actions[0]} --help")


def _summary(command: Command) -> str:
    return (type(command).__doc__ or "").splitlines()[0]


def with_entries(command: C, entries: dict[str, Any], source: str) -> C:
    """A command with other values of some arguments.

    Raises
    ------
    UsageError
        If there is no such argument or it takes no such value; `source` says where they come from.
    """
    hints = get_type_hints(type(command))
    values: dict[str, Any] = {}
    for key, value in entries.items():
        name = key.replace("-", "_")
        if name not in hints and key in COMMANDS:
            raise UsageError(f"{source}: {key!r} is a command; a file holds the arguments of one, without [{key}]")
        if name not in hints:
            raise UsageError(f"{source}: unknown key {key!r}{suggestion(name, hints)}")
        if name in values:
            raise UsageError(f"{source}: {name} is there twice, as {key!r} too")
        usual = getattr(command, name)
        if isinstance(usual, tuple) and len(usual) == 1 and not isinstance(value, list):
            value = [value]  # noqa: PLW2901 - what is one number unless more are said
        values[name] = converted(f"{source}: {key}", value, hints[name])
    return dataclasses.replace(command, **values)
