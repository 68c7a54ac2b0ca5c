"""What is wrong with recorded responses: missing values, and units that are silent, rare, or another one over again."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fisherjax._errors import listed, require

MISSING = ("refuse", "drop", "pairwise")
_RARE = 0.01  # share of trials in which a unit leaves its most common value
_ROUNDING = 8.0
_SAME = 1e-12  # 1 − |correlation| of units that are one
_LISTED = 5
_SEVERAL = 3  # trials of each stimulus, from which a unit without noise is no unit


class Cleaned(NamedTuple):
    """Responses that are left, which trials and units they are, and what was done."""

    responses: Float[np.ndarray, "trials units"]
    trials: Int[np.ndarray, " trials"]
    units: Int[np.ndarray, " units"]
    notes: tuple[str, ...]


def cleaned(
    values: Float[np.ndarray, "n p"],
    stimulus: Float[np.ndarray, " n"],
    names: Sequence[str],
    missing: str,
    drop: Mapping[str, bool],
) -> Cleaned:
    """Leave out what the options say, and tell all that was found.

    Parameters
    ----------
    values
        Responses; NaN where one is missing.
    stimulus, names
        Of the trials, and of the units.
    missing
        One of `MISSING`.
    drop
        Whether units are left out that are ``"silent"``, ``"duplicate"`` or ``"rare"``.

    Raises
    ------
    ValueError
        If values are missing or units silent and nothing says what to do, a unit is a function of the stimulus, or
        nothing is left.
    """
    known = np.asarray(names, dtype=object)
    values = np.asarray(values, np.float64)
    count, width = values.shape
    trials, units, notes = np.arange(count), np.arange(width), []
    absent = np.isnan(values).all(axis=0)
    if absent.any():
        _decide(known[absent], "without any value", notes, dropped=drop["silent"])
        units = units[~absent]
        require(len(units) > 0, "responses hold no value at all")
        values = values[:, ~absent]
    values, trials = _without_missing(values, trials, missing, notes)
    silent = _silent(values)
    if silent.any():
        what = "that never vary" if silent.sum() > 1 else "that never varies"
        _decide(known[units[silent]], what, notes, dropped=drop["silent"])
        values, units = values[:, ~silent], units[~silent]
    certain = _functions(values, stimulus[trials])
    told = f"{_units(known[units[certain]])}: every response to a stimulus is the same, and to another it is another"
    require(not certain.any(), f"{told}; leave out what is the stimulus itself, or no response")
    for kind, find in _KINDS.items():
        which = find(values)
        if which.any():
            option = f"drop_{'duplicates' if kind == 'duplicate' else kind}={drop[kind]}"
            notes.append(f"{_units(known[units[which]], kind)}: {'left out' if drop[kind] else 'kept'} ({option})")
            if drop[kind]:
                values, units = values[:, ~which], units[~which]
    require(len(units) > 0, "no unit is left: all are silent, duplicate or rare")
    require(len(trials) > 1, f"a recording needs trials, got {len(trials)}")
    return Cleaned(values, trials, units, tuple(notes))


def groups_of_units(recorded: Bool[np.ndarray, "n p"]) -> Int[np.ndarray, " p"]:
    """Number of the group of each unit, where units that were recorded in a trial together are of one group."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415  slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    together = csr_matrix((recorded.T.astype(np.float32) @ recorded.astype(np.float32)) > 0)
    return connected_components(together, directed=False)[1]


def _decide(which: np.ndarray, what: str, notes: list[str], *, dropped: bool) -> None:
    require(dropped, f"{_units(which)} {what}; drop_silent=True leaves such units out")
    notes.append(f"{_units(which)} {what}: left out (drop_silent=True)")


def _units(which: np.ndarray, kind: str = "") -> str:
    return f"{len(which)} {kind}{' ' * bool(kind)}unit{'s' * (len(which) > 1)} ({listed(which, _LISTED)})"


