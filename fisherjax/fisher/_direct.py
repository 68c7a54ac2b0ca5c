"""Fisher information from responses to pairs of nearby stimuli: the bias-corrected direct estimates."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar, is_traced, require
from fisherjax.numerics import full_precision, noncentrality_interval

from ._blocks import block_jackknife, check_blocks
from ._estimate import (
    FisherEstimate,
    as_responses,
    check_freedom,
    check_invertible,
    normal_interval,
    scalar_if,
    wilson_interval,
)

_BLOCKS = 10  # of the jackknife for a shrunken covariance


class PairMoments(NamedTuple):
    """Sufficient statistics of two-condition data for K stimulus parameters."""

    slope: Float[Array, "K p"]  # f̂′
    covariance: Float[Array, "p p"]  # S, pooled over conditions
    precision: Float[Array, " K"]  # n₀, Cov f̂′ = Σ/n₀


@full_precision
def direct(
    responses_minus: object,
    responses_plus: object,
    separation: object,
    *,
    shrinkage: float | None = None,
    confidence: float = 0.95,
) -> FisherEstimate:
    r"""Linear Fisher information from responses to two stimuli Δθ apart, with its bias removed.

    With f̂′ the difference of mean responses over Δθ, S the covariance pooled over both conditions with
    ν = T₁ + T₂ − 2 degrees of freedom, and n₀ = Δθ²/(1/T₁ + 1/T₂),

    .. math::
        I = \frac{ν-p-1}{ν}\, \hat f'^T S^{-1} \hat f' - \frac{p}{n_0}, \qquad
        \operatorname{Var} I = \frac{2}{ν-p-3}\left[(I + p/n_0)^2 + (p/n_0^2 + 2I/n_0)(ν-p-1)\right].

    Both are exact for Gaussian responses of equal covariance, also where there is no information. The
    interval inverts Î n₀ (ν−p+1)/(νp) ~ noncentral F(p, ν−p+1; n₀I) in its noncentrality. The finite step
    Δθ itself biases the derivative; no formula repairs that, `pathwise` has no step.

    Parameters
    ----------
    responses_minus, responses_plus
        Responses (trials, units) to the stimuli θ − Δθ/2 and θ + Δθ/2; trial counts may differ. For K stimulus
        parameters (K, trials, units), one pair per parameter.
    separation
        Δθ > 0, the *total* separation; (K,) for K parameters.
    shrinkage
        λ in (0, 1]: replaces S by (1 − λ) S + λ diag S, for more units than trials allow. The result is
        labelled as biased (towards the shuffled information), its error comes from a jackknife over trials.
    confidence
        Coverage of the interval.

    Returns
    -------
    FisherEstimate. For K parameters a Fisher matrix, with normal intervals.

    Raises
    ------
    ValueError
        If p ≥ ν − 1 without shrinkage, a value is not finite, units differ, the covariance is singular, or
        the separation is not positive.

    References
    ----------
    Kanitscheider, Coen-Cagli, Kohn & Pouget (2015), Measuring Fisher information accurately in correlated
    neural populations, PLoS Comput. Biol. 11, e1004218, eq. 12; Steiger (2004) for the interval.
    """
    minus, plus, step = check_pairs(responses_minus, responses_plus, separation)
    if shrinkage is not None:
        return _shrunk(minus, plus, step, shrinkage, confidence)
    freedom = degrees_of_freedom(minus, plus)
    check_freedom(minus.shape[-1], freedom, _trials(minus, plus))
    moments = pair_moments(minus, plus, step)
    check_invertible("the pooled covariance of the responses", moments.covariance)
    return _direct(moments, freedom, confidence, minus.ndim == 2)


@full_precision
def shuffled(
    responses_minus: object, responses_plus: object, separation: object, *, confidence: float = 0.95
) -> FisherEstimate:
    r"""Information that the units would have without noise correlations, with its bias removed.

    .. math::
        I_{sh} = \frac{ν-2}{ν} Σ_i \hat f'^2_i/v_i - p/n_0,

    v_i the pooled variance of unit i; for T trials in each condition (T−2)/(T−1) and 2p/(TΔθ²). Needs no
    inverse, so that there may be more units than trials. Its error counts that the estimates of correlated
    units are themselves correlated; the interval is Wilson's.

    Parameters, errors and source are those of `direct`.
    """
    minus, plus, step = check_pairs(responses_minus, responses_plus, separation)
    freedom = degrees_of_freedom(minus, plus)
    require(freedom > 2, f"responses must have more than 4 trials in all, got {_trials(minus, plus)}")
    moments = pair_moments(minus, plus, step)
    if not is_traced(minus):
        silent = np.flatnonzero(np.diagonal(np.asarray(moments.covariance)) <= 0)
        require(silent.size == 0, f"units {silent[:5].tolist()} never vary (given the stimulus); leave them out")
    return _shuffled(moments, freedom, confidence, minus.ndim == 2)


def direct_value(moments: PairMoments, freedom: int) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Corrected and naive information, ν degrees of freedom."""
    units = moments.slope.shape[1]
    factor = jax.scipy.linalg.cho_factor(moments.covariance, lower=True)
    naive = moments.slope @ jax.scipy.linalg.cho_solve(factor, moments.slope.T)
    return (freedom - units - 1) / freedom * naive - jnp.diag(units / moments.precision), naive


