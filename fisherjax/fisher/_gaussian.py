"""Fisher information of a Gaussian from its mean, its covariance and their derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import check_finite
from fisherjax._errors import check_choice, is_traced, require
from fisherjax.numerics import full_precision

FORMS = ("independent", "linear", "total")


@full_precision
def gaussian_information(
    mean_slope: Float[Array | np.ndarray, "*K p"],
    covariance: Float[Array | np.ndarray, "p p"],
    covariance_slope: Float[Array | np.ndarray, "*K p p"] | None = None,
    *,
    form: str = "linear",
) -> Float[Array, "..."]:
    r"""Fisher information of Gaussian responses r ~ N(f(θ), Σ(θ)), in closed form.

    .. math::
        \text{independent} = Σ_i f'^2_i/Σ_{ii}, \quad
        \text{linear} = f'^T Σ^{-1} f', \quad
        \text{total} = \text{linear} + ½ \operatorname{tr}[(Σ^{-1} Σ')^2], \quad
        \text{diagonal-decoder} = \frac{(f'^T Σ_d^{-1} f')^2}{f'^T Σ_d^{-1} Σ Σ_d^{-1} f'} ≤ \text{linear}.

    Parameters
    ----------
    mean_slope
        f′ (p,), or (K, p) for K stimulus parameters.
    covariance
        Σ (p, p), symmetric positive definite.
    covariance_slope
        Σ′ (p, p), or (K, p, p); only the total form uses it.
    form
        ``"linear"``: what the best linear read-out reaches. ``"independent"``: correlations ignored, as if
        trials were shuffled. ``"diagonal-decoder"``: what the read-out that ignores correlations really
        reaches. ``"total"``: everything, if the responses are Gaussian.

    Returns
    -------
    Information, 1/θ²; a scalar, or (K, K).

    Raises
    ------
    ValueError
        If shapes do not match, Σ is not positive definite, or the total form lacks Σ′.

    References
    ----------
    Abbott & Dayan (1999), The effect of correlated variability on the accuracy of a population code,
    Neural Computation 11, 91–101; Kay (1993), Fundamentals of Statistical Signal Processing, eq. 3.31.
    """
    check_choice("form", form, (*FORMS, "diagonal-decoder"))
    slope = jnp.asarray(mean_slope)
    require(slope.ndim in {1, 2}, f"mean_slope must have shape (p,) or (K, p), got {slope.shape}")
    matrix = jnp.asarray(covariance).astype(slope.dtype)
    units = slope.shape[-1]
    require(matrix.shape == (units, units), f"covariance must have shape {(units, units)}, got {matrix.shape}")
    check_finite("mean_slope", slope)
    check_finite("covariance", matrix)
    rows = slope.reshape(-1, units)
    change = None
    if form == "total":
        require(covariance_slope is not None, "form='total' needs covariance_slope, the derivative of the covariance")
        change = jnp.asarray(covariance_slope).astype(slope.dtype).reshape(-1, units, units)
        require(len(change) == len(rows), f"covariance_slope must have one matrix per parameter, got {len(change)}")
    value = diagonal_decoder(rows, matrix) if form == "diagonal-decoder" else information(rows, matrix, change, form)
    if not is_traced(value):
        bad = not bool(jnp.all(jnp.isfinite(value)))
        require(not bad, "covariance is singular or not positive definite: information is not defined")
    return value if slope.ndim == 2 else value[0, 0]


@full_precision
def optimal_decoder(
    mean_slope: Float[Array | np.ndarray, " p"], covariance: Float[Array | np.ndarray, "p p"]
) -> Float[Array, " p"]:
    """Weights of the locally optimal linear decoder, w = Σ⁻¹ f′ / (f′ᵀ Σ⁻¹ f′).

    The estimate θ̂ = θ₀ + wᵀ(r − f(θ₀)) is unbiased around θ₀ (wᵀf′ = 1) and its variance wᵀΣw is the
    inverse of the linear information, the least that any linear estimate has.

    Parameters
    ----------
    mean_slope
        f′ (p,).
    covariance
        Σ (p, p), symmetric positive definite.

    Raises
    ------
    ValueError
        If shapes do not match, or Σ is not positive definite.
    """
    slope, matrix = jnp.asarray(mean_slope), jnp.asarray(covariance)
    value = gaussian_information(slope, matrix)
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), slope) / value


def information(
    slope: Float[Array, "K p"], covariance: Float[Array, "p p"], change: Float[Array, "K p p"] | None, form: str
) -> Float[Array, "K K"]:
    """The three forms of a Fisher matrix; NaN where the covariance is not positive definite."""
    if form == "independent":
        return (slope / jnp.diagonal(covariance)) @ slope.T
    lower = jnp.linalg.cholesky(covariance)
    whitened = _lower_solve(lower, slope.T)
    value = whitened.T @ whitened
    if form == "linear" or change is None:
        return value
    half = _lower_solve(lower, change)
    relative = _lower_solve(lower, jnp.swapaxes(half, -1, -2))
    return value + jnp.einsum("kij,lji->kl", relative, relative) / 2


def diagonal_decoder(slope: Float[Array, "K p"], covariance: Float[Array, "p p"]) -> Float[Array, "K K"]:
    """Information that the decoder w = Σ_d⁻¹ f′ reaches: A B⁻¹ A, A = f′Σ_d⁻¹f′ᵀ, B = f′Σ_d⁻¹ΣΣ_d⁻¹f′ᵀ."""
    weights = slope / jnp.diagonal(covariance)
    signal, noise = weights @ slope.T, weights @ covariance @ weights.T
    return signal @ jnp.linalg.solve(noise, signal)


def _lower_solve(lower: Array, right: Array) -> Array:
    shape = jnp.broadcast_shapes(lower.shape[:-2], right.shape[:-2])
    lower = jnp.broadcast_to(lower, (*shape, *lower.shape[-2:]))
    return jax.lax.linalg.triangular_solve(lower, right, left_side=True, lower=True)


@full_precision
def sensitivity_index(information: object, separation: object) -> Array:
    """Sensitivity index d′ = |Δθ| √I of two stimuli a small separation Δθ apart.

    With equal priors the best decision between them is right with probability Φ(d′/2). A negative
    estimate of information gives NaN: it is compatible with zero, but has no root.

    Parameters
    ----------
    information
        I, 1/θ²; an array or a FisherEstimate's value.
    separation
        Δθ, the total separation.
    """
    value = jnp.asarray(information, dtype=jnp.result_type(float))
    return jnp.abs(jnp.asarray(separation, value.dtype)) * jnp.sqrt(value)


def spans(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last + 1 index of consecutive groups of units."""
    return list(itertools.pairwise([0, *itertools.accumulate(sizes)]))


def by_group(
    slope: Float[Array, "K p"],
    covariance: Float[Array, "p p"],
    change: Float[Array, "K p p"] | None,
    form: str,
    sizes: tuple[int, ...],
) -> Float[Array, "groups K K"]:
    """Information of all units (first) and of each group read out alone."""
    whole = information(slope, covariance, change, form)
    if len(sizes) == 1:
        return jnp.stack([whole, whole])
    parts = [
        information(
            slope[:, low:high],
            covariance[low:high, low:high],
            None if change is None else change[:, low:high, low:high],
            form,
        )
        for low, high in spans(sizes)
    ]
    return jnp.stack([whole, *parts])
