"""Confidence intervals of an information, from the noncentral F distribution of its estimate.

For Gaussian responses Î n₀/ν = χ′²_p(n₀I)/χ²_{ν−p+1} (Hotelling). Written for a given variance instead of given trials,
the same family also has the lopsidedness that an estimate inherits from the inverse of its covariance, and serves
estimators whose error comes from the data.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from jaxtyping import Array

from fisherjax._errors import is_traced

from ._moments import Number
from ._noncentral import noncentrality_interval

_SERIES = 1e4  # noncentralities above it: the root of a noncentral χ² is normal to 1e-4 there
_LARGEST = 1e18
_DOUBLINGS = 120
_NODES = np.polynomial.hermite_e.hermegauss(40)


def noncentral_f_interval(naive: Array, precision: Array, freedom: Number, units: Number, confidence: float) -> Array:
    """Both ends of the interval of I, given Î = `naive`, n₀, ν and p.

    Each end is the I ≥ 0 at which the observed Î is the (1 ± confidence)/2 quantile, 0 where none is. For concrete
    numbers it is computed on the host, in float64; traced ones have their own float type. The ends carry no derivative.

    References
    ----------
    Steiger (2004), Beyond the F test, Psychological Methods 9, 164–182.
    """
    precision, freedom, units = (jnp.asarray(part, naive.dtype) for part in (precision, freedom, units))
    if is_traced((naive, precision, freedom, units)):
        statistic = naive * precision * (freedom - units + 1) / (freedom * units)
        return noncentrality_interval(statistic, units, freedom - units + 1, confidence) / precision
    numbers = float(naive), float(precision), float(freedom), float(units)
    ends = [_end(*numbers, (1 + sign * confidence) / 2) for sign in (1, -1)]
    return jnp.asarray(ends, naive.dtype)


def matched_interval(
    value: Array, variance: Array, through_covariance: Array, freedom: Number, units: Number, confidence: float
) -> Array:
    """Interval of an unbiased estimate whose variance is known, and the part of it that the covariance estimate causes.

    That part fixes ν of the noncentral F distribution, 2I²/(ν − p − 3), the whole fixes n₀ through the variance of the
    direct estimate; its naive value then has `value` as the corrected one.

    Parameters
    ----------
    value, variance, through_covariance
        Estimate, its variance, and what of the variance grows with I².
    freedom, units
        ν and p of the data: the covariance cannot be known better than they allow.
    confidence
        Coverage.
    """
    known = jnp.maximum(value, 0)
    part = jnp.clip(through_covariance, 0, variance)
    resolved = (known > 0) & (part > 0)
    excess = jnp.where(resolved, 2 * known**2 / jnp.where(resolved, part, 1), freedom - units - 3)
    excess = jnp.clip(excess, 1, 1e9)
    own, matched = excess + 2, excess + units + 3
    # variance of `direct` as a quadratic in u = 1/n₀
    square, linear = 2 * units * (units + own) / excess, 4 * known * (units + own) / excess
    rest = jnp.maximum(variance - 2 * known**2 / excess, 0)
    inverse = 2 * rest / (linear + jnp.sqrt(linear**2 + 4 * square * rest) + jnp.finfo(value.dtype).tiny)
    inverse = jnp.maximum(inverse, (known + jnp.sqrt(variance)) / _LARGEST + jnp.finfo(value.dtype).tiny)
    naive = jnp.maximum((value + units * inverse) * matched / own, 0)
    return noncentral_f_interval(naive, 1 / inverse, matched, units, confidence)


def _end(naive: float, precision: float, freedom: float, units: float, quantile: float) -> float:
    """The information at which `naive` is this quantile."""
    rest = freedom - units + 1
    ratio = naive * precision / freedom  # of a noncentral and a central χ²
    if not (np.isfinite(ratio) and rest > 0):
        return np.nan

    def excess(root: float) -> float:
        return _ratio_cdf(ratio, units, rest, root**2) - quantile

    if ratio <= 0 or excess(0.0) <= 0:
        return 0.0
    upper = np.sqrt(rest * ratio) + 10.0
    for _ in range(_DOUBLINGS):
        if excess(upper) < 0:
            root: Any = scipy.optimize.brentq(excess, 0.0, upper, xtol=1e-12 * upper)
            return float(root) ** 2 / precision
        upper *= 1.5
    return np.inf


def _ratio_cdf(ratio: float, units: float, rest: float, noncentrality: float) -> float:
    """P(χ′²_p(λ)/χ²_m ≤ ratio)."""
    if noncentrality <= _SERIES:
        return float(scipy.special.ncfdtr(units, rest, noncentrality, ratio * rest / units))
    root = np.sqrt(noncentrality)
    points = np.maximum(root + (units - 1) / (2 * root) + _NODES[0], 0)
    weights = _NODES[1] / np.sqrt(2 * np.pi)
    return float(weights @ scipy.stats.chi2.sf(points**2 / ratio, rest))
