"""How information grows with the number of units that are read out."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, Int

from fisherjax._errors import check_integer, check_key, require
from fisherjax._types import Key, Result
from fisherjax.numerics import full_precision

from ._blocks import without_block
from ._direct import check_pairs, degrees_of_freedom, direct_value, pair_moments
from ._estimate import check_freedom
from ._pathwise import check_paths, path_moments, path_value

_BLOCKS = 10
_MOST_STEPS = 200


class InformationScaling(Result):
    """Mean information of random subsets of units, and the curve I₀(N)/(1 + ε I₀(N)), I₀ = c N, through it."""

    num_units: Int[Array, " S"]
    value: Float[Array, " S"]
    standard_error: Float[Array, " S"]
    information_per_unit: Float[Array, ""]
    """c, information per unit while there are few"""
    information_per_unit_error: Float[Array, ""]
    saturation: Float[Array, ""]
    """ε, variance of the stimulus estimate that no number of units removes (differential correlations)"""
    saturation_error: Float[Array, ""]

    @property
    def limit(self) -> Float[Array, ""]:
        """1/ε, information of infinitely many units; infinite if ε is not positive."""
        return jnp.where(self.saturation > 0, 1 / jnp.where(self.saturation > 0, self.saturation, 1), jnp.inf)

    def predict(self, num_units: object) -> Array:
        """The fitted curve."""
        linear = self.information_per_unit * jnp.asarray(num_units, self.value.dtype)
        return linear / (1 + self.saturation * linear)


@full_precision
def information_scaling(*data: object, key: Key, sizes: object = None, num_subsets: int = 20) -> InformationScaling:
    r"""Linear Fisher information against the number of units, and where it saturates.

    Differential correlations, Σ = Σ₀ + ε f′f′ᵀ, limit what any number of units can hold:

    .. math:: I(N) = \frac{I_0(N)}{1 + ε I_0(N)}, \qquad I_0 = cN, \qquad I(∞) = 1/ε.

    Information of random subsets is estimated without bias and averaged; c and ε come from weighted least
    squares (Levenberg–Marquardt). ε is not forced to be positive: a value within its error of zero means
    that saturation was not seen. All errors come from a jackknife over 10 blocks of trials, through subsets
    and fit, because subsets share trials and units.

    Parameters
    ----------
    *data
        ``(responses_minus, responses_plus, separation)`` for the `direct` estimate or ``(responses,
        derivatives)`` for the `pathwise` one; (trials, units).
    key
        JAX random key: which units are in a subset.
    sizes
        Numbers of units (S,), each at least 1; by default about eight from p/16 to p, evenly spaced in logarithm.
    num_subsets
        Random subsets of each size.

    Raises
    ------
    ValueError
        If a size is out of range, or there are too few trials for the largest.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Moreno-Bote et al. (2014), Information-limiting correlations, Nature Neurosci. 17, 1410–1417.
    """
    key = check_key("key", key)
    num_subsets = check_integer("num_subsets", num_subsets, minimum=1)
    require(len(data) in {2, 3}, f"give (responses, derivatives) or two conditions and Δθ, not {len(data)} arguments")
    arrays, freedom = _checked(data)
    units = arrays[0].shape[-1]
    chosen = _sizes(sizes, units)
    trials = " and ".join(str(len(part)) for part in arrays if part.ndim == 2)
    check_freedom(max(chosen), freedom, f"T = {trials} trials when one of {_BLOCKS} blocks is left out")
    subsets = tuple(
        np.stack([np.asarray(jax.random.permutation(k, units))[:size] for k in jax.random.split(size_key, num_subsets)])
        for size, size_key in zip(chosen, jax.random.split(key, len(chosen)), strict=True)
    )
    value, error, fit, fit_error = _scaling(arrays, [jnp.asarray(part) for part in subsets])
    return InformationScaling(jnp.asarray(chosen), value, error, fit[0], fit_error[0], fit[1], fit_error[1])


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


def _sizes(sizes: object, units: int) -> list[int]:
    if sizes is None:
        return sorted({max(1, round(units * 2 ** (-4 + index * 4 / 7))) for index in range(8)})
    chosen = [check_integer("sizes", size, minimum=1) for size in np.asarray(sizes).tolist()]
    require(len(chosen) >= 2, f"sizes must hold at least two numbers of units, got {chosen}")
    require(max(chosen) <= units, f"sizes must be at most the {units} units there are, got {max(chosen)}")
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
    """(c, ε) of c N/(1 + ε c N) by weighted least squares."""
    scale = jnp.max(jnp.abs(values))

    def residuals(parameters: Array, _: None) -> Array:
        linear = jnp.exp(parameters[0]) * sizes
        return weights * scale * (linear / (1 + parameters[1] * linear) - values / scale)

    start = jnp.stack([jnp.log(jnp.maximum(values[0] / sizes[0] / scale, 1e-6)), jnp.asarray(0.1, values.dtype)])
    solver = optx.LevenbergMarquardt(rtol=1e-8, atol=1e-8)
    found = optx.least_squares(residuals, solver, start, max_steps=_MOST_STEPS, throw=False).value
    return jnp.stack([scale * jnp.exp(found[0]), found[1] / scale])
