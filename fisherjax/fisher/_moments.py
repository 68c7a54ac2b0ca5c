"""Sufficient statistics of two-condition data, and the corrected information that they give."""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Number: TypeAlias = Array | float | int

_ROUNDING = 64.0  # deviations below so many roundings of a unit's root mean square are none


class PairMoments(NamedTuple):
    """Sufficient statistics of two-condition data, K stimulus parameters; a unit that never varies has variance 0."""

    slope: Float[Array, "K p"]  # f̂′
    covariance: Float[Array, "p p"]  # S, pooled over conditions
    precision: Float[Array, " K"]  # n₀, Cov f̂′ = Σ/n₀


@jax.jit
def pair_moments(minus: Array, plus: Array, step: Array) -> PairMoments:
    """Derivative of the mean, pooled covariance and precision."""
    minus, plus = (part.reshape(-1, *part.shape[-2:]) for part in (minus, plus))
    means = [jnp.mean(part, axis=1) for part in (minus, plus)]
    first, second = (part - mean[:, None] for part, mean in zip((minus, plus), means, strict=True))
    scatter = jnp.einsum("kti,ktj->ij", first, first) + jnp.einsum("kti,ktj->ij", second, second)
    square = jnp.mean(minus**2, axis=(0, 1)) + jnp.mean(plus**2, axis=(0, 1))
    covariance = without_silent(scatter / degrees_of_freedom(minus, plus), square)
    precision = step**2 / (1 / minus.shape[1] + 1 / plus.shape[1])
    return PairMoments((means[1] - means[0]) / step[:, None], covariance, precision)


def degrees_of_freedom(minus: Array, plus: Array) -> int:
    """ν of the covariance pooled over all conditions."""
    parameters = minus.shape[0] if minus.ndim == 3 else 1
    return parameters * (minus.shape[-2] + plus.shape[-2] - 2)


def without_silent(covariance: Float[Array, "p p"], square: Float[Array, " p"]) -> Float[Array, "p p"]:
    """The covariance with zeros for units whose variance is rounding, given their mean square."""
    variance = jnp.diagonal(covariance)
    silent = variance <= (_ROUNDING * jnp.finfo(variance.dtype).eps) ** 2 * square
    return jnp.where(silent[:, None] | silent, 0, covariance)


def active_units(
    slope: Float[Array, "K p"], covariance: Float[Array, "p p"]
) -> tuple[Float[Array, "K p"], Float[Array, "p p"], Float[Array, ""]]:
    """Slope and covariance with silent units made ones that tell nothing, and the number of the others.

    All units of whole data vary (it is checked); in a part of the trials one may not, which costs that unit there.
    """
    silent = jnp.diagonal(covariance) <= 0
    covariance = covariance + jnp.diag(silent.astype(covariance.dtype))
    return jnp.where(silent, 0, slope), covariance, jnp.sum(~silent).astype(covariance.dtype)


def direct_value(moments: PairMoments, freedom: Number) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Corrected and naive information, ν degrees of freedom."""
    slope, covariance, units = active_units(moments.slope, moments.covariance)
    factor = jax.scipy.linalg.cho_factor(covariance, lower=True)
    naive = slope @ jax.scipy.linalg.cho_solve(factor, slope.T)
    return (freedom - units - 1) / freedom * naive - jnp.diag(units / moments.precision), naive


def shuffled_value(moments: PairMoments, freedom: Number) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Corrected and naive information of units taken as independent."""
    slope, covariance, units = active_units(moments.slope, moments.covariance)
    naive = (slope / jnp.diagonal(covariance)) @ slope.T
    return (freedom - 2) / freedom * naive - jnp.diag(units / moments.precision), naive
