"""Which numbers an option takes: said beside its definition, and checked before anything else is done.

`_errors` has the same checks for arguments of the library. It imports JAX, which takes seconds; a wrong command line
is answered at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

_LONGEST = 60  # characters of a wrong value that a message repeats
_MOST = 10**9
_HUGE, _TINY = 1e12, 1e-50  # beyond which squares and ratios of squares leave the range of numbers


class UsageError(Exception):
    """Something the user wrote cannot be used; the message is one line."""


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
    """Refuse a command one of whose numbers is not finite or lies outside its limits.

    Raises
    ------
    UsageError
        That names the option.
    """
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
