"""A run in its own process, killed and started again by a test; writes a digest of what it computed."""

import os
import sys
import time
from pathlib import Path

import jax
import numpy as np
from processes import signal_once_written

from fisherjax import connectivity, networks, optimize, tasks, training
from fisherjax._runtime import digest
from fisherjax.cli import main

PLAN = """
command = "curve"
[fixed]
steps = 4
[vary]
gain = [0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
seed = [0, 1]
"""


def search(folder: Path) -> str:
    """Both stages, with a constraint; many generations, so that there is something to kill."""
    limits = (optimize.Budget(1.0), optimize.WeightRadius(0.95))
    optimum = optimize.maximize(
        connectivity.ToeplitzFamily(2), optimize.LogFisher(3), key=jax.random.key(5), constraints=limits,
        population_size=8, num_generations=1500, num_restarts=1, refine_steps=30,
        checkpoint=folder / "checkpoint.npz",
    )  # fmt: skip
    return digest((optimum.gain_matrix, optimum.value, optimum.history))


def train(folder: Path) -> str:
    """With noise and Dale's law."""
    key = jax.random.key(7)
    constraints = (networks.dale(0.8), networks.no_autapses())
    trained = training.fit(
        networks.RNN(2, 24, 2, key=key, constraints=constraints, noise_std=0.05), tasks.flip_flop(num_bits=2),
        key=key, num_steps=4000, batch_size=16, trial_steps=12, evaluate_every=20, checkpoint_every=20,
        checkpoint=folder / "checkpoint.npz", callback=lambda _: time.sleep(0.01),
    )  # fmt: skip
    return digest((trained.network, trained.last_network, trained.history))


def sweep(folder: Path) -> str:
    """Twelve points; the table of all of them, and the arrays of each."""
    plan = folder / "plan.toml"
    plan.write_text(PLAN)
    out = folder / "sweep"
    if main(["sweep", str(plan), "--out", str(out)]) != 0:
        sys.exit(1)
    arrays = [dict(np.load(path)) for path in sorted(out.glob("points/*/arrays.npz"))]
    return digest(arrays) + (out / "table.csv").read_text()


def run(kind: str, folder: Path, cache: Path, errors: Path, signaled: tuple[str, Path, float] | None) -> None:
    """Compute, with programs kept in a cache, and write FOLDER/digest.txt; errors go to a file, words nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.environ["HOME"] = str(cache)
    jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    if signaled is not None:
        signal_once_written(*signaled)
    folder.mkdir(exist_ok=True)
    (folder / "digest.txt").write_text({"optimize": search, "train": train, "sweep": sweep}[kind](folder))
