"""Values of options: from text on the command line or from TOML to the type that the option has."""

import difflib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from ._limits import UsageError, shown


def suggestion(name: Any, known: Iterable[str]) -> str:
    """What a misspelt name may have meant."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"


def check_word(name: str, word: Any, known: Iterable[str]) -> None:
    """Refuse a word that is not among the known ones; the likeliest one is suggested."""
    words = list(known)
    if word not in words:
        close = difflib.get_close_matches(word.lower(), words, n=1) if isinstance(word, str) else []
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"{name} must be one of {', '.join(words)}; got {shown(word)}{meant}")


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Types of the values that an option takes, with an ellipsis last where there may be any number of them."""
    return get_args(hint) if get_origin(hint) is tuple else (() if hint is bool else (hint,))


def from_text(name: str, text: str, hint: Any) -> Any:
    """One word of the command line as what it stands for, still to be checked by `converted`."""
    hint = without_none(hint)
    try:
        if hint is int:
            return int(text)
        if hint is float:
            return float(text)
    except ValueError:
        kind = "a whole number" if hint is int else "a number"
        raise UsageError(f"{name} must be {kind}, got {shown(text)}") from None
    return text


def without_none(hint: Any) -> Any:
    """The type of a value that may be absent."""
    if get_origin(hint) in {Union, types.UnionType}:
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def converted(name: str, value: Any, hint: Any) -> Any:
    """A TOML value as the type of an option.

    Raises
    ------
    UsageError
        If it is something else; `name` is how the message calls it.
    """
    hint = without_none(hint)
    if get_origin(hint) is tuple:
        return _listed(name, value, get_args(hint))
    if get_origin(hint) is Literal:
        check_word(name, value, get_args(hint))
        return value
    if hint is Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise UsageError(f"{name} must be the name of a file or folder, as text, got {shown(value)}")
        return Path(value)
    if isinstance(value, int) and abs(value) >= 10**18:
        raise UsageError(f"{name} must have at most 18 digits, got {shown(value)}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise UsageError(f"{name} must be {kinds[hint]}, got {shown(value)}")
    return value


def _listed(name: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{name} must be a list, such as [ … ], got {shown(value)}")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise UsageError(f"{name} must be a list of {len(kinds)}, got {len(value)}")
    kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
    return tuple(
        converted(f"{name}[{index}]", item, kind) for index, (item, kind) in enumerate(zip(value, kinds, strict=True))
    )
