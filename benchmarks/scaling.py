"""Strong and weak scaling over host devices: one process each, ``python -m benchmarks.scaling DEVICES CORES`` inside.

A device has a core to itself as long as there are as many; beyond, only the overhead grows.
"""

import json
import os
import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import RESULTS, Row, in_new_process, paired, row

UNITS, STEPS, TRIALS, ROUNDS = 1000, 20, 128, 9
COUNTS = (1, 2, 4, 8)
CORES = os.cpu_count() or 1


def speed() -> list[Row]:
    """Time of the same and of growing work on 1, 2, 4, 8 devices, beside one device on one core."""
    strong, weak, rows = [], [], []
    for count in COUNTS:
        one, many = np.asarray(_measured(1)["same"]), _measured(count)
        strong.append(one / np.asarray(many["same"]))
        weak.append(one / np.asarray(many["more"]))
        told = f"{count} host devices on {min(count, CORES)} cores / one on one"
        rows.append(row(f"scaling, {told}: speed, same work (ideal {min(count, CORES)})", strong[-1]))
        rows.append(row(f"scaling, {told}: speed, {count} × the work (ideal {min(1, CORES / count):g})", weak[-1]))
    _draw(strong, weak)
    return rows


def _measured(count: int) -> dict[str, list[float]]:
    """In a process of its own, on as many cores as devices."""
    flags = f"--xla_force_host_platform_device_count={count}"
    return in_new_process("benchmarks.scaling", str(count), XLA_FLAGS=flags)


def _inside(count: int) -> dict[str, list[float]]:
    if hasattr(os, "sched_setaffinity"):  # before JAX counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    import jax
    import jax.numpy as jnp

    from fisherjax import connectivity, networks, simulate

    key = jax.random.key(0)
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), UNITS, key=key, dtype=jnp.float32)
    network = networks.RateNetwork(weights, jnp.ones(UNITS, jnp.float32), noise_std=0.1)

    def run(devices: Any, trials: int) -> Any:
        settings = {"stimulus": 0.1, "num_steps": STEPS, "num_trials": trials, "key": key}
        return lambda: simulate.trajectories(network, devices=devices, **settings)

    return paired({"same": run(count, TRIALS), "more": run(count, TRIALS * count)}, ROUNDS)


def _draw(strong: list[np.ndarray], weak: list[np.ndarray]) -> None:
    from fisherjax import plot

    with plot.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        for ax, found, ideal, name in (
            (left, strong, np.minimum(COUNTS, CORES), "same work: speed-up"),
            (right, weak, np.minimum(1, CORES / np.array(COUNTS)), "work × devices: efficiency"),
        ):
            middle = np.array([np.median(one) for one in found])
            low, high = (np.array([np.quantile(one, q) for one in found]) for q in (0.25, 0.75))
            ax.errorbar(COUNTS, middle, [middle - low, high - middle], fmt="o-", color=plot.COLORS[0], capsize=3)
            ax.plot(COUNTS, ideal, color="0.6", linewidth=0.8, label="ideal on these cores")
            ax.axvline(CORES, color="0.6", linewidth=0.8, linestyle=":", label="cores")
            ax.set_xlabel("host devices")
            ax.set_title(name, fontsize=10)
            ax.set_xticks(COUNTS)
            ax.set_ylim(0)
            ax.legend(frameon=False)
        figure.savefig(RESULTS / "scaling.png", dpi=90)
        plt.close(figure)


if __name__ == "__main__":
    print(json.dumps(_inside(int(sys.argv[1]))))
