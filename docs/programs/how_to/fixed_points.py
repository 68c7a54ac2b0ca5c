"""How do I find the fixed points of a trained network?
====================================================

Draw candidates around the states that the network visits (:func:`fisherjax.dynamics.sample_states`) and give them all
to :func:`fisherjax.dynamics.find_fixed_points`: each is followed to where the state stops moving, and what is found
comes with its eigenvalues and its kind. :func:`fisherjax.dynamics.index_sum` tells if points must be missing.
"""

# %%
# A network that holds two bits needs four attractors, and something between them.
import jax
import matplotlib.pyplot as plt

from fisherjax import dynamics, networks, plot, tasks, training

build_key, fit_key, trial_key, candidate_key = jax.random.split(jax.random.key(0), 4)
task = tasks.flip_flop(num_bits=2)
network = networks.RNN(2, 32, 2, key=build_key)
network = training.fit(
    network, task, key=fit_key, num_steps=300, trial_steps=25, learning_rate=5e-3
).network

# %%
# Candidates come from trials of the task; fixed points are those without input.
inputs = task.batch(trial_key, 32, 40).inputs
candidates = dynamics.sample_states(network, inputs, 200, key=candidate_key)
found = dynamics.find_fixed_points(network, candidates)
print(found)
print(dynamics.index_sum(found))

# %%
# States of a few trials (gray lines), attractors (filled), and saddles (open) with the directions in which they are
# left.
states, _ = networks.run(network, inputs)
components = dynamics.principal_components(states)
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.state_space(components, states, found, ax, step=network, max_trajectories=10)

# %%
# Inputs that are held, orbits, bifurcations: :doc:`/dynamics`. A continuum of points:
# :doc:`/how_to/line_attractor`.
