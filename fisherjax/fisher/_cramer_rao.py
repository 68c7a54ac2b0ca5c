"""A decoder's actual error against the Cramér–Rao bound."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar, require
from fisherjax._types import Result, Scalar
from fisherjax.numerics import full_precision

from ._estimate import as_responses


class CramerRao(Result):
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
        """Bound / variance, at most 1 up to sampling error."""
        return self.bound / self.variance

    @property
    def discrimination_bound(self) -> Float[Array, " M"]:
        """Least standard deviation of an estimate corrected for its bias, √bound / |1 + b′| = 1/√I."""
        return jnp.sqrt(self.bound) / jnp.abs(1 + self.bias_slope)


@full_precision
def cramer_rao(
    estimates: object,
    stimuli: object,
    information: object,
    *,
    mean_slopes: object = None,
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
        If shapes do not match, information is not positive, or there are fewer than 3 stimuli to difference.

    References
    ----------
    Cover & Thomas (2006), Elements of Information Theory, eq. 11.291 (biased estimators).
    """
    values = as_responses("estimates", jnp.asarray(estimates).T).T
    theta = jnp.atleast_1d(jnp.asarray(stimuli, values.dtype))
    fisher = jnp.atleast_1d(jnp.asarray(information, values.dtype))
    count = len(theta)
    require(
        theta.ndim == 1 and len(values) == count and fisher.shape == theta.shape,
        f"estimates (M, trials), stimuli (M,) and information (M,) must agree; got {values.shape}, {theta.shape} and "
        f"{fisher.shape}",
    )
    least = float(np.asarray(fisher).min())
    require(least > 0, f"information must be positive, the least is {least:.4g}")
    errors = values - theta[:, None]
    if period is not None:
        check_scalar("period", period, minimum=0.0, strict=True)
        errors = _wrapped(errors, jnp.asarray(period, values.dtype))
    trials = values.shape[1]
    bias = jnp.mean(errors, axis=1)
    centred = errors - bias[:, None]
    variance = jnp.sum(centred**2, axis=1) / (trials - 1)
    fourth = jnp.mean(centred**4, axis=1)
    if mean_slopes is None:
        require(count >= 3, f"the slope of the bias needs at least 3 stimuli, or mean_slopes; got {count}")
        slope = _bias_slope(bias, theta, period)
    else:
        slope = jnp.atleast_1d(jnp.asarray(mean_slopes, values.dtype)) - 1
        require(slope.shape == theta.shape, f"mean_slopes must have shape {theta.shape}, got {slope.shape}")
    return CramerRao(
        stimuli=theta,
        bias=bias,
        bias_error=jnp.sqrt(variance / trials),
        bias_slope=slope,
        variance=variance,
        variance_error=jnp.sqrt(jnp.maximum(fourth - variance**2, 0)) / math.sqrt(trials),
        bound=(1 + slope) ** 2 / fisher,
    )


def _wrapped(angle: Array, period: Array) -> Array:
    return angle - period * jnp.round(angle / period)


def _bias_slope(bias: Array, theta: Array, period: Scalar | None) -> Array:
    if period is None:
        return jnp.asarray(jnp.gradient(bias, theta))
    turn = jnp.asarray(period, theta.dtype)
    around = jnp.concatenate([theta[-1:] - turn, theta, theta[:1] + turn])
    return jnp.asarray(jnp.gradient(jnp.concatenate([bias[-1:], bias, bias[:1]]), around))[1:-1]
