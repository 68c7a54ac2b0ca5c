"""How long does a network remember while it learns to?
====================================================

How long does a network remember, and how does training change that? Fisher information across a delay.

A vanilla network with noise learns to keep the sign of a brief input over a delay. At several moments of its training
we ask how much Fisher information about that input its state holds at every step of the delay: a Gaussian closure of
the network as it is (``fisher.closure_curve``), checked by simulation, beside what its own read-out gets. Run
``python examples/memory_over_training.py``; it writes memory_over_training.json and .png.

.. image:: /../examples/memory_over_training.png
   :alt: How long does a network remember while it learns to?
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, networks, plot, tasks, training

HERE = Path(__file__).parent
UNITS, DELAY, STIMULUS, NOISE = 64, 30, 0.2, 0.02
MOMENTS = (0, 50, 100, 200, 400, 1000)


class HoldSign(tasks.Task):
    """Hold the size of a brief input pulse, uniform in ±1, until the end of the trial."""

    @property
    def num_inputs(self) -> int:
        """The pulse."""
        return 1

    @property
    def num_outputs(self) -> int:
        """Its size."""
        return 1

    @property
    def default_steps(self) -> int:
        """The delay."""
        return DELAY

    def draw(self, key: Any, batch_size: int, num_steps: int) -> tasks.TaskBatch:
        """A pulse at the first step; its size is the target from then on."""
        size = jax.random.uniform(key, (batch_size,), minval=-1.0, maxval=1.0)
        inputs = jnp.zeros((num_steps, batch_size, 1)).at[0, :, 0].set(size)
        targets = jnp.broadcast_to(size[None, :, None], (num_steps, batch_size, 1))
        return tasks.TaskBatch(inputs, targets, jnp.ones((num_steps, batch_size)))

    def accuracy(self, outputs: Any, batch: tasks.TaskBatch) -> Any:
        """R²."""
        return tasks.explained_variance(outputs, batch)


def main() -> None:
    """Train with snapshots, then predict, simulate and draw."""
    build_key, fit_key, simulate_key = jax.random.split(jax.random.key(0), 3)
    network = networks.RNN(1, UNITS, 1, key=build_key, noise_std=NOISE, activation="inside")
    snapshots: dict[int, Any] = {0: network}

    def keep(progress: training.TrainingProgress) -> None:
        if progress.step in MOMENTS:
            snapshots[progress.step] = progress.network

    trained = training.fit(
        network, HoldSign(), key=fit_key, num_steps=max(MOMENTS), learning_rate=2e-3, evaluate_every=50, callback=keep,
        keep_best=False,
    )  # fmt: skip
    record: dict[str, Any] = {
        "what": f"N = {UNITS}, pulse of {STIMULUS} through the input, noise {NOISE} on every current, linear form",
        "held-out R²": [round(float(value), 4) for value in trained.history.held_out_accuracy],
    }
    with plot.style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.4))
        shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(MOMENTS)))
        for shade, (step, one) in zip(shades, sorted(snapshots.items()), strict=True):
            with jax.enable_x64(True):
                facts = information(networks.in_precision(one, float), simulate_key)
            record[f"after {step} steps"] = {name: np.round(value, 2).tolist() for name, value in facts.items()}
            times = np.arange(1, DELAY + 1)
            left.plot(times, facts["closure"], color=shade, label=f"{step}")
            left.errorbar(
                times[::3], facts["simulation"][::3], facts["standard error"][::3], fmt="o", markersize=3, color=shade
            )
            middle.plot(times, facts["read-out"], color=shade)
            print(f"after {step}: closure {facts['closure'][[0, 9, -1]]}, simulated {facts['simulation'][[0, 9, -1]]}")
        for ax, title in (
            (left, "in the state (line: closure; points: simulation)"),
            (middle, "in the read-out (closure)"),
        ):
            ax.set_yscale("log")
            ax.set_ylim(1e-1, 2e5)
            ax.set_xlabel("time since the pulse (steps)")
            ax.set_ylabel("Fisher information about the pulse")
            ax.set_title(title)
        left.legend(title="training steps", ncols=2)
        right.plot(trained.history.evaluated, trained.history.held_out_accuracy, color=plot.COLORS[2])
        right.set_xlabel("training step")
        right.set_ylabel("held-out R² over the whole delay")
        right.set_ylim(0.8, 1.01)
        figure.savefig(HERE / "memory_over_training.png")
    (HERE / "memory_over_training.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def information(network: networks.RNN, key: Any) -> dict[str, np.ndarray]:
    """Linear Fisher information over the delay about a pulse of input: in the state, and in the trained read-out."""
    asked: dict[str, Any] = {"stimulus": STIMULUS, "num_steps": DELAY}
    measured = fisher.simulated_curve(network, num_trials=4000, key=key, **asked)
    return {
        "closure": np.asarray(fisher.closure_curve(network, **asked).total),
        "simulation": np.asarray(measured.total),
        "standard error": np.asarray(measured.standard_error),
        "read-out": np.asarray(fisher.closure_curve(network, read="output", **asked).total),
    }


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "../examples/memory_over_training.png"
