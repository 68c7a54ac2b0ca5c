"""From the command line and a configuration file to the arguments of a command.

Every word is checked before tyro sees it, so that what is wrong is said in our own words.
"""

import contextlib
import dataclasses
import difflib
import io
import re
import sys
from collections.abc import Container, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from ._arguments import Common
from ._checks import check_combination
from ._commands import COMMANDS, Command
from ._files import read_toml
from ._values import (
    UsageError,
    check_limits,
    check_word,
    converted,
    from_text,
    is_positional,
    kinds_of,
    option,
    shown,
    suggestion,
    without_none,
)

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)
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
    """A command with usual values, and the sizes of --quick where it is quick, for what is not in `known`; checked."""
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
    """A command with other values of some arguments."""
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


def said(words: Sequence[str], command: Any) -> frozenset[str]:
    """Fields of a command whose options are on the command line."""
    hints = get_type_hints(type(command))
    fields = (_field(word.partition("=")[0], hints) for word in words[1:] if _is_option(word))
    return frozenset(field for field in fields if field is not None)


def check_words(words: Sequence[str], commands: dict[str, Any]) -> None:
    """Refuse what a parser would refuse in words of its own; a request for help passes."""
    if not words or {"-h", "--help"} & set(words):
        return
    if words[0].startswith("-"):
        known = ", ".join(commands)
        raise UsageError(f"the command comes first: fisherjax COMMAND {words[0]} …, where COMMAND is one of {known}")
    check_word("the command", words[0], commands)
    command = commands[words[0]]
    hints = get_type_hints(type(command))
    places = [n for n, h in get_type_hints(type(command), include_extras=True).items() if is_positional(h)]
    rest, free = list(words[1:]), []
    while rest:
        word = rest.pop(0)
        if word == "--":
            free += rest
            break
        if _is_option(word):
            rest = _check_option(word, rest, {n: h for n, h in hints.items() if n not in places}, places)
        else:
            free.append(word)
    _check_places(free, {name: hints[name] for name in places}, words[0])


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and word != "--" and not _NUMBER.match(word)


def _field(written: str, hints: dict[str, Any]) -> str | None:
    name = written.removeprefix("--").replace("-", "_")
    negated = name.removeprefix("no_")
    if not written.startswith("--"):
        return None
    return name if name in hints else negated if hints.get(negated) is bool else None


def _check_option(word: str, rest: list[str], hints: dict[str, Any], places: list[str]) -> list[str]:
    """Check one option and the values after it; return the words that are left."""
    written, given, inline = word.partition("=")
    field = _field(written, hints)
    if field is None:
        if written.removeprefix("--").replace("-", "_") in places:
            raise UsageError(f"{written} is no option: write what it should be by itself, before the options")
        known = [option(name) for name in hints]
        close = difflib.get_close_matches(written.lower(), [*known, "--help"], n=1)
        meant = f"; did you mean {close[0]}?" if close else "; --help lists what there is"
        raise UsageError(f"there is no option {shown(written)}{meant}")
    kinds = kinds_of(hints[field])
    if not kinds:
        if given:
            raise UsageError(f"{written} takes no value; write {written} or {option('no_' + field)}")
        return rest
    following = next((index for index, one in enumerate(rest) if _is_option(one) or one == "--"), len(rest))
    many = kinds[-1] is Ellipsis
    count = 0 if given else following if many else min(len(kinds), following)
    values = [inline] if given else rest[:count]
    if not values or (not many and len(values) < len(kinds)):
        needed = "at least one value" if many else f"{len(kinds)} values" if len(kinds) > 1 else "a value"
        raise UsageError(f"{written} needs {needed}")
    for index, value in enumerate(values):
        _check_value(written, value, kinds[0] if many else kinds[index])
    return rest[count:]


def _check_value(name: str, text: str, hint: Any) -> None:
    kind = without_none(hint)
    if text == "None" and kind is not hint:
        return
    if get_origin(kind) is Literal:
        check_word(name, text, get_args(kind))
    else:
        from_text(name, text, kind)


def _check_places(free: list[str], hints: dict[str, Any], command: str) -> None:
    """Check what is written without an option's name."""
    if not hints and free:
        raise UsageError(f"{shown(free[0])} belongs to no option; fisherjax {command} --help lists what there is")
    for name, hint in hints.items():
        kinds = kinds_of(hint)
        if kinds[-1] is not Ellipsis and len(free) > 1:
            raise UsageError(f"{shown(free[1])} belongs to no option; {command} takes one {name}")
        for word in free:
            _check_value(f"the {name}", word, kinds[0])
