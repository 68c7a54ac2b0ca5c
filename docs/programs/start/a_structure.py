r"""I have a structure
==================

For a theorist: populations, how strongly they drive one another, and the question how long such a network knows about
an input. Everything here is exact for large networks and takes milliseconds; a simulation beside it shows how large is
large enough.
"""

# %%
# A structure is a matrix of gains
# --------------------------------
# Five populations of the same size. Population :math:`q` drives population :math:`p` through weights that are drawn
# independently with variance :math:`g_{pq}^2 / N`. Here each population drives the next one, and a little itself.

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, meanfield, plot

chain = connectivity.feedforward_chain(2.5, num_populations=5, recurrent=2.0)
print(np.asarray(chain.gains))
print(f"spectral radius of the weights: {connectivity.spectral_radius(chain):.2f}")

# %%
# What it remembers of a pulse
# ----------------------------
# At :math:`t = 0` a stimulus :math:`\theta` moves the state of population 0; process noise of standard deviation
# :math:`\sigma` enters at every step. How much does the state at time :math:`t` tell about :math:`\theta`?
# :func:`fisherjax.fisher.meanfield_curve` predicts the Fisher information, with units counted as independent, or with
# their noise correlations (``form="linear"``), which is what the best linear read-out reaches.

settings = {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 10, "num_units": 500}
independent = fisher.meanfield_curve(chain, **settings)
linear = fisher.meanfield_curve(chain, form="linear", **settings)
for t in (1, 5, 10):
    print(
        f"t = {t:2d}: independent {independent.total[t - 1]:7.0f}, linear {linear.total[t - 1]:7.0f}"
    )

# %%
# Is it true?
# -----------
# Eight networks of 500 units, 100 noisy trials of each; the error bars are over networks.

measured = fisher.ensemble_curve(
    chain, num_draws=8, num_trials=100, key=jax.random.key(0), **settings
)

with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    plot.fisher_curve(independent, ax, by_population=False, label="theory, units independent")
    plot.fisher_curve(
        linear,
        ax,
        by_population=False,
        label="theory, noise correlations counted",
        color="#0072B2",
    )
    plot.fisher_curve(measured, ax, by_population=False, label="simulation, units independent")

# %%
# Where does the information go?
# ------------------------------
# By population: it travels down the chain.

with plot.style():
    figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    plot.fisher_curve(independent, ax)

# %%
# What would make it last longer?
# -------------------------------
# The theory is differentiable. The gradient of the log of what is left after ten steps, in every gain, says which
# connection helps most; with units of the gain, so that 1 means: one percent of information for 0.01 of gain.


def log_memory(gains):
    """Log of the information that is left, in the linear form."""
    matrix = connectivity.GainMatrix(gains, chain.fractions)
    curve = fisher.meanfield_curve(
        matrix, stimulus=0.1, noise_std=0.1, num_steps=10, form="linear", at=[10]
    )
    return jnp.log(curve.total[-1])


slope = jax.grad(log_memory)(chain.gains)
with plot.style():
    figure, ax = plt.subplots(figsize=(4.5, 3.6))
    limit = float(jnp.abs(slope).max())
    image = ax.imshow(slope, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(
        xlabel="from population",
        ylabel="to population",
        title="gradient of ln F(10) in the gains",
        xticks=range(len(slope)),
        yticks=range(len(slope)),
    )
    figure.colorbar(image, ax=ax, label="per unit of gain")

# %%
# How fast, and is it chaotic?
# ----------------------------
# The Fisher diffusion operator's largest eigenvalue is the share of information that survives a step once the pulse is
# small; without noise, activity of its own begins at :func:`fisherjax.meanfield.critical_gain` times these gains.

operator = meanfield.diffusion_operator(chain, noise_std=0.1)
factor = meanfield.critical_gain(noise_std=0.1, gain_matrix=chain)
print(
    f"a step keeps {operator.spectral_radius:.2f} of the information; chaos begins at {factor:.2f} times the gains"
)

# %%
# What next
# ---------
# * :doc:`/how_to/budget`: search for the structure that keeps most.
# * :doc:`/which_curve`: which of the curves answers which question.
# * :doc:`/structures`: other structures, nonlinearities, time-continuous networks.
# * :doc:`/theory`: what was computed, derived.
