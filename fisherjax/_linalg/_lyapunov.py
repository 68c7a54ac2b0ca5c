"""The discrete Lyapunov equation by doubling, with implicit derivatives in both modes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MOST_DOUBLINGS = 64  # the sum then has 2^64 terms: what has not converged by then does not


def solve_discrete_lyapunov(matrix: Float[Array, "n n"], source: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Solve X = A X Aᵀ + Q, that is X = Σ_k A^k Q A^kᵀ, for a matrix A of spectral radius below one.

    Smith's doubling, X ← X + A X Aᵀ, A ← A²: after k doublings the sum has 2^k terms. Derivatives come
    from the equation itself (one more solve), not from the iteration.

    Parameters
    ----------
    matrix
        A (n, n).
    source
        Q (n, n).

    Returns
    -------
    X (n, n); NaN where the sum does not converge.

    References
    ----------
    Smith (1968), Matrix equation XA + BX = C, SIAM J. Appl. Math. 16, 198–201.
    """

    def residual(solution: Array) -> Array:
        return solution - matrix @ solution @ matrix.T

    return jax.lax.custom_linear_solve(
        residual,
        source,
        solve=lambda _, right: _double(matrix, right),
        transpose_solve=lambda _, right: _double(matrix.T, right),
    )


def _double(matrix: Array, source: Array) -> Array:
    matrix, source = jax.lax.stop_gradient(matrix), jax.lax.stop_gradient(source)
    tolerance = jnp.finfo(source.dtype).eps

    def unfinished(state: tuple[Array, Array, Array, Array]) -> Array:
        _, _, change, count = state
        # NaN compares false: a sum that overflowed stops
        return (change > tolerance) & (count < _MOST_DOUBLINGS)

    def double(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        total, power, _, count = state
        term = power @ total @ power.T
        size = jnp.linalg.norm(total)
        change = jnp.linalg.norm(term) / jnp.where(size > 0, size, 1)
        return total + term, power @ power, change, count + 1

    one = jnp.ones((), source.dtype)
    total, _, change, _ = jax.lax.while_loop(unfinished, double, (source, matrix, one, jnp.zeros((), int)))
    return jnp.where(change <= tolerance, total, jnp.nan)
