"""`fisherjax … --distributed` in two real processes over loopback: one writes, errors and signals end both."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from fisherjax.cli import main

PATIENCE = 200  # seconds; without care a process waits 300 for one that is gone
OPTIMIZE = ["optimize", "--populations", "2", "--population-size", "6", "--restarts", "1", "--steps", "3"]
OPTIMIZE += ["--refine-steps", "10", "--units", "40", "--draws", "2", "--trials", "23", "--images", "9"]


def start(words, home):
    """Both processes, one device each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HOME": str(home)}
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "fisherjax", *words, "--device", "cpu"),
                *("--coordinator", address, "--num-processes", "2", "--process-id", str(index)),
            ],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index in range(2)
    ]  # fmt: skip


def ended(processes):
    """Output, errors and exit code of each."""
    return [(*process.communicate(timeout=PATIENCE), process.returncode) for process in processes]


def test_one_process_writes_and_a_folder_that_is_not_empty_ends_both(tmp_path):
    words = ["simulate", "--steps", "3", "--units", "30", "--trials", "23", "--draws", "2"]
    first, second = ended(start([*words, "--out", str(tmp_path / "two")], tmp_path))
    assert (first[2], second[2]) == (0, 0), first[1] + second[1]
    assert "2 processes" in first[0]
    assert "wrote" in first[0]
    assert second[0].replace("[Gloo]", "").count("wrote") == 0
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    for name in ("theory", "simulated", "standard_error"):
        assert all(abs(a / b - 1) < 1e-3 for a, b in zip(one[name], two[name], strict=True)), name
    begun = time.monotonic()
    again = ended(start([*words, "--out", str(tmp_path / "two")], tmp_path))
    assert [code for *_, code in again] == [2, 2]
    assert "is not empty" in again[0][1]
    assert time.monotonic() - begun < PATIENCE


def test_sigterm_ends_both_with_a_checkpoint(tmp_path):
    words = [*OPTIMIZE, "--generations", "2000", "--out", str(tmp_path / "out")]
    processes = start(words, tmp_path)
    checkpoint, end = tmp_path / "out" / "checkpoint.npz", time.monotonic() + PATIENCE
    while not checkpoint.exists():
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < end
        time.sleep(0.02)
    processes[0].send_signal(signal.SIGTERM)  # the other one hears of it
    found = ended(processes)
    assert [code for *_, code in found] == [75, 75], found[0][1] + found[1][1]
    assert f"--out {tmp_path / 'out'}" in found[0][0]
    assert checkpoint.exists()
    assert not (tmp_path / "out" / "results.json").exists()
