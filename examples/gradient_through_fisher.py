"""Which connection would help memory most?
========================================

Which connection would help memory most? Differentiate predicted Fisher information in every gain.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot

chain = connectivity.feedforward_chain(1.2, num_populations=4, recurrent=0.8, feedback=0.1)


def memory(gains: jax.Array) -> jax.Array:
    """Log Fisher information after ten steps."""
    matrix = connectivity.GainMatrix(gains, chain.fractions)
    return jnp.log(fisher.meanfield_curve(matrix, stimulus=0.1, noise_std=0.1, num_steps=10).total[-1])


if __name__ == "__main__":
    gradient = jax.grad(memory)(chain.gains)
    print("d ln F(10) / d g_pq, rows = to, columns = from")
    for row in gradient:
        print("  ".join(f"{float(value):+.3f}" for value in row))
    with plot.style():
        figure, ax = plt.subplots(figsize=(4.2, 3.4), layout="constrained")
        bound = float(jnp.abs(gradient).max())
        image = ax.imshow(np.asarray(gradient), cmap="RdBu_r", vmin=-bound, vmax=bound)
        figure.colorbar(image, label="d ln F(10) / d gain")
        ax.set(xlabel="from population", ylabel="to population", xticks=range(4), yticks=range(4))
