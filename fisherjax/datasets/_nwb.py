"""Responses of the trials of an NWB file: spike counts of its units, or means of its imaging series."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fisherjax._errors import listed, require

from ._hdf5 import needed

_SPIKES = "units"
_LISTED = 6
_SAME = 1e-3  # seconds by which the lengths of trials may differ and count as one


class NwbTrials(NamedTuple):
    """Responses of all trials, the columns of the table of trials, names of units, and what was done."""

    responses: Float[np.ndarray, "trials units"]
    columns: dict[str, np.ndarray]
    names: list[str]
    notes: list[str]


def read_nwb(path: Path, series: str | None, window: tuple[float, float] | None) -> NwbTrials:
    """Responses in a window of each trial.

    Parameters
    ----------
    path
        The file.
    series
        ``"units"`` for spike counts, or the name of a series of regions of interest, whose mean is taken; by default
        what there is, if it is one.
    window
        Seconds after the start of each trial; by default the whole trial, if all last as long.

    Raises
    ------
    ImportError
        If pynwb is not installed.
    ValueError
        If the file is damaged, has no trials or nothing that responds, or what is asked for is not there.
    """
    try:
        from pynwb import NWBHDF5IO  # noqa: PLC0415  an extra
    except ImportError as error:
        raise needed("pynwb", "NWB") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions of the format, which pynwb reads nevertheless
        try:
            opened: Any = NWBHDF5IO
            with opened(str(path), "r", load_namespaces=True) as file:
                return _trials(path, file.read(), series, window)
        except (OSError, KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"{path} cannot be read as NWB: {str(error)[:120]}") from error


def _trials(path: Path, held: Any, series: str | None, window: tuple[float, float] | None) -> NwbTrials:
    table, told_table = _table(path, held)
    columns = _columns(table)
    require(len(columns["start_time"]) > 0, f"{path} has no trials")
    starts, stops = (np.asarray(columns[name], float) for name in ("start_time", "stop_time"))
    sources = _sources(held)
    shown = listed((repr(name) for name in sources), _LISTED)
    require(bool(sources), f"{path} has neither units with spikes nor series of regions of interest")
    if series is None:
        require(
            len(sources) == 1,
            f"{path} holds several recordings; say responses={' or responses='.join(map(repr, sources))}",
        )
        series = next(iter(sources))
    require(series in sources, f"{path} has no {series!r}, only {shown}")
    if window is None:
        lengths = stops - starts
        lengths = lengths[np.isfinite(lengths)]
        require(len(lengths) > 0, f"{path}: no trial has a start and a stop; say window=(start, stop)")
        same = np.ptp(lengths) <= _SAME
        require(
            bool(same),
            f"{path}: trials last from {lengths.min():.3g} to {lengths.max():.3g} s; say window=(start, stop), the "
            "seconds after the start of a trial in which responses are counted",
        )
        window = (0.0, float(np.median(lengths)))
    low, high = window
    require(high > low, f"window must be a start and a later stop, got {window}")
    if series == _SPIKES:
        responses, names = _spike_counts(sources[series], starts + low, starts + high)
        told = f"spike counts from {low:g} to {high:g} s after the start of each trial"
    else:
        responses, names = _means(path, sources[series], starts + low, starts + high)
        told = f"means of {series!r} from {low:g} to {high:g} s after the start of each trial"
    # without a start or a stop nothing is known of a trial
    responses = np.where(np.isfinite(starts + stops)[:, None], responses, np.nan)
    return NwbTrials(responses, columns, names, [*told_table, f"{path.name}: {told}"])


def _table(path: Path, held: Any) -> tuple[Any, list[str]]:
    """The table of trials, or the only other table of intervals, and what is said of that."""
    if held.trials is not None:
        return held.trials, []
    others = dict(held.intervals or {})
    shown = f", only intervals {listed(others, _LISTED)}" if others else ""
    require(len(others) == 1, f"{path} has no table of trials{shown}")
    name, table = next(iter(others.items()))
    return table, [f"{path.name}: trials are the intervals {name!r}"]


def _columns(trials: Any) -> dict[str, np.ndarray]:
    """Columns with one entry for each trial; of a ragged column only an index would be left."""
    plain = [name for name in trials.colnames if type(trials[name]).__name__ != "VectorIndex"]
    columns = {name: np.asarray(trials[name].data[:]) for name in plain}
    return {
        name: part.astype(str) if part.dtype.kind == "O" else part for name, part in columns.items() if part.ndim == 1
    }


def _sources(held: Any) -> dict[str, Any]:
    """What responds: units with spike times, and series of regions of interest."""
    found: dict[str, Any] = {}
    units: Any = held.units
    if units is not None and "spike_times" in units.colnames:
        found[_SPIKES] = units
    series = [item for item in held.objects.values() if type(item).__name__ == "RoiResponseSeries"]
    names = [item.name for item in series]
    for item in series:
        parent = getattr(item.parent, "name", "")
        found[item.name if names.count(item.name) == 1 else f"{parent}/{item.name}"] = item
    return found


def _spike_counts(units: Any, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Counts (trials, units); NaN where a unit was not observed throughout."""
    count = len(units)
    counts = np.empty((len(starts), count))
    observed = "obs_intervals" in units.colnames
    for index in range(count):
        times = np.sort(np.asarray(units["spike_times"][index], float))
        counts[:, index] = np.searchsorted(times, stops) - np.searchsorted(times, starts)
        if observed:
            intervals = np.asarray(units["obs_intervals"][index], float).reshape(-1, 2)
            within = (starts[:, None] >= intervals[:, 0]) & (stops[:, None] <= intervals[:, 1])
            counts[~within.any(axis=1), index] = np.nan
    return counts, [f"unit {name}" for name in units.id[:]]


def _means(path: Path, series: Any, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Means (trials, regions) of the samples in each window; NaN where there is none."""
    data = np.asarray(series.data[:], float)
    data = data[:, None] if data.ndim == 1 else data
    times = series.timestamps
    if times is None:
        require(bool(series.rate), f"{path}: {series.name!r} has neither timestamps nor a rate")
        times = series.starting_time + np.arange(len(data)) / series.rate
    times = np.asarray(times[:], float)
    first, last = np.searchsorted(times, starts), np.searchsorted(times, stops)
    absent = np.isnan(data)
    sums, holes = (np.concatenate([np.zeros((1, data.shape[1])), np.cumsum(part, axis=0)]) for part in
                   (np.where(absent, 0, data), absent))  # fmt: skip
    number = last - first
    require(bool((number > 0).any()), f"{path}: {series.name!r} has no sample in the window of any trial")
    means = (sums[last] - sums[first]) / np.maximum(number, 1)[:, None]
    means[(number == 0)[:, None] | (holes[last] > holes[first])] = np.nan
    return means, [f"region {index}" for index in range(data.shape[1])]
