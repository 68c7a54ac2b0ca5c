r"""I have a trained network
========================

For someone with weights: from torch, from Flax, or trained here. What does its state know about an input, for how
long, in which of its units, and which dynamics hold it?
"""

# %%
# Bring the weights
# -----------------
# Weights are arrays, wherever they were trained: a state dict of torch is a dictionary of them, and
# :func:`fisherjax.networks.from_torch` takes it as it is. For this page a small network with process noise is trained
# on the spot, on two bits that must be held until they are flipped.

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import dynamics, fisher, networks, plot, tasks, training

task = tasks.flip_flop(num_bits=2)
build_key, fit_key, sample_key = jax.random.split(jax.random.key(0), 3)
network = networks.RNN(2, 40, 2, key=build_key, noise_std=0.05)
trained = training.fit(
    network, task, key=fit_key, num_steps=400, trial_steps=30, learning_rate=5e-3
)
network = trained.network
print(f"held-out accuracy {trained.history.held_out_accuracy[-1]:.3f}")

# %%
# How long does it know?
# ----------------------
# A pulse of size :math:`\theta` is given to the first input; then nothing. The information that the state at time
# :math:`t` has about :math:`\theta` is predicted for weak noise (:func:`fisherjax.fisher.linearized_curve`) and
# measured (:func:`fisherjax.fisher.simulated_curve`); the measurement has error bars and its bias is removed.

num_steps = 20


def pulse(size):
    """Inputs (T, 2): the first one is up at the first step."""
    return jnp.zeros((num_steps, 2)).at[0, 0].set(size)


settings = {"stimulus": 0.5, "num_steps": num_steps, "protocol": pulse}
predicted = fisher.linearized_curve(network, **settings)
measured = fisher.simulated_curve(network, num_trials=2000, key=sample_key, **settings)
readout = fisher.linearized_curve(network, read="output", **settings)

with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    plot.fisher_curve(predicted, ax, by_population=False, label="state, weak noise")
    plot.fisher_curve(measured, ax, by_population=False, label="state, simulated")
    plot.fisher_curve(
        readout, ax, by_population=False, label="read-out, weak noise", color="#D55E00"
    )
    ax.set(ylim=(0.1, None))

# %%
# The bit is held for ever, in attractors; the *size* of the pulse that set it is forgotten within ten steps. The
# read-out knows much less of it than the state. In the end the weak-noise prediction parts from the simulation: noise
# is not weak against what is left.

# %%
# Which dynamics hold it?
# -----------------------
# Fixed points from states that the network visits, all candidates at once; saddles part the basins of the attractors.

inputs = task.batch(sample_key, 32).inputs
candidates = dynamics.sample_states(trained.network, inputs, 200, key=sample_key)
found = dynamics.find_fixed_points(trained.network, candidates)
print(found)

states, _ = networks.run(trained.network, inputs[:, :12])
components = dynamics.principal_components(states)
with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 4.2))
    plot.state_space(components, states, found, ax)

# %%
# Which weight matters?
# ---------------------
# Fisher information is differentiable in every weight. Here: what each unit's incoming weights would do for the
# information at the end, by the length of the gradient.

slope = eqx.filter_grad(
    lambda network: jnp.log(fisher.linearized_curve(network, **settings).total[-1])
)(network)
length = np.linalg.norm(slope.recurrent_weights, axis=1)
with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 3))
    ax.bar(np.arange(length.size), length)
    ax.set(xlabel="unit", ylabel="slope of ln F(20) in\nits incoming weights")

# %%
# What next
# ---------
# * :doc:`/how_to/torch_weights`, :doc:`/how_to/own_step`: networks from elsewhere.
# * :doc:`/questions`: every question for every kind of network.
# * :doc:`/training`, :doc:`/dynamics`: constraints, checkpoints, bifurcations, Lyapunov exponents.
# * :doc:`/convolutional`: networks that see.
