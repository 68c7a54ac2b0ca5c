"""Fisher information from samples and their exact derivatives in the stimulus: linear, and the Gaussian total."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_confidence, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike

from ._diagnosis import diagnose
from ._gate import FisherEstimate, check_freedom, check_invertible, check_paths
from ._interval import matched_interval, wilson_interval
from ._moments import block_jackknife, check_blocks, path_moments, path_values, scalar_if, without_block
from ._trials import set_aside

_PRIOR_TRIALS = 30  # that the Gaussian variance of an inverse covariance counts for, beside the observed one


@full_precision
def pathwise(responses: Any, derivatives: Any, *, robust: bool = False, confidence: float = 0.95) -> FisherEstimate:
    r"""Linear Fisher information from responses and their derivatives at fixed randomness, bias removed.

    For r_i = g(θ, ε_i) and r′_i = ∂g/∂θ at the same ε_i, with m the mean of r′, D̂ its covariance, S that of
    r, and ν = n − 1,

    .. math::
        I = \frac{ν-p-1}{ν} \left[m^T S^{-1} m - \operatorname{tr}(S^{-1} \hat D)/n\right].

    This is the limit of `direct` at common random numbers and a vanishing step: no step to choose, and far
    less noise. Unbiased for Gaussian r. The standard error comes from each trial's influence
    ψ_i = 2aᵀ(r′_i − m) − [(aᵀz_i)² − Î], a = S⁻¹m, z_i the centered response, corrected for its own bias at
    p not far below n (leave-one-out derivatives, leverages of the responses). The interval is that of a noncentral F
    distribution with this variance and the part of it that the covariance causes, which gives it the lopsidedness of
    an inverse covariance; off the diagonal of a Fisher matrix Wilson's. For strongly non-Gaussian responses prefer
    `jackknife`.

    Invalid where a sample is not differentiable in θ: counts, thresholds, θ-dependent thinning. There use
    `direct` with common random numbers.

    Parameters
    ----------
    responses
        r (trials, units), all at one stimulus.
    derivatives
        r′ (trials, units), or (trials, K, units) for K stimulus parameters.
    robust
        Whether trials far outside the rest are set aside first, as in `direct`.
    confidence
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    FisherEstimate; a Fisher matrix for K parameters.

    Raises
    ------
    ValueError
        If p ≥ ν − 1, shapes do not match, a value is not finite, or the covariance is singular.
    TypeError
        If responses are integers: then they have no derivative.

    References
    ----------
    Bias: Kanitscheider et al. (2015), PLoS Comput. Biol. 11, e1004218, with n₀ = n/D; moments of the
    inverse Wishart distribution: von Rosen (1988), Scand. J. Statist. 15, 97–109.
    """
    confidence = check_confidence(confidence)
    values, slopes, scalar = check_paths(responses, derivatives)
    (kept,), told = set_aside(robust, values)
    values, slopes = values[kept], slopes[kept]
    check_freedom(values.shape[1], values.shape[0] - 1, f"T = {values.shape[0]} trials")
    moments = path_moments(values, slopes)
    check_invertible("the covariance of the responses", moments.scatter)
    diagnosis = diagnose([values], moments.slope)
    value, variance, naive, growth, through_covariance = _pathwise(values, slopes)
    error, interval = jnp.sqrt(variance), wilson_interval(value, jnp.sqrt(variance), growth, confidence)
    freedom, units = len(values) - 1, values.shape[1]
    for own in range(len(value)):
        numbers = value[own, own], variance[own, own], through_covariance[own, own]
        interval = interval.at[:, own, own].set(matched_interval(*numbers, freedom, units, confidence))
    numbers = scalar_if(scalar, (value, error, interval, naive))
    return FisherEstimate(*numbers, "pathwise" + told, confidence, diagnosis=diagnosis)


class _Whitened(NamedTuple):
    """Responses and derivatives in coordinates where S is the identity, so that xᵀS⁻¹y is a scalar product."""

    responses: Float[Array, "n p"]  # centered
    derivatives: Float[Array, "n K p"]  # centered
    mean: Float[Array, "K p"]  # m


@jax.jit
def _pathwise(values: Array, slopes: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Corrected value, variance, naive value, growth of the variance, and the part of it that the covariance causes."""
    white = _whiten(values, slopes)
    trials, units = values.shape
    shrink = (trials - units - 2) / (trials - 1)
    naive = white.mean @ white.mean.T
    noise = jnp.einsum("nki,nli->kl", white.derivatives, white.derivatives) / (trials - 1)
    value = shrink * (naive - noise / trials)
    variance, growth, through_covariance = _variance(white)
    return value, variance, naive, growth, through_covariance


