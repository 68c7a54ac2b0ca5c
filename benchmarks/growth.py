"""How cost grows: time and memory against units, populations, steps, trials and images, with fitted exponents."""

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import RESULTS, Row, row, seconds, temporary_bytes
from fisherjax import connectivity, fisher, geometry, networks, plot, simulate

REPEATS = 3
KEY = jax.random.key(0)


class Growth(NamedTuple):
    """Median time and peak memory, beyond what was there before the call, at every size."""

    sizes: np.ndarray
    seconds: np.ndarray
    bytes: np.ndarray


def speed() -> list[Row]:
    """Exponent b of cost ∝ size^b over the larger half of the sizes, for time and for memory; and the curves."""
    with jax.enable_x64(True):
        found = {name: _measure(case.build, case.sizes) for name, case in CASES.items()}
    _draw(found)
    rows = []
    for name, grown in found.items():
        case = CASES[name]
        rows.append(
            row(f"time of {name}: exponent (products alone: {case.time})", _exponent(grown.sizes, grown.seconds))
        )
        if _can_measure_memory():
            told = f"memory of {name}: exponent (what is returned, or one step: {case.memory})"
            rows.append(row(told, _exponent(grown.sizes, grown.bytes)))
            rows.append(row(f"memory of {name} = {case.sizes[-1]}, MiB", grown.bytes[-1] / 2**20))
    return [*rows, *_planned()]


def _network(units: int) -> networks.RateNetwork:
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=KEY, dtype=jnp.float32)
    return networks.RateNetwork(weights, jnp.ones(units, jnp.float32), noise_std=0.1)


def _trajectories(units: int = 500, steps: int = 20, trials: int = 50) -> Callable[[], Any]:
    network = _network(units)
    return lambda: simulate.trajectories(network, stimulus=0.1, num_steps=steps, num_trials=trials, key=KEY)


def _information(units: int) -> Callable[[], Any]:
    weights = _network(units).weights
    settings = {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 5, "input_vector": np.ones(units)}
    return lambda: fisher.simulated_curve(weights, num_trials=3 * units, key=KEY, num_blocks=2, **settings).total


def _closure(units: int) -> Callable[[], Any]:
    weights = _network(units).weights.astype(float)
    settings = {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 5, "input_vector": np.ones(units)}
    return lambda: fisher.closure_curve(weights, **settings).total


def _meanfield(populations: int = 5, steps: int = 50) -> Callable[[], Any]:
    gain = connectivity.homogeneous(1.0, populations)
    return lambda: fisher.meanfield_curve(gain, stimulus=0.1, noise_std=0.1, num_steps=steps).total


def _images(count: int) -> Callable[[], Any]:
    patterns = np.asarray(jax.random.normal(KEY, (count, 500)))
    settings = {"noise_std": 0.1, "num_steps": 5, "num_trials": 1, "num_draws": 1, "num_resamples": 0, "key": KEY}
    return lambda: geometry.compare_geometry(connectivity.homogeneous(1.0), patterns, **settings).measured.pearson


class Case(NamedTuple):
    """What grows: a call to make for every size, the sizes, and the exponents to expect."""

    build: Callable[[int], Callable[[], Any]]
    sizes: tuple[int, ...]
    time: int
    memory: int


CASES = {
    "a simulation in units": Case(lambda n: _trajectories(units=n), (250, 500, 1000, 2000, 4000), 2, 1),
    "a simulation in steps": Case(lambda n: _trajectories(steps=n), (40, 80, 160, 320, 640), 1, 1),
    "a simulation in trials": Case(lambda n: _trajectories(trials=n), (50, 100, 200, 400, 800), 1, 1),
    "the linear form in units": Case(_information, (50, 100, 200, 400), 3, 2),
    "the closure in units": Case(_closure, (100, 200, 400, 800), 3, 2),
    "mean-field theory in populations": Case(lambda n: _meanfield(populations=n), (5, 10, 20, 40, 80, 160), 2, 1),
    "mean-field theory in steps": Case(lambda n: _meanfield(steps=n), (50, 100, 200, 400, 800), 1, 1),
    "geometry in images": Case(_images, (50, 100, 200, 400), 2, 2),
}


def _measure(build: Callable[[int], Callable[[], Any]], sizes: tuple[int, ...]) -> Growth:
    times, memory = [], []
    for size in sizes:
        run = build(size)
        run()
        times.append(np.median([seconds(run) for _ in range(REPEATS)]))
        memory.append(np.median([_peak_bytes(run) for _ in range(REPEATS)]) if _can_measure_memory() else np.nan)
    return Growth(np.array(sizes, float), np.array(times), np.array(memory))


def _can_measure_memory() -> bool:
    """Linux lets a process reset its own high-water mark."""
    return os.access("/proc/self/clear_refs", os.W_OK)


def _peak_bytes(function: Callable[[], Any]) -> float:
    """By how much the resident memory of this process rises during a call."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else the call would take what earlier ones have left
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    jax.block_until_ready(function())
    return max(_status("VmHWM") - before, os.sysconf("SC_PAGE_SIZE"))


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def _exponent(sizes: np.ndarray, times: np.ndarray) -> float:
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def _planned() -> list[Row]:
    """Temporary memory that the compiler plans for a simulation, in units of what must be stored of one step."""
    from fisherjax.simulate import _trajectories

    most = 0.0
    for units, trials in ((500, 50), (1000, 50), (2000, 50), (1000, 100), (1000, 200)):
        start = jnp.ones((trials, units), jnp.float32)
        program = _trajectories._simulate.lower(_network(units), start, KEY, 20, False, "float32").compile()
        most = max(most, temporary_bytes(program) / start.nbytes)
    return [row("memory of a simulation beyond its states, in states of one step", most)]


def _draw(found: dict[str, Growth]) -> None:
    with plot.style():
        figure, grid = plt.subplots(2, 4, figsize=(14, 6.5), layout="constrained")
        for ax, (name, grown) in zip(grid.ravel(), found.items(), strict=True):
            _curve(ax, grown.sizes, grown.seconds, plot.COLORS[0], "seconds")
            ax.set_xlabel(name.rpartition(" ")[2])
            ax.set_title(name, fontsize=9)
            if np.isfinite(grown.bytes).all():
                _curve(ax.twinx(), grown.sizes, grown.bytes / 2**20, plot.COLORS[1], "MiB")
        figure.savefig(RESULTS / "growth.png", dpi=90)
        plt.close(figure)


def _curve(ax: plt.Axes, sizes: np.ndarray, cost: np.ndarray, color: str, unit: str) -> None:
    """Points, and the power law fitted to the larger half of them."""
    exponent = _exponent(sizes, cost)
    half = len(sizes) // 2
    ax.loglog(sizes, cost, "o", color=color)
    middle = np.exp(np.log(cost[half:]).mean()) * (sizes / np.exp(np.log(sizes[half:]).mean())) ** exponent
    ax.plot(sizes, middle, color=color, linewidth=1)
    ax.set_ylabel(f"{unit}, exponent {exponent:.2f}", color=color)
    ax.tick_params(axis="y", colors=color)
    ax.minorticks_off()
    ax.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
