"""The Gaussian total from samples: mean term plus covariance term."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._errors import check_confidence, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike

from ._blocks import block_jackknife, check_blocks, without_block
from ._estimate import FisherEstimate, check_freedom, check_invertible
from ._pathwise import check_paths, path_moments, path_values

_BLOCKS = 20


@full_precision
def gaussian_total(responses: ArrayLike, derivatives: ArrayLike, *, confidence: float = 0.95) -> FisherEstimate:
    r"""Information that Gaussian responses with these moments would hold, mean and covariance together.

    .. math:: I = f'^T Σ^{-1} f' + ½ \operatorname{tr}[(Σ^{-1} Σ')^2], \qquad Σ' = ⟨z z'^T + z' z^T⟩,

    z and z′ the centered responses and derivatives. The mean term is that of `pathwise`; the covariance
    term's bias is removed by a jackknife over trials, which also gives the error. It warns: for responses
    that are not Gaussian the result is neither their information nor a bound of it.

    Parameters
    ----------
    responses
        r (trials, units), all at one stimulus.
    derivatives
        r′ (trials, units), or (trials, K, units).
    confidence
        Coverage of the interval.

    Raises
    ------
    ValueError, TypeError
        As `pathwise`.
    """
    confidence = check_confidence(confidence)
    warn(
        "the Gaussian total is exact for Gaussian responses only; for others it is neither the Fisher information "
        "nor a bound. `pathwise` bounds it from below for any distribution",
        UserWarning,
    )
    values, slopes, scalar = check_paths(responses, derivatives)
    kept = len(values) - len(values) // _BLOCKS
    check_freedom(values.shape[1], kept - 1, f"T = {len(values)} trials when one of {_BLOCKS} blocks is left out")
    check_invertible("the covariance of the responses", path_moments(values, slopes).scatter)
    rows = slopes[:, 0] if scalar else jnp.moveaxis(slopes, 1, 0)
    check_blocks((values, rows), _BLOCKS)
    method = f"Gaussian total, jackknife of {_BLOCKS} blocks"
    value, error, interval, naive = block_jackknife((values, rows), _corrected, _BLOCKS, confidence)
    of = "information of Gaussian responses with these moments"
    return FisherEstimate(value, error, interval, naive, method, confidence, of)


def _covariance_term(values: Array, rows: Array) -> Array:
    slopes = rows[None] if rows.ndim == 2 else rows
    centered = values - jnp.mean(values, axis=0)
    deviations = slopes - jnp.mean(slopes, axis=1, keepdims=True)
    lower = jnp.linalg.cholesky(centered.T @ centered / (len(values) - 1))
    stacked = jnp.concatenate([centered[None], deviations]).reshape(-1, values.shape[1])
    white = jax.scipy.linalg.solve_triangular(lower, stacked.T, lower=True).T.reshape(-1, *values.shape)
    cross = jnp.einsum("ni,knj->kij", white[0], white[1:]) / (len(values) - 1)
    change = cross + jnp.swapaxes(cross, 1, 2)
    term = jnp.einsum("kij,lij->kl", change, change) / 2
    return term[0, 0] if rows.ndim == 2 else term


def _corrected(values: Array, rows: Array) -> tuple[Array, Array]:
    """Mean term, unbiased, and covariance term less its jackknife estimate of bias; and both naive."""
    whole = _covariance_term(values, rows)
    size = len(values) // _BLOCKS

    def without(block: Array) -> Array:
        return _covariance_term(*(without_block(part, block, _BLOCKS) for part in (values, rows)))

    parts = jax.lax.map(without, jnp.arange(_BLOCKS))
    bias = (len(values) - size) / size * (jnp.mean(parts, axis=0) - whole)
    mean, naive_mean = path_values(values, rows)
    return mean + whole - bias, naive_mean + whole
