"""What it costs to import the package and to ask for help."""

import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks._common import write

COMMANDS = {
    "python": "pass",
    "import jax": "import jax",
    "import jax, fisherjax": "import jax, fisherjax",
    "fisherjax --help": "import sys; sys.argv = ['fisherjax', '--help']; from fisherjax.cli import main; main()",
}


def run(repeats: int = 9) -> dict[str, Any]:
    """Whole processes, in turn."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):
        for name, code in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
            times[name].append(time.perf_counter() - start)
    kept = {name: values[1:] for name, values in times.items()}
    added = np.asarray(kept["import jax, fisherjax"]) / np.asarray(kept["import jax"]) - 1
    return write(
        "startup",
        {
            "seconds": kept,
            "share added by import fisherjax to import jax (target below 0.1)": float(np.median(added)),
            "seconds of fisherjax --help (target below 1)": float(np.median(kept["fisherjax --help"])),
        },
    )


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key}: {value}")
