"""A user's recorded responses to two stimuli, from tables of text and files of arrays."""

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fisherjax._arrays import host_real
from fisherjax._errors import as_path, check_kind, check_optional, check_scalar, listed, require, told
from fisherjax._types import Scalar

from ._formats import file_kind, read_arrays
from ._headers import as_number, is_missing, whole_cells
from ._separation import STIMULUS, Label, as_period, resolve_separation, told_label
from ._tables import Table, numbers, read_table

_CONDITION = {*STIMULUS, "condition", "conditions", "label", "labels", "class", "target"}
_INDEX = {"", "index", "trial", "trials", "id", "row", "unnamed: 0"}
_LISTED = 6


class Responses(NamedTuple):
    """Responses to two stimuli, and what was decided in reading them."""

    minus: Float[np.ndarray, "trials units"]
    plus: Float[np.ndarray, "other_trials units"]
    separation: float | None
    """Total difference of the stimulus between the two, if it is known."""
    notes: tuple[str, ...]


class _Labeled(NamedTuple):
    """Trials of several conditions."""

    responses: np.ndarray
    labels: list[Label]
    name: str  # of what holds the labels, "" if it has none
    where: str


def read_responses(
    *paths: str | os.PathLike[str],
    conditions: Sequence[Any] | None = None,
    separation: Scalar | None = None,
    period: Scalar | None = None,
    header: str = "auto",
    separator: str = "auto",
    decimal: str = "auto",
) -> Responses:
    """Read responses to two stimuli, (trials, units) each, from files.

    Parameters
    ----------
    *paths
        Two files, one per condition; or one. A file is a table of text (.csv, .tsv, .txt, also packed by gzip), or
        holds arrays (.npz, .npy, MATLAB 5's .mat). One table has a column that names the condition of each trial: the
        one whose header says so (``condition``, ``stimulus``, ``label``, …), or else the first. One file of arrays has
        `minus` and `plus` (trials, units) and perhaps `separation`, or `responses` and one of `stimulus`, `condition`,
        `label` with an entry for each trial.
    conditions
        The two conditions to compare, where one file holds more.
    separation
        Total difference of the stimulus; by default what the file says of it.
    period
        Length of the circle that the stimulus lives on, as 360 for an angle in degrees: differences are taken the
        shorter way round. ``inf`` for a stimulus on a line, where its values differ by more than 180.
    header
        Whether the first row of a table names columns: ``"yes"``, ``"no"`` or ``"auto"``.
    separator
        Between cells: ``"comma"``, ``"semicolon"``, ``"tab"``, ``"bar"``, ``"space"`` or ``"auto"``.
    decimal
        ``"point"``, ``"comma"`` or ``"auto"``.

    Returns
    -------
    Both arrays, the separation (None if nothing says it), and notes: what was found and decided.

    Raises
    ------
    OSError
        If a file may not be read.
    TypeError, ValueError
        If a file is another format (which is said), damaged or too large, has missing values, rows of different
        lengths or more than two axes; if it does not say which two conditions are compared; if what it says is
        ambiguous, with the argument that decides.
    """
    files = [as_path("paths", path).expanduser() for path in paths]
    require(len(files) in {1, 2}, f"paths must be one file or two, one per condition, got {len(files)}")
    check_optional(check_scalar, "separation", separation, minimum=0.0, strict=True)
    circle = as_period(period)
    wanted = _wanted(conditions)
    options = {"header": header, "separator": separator, "decimal": decimal}
    if len(files) == 2:
        require(wanted is None, "conditions are chosen within one file, but there are two, one per condition")
        minus, plus, notes = _from_two(files, options)
        values, name, stored = None, "", None
    else:
        minus, plus, values, name, stored, notes = _from_one(files[0], wanted, options)
    require(
        minus.shape[1] == plus.shape[1],
        f"{files[0]} has {minus.shape[1]} units and {files[-1]} has {plus.shape[1]}"
        if len(files) == 2
        else f"{files[0]}: minus has {minus.shape[1]} units and plus has {plus.shape[1]}",
    )
    given = stored if separation is None else float(np.asarray(separation))
    distance, said = resolve_separation(given, values, name, circle)
    return Responses(minus, plus, distance, (*notes, *said))


