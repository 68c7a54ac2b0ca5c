"""The curve I(N) = cN/(1 + εcN) through information of subsets of units, and what it says of infinitely many."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import scipy.stats
from jaxtyping import Array, Bool, Float, Int

from fisherjax._arrays import host_real
from fisherjax._errors import check_integer, check_share, require, warn
from fisherjax._types import ArrayLike, Key, Record, Scalar

SCALING_BLOCKS = 10
_MOST_STEPS = 200


class InformationScaling(Record):
    """Mean information of random subsets of units, and the curve I₀(N)/(1 + ε I₀(N)), I₀ = c N, through it."""

    num_units: Int[Array, " S"]
    value: Float[Array, " S"]
    standard_error: Float[Array, " S"]
    information_per_unit: Float[Array, ""]
    """c, information per unit while there are few"""
    information_per_unit_error: Float[Array, ""]
    limiting_noise: Float[Array, ""]
    """ε, variance of the stimulus estimate that no number of units removes: the strength of information-limiting
    (differential) correlations; not the information at infinity, which is `limit`"""
    limiting_noise_error: Float[Array, ""]
    limit: Float[Array, ""]
    """I(∞) = 1/ε, information of infinitely many units; NaN where it is not resolved"""
    limit_error: Float[Array, ""]
    """standard error of `limit`, that of ε over ε²; NaN where it is not resolved"""
    limit_interval: Float[Array, "2"]
    """what 1/ε can be for ε within its interval; the upper end is NaN where ε may be zero: there is none"""
    resolved: Bool[Array, ""]
    """whether the interval of ε lies above zero, so that saturation was seen"""
    confidence: float = eqx.field(static=True, default=0.95)

    def units_for(self, share: Scalar) -> Array:
        """Number of units that reach a share of I(∞), N = share/((1 − share) ε c); NaN where that is not resolved.

        Raises
        ------
        ValueError
            If `share` is not strictly between 0 and 1.
        """
        part = check_share("share", share, strict=True)
        number = part / ((1 - part) * self.limiting_noise * self.information_per_unit)
        return jnp.where(self.resolved, number, jnp.nan)

    def predict(self, num_units: ArrayLike) -> Array:
        """The fitted curve."""
        linear = self.information_per_unit * jnp.asarray(num_units, self.value.dtype)
        return linear / (1 + self.limiting_noise * linear)


def with_limit(
    sizes: Array, value: Array, error: Array, fit: Array, fit_error: Array, confidence: float
) -> InformationScaling:
    """The result, with what the fit says about infinitely many units; it warns where that is little."""
    noise, noise_error = float(fit[1]), float(fit_error[1])
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, SCALING_BLOCKS - 1)) * noise_error
    low, high = noise - reach, noise + reach
    resolved = low > 0
    if not math.isfinite(low):
        warn("the fit of I(N) = cN/(1 + εcN) did not converge: c, ε and the limit are NaN; `value` is not concerned")
    elif not resolved:
        known = f"I(∞) is at least {1 / high:.3g}, with no upper end" if high > 0 else "nothing is known of I(∞)"
        warn(
            f"saturation was not seen: ε = {noise:.2g} ± {noise_error:.1g} is not above 0 by more than its error, so "
            f"that `limit` is NaN ({known}, at {confidence:.0%}); more trials or units would tell"
        )
    ends = (1 / high if high > 0 else math.nan, 1 / low if resolved else math.nan)
    return InformationScaling(
        num_units=sizes,
        value=value,
        standard_error=error,
        information_per_unit=fit[0],
        information_per_unit_error=fit_error[0],
        limiting_noise=fit[1],
        limiting_noise_error=fit_error[1],
        limit=jnp.asarray(1 / noise if resolved else math.nan, fit.dtype),
        limit_error=jnp.asarray(noise_error / noise**2 if resolved else math.nan, fit.dtype),
        limit_interval=jnp.asarray(ends, fit.dtype),
        resolved=jnp.asarray(resolved),
        confidence=confidence,
    )


def fit_saturation(sizes: Array, values: Array, weights: Array) -> Float[Array, "2"]:
    """(c, ε) of c N/(1 + ε c N) by weighted least squares; NaN if that does not converge."""
    # in JAX's default float type: the solver mixes its constants in
    sizes, values, weights = (part.astype(float) for part in (sizes, values, weights))
    scale = jnp.max(jnp.abs(values))
    tolerance = max(1e-8, 4 * float(jnp.finfo(values.dtype).eps))

    def residuals(parameters: Array, _: None) -> Array:
        linear = jnp.exp(parameters[0]) * sizes
        return weights * scale * (linear / (1 + parameters[1] * linear) - values / scale)

    start = jnp.stack([jnp.log(jnp.maximum(values[0] / sizes[0] / scale, 1e-6)), jnp.asarray(0.1, values.dtype)])
    solver = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    solution = optx.least_squares(residuals, solver, start, max_steps=_MOST_STEPS, throw=False)
    rate, noise = solution.value
    converged = solution.result == optx.RESULTS.successful
    return jnp.where(converged, jnp.stack([scale * jnp.exp(rate), noise / scale]), jnp.nan)


def sizes_of_subsets(sizes: ArrayLike | None, units: int, most: int | None = None) -> list[int]:
    """Numbers of units, as asked for, or about eight up to `most`, evenly spaced in logarithm.

    Raises
    ------
    TypeError, ValueError
        If one is no whole number, out of range, or there are not two different ones.
    """
    if sizes is None:
        require(units >= 2, "a curve over sizes needs responses of at least 2 units, got 1")
        largest = units if most is None else most
        return sorted({max(1, round(largest * 2 ** (-4 + index * 4 / 7))) for index in range(8)})
    given = host_real("sizes", sizes, "sizes")
    require(bool((given == np.round(given)).all()), f"sizes must be whole numbers of units, got {given.tolist()}")
    chosen = [check_integer("sizes", int(size), minimum=1, maximum=units) for size in given]
    require(len(set(chosen)) >= 2, f"sizes must hold at least two different numbers of units, got {chosen}")
    return chosen


def drawn_subsets(sizes: list[int], units: int, num_subsets: int, key: Key) -> list[Int[Array, "_ n"]]:
    """Indices of random subsets of units, about `num_subsets` of each size.

    They are cut one after another from units in random order, round and round: every unit is in as many of them, but
    for one, so that units which tell much are not met more often at one size than at another.
    """
    subsets = []
    for size, own in zip(sizes, jax.random.split(key, len(sizes)), strict=True):
        count = 1 if size == units else max(num_subsets, -(-units // size))
        order = np.asarray(jax.random.permutation(own, units))
        places = np.arange(count)[:, None] * size + np.arange(size)
        subsets.append(jnp.asarray(order[places % units]))
    return subsets
