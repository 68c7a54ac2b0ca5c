"""A decoder's actual error against the Cramér–Rao bound."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type, host_real
from fisherjax._errors import check_positive, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar


class CramerRao(Record):
    """Bias and variance of stimulus estimates at M stimuli, and the least variance that the bias allows."""

    stimuli: Float[Array, " M"]
    bias: Float[Array, " M"]
    bias_error: Float[Array, " M"]
    bias_slope: Float[Array, " M"]
    """b′ = dE[θ̂]/dθ − 1"""
    variance: Float[Array, " M"]
    variance_error: Float[Array, " M"]
    bound: Float[Array, " M"]
    """(1 + b′)²/I"""

    @property
    def efficiency(self) -> Float[Array, " M"]:
        """Bound / variance, at most 1 up to sampling error; NaN where the estimates never vary."""
        varies = self.variance > 0
        return jnp.where(varies, self.bound / jnp.where(varies, self.variance, 1), jnp.nan)

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
    )


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
