"""Fixed points of a trained flip-flop network: all candidates at once against sequential gradient descent."""

import resource
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import write
from fisherjax import dynamics, networks, tasks, training

CANDIDATES, SEQUENTIAL, ROUNDS = 1024, 4, 5
MOST_STEPS = 20_000


def run() -> dict[str, Any]:
    """N = 64, 1024 candidates, float64."""
    key = jax.random.key(0)
    trained = training.fit(
        networks.RNN(3, 64, 3, key=key), tasks.flip_flop, key=key, num_steps=800, learning_rate=3e-3
    ).network
    with jax.enable_x64(True):
        network = networks.in_precision(trained, float)
        inputs = tasks.flip_flop.batch(jax.random.key(1), 128).inputs
        candidates = dynamics.sample_states(network, inputs, CANDIDATES, key=jax.random.key(2))
        held = jnp.zeros(3)
        begun = time.perf_counter()
        found = dynamics.find_fixed_points(network, candidates, held)
        first = time.perf_counter() - begun
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds, peers, reached = [], [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            found = dynamics.find_fixed_points(network, candidates, held)
            seconds.append(time.perf_counter() - begun)
            spent, arrived = _sequential(network, np.asarray(candidates)[:SEQUENTIAL])
            peers.append(spent / SEQUENTIAL * CANDIDATES)
            reached.append(arrived)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return write(
        "fixed_points",
        {
            "what": f"{CANDIDATES} candidates of a trained flip-flop network (N = 64) to q < 1e-16, float64. Peer: "
            f"torch, gradient descent (Adam) on q from one candidate after another, at most {MOST_STEPS} steps, to "
            f"q < 1e-16; measured on {SEQUENTIAL} candidates and scaled",
            "seconds": seconds,
            "seconds, all candidates, after compiling (target 5)": float(np.median(seconds)),
            "seconds, compilation included": first,
            "candidates at q < 1e-16": int(found.converged.sum()),
            "distinct fixed points": len(found),
            "largest q of these": float(found.speed.max()),
            "sequential gradient descent / fisherjax": float(np.median(np.asarray(peers) / np.asarray(seconds))),
            "sequential: candidates at q < 1e-16": f"{int(np.median(reached))} of {SEQUENTIAL}",
            "peak memory of the process (GiB)": peak / 2**20,
            "of which the search, beyond what compiling it took (GiB)": (peak - before) / 2**20,
        },
    )


def _sequential(network: networks.RNN, candidates: np.ndarray) -> tuple[float, int]:
    import torch

    weights, bias = (torch.tensor(np.asarray(part)) for part in (network.recurrent_weights, network.recurrent_bias))
    begun, arrived = time.perf_counter(), 0
    for start in candidates:
        state = torch.tensor(start, requires_grad=True)
        optimiser = torch.optim.Adam([state], lr=0.01)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.999)
        for _ in range(MOST_STEPS):
            optimiser.zero_grad()
            speed = 0.5 * torch.sum((torch.tanh(weights @ state + bias) - state) ** 2)
            if speed.item() < 1e-16:
                arrived += 1
                break
            speed.backward()
            optimiser.step()
            schedule.step()
    return time.perf_counter() - begun, arrived


if __name__ == "__main__":
    print(run())
