"""How much does this one network know, noise correlations included?
====================================================================

Ask :func:`fisherjax.fisher.closure_curve`, which closes the moments of the network and estimates its own error, or
:func:`fisherjax.fisher.linearized_curve`, which takes any network and is exact at small noise.
:func:`fisherjax.fisher.simulated_curve` measures the same.
"""

# %%
# One network of 100 units with given weights. All three count noise correlations unless told otherwise by ``form``.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, networks, plot

weights = connectivity.sample_weights(connectivity.homogeneous(1.2), 100, key=jax.random.key(2))
network = networks.RateNetwork(weights, jnp.ones(100), noise_std=0.3)
closure = fisher.closure_curve(network, stimulus=0.5, num_steps=6)
linearized = fisher.linearized_curve(network, stimulus=0.5, num_steps=6)
measured = fisher.simulated_curve(
    network, stimulus=0.5, num_steps=6, num_trials=10_000, key=jax.random.key(1)
)
print(
    f"simulated: {measured.total[-1]:.1f} ± {np.asarray(measured.standard_error)[-1]:.1f} after six steps"
)
print(
    f"closure: {closure.total[-1]:.1f}, by its own estimate to {np.asarray(closure.model_error)[-1]:.1%}"
)
print(f"linearized: {linearized.total[-1]:.1f}, too low under this much noise")

# %%
# Both predictions can be differentiated in every weight. More: :doc:`/measuring`, :doc:`/networks`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.fisher_curve(closure, ax, color=plot.COLORS[0], label="closure")
    plot.fisher_curve(linearized, ax, color=plot.COLORS[1], label="linearized")
    plot.fisher_curve(measured, ax, label="simulation")