def shuffled_value(moments: PairMoments, freedom: int) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Corrected and naive information of units taken as independent."""
    units = moments.slope.shape[1]
    naive = (moments.slope / jnp.diagonal(moments.covariance)) @ moments.slope.T
    return (freedom - 2) / freedom * naive - jnp.diag(units / moments.precision), naive


@jax.jit(static_argnums=(1, 2, 3))
def _direct(moments: PairMoments, freedom: int, confidence: float, scalar: bool) -> FisherEstimate:  # noqa: FBT001
    value, naive = direct_value(moments, freedom)
    units, precision = moments.slope.shape[1], moments.precision
    error = jnp.sqrt(_direct_variance(value, precision, units, freedom))
    if not scalar:
        return FisherEstimate(value, error, normal_interval(value, error, confidence), naive, "direct", confidence)
    value, error, naive, precision = value[0, 0], error[0, 0], naive[0, 0], precision[0]
    statistic = naive * precision * (freedom - units + 1) / (freedom * units)
    ends = noncentrality_interval(statistic, units, freedom - units + 1, confidence)
    return FisherEstimate(value, error, ends / precision, naive, "direct", confidence)


def _direct_variance(value: Array, precision: Array, units: int, freedom: int) -> Float[Array, "K K"]:
    """Variance of the corrected estimate: exact moments of Gaussian means and of an inverse Wishart matrix."""
    own, excess = freedom - units - 1, freedom - units - 3
    if excess <= 0:
        return jnp.full_like(value, jnp.inf)
    # where the estimate is negative its variance is taken at zero information
    alone = jnp.maximum(jnp.diagonal(value), 0)
    noise = units / precision
    diagonal = 2 / excess * ((alone + noise) ** 2 + (noise + 2 * alone) / precision * own)
    # the square of an unbiased estimate is too large by its variance, on average
    diagonal /= 1 + 2 / excess
    spread = alone[:, None] / precision + alone / precision[:, None] + noise[:, None] / precision
    between = (own + 2) * (value**2 + spread) + own * (alone + noise)[:, None] * (alone + noise)
    between = between / (own + 1) / excess + spread
    return jnp.where(jnp.eye(len(value), dtype=bool), diagonal, between)


@jax.jit(static_argnums=(1, 2, 3))
def _shuffled(moments: PairMoments, freedom: int, confidence: float, scalar: bool) -> FisherEstimate:  # noqa: FBT001
    value, naive = shuffled_value(moments, freedom)
    variance, growth = _shuffled_variance(moments, freedom)
    error = jnp.sqrt(variance)
    interval = wilson_interval(value, error, growth, confidence)
    if scalar:
        value, error, naive, interval = value[0, 0], error[0, 0], naive[0, 0], interval[:, 0, 0]
    return FisherEstimate(value, error, interval, naive, "shuffled", confidence)


def _shuffled_variance(moments: PairMoments, freedom: int) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Var Σ_i f̂′_ik f̂′_il / v_i, through derivatives and variances of correlated units, and how it grows with I."""
    deviation = jnp.sqrt(jnp.diagonal(moments.covariance))
    correlation = moments.covariance / (deviation[:, None] * deviation)
    # a sample correlation squared is too large by 1/ν on average
    square = (correlation**2 - 1 / freedom) / (1 - 1 / freedom)
    square = jnp.where(jnp.eye(len(deviation), dtype=bool), 1, square)
    signal = moments.slope / deviation * math.sqrt((freedom - 2) / freedom)
    inverse = 1 / moments.precision
    same = 1 + jnp.eye(len(inverse), dtype=inverse.dtype)
    projected = jnp.einsum("ki,ij,kj->k", signal, correlation, signal)
    null = jnp.sum(square) * inverse[:, None] * inverse
    # `projected` itself holds the noise of f̂′, which therefore comes in twice
    through_slopes = same * (projected[:, None] * inverse + inverse[:, None] * projected - null)
    products = signal[:, None] * signal
    through_variances = 2 / max(freedom - 4, 1) * jnp.einsum("kli,ij,klj->kl", products, square, products)
    growth = jnp.diag(4 * inverse * projected / jnp.sum(signal**2, axis=1))
    return jnp.maximum(through_slopes, same * null / 2) + through_variances, growth


