"""Fisher memory of linear networks: exact, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_integer, check_scalar, is_traced, require
from fisherjax._types import Scalar, as_float
from fisherjax.numerics import full_precision, solve_discrete_lyapunov, spectral_radius


@full_precision
def memory_matrix(
    weights: object, input_vector: object, *, noise_std: Scalar, num_steps: int
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
    return _memory_matrix(matrix, vector, jnp.asarray(noise_std).astype(matrix.dtype), num_steps)


@full_precision
def memory_curve(
    weights: object, input_vector: object, *, noise_std: Scalar, num_steps: int
) -> Float[Array, " num_steps"]:
    """Fisher memory curve J(k) = J_kk: what the state holds about the signal k steps ago, all others known.

    Parameters, errors and source are those of `memory_matrix`. The curve sums to `total_memory`. For a normal
    W it is ε⁻¹ Σ_i |v_i|² |λ_i|^{2k} (1 − |λ_i|²) and sums to |v|²/ε.
    """
    return jnp.diagonal(memory_matrix(weights, input_vector, noise_std=noise_std, num_steps=num_steps))


@full_precision
def total_memory(weights: object, input_vector: object, *, noise_std: Scalar) -> Float[Array, ""]:
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
    return _total_memory(matrix, vector, jnp.asarray(noise_std).astype(matrix.dtype))


def _checked(weights: object, input_vector: object, noise_std: Scalar) -> tuple[Array, Array]:
    check_scalar("noise_std", noise_std, minimum=0.0, strict=True)
    matrix = as_float(weights)
    require(
        matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1],
        f"weights must be square (N, N), got shape {matrix.shape}",
    )
    vector = jnp.asarray(input_vector).astype(matrix.dtype)
    require(vector.shape == matrix.shape[:1], f"input_vector must have shape {matrix.shape[:1]}, got {vector.shape}")
    check_finite("weights", matrix)
    check_finite("input_vector", vector)
    if not is_traced(matrix):
        radius = float(np.asarray(spectral_radius(matrix)))
        require(
            radius < 1,
            f"weights must be stable, but their spectral radius is {radius:.6g}: there is no stationary state. Scale "
            "them below 1, or follow a pulse for finite times with closure_curve(…, nonlinearity='identity')",
        )
    return matrix, vector


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
