"""What a newcomer waits for: importing, asking for help, every command's default, every program of the README.

``python -m benchmarks --long startup`` runs each in a process of its own, with an empty cache of compiled programs
(cold) and again with what the first run left there (warm). FISHERJAX_BEFORE names another checkout, which is measured
in turn with this one; FISHERJAX_ONLY names what is measured, "optimize,README 2"; the rest stays as it was.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._common import RESULTS, Row, row, write, write_table

IMPORTS = """
import time
start = time.perf_counter()
import jax
middle = time.perf_counter()
import fisherjax
print(middle - start, time.perf_counter() - middle)
"""
HELP = "import sys; sys.argv = ['fisherjax', '--help']; from fisherjax.cli import main; main()"
HERE = Path(__file__).parents[1]
COLD, WARM, FIRST_LINE, PROGRAM = 40.0, 15.0, 5.0, 10.0  # seconds; of a program of the README cold
SPECIAL = {"optimize": (30.0, 10.0)}
TRAINS = {"train", "orientation", "convnet train"}  # told apart: most of it is training
COMMANDS = (
    "optimize", "curve", "simulate", "estimate", "geometry", "dmft", "train", "fixed-points", "orientation",
    "convnet train", "convnet evaluate", "convnet analyze",
)  # fmt: skip


class Waited(NamedTuple):
    """Seconds of a process: wall, of all cores, and until the first line."""

    wall: float
    processor: float
    first_line: float


def speed(repeats: int = 7) -> list[Row]:
    """In new processes, after one that reads the files from disk."""
    shares, helps = [], []
    for _ in range(repeats + 1):
        done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, check=True, text=True)
        jax, ours = (float(word) for word in done.stdout.split())
        shares.append(ours / jax)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", HELP], capture_output=True, check=True)
        helps.append(time.perf_counter() - start)
    return [
        row("start: time of import fisherjax / import jax before it", shares[1:], "lower", 0.1),
        row("start: seconds of fisherjax --help", helps[1:], "lower", 1.0),
    ]


def run() -> None:
    """Every command and program, cold and warm."""
    checkouts = {"now": HERE}
    if "FISHERJAX_BEFORE" in os.environ:
        checkouts = {"before": Path(os.environ["FISHERJAX_BEFORE"]), **checkouts}
    kept = RESULTS / "startup.json"
    rows = {line["what"]: line for line in json.loads(kept.read_text())["rows"]} if kept.exists() else {}
    only = os.environ.get("FISHERJAX_ONLY", "")
    with _folders(checkouts) as folders:
        for name, is_program in _items():
            if only and name not in only.split(","):
                continue
            line: dict[str, Any] = {"what": name}
            for which, checkout in checkouts.items():
                words = ["-c", dict(_programs())[name]] if is_program else _command(folders[which], name)
                cold, warm = (_waited(words, checkout, folders[which]) for _ in range(2))
                line |= {
                    f"{which}: cold": cold.wall,
                    f"{which}: cold, CPU": cold.processor,
                    f"{which}: warm": warm.wall,
                    f"{which}: warm, CPU": warm.processor,
                    f"{which}: first line": cold.first_line,
                }
            line["met"] = _met(name, line, is_program=is_program)
            rows[name] = line
            print(line, flush=True)
            _keep(list(rows.values()))


def _keep(rows: list[dict[str, Any]]) -> None:
    missed = [line["what"] for line in rows if line["met"] == "no"]
    what = (
        f"Seconds; cold is an empty cache of compiled programs. Targets: a command {COLD:g} cold, {WARM:g} warm "
        f"(optimize 30, 10), its first line after {FIRST_LINE:g}; a program of README or tour {PROGRAM:g} cold. "
        "Commands that train have none."
    )
    write("startup", {"what": what, "missed": ", ".join(missed) or "none", "rows": rows})
    write_table("startup", "What a newcomer waits for", what, rows)


def _items() -> Iterator[tuple[str, bool]]:
    yield from ((name, False) for name in COMMANDS)
    yield from ((name, True) for name, _ in _programs())


def _met(name: str, line: dict[str, Any], *, is_program: bool) -> str:
    if name in TRAINS:
        return "trains"
    cold, warm = SPECIAL.get(name, (COLD, WARM))
    good = line["now: cold"] <= (PROGRAM if is_program else cold)
    if not is_program:
        good &= line["now: warm"] <= warm and line["now: first line"] <= FIRST_LINE
    return "yes" if good else "no"


def _programs() -> Iterator[tuple[str, str]]:
    """Those of the README and of the tour, in the words that they have now, also for another checkout."""
    for page in ("README.md", "docs/tour.md"):
        programs = re.findall(r"```python\n(.*?)```", (HERE / page).read_text(), re.DOTALL)
        yield from ((f"{Path(page).stem} {place}", program) for place, program in enumerate(programs))


def _command(folder: Path, name: str) -> list[str]:
    """The words of a command, with what it needs and no more; what one writes another reads."""
    needed: list[str] = []
    if name == "estimate":
        rng, stimulus = np.random.default_rng(0), np.repeat([0.0, 0.2], 500)
        responses = rng.normal(size=(1000, 50)) + stimulus[:, None] * rng.normal(size=50)
        np.savez(folder / "recording.npz", responses=responses, stimulus=stimulus)
        needed = ["--responses", str(folder / "recording.npz")]
    elif name == "fixed-points":
        needed = ["--network", str(folder / "train" / "training.npz")]
    elif name in {"convnet evaluate", "convnet analyze"}:
        needed = [str(folder / "convnet-train" / "network.npz")]
    return ["-m", "fisherjax", *name.split(), *needed, "--out", str(folder / name.replace(" ", "-")), "--force"]


def _waited(words: Sequence[str], checkout: Path, folder: Path) -> Waited:
    """Run Python in a folder that is its home too, where the cache of compiled programs lies."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = {**os.environ, **cache, "HOME": str(folder), "PYTHONPATH": str(checkout), "JAX_PLATFORMS": "cpu"}
    start, first = time.perf_counter(), float("nan")
    process = subprocess.Popen(
        [sys.executable, *words],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout or ():
        first = first if lines else time.perf_counter() - start
        lines.append(line)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{words}: {''.join(lines[-5:])}")
    return Waited(wall, used.ru_utime + used.ru_stime, first)


@contextmanager
def _folders(checkouts: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """An empty folder for each."""
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in checkouts}
        for folder in folders.values():
            folder.mkdir()
        yield folders
