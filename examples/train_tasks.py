"""Eight tasks, learned
====================

Every task, learned by a vanilla network of 64 units with Adam: accuracy over training, and one trial of each.

Run ``python examples/train_tasks.py``; it writes train_tasks.json and train_tasks.png beside itself. About four
minutes on two cores.

.. image:: /../examples/train_tasks.png
   :alt: Eight tasks, learned
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import networks, plot, tasks, training

HERE = Path(__file__).parent
SETTINGS = {  # task, steps of training, learning rate, what accuracy means
    "flip-flop": (tasks.flip_flop, 1000, 3e-3, "right signs"),
    "integrator": (tasks.integrator, 3000, 1e-3, "R²"),
    "integrator of a heading": (tasks.integrator(periodic=True, spread=2.0), 4000, 1e-3, "R²"),
    "sine wave": (tasks.sine_wave, 3000, 1e-3, "R²"),
    "copy memory": (tasks.copy_memory, 3000, 1e-3, "right symbols"),
    "adding": (tasks.adding, 5000, 1e-3, "sums within 0.1"),
    "perceptual decision": (tasks.perceptual_decision, 2000, 1e-3, "right choices"),
    "delayed match": (tasks.delayed_match, 2000, 1e-3, "right answers"),
    "context integration": (tasks.context_integration, 3000, 1e-3, "right signs"),
}
KEYS = (0, 1, 2)


def main() -> None:
    """Train, test on fresh trials, draw."""
    record: dict[str, dict[str, Any]] = {}
    with plot.style():
        figure, axes = plt.subplots(9, 3, figsize=(12, 17), squeeze=False)
        for index, (name, (task, num_steps, learning_rate, measure)) in enumerate(SETTINGS.items()):
            rows, column = slice(3 * (index // 3), 3 * (index // 3) + 3), index % 3
            upper, lower, curve = axes[rows, column]
            begun, accuracies = time.perf_counter(), []
            for seed in KEYS:
                build_key, fit_key, test_key = jax.random.split(jax.random.key(seed), 3)
                network = networks.RNN(task.num_inputs, 64, task.num_outputs, key=build_key)
                trained = training.fit(
                    network, task, key=fit_key, num_steps=num_steps, learning_rate=learning_rate, evaluate_every=100
                )
                batch = task.batch(test_key, 2000)
                _, outputs = networks.run(trained.network, batch.inputs)
                accuracies.append(float(task.accuracy(outputs, batch)))
                history = trained.history
                curve.plot(history.evaluated, history.held_out_accuracy, color=plot.COLORS[seed], label=f"key {seed}")
                if seed == KEYS[0]:
                    shown = jax.nn.softmax(outputs) if task.loss == "cross_entropy" else outputs
                    plot.task_trial(batch, shown, (upper, lower))
            upper.set_title(name)
            curve.set_ylim(0, 1.03)
            curve.set_xlabel("training step")
            curve.set_ylabel(measure)
            seconds = round(time.perf_counter() - begun, 1)
            record[name] = {"accuracy": [round(value, 4) for value in accuracies], "measure": measure}
            record[name] |= {"steps": num_steps, "seconds": seconds}
            print(f"{name:<24} {min(accuracies):.4f} … {max(accuracies):.4f}  ({measure}), {seconds} s", flush=True)
        axes[2, 0].legend()
        figure.savefig(HERE / "train_tasks.png")
    worst = {name: float(np.min(values["accuracy"])) for name, values in record.items()}
    text = {"what": "accuracy on 2000 fresh trials, vanilla RNN of 64 units, three keys", "worst": worst, **record}
    (HERE / "train_tasks.json").write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "../examples/train_tasks.png"
