"""Confidence intervals of an information: normal, Student's, and from the noncentral F distribution of its estimate.

For Gaussian responses Î n₀/ν = χ′²_p(n₀I)/χ²_{ν−p+1} (Hotelling). Written for a given variance instead of given trials,
the same family also has the lopsidedness that an estimate inherits from the inverse of its covariance, and serves
estimators whose error comes from the data.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from jax.scipy.special import betainc, gammaincc, gammaln, ndtri, xlogy
from jaxtyping import Array, Float

from fisherjax._errors import is_traced
from fisherjax._types import Scalar

_SERIES = 1e4  # noncentralities above it: the root of a noncentral χ² is normal to 1e-4 there
_LARGEST = 1e18
_DOUBLINGS = 120
_TERMS = 65
_WIDTH = 9.0  # standard deviations of the Poisson weights that are kept
_RESOLUTION = 2.0**-40  # of the root of the noncentrality, as a share of the bracket at first
_MOST_STEPS = 100
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)

Number: TypeAlias = Array | float | int


@functools.partial(jax.jit, static_argnames="confidence", inline=True)
def normal_interval(value: Array, error: Array, confidence: float) -> Array:
    """Value ± z · error."""
    reach = ndtri(jnp.asarray((1 + confidence) / 2, value.dtype)) * error
    return jnp.stack([value - reach, value + reach])


@functools.partial(jax.jit, static_argnames="confidence", inline=True)
def wilson_interval(value: Array, error: Array, growth: Array, confidence: float) -> Array:
    """All I with (Î − I)² ≤ z² Var(I), where the variance grows with the truth, d Var/dI = growth."""
    quantile = ndtri(jnp.asarray((1 + confidence) / 2, value.dtype))
    shift = quantile**2 * growth / 2
    reach = jnp.sqrt((quantile * error) ** 2 + shift**2)
    return jnp.stack([value + shift - reach, value + shift + reach])


def student_interval(value: Array, error: Array, confidence: float, freedom: int) -> Array:
    """Value ± t · error, t Student's quantile for an error that has few degrees of freedom itself."""
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return jnp.stack([value - reach, value + reach])


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
    points = np.maximum(root + (units - 1) / (2 * root) + _NODES, 0)
    return float(_WEIGHTS / np.sqrt(2 * np.pi) @ scipy.stats.chi2.sf(points**2 / ratio, rest))


def noncentral_f_cdf(
    x: Float[Array, ""], numerator: Scalar, denominator: Scalar, noncentrality: Float[Array, ""]
) -> Float[Array, ""]:
    """P(X ≤ x) for a noncentral F variable, Σ_j Poisson(j; λ/2) I_y(d₁/2 + j, d₂/2), y = d₁x/(d₁x + d₂).

    For a large noncentrality the sum over j becomes a trapezoid rule on a coarser grid, whose error is
    beyond rounding because the weights are a smooth bump many grid steps wide. Where the sum would lose the
    digits of the float type (λ above 10³ in single, 10⁵ in double precision) the root of the noncentral χ² is
    taken as normal, right to some 1e-4 there.

    Parameters
    ----------
    x, numerator, denominator, noncentrality
        x ≥ 0, degrees of freedom d₁ and d₂ > 0, λ ≥ 0; scalars.

    References
    ----------
    Johnson, Kotz & Balakrishnan (1995), Continuous Univariate Distributions 2, eq. 30.10.
    """
    largest = 1e3 if x.dtype == jnp.float32 else 1e5
    numerator, denominator = (jnp.asarray(part, x.dtype) for part in (numerator, denominator))
    series = _series(x, numerator, denominator, jnp.minimum(noncentrality, largest))
    root = jnp.sqrt(jnp.maximum(noncentrality, largest))
    points = jnp.maximum(root + (numerator - 1) / (2 * root) + jnp.asarray(_NODES, x.dtype), 0)
    # P(χ′² ≤ d₁x χ²/d₂)
    scaled = points**2 * denominator / jnp.maximum(numerator * x, jnp.finfo(x.dtype).tiny)
    normal = jnp.asarray(_WEIGHTS / math.sqrt(2 * math.pi), x.dtype) @ gammaincc(denominator / 2, scaled / 2)
    return jnp.where(noncentrality <= largest, series, normal)


def _series(x: Array, numerator: Array, denominator: Array, noncentrality: Array) -> Float[Array, ""]:
    mean = noncentrality / 2
    reach = _WIDTH * jnp.sqrt(mean)
    low = jnp.floor(jnp.maximum(mean - reach - 10, 0))
    spacing = jnp.maximum((mean + reach + 30 - low) / (_TERMS - 1), 1)
    index = low + spacing * jnp.arange(_TERMS, dtype=x.dtype)
    logarithm = xlogy(index, mean) - mean - gammaln(index + 1)
    weights = jnp.exp(logarithm - jnp.max(logarithm))
    share = numerator * x / (numerator * x + denominator)
    terms = betainc(numerator / 2 + index, denominator / 2, share)
    return jnp.sum(weights * terms) / jnp.sum(weights)


