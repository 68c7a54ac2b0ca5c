"""The results of a sweep's points as one table, figure and report."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from fisherjax._types import write_atomically
from fisherjax.plot._figures import save_sweep

from ._limits import UsageError
from ._points import point_results
from ._values import suggestion

_LONGEST = 50  # entries of a list that become columns
_MOST_ROWS = 200

Points = list[tuple[dict[str, Any], Path]]


def merge_points(name: str, folder: Path, points: Points, show: dict[str, str], missing: int) -> None:
    """Write table.csv, results.json, sweep.png and report.html of the points that are done."""
    if not points:
        raise UsageError(f"no point of {folder} is done yet")
    from fisherjax.report import Figure, Section, Table, html_report  # noqa: PLC0415

    varied = list(points[0][0])
    results = [flat_numbers(point_results(place)) for _, place in points]
    measured = list(dict.fromkeys(key for one in results for key in one))
    header = [*varied, *measured, "folder"]
    rows = [
        [*values.values(), *(one.get(key, "") for key in measured), place.name]
        for (values, place), one in zip(points, results, strict=True)
    ]
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    write_atomically(folder / "table.csv", text.getvalue().encode())
    records = [{"varied": v, "results": r, "folder": str(p)} for (v, p), r in zip(points, results, strict=True)]
    write_atomically(folder / "results.json", (json.dumps(records, indent=2) + "\n").encode())
    items: list[Any] = []
    axes = _shown(varied, measured, points, show)
    if axes is not None:
        x, y, color = axes
        columns = {key: [row[header.index(key)] for row in rows] for key in {x, y, color} - {None}}
        figure = save_sweep(folder / "sweep.png", columns, x=x, y=y, color=color)
        caption = f"{y} against {x}; bars are standard errors over all other arguments."
        items.append(Figure(figure, caption))
    columns_shown = [*varied, *measured[: max(1, 8 - len(varied))]]
    short = [[row[header.index(key)] for key in columns_shown] for row in rows[:_MOST_ROWS]]
    items.append(Table(tuple(columns_shown), short))
    state = f"{len(points)} points" + (f"; {missing} are not done" if missing else "")
    section = Section("Points", [f"{state}. All columns are in table.csv."], items)
    write_atomically(folder / "report.html", html_report(name, "fisherjax sweep", [section], state).encode())
    print(f"{state}: {folder / 'table.csv'}, {folder / 'report.html'}")


def flat_numbers(value: Any, name: str = "") -> dict[str, float]:
    """Numbers of a results file under one name each: ``theory[3]``, ``facts.advantage``; longer lists are left out."""
    if isinstance(value, bool | int | float):
        return {name: float(value)}
    if isinstance(value, dict):
        if set(value) >= {"quantity", "value"}:
            return flat_numbers(value["value"], str(value["quantity"]))
        pairs = (flat_numbers(one, f"{name}.{key}" if name else str(key)) for key, one in value.items())
        return {key: number for found in pairs for key, number in found.items()}
    if isinstance(value, list) and len(value) <= _LONGEST:
        named = all(isinstance(one, dict) for one in value)
        parts = (flat_numbers(one, name if named else f"{name}[{index}]") for index, one in enumerate(value))
        return {key: number for found in parts for key, number in found.items()}
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
