"""The points of a sweep that are done: the files that say so, and their results as one table, figure and report."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fisherjax._types import write_atomically
from fisherjax.plot._figures import save_sweep
from fisherjax.report import Figure, Section, Table, html_report

from ._outcome import csv_text, write_text
from ._values import UsageError, suggestion

_DONE, _RESULTS = "done.json", "results.json"
_LONGEST = 50  # entries of a list that become columns
_MOST_ROWS = 200

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


def merge_points(name: str, folder: Path, points: Points, show: dict[str, str], missing: int) -> None:
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
    items: list[Any] = []
    axes = _shown(varied, measured, points, show)
    if axes is not None:
        x, y, color = axes
        figure = save_sweep(folder / "sweep.png", _columns(table, {x, y, color} - {None}), x=x, y=y, color=color)
        items.append(Figure(figure, f"{y} against {x}; bars are standard errors over all other arguments."))
    short = _columns(table, [*varied, *measured[: max(1, 8 - len(varied))]])
    items.append(Table(tuple(short), list(zip(*short.values(), strict=True))[:_MOST_ROWS]))
    state = f"{len(points)} points" + (f"; {missing} are not done" if missing else "")
    section = Section("Points", [f"{state}. All columns are in table.csv."], items)
    write_text(folder / "report.html", html_report(name, "fisherjax sweep", [section], state))
    print(f"{state}: {folder / 'table.csv'}, {folder / 'report.html'}")


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


def _shown(
    varied: list[str], measured: list[str], points: Points, show: dict[str, str]
) -> tuple[str, str, str | None] | None:
    """What the figure shows: the plan's [show], or the first number that varies against it, by default."""
    if "y" in show and show["y"] not in measured:
        raise UsageError(f"[show]: there is no y = {show['y']!r}{suggestion(show['y'], measured)}")
    numeric = [n for n in varied if n != "seed" and all(isinstance(values[n], int | float) for values, _ in points)]
    x = show.get("x") or next(iter(numeric), None)
    y = show.get("y") or _last_of_first(measured)
    if x is None or y is None:
        return None
    others = [name for name in varied if name not in {x, "seed"}]
    return x, y, show.get("color") or next(iter(others), None)


def _last_of_first(measured: list[str]) -> str | None:
    """The last entry of the first list, or the first number."""
    measured = [name for name in measured if name.startswith("simulated")] or measured
    plain = [name for name in measured if name.count("[") <= 1 and not name.startswith(("gains", "fractions"))]
    if not plain:
        return None
    stem = plain[0].partition("[")[0]
    return [name for name in plain if name.partition("[")[0] == stem][-1]
