"""Symmetric block-tridiagonal systems, by block elimination in one compiled scan."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Float

from ._one_by_one import one_by_one


def solve_block_tridiagonal(
    diagonal: Float[Array, "n s s"], upper: Float[Array, "m s s"], right: Float[Array, "n s c"]
) -> Float[Array, "n s c"]:
    """Solve A x = r for a symmetric A of n × n blocks, of which A_kk = `diagonal` and A_k,k+1 = `upper` (m = n − 1).

    Elimination from the first block to the last, pivoted within blocks, so that A need not be definite: n factors of
    an s × s matrix. Differentiable to any order; the transposed system is the same one.
    """

    def product(x: Array) -> Array:
        above = jnp.concatenate([upper @ x[1:], jnp.zeros_like(x[:1])])
        below = jnp.concatenate([jnp.zeros_like(x[:1]), jnp.swapaxes(upper, -1, -2) @ x[:-1]])
        return diagonal @ x + above + below

    return jax.lax.custom_linear_solve(product, right, lambda _, r: _eliminate(diagonal, upper, r), symmetric=True)


@one_by_one
def _eliminate(diagonal: Array, upper: Array, right: Array) -> Array:
    padded = jnp.concatenate([upper, jnp.zeros_like(diagonal[:1])])

    def forward(
        before: tuple[Array, Array], block: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        schur, moved = before
        own, beside, source = block
        factors = lu_factor(own - schur)
        share, value = lu_solve(factors, beside), lu_solve(factors, source - moved)
        return (beside.T @ share, beside.T @ value), (share, value)

    def backward(after: Array, solved: tuple[Array, Array]) -> tuple[Array, Array]:
        share, value = solved
        here = value - share @ after
        return here, here

    begun = (jnp.zeros_like(diagonal[0]), jnp.zeros_like(right[0]))
    _, solved = jax.lax.scan(forward, begun, (diagonal, padded, right))
    return jax.lax.scan(backward, jnp.zeros_like(right[0]), solved, reverse=True)[1]
