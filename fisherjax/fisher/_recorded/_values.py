r"""What the moments of a pair of stimuli say: each question with its bias removed, for any number of trials and units.

Two independent estimates from one sample covariance are products of inverse Wishart matrices, whose means are known
exactly: with S of ν degrees of freedom and p units, c₂ = 1/((ν−p)(ν−p−1)(ν−p−3)), c₁ = (ν−p−2) c₂,

.. math::  E[S^{-1}_{ij} S^{-1}_{kl}] = ν² [c_1 Σ^{-1}_{ij} Σ^{-1}_{kl}
           + c_2 (Σ^{-1}_{ik} Σ^{-1}_{jl} + Σ^{-1}_{il} Σ^{-1}_{jk})].

References
----------
von Rosen (1988), Moments for the inverted Wishart distribution, Scand. J. Statist. 15, 97–109.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax.fisher._direct import direct_numbers, shuffled_numbers
from fisherjax.fisher._gate import FisherEstimate
from fisherjax.fisher._interval import noncentral_f_interval, wilson_interval
from fisherjax.fisher._moments import active_units, without_silent

from ._pairs import Moments, paired

VALUES = ("direct", "shuffled", "direct - shuffled", "diagonal", "covariance term")
DIRECT = "linear Fisher information"
SHUFFLED = "linear Fisher information of units taken as independent"


def values_of(moments: Moments, step: Array) -> dict[str, Array]:
    """Every question's corrected value, for one pair of stimuli."""
    pair, freedom = paired(moments, step)
    signal, noise = diagonal_parts(pair.slope[0], pair.covariance, freedom, pair.precision[0])
    direct, shuffled = direct_numbers(pair, freedom)[0][0, 0], shuffled_numbers(pair, freedom)[0][0, 0]
    return {
        "direct": direct,
        "shuffled": shuffled,
        "direct - shuffled": direct - shuffled,
        "diagonal": signal / noise,
        "diagonal, denominator": noise,
        "covariance term": covariance_value(moments, step),
    }


