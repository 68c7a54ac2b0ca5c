"""Killed at random moments and started again, a run ends at the same bits as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from fisherjax.numerics import read_checkpoint
from fisherjax.optimize._checkpoint import OptimizationCheckpoint
from fisherjax.training import Checkpoint

SCRIPT = Path(__file__).parent / "killed.py"
KILLS = 7  # of each of three kinds
PATIENCE = 120  # seconds


def start(kind, folder, cache):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HOME": str(cache), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"}
    command = [sys.executable, str(SCRIPT), kind, str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def progress(kind, folder):
    """What there is on disk; every file that there is must be whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if kind == "optimize":
            found = read_checkpoint(OptimizationCheckpoint, folder / "checkpoint.npz")
            if found is None or found.search is None:
                return 0
            return len(found.search.path) + (0 if found.ascent is None else len(found.ascent.path))
        if kind == "train":
            found = read_checkpoint(Checkpoint, folder / "checkpoint.npz")
            return 0 if found is None else found.step
    for path in folder.glob("sweep/points/*/*.json"):
        json.loads(path.read_text())
    for path in folder.glob("sweep/points/*/arrays.npz"):
        np.load(path)["theory"]
    return len(list(folder.glob("sweep/points/*/done.json")))


def wait_until_it_moves(kind, folder, process):
    """Only looks at when files were written, so that it disturbs nothing."""
    pattern = "sweep/points/*/done.json" if kind == "sweep" else "checkpoint.npz"

    def state():
        return [(path.name, path.stat().st_mtime_ns) for path in folder.glob(pattern)]

    begun, end = state(), time.monotonic() + PATIENCE
    while state() == begun:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("kind", ["optimize", "train", "sweep"])
def test_kill_at_random_moments(kind, tmp_path):
    cache = tmp_path / "compiled"
    cache.mkdir()
    whole = start(kind, tmp_path / "whole", cache)
    _, error = whole.communicate()
    assert whole.returncode == 0, error
    moment, folder = random.Random(20260101), tmp_path / "killed"
    folder.mkdir()
    reached = [0]
    for _ in range(KILLS):
        process = start(kind, folder, cache)
        wait_until_it_moves(kind, folder, process)
        time.sleep(moment.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it finished before it could be killed"
        reached.append(progress(kind, folder))
    assert reached == sorted(reached)
    assert reached[-1] >= reached[1] + (1 if kind == "sweep" else 20), "it never went on from where it was"
    last = start(kind, folder, cache)
    _, error = last.communicate()
    assert last.returncode == 0, error
    assert (folder / "digest.txt").read_text() == (tmp_path / "whole" / "digest.txt").read_text()
    assert not list(folder.glob("**/.*.tmp"))
