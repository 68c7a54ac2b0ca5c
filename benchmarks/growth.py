"""How cost grows: time and memory against units, populations, steps, trials and images, with fitted exponents."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import RESULTS, Row, row, seconds
from fisherjax import connectivity, fisher, geometry, networks, plot, simulate

REPEATS = 3
KEY = jax.random.key(0)


def speed() -> list[Row]:
    """Exponent b of cost ∝ size^b, between the larger half of the sizes; and the curves."""
    with jax.enable_x64(True):
        found = {name: _measure(function, sizes) for name, (function, sizes, _) in CASES.items()}
    _draw(found)
    rows = []
    for name, (sizes, times) in found.items():
        rows.append(row(f"growth of {name}: exponent (products alone: {CASES[name][2]})", _exponent(sizes, times)))
    return [*rows, *_memory()]


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


CASES: dict[str, tuple[Callable[[int], Callable[[], Any]], tuple[int, ...], str]] = {
    "a simulation in units": (lambda n: _trajectories(units=n), (250, 500, 1000, 2000, 4000), "2"),
    "a simulation in steps": (lambda n: _trajectories(steps=n), (20, 40, 80, 160, 320), "1"),
    "a simulation in trials": (lambda n: _trajectories(trials=n), (50, 100, 200, 400, 800), "1"),
    "the linear form in units": (_information, (50, 100, 200, 400), "3"),
    "the closure in units": (_closure, (50, 100, 200, 400, 800), "3"),
    "mean-field theory in populations": (lambda n: _meanfield(populations=n), (5, 10, 20, 40, 80, 160), "1"),
    "mean-field theory in steps": (lambda n: _meanfield(steps=n), (50, 100, 200, 400, 800), "1"),
    "geometry in images": (_images, (50, 100, 200, 400), "2"),
}


def _measure(function: Callable[[int], Callable[[], Any]], sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    times = []
    for size in sizes:
        run = function(size)
        run()
        times.append(np.median([seconds(run) for _ in range(REPEATS)]))
    return np.array(sizes, float), np.array(times)


def _exponent(sizes: np.ndarray, times: np.ndarray) -> float:
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def _memory() -> list[Row]:
    """Temporary memory that the compiler plans for, by N and by trials, in units of what must be stored."""
    from fisherjax.simulate import _trajectories

    found = {}
    for units, trials in ((500, 50), (1000, 50), (2000, 50), (1000, 100), (1000, 200)):
        network = _network(units)
        start = jnp.ones((trials, units), jnp.float32)
        program = _trajectories._simulate.lower(network, start, KEY, 20, False, "float32").compile()
        plan = program.memory_analysis()
        found[units, trials] = (plan.temp_size_in_bytes, plan.output_size_in_bytes)
    temporary, states = (np.array([pair[index] for pair in found.values()]) for index in (0, 1))
    return [
        row("memory of a simulation beyond its states, in states of one step", (temporary / (states / 20)).max()),
    ]


def _draw(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    with plot.style():
        figure, grid = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
        for ax, (name, (sizes, times)) in zip(grid.ravel(), found.items(), strict=True):
            exponent = _exponent(sizes, times)
            ax.loglog(sizes, times, "o", color=plot.COLORS[0])
            ax.loglog(sizes, times[-1] * (sizes / sizes[-1]) ** exponent, color=plot.COLORS[0], linewidth=1)
            ax.set_title(f"{name}: exponent {exponent:.2f}", fontsize=9)
            ax.set_xlabel(name.rpartition(" ")[2])
            ax.set_ylabel("seconds")
            ax.minorticks_off()
        figure.savefig(RESULTS / "growth.png", dpi=90)
        plt.close(figure)
