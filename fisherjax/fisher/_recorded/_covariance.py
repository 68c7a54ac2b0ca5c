"""Covariances for more units than trials: shrunk, or of a few factors; the information that they give, and its bias."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax.fisher._moments import active_units

from ._pairs import Moments, Trials, moments_of, paired
from ._values import diagonal_parts, shuffled_numbers

_FOLDS = 5
_FACTOR_STEPS = 60
_LEAST_VARIANCE = 0.02  # of a unit's own, as a share of its variance: below it the fit runs away (Heywood)

Shrink = Callable[[Float[Array, "p p"], Float[Array, "n p"], Array], Float[Array, "p p"]]
"""A regularized correlation matrix from the sample's, standardized deviations (zero where there is no trial), and n."""


def _ledoit_wolf(correlation: Array, standard: Array, count: Array) -> Array:
    """Shrinkage towards the diagonal by the share that least squares asks for (Ledoit & Wolf 2004)."""
    units = len(correlation)
    own = jnp.sum(correlation**2)
    distance = own - 2 * jnp.trace(correlation) + units
    spread = (jnp.sum(jnp.sum(standard**2, axis=1) ** 2) / count - own) / count
    share = jnp.clip(spread / jnp.maximum(distance, 1e-12 * units), 0, 1)
    return (1 - share) * correlation + share * jnp.eye(units, dtype=correlation.dtype)


def _oas(correlation: Array, _: Array, count: Array) -> Array:
    """Shrinkage towards the diagonal by the share that is best for Gaussian data (Chen et al. 2010)."""
    units = len(correlation)
    mean = jnp.trace(correlation) / units
    square = jnp.mean(correlation**2)
    share = jnp.clip((square + mean**2) / ((count + 1) * jnp.maximum(square - mean**2 / units, 1e-12)), 0, 1)
    return (1 - share) * correlation + share * jnp.eye(units, dtype=correlation.dtype)


def _factors(correlation: Array, _: Array, count: Array) -> Array:
    """Common factors and variances of each unit's own, by maximum likelihood (EM).

    As many factors as eigenvalues stand above those of independent units, (1 + √(p/n))² (Marčenko & Pastur).
    """
    units = len(correlation)
    most = max(1, min(units // 2, 30))
    values, vectors = jnp.linalg.eigh(correlation)
    values, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
    kept = values > (1 + jnp.sqrt(units / count)) ** 2
    loading = vectors * jnp.sqrt(jnp.where(kept, values - 1, 0))
    own = jnp.clip(jnp.diagonal(correlation) - jnp.sum(loading**2, axis=1), _LEAST_VARIANCE, 1)
    eye = jnp.eye(most, dtype=correlation.dtype)

    def step(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        loading, own = state
        scaled = loading / own[:, None]
        inner = jnp.linalg.inv(eye + loading.T @ scaled)
        posterior = inner @ scaled.T  # (k, p), the mean of factors given responses
        cross = correlation @ posterior.T
        # a factor that is left out keeps loadings of zero
        second = inner + posterior @ cross
        loading = jnp.linalg.solve(second, cross.T).T
        own = jnp.diagonal(correlation) - jnp.sum(loading * cross, axis=1)
        return loading, jnp.clip(own, _LEAST_VARIANCE, 1)

    loading, own = jax.lax.fori_loop(0, _FACTOR_STEPS, step, (loading, own))
    return loading @ loading.T + jnp.diag(own)


SHRINKING: dict[str, Shrink] = {"ledoit-wolf": _ledoit_wolf, "oas": _oas, "factor": _factors}


def regularized(trials: Trials, moments: Moments, shrink: Shrink) -> Float[Array, "p p"]:
    """Regularized covariance of the trials that count; units that never vary have variance 1 and no covariance."""
    pair, freedom = paired(moments, trials.step)
    _, covariance, _ = active_units(pair.slope, pair.covariance)
    deviation = jnp.sqrt(jnp.diagonal(covariance))
    varies = jnp.diagonal(pair.covariance) > 0
    standard = (trials.responses - moments.mean[:, None]) / deviation * jnp.where(varies, trials.weight[..., None], 0)
    # the maximum-likelihood scale, in which the formulas are written
    scale = jnp.sqrt(jnp.sum(moments.trials) / freedom)
    count = jnp.sum(moments.trials)
    standard = standard.reshape(-1, standard.shape[-1]) * scale
    correlation = covariance / (deviation[:, None] * deviation)
    return shrink(correlation, standard, count) * deviation[:, None] * deviation


def regularized_values(shrink: Shrink) -> Callable[[Trials], dict[str, Array]]:
    """Direct, shuffled, their difference and the diagonal decoder's information, for one pair of stimuli."""

    def values(trials: Trials) -> dict[str, Array]:
        moments = moments_of(trials)
        pair, freedom = paired(moments, trials.step)
        shuffled = shuffled_numbers(pair, freedom)[0][0, 0]
        direct = _direct(trials, moments, shrink)
        signal, noise = diagonal_parts(pair.slope[0], pair.covariance, freedom, pair.precision[0])
        return {
            "direct": direct,
            "shuffled": shuffled,
            "direct - shuffled": direct - shuffled,
            "diagonal": signal / noise,
            "diagonal, denominator": noise,
        }

    return values


def _direct(trials: Trials, moments: Moments, shrink: Shrink) -> Float[Array, ""]:
    """f̂′ᵀ Σ̂⁻¹ f̂′ less what the noise of f̂′ adds, tr(Σ̂⁻¹Σ)/n₀, which trials tell that Σ̂ has not seen."""
    pair, _ = paired(moments, trials.step)
    slope, _, _ = active_units(pair.slope, pair.covariance)
    whole = jax.scipy.linalg.cho_factor(regularized(trials, moments, shrink), lower=True)
    naive = slope[0] @ jax.scipy.linalg.cho_solve(whole, slope[0])
    most = trials.weight.shape[1]
    folds = min(_FOLDS, max(2, most // 4))  # of several trials each
    fold = jnp.arange(most) % folds

    def noise(left: Array) -> tuple[Array, Array]:
        seen = trials._replace(weight=jnp.where(fold == left, 0, trials.weight))
        factor = jax.scipy.linalg.cho_factor(regularized(seen, moments_of(seen), shrink), lower=True)
        unseen = moments_of(trials._replace(weight=trials.weight - seen.weight))
        scatter = jnp.sum(unseen.scatter, axis=0)
        return jnp.trace(jax.scipy.linalg.cho_solve(factor, scatter)), jnp.sum(jnp.maximum(unseen.trials - 1, 0))

    # a fold of few trials knows little of Σ: squares and degrees of freedom are summed first
    squares, freedom = jax.lax.map(noise, jnp.arange(folds))
    return naive - jnp.sum(squares) / jnp.sum(freedom) / pair.precision[0]


COVARIANCES = {name: regularized_values(shrink) for name, shrink in SHRINKING.items()}
