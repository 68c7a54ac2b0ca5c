"""Errors of any estimator by resampling trials: jackknife over blocks and bootstrap, each one jitted call."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fisherjax._errors import check_integer, check_key, require
from fisherjax._types import Key
from fisherjax.numerics import full_precision

from ._blocks import Values, batch_length, block_jackknife, check_blocks
from ._direct import check_pairs, degrees_of_freedom, direct_value, pair_moments, shuffled_value
from ._estimate import FisherEstimate, as_responses, check_freedom, normal_interval, scalar_if
from ._pathwise import check_paths, path_values


@full_precision
def jackknife(
    *data: object,
    estimator: str | Callable[..., Any] | None = None,
    num_blocks: int = 10,
    confidence: float = 0.95,
) -> FisherEstimate:
    """Estimate from all trials, with the standard error from estimates that leave out one block each.

    Assumes nothing about the distribution of the responses, so it is the default for network outputs. With
    few trials per unit it is conservative: by 1/(1 − p/T) for Gaussian responses (the inverse covariance
    changes by more than in proportion when a block is left out).

    Parameters
    ----------
    *data
        Arrays whose trials are along the axis before the last, and scalars, which are passed on:
        ``(responses_minus, responses_plus, separation)`` or ``(responses, derivatives)``.
    estimator
        ``"direct"``, ``"shuffled"``, ``"pathwise"``, or a function of the data that returns a number or a
        FisherEstimate. By default ``"direct"`` for three arguments and ``"pathwise"`` for two.
    num_blocks
        Blocks B ≥ 2 of consecutive trials. If B does not divide the trials, the last few are in every estimate.
    confidence
        Coverage of the interval, Student's with B − 1 degrees of freedom.

    Returns
    -------
    FisherEstimate; its value is that of the estimator on all trials.

    Raises
    ------
    ValueError
        If there are fewer trials than blocks, or too few for the estimator.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 11; Künsch (1989), Ann. Statist. 17.
    """
    num_blocks = check_integer("num_blocks", num_blocks, minimum=2)
    name, values, arrays = _prepare(data, estimator, left_out=num_blocks)
    return block_jackknife(arrays, values, num_blocks, confidence, f"{name}, jackknife of {num_blocks} blocks")


@full_precision
def bootstrap(
    *data: object,
    key: Key,
    estimator: str | Callable[..., Any] | None = None,
    num_resamples: int = 1000,
    paired: bool | None = None,
    confidence: float = 0.95,
) -> FisherEstimate:
    """Estimate from all trials, with the standard error from data sets drawn again with replacement.

    Parameters
    ----------
    *data
        As for `jackknife`.
    key
        JAX random key.
    estimator
        As for `jackknife`.
    num_resamples
        Data sets drawn.
    paired
        Whether the same trials are drawn from every array (responses with their derivatives) or others from
        each (two conditions). Known for the named estimators, required for a function of several arrays.
    confidence
        Coverage of the interval, value ± z · error.

    Raises
    ------
    ValueError
        If there are too few trials for the estimator, or `paired` is needed and absent.
    TypeError
        If `key` is not a JAX key.
    """
    num_resamples = check_integer("num_resamples", num_resamples, minimum=2)
    key = check_key("key", key)
    name, values, arrays = _prepare(data, estimator, left_out=None)
    if paired is None:
        require(
            name in {"direct", "shuffled", "pathwise"} or sum(np.ndim(part) > 1 for part in arrays) == 1,
            "paired must be given for an estimator of your own: True draws the same trials from every array",
        )
        paired = name == "pathwise"
    return _bootstrap(arrays, key, values, num_resamples, paired, confidence, f"{name}, {num_resamples} resamples")


def _prepare(
    data: tuple[object, ...], estimator: str | Callable[..., Any] | None, *, left_out: int | None
) -> tuple[str, Values, tuple[Array, ...]]:
    """Name, function (value, naive) and checked arrays of an estimator."""
    if estimator is None:
        require(
            len(data) in {2, 3}, f"give (responses, derivatives) or two conditions and Δθ, not {len(data)} arguments"
        )
        estimator = "direct" if len(data) == 3 else "pathwise"
    if callable(estimator):
        arrays = tuple(jnp.asarray(part) for part in data)
        for index, part in enumerate(arrays):
            if part.ndim > 1:
                as_responses(f"argument {index}", part, tuple(range(2, max(3, part.ndim + 1))))
        if left_out is not None:
            check_blocks(arrays, left_out)
        return getattr(estimator, "__name__", "estimator"), _function_values(estimator), arrays
    require(estimator in _NAMED, f"estimator must be a function or one of {', '.join(_NAMED)}; got {estimator!r}")
    values, count = _NAMED[estimator]
    require(len(data) == count, f"estimator {estimator!r} takes {count} arguments, got {len(data)}")
    if estimator == "pathwise":
        responses, slopes, scalar = check_paths(*data)
        arrays = (responses, slopes[:, 0] if scalar else jnp.moveaxis(slopes, 1, 0))
        kept = _kept(responses.shape[-2], left_out) - 1
    else:
        minus, plus, step = check_pairs(*data)
        arrays = (minus, plus, step[0] if minus.ndim == 2 else step)
        kept = degrees_of_freedom(minus, plus) - sum(
            part.shape[-2] - _kept(part.shape[-2], left_out) for part in (minus, plus)
        )
    if left_out is not None:
        check_blocks(arrays, left_out)
    if estimator != "shuffled":
        without = "" if left_out is None else f" when one of {left_out} blocks is left out"
        trials = " and ".join(str(part.shape[-2]) for part in arrays if part.ndim > 1)
        check_freedom(arrays[0].shape[-1], kept, f"T = {trials} trials{without}")
    return estimator, values, arrays


def _kept(trials: int, blocks: int | None) -> int:
    return trials if blocks is None else trials - trials // blocks


def _direct_values(minus: Array, plus: Array, step: Array) -> tuple[Array, Array]:
    moments = pair_moments(minus, plus, jnp.atleast_1d(step))
    return scalar_if(minus.ndim == 2, direct_value(moments, degrees_of_freedom(minus, plus)))


def _shuffled_values(minus: Array, plus: Array, step: Array) -> tuple[Array, Array]:
    moments = pair_moments(minus, plus, jnp.atleast_1d(step))
    return scalar_if(minus.ndim == 2, shuffled_value(moments, degrees_of_freedom(minus, plus)))


@functools.lru_cache(maxsize=64)
def _function_values(estimator: Callable[..., Any]) -> Values:
    def values(*arrays: Array) -> tuple[Array, Array]:
        result = estimator(*arrays)
        if isinstance(result, FisherEstimate):
            return result.value, result.naive
        return jnp.asarray(result), jnp.asarray(result)

    return values


_NAMED: dict[str, tuple[Values, int]] = {
    "direct": (_direct_values, 3),
    "shuffled": (_shuffled_values, 3),
    "pathwise": (path_values, 2),
}


@jax.jit(static_argnums=(2, 3, 4, 5, 6))
def _bootstrap(
    arrays: tuple[Array, ...],
    key: Key,
    values: Values,
    num_resamples: int,
    paired: bool,  # noqa: FBT001
    confidence: float,
    method: str,
) -> FisherEstimate:
    def resampled(index: Array) -> Array:
        drawn = []
        for place, part in enumerate(arrays):
            if part.ndim < 2:
                drawn.append(part)
                continue
            draw_key = jax.random.fold_in(jax.random.fold_in(key, index), 0 if paired else place)
            trials = part.shape[-2]
            drawn.append(jnp.take(part, jax.random.randint(draw_key, (trials,), 0, trials), axis=-2))
        return values(*drawn)[0]

    value, naive = values(*arrays)
    samples = jax.lax.map(resampled, jnp.arange(num_resamples), batch_size=batch_length(arrays, num_resamples))
    error = jnp.std(samples, axis=0, ddof=1)
    return FisherEstimate(value, error, normal_interval(value, error, confidence), naive, method, confidence)
