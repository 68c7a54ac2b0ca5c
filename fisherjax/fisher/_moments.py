"""Sufficient statistics of trials, the corrected information that they give, and its jackknife over blocks."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import require
from fisherjax._linalg import one_by_one
from fisherjax._runtime import map_length

from ._interval import Number, student_interval

T = TypeVar("T")
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


class PathMoments(NamedTuple):
    """Sufficient statistics of n samples r with derivatives r′ in K parameters; scatters are centered sums."""

    trials: Float[Array, ""] | int
    slope: Float[Array, "*batch K p"]  # m, mean of r′
    scatter: Float[Array, "*batch p p"]  # of r
    slope_scatter: Float[Array, "*batch K K p p"]  # of r′


@jax.jit
def path_moments(values: Float[Array, "n p"], slopes: Float[Array, "n K p"]) -> PathMoments:
    """Sufficient statistics of one set of samples."""
    mean = jnp.mean(slopes, axis=0)
    centered, deviations = values - jnp.mean(values, axis=0), slopes - mean
    scatter = without_silent(centered.T @ centered, len(values) * jnp.mean(values**2, axis=0))
    slope_scatter = jnp.einsum("nki,nlj->klij", deviations, deviations)
    return PathMoments(len(values), mean, scatter, slope_scatter)


def path_value(moments: PathMoments) -> tuple[Float[Array, "*batch K K"], Float[Array, "*batch K K"]]:
    """Corrected and naive information."""
    freedom = moments.trials - 1
    silent = jnp.diagonal(moments.scatter, axis1=-2, axis2=-1) <= 0  # in a part of the trials; costs the unit there
    units = jnp.sum(~silent, axis=-1).astype(moments.scatter.dtype)[..., None, None]
    eye = jnp.eye(silent.shape[-1], dtype=moments.scatter.dtype)
    covariance = (moments.scatter + jnp.where(silent[..., None], eye, 0)) / freedom
    slope = jnp.where(silent[..., None, :], 0, moments.slope)
    right = jnp.concatenate([jnp.swapaxes(slope, -1, -2), jnp.broadcast_to(eye, covariance.shape)], axis=-1)
    whiten = _whitened
    for _ in covariance.shape[:-2]:
        whiten = jax.vmap(whiten)
    whitened = whiten(covariance, right)
    slope, root = jnp.split(whitened, [moments.slope.shape[-2]], axis=-1)
    naive = jnp.swapaxes(slope, -1, -2) @ slope
    inverse = jnp.swapaxes(root, -1, -2) @ root
    spread = jnp.where(silent[..., None, None, :, None] | silent[..., None, None, None, :], 0, moments.slope_scatter)
    noise = jnp.einsum("...ij,...klij->...kl", inverse, spread / freedom) / moments.trials
    return (freedom - units - 1) / freedom * (naive - noise), naive


@one_by_one
def _whitened(covariance: Float[Array, "p p"], right: Float[Array, "p c"]) -> Float[Array, "p c"]:
    """L⁻¹ right, with L Lᵀ the covariance."""
    return jax.lax.linalg.triangular_solve(jnp.linalg.cholesky(covariance), right, left_side=True, lower=True)


def scalar_if(scalar: bool, parts: T) -> T:  # noqa: FBT001
    """The single entry of each (…, 1, 1) matrix where the stimulus is a scalar."""
    return jax.tree.map(lambda part: part[..., 0, 0], parts) if scalar else parts


def path_values(responses: Array, rows: Array) -> tuple[Array, Array]:
    """Corrected and naive information; derivatives (n, p), or (K, n, p) with the trials before the units."""
    scalar = rows.ndim == 2
    slopes = rows[:, None] if scalar else jnp.moveaxis(rows, 0, 1)
    return scalar_if(scalar, path_value(path_moments(responses, slopes)))


Values = Callable[..., tuple[Array, Array]]
"""(corrected, naive) information of arrays with trials along the axis before the last, and of scalars."""


def check_blocks(arrays: tuple[Array, ...], num_blocks: int | None) -> None:
    """Refuse data with fewer than two trials in a block, where there are blocks."""
    needed = 2 * (num_blocks or 1)
    for trials in (part.shape[-2] for part in arrays if part.ndim > 1):
        require(num_blocks is None or trials >= needed, f"{num_blocks} blocks need {needed} trials, got {trials}")


def without_block(part: Array, block: Array, num_blocks: int) -> Array:
    """Trials (axis before the last) of all blocks but one; scalars and vectors are left as they are."""
    if part.ndim < 2:
        return part
    size = part.shape[-2] // num_blocks
    index = jnp.arange(part.shape[-2] - size)
    return jnp.take(part, jnp.where(index < block * size, index, index + size), axis=-2)


@jax.jit(static_argnums=(1, 2, 3, 4))
def block_jackknife(
    arrays: tuple[Array, ...],
    values: Values,
    num_blocks: int,
    confidence: float,
    corrected: bool = False,  # noqa: FBT001, FBT002
) -> tuple[Array, Array, Array, Array]:
    """Estimate from all trials, its error from the estimates that leave one block out, interval and naive estimate.

    If `corrected`, the bias of order 1/T that these estimates show is taken from the first.
    """
    # the last few trials, where the blocks do not divide them, count for the value alone
    whole = tuple(part if part.ndim < 2 else _divisible(part, num_blocks) for part in arrays)

    def without(block: Array) -> Array:
        return values(*[without_block(part, block, num_blocks) for part in whole])[0]

    value, naive = values(*arrays)
    parts = jax.lax.map(without, jnp.arange(num_blocks), batch_size=batch_length(whole, num_blocks))
    shares = [full.shape[-2] / part.shape[-2] for part, full in zip(arrays, whole, strict=True) if part.ndim > 1]
    error = jnp.std(parts, axis=0) * math.sqrt((num_blocks - 1) * min(shares))
    if corrected:
        divided = value if min(shares) == 1 else values(*whole)[0]
        value = value - (num_blocks - 1) * (jnp.mean(parts, axis=0) - divided)
    return value, error, student_interval(value, error, confidence, num_blocks - 1), naive


def _divisible(part: Array, num_blocks: int) -> Array:
    return part[..., : part.shape[-2] // num_blocks * num_blocks, :]


def batch_length(arrays: tuple[Array, ...], items: int) -> int:
    """Data sets that are looked at together, by the memory they need."""
    return map_length(items, 4 * sum(part.size * part.dtype.itemsize for part in arrays))
