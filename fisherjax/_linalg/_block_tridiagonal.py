"""Symmetric block-tridiagonal systems, by block elimination in one compiled scan."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def solve_block_tridiagonal(
    diagonal: Float[Array, "n *batch s s"], upper: Float[Array, "m *batch s s"], right: Float[Array, "n *batch s c"]
) -> Float[Array, "n *batch s c"]:
    """Solve A x = r for a symmetric A of n × n blocks, of which A_kk = `diagonal` and A_k,k+1 = `upper` (m = n − 1).

    Elimination from the first block to the last, pivoted within blocks, so that A need not be definite: n factors of
    an s × s matrix. Differentiable to any order; the transposed system is the same one.
    """

    def product(x: Array) -> Array:
        above = jnp.concatenate([upper @ x[1:], jnp.zeros_like(x[:1])])
        below = jnp.concatenate([jnp.zeros_like(x[:1]), jnp.swapaxes(upper, -1, -2) @ x[:-1]])
        return diagonal @ x + above + below

    return jax.lax.custom_linear_solve(product, right, lambda _, r: _eliminate(diagonal, upper, r), symmetric=True)


def _eliminate(diagonal: Array, upper: Array, right: Array) -> Array:
    diagonal, upper = jax.lax.stop_gradient((diagonal, upper))
    size = diagonal.shape[-1]
    padded = jnp.concatenate([upper, jnp.zeros_like(diagonal[:1])])

    def forward(before: tuple[Array, Array], block: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Any]:
        schur, moved = before
        own, beside, source = block
        solved = jnp.linalg.solve(own - schur, jnp.concatenate([beside, source - moved], axis=-1))
        share, value = solved[..., :size], solved[..., size:]
        across = jnp.swapaxes(beside, -1, -2)
        return (across @ share, across @ value), (share, value)

    def backward(after: Array, solved: tuple[Array, Array]) -> tuple[Array, Array]:
        share, value = solved
        here = value - share @ after
        return here, here

    begun = (jnp.zeros_like(diagonal[0]), jnp.zeros_like(right[0]))
    _, solved = jax.lax.scan(forward, begun, (diagonal, padded, right))
    return jax.lax.scan(backward, jnp.zeros_like(right[0]), solved, reverse=True)[1]
