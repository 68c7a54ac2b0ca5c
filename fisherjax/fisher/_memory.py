"""Fisher memory of linear networks: exact, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_integer, check_positive, is_traced, require
from fisherjax._linalg import solve_discrete_lyapunov, spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar


@full_precision
def memory_matrix(
    weights: ArrayLike, input_vector: ArrayLike, *, noise_std: Scalar, num_steps: int
) -> Float[Array, "num_steps num_steps"]:
    r"""Fisher memory matrix of a linear network about its past input.

    The network x(n) = W x(n−1) + v s(n) + z(n), with noise of variance ε = σ² per unit, is in its stationary
    state. Its state holds about the signals s(n−k) and s(n−l)

    .. math::
        J_{kl} = ε^{-1}\, v^T W^{k\,T} C^{-1} W^l v, \qquad C = Σ_k W^k W^{k\,T}.

    Parameters
    ----------
    weights
        W (N, N), spectral radius below one; rows = to, columns = from.
    input_vector
        v (N,). Information is proportional to |v|².
    noise_std
        σ > 0.
    num_steps
        Lags k, l = 0 … num_steps − 1.

    Returns
    -------
    J (num_steps, num_steps), symmetric, 1/s²; differentiable in every array argument.

    Raises
    ------
    ValueError
        If the weights are unstable, or an argument has the wrong shape or sign.

    References
    ----------
    Ganguli, Huh & Sompolinsky (2008), Memory traces in dynamical systems, PNAS 105, 18970–18975, eq. 3.
    """
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    matrix, vector = _checked(weights, input_vector, noise_std)
    return _finite(_memory_matrix(matrix, vector, jnp.asarray(noise_std).astype(matrix.dtype), num_steps))


@full_precision
def memory_curve(
    weights: ArrayLike, input_vector: ArrayLike, *, noise_std: Scalar, num_steps: int
) -> Float[Array, " num_steps"]:
    """Fisher memory curve J(k) = J_kk: what the state holds about the signal k steps ago, all others known.

    Parameters, errors and source are those of `memory_matrix`. The curve sums to `total_memory`. For a normal
    W it is ε⁻¹ Σ_i |v_i|² |λ_i|^{2k} (1 − |λ_i|²) and sums to |v|²/ε.
    """
    return jnp.diagonal(memory_matrix(weights, input_vector, noise_std=noise_std, num_steps=num_steps))


@full_precision
def total_memory(weights: ArrayLike, input_vector: ArrayLike, *, noise_std: Scalar) -> Float[Array, ""]:
    """Total Fisher memory J_tot = Σ_k J(k) over all lags, without truncation.

    ε⁻¹ tr(C⁻¹ X) with X = W X Wᵀ + v vᵀ. For a normal W it is |v|²/ε; for any W at most N|v|²/ε; averaged
    over directions of v exactly |v|²/ε.

    Parameters
    ----------
    weights
        W (N, N), spectral radius below one.
    input_vector
        v (N,).
    noise_std
        σ > 0.

    Raises
    ------
    ValueError
        If the weights are unstable, or an argument has the wrong shape or sign.
    """
    matrix, vector = _checked(weights, input_vector, noise_std)
    return _finite(_total_memory(matrix, vector, jnp.asarray(noise_std).astype(matrix.dtype)))


def _checked(weights: ArrayLike, input_vector: ArrayLike, noise_std: Scalar) -> tuple[Array, Array]:
    check_positive(noise_std=noise_std)
    matrix = as_real("weights", weights, "N N", hint="rows = to, columns = from")
    require(len(matrix) > 0, "weights must hold at least one unit, got shape (0, 0)")
    vector = as_real("input_vector", input_vector, f"{len(matrix)}", dtype=matrix.dtype)
    if not is_traced(matrix):
        radius = float(np.asarray(spectral_radius(matrix)))
        require(
            radius < 1,
            f"weights must be stable, but their spectral radius is {radius:.6g}: there is no stationary state. Scale "
            "them below 1, or follow a pulse for finite times with closure_curve(…, nonlinearity='identity')",
        )
    return matrix, vector


def _finite(memory: Array) -> Array:
    """Refuse what overflowed on the way, which the spectral radius does not tell of strongly non-normal weights."""
    require(
        is_traced(memory) or bool(np.isfinite(np.asarray(memory)).all()),
        "weights amplify so much before their activity decays that the stationary covariance leaves the float range, "
        "or is singular to rounding: scale them down, or use float64",
    )
    return memory


@jax.jit(static_argnums=3)
def _memory_matrix(weights: Array, vector: Array, noise_std: Array, num_steps: int) -> Array:
    def step(response: Array, _: None) -> tuple[Array, Array]:
        return weights @ response, response

    _, responses = jax.lax.scan(step, vector, length=num_steps)
    lower = jnp.linalg.cholesky(solve_discrete_lyapunov(weights, jnp.eye(len(weights), dtype=weights.dtype)))
    whitened = jax.scipy.linalg.solve_triangular(lower, responses.T, lower=True)
    return whitened.T @ whitened / noise_std**2


@jax.jit
def _total_memory(weights: Array, vector: Array, noise_std: Array) -> Array:
    covariance = solve_discrete_lyapunov(weights, jnp.eye(len(weights), dtype=weights.dtype))
    signal = solve_discrete_lyapunov(weights, jnp.outer(vector, vector))
    factor = jax.scipy.linalg.cho_factor(covariance, lower=True)
    return jnp.trace(jax.scipy.linalg.cho_solve(factor, signal)) / noise_std**2
