"""How far two stimuli lie apart, on a line or on a circle."""

from typing import Any

import numpy as np

from fisherjax._errors import check_scalar, require

Label = float | str

STIMULUS = {"stimulus", "stimuli", "stim", "orientation", "orientations", "direction", "directions", "angle", "angles"}
_CIRCLES = {"orientation": 180.0, "orientations": 180.0}  # degrees; 360 under any other name


def as_period(period: Any) -> float | None:
    """The length of a circle, infinite for a line; None if it is not said."""
    if period is None:
        return None
    if isinstance(period, float) and period == np.inf:
        return period
    check_scalar("period", period, minimum=0.0, strict=True)
    return float(np.asarray(period))


def resolve_separation(
    given: float | None, conditions: tuple[Label, Label] | None, name: str, period: float | None
) -> tuple[float | None, list[str]]:
    """The difference of the stimulus, the shorter way round a circle, and what is said of it.

    `name` is what the file calls the conditions: those of a condition may be codes, those of a stimulus are its values.
    """
    difference, notes = None, []
    if conditions and not any(isinstance(label, str) for label in conditions):
        first, second = map(float, conditions)
        difference = abs(second - first) if period is None else _wrapped(abs(second - first), period)
        where = "on a line" if period in {None, np.inf} else f"on a circle of {period:g}"
        between = f"{first:g} and {second:g} {where}"
        if given is None and (name in STIMULUS or period is not None):
            require(difference > 0, f"the conditions are one stimulus: {between}")
            given, notes = difference, [f"the separation is {difference:g}: stimuli {between}"]
            _check_circle(given, _CIRCLES.get(name, 360.0) if period is None else period, said=period is not None)
            return given, notes
        if given is None:
            notes = [f"the conditions differ by {difference:g}"]
        elif name in STIMULUS and abs(given - difference) > 1e-6 * difference:
            notes = [f"separation={given:g} is taken as said, where the stimuli differ by {difference:g}: {between}"]
    if given is not None:
        _check_circle(given, 360.0 if period is None else period, said=period is not None)
    return given, notes


def _check_circle(separation: float, period: float, *, said: bool) -> None:
    """Refuse the longer way round; of a circle that nobody spoke of only what is shorter than once round."""
    short = _wrapped(separation, period)
    if separation <= period / 2 or (not said and separation >= period):
        return
    if said:
        way = f"the shorter way round is separation={short:g}" if short else "that is the same stimulus"
        raise ValueError(f"separation={separation:g} is more than half of period={period:g}; {way}")
    raise ValueError(
        f"separation={separation:g} is more than half of a circle of {period:g}: if the stimulus is an angle in "
        f"degrees, say period={period:g} and separation={short:g}; if it is none, period=inf"
    )


def _wrapped(difference: float, period: float) -> float:
    if not np.isfinite(period):
        return difference
    rest = difference % period
    return min(rest, period - rest)


def told_label(label: Label) -> str:
    """A condition as messages call it."""
    return repr(label) if isinstance(label, str) else f"{label:g}"
