"""How cost grows: time and memory against units, populations, steps, trials and images, with fitted exponents.

Memory is measured in a process of its own: ``python -m benchmarks.growth`` inside.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import (
    EXACT_MEMORY,
    RESULTS,
    Row,
    in_new_process,
    peak_bytes,
    row,
    seconds,
    temporary_bytes,
    write,
)
from fisherjax import connectivity, dynamics, fisher, geometry, networks, plot, simulate

REPEATS = 3
KEY = jax.random.key(0)


class Growth(NamedTuple):
    """Median time and peak memory, beyond what was there before the call, at every size."""

    sizes: np.ndarray
    seconds: np.ndarray
    bytes: np.ndarray


def speed() -> list[Row]:
    """Exponent b of cost ∝ size^b over the larger half of the sizes, for time and for memory; and the curves."""
    memory = in_new_process("benchmarks.growth", **EXACT_MEMORY)
    with jax.enable_x64(True):
        found = {
            name: Growth(np.array(case.sizes, float), _for_each_size(case, seconds), np.array(memory[name], float))
            for name, case in CASES.items()
        }
    kept = {name: {part: value.tolist() for part, value in grown._asdict().items()} for name, grown in found.items()}
    device = jax.devices()[0].platform
    write(
        f"growth_{device}", {"what": "seconds of a call, and bytes that it needs beside its arguments", "cases": kept}
    )
    _draw({one: _read(one) for one in ("cpu", "gpu") if (RESULTS / f"growth_{one}.json").exists()})
    rows = []
    for name, grown in found.items():
        case = CASES[name]
        told = f"time of {name}: exponent (products alone: {case.time})"
        rows.append(row(told, _exponent(grown.sizes, grown.seconds)))
        if np.isfinite(grown.bytes).all():
            told = f"memory of {name}: exponent (what is returned, or one step: {case.memory})"
            rows.append(row(told, _exponent(grown.sizes, grown.bytes)))
            rows.append(row(f"memory of {name} = {case.sizes[-1]} (MiB)", grown.bytes[-1] / 2**20))
    return [*rows, *_planned()]


def _read(device: str) -> dict[str, Growth]:
    cases = json.loads((RESULTS / f"growth_{device}.json").read_text())["cases"]
    return {name: Growth(*(np.array(part, float) for part in case.values())) for name, case in cases.items()}


def _network(units: int) -> networks.RateNetwork:
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=KEY, dtype=jnp.float32)
    return networks.RateNetwork(weights, jnp.ones(units, jnp.float32), noise_std=0.1)


def _trajectories(units: int = 500, steps: int = 20, trials: int = 50) -> Callable[[], Any]:
    network = _network(units)
    return lambda: simulate.trajectories(network, stimulus=0.1, num_steps=steps, num_trials=trials, key=KEY)


def _information(units: int) -> Callable[[], Any]:
    network, settings = _network(units), {"stimulus": 0.1, "num_steps": 5}
    return lambda: fisher.simulated_curve(network, num_trials=3 * units, key=KEY, num_blocks=2, **settings).total


def _closure(units: int) -> Callable[[], Any]:
    network = networks.in_precision(_network(units), float)
    return lambda: fisher.closure_curve(network, stimulus=0.1, num_steps=5).total


def _meanfield(populations: int = 5, steps: int = 50) -> Callable[[], Any]:
    gain = connectivity.homogeneous(1.0, populations)
    return lambda: fisher.meanfield_curve(gain, stimulus=0.1, noise_std=0.1, num_steps=steps).total


def _images(count: int) -> Callable[[], Any]:
    patterns = np.asarray(jax.random.normal(KEY, (count, 500)))
    settings = {"noise_std": 0.1, "num_steps": 5, "num_trials": 1, "num_draws": 1, "num_resamples": 0, "key": KEY}
    return lambda: geometry.compare_geometry(connectivity.homogeneous(1.0), patterns, **settings).measured.pearson


def _fixed_points(count: int) -> Callable[[], Any]:
    network = networks.in_precision(networks.RNN(3, 64, 3, key=KEY), float)
    candidates = np.asarray(jax.random.normal(KEY, (count, 64)))
    return lambda: dynamics.find_fixed_points(network, candidates, np.zeros(3)).points


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
    "mean-field theory in populations": Case(lambda n: _meanfield(populations=n), (5, 10, 20, 40, 80, 160), 2, 2),
    "mean-field theory in steps": Case(lambda n: _meanfield(steps=n), (200, 400, 800, 1600, 3200, 6400), 1, 1),
    "fixed points in candidates": Case(_fixed_points, (128, 256, 512, 1024), 1, 1),
    "geometry in images": Case(_images, (50, 100, 200, 400), 2, 2),
}


def _for_each_size(case: Case, measure: Callable[[Callable[[], Any]], float]) -> np.ndarray:
    """The median of some calls after the one that compiles."""
    found = []
    for size in case.sizes:
        run = case.build(size)
        run()
        found.append(np.median([measure(run) for _ in range(REPEATS)]))
    return np.array(found)


def _exponent(sizes: np.ndarray, times: np.ndarray) -> float:
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def _planned() -> list[Row]:
    """Temporary memory that the compiler plans for a simulation, in units of what must be stored of one step."""
    from fisherjax.simulate import _trajectories

    most = 0.0
    for units, trials in ((500, 50), (1000, 50), (2000, 50), (1000, 100), (1000, 200)):
        simulation: Any = _trajectories._simulate  # equinox knows more of it than its annotation
        arguments = (_network(units), None, jnp.asarray(0.1, jnp.float32), KEY, 20, trials, "pulse", "state", False, 1)
        program = simulation.lower(*arguments).compile().compiled
        most = max(most, temporary_bytes(program) / (4 * trials * units))
    return [row("memory of a simulation beyond its states, in states of one step", most)]


_PANELS = {"units N": "units", "steps T": "steps", "populations P": "populations", "trials, candidates, images": ""}


def _draw(found: dict[str, dict[str, Growth]]) -> None:
    """Time above, memory below, one column for what grows; the colors are questions, dashes another device."""
    names = list(dict.fromkeys(name.rpartition(" in ")[0] for name in CASES))
    colors = dict(zip(names, plot.COLORS, strict=False))
    with plot.style():
        figure, grid = plt.subplots(2, len(_PANELS), figsize=(12, 6), layout="constrained", sharex="col", sharey="row")
        for device, line in zip(found, ("-", "--"), strict=False):
            for name, grown in found[device].items():
                question, _, axis = name.rpartition(" in ")
                column = next((at for at, what in enumerate(_PANELS.values()) if what == axis), len(_PANELS) - 1)
                for ax, cost in zip(grid[:, column], (grown.seconds, grown.bytes / 2**20), strict=True):
                    told = question if device == next(iter(found)) else f"{question}, {device}"
                    ax.loglog(grown.sizes, cost, f"o{line}", color=colors[question], label=told, markersize=4)
        for ax, label in zip(grid[-1], _PANELS, strict=True):
            ax.set_xlabel(label)
        grid[0, 0].set_ylabel("seconds a call, compiled")
        grid[1, 0].set_ylabel("MiB beyond the arguments")
        handles = {
            label: handle for ax in grid[0] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False)
        figure.savefig(RESULTS / "growth.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    with jax.enable_x64(True):
        print(json.dumps({name: _for_each_size(case, peak_bytes).tolist() for name, case in CASES.items()}))
