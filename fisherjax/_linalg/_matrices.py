"""Small matrices: spectral radius and Perron vectors with safe derivatives, and the discrete Lyapunov equation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

Square = Float[Array, "*batch n n"]


@jax.custom_jvp
def spectral_radius(matrix: Square) -> Float[Array, "*batch"]:
    """Largest modulus of the eigenvalues, ρ(A) = max_i |λ_i|.

    The derivative is that of a simple dominant eigenvalue, Re(λ̄/|λ| · lᴴ dA r / lᴴ r). Where the
    dominant eigenvalue is defective, or zero, there is no derivative and 0 is returned.

    Parameters
    ----------
    matrix
        Square matrices (…, n, n).
    """
    return jnp.max(jnp.abs(jnp.linalg.eigvals(matrix)), axis=-1)


@spectral_radius.defjvp
def _spectral_radius_jvp(primals, tangents):
    (matrix,), (tangent,) = primals, tangents
    value, left, right = _dominant_triple(matrix)
    modulus = jnp.abs(value)
    pairing = jnp.sum(left * right, axis=-1)
    direction = jnp.einsum("...i,...ij,...j->...", left, tangent.astype(left.dtype), right)
    regular = (jnp.abs(pairing) > 1e-7) & (modulus > 0)
    rate = direction / jnp.where(regular, pairing, 1)
    derivative = jnp.real(jnp.conj(value) * rate) / jnp.where(modulus > 0, modulus, 1)
    return modulus, jnp.where(regular, derivative, 0)


def perron_vectors(matrix: Square) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
    """Left and right Perron vectors of a non-negative matrix, non-negative, each summing to one.

    Parameters
    ----------
    matrix
        Non-negative square matrices (…, n, n).

    Returns
    -------
    left, right
        Vectors (…, n) with l A = ρ l and A r = ρ r.
    """
    _, left, right = _dominant_triple(jax.lax.stop_gradient(matrix))

    def positive(vector: Complex[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        magnitude = jnp.abs(vector)
        return magnitude / jnp.sum(magnitude, axis=-1, keepdims=True)

    return positive(left), positive(right)


def numerical_abscissa(matrix: Square) -> Float[Array, "*batch"]:
    """Largest eigenvalue of the symmetric part, ω(A) = λ_max((A + Aᵀ)/2) ≥ Re λ for every eigenvalue."""
    symmetric = (matrix + jnp.swapaxes(matrix, -1, -2)) / 2
    return jnp.linalg.eigvalsh(symmetric)[..., -1]


def _dominant_triple(
    matrix: Square,
) -> tuple[Complex[Array, "*batch"], Complex[Array, "*batch n"], Complex[Array, "*batch n"]]:
    """Dominant eigenvalue with its left and right eigenvector (unit length, no conjugation implied)."""
    values, rights = jnp.linalg.eig(matrix)
    transposed_values, lefts = jnp.linalg.eig(jnp.swapaxes(matrix, -1, -2))
    index = jnp.argmax(jnp.abs(values), axis=-1)
    value = jnp.take_along_axis(values, index[..., None], axis=-1)
    partner = jnp.argmin(jnp.abs(transposed_values - value), axis=-1)
    right = jnp.take_along_axis(rights, index[..., None, None], axis=-1)[..., 0]
    left = jnp.take_along_axis(lefts, partner[..., None, None], axis=-1)[..., 0]
    return value[..., 0], left, right


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