def _without_missing(
    values: np.ndarray, trials: np.ndarray, missing: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    lost = np.isnan(values)
    if not lost.any():
        return values, trials
    rows = lost.any(axis=1)
    told = f"responses: {int(lost.sum())} values are missing, in {int(rows.sum())} of {len(values)} trials"
    groups = groups_of_units(~lost)
    several = (
        f", and units fall into {groups.max() + 1} groups that were never recorded together" if groups.max() else ""
    )
    ways = (
        f'missing="drop" leaves those trials out ({int((~rows).sum())} remain), missing="pairwise" takes units that '
        "were never recorded together as independent"
    )
    require(missing != "refuse", f"{told}{several}; {ways}")
    if missing == "drop":
        require(bool((~rows).any()), f'{told}: missing="drop" leaves no trial; missing="pairwise" may')
        notes.append(f'{told}: those trials were left out (missing="drop")')
        return values[~rows], trials[~rows]
    values = values.copy()
    for group in range(groups.max() + 1):
        part = groups == group
        broken = lost[:, part].any(axis=1) & ~lost[:, part].all(axis=1)
        values[np.ix_(broken, part)] = np.nan
    kept = ~np.isnan(values).all(axis=1)
    counts = [int((~np.isnan(values[:, np.argmax(groups == group)])).sum()) for group in range(groups.max() + 1)]
    empty = [group for group, number in enumerate(counts) if number < 2]
    require(
        not empty,
        f'{told}: with missing="pairwise" {len(empty)} of {len(counts)} groups of units have no two trials in which '
        "all of the group are there; leave out the units that are missing most",
    )
    notes.append(
        f"{told}: {len(counts)} groups of units, independent of one another, with {listed(counts, _LISTED)} whole "
        'trials (missing="pairwise")'
    )
    return values[kept], trials[kept]


def _functions(values: np.ndarray, stimulus: np.ndarray) -> Bool[np.ndarray, " p"]:
    """Units that are a function of the stimulus, where every stimulus was shown several times."""
    stimuli, codes, counts = np.unique(stimulus, return_inverse=True, return_counts=True)
    if len(stimuli) < 2 or counts.min() < _SEVERAL:
        return np.zeros(values.shape[1], bool)
    same = np.ones(values.shape[1], bool)
    for code in range(len(stimuli)):
        part = values[codes == code]
        there = ~np.isnan(part).all(axis=0)
        spread = np.zeros(values.shape[1])
        spread[there] = np.nanmax(part[:, there], axis=0) - np.nanmin(part[:, there], axis=0)
        same &= spread == 0
    return same


def _silent(values: np.ndarray) -> Bool[np.ndarray, " p"]:
    span = np.nanmax(values, axis=0) - np.nanmin(values, axis=0)
    return span <= _ROUNDING * np.finfo(np.float64).eps * np.nanmax(np.abs(values), axis=0)


def _rare(values: np.ndarray) -> Bool[np.ndarray, " p"]:
    """Units whose most common value stands in nearly all trials."""
    present = (~np.isnan(values)).sum(axis=0)
    common = np.nanmedian(values, axis=0)  # what stands in most trials is the median
    others = present - (values == common).sum(axis=0)
    return others < _RARE * present


def _duplicates(values: np.ndarray) -> Bool[np.ndarray, " p"]:
    """Units that are an earlier one over again, but for scale and offset; a copy lacks values where the other does."""
    lost = np.isnan(values)
    standard = np.where(lost, 0, values - np.nanmean(values, axis=0))
    standard /= np.linalg.norm(standard, axis=0)
    near = np.triu(np.abs(standard.T @ standard) > 1 - _SAME, 1)
    for first, second in np.argwhere(near) if lost.any() else ():
        near[first, second] = np.array_equal(lost[:, first], lost[:, second])
    return near.any(axis=0)


_KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"duplicate": _duplicates, "rare": _rare}
