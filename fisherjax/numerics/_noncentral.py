"""The noncentral F distribution and the confidence interval of its noncentrality, under jit and vmap."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, gammaincc, gammaln, xlogy
from jaxtyping import Array, Float

from fisherjax._types import Scalar

_TERMS = 65
_WIDTH = 9.0  # standard deviations of the Poisson weights that are kept
_STEPS = 40  # halvings of the bracket of the root of the noncentrality
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def noncentral_f_cdf(
    x: Float[Array, ""],
    numerator: Scalar,
    denominator: Scalar,
    noncentrality: Float[Array, ""],
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
    x that is not finite. A fixed number of halvings: it ends whatever the numbers, and raises nothing inside a program.

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
    steps = jnp.arange(_STEPS)

    def end(quantile: Array) -> Array:
        def halve(ends: tuple[Array, Array], _: Array) -> tuple[tuple[Array, Array], None]:
            low, high = ends
            middle = (low + high) / 2
            below = noncentral_f_cdf(x, numerator, denominator, middle**2) > quantile
            return (jnp.where(below, middle, low), jnp.where(below, high, middle)), None

        (low, high), _ = jax.lax.scan(halve, (jnp.zeros_like(x), upper), steps)
        return jnp.where(jnp.isfinite(x), jnp.where(central > quantile, ((low + high) / 2) ** 2, 0), jnp.nan)

    return jax.vmap(end)(jnp.asarray([(1 + confidence) / 2, (1 - confidence) / 2], x.dtype))
