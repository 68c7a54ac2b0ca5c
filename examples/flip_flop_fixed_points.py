"""All fixed points of ten flip-flop networks
==========================================

Five plain networks and five under Dale's law without autapses learn the 3-bit flip-flop: all their fixed points.

For every network: sign accuracy on fresh trials; fixed points from two disjoint sets of candidates; and a reference
search, SciPy's hybrid Powell method in float64 from 2000 other starts, one after another, that must find nothing
new. Run ``python examples/flip_flop_fixed_points.py``; it writes flip_flop_fixed_points.json and .png beside itself.
About ten minutes on two cores, most of it the reference search.

.. image:: /../examples/flip_flop_fixed_points.png
   :alt: All fixed points of ten flip-flop networks
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize

from fisherjax import dynamics, networks, plot, tasks, training

HERE = Path(__file__).parent
KEYS = range(5)
KINDS: dict[str, tuple[Any, ...]] = {"plain": (), "Dale 0.8, no autapses": (networks.dale(0.8), networks.no_autapses())}
REFERENCE_STARTS = 2000


def main() -> None:
    """Train in float32, analyze in float64."""
    record: dict[str, Any] = {}
    for name, constraints in KINDS.items():
        for seed in KEYS:
            trained, accuracy = train(seed, constraints)
            with jax.enable_x64(True):
                network, facts, shown = analyze(trained.network, seed)
            facts = {"sign accuracy": accuracy, "held-out loss": float(trained.history.held_out_loss.min()), **facts}
            record[f"{name}, key {seed}"] = facts
            print(f"{name}, key {seed}: {facts}", flush=True)
            if seed == KEYS[0] and name == "plain":
                with jax.enable_x64(True):
                    draw(trained, network, *shown)
    summary = {
        name: {
            "sign accuracy at least 0.995": sum(
                facts["sign accuracy"] >= 0.995 for label, facts in record.items() if label.startswith(name)
            ),
            "eight attractors, one per octant": sum(
                facts["octants with one attractor"] == 8 and facts["attractors"] == 8
                for label, facts in record.items()
                if label.startswith(name)
            ),
            "of": len(KEYS),
        }
        for name in KINDS
    }
    text = json.dumps({"summary": summary, **record}, indent=2)
    (HERE / "flip_flop_fixed_points.json").write_text(text + "\n")


def train(seed: int, constraints: tuple[Any, ...]) -> tuple[training.Training, float]:
    """N = 64, T = 64, batch 64, 800 steps at 3e-3; 1500 under Dale's law."""
    build_key, fit_key, test_key = jax.random.split(jax.random.key(seed), 3)
    network = networks.RNN(3, 64, 3, key=build_key, constraints=constraints)
    num_steps = 1500 if constraints else 800
    trained = training.fit(network, tasks.flip_flop, key=fit_key, num_steps=num_steps, learning_rate=3e-3)
    batch = tasks.flip_flop.batch(test_key, 2000)
    _, outputs = networks.run(trained.network, batch.inputs)
    return trained, float(tasks.flip_flop.accuracy(outputs, batch))


