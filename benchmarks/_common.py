"""What every benchmark shares: the machine, paired timing, results on disk."""

import gc
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np


class Row(NamedTuple):
    """One measured quantity: median over rounds, the quartiles of the rounds, which way is better, and the target."""

    name: str
    value: float
    low: float
    high: float
    better: str  # "lower", "higher", or "" where it is only told
    target: float | None = None
    reason: str = ""  # why a target is missed

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The machine and the versions that a number belongs to."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        parts = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        told = {key.strip(): value.strip() for key, _, value in parts}
        if {"model name", "cpu family", "model"} <= told.keys():
            model = f"{told['model name']} (family {told['cpu family']}, model {told['model']})"
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def temporary_bytes(program: Any) -> int:
    """What a compiled program allocates beside its arguments and results, as the compiler plans it."""
    return int(program.memory_analysis().temp_size_in_bytes)


def peak_bytes(function: Callable[[], Any]) -> float:
    """By how much the resident memory of this process rises during a call; NaN where it cannot be told (not Linux).

    Right only where `EXACT_MEMORY` was in the environment when the process began.
    """
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return math.nan
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    jax.block_until_ready(function())
    return max(_status("VmHWM") - before, os.sysconf("SC_PAGE_SIZE"))


EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""What is freed goes back to the system at once, and is not there already when it is needed again."""


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def in_new_process(module: str, *words: str, **environment: str) -> Any:
    """What ``python -m module words`` prints last, as JSON."""
    command = [sys.executable, "-m", module, *words]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of one call, its result ready."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def paired(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Times of all functions in turn, `repeats` rounds after a warm-up round: noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return times


def row(name: str, values: Any, better: str = "", target: float | None = None, reason: str = "") -> Row:
    """A row from the values of several rounds, or from one."""
    low, middle, high = (float(q) for q in np.quantile(np.atleast_1d(np.asarray(values, float)), (0.25, 0.5, 0.75)))
    return Row(name, middle, low, high, better, target, reason)


def ratio_row(
    name: str,
    times: dict[str, list[float]],
    pair: tuple[str, str],
    better: str,
    target: float | None = None,
    reason: str = "",
) -> Row:
    """Ratio of two times, round by round."""
    numerator, denominator = (np.asarray(times[one]) for one in pair)
    return row(name, numerator / denominator, better, target, reason)


def write(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Keep a result with the machine it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": machine(), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def write_table(name: str, title: str, words: str, rows: list[dict[str, Any]]) -> None:
    """NAME.md in the results: a title, a sentence, and a line for every row."""
    header = list(rows[0])
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(v if isinstance(v, str) else f'{v:.4g}' for v in line.values())} |" for line in rows]
    text = f"# {title}\n\nWritten by `python -m benchmarks --long {name}`. {words}".rstrip()
    (RESULTS / f"{name}.md").write_text(text + "\n\n" + "\n".join(lines) + "\n")
