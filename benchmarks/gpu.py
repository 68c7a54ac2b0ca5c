"""On an accelerator: ``python -m benchmarks.gpu [--largest N]``. Speed beside bare products, and errors by precision.

Simulation for N up to 16 384 as a share of the measured rate of matrix products in the same precision, the closure,
an optimization, and the same checks of correctness in float32, TensorFloat-32 and float32 at highest precision.
Writes results/gpu.json and results/gpu.md. It runs on a CPU too, for smaller N.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import RESULTS, Row, machine, paired, ratio_row, row
from fisherjax import connectivity, fisher, networks, optimize, simulate

SIZES, TRIALS, STEPS, ROUNDS = (1024, 2048, 4096, 8192, 16_384), 512, 50, 7
LEVELS: dict[Any, str] = {"float32": "highest", "tensorfloat32": "tensorfloat32", "bfloat16": "bfloat16"}
KEY = jax.random.key(0)


def main() -> int:
    """Measure, check, write; exit code 1 if a check fails."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="largest number of units")
    largest = parser.parse_args().largest
    rows, right = _checks()  # first what is right, then how fast; written as it is measured
    _write(rows)
    for units in [size for size in SIZES if size <= largest] or [largest]:
        rows += _simulation(units)
        _write(rows)
    rows += _closure(min(largest, 2048))
    _write(rows)
    rows += _optimizer()
    _write(rows)
    return int(not right)


def _weights(units: int) -> jax.Array:
    return connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=KEY, dtype=jnp.float32)


def _simulation(units: int) -> list[Row]:
    weights = _weights(units)
    start = jnp.full((TRIALS, units), 0.1, jnp.float32)
    found = []
    for name in LEVELS:
        products = _products(name)
        network = networks.RateNetwork(weights, jnp.ones(units, jnp.float32), noise_std=0.1)
        functions: dict[str, Callable[[], Any]] = {
            "fisherjax": lambda network=network, name=name: simulate.trajectories(
                network, stimulus=0.1, num_steps=STEPS, num_trials=TRIALS, key=KEY, precision=name
            ),
            "products": lambda products=products: products(weights, start),
        }
        times = paired(functions, ROUNDS)
        work = 2.0 * STEPS * TRIALS * units**2
        told = f"N = {units}, {TRIALS} trials, {name}"
        found += [
            ratio_row(f"simulation, {told}: fisherjax / bare products", times, ("fisherjax", "products"), "lower"),
            row(f"simulation, {told}: TFLOP/s", work / np.array(times["fisherjax"]) / 1e12, "higher"),
            row(f"bare products, {told}: TFLOP/s", work / np.array(times["products"]) / 1e12),
        ]
    return found


def _products(name: str) -> Callable[[jax.Array, jax.Array], jax.Array]:
    @jax.jit
    def run(weights: jax.Array, start: jax.Array) -> jax.Array:
        if name == "bfloat16":
            weights = weights.astype(jnp.bfloat16)

        def step(state: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jnp.matmul(state.astype(weights.dtype), weights.T, preferred_element_type=jnp.float32), None

        with jax.default_matmul_precision(LEVELS[name]):
            return jax.lax.scan(step, start, length=STEPS)[0]

    return run


def _closure(units: int) -> list[Row]:
    weights = _weights(units)
    network = networks.RateNetwork(weights, np.ones(units), noise_std=0.3)

    @jax.jit
    def products(matrix: jax.Array) -> jax.Array:
        def step(state: jax.Array, _: None) -> tuple[jax.Array, None]:
            for _pair in range(6):
                state = matrix @ state @ matrix.T
            return state / jnp.max(jnp.abs(state)), None

        with jax.default_matmul_precision("highest"):
            return jax.lax.scan(step, matrix, length=9)[0]

    functions = {
        "fisherjax": lambda: fisher.closure_curve(network, stimulus=0.5, num_steps=10).total,
        "products": lambda: products(weights),
    }
    name = f"closure, N = {units}, T = 10, float32: fisherjax / its twelve products per step"
    return [ratio_row(name, paired(functions, ROUNDS), ("fisherjax", "products"), "lower")]


def _optimizer() -> list[Row]:
    def run() -> jax.Array:
        return optimize.maximize(
            connectivity.ToeplitzFamily(5), optimize.LogFisher(10), key=KEY, constraints=(optimize.Budget(1.0),)
        ).value

    with jax.enable_x64(True):
        return [row("optimizer, Toeplitz, P = 5, T = 10: seconds", paired({"run": run}, 3)["run"], "lower")]


def _checks() -> tuple[list[Row], bool]:
    """The same identities in every precision; theory must hold in all, because it asks for full products itself."""
    with jax.enable_x64(True):
        weights = _weights(256)
        pulse = {"stimulus": 0.5, "num_steps": 6}
        noisy = networks.RateNetwork(weights.astype(jnp.float64), np.ones(256), noise_std=0.3)
        exact = np.asarray(fisher.closure_curve(noisy, **pulse).total)
        network = networks.RateNetwork(weights.astype(jnp.float64), np.ones(256), noise_std=0.0)
        settings = {"stimulus": 0.5, "num_steps": 10, "num_trials": 1, "key": KEY}
        path = np.asarray(simulate.trajectories(network, **settings))[:, 0]
    rows, right = [], True
    noisy = networks.RateNetwork(weights, jnp.ones(256, jnp.float32), noise_std=0.3)
    for name, level in {"float32": "float32", "tensorfloat32": "tensorfloat32", "highest": "highest"}.items():
        with jax.default_matmul_precision(level):
            closed = np.asarray(fisher.closure_curve(noisy, **pulse).total, np.float64)
            measured = fisher.simulated_curve(noisy, num_trials=4000, key=KEY, **pulse)
        off = float(np.abs(closed / exact - 1).max())
        spread = np.asarray(measured.standard_error, np.float64)
        score = float(np.abs((np.asarray(measured.total, np.float64) - exact) / np.hypot(spread, 0.01 * exact)).max())
        right &= off < 1e-3 and score < 4.5
        rows += [
            row(f"check, default precision {name}: closure in float32 against float64, relative", off, "lower"),
            row(f"check, default precision {name}: simulation against closure, standard errors", score),
        ]
    bounds: dict[Any, float] = {"float32": 1e-5, "tensorfloat32": 1e-2, "bfloat16": 5e-2}
    for name, bound in bounds.items():
        single = networks.RateNetwork(weights, jnp.ones(256, jnp.float32), noise_std=0.0)
        found = np.asarray(simulate.trajectories(single, precision=name, **settings), np.float64)[:, 0]
        off = float(np.linalg.norm(found[0] - path[0]) / np.linalg.norm(path[0]))
        right &= off < bound
        rows.append(row(f"check, {name} products: states after one step against float64, relative", off, "lower"))
    return [*rows, row("checks that hold (1) or not (0)", float(right))], right


def _write(rows: list[Row]) -> None:
    here = machine()
    record = {"machine": here, "rows": [{**one._asdict(), "met": one.met} for one in rows]}
    name = "gpu" if jax.default_backend() != "cpu" else "gpu_on_cpu"
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    lines = [
        "# Measured on an accelerator", "", f"{here['device']}, jax {here['jax']}.", "", "| quantity | measured |",
        "|---|---|", *(f"| {one.name} | {one.value:.3g} ({one.low:.3g} to {one.high:.3g}) |" for one in rows),
    ]  # fmt: skip
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    raise SystemExit(main())