def analyze(
    network: networks.RecurrentNetwork, seed: int
) -> tuple[networks.RecurrentNetwork, dict[str, Any], tuple[Any, Any, Any]]:
    """Fixed points from two candidate sets, their read-out octants, and the reference search."""
    network = networks.in_precision(network, float)
    first_key, second_key, trial_key, other_key, start_key = jax.random.split(jax.random.key(1000 + seed), 5)
    silent = jnp.zeros(3)
    batch = tasks.flip_flop.batch(trial_key, 128)
    states, _ = networks.run(network, batch.inputs)
    candidates = [
        dynamics.sample_states(network, batch.inputs, 1024, key=first_key),
        dynamics.sample_states(network, tasks.flip_flop.batch(other_key, 128).inputs, 1024, key=second_key),
    ]
    begun = time.perf_counter()
    found = [dynamics.find_fixed_points(network, start, silent) for start in candidates]
    seconds = (time.perf_counter() - begun) / 2
    points = found[0]
    attractors = points.points[points.is_stable]
    octants = np.sign(np.asarray(network.readout(jnp.asarray(attractors))))
    reference = reference_search(network, np.asarray(states).reshape(-1, network.num_units), start_key)
    gaps = np.linalg.norm(reference[:, None] - points.points[None], axis=-1).min(axis=1)
    kinds = points.kind
    facts = {
        "fixed points": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "attractors": len(attractors),
        "octants with one attractor": len(np.unique(octants, axis=0)),
        "largest q": float(points.speed.max()),
        "same from the other candidates": same(points.points, found[1].points),
        "found by the reference": len(reference),
        "of these missing here": int(np.sum(gaps > 1e-4)),
        "candidates converged": f"{int(points.converged.sum())} of {len(points.converged)}",
        "seconds": round(seconds, 2),
    }
    return network, facts, (states, points, batch)


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two sets of points are the same, each point having its partner within 1e-6."""
    gaps = np.linalg.norm(first[:, None] - second[None], axis=-1)
    return len(first) == len(second) and bool(gaps.min(axis=0).max() < 1e-6) and bool(gaps.min(axis=1).max() < 1e-6)


def reference_search(network: networks.RecurrentNetwork, visited: np.ndarray, key: jax.Array) -> np.ndarray:
    """Fixed points that SciPy finds from visited states, mixtures of them and Gaussian states, one start at a time."""
    weights, bias = np.asarray(network.recurrent_weights), np.asarray(network.recurrent_bias)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    first, second = (visited[rng.integers(len(visited), size=REFERENCE_STARTS)] for _ in range(2))
    starts = first + rng.random((REFERENCE_STARTS, 1)) * (second - first)
    starts[::3] = first[::3] + 0.3 * rng.standard_normal(first[::3].shape)
    starts[1::3] = rng.uniform(-1, 1, starts[1::3].shape)

    def vanishing(state: np.ndarray) -> np.ndarray:
        return np.tanh(weights @ state + bias) - state

    def slope(state: np.ndarray) -> np.ndarray:
        gain = 1 - np.tanh(weights @ state + bias) ** 2
        return gain[:, None] * weights - np.eye(len(state))

    kept: list[np.ndarray] = []
    for start in starts:
        result = scipy.optimize.root(vanishing, start, jac=slope, tol=1e-12)
        point = np.asarray(result.x)
        if 0.5 * np.sum(vanishing(point) ** 2) < 1e-16 and all(np.linalg.norm(point - one) > 1e-4 for one in kept):
            kept.append(point)
    return np.asarray(kept)


def draw(trained: training.Training, network: networks.RecurrentNetwork, states: Any, points: Any, batch: Any) -> None:
    """Training, a trial, weights, eigenvalues, state space with saddles' ways out, and the transition graph."""
    components = dynamics.principal_components(states, 3)
    graph = dynamics.transition_graph(network, points, key=jax.random.key(0), noise_std=0.3)
    with plot.style():
        figure = plt.figure(figsize=(16, 9))
        grid: Any = figure.subfigures(2, 1)
        top = grid[0].subplots(1, 4)
        plot.training_history(trained.history, (top[0], top[1]))
        plot.weight_matrix(network, top[2])
        plot.eigenvalues(points.eigenvalues[points.is_stable], top[3], label="at attractors,")
        bottom = [grid[1].add_subplot(1, 4, 1), grid[1].add_subplot(1, 4, 2, projection="3d")]
        plot.state_space(components, states, points, bottom[0], step=network)
        plot.state_space(components, states, points, bottom[1], step=network, dimensions=3)
        bottom[0].get_legend().remove()
        graph_axes = grid[1].add_subplot(1, 4, 3)
        plot.transition_graph(graph, graph_axes, positions=np.asarray(components.project(points.points))[:, :2])
        graph_axes.set_title("where noise (σ = 0.3, one step) leads")
        outputs = networks.run(network, batch.inputs)[1]
        last: Any = grid[1].add_subplot(1, 4, 4)
        last.set_title("one trial: targets pale")
        for bit in range(3):
            last.plot(np.asarray(batch.targets)[:, 0, bit] + 3 * bit, color=plot.COLORS[bit], linewidth=4, alpha=0.25)
            last.plot(np.asarray(outputs)[:, 0, bit] + 3 * bit, color=plot.COLORS[bit], linewidth=1.2)
        last.set_xlabel("time (steps)")
        last.set_yticks([0, 3, 6], ["bit 1", "bit 2", "bit 3"])
        figure.savefig(HERE / "flip_flop_fixed_points.png")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "../examples/flip_flop_fixed_points.png"
