"""Simulation against the same loop in torch eager, and against its bare matrix products."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks._common import paired, ratio, write
from fisherjax import connectivity, networks, simulate

UNITS, TRIALS, STEPS = 1000, 100, 100


def run() -> dict[str, Any]:
    """N = 1000, 100 trials, 100 steps, float32, Gaussian noise."""
    import torch

    key = jax.random.key(0)
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), UNITS, key=key, dtype=jnp.float32)
    network = networks.RateNetwork(weights, jnp.ones(UNITS, jnp.float32), noise_std=0.1)
    torch_weights = torch.from_numpy(jax.device_get(weights).copy())

    def ours() -> jax.Array:
        return simulate.trajectories(network, stimulus=0.1, num_steps=STEPS, num_trials=TRIALS, key=key)

    def torch_eager() -> Any:
        with torch.no_grad():
            state, states = torch.full((TRIALS, UNITS), 0.1), []
            for _ in range(STEPS):
                state = torch.tanh(state) @ torch_weights.T + 0.1 * torch.randn(TRIALS, UNITS)
                states.append(state)
            return torch.stack(states)

    @jax.jit
    def products(weights: jax.Array) -> jax.Array:
        start = jnp.full((TRIALS, UNITS), 0.1, jnp.float32)
        return jax.lax.scan(lambda x, _: (x @ weights.T, None), start, length=STEPS)[0]

    def torch_products() -> Any:
        with torch.no_grad():
            state = torch.full((TRIALS, UNITS), 0.1)
            for _ in range(STEPS):
                state = state @ torch_weights.T
            return state

    functions = {
        "fisherjax": ours,
        "torch eager": torch_eager,
        "bare products, jax": lambda: products(weights),
        "bare products, torch": torch_products,
    }
    times = paired(functions, repeats=15)
    return write(
        "simulation",
        {
            "what": f"N = {UNITS}, {TRIALS} trials, {STEPS} steps, float32, one stored trajectory each",
            "seconds": times,
            "torch eager / fisherjax (target 2)": ratio(times, "torch eager", "fisherjax"),
            "fisherjax / bare products, jax (aim 1.5)": ratio(times, "fisherjax", "bare products, jax"),
            "torch eager / bare products, torch": ratio(times, "torch eager", "bare products, torch"),
        },
    )


if __name__ == "__main__":
    print(run())
