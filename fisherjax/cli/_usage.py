"""What is written on a command line, word by word: which options, and what is wrong with them, in our own words."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from ._limits import UsageError, option, shown
from ._values import check_word, from_text, kinds_of, without_none

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)
_POSITIONAL = Positional[int].__metadata__[0]  # pyright: ignore[reportAttributeAccessIssue]


def said(words: Sequence[str], command: Any) -> frozenset[str]:
    """Fields of a command whose options are on the command line."""
    hints = get_type_hints(type(command))
    fields = (_field(word.partition("=")[0], hints) for word in words[1:] if _is_option(word))
    return frozenset(field for field in fields if field is not None)


def check_words(words: Sequence[str], commands: dict[str, Any]) -> None:
    """Refuse what a parser would refuse in words of its own; a request for help passes.

    Raises
    ------
    UsageError
        That names the word.
    """
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


def is_positional(hint: Any) -> bool:
    """Whether the annotation is one of an argument that is written without its name."""
    return _POSITIONAL in getattr(hint, "__metadata__", ())


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
