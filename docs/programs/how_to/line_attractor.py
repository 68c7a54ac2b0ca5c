"""How do I find a line attractor?
===============================

A trained network has no perfect line, but a curve of states that hardly move. Lower the speed of many candidates
without going on to the few true fixed points, and give what is slow to
:func:`fisherjax.dynamics.attractor_manifold`: it says if the points form a line or a ring along which the state can
drift while all else decays.
"""

# %%
# A network that learned to integrate its input must keep any number for as long as the input is zero.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from fisherjax import dynamics, networks, plot, tasks, training

build_key, fit_key, trial_key, candidate_key = jax.random.split(jax.random.key(0), 4)
network = networks.GRU(1, 32, 1, key=build_key)
trained = training.fit(
    network, tasks.integrator, key=fit_key, num_steps=300, trial_steps=50, learning_rate=5e-3
)
network = trained.network
print(f"R² of the integral on held-out trials: {trained.history.held_out_accuracy[-1]:.3f}")

# %%
# Slow points: Adam alone, no Newton steps, and a tolerance of speed instead of rounding.
inputs = tasks.integrator.batch(trial_key, 32, 50).inputs
candidates = dynamics.sample_states(network, inputs, 200, key=candidate_key)
slow = dynamics.find_fixed_points(
    network, candidates, tolerance=1e-4, newton_steps=0, marquardt_steps=0, marginal=0.05
)
found = dynamics.attractor_manifold(network, slow.points)
ends = network.readout(jnp.asarray(slow.points[found.order[[0, -1]]]))
print(
    f"{len(slow)} slow points form a {found.kind}; the slowest mode runs along it: {found.alignment:.3f} of 1"
)
print(f"along it the output goes from {ends.min():.2f} to {ends.max():.2f}")

# %%
# Left without input after a trial, states go to the line and stay where they reach it (gray). Rings, and what marginal
# means: :doc:`/dynamics`.
last = networks.run(network, inputs)[0][-1]
states, _ = networks.run(network, jnp.zeros((30, 32, 1)), initial_state=last)
components = dynamics.principal_components(states)
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.state_space(components, states, slow, ax, max_trajectories=32)