def diagonal_parts(
    slope: Float[Array, " p"], sample: Float[Array, "p p"], freedom: Array, precision: Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Information that the best decoder blind to correlations reaches on the correlated responses.

    .. math::  I = (f'^T D^{-1} f')^2 / (f'^T D^{-1} Σ D^{-1} f'), \qquad D = \operatorname{diag} Σ,

    as numerator and denominator, each with its bias removed: that of f̂′ exactly, that of S to order 1/ν. What bias is
    left in the ratio is of order 1/T; a jackknife removes it.
    """
    slope, covariance, units = active_units(slope[None], sample)
    signal, noise = slope[0] / jnp.diagonal(covariance), 1 / precision
    deviation = jnp.sqrt(jnp.diagonal(covariance))
    correlation = covariance / (deviation[:, None] * deviation)
    square = correlation**2
    shrink = (freedom - 2) / freedom
    alone = shrink * jnp.sum(slope[0] * signal) - units * noise
    # E Ŝ_ij/(Ŝ_ii Ŝ_jj) = Σ_ij/(Σ_ii Σ_jj) (1 + 2ρ²/ν)
    matrix = correlation / (deviation[:, None] * deviation) / (1 + 2 * square / freedom)
    # the mean of ρ̂² is too large by about (1 − ρ²)²/ν
    present = (jnp.diagonal(sample) > 0).astype(square.dtype)
    unbiased = present @ (square - (1 - square) ** 2 / freedom) @ present
    spread = slope[0] @ matrix @ slope[0] - noise * unbiased
    # Var of Σ f̂²/v: through the slopes, 4 f′D⁻¹ΣD⁻¹f′/n₀ + 2 Σρ²/n₀², and through the variances
    products = slope[0] * signal
    through = 2 / freedom * products @ square @ products
    variance = 4 * spread * noise + 2 * unbiased * noise**2 + through
    return alone**2 - variance, spread


def cross_parts(
    trained: Moments, tested: Moments, trained_step: Array, tested_step: Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Information that the best linear decoder of one condition reaches in another, w = Σ_a⁻¹ f_a′.

    .. math::  I = (w^T f_b')^2/(w^T Σ_b w),

    as numerator and denominator, each unbiased for Gaussian responses: both are f_a′ᵀ Σ_a⁻¹ G Σ_a⁻¹ f_a′ with G a
    matrix that is estimated from the other data.
    """
    first, freedom = paired(trained, trained_step)
    second, _ = paired(tested, tested_step)
    slope, covariance, units = active_units(first.slope, first.covariance)
    silent = jnp.diagonal(first.covariance) <= 0
    # a unit that is silent where weights are trained gets none
    other = jnp.where(silent[:, None] | silent, 0, second.covariance)
    target = jnp.where(silent, 0, second.slope[0])
    lower = jax.scipy.linalg.cho_factor(covariance, lower=True)
    inverse = jax.scipy.linalg.cho_solve(lower, jnp.eye(len(covariance), dtype=covariance.dtype))
    weights = inverse @ slope[0]
    naive, noise = slope[0] @ weights, 1 / first.precision[0]

    def unbiased(through: Array, trace: Array) -> Array:
        """f′ᵀΣ⁻¹GΣ⁻¹f′ from f̂′ᵀS⁻¹GS⁻¹f̂′ and tr(GS⁻¹)."""
        return quadratic_mean(through, trace, naive, noise, units, freedom)

    trace = jnp.sum(inverse * other)
    spread = unbiased(weights @ other @ weights, trace)
    own = 1 / second.precision[0]
    hit = unbiased((weights @ target) ** 2 - own * weights @ other @ weights, target @ inverse @ target - own * trace)
    return hit, spread


def quadratic_mean(through: Array, trace: Array, naive: Array, noise: Array, units: Array, freedom: Array) -> Array:
    """Unbiased f′ᵀΣ⁻¹GΣ⁻¹f′ for a G that is independent of f̂′ and S, Cov f̂′ = Σ · noise.

    Parameters
    ----------
    through, trace, naive
        f̂′ᵀS⁻¹GS⁻¹f̂′, tr(GS⁻¹) and f̂′ᵀS⁻¹f̂′.
    """
    excess = freedom - units
    second = 1 / (excess * (excess - 1) * (excess - 3))
    first = (excess - 2) * second
    exact = (excess - 1) / freedom * trace  # of tr(GΣ⁻¹)
    one = through / freedom**2 - (freedom - 1) * second * exact * noise
    two = trace * naive / freedom**2 - (first * units + 2 * second) * exact * noise
    # one = (c₁ + c₂) X + c₂ Y, two = 2 c₂ X + c₁ Y, with Y = tr(GΣ⁻¹) f′ᵀΣ⁻¹f′
    return (first * one - second * two) / ((first + second) * first - 2 * second**2)


class _Beta(NamedTuple):
    """Mean squares of B = W₁(W₁ + W₂)⁻¹ − E B for two Wishart matrices of one covariance."""

    square: Array  # E tr B²
    trace: Array  # E (tr B)²


def _beta_moments(first: Array, second: Array, units: Array) -> _Beta:
    a, both = first / 2, (first + second) / 2
    # zonal polynomials of degree two: E C_κ(B) = (a)_κ/(a + b)_κ C_κ(1)
    symmetric = a * (a + 1) / (both * (both + 1)) * units * (units + 2) / 3
    mixed = a * (a - 0.5) / (both * (both - 0.5)) * 2 * units * (units - 1) / 3
    mean = a / both
    return _Beta(symmetric - mixed / 2 - units * mean**2, symmetric + mixed - (units * mean) ** 2)


def covariance_value(moments: Moments, step: Array) -> Float[Array, ""]:
    r"""What the change of the covariance with the stimulus adds to the information of Gaussian responses.

    .. math::  J = \tfrac12 \operatorname{tr}[(Σ^{-1}Σ')^2], \qquad Σ' = (Σ_2 - Σ_1)/Δθ.

    Its plug-in value is of order p²/ν where there is no change: that is removed exactly, by the moments of the matrix
    beta distribution. Of a small change it shows less the more units there are, because S⁻¹ and Σ̂′ share their trials:
    with λ = p/ν and R = Σ⁻¹(Σ₂ − Σ₁), by free probability for many units of two conditions with as many trials,

    .. math::  (1-λ)^2 \operatorname{tr} R^2 - \frac{(1-λ)(2-3λ)}{ν} (\operatorname{tr} R)^2,

    and p + 2 instead of p makes that exact to order 1/ν for few units. Trials of unequal number add, to that order,
    2 (p + 1)(ν₁/ν₂ − ν₂/ν₁) tr R/ν. What is left is of fourth order in the change, over ν, and for numbers of trials
    that differ by more than half of themselves of second (measured: 60 % of a scaling, 40 units, 80 and 200 trials).
    """
    own = jnp.maximum(moments.trials - 1, 1)
    freedom = jnp.sum(own)
    pooled = jnp.sum(moments.scatter, axis=0) / freedom
    pooled = without_silent(pooled, moments.square)
    silent = jnp.diagonal(pooled) <= 0
    units = jnp.sum(~silent).astype(pooled.dtype)
    lower = jnp.linalg.cholesky(pooled + jnp.diag(silent.astype(pooled.dtype)))
    change = moments.scatter[1] / own[1] - moments.scatter[0] / own[0]
    change = jnp.where(silent[:, None] | silent, 0, change)
    half = jax.scipy.linalg.solve_triangular(lower, change, lower=True)
    white = jax.scipy.linalg.solve_triangular(lower, half.T, lower=True)
    scale = (freedom**2 / (own[0] * own[1])) ** 2
    null = _beta_moments(own[0], own[1], units)
    share = units / freedom
    total = jnp.trace(white)
    uneven = (own[0] / own[1] - own[1] / own[0]) / freedom
    square = jnp.sum(white**2) - scale * null.square - 2 * (units + 1) * uneven * total / (1 - share)
    trace = total**2 - scale * null.trace
    square = square + (2 - 3 * share) / (1 - share) * trace / freedom
    return square / (1 - (units + 2) / freedom) ** 2 / (2 * step**2)


def poisson_value(counts: Float[Array, "2 p"], trials: Float[Array, "2"], step: Array) -> tuple[Array, Array]:
    r"""Information of independent Poisson units with the recorded means, unbiased, and its variance.

    .. math::  I = Σ_i f_i'^2/\bar f_i,

    f̄ the mean over all trials of both stimuli. Given the sum n of a unit's counts they are binomial, so that
    [k₁(k₁−1)/T₁² + k₂(k₂−1)/T₂² − 2k₁k₂/(T₁T₂)]/(n − 1) · (T₁+T₂)/Δθ² is unbiased.
    """
    total = jnp.sum(counts, axis=0)
    one, two = counts / trials[:, None]
    own = jnp.sum(counts * (counts - 1) / trials[:, None] ** 2, axis=0) - 2 * one * two
    scale = jnp.sum(trials) / step**2
    parts = jnp.where(total > 1, own / jnp.maximum(total - 1, 1), 0) * scale
    # Poisson counts: Var d² for d = k₁/T₁ − k₂/T₂ is 4 d² V + 2 V², V the variance of d
    spread = jnp.sum(counts / trials[:, None] ** 2, axis=0)
    weight = (scale / jnp.maximum(total, 1)) ** 2
    null = jnp.sum(2 * spread**2 * weight)
    return jnp.sum(parts), jnp.maximum(null + jnp.sum(4 * own * spread * weight), null)


def direct_estimate(
    numbers: tuple[Array, ...], precision: Array, freedom: Array, units: Array, confidence: float, told: str = ""
) -> FisherEstimate:
    """`direct_numbers` of M pairs or stimuli with their exact intervals, from n₀, ν and the number of units of each."""
    value, error, naive = numbers
    each = zip(naive, precision, freedom, units, strict=True)
    interval = jnp.stack([noncentral_f_interval(*known, confidence) for known in each], axis=1)
    return FisherEstimate(value, error, interval, naive, f"direct{told}", confidence, DIRECT)


def shuffled_estimate(numbers: tuple[Array, ...], confidence: float, told: str = "") -> FisherEstimate:
    """`shuffled_numbers` of M pairs or stimuli with their intervals."""
    value, error, naive, growth = numbers
    interval = wilson_interval(value, error, growth, confidence)
    return FisherEstimate(value, error, interval, naive, f"shuffled{told}", confidence, SHUFFLED)
