"""Measure: ``python -m benchmarks [NAME …]`` for speed, ``python -m benchmarks --long [NAME …]`` for reproductions.

Speed is a list of ratios, each to a peer or a floor that ran in the same rounds; it takes about ten minutes on two
cores. Reproductions compare theory with simulation and take hours; their results are files of their own.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS, Row, machine

SPEED = (
    "startup",
    "simulation",
    "objective",
    "closure",
    "accuracy",
    "profile",
    "geometry",
    "dmft",
    "training",
    "fixed_points",
    "convnet",
    "pictures",
    "growth",
    "scaling",
)
LONG = (
    "startup",
    "agreement",
    "accuracy",
    "estimators",
    "closure",
    "linear_form",
    "inputs",
    "fresh_weights",
    "geometry",
    "dmft",
)


def main(words: list[str]) -> None:
    """Run the named benchmarks, all by default; keep the other rows of an earlier run on the same machine."""
    long = "--long" in words
    names = [word for word in words if word != "--long"] or list(LONG if long else SPEED)
    unknown = [name for name in names if name not in (LONG if long else SPEED)]
    if unknown:
        sys.exit(f"unknown benchmark {unknown[0]!r}; known are {', '.join(LONG if long else SPEED)}")
    path = RESULTS / "bench.json"
    kept = _kept(path)
    for name in names:
        start = time.perf_counter()
        print(f"{name} …", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        if long:
            module.run()
        else:
            kept[name] = [{**row._asdict(), "met": row.met} for row in module.speed()]
            _write(path, kept)
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    (RESULTS / "README.md").write_text(table(kept))


def _kept(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of an earlier run, by benchmark, if it was on this machine."""
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    return {} if record["machine"] != machine() else _by_benchmark(record["rows"])


def _by_benchmark(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["benchmark"], []).append({key: value for key, value in row.items() if key != "benchmark"})
    return found


def _write(path: Path, kept: dict[str, list[dict[str, Any]]]) -> None:
    rows = [{"benchmark": name, **row} for name in SPEED for row in kept.get(name, [])]
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1, ensure_ascii=False) + "\n")


def table(kept: dict[str, list[dict[str, Any]]]) -> str:
    """All rows as Markdown, and what the reproductions found."""
    here = machine()
    lines = [
        "# Measured",
        "",
        "Written by `make bench`. Ratios are medians of rounds in which both sides ran in turn, with the quartiles of",
        "the rounds in brackets. `python -m benchmarks.compare OLD.json NEW.json` says what became slower.",
        "",
        f"{here['processor']}, {here['cores']} cores, {here['device']}, Python {here['python']}, jax {here['jax']}.",
        "",
        "| quantity | measured | target | met |",
        "|---|---|---|---|",
    ]
    reasons = []
    for name in SPEED:
        for one in kept.get(name, []):
            row = Row(**{key: value for key, value in one.items() if key != "met"})
            spread = f" ({row.low:.3g} to {row.high:.3g})" if row.low != row.high else ""
            target = "" if row.target is None else f"{'≤' if row.better == 'lower' else '≥'} {row.target:g}"
            met = {None: "", True: "yes", False: "no"}[row.met]
            if row.met is False:
                reasons.append(f"- {row.name}: {row.reason or 'no reason is known'}.")
            lines.append(f"| {row.name} | {row.value:.3g}{spread} | {target} | {met} |")
    lines += ["", "Targets that are missed, and why:", "", *reasons, ""] if reasons else [""]
    lines += ["![Growth of cost](growth.png)", "", "![Scaling over host devices](scaling.png)", ""]
    for name in LONG:
        path = RESULTS / f"{name}.json"
        if path.exists():
            lines += _reproduction(name, json.loads(path.read_text()))
    return "\n".join(lines)


def _reproduction(name: str, record: dict[str, Any]) -> list[str]:
    """One row per single number."""
    device = record["machine"]
    lines = [f"## {name}", "", record.get("what", ""), ""]
    lines += [f"{device['processor']}, {device['cores']} cores, Python {device['python']}, jax {device['jax']}.", ""]
    lines += ["| quantity | value |", "|---|---|"]
    for key, value in record.items():
        if isinstance(value, float):
            lines.append(f"| {key} | {value:.4g} |")
        elif isinstance(value, str | int) and key != "what":
            lines.append(f"| {key} | {value} |")
    return [*lines, ""]


if __name__ == "__main__":
    main(sys.argv[1:])
