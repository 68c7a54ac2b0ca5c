"""Recordings from files: tables of text, Parquet, arrays, MATLAB, HDF5 and NWB."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fisherjax._errors import as_path, check_kind, check_optional, listed, require, suggest, told
from fisherjax._types import ArrayLike, Scalar
from fisherjax.datasets._formats import kind_of_file, read_arrays
from fisherjax.datasets._hdf5 import read_hdf5, read_parquet
from fisherjax.datasets._headers import is_missing
from fisherjax.datasets._nwb import read_nwb
from fisherjax.datasets._recorded import without_index
from fisherjax.datasets._separation import STIMULUS
from fisherjax.datasets._tables import Table, numbers, read_table

from ._recording import Recording

_LISTED, _FEW = 8, 10
_AXES = {"trials", "units", "stimuli"}
_HDF5 = {"an HDF5 file", "a MATLAB 7.3 file"}
_NO_UNITS = re.compile(
    r"(^|[^a-z])(trials?|index|ids?|numbers?|conditions?|labels?|sessions?|blocks?|runs?|times?|onset|offset|start|stop|end|"
    r"rt|reaction|latency|choice|response|correct|reward|contrast|date|mouse|animal|subject)([^a-z]|$)"
)


class _Found(NamedTuple):
    """What was read: responses, stimulus and blocks of the trials, names of units, and what was done."""

    responses: Any
    stimulus: Any
    block: Any
    names: Any
    notes: list[str]


def read_recording(
    path: str | os.PathLike[str],
    stimulus: str | ArrayLike,
    *,
    responses: str | None = None,
    block: str | None = None,
    units: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    axes: str | None = None,
    window: Sequence[Any] | None = None,
    period: Scalar | None = None,
    stimulus_unit: str = "",
    missing: str = "refuse",
    drop_silent: bool = True,
    drop_duplicates: bool = True,
    drop_rare: bool = False,
    header: str = "auto",
    separator: str = "auto",
    decimal: str = "auto",
) -> Recording:
    """Read a recording from a file: .csv, .tsv (also .gz), .parquet, .npz, .npy, .mat (5 and 7.3), .h5 or .nwb.

    A table has a row for each trial, a column for the stimulus and one for each unit. A file of arrays holds responses
    (trials, units) and the stimulus of each trial, or responses along three axes and the values of the stimulus. Of an
    NWB file spikes are counted, or fluorescence averaged, in a window of each trial.

    Parameters
    ----------
    path
        The file. What it is, its first bytes tell.
    stimulus
        The column, array or column of the table of trials that holds the stimulus; or its values.
    responses
        The array that holds the responses, where a file holds several; of NWB ``"units"`` (spikes) or the name of an
        imaging series.
    block
        The column or array that names the session or block of each trial.
    units
        Columns of a table that are units; by default all that are left.
    exclude
        Columns of a table that are none.
    axes
        Which axis of an array is which, as ``"units stimuli trials"``; by default (trials, units).
    window
        Seconds after the start of each trial of an NWB file; by default the whole trial, if all last as long.
    period, stimulus_unit, missing, drop_silent, drop_duplicates, drop_rare
        As for `Recording`.
    header, separator, decimal
        Of a table of text, as for `datasets.read_responses`.

    Returns
    -------
    Recording
        Its `notes` say what was read and decided.

    Raises
    ------
    OSError
        If the file may not be read.
    ImportError
        If its format needs a library that is not installed, with the command that installs it.
    TypeError, ValueError
        If it is damaged or another format, if what is asked for is not there (what is there is told), if it is
        ambiguous, or as `Recording`.
    """
    file = as_path("path", path).expanduser()
    if isinstance(stimulus, str | os.PathLike):
        require(
            bool(os.fspath(stimulus)), "stimulus must be the name of a column or array, or values, got an empty text"
        )
    for name, value in {"responses": responses, "block": block, "axes": axes}.items():
        check_optional(check_kind, name, value, kind=str, what="a text")
    check_optional(_check_names, "units", units)
    _check_names("exclude", exclude)
    seconds = _as_window(window)
    kind = kind_of_file(file)
    is_table, is_nwb = kind in {"text", "gzip", "a Parquet file"}, file.suffix.lower() == ".nwb" and kind in _HDF5
    _refuse_unused(file, is_table, is_nwb, axes=axes, window=seconds, units=units, exclude=exclude, responses=responses)
    if is_table:
        options = {"header": header, "separator": separator, "decimal": decimal}
        found = _of_table(file, kind, stimulus, block, units, exclude, options)
    elif is_nwb:
        found = _of_nwb(file, stimulus, responses, block, seconds)
    else:
        found = _of_arrays(file, kind, stimulus, responses, block, axes)
    return Recording(
        found.responses,
        found.stimulus,
        block=found.block,
        names=found.names,
        period=period,
        stimulus_unit=stimulus_unit,
        missing=missing,
        drop_silent=drop_silent,
        drop_duplicates=drop_duplicates,
        drop_rare=drop_rare,
        notes=tuple(found.notes),
    )


def _refuse_unused(file: Path, is_table: bool, is_nwb: bool, **given: Any) -> None:  # noqa: FBT001
    of = {"axes": "arrays", "window": "NWB files", "units": "tables", "exclude": "tables", "responses": "arrays"}
    mine = {"tables"} if is_table else {"NWB files"} if is_nwb else {"arrays"}
    for name, value in given.items():
        fits = of[name] in mine or (name == "responses" and is_nwb)
        require(value is None or len(value) == 0 or fits, f"{name} is for {of[name]}, which {file.name} is not")


def _check_names(name: str, value: Any) -> None:
    for item in check_kind(name, value, (list, tuple, np.ndarray), "a list of names of columns"):
        check_kind(name, item, str, "a list of names of columns")


def _as_window(window: Any) -> tuple[float, float] | None:
    if window is None:
        return None
    values = np.asarray(window, dtype=object)
    good = values.shape == (2,) and all(isinstance(item, int | float) for item in values)
    require(good, f"window must be two numbers, start and stop in seconds, got {told(window)}")
    return float(values[0]), float(values[1])


def _of_table(
    file: Path, kind: str, stimulus: Any, block: Any, units: Any, exclude: Any, options: dict[str, str]
) -> _Found:
    if kind == "a Parquet file":
        columns, notes = read_parquet(file), []
        notes.append(f"{file.name}: {len(next(iter(columns.values()), ()))} rows of {len(columns)} columns")
    else:
        table = without_index(read_table(file, **options))
        require(table.names is not None, f"{file} has no header; name the columns in its first row")
        columns, notes = _text_columns(table), table.notes
    taken = [name for name in (stimulus, block) if isinstance(name, str)]
    theta = _column(file, "stimulus", columns, stimulus) if isinstance(stimulus, str) else stimulus
    labels = _labels(file, block, columns)
    for name in exclude:
        _column(file, "exclude", columns, name)
    if units is None:
        names = [name for name in columns if name not in {*taken, *exclude} and not name.startswith("__index")]
        others = [name for name in names if name.lower() in STIMULUS or _NO_UNITS.search(name.lower())]
        others += [name for name in names if name not in others and _counts_up(columns[name])]
        ask = f"{file}: the column {others[0] if others else ''!r} is no unit by its name"
        require(not others, f"{ask}; exclude=({', '.join(map(repr, others))},) leaves it out")
    else:
        names = list(units)
        for name in names:
            _column(file, "units", columns, name)
    clash = [name for name in names if name in taken]
    require(not clash, f"units: {clash[0] if clash else ''!r} is the stimulus or the block")
    require(bool(names), f"{file} has no column of a unit beside {', '.join(map(repr, taken))}")
    responses = np.stack([_numeric(file, name, columns[name]) for name in names], axis=1)
    notes = [*notes, f"{file.name}: {len(names)} units: {listed(names, _LISTED)}"]
    return _Found(responses, _theta(file, theta), labels, names, notes)


def _labels(file: Path, block: str | None, columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """Blocks of the trials; none may be missing."""
    if block is None:
        return None
    labels = _column(file, "block", columns, block)
    missing = int(np.isnan(labels).sum()) if labels.dtype.kind == "f" else sum(is_missing(str(item)) for item in labels)
    require(missing == 0, f"block: {block!r} in {file} is missing in {missing} of {len(labels)} trials")
    return labels if labels.dtype.kind in "iub" else labels.astype(str)


def _counts_up(values: np.ndarray) -> bool:
    """Whether a column only grows from trial to trial, as numbers and times of trials do."""
    return values.dtype.kind in "iuf" and len(values) > _FEW and bool((np.diff(values) > 0).all())


def _text_columns(table: Table) -> dict[str, np.ndarray]:
    """Columns of a table by name: numbers with NaN for what is missing, or text."""
    columns: dict[str, np.ndarray] = {}
    for index, name in enumerate(table.names or ()):
        require(name not in columns, f"{table.path}: two columns are named {name!r}")
        cells = table._replace(rows=[row._replace(cells=[row.cells[index]]) for row in table.rows])
        try:
            columns[name] = numbers(cells, missing=True)[:, 0]
        except ValueError as error:
            if "is not a number" not in str(error):
                raise
            columns[name] = np.asarray(table.column(index))
    return columns


def _column(file: Path, argument: str, columns: dict[str, Any], name: str) -> np.ndarray:
    near = suggest(name, columns)
    require(name in columns, f"{argument}: {file} has no {name!r}, only {listed(columns, _LISTED)}{near}")
    return columns[name]


def _numeric(file: Path, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "US":
        wrong = next((str(item) for item in values if not _is_number(str(item))), str(values[0]))
        raise ValueError(
            f"{file}: the column {name!r} holds {wrong[:40]!r}, which is not a number; if it is no unit, "
            f"exclude=({name!r},) leaves it out"
        )
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _theta(file: Path, values: Any) -> Any:
    array = np.asarray(values)
    if array.dtype.kind in "US":
        wrong = next((str(item) for item in array.ravel() if not _is_number(str(item))), str(array.ravel()[0]))
        raise ValueError(f"{file}: the stimulus must be numbers, but it holds {wrong[:40]!r}")
    return array.astype(np.float64) if array.dtype.kind in "biu" else array


def _of_nwb(file: Path, stimulus: Any, responses: Any, block: Any, window: tuple[float, float] | None) -> _Found:
    held = read_nwb(file, responses, window)
    theta = _column(file, "stimulus", held.columns, stimulus) if isinstance(stimulus, str) else stimulus
    labels = _labels(file, block, held.columns)
    return _Found(held.responses, _theta(file, theta), labels, held.names, held.notes)


def _of_arrays(file: Path, kind: str, stimulus: Any, responses: Any, block: Any, axes: Any) -> _Found:
    held = read_hdf5(file, matlab=kind == "a MATLAB 7.3 file") if kind in _HDF5 else read_arrays(file)
    if isinstance(stimulus, os.PathLike):
        stimulus = os.fspath(stimulus)
    theta = _vector(file, "stimulus", held, stimulus) if isinstance(stimulus, str) else np.asarray(stimulus)
    labels = None if block is None else _vector(file, "block", held, block)
    name = _responses_name(file, held, responses, {stimulus if isinstance(stimulus, str) else None, block})
    values, notes = held[name], []
    values, told_axes = _arranged(file, name, np.asarray(values), axes, len(theta))
    notes.append(f"{file.name}: {name or 'the array'} {held[name].shape}{told_axes}")
    return _Found(values, _theta(file, theta), labels, None, notes)


def _vector(file: Path, argument: str, held: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in held and Path(name).suffix == ".npy":
        held = {name: read_arrays(as_path(argument, name))[""]}
    known = {key or "one array": value for key, value in held.items()}
    value = _column(file, argument, known, name)
    require(
        value.size == max(value.shape, default=0),
        f"{argument}: {name!r} in {file} has shape {value.shape}, not one axis",
    )
    return value.reshape(-1)


def _responses_name(file: Path, held: dict[str, np.ndarray], given: str | None, taken: set[Any]) -> str:
    if given is not None:
        _column(file, "responses", held, given)
        return given
    large = [name for name, value in held.items() if name not in taken and value.ndim >= 2 and value.size > 1]
    shown = listed((f"{name or 'one array'} {held[name].shape}" for name in held), _LISTED)
    require(bool(large), f"{file} has no array of responses (trials, units); it holds {shown}")
    named = [name for name in large if name.lower().split(".")[-1] in {"responses", "spikes", "counts", "rates"}]
    chosen = large if len(large) == 1 else named
    require(len(chosen) == 1, f"{file} holds several arrays ({shown}); say which by responses=")
    return chosen[0]


def _arranged(file: Path, name: str, values: np.ndarray, axes: str | None, count: int) -> tuple[np.ndarray, str]:
    """Responses as (trials, units) or (stimuli, trials, units), and what was done."""
    label = f"{file}: {name or 'the array'} has shape {values.shape}"
    if axes is None:
        require(values.ndim < 3, f"{label}; say which axis is which, as axes='units stimuli trials'")
        square = values.ndim == 2 and values.shape == (count, count)
        require(not square, f"{label} and there are {count} stimuli; say axes='trials units' or axes='units trials'")
        turned = values.ndim == 2 and values.shape[0] != count and values.shape[1] == count
        require(not turned, f"{label} and there are {count} stimuli: its trials are columns; say axes='units trials'")
        return values, " (trials, units)"
    words = axes.replace(",", " ").split()
    allowed = set(words) in ({"trials", "units"}, _AXES) and len(words) == len(set(words))
    require(allowed, f"axes must name trials and units, and perhaps stimuli, got {axes!r}")
    require(len(words) == values.ndim, f"{label}, but axes={axes!r} names {len(words)}")
    order = [words.index(word) for word in ("stimuli", "trials", "units") if word in words]
    return values.transpose(order), f" ({', '.join(words)})"
