"""Which connection would help most?
====================================

Differentiate: :func:`fisherjax.fisher.meanfield_curve` is a JAX function, so that ``jax.grad`` or
``jax.value_and_grad`` through it gives the effect of every gain on the information at once.
"""

# %%
# A chain of four populations; the logarithm of what is left after ten steps as a function of its gains.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot

chain = connectivity.feedforward_chain(1.2, num_populations=4, recurrent=0.8, feedback=0.1)


@jax.value_and_grad
def log_memory(gains):
    """Log Fisher information after ten steps."""
    structure = connectivity.GainMatrix(gains, chain.fractions)
    return jnp.log(
        fisher.meanfield_curve(structure, stimulus=0.1, noise_std=0.1, num_steps=10).total[-1]
    )


value, slopes = log_memory(chain.gains)
target, source = np.unravel_index(np.argmax(slopes), slopes.shape)
print(f"most helps the gain from population {source} to population {target}")

# %%
# A little of it, as the gradient says and in fact.
stronger, _ = log_memory(chain.gains.at[target, source].add(0.02))
promised, gained = np.expm1(0.02 * slopes[target, source]), np.expm1(stronger - value)
print(f"0.02 more of it: {promised:.1%} more information by the slope, {gained:.1%} in fact")

# %%
# Where weights have means, hand them on, and differentiate in both: ``GainMatrix(gains, fractions, means)`` under
# ``jax.value_and_grad(…, argnums=(0, 1))``. With ``form="linear"`` noise correlations are counted.
# The slope of a connection that is not there is zero, since information depends on the square of a gain. One given
# network has a gradient in every weight. More: :func:`fisherjax.fisher.closure_curve`, :doc:`/structures`.
with plot.style():
    figure, ax = plt.subplots(figsize=(6, 3.5))
    image = ax.imshow(slopes, cmap="Reds", vmin=0)
    for (row, column), slope in np.ndenumerate(slopes):
        color = "white" if slope > 0.6 * slopes.max() else "black"
        ax.text(column, row, f"{slope:.1f}", ha="center", va="center", color=color)
    ax.set(
        xticks=range(len(slopes)),
        yticks=range(len(slopes)),
        xlabel="from population",
        ylabel="to population",
    )
    figure.colorbar(image, label="d ln F / d gain")
