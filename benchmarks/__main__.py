"""Run all benchmarks and write the table: ``python -m benchmarks [name …]``."""

import importlib
import json
import sys
import time

from benchmarks._common import RESULTS

NAMES = (
    "startup",
    "simulation",
    "objective",
    "agreement",
    "accuracy",
    "estimators",
    "closure",
    "profile",
    "geometry",
    "training",
    "fixed_points",
    "dmft",
    "convnet",
)


def main(names: list[str]) -> None:
    """Run the named benchmarks, all by default, then write results/README.md from what is on disk."""
    for name in names or NAMES:
        start = time.perf_counter()
        print(f"{name} …", flush=True)
        importlib.import_module(f"benchmarks.{name}").run()
        print(f"  {time.perf_counter() - start:.0f} s")
    write_table()


def write_table() -> None:
    """One row per single number of every result."""
    lines = ["# Measured results", "", "Written by `make bench`; ratios are medians of rounds run side by side.", ""]
    for name in NAMES:
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        record = json.loads(path.read_text())
        device = record["machine"]
        lines += [f"## {name}", "", record.get("what", ""), ""]
        lines += [
            f"{device['processor']}, {device['cores']} cores, Python {device['python']}, jax {device['jax']}.",
            "",
        ]
        lines += ["| quantity | value |", "|---|---|"]
        for key, value in record.items():
            if isinstance(value, float):
                lines.append(f"| {key} | {value:.4g} |")
            elif isinstance(value, str | int) and key != "what":
                lines.append(f"| {key} | {value} |")
        lines.append("")
    (RESULTS / "README.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
