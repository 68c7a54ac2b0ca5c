"""How information grows with the number of units that are read out."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._errors import check_confidence, check_integer, check_key, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key

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
from ._recorded._growth import recording_curves
from ._recorded._recording import Recording
from ._saturation import SCALING_BLOCKS, InformationScaling, drawn_subsets, fit_saturation, sizes_of_subsets, with_limit


@full_precision
def information_scaling(
    *data: ArrayLike | Recording,
    key: Key,
    sizes: ArrayLike | None = None,
    num_subsets: int = 20,
    confidence: float = 0.95,
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
        derivatives)`` for the `pathwise` one; (trials, units). Or a `Recording`: the mean over neighbouring stimuli,
        with the same subsets for all.
    key
        JAX random key: which units are in a subset.
    sizes
        Numbers of units (S,), at least two different ones; by default about eight from p/16 to p, evenly spaced in
        logarithm.
    num_subsets
        Random subsets of each size; more where every unit would not be in one. All units are met equally often.
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
    if len(data) == 1 and isinstance(data[0], Recording):
        return with_limit(*recording_curves(data[0], sizes, num_subsets, key), confidence)
    require(
        len(data) in {2, 3},
        f"data must be a Recording, (responses, derivatives) or two conditions and Δθ, got {len(data)} arguments",
    )
    arrays, freedom = _checked(data)
    units = arrays[0].shape[-1]
    chosen = sizes_of_subsets(sizes, units)
    trials = " and ".join(str(len(part)) for part in arrays if part.ndim == 2)
    check_blocks(arrays, SCALING_BLOCKS)
    check_freedom(max(chosen), freedom, f"T = {trials} trials when one of {SCALING_BLOCKS} blocks is left out")
    subsets = drawn_subsets(chosen, units, num_subsets, key)
    value, error, fit, fit_error = _scaling(arrays, subsets)
    require(
        bool(jnp.all(jnp.isfinite(value)) and jnp.all(jnp.isfinite(error))),
        f"information is not finite when one of {SCALING_BLOCKS} blocks of trials is left out: some units of the data "
        "hardly ever vary, or are sums of others; leave them out",
    )
    return with_limit(jnp.asarray(chosen), value, error, fit, fit_error, confidence)


def _checked(data: tuple[object, ...]) -> tuple[tuple[Array, ...], int]:
    """Arrays, and degrees of freedom when one block is left out."""
    if len(data) == 3:
        minus, plus, step = check_pairs(*data)
        require(minus.ndim == 2, f"responses must have shape (trials, units), got {minus.shape}")
        left = sum(len(part) // SCALING_BLOCKS for part in (minus, plus))
        return (minus, plus, step), degrees_of_freedom(minus, plus) - left
    responses, slopes, scalar = check_paths(*data)
    require(scalar, "derivatives must be those in one stimulus parameter, shape (trials, units)")
    return (responses, slopes[:, 0]), len(responses) - len(responses) // SCALING_BLOCKS - 1


@jax.jit
def _scaling(arrays: tuple[Array, ...], subsets: list[Array]) -> tuple[Array, Array, Array, Array]:
    def of_blocks(block: Array) -> tuple[Array, Array]:
        values = _curve([without_block(part, block, SCALING_BLOCKS) for part in arrays], subsets)
        return values, fit_saturation(sizes, values, weights)

    sizes = jnp.asarray([part.shape[1] for part in subsets], arrays[0].dtype)
    values = _curve(list(arrays), subsets)
    # relative errors are about equal over sizes, so that weights are one over the value itself
    weights = 1 / jnp.maximum(jnp.abs(values), 1e-3 * jnp.max(jnp.abs(values)))
    fit = fit_saturation(sizes, values, weights)
    parts, fits = jax.lax.map(of_blocks, jnp.arange(SCALING_BLOCKS))
    scale = math.sqrt(SCALING_BLOCKS - 1)
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
