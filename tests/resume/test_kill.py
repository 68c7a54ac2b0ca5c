"""Killed at random moments and started again, a run ends at the same bits as if nothing had happened."""

import json
import multiprocessing
import random
import signal
import warnings

import killed
import numpy as np
import pytest
from processes import PATIENCE

from fisherjax._runtime import Checkpoint, read_checkpoint
from fisherjax.optimize._checkpoint import OptimizationCheckpoint

KILLS = 4  # of each of three kinds
WRITTEN = {"optimize": "checkpoint.npz", "train": "checkpoint.npz", "sweep": "sweep/points/*/done.json"}


# one process imports, all others are copies of it
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["jax", "matplotlib.pyplot", "fisherjax.cli", "fisherjax.report", "fisherjax.optimize"])


def code_and_errors(kind, folder, cache, kill_after=None):
    """A run; one that kills itself so many seconds after it has written something."""
    signaled = None if kill_after is None else ("SIGKILL", folder / WRITTEN[kind], kill_after)
    errors = cache / "errors.txt"
    process = CONTEXT.Process(target=killed.run, args=(kind, folder, cache, errors, signaled))
    process.start()
    process.join(PATIENCE)
    process.kill()
    process.join()
    return process.exitcode, errors.read_text()


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


@pytest.mark.parametrize("kind", ["optimize", "train", "sweep"])
def test_kill_at_random_moments(kind, tmp_path):
    cache = tmp_path / "compiled"
    cache.mkdir()
    code, error = code_and_errors(kind, tmp_path / "whole", cache)
    assert code == 0, error
    moment, folder = random.Random(20260101), tmp_path / "killed"
    folder.mkdir()
    reached = [0]
    for _ in range(KILLS):
        code, error = code_and_errors(kind, folder, cache, kill_after=moment.uniform(0, 0.2))
        assert code == -signal.SIGKILL, f"it finished before it could be killed: {error}"
        reached.append(progress(kind, folder))
    assert reached == sorted(reached)
    assert reached[-1] >= reached[1] + (1 if kind == "sweep" else 20), "it never went on from where it was"
    code, error = code_and_errors(kind, folder, cache)
    assert code == 0, error
    assert (folder / "digest.txt").read_text() == (tmp_path / "whole" / "digest.txt").read_text()
    assert not list(folder.glob("**/.*.tmp"))
