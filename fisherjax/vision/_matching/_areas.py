"""The two sides of a comparison: areas of a model through time, and a recording of the same stimuli through time."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real, check_finite, float_type, host_real
from fisherjax._errors import check_kind, listed, require, told
from fisherjax._types import ArrayLike
from fisherjax.fisher import Recording
from fisherjax.fisher._recorded._pairs import as_recording
from fisherjax.vision._respond import Response

_SAME = 1e-6  # of the range of the stimuli: what `Recording` too takes for one
_LISTED = 5

Activity = Mapping[str, Any] | Sequence[Any] | Response
Recordings = Recording | Sequence[Recording]


class Sides(NamedTuple):
    """What is compared, checked and in the order of the recording's stimuli."""

    names: tuple[str, ...]
    """of the areas"""
    patterns: tuple[Float[Array, "T K N"], ...]
    """activity of every area, at each time, for each stimulus"""
    recordings: tuple[Recording, ...]
    """one for each time"""
    times: Float[np.ndarray, " T"]
    recorded_times: Float[np.ndarray, " B"]


def both_sides(
    activity: Activity,
    recording: Recordings,
    stimuli: ArrayLike | None,
    times: ArrayLike | None,
    recorded_times: ArrayLike | None,
) -> Sides:
    """Check that a model and a recording are of the same stimuli, and bring them into the same order."""
    names, patterns, steps = _areas(activity)
    recordings = _recordings(recording)
    rows = _rows(recordings[0], patterns[0].shape[1], stimuli)
    if not np.array_equal(rows, np.arange(patterns[0].shape[1])):  # which would be copies
        patterns = tuple(part[:, rows] for part in patterns)
    return Sides(
        names,
        patterns,
        recordings,
        _axis("times", steps if times is None else times, len(patterns[0]), "times of the activity"),
        _axis("recorded_times", recorded_times, len(recordings), "recordings"),
    )


def _areas(activity: Activity) -> tuple[tuple[str, ...], tuple[Array, ...], ArrayLike | None]:
    """Names, activity (T, S, N) of each area, and the times that it brings along."""
    steps = None
    if isinstance(activity, Response):
        require(len(activity.areas) > 0, 'activity was not recorded: vision.respond(…, areas="all")')
        shape = activity.activity[0].shape
        images = "(steps, images, height, width, channels)"
        require(len(shape) == 5, f"activity of a response must have shape {images}, got {shape}")
        named = {f"area {index}": one for index, one in zip(activity.areas, activity.activity, strict=True)}
        steps = activity.recorded.astype(float)
    elif isinstance(activity, Mapping):
        named = {str(name): one for name, one in activity.items()}
    else:
        check_kind(
            "activity", activity, (list, tuple), "areas by name, a list of areas, or what vision.respond returns"
        )
        named = {f"area {index}": one for index, one in enumerate(activity)}
    require(len(named) > 0, "activity must hold at least one area, got none")
    arrays = {name: as_real(f"activity of {name}", one) for name, one in named.items()}
    first, dtype = next(iter(arrays.values())), float_type(*arrays.values())
    for name, array in arrays.items():
        shape = array.shape
        hint = "; for one time give activity[None]" if array.ndim == 2 else ""
        require(
            array.ndim >= 3 and array.size > 0,
            f"activity of {name} must have shape (times, stimuli, units) or (times, stimuli, …), got {shape}{hint}",
        )
        require(
            shape[:2] == first.shape[:2],
            f"activity must have the same times and stimuli in every area, got {first.shape[:2]} and {shape[:2]}",
        )
    return tuple(arrays), tuple(one.reshape(*one.shape[:2], -1).astype(dtype) for one in arrays.values()), steps


def _recordings(recording: Recordings) -> tuple[Recording, ...]:
    """Recordings of the same trials, one for each time."""
    several = (recording,) if isinstance(recording, Recording) else recording
    check_kind("recording", several, (list, tuple), "a fisher.Recording, or a list with one for each time")
    require(len(several) > 0, "recording must hold at least one time, got none")
    checked = tuple(as_recording(f"recording[{place}]", one, whole="comparisons") for place, one in enumerate(several))
    first = checked[0]
    for place, one in enumerate(checked):
        same = np.array_equal(one.stimulus, first.stimulus)
        blocks = one.block is first.block is None or (
            one.block is not None and first.block is not None and np.array_equal(one.block, first.block)
        )
        require(
            same and blocks,
            f"recording[{place}] must hold the same trials as recording[0]: the same stimuli and blocks in the same "
            "order; units may differ",
        )
    return checked


def _rows(recording: Recording, count: int, stimuli: ArrayLike | None) -> Int[np.ndarray, " K"]:
    """Which row of the activity shows each of the recording's stimuli."""
    shown = recording.stimuli
    least = 5  # ten pairs: fewer say nothing about an order of distances
    require(len(shown) >= least, f"recording must hold at least {least} stimuli, got {len(shown)}")
    if stimuli is None:
        numbers = np.round(shown).astype(int)
        from_one = numbers[0] == 1 and numbers[-1] == count
        hint = "take 1 off, or give" if from_one else "give"
        fits = bool((shown == numbers).all() and numbers[0] >= 0 and numbers[-1] < count)
        require(
            fits,
            f"recording must have row numbers of activity as its stimuli, 0 to {count - 1}, but has "
            f"{listed((f'{value:g}' for value in shown), _LISTED)}; {hint} stimuli=, the stimulus of each row",
        )
        return numbers
    known = host_real("stimuli", stimuli, "stimuli").astype(np.float64)
    require(len(known) == count, f"stimuli must be one for each of {count} rows of activity, got {len(known)}")
    if recording.period is not None:
        known = np.mod(known, recording.period)
    reach = _SAME * max(float(np.ptp(known)), float(np.ptp(shown)))
    near = np.abs(known - shown[:, None]) <= reach
    none, many = shown[near.sum(axis=1) == 0], shown[near.sum(axis=1) > 1]
    of = f"of the recording's {len(shown)} stimuli"
    require(len(none) == 0, f"stimuli lack {len(none)} {of} ({listed((f'{value:g}' for value in none), _LISTED)})")
    require(
        len(many) == 0, f"stimuli hold {len(many)} {of} twice ({listed((f'{value:g}' for value in many), _LISTED)})"
    )
    return np.argmax(near, axis=1)


def _axis(name: str, values: ArrayLike | None, count: int, what: str) -> Float[np.ndarray, " n"]:
    """Times that grow; 1, 2, … if none are given."""
    if values is None:
        return np.arange(1.0, count + 1)
    array = host_real(name, values, name).astype(np.float64)
    check_finite(name, array)
    require(len(array) == count, f"{name} must be one for each of {count} {what}, got {len(array)}")
    require(bool((np.diff(array) > 0).all()), f"{name} must grow from each to the next, got {told(array.tolist())}")
    return array
