"""Fixed points of a trained flip-flop network: all candidates at once against sequential gradient descent."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import Row, row
from fisherjax import dynamics, networks, tasks, training

CANDIDATES, SEQUENTIAL, ROUNDS = 1024, 2, 3
MOST_STEPS = 20_000


def speed() -> list[Row]:
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
        seconds, peers, reached = [], [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            found = dynamics.find_fixed_points(network, candidates, held)
            seconds.append(time.perf_counter() - begun)
            spent, arrived = _sequential(network, np.asarray(candidates)[:SEQUENTIAL])
            peers.append(spent / SEQUENTIAL * CANDIDATES)
            reached.append(arrived)
    name = f"fixed points, N = 64, {CANDIDATES} candidates, float64"
    return [
        row(f"{name}: seconds", seconds, "lower", 5.0),
        row(f"{name}: seconds with compiling", first, "lower"),
        row(f"{name}: sequential gradient descent (torch) / fisherjax", np.array(peers) / np.array(seconds), "higher"),
        row(f"{name}: share at q < 1e-16", float(np.mean(np.asarray(found.converged))), "higher"),
        row(f"{name}: share of the sequential ones there after {MOST_STEPS} steps", np.array(reached) / SEQUENTIAL),
    ]


def _sequential(network: networks.RecurrentNetwork, candidates: np.ndarray) -> tuple[float, int]:
    import torch

    weights, bias = (torch.tensor(np.asarray(part)) for part in (network.recurrent_weights, network.recurrent_bias))
    begun, arrived = time.perf_counter(), 0
    for start in candidates:
        state = torch.tensor(start, requires_grad=True)
        optimizer = torch.optim.Adam([state], lr=0.01)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)
        for _ in range(MOST_STEPS):
            optimizer.zero_grad()
            speed = 0.5 * torch.sum((torch.tanh(weights @ state + bias) - state) ** 2)
            if speed.item() < 1e-16:
                arrived += 1
                break
            speed.backward()
            optimizer.step()
            schedule.step()
    return time.perf_counter() - begun, arrived