def check_pairs(
    responses_minus: object, responses_plus: object, separation: object
) -> tuple[Array, Array, Float[Array, " K"]]:
    """Two conditions of matching units, (trials, units) or (K, trials, units), and the separations (K,)."""
    minus = as_responses("responses_minus", responses_minus, (2, 3))
    plus = as_responses("responses_plus", responses_plus, (2, 3)).astype(minus.dtype)
    require(
        minus.ndim == plus.ndim and minus.shape[-1] == plus.shape[-1] and minus.shape[:-2] == plus.shape[:-2],
        f"the conditions must have the same units: responses_minus has shape {minus.shape}, "
        f"responses_plus {plus.shape}",
    )
    step = jnp.atleast_1d(jnp.asarray(separation, minus.dtype))
    expected = minus.shape[0] if minus.ndim == 3 else 1
    require(step.shape == (expected,), f"separation must be one number per parameter ({expected}), got {step.shape}")
    if not is_traced(step):
        for number in np.asarray(step):
            check_scalar("separation", number, minimum=0.0, strict=True)
    return minus, plus, step


def degrees_of_freedom(minus: Array, plus: Array) -> int:
    """ν of the covariance pooled over all conditions."""
    parameters = minus.shape[0] if minus.ndim == 3 else 1
    return parameters * (minus.shape[-2] + plus.shape[-2] - 2)


def _trials(minus: Array, plus: Array) -> str:
    return f"T = {minus.shape[-2]} and {plus.shape[-2]} trials"


@jax.jit
def pair_moments(minus: Array, plus: Array, step: Array) -> PairMoments:
    """Derivative of the mean, pooled covariance and precision."""
    minus, plus = (part.reshape(-1, *part.shape[-2:]) for part in (minus, plus))
    means = [jnp.mean(part, axis=1) for part in (minus, plus)]
    first, second = (part - mean[:, None] for part, mean in zip((minus, plus), means, strict=True))
    scatter = jnp.einsum("kti,ktj->ij", first, first) + jnp.einsum("kti,ktj->ij", second, second)
    freedom = degrees_of_freedom(minus, plus)
    precision = step**2 / (1 / minus.shape[1] + 1 / plus.shape[1])
    return PairMoments((means[1] - means[0]) / step[:, None], scatter / freedom, precision)


def _shrunk(minus: Array, plus: Array, step: Array, shrinkage: float, confidence: float) -> FisherEstimate:
    """Information with a shrunken covariance; biased, its error from a jackknife."""
    check_scalar("shrinkage", shrinkage, minimum=0.0, strict=True)
    require(float(shrinkage) <= 1, f"shrinkage must be at most 1, got {shrinkage}")
    check_blocks((minus, plus), _BLOCKS)
    arrays = (minus, plus, step, jnp.asarray(shrinkage, minus.dtype))
    return block_jackknife(arrays, _shrunk_values, _BLOCKS, confidence, f"direct, shrinkage {shrinkage:g} (biased)")


def _shrunk_values(minus: Array, plus: Array, step: Array, shrinkage: Array) -> tuple[Array, Array]:
    moments = pair_moments(minus, plus, step)
    own = jnp.diagonal(moments.covariance)
    target = (1 - shrinkage) * moments.covariance + shrinkage * jnp.diag(own)
    factor = jax.scipy.linalg.cho_factor(target, lower=True)
    naive = moments.slope @ jax.scipy.linalg.cho_solve(factor, moments.slope.T)
    noise = jnp.trace(jax.scipy.linalg.cho_solve(factor, moments.covariance))
    return scalar_if(minus.ndim == 2, (naive - jnp.diag(noise / moments.precision), naive))
