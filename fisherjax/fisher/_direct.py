"""Fisher information from responses to pairs of nearby stimuli: the bias-corrected direct estimates."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_confidence, check_flag, check_share, is_traced, require
from fisherjax._runtime import full_precision

from ._diagnosis import diagnose
from ._gate import Diagnosis, FisherEstimate, check_freedom, check_invertible, check_pairs
from ._interval import Number, noncentral_f_interval, normal_interval, wilson_interval
from ._moments import (
    PairMoments,
    active_units,
    block_jackknife,
    check_blocks,
    degrees_of_freedom,
    direct_value,
    pair_moments,
    scalar_if,
    shuffled_value,
)
from ._trials import as_blocks, effective_moments, set_aside

_BLOCKS = 10  # of the jackknife for a shrunken covariance


@full_precision
def direct(
    responses_minus: Any,
    responses_plus: Any,
    separation: Any,
    *,
    shrinkage: float | None = None,
    robust: bool = False,
    blocks: Any = None,
    confidence: float = 0.95,
) -> FisherEstimate:
    r"""Linear Fisher information from responses to two stimuli Δθ apart, with its bias removed.

    With f̂′ the difference of mean responses over Δθ, S the covariance pooled over both conditions with
    ν = T₁ + T₂ − 2 degrees of freedom, and n₀ = Δθ²/(1/T₁ + 1/T₂),

    .. math::
        I = \frac{ν-p-1}{ν}\, \hat f'^T S^{-1} \hat f' - \frac{p}{n_0}, \qquad
        \operatorname{Var} I = \frac{2}{ν-p-3}\left[(I + p/n_0)^2 + (p/n_0^2 + 2I/n_0)(ν-p-1)\right].

    Both are exact for Gaussian responses of equal covariance, also where there is no information. The
    interval inverts Î n₀ (ν−p+1)/(νp) ~ noncentral F(p, ν−p+1; n₀I) in its noncentrality, in float64. What it
    assumes is tested on the data (`Diagnosis`), and an `AssumptionWarning` names what does not hold and the way out.
    The finite step Δθ itself biases the derivative; no formula repairs that, `pathwise` has no step.

    Parameters
    ----------
    responses_minus, responses_plus
        Responses (trials, units) to the stimuli θ − Δθ/2 and θ + Δθ/2; trial counts may differ. For K stimulus
        parameters (K, trials, units), one pair per parameter.
    separation
        Δθ > 0, the *total* separation; (K,) for K parameters.
    shrinkage
        λ in (0, 1]: replaces S by (1 − λ) S + λ diag S, for more units than trials allow. The result is
        labeled as biased (towards the shuffled information), its error comes from a jackknife over trials.
    robust
        Whether trials far outside the rest are set aside first: those that fail an exact test against the mean and
        covariance of the others, started from the minimum covariance determinant. Of a hundred Gaussian data sets
        one loses a trial. For artefacts, not for responses whose own tails are heavy (there: `jackknife`).
    blocks
        Trials that belong together: the length of runs of consecutive trials within which they may be correlated
        (several correlation times; the borders are allowed for), or labels (trials,) for each condition, as sessions.
        The trials then count as fewer independent ones, in the bias as in the error.
    confidence
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    FisherEstimate. For K parameters a Fisher matrix, with normal intervals.

    Raises
    ------
    TypeError
        If responses are not real numbers.
    ValueError
        If p ≥ ν − 1 without shrinkage, a value is not finite, a unit never varies, units differ, the covariance is
        singular, the separation is not positive, or `confidence` or `blocks` is out of range.

    References
    ----------
    Kanitscheider, Coen-Cagli, Kohn & Pouget (2015), Measuring Fisher information accurately in correlated
    neural populations, PLoS Comput. Biol. 11, e1004218, eq. 12; Steiger (2004) for the interval.

    Examples
    --------
    >>> import numpy as np
    >>> from fisherjax import fisher
    >>> draw = np.random.default_rng(0)
    >>> minus, plus = (draw.normal(mean, 1.0, (400, 5)) for mean in (-0.1, 0.1))
    >>> found = fisher.direct(minus, plus, 0.2)
    >>> print(bool(found.interval[0] < 5.0 < found.interval[1]))
    True
    """
    confidence = check_confidence(confidence)
    minus, plus, step = check_pairs(responses_minus, responses_plus, separation)
    single = minus.ndim == 2
    require(single or blocks is None, "blocks take one stimulus parameter, not several")
    if shrinkage is not None:
        require(
            not check_flag("robust", robust) and blocks is None, "shrinkage cannot be combined with robust or blocks"
        )
        return _shrunk(minus, plus, step, shrinkage, confidence)
    codes = None if blocks is None else as_blocks(blocks, (len(minus), len(plus)))
    kept, told = set_aside(robust, minus, plus)
    minus, plus, method = minus[kept[0]], plus[kept[1]], "direct" + told
    codes = None if codes is None else codes.taken(kept)
    freedom: Number = degrees_of_freedom(minus, plus)
    check_freedom(minus.shape[-1], freedom, _trials(minus, plus))
    moments = pair_moments(minus, plus, step)
    check_invertible("the pooled covariance of the responses", moments.covariance)
    if codes is not None:
        moments, freedom = effective_moments(minus, plus, step, codes)
        if not is_traced(freedom):
            check_freedom(minus.shape[-1], int(freedom), f"{_trials(minus, plus)}, which are correlated")
        method += f", blocks of {codes.length} trials" if codes.length else ", labeled blocks"
    diagnosis = diagnosis_of_pairs(minus, plus, moments.slope, dependent=codes is not None)
    numbers = direct_interval(moments, freedom, confidence, scalar=single)
    return FisherEstimate(*numbers, method, confidence, diagnosis=diagnosis)


def direct_interval(
    moments: PairMoments, freedom: Number, confidence: float, *, scalar: bool
) -> tuple[Array, Array, Array, Array]:
    """Value, error, interval and naive value of the direct estimate; a scalar's interval is exact for Gaussian data."""
    value, error, naive = direct_numbers(moments, freedom)
    if not scalar:
        return value, error, normal_interval(value, error, confidence), naive
    value, error, naive = scalar_if(scalar, (value, error, naive))
    interval = noncentral_f_interval(naive, moments.precision[0], freedom, moments.slope.shape[1], confidence)
    return value, error, interval, naive


