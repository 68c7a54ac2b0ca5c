"""Fisher information of a Gaussian from its mean, its covariance and their derivatives."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type
from fisherjax._errors import check_choice, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike

from ._gate import least_correlation_eigenvalue

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
        If shapes do not match, Σ is not symmetric and positive definite, or the total form lacks Σ′. (The independent
        form and the diagonal decoder take a singular Σ whose diagonal is positive.)

    References
    ----------
    Abbott & Dayan (1999), The effect of correlated variability on the accuracy of a population code,
    Neural Computation 11, 91–101; Kay (1993), Fundamentals of Statistical Signal Processing, eq. 3.31.
    """
    check_choice("form", form, (*FORMS, "diagonal-decoder"))
    slope, matrix = _checked(mean_slope, covariance, invertible=form in {"linear", "total"})
    rows = slope.reshape(-1, slope.shape[-1])
    require(
        form != "total" or covariance_slope is not None,
        "form='total' needs covariance_slope, the derivative of the covariance",
    )
    change = None
    if covariance_slope is not None:
        size = slope.shape[-1]
        shape = f"{size} {size}" if slope.ndim == 1 else f"{len(rows)} {size} {size}"
        change = as_real("covariance_slope", covariance_slope, shape, dtype=slope.dtype).reshape(-1, size, size)
    value = diagonal_decoder(rows, matrix) if form == "diagonal-decoder" else information(rows, matrix, change, form)
    if not is_traced(value):
        finite = bool(np.isfinite(np.asarray(value)).all())
        reason = "no slope at all, or one beyond the float range" if form == "diagonal-decoder" else "too large slopes"
        require(finite, f"information is not defined for this mean_slope and covariance ({reason})")
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
        If shapes do not match, Σ is not symmetric and positive definite, or f′ is zero.
    """
    slope, matrix = _checked(mean_slope, covariance, invertible=True)
    require(slope.ndim == 1, f"mean_slope must have shape (p,), one stimulus parameter; got {slope.shape}")
    value = information(slope[None], matrix, None, "linear")[0, 0]
    require(
        is_traced(value) or float(value) > 0,
        "mean_slope is zero: the responses do not depend on the stimulus, and no decoder is without bias",
    )
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), slope) / value


def _checked(mean_slope: ArrayLike, covariance: ArrayLike, *, invertible: bool) -> tuple[Array, Array]:
    """Slope and covariance in their common float type."""
    slope = as_real("mean_slope", mean_slope, "p", "K p")
    size = slope.shape[-1]
    require(slope.size > 0, f"mean_slope must hold at least one unit and one parameter, got shape {slope.shape}")
    matrix = as_real("covariance", covariance, f"{size} {size}")
    if not is_traced(matrix):
        _check_covariance(np.asarray(matrix), invertible=invertible)
    kind = float_type(slope, matrix)
    return slope.astype(kind), matrix.astype(kind)


def _check_covariance(covariance: np.ndarray, *, invertible: bool) -> None:
    """Refuse what is no covariance: not symmetric, without variance, or indefinite."""
    rounding = float(np.finfo(covariance.dtype).eps)
    matrix = covariance.astype(np.float64)
    skew = np.abs(matrix - matrix.T).max()
    require(
        bool(skew <= np.sqrt(rounding) * np.abs(matrix).max()),
        f"covariance must be symmetric, but it differs from its transpose by up to {skew:.3g}",
    )
    variances = np.diagonal(matrix)
    bad = np.flatnonzero(variances <= 0)
    require(bad.size == 0, f"covariance must have positive variances, but those of units {bad[:5].tolist()} are not")
    least = least_correlation_eigenvalue(matrix)
    tolerance = len(matrix) * rounding
    told = f"the least eigenvalue of its correlation matrix is {least:.2g}"
    require(least >= -tolerance, f"covariance must not be indefinite, but {told}: it is the covariance of nothing")
    require(
        not invertible or least > tolerance,
        f"covariance is singular to rounding ({told}): information would be infinite, or is not defined",
    )


@functools.partial(jax.jit, static_argnames="form", inline=True)
def information(
    slope: Float[Array, "K p"], covariance: Float[Array, "p p"], change: Float[Array, "K p p"] | None, form: str
) -> Float[Array, "K K"]:
    """The three forms of a Fisher matrix; NaN where the covariance is singular to rounding, or indefinite."""
    if form == "independent":
        return (slope / jnp.diagonal(covariance)) @ slope.T
    lower = jnp.linalg.cholesky(covariance)
    # what is left of a variance when all before it are known: rounding, where one is made of the others
    left = jnp.diagonal(lower) ** 2 / jnp.diagonal(covariance)
    resolved = jnp.all(left > len(left) * float(jnp.finfo(left.dtype).eps))
    whitened = _lower_solve(lower, slope.T)
    value = jnp.where(resolved, whitened.T @ whitened, jnp.nan)
    if form == "linear" or change is None:
        return value
    half = _lower_solve(lower, change)
    relative = _lower_solve(lower, jnp.swapaxes(half, -1, -2))
    return value + jnp.einsum("kij,lji->kl", relative, relative) / 2


@functools.partial(jax.jit, inline=True)
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
def sensitivity_index(information: ArrayLike, separation: ArrayLike) -> Array:
    """Sensitivity index d′ = |Δθ| √I of two stimuli a small separation Δθ apart.

    With equal priors the best decision between them is right with probability Φ(d′/2). At I = 0, where the slope of the
    root is infinite, the derivative in I is given as 0.

    Parameters
    ----------
    information
        I, 1/θ², at least 0; an array or a FisherEstimate's value. An unbiased estimate may be negative: it is then
        compatible with zero, and `jnp.maximum(value, 0)` says so.
    separation
        Δθ, the total separation, broadcast against it.

    Raises
    ------
    ValueError
        If an information is negative, a number is not finite, or the shapes do not match.
    """
    least = "an estimate compatible with zero may be negative, but has no root: take jnp.maximum(information, 0)"
    value = as_real("information", information, dtype=jnp.result_type(float))
    distance = as_real("separation", separation, dtype=value.dtype)
    try:
        np.broadcast_shapes(value.shape, distance.shape)
    except ValueError:
        raise ValueError(
            f"separation must broadcast against information, got shapes {distance.shape} and {value.shape}"
        ) from None
    if not is_traced(value) and value.size:
        smallest = float(np.asarray(value).min())
        require(smallest >= 0, f"information must be at least 0, got {smallest:.4g}; {least}")
    known = jnp.where(value == 0, 1, value)  # whose root has a finite slope
    return jnp.abs(distance) * jnp.where(value == 0, 0, jnp.sqrt(known))


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
    parts = []
    for low, high in spans(sizes):
        own_change = None if change is None else change[:, low:high, low:high]
        parts.append(information(slope[:, low:high], covariance[low:high, low:high], own_change, form))
    return jnp.stack([whole, *parts])
