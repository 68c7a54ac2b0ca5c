"""The points of a sweep that are done: the files that say so, and their results as one table, figure and report."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from fisherjax import __version__
from fisherjax._types import write_atomically
from fisherjax.plot._figures import save_sweep
from fisherjax.report import Figure, Section, Table, html_report

from ._outcome import csv_text, write_text
from ._quantities import argument, quantity
from ._values import UsageError, suggestion

_DONE, _RESULTS = "done.json", "results.json"
_LONGEST = 50  # entries of a list that become columns
_MOST_ROWS, _MOST_COLUMNS = 200, 8
_ASKED = ("gains", "fractions")  # among the results, what was asked rather than found

Points = list[tuple[dict[str, Any], Path]]


def finish_point(folder: Path, record: dict[str, Any]) -> None:
    """Say that a point is done, and with which results."""
    digest = hashlib.sha256((folder / _RESULTS).read_bytes()).hexdigest()
    write_atomically(folder / _DONE, (json.dumps({**record, "results": digest}, default=str) + "\n").encode())


def point_results(folder: Path) -> Any:
    """The results of a point that is done; None if it is not, or if they are not what was written."""
    try:
        record, data = json.loads((folder / _DONE).read_bytes()), (folder / _RESULTS).read_bytes()
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and record.get("results") == hashlib.sha256(data).hexdigest()
    return json.loads(data) if whole else None


class Made(NamedTuple):
    """How the points were made: what the report calls them, the command of each, and what makes them again."""

    title: str
    command: str
    line: str
    settings: Table


def merge_points(made: Made, folder: Path, points: Points, show: dict[str, str], missing: int) -> None:
    """Write table.csv, results.json, sweep.png and report.html of the points that are done."""
    if not points:
        raise UsageError(f"no point of {folder} is done yet")
    varied = list(points[0][0])
    results = [flat_numbers(point_results(place)) for _, place in points]
    measured = list(dict.fromkeys(key for numbers in results for key in numbers))
    rows = [
        [*values.values(), *(numbers.get(key, "") for key in measured), place.name]
        for (values, place), numbers in zip(points, results, strict=True)
    ]
    table = Table([*varied, *measured, "folder"], rows)
    write_text(folder / "table.csv", csv_text(table))
    records = [{"varied": v, "results": r, "folder": str(p)} for (v, p), r in zip(points, results, strict=True)]
    write_text(folder / "results.json", json.dumps(records, indent=2) + "\n")
    axes = _shown(varied, measured, points, show)
    items: list[Any] = [] if axes is None else [_figure(made, folder, table, axes)]
    items.append(_short_table(made, table, varied, measured, None if axes is None else axes.y))
    state = f"{len(points)} points" + (f"; {missing} are not done" if missing else "")
    section = Section("Points", [f"{state}. All columns are in table.csv."], items)
    page = html_report(
        made.title, f"fisherjax {__version__}, sweep", [section], state, command=made.line,
        folded={"What varies, and all other settings": made.settings},
    )  # fmt: skip
    write_text(folder / "report.html", page)
    print(f"{state}: {folder / 'table.csv'}, {folder / 'report.html'}")


class _Axes(NamedTuple):
    """Columns that the figure shows: what varies, a result, and what tells lines apart."""

    x: str
    y: str
    lines: list[str]


def _figure(made: Made, folder: Path, table: Table, axes: _Axes) -> Figure:
    """One result against what varies; rows that differ in their seed alone are one point with an error."""
    columns = _columns(table, dict.fromkeys([axes.x, axes.y, *axes.lines]))
    names = {name: argument(name) for name in axes.lines}
    columns = {names.get(name, name): column for name, column in columns.items()}
    xlabel, ylabel = argument(axes.x), quantity(made.command, axes.y)
    path = save_sweep(
        folder / "sweep.png", columns, x=names.get(axes.x, axes.x), y=axes.y, color=list(names.values()),
        xlabel=xlabel, ylabel=ylabel,
    )  # fmt: skip
    seeds = len(set(_columns(table, ["seed"])["seed"])) if "seed" in table.header else 1
    said = f"{ylabel[:1].upper()}{ylabel[1:]}, against {xlabel}"
    if seeds == 1 or axes.x == "seed":
        return Figure(path, f"{said}; one run for every point.")
    return Figure(path, f"{said}; means over {seeds} seeds, bars: one standard error where seeds differ.")


def _short_table(made: Made, table: Table, varied: list[str], measured: list[str], shown: str | None) -> Table:
    """What varies and the first few results, of lists their last entry, and before others the one that is drawn."""
    last = {name.partition("[")[0]: name for name in measured if not name.startswith(_ASKED)}
    first = [] if shown is None else [shown]
    results = [*first, *(name for name in last.values() if name != shown)][: max(1, _MOST_COLUMNS - len(varied))]
    short = _columns(table, [*varied, *results])
    header = [*map(argument, varied), *(quantity(made.command, name) for name in results)]
    return Table(header, list(zip(*short.values(), strict=True))[:_MOST_ROWS])


def _columns(table: Table, names: Any) -> dict[str, list[Any]]:
    places = {name: list(table.header).index(name) for name in names}
    return {name: [row[place] for row in table.rows] for name, place in places.items()}


def flat_numbers(value: Any, name: str = "") -> dict[str, float]:
    """Numbers of a results file under one name each: ``theory[3]``, ``facts.advantage``; longer lists are left out."""
    if isinstance(value, bool | int | float):
        return {name: float(value)}
    if isinstance(value, dict):
        if set(value) >= {"quantity", "value"}:
            return flat_numbers(value["value"], str(value["quantity"]))
        pairs = (flat_numbers(entry, f"{name}.{key}" if name else str(key)) for key, entry in value.items())
        return {key: number for numbers in pairs for key, number in numbers.items()}
    if isinstance(value, list) and len(value) <= _LONGEST:
        named = all(isinstance(entry, dict) for entry in value)
        parts = (flat_numbers(entry, name if named else f"{name}[{index}]") for index, entry in enumerate(value))
        return {key: number for numbers in parts for key, number in numbers.items()}
    return {}


def _shown(varied: list[str], measured: list[str], points: Points, show: dict[str, str]) -> _Axes | None:
    """What the figure shows: the plan's [show], or the first number that varies against it, by default.

    Whatever else varies tells lines apart: a mean over it would be no mean over chance.
    """
    if "y" in show and show["y"] not in measured:
        raise UsageError(f"[show]: there is no y = {show['y']!r}{suggestion(show['y'], measured)}")
    numeric = [n for n in varied if n != "seed" and all(isinstance(values[n], int | float) for values, _ in points)]
    x = show.get("x") or next(iter(numeric), None)
    y = show.get("y") or _last_of_first(measured)
    if x is None or y is None:
        return None
    others = [name for name in varied if name not in {x, "seed"}]
    first = [show["color"]] if "color" in show else []
    return _Axes(x, y, list(dict.fromkeys([*first, *others])))


def _last_of_first(measured: list[str]) -> str | None:
    """The last entry of the first list, or the first number."""
    measured = [name for name in measured if name.startswith("simulated")] or measured
    plain = [name for name in measured if name.count("[") <= 1 and not name.startswith(_ASKED)]
    if not plain:
        return None
    stem = plain[0].partition("[")[0]
    return [name for name in plain if name.partition("[")[0] == stem][-1]
