"""Simulation against the same loop in torch eager, against its bare matrix products, and in lower precisions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import Row, paired, ratio_row, row
from fisherjax import _linalg, connectivity, fisher, networks, simulate

TRIALS, ROUNDS = 100, 15
SIZES = {1000: (100, 1.5), 4000: (15, 1.2)}  # steps, and the target beside the bare products


def speed() -> list[Row]:
    """Float32, Gaussian noise, every state stored."""
    rows = []
    for units, (steps, target) in SIZES.items():
        times = paired(_runs(units, steps), ROUNDS)
        name = f"simulation, N = {units}, {TRIALS} trials"
        pair = ("torch eager", "fisherjax")
        missed = "torch's loop is itself below 2 × its bare products: the products are most of it"
        rows.append(ratio_row(f"{name}: torch eager / fisherjax", times, pair, "higher", 2.0, missed))
        pair = ("fisherjax", "bare products")
        above = "what is above the products is memory that the system clears for the states, and noise"
        rows.append(ratio_row(f"{name}: fisherjax / bare products", times, pair, "lower", target, above))
    return [*rows, *_noise(), *_precisions()]


def _runs(units: int, steps: int) -> dict[str, Any]:
    import torch

    key = jax.random.key(0)
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=key, dtype=jnp.float32)
    network = networks.RateNetwork(weights, jnp.ones(units, jnp.float32), noise_std=0.1)
    torch_weights = torch.from_numpy(jax.device_get(weights).copy())

    def ours() -> jax.Array:
        return simulate.trajectories(network, stimulus=0.1, num_steps=steps, num_trials=TRIALS, key=key)

    def torch_eager() -> Any:
        with torch.no_grad():
            state, states = torch.full((TRIALS, units), 0.1), []
            for _ in range(steps):
                state = torch.tanh(state) @ torch_weights.T + 0.1 * torch.randn(TRIALS, units)
                states.append(state)
            return torch.stack(states)

    @jax.jit
    def products(weights: jax.Array) -> jax.Array:
        start = jnp.full((TRIALS, units), 0.1, jnp.float32)
        return jax.lax.scan(lambda x, _: (x @ weights.T, None), start, length=steps)[0]

    return {"fisherjax": ours, "torch eager": torch_eager, "bare products": lambda: products(weights)}


def _noise() -> list[Row]:
    """Ten million normal numbers."""
    shape = (100, 100_000)
    ours, theirs = (jax.jit(f, static_argnums=(1, 2)) for f in (_linalg.standard_normal, jax.random.normal))
    key = jax.random.key(0)
    functions = {"ours": lambda: ours(key, shape, jnp.float32), "jax": lambda: theirs(key, shape, jnp.float32)}
    return [ratio_row("noise: jax.random.normal / fisherjax", paired(functions, ROUNDS), ("jax", "ours"), "higher")]


def _precisions() -> list[Row]:
    """Error of the states after one and after ten steps, and of the information, relative to float64."""
    with jax.enable_x64(True):
        key, units, steps = jax.random.key(0), 500, 10
        weights = connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=key, dtype=jnp.float64)

        def states(dtype: Any, precision: str) -> np.ndarray:
            network = networks.RateNetwork(weights.astype(dtype), jnp.ones(units), noise_std=0.0)
            settings: dict[str, Any] = {"stimulus": 0.5, "num_steps": steps, "num_trials": 1, "precision": precision}
            return np.asarray(simulate.trajectories(network, key=key, **settings), np.float64)[:, 0]

        def information(dtype: Any) -> float:
            network = networks.RateNetwork(weights.astype(dtype), np.ones(units), noise_std=0.1)
            return float(fisher.closure_curve(network, stimulus=0.1, num_steps=steps).total[-1])

        exact = states(jnp.float64, "float32")
        rows = []
        for name in ("float32", "tensorfloat32", "bfloat16"):
            off = np.linalg.norm(states(jnp.float32, name) - exact, axis=1) / np.linalg.norm(exact, axis=1)
            rows += [row(f"relative error of the states, {name} products, t = {t}", off[t - 1]) for t in (1, steps)]
        gap = abs(information(jnp.float32) / information(jnp.float64) - 1)
        return [*rows, row("relative error of the closure's information at t = 10, float32", gap)]
