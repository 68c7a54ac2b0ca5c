"""How much does a network remember of a stream of inputs?
==========================================================

:func:`~fisherjax.fisher.temporal_matrix` says what the state knows of each input that led to it, for inputs of any
size; :func:`~fisherjax.fisher.memory_curve` is the exact answer for a linear network; and
:func:`~fisherjax.fisher.processing_capacity` measures what a linear read-out gets from recorded states.
"""

# %%
# One network of 100 units, a stream of 3000 inputs, and the states that follow it.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot, simulate

(network,) = simulate.draw_networks(
    connectivity.homogeneous(0.8), 100, num_draws=1, noise_std=0.1, input_pattern=(0.0,), input_pattern_std=(1.0,),
    key=jax.random.key(0),
)  # fmt: skip
inputs = np.random.default_rng(0).uniform(-1, 1, 3000)
states = simulate.trajectories(
    network,
    stimulus=1.0,
    protocol=lambda size: size * inputs,
    num_steps=3000,
    num_trials=1,
    key=jax.random.key(1),
)
found = fisher.processing_capacity(states[:, 0], inputs, max_delay=20, max_degree=2)

# %%
# What is known of the last twenty inputs, with noise correlations counted, and what it would be if units were linear.
known = fisher.temporal_matrix(network, inputs[-20:], form="linear", method="linearized")
linear = fisher.memory_curve(network.weights, network.input_vector, noise_std=0.1, num_steps=20)
print(f"an input of this size is above the noise for {known.horizon(inputs.std())} steps")
print(
    f"inputs that a linear read-out gets back: {found.memory_capacity:.1f} of {found.rank} at most"
)

# %%
# Saturation costs old inputs most. Fisher information has no ceiling, and a share of variance has; so the capacity
# stays near one as long as an input is well above the noise. More: :doc:`/structures`, :doc:`/recordings`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    ax.plot(
        np.arange(1, 21),
        linear / linear[0],
        "--",
        color=plot.COLORS[2],
        label="Fisher memory, linear units",
    )
    plot.processing_capacity(found, ax, memory=known.memory[:, 0])
