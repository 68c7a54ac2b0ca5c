"""A decoder's actual error against the Cramér–Rao bound."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type, host_real
from fisherjax._errors import check_positive, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar

_FAR = 4.0  # robust standard deviations from the median, beyond which an estimate is an outlier
_MAD = 1.482602218505602  # standard deviation of a normal law over its median absolute deviation
_KEPT = 0.998929  # its variance within _FAR standard deviations, over the whole


class CramerRao(Record):
    """Bias and variance of stimulus estimates at M stimuli, and the least variance that the bias allows.

    `bias` and `variance` are those of all estimates. A decoder that is right but for a few trials, which it takes for
    something else entirely, has a variance that these few make: `robust_bias` and `robust_variance` are those of the
    estimates without outliers, and `outliers` says how many these are.
    """

    stimuli: Float[Array, " M"]
    bias: Float[Array, " M"]
    bias_error: Float[Array, " M"]
    bias_slope: Float[Array, " M"]
    """b′ = dE[θ̂]/dθ − 1"""
    variance: Float[Array, " M"]
    variance_error: Float[Array, " M"]
    bound: Float[Array, " M"]
    """(1 + b′)²/I"""
    robust_bias: Float[Array, " M"]
    robust_variance: Float[Array, " M"]
    outliers: Float[Array, " M"]
    """Share of the estimates beyond four robust standard deviations (1.48 × median absolute deviation) of the median"""

    @property
    def efficiency(self) -> Float[Array, " M"]:
        """Bound / variance, at most 1 up to sampling error; NaN where the estimates never vary."""
        return _ratio(self.bound, self.variance)

    @property
    def robust_efficiency(self) -> Float[Array, " M"]:
        """Bound / robust variance; without outliers that of `efficiency`, with them no theorem keeps it below 1."""
        return _ratio(self.bound, self.robust_variance)

    @property
    def discrimination_bound(self) -> Float[Array, " M"]:
        """Least standard deviation of an estimate corrected for its bias, √bound / |1 + b′| = 1/√I; NaN at b′ = −1."""
        follows = self.bias_slope != -1
        return jnp.where(follows, jnp.sqrt(self.bound) / jnp.where(follows, jnp.abs(1 + self.bias_slope), 1), jnp.nan)


@full_precision
def cramer_rao(
    estimates: ArrayLike,
    stimuli: ArrayLike,
    information: ArrayLike,
    *,
    mean_slopes: ArrayLike | None = None,
    period: Scalar | None = None,
) -> CramerRao:
    """Compare a decoder's estimates with the Cramér–Rao bound, Var θ̂ ≥ (1 + b′)²/I.

    Parameters
    ----------
    estimates
        θ̂ (M, trials), decoded from responses to each stimulus.
    stimuli
        θ (M,), increasing.
    information
        I (M,), Fisher information of the responses, positive.
    mean_slopes
        dE[θ̂]/dθ (M,), for instance the mean of exact derivatives of the decoder's output; by default
        differences of the bias over the stimuli, which need to be dense.
    period
        Period of a circular stimulus (π for orientation): errors are taken on the circle.

    Raises
    ------
    ValueError
        If shapes do not match, information is not positive, or, where the bias is differenced, there are fewer than 3
        stimuli, they do not increase, or span a period or more.

    References
    ----------
    Cover & Thomas (2006), Elements of Information Theory, eq. 11.291 (biased estimators).
    """
    values = host_real("estimates", estimates, "stimuli trials")
    count, trials = values.shape
    require(count >= 1 and trials >= 2, f"estimates must hold at least 2 trials at a stimulus, got {values.shape}")
    stimuli = host_real("stimuli", stimuli, f"{count}")
    theta = jnp.asarray(stimuli, float_type(values))
    fisher = as_real("information", information, f"{count}", dtype=theta.dtype)
    least = float(np.asarray(fisher).min())
    require(least > 0, f"information must be positive, the least is {least:.4g}")
    slope = None
    if mean_slopes is not None:
        slope = as_real("mean_slopes", mean_slopes, f"{count}", dtype=theta.dtype) - 1
    # in double precision: errors may be small beside the stimuli
    errors = values.astype(np.float64) - stimuli.astype(np.float64)[:, None]
    if period is not None:
        check_positive(period=period)
        errors -= float(period) * np.round(errors / float(period))
    if slope is None:
        require(count >= 3, f"the slope of the bias needs at least 3 stimuli, or mean_slopes; got {count}")
        _check_increasing(stimuli, period)
    mean = errors.mean(axis=1, keepdims=True)
    silent = np.ptp(errors, axis=1) <= 8 * np.finfo(values.dtype).eps * np.abs(values).max(axis=1)
    if silent.any():
        warn(f"estimates never vary at stimuli {np.flatnonzero(silent)[:5].tolist()}: their efficiency is NaN")
    centered = jnp.asarray(np.where(silent[:, None], 0, errors - mean), theta.dtype)
    bias = jnp.asarray(mean[:, 0], theta.dtype)
    variance = jnp.sum(centered**2, axis=1) / (trials - 1)
    robust = (jnp.asarray(part, theta.dtype) for part in _without_outliers(errors, period))
    robust_bias, robust_variance, outliers = robust
    fourth = jnp.mean(centered**4, axis=1)
    slope = _bias_slope(bias, theta, period) if slope is None else slope
    return CramerRao(
        stimuli=theta,
        bias=bias,
        bias_error=jnp.sqrt(variance / trials),
        bias_slope=slope,
        variance=variance,
        variance_error=jnp.sqrt(jnp.maximum(fourth - variance**2, 0)) / math.sqrt(trials),
        bound=(1 + slope) ** 2 / fisher,
        robust_bias=robust_bias,
        robust_variance=jnp.where(jnp.asarray(silent), 0, robust_variance),
        outliers=outliers,
    )


def _without_outliers(
    errors: Float[np.ndarray, "M trials"], period: Scalar | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of the errors that are no outliers, and the share of the others, at each stimulus."""
    if period is not None:
        # about their own middle: a decoder may be biased by half a period
        turn = 2 * np.pi / float(period)
        middle = np.angle(np.exp(1j * turn * errors).mean(axis=1, keepdims=True)) / turn
        errors = errors - float(period) * np.round((errors - middle) / float(period))
    median = np.median(errors, axis=1, keepdims=True)
    away = np.abs(errors - median)
    kept = away <= _FAR * _MAD * np.median(away, axis=1, keepdims=True)
    count = kept.sum(axis=1)
    mean = np.where(kept, errors, 0).sum(axis=1) / count
    square = np.where(kept, errors - mean[:, None], 0) ** 2
    return mean, square.sum(axis=1) / np.maximum(count - 1, 1) / _KEPT, 1 - count / errors.shape[1]


def _ratio(bound: Array, variance: Array) -> Array:
    varies = variance > 0
    return jnp.where(varies, bound / jnp.where(varies, variance, 1), jnp.nan)


def _check_increasing(stimuli: np.ndarray, period: Scalar | None) -> None:
    """Refuse stimuli over which no derivative can be taken by differences."""
    steps = np.diff(stimuli)
    require(bool((steps > 0).all()), "stimuli must increase, each above the one before, to difference the bias")
    span = float(stimuli[-1] - stimuli[0])
    require(
        period is None or span < float(period),
        f"stimuli must lie within one period ({float(period or 0):g}) and not repeat the first; they span {span:g}",
    )


def _bias_slope(bias: Array, theta: Array, period: Scalar | None) -> Array:
    if period is None:
        return jnp.asarray(jnp.gradient(bias, theta))
    turn = jnp.asarray(period, theta.dtype)
    around = jnp.concatenate([theta[-1:] - turn, theta, theta[:1] + turn])
    return jnp.asarray(jnp.gradient(jnp.concatenate([bias[-1:], bias, bias[:1]]), around))[1:-1]
