"""Killed at random moments and started again, training ends at the same bits as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).parent / "resumable_run.py"
KILLS = 10


def start(folder, name, cache):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"}
    command = [sys.executable, str(SCRIPT), str(folder / f"{name}.npz"), str(folder / f"{name}.txt")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_kill_at_random_moments(tmp_path):
    cache = tmp_path / "compiled"
    whole = start(tmp_path, "whole", cache)
    whole.communicate()
    assert whole.returncode == 0
    moment = random.Random(20260101)
    resumed_at = []
    for _ in range(KILLS):
        process = start(tmp_path, "killed", cache)
        resumed_at.append(int(process.stdout.readline().split()[1]))
        time.sleep(moment.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it finished before it could be killed"
    assert resumed_at == sorted(resumed_at)
    assert resumed_at[-1] > resumed_at[0] + 20, "it never went on from a checkpoint"
    last = start(tmp_path, "killed", cache)
    last.communicate()
    assert last.returncode == 0
    assert (tmp_path / "killed.txt").read_text() == (tmp_path / "whole.txt").read_text()
    assert not list(tmp_path.glob(".*.tmp"))
