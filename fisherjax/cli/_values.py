"""Values of options: which numbers one takes, and words of the command line or of TOML as what they stand for.

`_errors` has the same checks for arguments of the library. It imports JAX, which takes seconds; a wrong command line
is answered at once.
"""

import difflib
import math
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import Positional

_LONGEST = 60  # characters of a wrong value that a message repeats
_MOST = 10**9
_HUGE, _TINY = 1e12, 1e-50  # beyond which squares and ratios of squares leave the range of numbers
_POSITIONAL = Positional[int].__metadata__[0]  # pyright: ignore[reportAttributeAccessIssue]


class UsageError(Exception):
    """Something the user wrote cannot be used; the message is one line. What reads or checks it may raise this."""


@dataclass(frozen=True)
class Limits:
    """Numbers from `minimum` to `maximum`; if `strict`, above `minimum`. They are finite, or, if `infinite`, no NaN."""

    minimum: float | int = -math.inf
    maximum: float | int = math.inf
    strict: bool = False
    infinite: bool = False


Count = Annotated[int, Limits(1, _MOST)]
"""1, 2, 3, …"""
Whole = Annotated[int, Limits(0, _MOST)]
"""0, 1, 2, …"""
Real = Annotated[float, Limits(-_HUGE, _HUGE)]
"""Any number."""
Amount = Annotated[float, Limits(0, _HUGE)]
"""A number from 0 on."""
Size = Annotated[float, Limits(0, _HUGE, strict=True)]
"""A number above 0."""
Share = Annotated[float, Limits(0, 1)]
"""A number from 0 to 1."""


def option(name: str) -> str:
    """How a field is written on the command line."""
    return f"--{name.replace('_', '-')}"


def shown(value: Any) -> str:
    """A wrong value as a message repeats it: short and on one line."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return repr(text) if isinstance(value, str) else text


def check_limits(command: Any) -> None:
    """Refuse a command one of whose numbers is not finite or lies outside its limits."""
    for name, hint in get_type_hints(type(command), include_extras=True).items():
        value = getattr(command, name)
        for limits in limits_of(hint):
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None:
                    _check(option(name), number, limits)


def limits_of(hint: Any) -> Iterator[Limits]:
    """The limits in an annotation, however deep."""
    if get_origin(hint) is Annotated:
        yield from (part for part in hint.__metadata__ if isinstance(part, Limits))
    for part in get_args(hint):
        if part is not Ellipsis:
            yield from limits_of(part)


def _check(name: str, number: float | int, limits: Limits) -> None:
    # a whole number may be too large to be turned into a float
    if isinstance(number, float) and (math.isnan(number) or (math.isinf(number) and not limits.infinite)):
        raise UsageError(f"{name} must be finite, got {number}")
    if 0 < abs(number) < _TINY:
        raise UsageError(f"{name} must be 0 or at least {_TINY:g} in size, got {number:g}")
    bound = "above" if limits.strict else "at least"
    if number < limits.minimum or (limits.strict and number == limits.minimum):
        raise UsageError(f"{name} must be {bound} {limits.minimum:g}, got {_number(number)}")
    if number > limits.maximum:
        hint = f"; {number:g} % is {number / 100:g}" if limits.maximum == 1 and number <= 100 else ""
        raise UsageError(f"{name} must be at most {limits.maximum:g}, got {_number(number)}{hint}")


def _number(number: float | int) -> str:
    return f"{number:g}" if isinstance(number, float) else shown(number)


def is_positional(hint: Any) -> bool:
    """Whether the annotation is one of an argument that is written without its name."""
    return _POSITIONAL in getattr(hint, "__metadata__", ())


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
    """A TOML value as the type of an option."""
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
    if hint is str and type(value) in {int, float}:
        return f"{value!r}"  # a condition or a stimulus that is a number
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
