"""What it costs to import the package and to ask for help."""

import subprocess
import sys
import time

from benchmarks._common import Row, row

IMPORTS = """
import time
start = time.perf_counter()
import jax
middle = time.perf_counter()
import fisherjax
print(middle - start, time.perf_counter() - middle)
"""
HELP = "import sys; sys.argv = ['fisherjax', '--help']; from fisherjax.cli import main; main()"


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
