"""How information grows with the number of units that are read out."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import scipy.stats
from jaxtyping import Array, Bool, Float, Int

from fisherjax._arrays import host_real
from fisherjax._errors import check_confidence, check_integer, check_key, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Record

from ._gate import check_freedom, check_pairs, check_paths
from ._moments import (
    check_blocks,
    degrees_of_freedom,
    direct_value,
    pair_moments,
    path_moments,
    path_value,
    without_block,
)

_BLOCKS = 10
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

    def predict(self, num_units: ArrayLike) -> Array:
        """The fitted curve."""
        linear = self.information_per_unit * jnp.asarray(num_units, self.value.dtype)
        return linear / (1 + self.limiting_noise * linear)


@full_precision
def information_scaling(
    *data: ArrayLike, key: Key, sizes: ArrayLike | None = None, num_subsets: int = 20, confidence: float = 0.95
) -> InformationScaling:
    r"""Linear Fisher information against the number of units, and where it saturates.

    Differential correlations, Σ = Σ₀ + ε f′f′ᵀ, limit what any number of units can hold:

    .. math:: I(N) = \frac{I_0(N)}{1 + ε I_0(N)}, \qquad I_0 = cN, \qquad I(∞) = 1/ε.

    Information of random subsets is estimated without bias and averaged; c and ε come from weighted least
    squares (Levenberg–Marquardt). ε is not forced to be positive. Where its interval holds zero, saturation was not
    seen: then I(∞) is NaN, a warning says so, and only the lower end of its interval is known. All errors come from a
    jackknife over 10 blocks of trials, through subsets and fit, because subsets share trials and units.

    Parameters
    ----------
    *data
        ``(responses_minus, responses_plus, separation)`` for the `direct` estimate or ``(responses,
        derivatives)`` for the `pathwise` one; (trials, units).
    key
        JAX random key: which units are in a subset.
    sizes
        Numbers of units (S,), at least two different ones; by default about eight from p/16 to p, evenly spaced in
        logarithm.
    num_subsets
        Random subsets of each size.
    confidence
        Coverage of the interval of ε, Student's with 9 degrees of freedom, and so of that of I(∞).

    Raises
    ------
    ValueError
        If a size is out of range, there are too few trials for the largest or for the blocks, or a unit varies in
        hardly any block.
    TypeError
        If `key` is not a JAX key, or a size no whole number.

    References
    ----------
    Moreno-Bote et al. (2014), Information-limiting correlations, Nature Neurosci. 17, 1410–1417.
    """
    key, confidence = check_key("key", key), check_confidence(confidence)
    num_subsets = check_integer("num_subsets", num_subsets, minimum=1)
    require(
        len(data) in {2, 3},
        f"data must be (responses, derivatives) or two conditions and Δθ, got {len(data)} arguments",
    )
    arrays, freedom = _checked(data)
    units = arrays[0].shape[-1]
    chosen = _sizes(sizes, units)
    trials = " and ".join(str(len(part)) for part in arrays if part.ndim == 2)
    check_blocks(arrays, _BLOCKS)
    check_freedom(max(chosen), freedom, f"T = {trials} trials when one of {_BLOCKS} blocks is left out")
    subsets = tuple(
        np.stack([np.asarray(jax.random.permutation(k, units))[:size] for k in jax.random.split(size_key, num_subsets)])
        for size, size_key in zip(chosen, jax.random.split(key, len(chosen)), strict=True)
    )
    value, error, fit, fit_error = _scaling(arrays, [jnp.asarray(part) for part in subsets])
    require(
        bool(jnp.all(jnp.isfinite(value)) and jnp.all(jnp.isfinite(error))),
        f"information is not finite when one of {_BLOCKS} blocks of trials is left out: some units of the data hardly "
        "ever vary, or are sums of others; leave them out",
    )
    return _with_limit(jnp.asarray(chosen), value, error, fit, fit_error, confidence)


def _with_limit(
    sizes: Array, value: Array, error: Array, fit: Array, fit_error: Array, confidence: float
) -> InformationScaling:
    """The result, with what the fit says about infinitely many units; it warns where that is little."""
    noise, noise_error = float(fit[1]), float(fit_error[1])
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, _BLOCKS - 1)) * noise_error
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


def _checked(data: tuple[object, ...]) -> tuple[tuple[Array, ...], int]:
    """Arrays, and degrees of freedom when one block is left out."""
    if len(data) == 3:
        minus, plus, step = check_pairs(*data)
        require(minus.ndim == 2, f"responses must have shape (trials, units), got {minus.shape}")
        left = sum(len(part) // _BLOCKS for part in (minus, plus))
        return (minus, plus, step), degrees_of_freedom(minus, plus) - left
    responses, slopes, scalar = check_paths(*data)
    require(scalar, "derivatives must be those in one stimulus parameter, shape (trials, units)")
    return (responses, slopes[:, 0]), len(responses) - len(responses) // _BLOCKS - 1


def _sizes(sizes: ArrayLike | None, units: int) -> list[int]:
    if sizes is None:
        require(units >= 2, "a curve over sizes needs responses of at least 2 units, got 1")
        return sorted({max(1, round(units * 2 ** (-4 + index * 4 / 7))) for index in range(8)})
    given = host_real("sizes", sizes, "sizes")
    require(bool((given == np.round(given)).all()), f"sizes must be whole numbers of units, got {given.tolist()}")
    chosen = [check_integer("sizes", int(size), minimum=1, maximum=units) for size in given]
    require(len(set(chosen)) >= 2, f"sizes must hold at least two different numbers of units, got {chosen}")
    return chosen


@jax.jit
def _scaling(arrays: tuple[Array, ...], subsets: list[Array]) -> tuple[Array, Array, Array, Array]:
    def of_blocks(block: Array) -> tuple[Array, Array]:
        values = _curve([without_block(part, block, _BLOCKS) for part in arrays], subsets)
        return values, _fit(sizes, values, weights)

    sizes = jnp.asarray([part.shape[1] for part in subsets], arrays[0].dtype)
    values = _curve(list(arrays), subsets)
    # relative errors are about equal over sizes, so that weights are one over the value itself
    weights = 1 / jnp.maximum(jnp.abs(values), 1e-3 * jnp.max(jnp.abs(values)))
    fit = _fit(sizes, values, weights)
    parts, fits = jax.lax.map(of_blocks, jnp.arange(_BLOCKS))
    scale = math.sqrt(_BLOCKS - 1)
    return values, scale * jnp.std(parts, axis=0), fit, scale * jnp.std(fits, axis=0)


def _curve(arrays: list[Array], subsets: list[Array]) -> Float[Array, " S"]:
    value = _subset_information(arrays)
    return jnp.stack([jnp.mean(jax.lax.map(value, part)) for part in subsets])


def _subset_information(arrays: list[Array]) -> Callable[[Array], Array]:
    """Corrected information of the units with given indices; the moments of all units are computed once."""
    if len(arrays) == 3:
        minus, plus, step = arrays
        whole: Any = pair_moments(minus, plus, step)
        freedom = degrees_of_freedom(minus, plus)

        def direct_subset(index: Array) -> Array:
            part = whole._replace(slope=whole.slope[:, index], covariance=whole.covariance[index][:, index])
            return direct_value(part, freedom)[0][0, 0]

        return direct_subset
    whole = path_moments(arrays[0], arrays[1][:, None])

    def path_subset(index: Array) -> Array:
        part = whole._replace(
            slope=whole.slope[:, index],
            scatter=whole.scatter[index][:, index],
            slope_scatter=whole.slope_scatter[:, :, index][..., index],
        )
        return path_value(part)[0][0, 0]

    return path_subset


def _fit(sizes: Array, values: Array, weights: Array) -> Float[Array, "2"]:
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
