"""The Gaussian total from samples: mean term plus covariance term."""

import warnings

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._estimate import FisherEstimate, check_freedom, check_invertible
from ._pathwise import check_paths, path_moments, path_value
from ._resampling import jackknife

_BLOCKS = 20


def gaussian_total(responses: object, derivatives: object, *, confidence: float = 0.95) -> FisherEstimate:
    r"""Information that Gaussian responses with these moments would hold, mean and covariance together.

    .. math:: I = f'^T Σ^{-1} f' + ½ \operatorname{tr}[(Σ^{-1} Σ')^2], \qquad Σ' = ⟨z z'^T + z' z^T⟩,

    z and z′ the centred responses and derivatives. The mean term is that of `pathwise`; the covariance
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
    warnings.warn(
        "the Gaussian total is exact for Gaussian responses only; for others it is neither the Fisher information "
        "nor a bound. `pathwise` bounds it from below for any distribution",
        UserWarning,
        stacklevel=2,
    )
    values, slopes, scalar = check_paths(responses, derivatives)
    kept = len(values) - len(values) // _BLOCKS
    check_freedom(values.shape[1], kept - 1, f"T = {len(values)} trials when one of {_BLOCKS} blocks is left out")
    check_invertible("the covariance of the responses", path_moments(values, slopes).scatter)
    rows = slopes[:, 0] if scalar else jnp.moveaxis(slopes, 1, 0)
    found = jackknife(values, rows, estimator=_corrected, num_blocks=_BLOCKS, confidence=confidence)
    method = f"Gaussian total, jackknife of {_BLOCKS} blocks"
    return FisherEstimate(found.value, found.standard_error, found.interval, found.naive, method, confidence)


def _mean_term(values: Array, rows: Array) -> FisherEstimate:
    scalar = rows.ndim == 2
    value, naive = path_value(path_moments(values, rows[:, None] if scalar else jnp.moveaxis(rows, 0, 1)))
    value, naive = (value[0, 0], naive[0, 0]) if scalar else (value, naive)
    return FisherEstimate(value, value, jnp.stack([value, value]), naive)


def _covariance_term(values: Array, rows: Array) -> Array:
    slopes = rows[None] if rows.ndim == 2 else rows
    centred = values - jnp.mean(values, axis=0)
    deviations = slopes - jnp.mean(slopes, axis=1, keepdims=True)
    lower = jnp.linalg.cholesky(centred.T @ centred / (len(values) - 1))
    stacked = jnp.concatenate([centred[None], deviations]).reshape(-1, values.shape[1])
    white = jax.scipy.linalg.solve_triangular(lower, stacked.T, lower=True).T.reshape(-1, *values.shape)
    cross = jnp.einsum("ni,knj->kij", white[0], white[1:]) / (len(values) - 1)
    change = cross + jnp.swapaxes(cross, 1, 2)
    term = jnp.einsum("kij,lij->kl", change, change) / 2
    return term[0, 0] if rows.ndim == 2 else term


def _corrected(values: Array, rows: Array) -> FisherEstimate:
    """Mean term, unbiased, and covariance term less its jackknife estimate of bias."""
    whole = _covariance_term(values, rows)
    size = len(values) // _BLOCKS
    kept = len(values) - size

    def without(block: Array) -> Array:
        index = jnp.arange(kept)
        index = jnp.where(index < block * size, index, index + size)
        return _covariance_term(values[index], jnp.take(rows, index, axis=-2))

    parts = jax.lax.map(without, jnp.arange(_BLOCKS))
    bias = kept / size * (jnp.mean(parts, axis=0) - whole)
    mean = _mean_term(values, rows)
    value = mean.value + whole - bias
    return FisherEstimate(value, value, jnp.stack([value, value]), mean.naive + whole)