def noncentrality_interval(
    x: Float[Array, ""], numerator: Scalar, denominator: Scalar, confidence: float
) -> Float[Array, "2"]:
    """Two-sided confidence interval for the noncentrality behind an observed noncentral F variable.

    Each end is the λ ≥ 0 at which the observed value is the (1 ± confidence)/2 quantile; 0 where no λ is, NaN for an
    x that is not finite. It ends whatever the numbers, and raises nothing inside a program.

    Parameters
    ----------
    x, numerator, denominator
        Observed value and degrees of freedom.
    confidence
        Coverage, strictly between 0 and 1.

    References
    ----------
    Steiger (2004), Beyond the F test, Psychological Methods 9, 164–182.
    """
    x = jax.lax.stop_gradient(x)
    numerator, denominator = (jax.lax.stop_gradient(jnp.asarray(part, x.dtype)) for part in (numerator, denominator))
    central = noncentral_f_cdf(x, numerator, denominator, jnp.zeros_like(x))
    # λ at which even the largest χ² that can be met leaves x below: a bracket by construction
    wide = math.sqrt(-2 * math.log((1 - confidence) / 4)) + 1
    most = (jnp.sqrt(denominator) + wide) ** 2 / denominator
    upper = jnp.sqrt(numerator * x * most) + wide + 10
    tolerance = upper * max(_RESOLUTION, 4 * float(jnp.finfo(x.dtype).eps))

    def end(quantile: Array) -> Array:
        # in units of its own standard deviation the quantile is almost linear in the root of λ
        root = _root(
            lambda root: _score(noncentral_f_cdf(x, numerator, denominator, root**2)) - _score(quantile),
            (jnp.zeros_like(x), _score(central) - _score(quantile)),
            upper,
            tolerance,
        )
        return jnp.where(jnp.isfinite(x), jnp.where(central > quantile, root**2, 0), jnp.nan)

    return jax.vmap(end)(jnp.asarray([(1 + confidence) / 2, (1 - confidence) / 2], x.dtype))


def _score(probability: Array) -> Array:
    """Φ⁻¹, finite at 0 and 1."""
    numbers = jnp.finfo(probability.dtype)
    return ndtri(jnp.clip(probability, numbers.tiny, 1 - numbers.epsneg))


class _Bracket(NamedTuple):
    """The newest point and one across the root, the point before, the share of the way to go next, and the count."""

    new: tuple[Array, Array]
    across: tuple[Array, Array]
    before: tuple[Array, Array]
    share: Array
    steps: Array


def _root(function: Callable[[Array], Array], low: tuple[Array, Array], high: Array, tolerance: Array) -> Array:
    """The root between `low`, a point and its value, and `high`, by inverse quadratic interpolation kept by bisection.

    It ends whatever the values, and differs between the lanes of a `vmap` in its steps only.

    References
    ----------
    Chandrupatla (1997), Adv. Eng. Softw. 28, 145–149.
    """

    def unfinished(now: _Bracket) -> Array:
        width = jnp.abs(now.across[0] - now.new[0])
        return (now.steps < _MOST_STEPS) & (width > tolerance) & (now.new[1] != 0)

    def narrow(now: _Bracket) -> _Bracket:
        (a, fa), (b, fb) = now.new, now.across
        point = a + now.share * (b - a)
        value = function(point)
        same = jnp.sign(value) == jnp.sign(fa)
        c, fc = jnp.where(same, a, b), jnp.where(same, fa, fb)
        b, fb = jnp.where(same, b, a), jnp.where(same, fb, fa)
        a, fa = point, value
        place, level = (a - b) / (c - b), (fa - fb) / (fc - fb)
        trusted = (1 - jnp.sqrt(1 - place) < level) & (level < jnp.sqrt(place))
        curved = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        least = jnp.minimum(0.5, 0.5 * tolerance / jnp.abs(b - a))
        share = jnp.clip(jnp.where(trusted, curved, 0.5), least, 1 - least)
        return _Bracket((a, fa), (b, fb), (c, fc), share, now.steps + 1)

    top = (high, function(high))
    begun = _Bracket(top, low, low, jnp.asarray(0.5, high.dtype), jnp.asarray(0))
    ended = jax.lax.while_loop(unfinished, narrow, begun)
    closer = jnp.abs(ended.new[1]) < jnp.abs(ended.across[1])
    return jnp.where(closer, ended.new[0], ended.across[0])