@full_precision
def shuffled(
    responses_minus: Any, responses_plus: Any, separation: Any, *, robust: bool = False, confidence: float = 0.95
) -> FisherEstimate:
    r"""Information that the units would have without noise correlations, with its bias removed.

    .. math::
        I_{sh} = \frac{ν-2}{ν} Σ_i \hat f'^2_i/v_i - p/n_0,

    v_i the pooled variance of unit i; for T trials in each condition (T−2)/(T−1) and 2p/(TΔθ²). Needs no
    inverse, so that there may be more units than trials. Its error counts that the estimates of correlated
    units are themselves correlated; the interval is Wilson's.

    Parameters, errors and source are those of `direct`.
    """
    confidence = check_confidence(confidence)
    minus, plus, step = check_pairs(responses_minus, responses_plus, separation)
    kept, told = set_aside(robust, minus, plus)
    minus, plus = minus[kept[0]], plus[kept[1]]
    freedom = degrees_of_freedom(minus, plus)
    require(freedom > 2, f"responses must have more than 4 trials in all, got {_trials(minus, plus)}")
    moments = pair_moments(minus, plus, step)
    diagnosis = diagnosis_of_pairs(minus, plus, moments.slope)
    value, error, naive, growth = shuffled_numbers(moments, freedom)
    interval = wilson_interval(value, error, growth, confidence)
    numbers = scalar_if(minus.ndim == 2, (value, error, interval, naive))
    of = "linear Fisher information of units taken as independent"
    return FisherEstimate(*numbers, "shuffled" + told, confidence, of, diagnosis)


def diagnosis_of_pairs(
    minus: Array, plus: Array, slope: Array, *, gaussian: bool = True, dependent: bool = False
) -> Diagnosis | None:
    """Diagnosis of two-condition data of one or several stimulus parameters."""
    conditions = [minus, plus] if minus.ndim == 2 else [*minus, *plus]
    return diagnose(conditions, slope, gaussian=gaussian, dependent=dependent)


@jax.jit
def direct_numbers(moments: PairMoments, freedom: Number) -> tuple[Array, Array, Array]:
    """Corrected value, error and naive value, (K, K); units that never vary count as absent."""
    value, naive = direct_value(moments, freedom)
    units = jnp.sum(jnp.diagonal(moments.covariance) > 0).astype(value.dtype)
    return value, jnp.sqrt(_direct_variance(value, moments.precision, units, freedom)), naive


def _direct_variance(value: Array, precision: Array, units: Number, freedom: Number) -> Float[Array, "K K"]:
    """Variance of the corrected estimate: exact moments of Gaussian means and of an inverse Wishart matrix."""
    own, excess = jnp.asarray(freedom - units - 1, value.dtype), jnp.asarray(freedom - units - 3, value.dtype)
    infinite, excess = excess <= 0, jnp.maximum(excess, 1)
    # where the estimate is negative its variance is taken at zero information, below which no truth is
    alone = jnp.maximum(jnp.diagonal(value), 0)
    noise = units / precision
    diagonal = 2 / excess * ((alone + noise) ** 2 + (noise + 2 * alone) / precision * own)
    # the square of an unbiased estimate is too large by its variance, on average
    diagonal /= 1 + 2 / excess
    # what two parameters share: the same S⁻¹ stands in both, their means are of different trials
    spread = alone[:, None] / precision + alone / precision[:, None] + noise[:, None] / precision
    between = (own + 2) * (value**2 + spread) + own * (alone + noise)[:, None] * (alone + noise)
    between = between / (own + 1) / excess + spread
    return jnp.where(infinite, jnp.inf, jnp.where(jnp.eye(len(value), dtype=bool), diagonal, between))


