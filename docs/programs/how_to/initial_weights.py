"""Which initial weights let a network remember?
=============================================

Orthogonal ones with a gain a little above 1: ``networks.initializers.orthogonal("memory", delay=30)`` works it out
for the delay. You need not train to compare others: :func:`fisherjax.fisher.linear_decodability` says how much of a
task's targets a linear read-out would find in the states of an untrained network.
"""

# %%
# Three symbols must be repeated after a delay of 30 steps. The gain for that follows from theory.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, networks, plot, tasks

delay, task = 30, tasks.copy_memory
best = connectivity.memory_gain(delay, noise_std=0.0, input_variance=1 / 15)
starts = networks.initializers
print(f"gain for a delay of {delay} steps: {best:.3f}")


def decodable(start):
    """Share of the targets that a linear read-out explains before any training, and its error."""
    network = networks.RNN(5, 50, 4, key=jax.random.key(0), recurrent_initializer=start)
    found = fisher.linear_decodability(
        network, task, key=jax.random.key(1), num_steps=task.shortest + delay
    )
    return float(found.value), float(found.standard_error)


# %%
# The default (Gaussian, gain 1), and both ensembles at other gains.
memory, default = (
    decodable(start)[0] for start in (starts.orthogonal("memory", delay=delay), "gaussian")
)
print(
    f"decodable before training: {memory:.2f} with that start, {default:.2f} with the default"
)
gains = np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6])
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    for name, color in (("orthogonal", plot.COLORS[0]), ("gaussian", plot.COLORS[1])):
        share, error = np.transpose([decodable(getattr(starts, name)(gain)) for gain in gains])
        ax.errorbar(
            gains, share, error, fmt="o-", markersize=4, capsize=2, color=color, label=name
        )
    ax.axvline(best, color="0.5", linestyle="--", label="gain from theory")
    ax.set(
        xlabel="gain of the recurrent weights",
        ylabel="decodable share of the targets",
        ylim=(0, 1.03),
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %%
# Where this holds and where it fails, in a thousand trainings: :doc:`/remembering`.
