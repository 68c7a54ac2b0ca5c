"""The noncentral F distribution and the confidence interval of its noncentrality, under jit and vmap."""

import math

import jax
import jax.numpy as jnp
import optimistix as optx
from jax.scipy.special import betainc, gammaln, xlogy
from jaxtyping import Array, Float

_TERMS = 65
_WIDTH = 9.0  # standard deviations of the Poisson weights that are kept
_STEPS = 100
_TOLERANCE = 1e-7  # of the root of the noncentrality


def noncentral_f_cdf(
    x: Float[Array, ""], numerator: float | int, denominator: float | int, noncentrality: Float[Array, ""]
) -> Float[Array, ""]:
    """P(X ≤ x) for a noncentral F variable, Σ_j Poisson(j; λ/2) I_y(d₁/2 + j, d₂/2), y = d₁x/(d₁x + d₂).

    For a large noncentrality the sum over j becomes a trapezoid rule on a coarser grid, whose error is
    beyond rounding because the weights are a smooth bump many grid steps wide.

    Parameters
    ----------
    x, numerator, denominator, noncentrality
        x ≥ 0, degrees of freedom d₁ and d₂ > 0, λ ≥ 0; scalars.

    References
    ----------
    Johnson, Kotz & Balakrishnan (1995), Continuous Univariate Distributions 2, eq. 30.10.
    """
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
    x: Float[Array, ""], numerator: float | int, denominator: float | int, confidence: float
) -> Float[Array, "2"]:
    """Two-sided confidence interval for the noncentrality behind an observed noncentral F variable.

    Each end is the λ ≥ 0 at which the observed value is the (1 ± confidence)/2 quantile; 0 where no λ is.

    Parameters
    ----------
    x, numerator, denominator
        Observed value and degrees of freedom.
    confidence
        Coverage, for instance 0.95.

    References
    ----------
    Steiger (2004), Beyond the F test, Psychological Methods 9, 164–182.
    """
    x = jax.lax.stop_gradient(x)
    central = noncentral_f_cdf(x, numerator, denominator, jnp.zeros_like(x))
    # mean and spread of the noncentrality that x suggests, generous
    scale = numerator * x + 20
    upper = scale + 20 * (jnp.sqrt(2 * scale) + scale * math.sqrt(2 / denominator) + scale / denominator)
    solver = optx.Bisection(rtol=_TOLERANCE, atol=_TOLERANCE, expand_if_necessary=True)

    def end(quantile: Array) -> Array:
        crossed = central > quantile

        def excess(root: Array, _: None) -> Array:
            value = quantile - noncentral_f_cdf(x, numerator, denominator, root**2)
            # where the interval ends at zero the solver gets a root that it finds
            return jnp.where(crossed, value, root - jnp.sqrt(upper) / 2)

        options = {"lower": jnp.zeros_like(x), "upper": jnp.sqrt(upper)}
        solution = optx.root_find(excess, solver, jnp.sqrt(upper) / 2, options=options, max_steps=_STEPS, throw=False)
        return jnp.where(crossed, solution.value**2, 0)

    return jax.vmap(end)(jnp.asarray([(1 + confidence) / 2, (1 - confidence) / 2], x.dtype))