def _whiten(values: Array, slopes: Array) -> _Whitened:
    trials, count, units = slopes.shape
    mean = jnp.mean(slopes, axis=0)
    centered = values - jnp.mean(values, axis=0)
    lower = jnp.linalg.cholesky(centered.T @ centered / (trials - 1))
    rows = jnp.concatenate([centered, (slopes - mean).reshape(-1, units), mean])
    white = jax.scipy.linalg.solve_triangular(lower, rows.T, lower=True).T
    responses, derivatives, mean = jnp.split(white, [trials, trials + trials * count])
    return _Whitened(responses, derivatives.reshape(slopes.shape), mean)


def _variance(white: _Whitened) -> tuple[Float[Array, "K K"], Float[Array, "K K"], Float[Array, "K K"]]:
    """Variance of the estimate from the influence of each trial, how it grows with the information, and the part of S.

    Influence has two parts, through m and through S. In-sample, the first would be too large where D and S
    are independent and too small where r′ follows r; derivatives predicted from the other trials know no
    such difference, and the known moments of an inverse Wishart matrix then remove what S⁻¹ adds. The
    second would be too small by the leverage of the responses.
    """
    trials, units = white.responses.shape
    freedom = trials - 1
    shrink = (freedom - units - 1) / freedom
    naive = white.mean @ white.mean.T
    leverage = jnp.sum(white.responses**2, axis=1)

    decoded = white.responses @ white.mean.T
    # through S: a trial with z moves S⁻¹ by −S⁻¹(zzᵀ − S)S⁻¹/n, and so mᵀS⁻¹m by Î − (aᵀz)²
    through_spread = naive - decoded[:, :, None] * decoded[:, None]
    through_spread /= jnp.sqrt(jnp.maximum(1 - leverage / freedom, 1 / trials))[:, None, None]
    # through m, which stands in mᵀS⁻¹m twice
    through_mean = white.derivatives @ white.mean.T
    through_mean += jnp.swapaxes(through_mean, 1, 2)
    scale = shrink**2 / (trials * freedom)
    spread_variance = scale * jnp.sum(through_spread**2, axis=0)
    covariance = 2 * scale * jnp.sum(through_spread * through_mean, axis=0)

    # the square of the influence through m is not summed but rebuilt from derivatives predicted by the other trials
    left = _left_out(white, leverage)
    mean_variance = _mean_variance(left, shrink * naive, white.derivatives)
    inflation = 1 + 2 / max(freedom - units - 3, 1)
    # a variance from few trials is itself uncertain (by 14/n of its square): the Gaussian one stands for more trials
    gaussian = 2 * jnp.maximum(shrink * naive, 0) ** 2 / max(freedom - units - 3, 1)
    spread_variance = (trials * spread_variance + _PRIOR_TRIALS * gaussian) / (trials + _PRIOR_TRIALS)
    # the covariance of both parts may be negative, and must not take away more of the first than sampling leaves
    variance = jnp.maximum(inflation * mean_variance + covariance, 0.25 * mean_variance) + spread_variance
    growth = 4 * shrink / (units * trials) * jnp.diag(jnp.diagonal(jnp.mean(left.size, axis=0)))
    return variance, growth, spread_variance


class _LeftOut(NamedTuple):
    """Statistics of each trial's derivative x_i under the m and S of the other trials."""

    decoded: Float[Array, "n K K"]  # m_kᵀ S⁻¹ x_l
    size: Float[Array, "n K K"]  # x_kᵀ S⁻¹ x_l


def _left_out(white: _Whitened, leverage: Float[Array, " n"]) -> _LeftOut:
    trials = len(leverage)
    freedom = trials - 1
    # Sherman & Morrison: (ν−1) S₍ᵢ₎ = ν S − n/(n−1) z zᵀ
    share = trials / (freedom * freedom)
    gain = share / jnp.maximum(1 - share * leverage, 1 / trials)
    others = white.mean - white.derivatives / freedom
    own = white.derivatives + white.derivatives / freedom
    projected_own = jnp.einsum("ni,nki->nk", white.responses, own)
    projected_others = jnp.einsum("ni,nki->nk", white.responses, others)

    def form(left: Array, projected_left: Array) -> Array:
        plain = jnp.einsum("nki,nli->nkl", left, own)
        correction = gain[:, None, None] * projected_left[:, :, None] * projected_own[:, None]
        return (freedom - 1) / freedom * (plain + correction)

    return _LeftOut(form(others, projected_others), form(own, projected_own))