def _wanted(conditions: Any) -> tuple[Label, Label] | None:
    if conditions is None:
        return None
    if isinstance(conditions, str | bytes | dict | set) or not hasattr(conditions, "__len__"):
        raise TypeError(f"conditions must be two names or numbers, got {told(conditions)}")
    require(len(conditions) == 2, f"conditions must be two names or numbers, got {len(conditions)}")
    items = [item.item() if isinstance(item, np.generic) else item for item in conditions]
    for item in items:
        check_kind("conditions", item, (str, int, float), "two names or numbers", but=bool)
    first, second = ((item.strip() if isinstance(item, str) else float(item)) for item in items)
    return first, second


def _from_two(files: list[Path], options: dict[str, str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    arrays, notes, headers = [], [], []
    for path in files:
        if file_kind(path) in {"text", "gzip"}:
            table = without_index(read_table(path, **options))
            _check_units(table)
            arrays.append(numbers(table))
            headers.append(table.names)
            notes += table.notes
        else:
            held = read_arrays(path)
            shown = _contents(held)
            require(len(held) == 1, f"{path} must hold one array where there are two files; it holds {shown}")
            array = _matrix(path, *next(iter(held.items())))
            arrays.append(array)
            notes.append(f"{path.name}: {len(array)} trials of {array.shape[1]} units")
    if len(headers) == 2 and headers[0] and headers[1] and len(headers[0]) == len(headers[1]):
        differing = [pair for pair in zip(*headers, strict=True) if pair[0] != pair[1]]
        if differing:
            raise ValueError(
                f"{files[0]} and {files[1]} name different columns, as {differing[0][0]!r} and {differing[0][1]!r}"
            )
    return arrays[0], arrays[1], notes


def _from_one(
    path: Path, wanted: tuple[Label, Label] | None, options: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, tuple[Label, Label] | None, str, float | None, list[str]]:
    """Both conditions, their labels and the name of these, a stored separation, and notes."""
    stored, notes = None, []
    if file_kind(path) in {"text", "gzip"}:
        labeled, notes = _from_table(read_table(path, **options))
    else:
        held = read_arrays(path)
        if "separation" in held:
            stored = _stored(path, held.pop("separation"))
        if "minus" in held or "plus" in held:
            return *_pair(path, held, wanted), None, "", stored, notes
        labeled = _from_arrays(path, held)
    first, second = _chosen(labeled, wanted)
    labels = np.array([0 if label == first else 1 if label == second else 2 for label in labeled.labels])
    counts = [int(np.sum(labels == code)) for code in (0, 1)]
    left = len(labels) - sum(counts)
    notes.append(
        f"{path.name}: {counts[0]} trials of condition {told_label(first)} and {counts[1]} of {told_label(second)}"
        + (f", {left} of others left out" if left else "")
        + f"; {labeled.responses.shape[1]} units"
    )
    minus, plus = (labeled.responses[labels == code] for code in (0, 1))
    return minus, plus, (first, second), labeled.name, stored, notes


def _pair(path: Path, held: dict[str, np.ndarray], wanted: Any) -> tuple[np.ndarray, np.ndarray]:
    require(wanted is None, f"conditions are of no use: {path} holds minus and plus")
    for name in ("minus", "plus"):
        require(name in held, f"{path} has no array {name!r}; it holds {_contents(held)}")
    return _matrix(path, "minus", held["minus"]), _matrix(path, "plus", held["plus"])


def _stored(path: Path, value: np.ndarray) -> float:
    array = host_real(f"{path}: separation", value)
    require(array.size == 1, f"{path}: separation must be one number, got shape {array.shape}")
    number = float(array.ravel()[0])
    require(number > 0, f"{path}: separation must be above 0, got {number:g}")
    return number


def _from_arrays(path: Path, held: dict[str, np.ndarray]) -> _Labeled:
    names = [name for name in held if name.lower() in _CONDITION]
    if "responses" not in held or len(names) != 1:
        raise ValueError(
            f"{path} must hold minus and plus (trials, units), or responses (trials, units) and one of stimulus, "
            f"condition or label (trials); it holds {_contents(held)}"
        )
    responses = _matrix(path, "responses", held["responses"])
    labels = held[names[0]]
    labels = labels.reshape(-1) if labels.size == max(labels.shape, default=0) else labels
    require(
        labels.shape == (len(responses),),
        f"{path}: {names[0]} must have one entry for each of the {len(responses)} trials, got shape {labels.shape}",
    )
    if labels.dtype.kind in "US":
        items: list[Label] = [
            item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in labels
        ]
    else:
        items = [float(item) for item in host_real(f"{path}: {names[0]}", labels)]
    return _Labeled(responses, items, names[0].lower(), f"{path}: {names[0]}")


def _matrix(path: Path, name: str, value: np.ndarray) -> np.ndarray:
    label = f"{path}: {name or 'the array'}"
    hint = {
        1: "of one unit, give it as a column: reshape(-1, 1)",
        3: "of responses in time take one bin, or their sum over that axis, first",
    }.get(value.ndim, "")
    return host_real(label, value, "trials units", hint=hint)


def _from_table(table: Table) -> tuple[_Labeled, list[str]]:
    table = without_index(table)
    lower = [name.lower() for name in table.names or ()]
    named = [index for index, name in enumerate(lower) if name in _CONDITION]
    column = named[0] if named else 0
    cells = table.column(column)
    missing = [row.line for row, cell in zip(table.rows, cells, strict=True) if is_missing(cell)]
    if missing:
        lines = f"line {missing[0]}{', …' if len(missing) > 1 else ''}"
        raise ValueError(f"{table.path}: {len(missing)} of {len(cells)} rows name no condition ({lines})")
    require(len(table.rows[0].cells) > 1, f"{table.path} has one column; a condition and at least one unit are needed")
    values = [as_number(cell, table.decimal) for cell in cells]
    whole = [value for value in values if value is not None]
    labels: list[Label] = [*whole] if len(whole) == len(values) else [*cells]
    which = f"the column {table.names[column]!r}" if table.names and lower[column] else "the first column"
    name = lower[column] if lower else ""
    units = table.without(column)
    _check_units(units)
    return _Labeled(numbers(units), labels, name, f"{table.path}: {which}"), table.notes


def _check_units(table: Table) -> None:
    """Refuse columns whose name says that they are no unit: as one they would count."""
    wrong = [name for name in table.names or () if name and name.lower() in _CONDITION | _INDEX]
    if wrong:
        raise ValueError(f"{table.path}: the column {wrong[0]!r} is no unit; leave it out of the file")


def without_index(table: Table) -> Table:
    """The table without a first column that numbers its rows."""
    cells = table.column(0)
    if len(table.rows[0].cells) < 2 or len(cells) < 2 or not whole_cells(cells):
        return table
    counts = [int(cell) for cell in cells]
    name = None if table.names is None else table.names[0].lower()
    runs = all(b == a + 1 or b == counts[0] for a, b in itertools.pairwise(counts)) and counts[1] != counts[0]
    if name is not None and name in _INDEX:
        is_index = len(set(counts)) == len(counts) or (runs and len(set(counts)) > 2)
    else:
        is_index = len(counts) > 3 and counts[0] in {0, 1} and counts == list(range(counts[0], counts[0] + len(counts)))
    if not is_index:
        return table
    note = f"{table.path.name}: the first column ({cells[0]}, {cells[1]}, …) numbers the rows and was left out"
    return table.without(0)._replace(notes=[*table.notes, note])


def _chosen(labeled: _Labeled, wanted: tuple[Label, Label] | None) -> tuple[Label, Label]:
    counts = Counter(labeled.labels)
    shown = listed((f"{told_label(label)} ({count} trials)" for label, count in counts.most_common()), _LISTED)
    if wanted is None:
        if len(counts) == 2:
            first, second = counts
            return first, second
        two = sorted(counts, key=str if isinstance(labeled.labels[0], str) else None)[:2]
        hint = f"; choose two, as conditions=({', '.join(map(told_label, two))})" if len(counts) > 2 else ""
        if len(counts) > 10 and 2 * len(counts) > len(labeled.labels):
            hint = "; it looks like responses: add a column of conditions, or give two files, one per condition"
        raise ValueError(f"{labeled.where} must name two conditions, got {len(counts)}: {shown}{hint}")
    numeric = not isinstance(labeled.labels[0], str)
    pair = [_as_label(item, numeric=numeric) for item in wanted]
    for item in pair:
        require(item in counts, f"conditions: {labeled.where} has no {told_label(item)}, only {shown}")
    require(pair[0] != pair[1], f"conditions must be two different ones, got {told_label(pair[0])} twice")
    return pair[0], pair[1]


def _as_label(item: Label, *, numeric: bool) -> Label:
    if numeric:
        number = as_number(item) if isinstance(item, str) else item
        return item if number is None else number
    return item if isinstance(item, str) else f"{item:g}"


def _contents(held: dict[str, np.ndarray]) -> str:
    return listed((f"{name or 'one array'} {array.shape}" for name, array in held.items()), _LISTED) or "nothing"
