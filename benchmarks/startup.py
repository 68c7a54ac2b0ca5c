"""What it costs to import the package and to ask for help."""

import subprocess
import sys
import time

import numpy as np

from benchmarks._common import Row, row

COMMANDS = {
    "python": "pass",
    "import jax": "import jax",
    "import jax, fisherjax": "import jax, fisherjax",
    "fisherjax --help": "import sys; sys.argv = ['fisherjax', '--help']; from fisherjax.cli import main; main()",
}


def speed(repeats: int = 5) -> list[Row]:
    """Whole processes, in turn."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):
        for name, code in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
            times[name].append(time.perf_counter() - start)
    kept = {name: values[1:] for name, values in times.items()}
    added = np.asarray(kept["import jax, fisherjax"]) / np.asarray(kept["import jax"]) - 1
    return [
        row("start: share that import fisherjax adds to import jax", added, "lower", 0.1),
        row("start: seconds of fisherjax --help", kept["fisherjax --help"], "lower", 1.0),
    ]
