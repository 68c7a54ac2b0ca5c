"""`fisherjax … --distributed` in two real processes over loopback: one writes, errors and signals end both."""

import contextlib
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


def free_port(*ports):
    """The first of the ports that nobody uses; any one without a choice."""
    for port in ports or (0,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("localhost", port))
            return probe.getsockname()[1]
    raise AssertionError("no free port")


def start(words, home, scheduler=None):
    """Both processes, one device each; they find each other by address, or by what a scheduler tells each."""
    address = f"localhost:{free_port()}"

    def process(index):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HOME": str(home)}
        joining = ["--coordinator", address, "--num-processes", "2", "--process-id", str(index)]
        if scheduler is not None:
            environment |= scheduler(index)
            joining = ["--distributed"]
        return subprocess.Popen(
            [sys.executable, "-m", "fisherjax", *words, "--device", "cpu", *joining],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return [process(index) for index in range(2)]


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


def test_slurm_tells_the_processes_where_they_are(tmp_path):
    """With the variables that srun sets; the port follows from the number of the job."""
    job = free_port(*range(61_440, 65_535)) - 61_440

    def slurm(index):
        told = {"JOB_ID": job, "STEP_NODELIST": "localhost", "NTASKS": 2, "PROCID": index, "LOCALID": index}
        return {f"SLURM_{name}": str(value) for name, value in told.items()}

    found = ended(start(["curve", "--steps", "3", "--out", str(tmp_path / "out")], tmp_path, slurm))
    assert [code for *_, code in found] == [0, 0], found[0][1] + found[1][1]
    assert "2 processes" in found[0][0]
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())["theory"]) == 3


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
