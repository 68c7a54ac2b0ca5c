"""An accelerator in ten minutes: ``python -m benchmarks.gpu [--seconds S] [--only WORD] [--small] [--again]``.

What is right comes first, then how fast: beside bare products, copies, torch (where it is installed; PEER is a folder
to look for it in) and two cores of the same machine. Every row is written as soon as it is measured, to
results/gpu.json and results/gpu.md (gpu_on_cpu on a CPU). Rows that are there for this device and this version are not
measured again, so that a second run goes on where the first one ended; what does not fit into the seconds is left to
it.
"""

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.6")  # the rest is for torch and for other processes
if os.environ.get("PEER"):
    sys.path.append(os.environ["PEER"])

import jax

import fisherjax
from benchmarks._common import RESULTS, machine, row
from benchmarks._gpu_parts import Part, parts


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is missing; exit code 1 if a check does not hold or a part failed."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=540.0, help="stop before this (540)")
    parser.add_argument("--only", default="", help="parts whose names hold this word")
    parser.add_argument("--small", action="store_true", help="sizes that a CPU can do; the default on one")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    given = parser.parse_args(words)
    on_cpu = jax.default_backend() == "cpu"
    chosen = [part for part in parts(small=given.small or on_cpu) if given.only in part.name]
    return run(chosen, RESULTS / f"{'gpu_on_cpu' if on_cpu else 'gpu'}.json", given.seconds, again=given.again)


def run(chosen: Sequence[Part], path: Path, seconds: float, *, again: bool = False) -> int:
    """Measure parts in order, each if it still fits, and write the file after each."""
    begun, here = time.perf_counter(), {"device": machine()["device"], "version": version()}
    rows = _rows(path)
    left = []
    for part in chosen:
        old = [one for one in rows if one["part"] == part.name]
        if old and not again and all(one["holds"] and all(one[name] == here[name] for name in here) for one in old):
            continue
        spent = time.perf_counter() - begun
        if spent + part.seconds > seconds:
            left.append(part.name)
            continue
        print(f"[{spent:6.1f} s] {part.name} …", flush=True)
        measured = _measured(part)
        rows = [one for one in rows if one["part"] != part.name] + [{**one, **here} for one in measured]
        _write(path, rows, here)
        for one in measured:
            print(f"           {one['name']}: {one['value']:.4g} {one['reason']}", flush=True)
    print(
        f"[{time.perf_counter() - begun:6.1f} s] done" + (f"; left out: {'; '.join(left)}" if left else ""), flush=True
    )
    names = {part.name for part in chosen}
    return int(not all(one["holds"] for one in rows if one["part"] in names))


def _rows(path: Path) -> list[dict[str, Any]]:
    """What was measured before."""
    try:
        known = json.loads(path.read_text())["rows"] if path.exists() else []
    except (ValueError, KeyError) as error:
        raise SystemExit(f"{path} cannot be read ({error}): remove it") from error
    return [one for one in known if "part" in one]


def _measured(part: Part) -> list[dict[str, Any]]:
    """The rows of a part; one that says what went wrong, if something did."""
    begun = time.perf_counter()
    try:
        found = [(one, not (part.is_check and one.met is False)) for one in part.measure()]
    except Exception as error:
        # the other parts are worth measuring, whatever it is
        found = [(row(f"{part.name}: failed", math.nan, reason=f"{type(error).__name__}: {error}"[:300]), False)]
    took = round(time.perf_counter() - begun, 1)
    return [{"part": part.name, **one._asdict(), "met": one.met, "holds": holds, "took": took} for one, holds in found]


def version() -> str:
    """That of the package, of JAX, and of the code."""
    code = hashlib.sha256()
    for path in sorted(Path(fisherjax.__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    return f"fisherjax {fisherjax.__version__} ({code.hexdigest()[:8]}), jax {jax.__version__}"


def _write(path: Path, rows: list[dict[str, Any]], here: dict[str, Any]) -> None:
    """Both files, whole or not at all."""
    lines = [
        "# Measured on an accelerator", "", "Written by `python -m benchmarks.gpu`: medians, and quartiles of rounds.",
        "", f"{here['device']}, {here['version']}; rows of others are marked.", "", "| quantity | measured | target |",
        "|---|---|---|",
    ]  # fmt: skip
    for one in rows:
        own = all(one[name] == here[name] for name in here)
        target = "" if one["target"] is None else f"{'≤' if one['better'] == 'lower' else '≥'} {one['target']:g}"
        value = f"{one['value']:.3g} ({one['low']:.3g} to {one['high']:.3g})" if one["value"] == one["value"] else "—"
        lines.append(f"| {one['name']}{'' if own else ' *'} | {value} {one['reason']} | {target} |")
    record = json.dumps({"machine": machine(), "rows": rows}, indent=1, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, text in ((path, record), (path.with_suffix(".md"), "\n".join(lines) + "\n")):
        fresh = target.with_suffix(f"{target.suffix}.new")
        fresh.write_text(text)
        fresh.replace(target)


if __name__ == "__main__":
    raise SystemExit(main())