@jax.jit
def shuffled_numbers(moments: PairMoments, freedom: Number) -> tuple[Array, Array, Array, Array]:
    """Corrected value, error, naive value, and how the variance grows with the information, (K, K).

    Units that never vary count as absent.
    """
    value, naive = shuffled_value(moments, freedom)
    variance, growth = _shuffled_variance(moments, freedom)
    return value, jnp.sqrt(variance), naive, growth


def _shuffled_variance(moments: PairMoments, freedom: Number) -> tuple[Float[Array, "K K"], Float[Array, "K K"]]:
    """Var Σ_i f̂′_ik f̂′_il / v_i, through derivatives and variances of correlated units, and how it grows with I."""
    slope, covariance, _ = active_units(moments.slope, moments.covariance)
    present = (jnp.diagonal(moments.covariance) > 0).astype(slope.dtype)
    freedom = jnp.asarray(freedom, slope.dtype)
    deviation = jnp.sqrt(jnp.diagonal(covariance))
    correlation = covariance / (deviation[:, None] * deviation)
    # a sample correlation squared is too large by 1/ν on average
    square = (correlation**2 - 1 / freedom) / (1 - 1 / freedom) * present * present[:, None]
    square = jnp.where(jnp.eye(len(deviation), dtype=bool), jnp.diag(present), square)
    signal = slope / deviation * jnp.sqrt((freedom - 2) / freedom)
    inverse = 1 / moments.precision
    # a product of two Gaussian slopes has the variance of either given the other, twice that where they are the same
    same = 1 + jnp.eye(len(inverse), dtype=inverse.dtype)
    projected = jnp.einsum("ki,ij,kj->k", signal, correlation, signal)
    # squares of correlations that were corrected may sum to less than they can
    null = jnp.maximum(jnp.sum(square), jnp.sum(present)) * inverse[:, None] * inverse
    # `projected` itself holds the noise of f̂′, which therefore comes in twice
    through_slopes = same * (projected[:, None] * inverse + inverse[:, None] * projected - null)
    # 1/v_i of two units vary together as their squared correlation (Wishart), by 2/(ν − 4) of their product
    products = signal[:, None] * signal
    together = jnp.einsum("kli,ij,klj->kl", products, square, products)
    alone = jnp.where(jnp.eye(len(inverse), dtype=bool), jnp.sum(products**2, axis=2), 0)
    through_variances = jnp.maximum(together, alone) * 2 / jnp.maximum(freedom - 4, 1)
    growth = jnp.diag(4 * inverse * projected / jnp.sum(signal**2, axis=1))
    return jnp.maximum(through_slopes, same * null / 2) + through_variances, growth


def _trials(minus: Array, plus: Array) -> str:
    return f"T = {minus.shape[-2]} and {plus.shape[-2]} trials"


def _shrunk(minus: Array, plus: Array, step: Array, shrinkage: Any, confidence: float) -> FisherEstimate:
    """Information with a shrunken covariance; biased, its error from a jackknife."""
    share = check_share("shrinkage", shrinkage)
    require(share > 0, f"shrinkage must be above 0, got {share:g}")
    check_blocks((minus, plus), _BLOCKS)
    arrays = (minus, plus, step, jnp.asarray(share, minus.dtype))
    numbers = block_jackknife(arrays, _shrunk_values, _BLOCKS, confidence)
    of = "linear Fisher information, less what shrinkage hides"
    method = f"direct, shrinkage {share:g} (biased)"
    return FisherEstimate(*numbers, method=method, confidence=confidence, interval_of=of)


def _shrunk_values(minus: Array, plus: Array, step: Array, shrinkage: Array) -> tuple[Array, Array]:
    moments = pair_moments(minus, plus, step)
    slope, covariance, _ = active_units(moments.slope, moments.covariance)
    target = (1 - shrinkage) * covariance + shrinkage * jnp.diag(jnp.diagonal(covariance))
    factor = jax.scipy.linalg.cho_factor(target, lower=True)
    naive = slope @ jax.scipy.linalg.cho_solve(factor, slope.T)
    noise = jnp.trace(jax.scipy.linalg.cho_solve(factor, moments.covariance))
    return scalar_if(minus.ndim == 2, (naive - jnp.diag(noise / moments.precision), naive))