def _mean_variance(left: _LeftOut, information: Array, derivatives: Float[Array, "n K p"]) -> Float[Array, "K K"]:
    """Var m_kᵀΣ⁻¹m_l for known Σ, from quadratic forms in S⁻¹ whose expectations are known."""
    trials, _, units = derivatives.shape
    freedom = trials - 2  # of the trials that are left
    shrink = (freedom - units - 1) / freedom
    keep = (trials - 1) / trials  # x_i is taken against the mean of the others
    size = keep * shrink * jnp.mean(left.size, axis=0)
    both = left.decoded + jnp.swapaxes(left.decoded, 1, 2)
    squared = keep * shrink**2 * jnp.mean(both**2, axis=0)
    own, twin = jnp.diagonal(size), jnp.diagonal(information)
    traces = own[:, None] * twin + twin[:, None] * own + 2 * size * information
    first = _without_inverse_noise(squared, traces, freedom, units) / trials
    covariance = jnp.einsum("nki,nlj->klij", derivatives, derivatives) / (trials - 1)
    products = jnp.einsum("kkij,llji->kl", covariance, covariance) + jnp.einsum("klij,klji->kl", covariance, covariance)
    trace = jnp.einsum("klii->kl", covariance)
    trace_square = jnp.diagonal(trace)[:, None] * jnp.diagonal(trace) + trace**2
    # all pairs of trials less each with itself
    products -= trace_square / trials
    noise = _without_inverse_noise(shrink**2 * products, shrink**2 * trace_square, freedom, units) / float(trials) ** 2
    # the square holds the noise of m twice; without information that noise is all there is
    return jnp.maximum(first - noise, noise)


def _without_inverse_noise(form: Array, trace: Array, freedom: int, units: int) -> Array:
    """xᵀΣ⁻¹DΣ⁻¹x from E[xᵀS⁻¹DS⁻¹x] ∝ (ν−p−1) xᵀΣ⁻¹DΣ⁻¹x + tr(DΣ⁻¹) xᵀΣ⁻¹x."""
    own = max(freedom - units - 1, 1)
    return (form * (freedom - units) * max(freedom - units - 3, 1) / own - trace) / own


_BLOCKS = 20


@full_precision
def gaussian_total(responses: ArrayLike, derivatives: ArrayLike, *, confidence: float = 0.95) -> FisherEstimate:
    r"""Information that Gaussian responses with these moments would hold, mean and covariance together.

    .. math:: I = f'^T Σ^{-1} f' + ½ \operatorname{tr}[(Σ^{-1} Σ')^2], \qquad Σ' = ⟨z z'^T + z' z^T⟩,

    z and z′ the centered responses and derivatives. The mean term is that of `pathwise`; the covariance
    term's bias is removed by a jackknife over trials, which also gives the error. It warns: for responses
    that are not Gaussian the result is neither their information nor a bound of it.

    Parameters
    ----------
    responses
        r (trials, units), all at one stimulus.
    derivatives
        r′ (trials, units), or (trials, K, units).
    confidence
        Coverage of the interval.

    Raises
    ------
    ValueError, TypeError
        As `pathwise`.
    """
    confidence = check_confidence(confidence)
    warn(
        "the Gaussian total is exact for Gaussian responses only; for others it is neither the Fisher information "
        "nor a bound. `pathwise` bounds it from below for any distribution",
        UserWarning,
    )
    values, slopes, scalar = check_paths(responses, derivatives)
    kept = len(values) - len(values) // _BLOCKS
    check_freedom(values.shape[1], kept - 1, f"T = {len(values)} trials when one of {_BLOCKS} blocks is left out")
    check_invertible("the covariance of the responses", path_moments(values, slopes).scatter)
    rows = slopes[:, 0] if scalar else jnp.moveaxis(slopes, 1, 0)
    check_blocks((values, rows), _BLOCKS)
    numbers = block_jackknife((values, rows), _corrected, _BLOCKS, confidence)
    of = "information of Gaussian responses with these moments"
    method = f"Gaussian total, jackknife of {_BLOCKS} blocks"
    return FisherEstimate(*numbers, method=method, confidence=confidence, interval_of=of)


def _covariance_term(values: Array, rows: Array) -> Array:
    slopes = rows[None] if rows.ndim == 2 else rows
    centered = values - jnp.mean(values, axis=0)
    deviations = slopes - jnp.mean(slopes, axis=1, keepdims=True)
    lower = jnp.linalg.cholesky(centered.T @ centered / (len(values) - 1))
    stacked = jnp.concatenate([centered[None], deviations]).reshape(-1, values.shape[1])
    white = jax.scipy.linalg.solve_triangular(lower, stacked.T, lower=True).T.reshape(-1, *values.shape)
    cross = jnp.einsum("ni,knj->kij", white[0], white[1:]) / (len(values) - 1)
    change = cross + jnp.swapaxes(cross, 1, 2)
    term = jnp.einsum("kij,lij->kl", change, change) / 2
    return term[0, 0] if rows.ndim == 2 else term


def _corrected(values: Array, rows: Array) -> tuple[Array, Array]:
    """Mean term, unbiased, and covariance term less its jackknife estimate of bias; and both naive."""
    whole = _covariance_term(values, rows)
    size = len(values) // _BLOCKS

    def without(block: Array) -> Array:
        return _covariance_term(*(without_block(part, block, _BLOCKS) for part in (values, rows)))

    parts = jax.lax.map(without, jnp.arange(_BLOCKS))
    bias = (len(values) - size) / size * (jnp.mean(parts, axis=0) - whole)
    mean, naive_mean = path_values(values, rows)
    return mean + whole - bias, naive_mean + whole
