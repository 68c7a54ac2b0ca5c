"""`fisherjax … --distributed` in two real processes over loopback: one writes, errors and signals end both."""

import functools
import json
import os
import subprocess
import sys

from processes import ended, free_port, signaled

from fisherjax.cli import main

OPTIMIZE = ["optimize", "--populations", "2", "--population-size", "6", "--restarts", "1", "--steps", "3"]
OPTIMIZE += ["--refine-steps", "10", "--units", "40", "--draws", "2", "--trials", "23", "--images", "9"]
OPTIMIZE += ["--nonlinearity", "logistic"]  # which has one form, and one search


def start(words, home, scheduler=None, until=None):
    """Both processes, one device each; they find each other by address, or by what a scheduler tells each.

    The first one gets SIGTERM when the file `until` is written.
    """
    address = f"localhost:{free_port()}"

    def process(index):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HOME": str(home)}
        joining = ["--coordinator", address, "--num-processes", "2", "--process-id", str(index)]
        if scheduler is not None:
            environment |= scheduler(index)
            joining = ["--distributed"]
        command = ["-m", "fisherjax", *words, "--device", "cpu", *joining]
        ends = until is not None and index == 0
        return subprocess.Popen(
            signaled("SIGTERM", until, 0, *command) if ends else [sys.executable, *command],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return [process(index) for index in range(2)]


def slurm(index, job):
    """The variables that srun sets; the port follows from the number of the job."""
    told = {"JOB_ID": job, "STEP_NODELIST": "localhost", "NTASKS": 2, "PROCID": index, "LOCALID": index}
    return {f"SLURM_{name}": str(value) for name, value in told.items()}


def test_one_process_writes_and_a_folder_that_is_not_empty_ends_both(tmp_path):
    """A scheduler tells the processes where they are."""
    words = ["simulate", "--steps", "3", "--units", "30", "--trials", "23", "--draws", "2"]
    told = functools.partial(slurm, job=free_port(61_440, 65_535) - 61_440)
    first, second = ended(start([*words, "--out", str(tmp_path / "two")], tmp_path, told))
    assert (first[2], second[2]) == (0, 0), first[1] + second[1]
    assert "2 processes" in first[0]
    assert "wrote" in first[0]
    assert second[0].replace("[Gloo]", "").count("wrote") == 0
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    for name in ("theory", "simulated", "standard_error"):
        assert all(abs(a / b - 1) < 1e-3 for a, b in zip(one[name], two[name], strict=True)), name
    again = ended(start([*words, "--out", str(tmp_path / "two")], tmp_path))
    assert [code for *_, code in again] == [2, 2]
    assert "is not empty" in again[0][1]


def test_sigterm_ends_both_with_a_checkpoint(tmp_path):
    """They find each other by address; the one that gets no signal hears of it."""
    words = [*OPTIMIZE, "--generations", "2000", "--out", str(tmp_path / "out")]
    checkpoint = tmp_path / "out" / "checkpoint.npz"
    found = ended(start(words, tmp_path, until=checkpoint))
    assert [code for *_, code in found] == [75, 75], found[0][1] + found[1][1]
    assert "2 processes" in found[0][0]
    assert f"--out {tmp_path / 'out'}" in found[0][0]
    assert checkpoint.exists()
    assert not (tmp_path / "out" / "results.json").exists()
