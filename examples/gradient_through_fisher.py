"""Which connection would help memory most?
========================================

Which connection would help memory most? Differentiate predicted Fisher information in every gain.
"""

import jax
import jax.numpy as jnp

from fisherjax import connectivity, fisher

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
