"""How do I work in continuous time?
====================================

Make a :class:`~fisherjax.networks.FlowNetwork` of given weights, or draw some with ``kind=networks.FlowNetwork``; all
questions about one network take it. What a structure does at large N is :func:`fisherjax.fisher.continuous_curve`.
Times are in units of the time constant.
"""

# %%
# Four networks ẋ = −x + J φ(x) + noise that are kicked at time zero, each in a random direction of its own.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, networks, plot, simulate

structure = connectivity.homogeneous(1.5)
flows = simulate.draw_networks(
    structure, 300, num_draws=4, noise_std=0.3, input_pattern=(0.0,), input_pattern_std=(1.0,),
    key=jax.random.key(0), kind=networks.FlowNetwork, dt=0.1,
)  # fmt: skip
steps = tuple(range(5, 51, 5))
measured = fisher.simulated_curve(
    flows,
    stimulus=1.0,
    num_steps=50,
    num_trials=200,
    form="independent",
    at=steps,
    key=jax.random.key(1),
)

# %%
# The theory asks for times, not for steps.
theory = fisher.continuous_curve(
    structure, times=np.linspace(0.5, 5, 10), stimulus=1.0, noise_std=0.3, num_units=300
)
error = np.asarray(measured.standard_error)
for index in (0, -1):
    simulated = f"{measured.total[index]:.0f} ± {error[index]:.0f} simulated"
    print(
        f"{theory.total[index]:.0f} after {theory.times[index]:.1f} time constants, {simulated}"
    )

# %%
# Stationary theory in continuous time is in :mod:`fisherjax.dmft`. More: :doc:`/structures`, :doc:`/networks`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.fisher_curve(theory, ax, color=plot.COLORS[0], label="theory")
    plot.fisher_curve(measured, ax, color=plot.COLORS[0], label="simulation")
