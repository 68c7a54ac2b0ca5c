"""How do I use a nonlinearity of my own?
=========================================

Give the function itself as ``nonlinearity``, written with JAX for single numbers. Where it has kinks is found by
looking at it, and its Gaussian moments are integrated piece by piece.
"""

# %%
# Units that are linear up to one and flat beyond, with a kink on either side.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, nonlinearities, plot


def clipped(state):
    """Linear from −1 to 1, flat beyond."""
    return jnp.clip(state, -1, 1)


phi = nonlinearities.as_nonlinearity(clipped)
if isinstance(phi, nonlinearities.PiecewiseSmooth):
    print("kinks found at", phi.kinks)

# %%
# Theory and simulation take it like a name such as ``"tanh"``.
structure = connectivity.homogeneous(1.2)
theory = fisher.meanfield_curve(
    structure, stimulus=1.0, noise_std=0.3, num_steps=8, num_units=300, nonlinearity=clipped
)
measured = fisher.ensemble_curve(
    structure, stimulus=1.0, noise_std=0.3, num_steps=8, num_units=300, nonlinearity=clipped,
    num_trials=200, num_draws=6, key=jax.random.key(0),
)  # fmt: skip
error = np.asarray(measured.standard_error)
print(
    f"after eight steps {theory.total[-1]:.1f}, simulated {measured.total[-1]:.1f} ± {error[-1]:.1f}"
)

# %%
# The linear form, with noise correlations counted, takes smooth functions only. More: :doc:`/structures`,
# :func:`fisherjax.nonlinearities.as_nonlinearity`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.fisher_curve(theory, ax, color=plot.COLORS[0], label="clipped units, theory")
    plot.fisher_curve(measured, ax, color=plot.COLORS[0], label="clipped units, simulation")
