"""Questions on an accelerator, beside two cores of the same machine: ``python -m benchmarks._gpu_questions NAME``."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import Row, in_new_process, paired, row
from fisherjax import connectivity, dmft, dynamics, fisher, networks, optimize

ROUNDS, FASTER = 3, 5.0  # than two cores


def parts(*, small: bool) -> list[tuple[str, float, Callable[[], list[Row]]]]:
    """Name, seconds, and what measures it."""
    size = "small" if small else "large"
    names = {"closure, float64": 15, "closure, float32": 15, "fixed points": 35, "phase diagram": 60,
             "differential evolution": 60, "estimator": 30}  # fmt: skip
    return [(name, seconds, lambda name=name: _beside_two_cores(name, size)) for name, seconds in names.items()]


def _beside_two_cores(name: str, size: str) -> list[Row]:
    spent = _times(name, size)
    rows = [row(f"{name} ({_told(name, size)}): seconds", spent, "lower")]
    if jax.default_backend() != "cpu" and (os.cpu_count() or 1) > 1:
        there = in_new_process("benchmarks._gpu_questions", name, size)
        rows.append(row(f"{name}: two cores / accelerator", np.median(there) / np.array(spent), "higher", FASTER))
    return rows


def _times(name: str, size: str) -> list[float]:
    with jax.enable_x64(name in {"closure, float64", "phase diagram", "differential evolution"}):
        return paired({name: _question(name, size == "small")}, ROUNDS)[name]


def _told(name: str, size: str) -> str:
    small = size == "small"
    return {
        "fixed points": f"{_CANDIDATES[small]} candidates, N = 64, float32",
        "phase diagram": f"{_GRID[small]} × {_GRID[small]}",
        "differential evolution": "Toeplitz, five populations, T = 10",
        "estimator": f"pathwise, {_TRIALS[small]} trials of 100 units",
    }.get(name, f"N = {_UNITS[small]}, T = 10")


_CANDIDATES, _GRID, _TRIALS, _UNITS = (4096, 200), (50, 8), (200_000, 2000), (2000, 100)  # large, small


def _question(name: str, small: bool) -> Callable[[], Any]:  # noqa: FBT001
    key = jax.random.key(0)
    if name.startswith("closure"):
        units = _UNITS[small]
        weights = connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=key, dtype=jnp.zeros(()).dtype)
        network = networks.RateNetwork(weights, np.ones(units), noise_std=0.3)
        return lambda: fisher.closure_curve(network, stimulus=0.5, num_steps=10).total
    if name == "fixed points":
        recurrent = networks.RNN(3, 64, 3, key=key)
        candidates = jax.random.normal(key, (_CANDIDATES[small], 64))
        return lambda: dynamics.find_fixed_points(recurrent, candidates).points
    if name == "phase diagram":
        gains, noise = np.linspace(0.1, 3.0, _GRID[small]), np.linspace(0.0, 1.0, _GRID[small])
        return lambda: dmft.phase_diagram(gains, noise).lyapunov_exponent
    if name == "differential evolution":
        family, count = connectivity.ToeplitzFamily(5), 10 if small else 200
        how: Any = {"constraints": (optimize.Budget(1.0),), "num_generations": count, "refine_steps": 0}
        return lambda: optimize.maximize(family, optimize.LogFisher(10), key=key, **how).value

    def respond(theta: jax.Array, key: jax.Array) -> jax.Array:
        places = jnp.linspace(0, 1, 100, dtype=theta.dtype)
        return jnp.exp(-((theta - places) ** 2) / 0.02) + 0.1 * jax.random.normal(key, (100,), theta.dtype)

    return lambda: fisher.estimate(respond, 0.5, key=key, num_trials=_TRIALS[small], check=False).value


if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # before JAX counts the cores
    print(json.dumps(_times(*sys.argv[1:])))
