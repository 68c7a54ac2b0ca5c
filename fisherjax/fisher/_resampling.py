"""Errors of any estimator by resampling trials: jackknife over blocks and bootstrap, each one jitted call."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._arrays import as_real
from fisherjax._errors import check_confidence, check_flag, check_integer, check_key, is_traced, require, suggest, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key

from ._diagnosis import diagnose
from ._direct import diagnosis_of_pairs
from ._gate import FisherEstimate, as_responses, check_freedom, check_pairs, check_paths
from ._interval import normal_interval
from ._moments import (
    Values,
    batch_length,
    block_jackknife,
    check_blocks,
    degrees_of_freedom,
    direct_value,
    pair_moments,
    path_values,
    scalar_if,
    shuffled_value,
)
from ._trials import set_aside


@full_precision
def jackknife(
    *data: ArrayLike,
    estimator: str | Callable[..., Any] | None = None,
    num_blocks: int = 10,
    robust: bool = False,
    confidence: float = 0.95,
) -> FisherEstimate:
    """Estimate with bias and standard error from estimates that leave out one block of trials each.

    Assumes nothing about the distribution of the responses, so it is the default for network outputs, and the remedy
    for heavy tails and skewness: those bias an estimate too, and what of that is of order 1/T is removed. With
    few trials per unit it is conservative: by 1/(1 − p/T) for Gaussian responses (the inverse covariance
    changes by more than in proportion when a block is left out). A unit that never varies in the trials that are
    left counts as absent from them.

    Parameters
    ----------
    *data
        Arrays whose trials are along the axis before the last, and scalars, which are passed on:
        ``(responses_minus, responses_plus, separation)`` or ``(responses, derivatives)``.
    estimator
        ``"direct"``, ``"shuffled"``, ``"pathwise"``, or a function of the data that returns a number or a
        FisherEstimate. ``"direct - shuffled"`` is what noise correlations add, with the error of the difference: both
        are of the same trials, so that it is not the root of the two squares. By default ``"direct"`` for three
        arguments and ``"pathwise"`` for two.
    num_blocks
        Blocks B ≥ 2 of consecutive trials. If B does not divide the trials, the last few count for the value alone.
    robust
        Whether trials far outside the rest are set aside first, as in `direct`; for the named estimators.
    confidence
        Coverage of the interval, Student's with B − 1 degrees of freedom.

    Returns
    -------
    FisherEstimate; `naive` is the plug-in estimate of all trials.

    Raises
    ------
    ValueError
        If there are fewer trials than blocks, or too few for the estimator.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 11; Künsch (1989), Ann. Statist. 17.
    """
    num_blocks, confidence = check_integer("num_blocks", num_blocks, minimum=2), check_confidence(confidence)
    prepared = _prepare(data, estimator, robust=robust, left_out=num_blocks)
    numbers = block_jackknife(prepared.arrays, prepared.values, num_blocks, confidence, corrected=True)
    method = f"{prepared.name}, jackknife of {num_blocks} blocks"
    return FisherEstimate(*numbers, method=method, confidence=confidence, **prepared.about)


@full_precision
def bootstrap(
    *data: ArrayLike,
    key: Key,
    estimator: str | Callable[..., Any] | None = None,
    num_resamples: int = 1000,
    paired: bool | None = None,
    robust: bool = False,
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
    robust
        As for `jackknife`.
    confidence
        Coverage of the interval, value ± z · error.

    Raises
    ------
    ValueError
        If there are too few trials for the estimator, or `paired` is needed and absent.
    TypeError
        If `key` is not a JAX key.
    """
    num_resamples, confidence = check_integer("num_resamples", num_resamples, minimum=2), check_confidence(confidence)
    key = check_key("key", key)
    prepared = _prepare(data, estimator, robust=robust, left_out=None)
    paired = prepared.paired if paired is None else check_flag("paired", paired)
    if paired is None:
        raise ValueError(
            "paired must be given for an estimator of your own: True draws the same trials from every array"
        )
    value, error, naive, resolved = _bootstrap(prepared.arrays, key, prepared.values, num_resamples, paired)
    if not is_traced(resolved):
        share = float(jnp.min(resolved)) / num_resamples
        if share < 1:
            warn(
                f"in {1 - share:.1%} of the resamples the estimate cannot be computed (too few different trials for "
                "the units); the error is that of the others"
            )
    interval = normal_interval(value, error, confidence)
    method = f"{prepared.name}, {num_resamples} resamples"
    return FisherEstimate(value, error, interval, naive, method, confidence, **prepared.about)


class _Prepared(NamedTuple):
    """An estimator and its data, checked."""

    name: str
    values: Values  # (corrected, naive) of the arrays
    arrays: tuple[Array, ...]
    paired: bool | None  # whether trials of all arrays belong together; None where only the user knows
    about: dict[str, Any]  # what the interval is of, and the diagnosis


def _prepare(
    data: tuple[Any, ...], estimator: str | Callable[..., Any] | None, *, robust: bool, left_out: int | None
) -> _Prepared:
    if estimator is None:
        require(
            len(data) in {2, 3}, f"give (responses, derivatives) or two conditions and Δθ, not {len(data)} arguments"
        )
        estimator = "direct" if len(data) == 3 else "pathwise"
    robust = check_flag("robust", robust)
    if callable(estimator):
        require(not robust, "robust is for the named estimators; set trials aside before you call your own")
        return _prepare_function(data, estimator, left_out)
    if not isinstance(estimator, str) or estimator not in _NAMED:
        hint = suggest(estimator, _NAMED)
        raise ValueError(f"estimator must be a function or one of {', '.join(_NAMED)}; got {estimator!r}{hint}")
    values, count, of = _NAMED[estimator]
    require(len(data) == count, f"estimator {estimator!r} takes {count} arguments, got {len(data)}")
    if estimator == "pathwise":
        return _prepare_paths(data, robust, left_out)
    minus, plus, step = check_pairs(*data)
    kept, told = set_aside(robust, minus, plus)
    minus, plus = minus[kept[0]], plus[kept[1]]
    check_blocks((minus, plus), left_out)
    if estimator != "shuffled":
        lost = [part.shape[-2] - _kept(part.shape[-2], left_out) for part in (minus, plus)]
        _check_freedom(minus, degrees_of_freedom(minus, plus) - sum(lost), (minus, plus), left_out)
    moments = pair_moments(minus, plus, step)
    diagnosis = diagnosis_of_pairs(minus, plus, moments.slope, gaussian=False)
    arrays = (minus, plus, step[0] if minus.ndim == 2 else step)
    return _Prepared(estimator + told, values, arrays, paired=False, about={"interval_of": of, "diagnosis": diagnosis})


def _prepare_paths(data: tuple[Any, ...], robust: bool, left_out: int | None) -> _Prepared:  # noqa: FBT001
    responses, slopes, scalar = check_paths(*data)
    (kept,), told = set_aside(robust, responses)
    responses, slopes = responses[kept], slopes[kept]
    diagnosis = diagnose([responses], jnp.mean(slopes, axis=0), gaussian=False)
    arrays = (responses, slopes[:, 0] if scalar else jnp.moveaxis(slopes, 1, 0))
    check_blocks(arrays, left_out)
    _check_freedom(responses, _kept(len(responses), left_out) - 1, (responses,), left_out)
    return _Prepared("pathwise" + told, path_values, arrays, paired=True, about={"diagnosis": diagnosis})


def _prepare_function(data: tuple[Any, ...], estimator: Callable[..., Any], left_out: int | None) -> _Prepared:
    require(len(data) > 0, "data must be at least one array of trials")
    arrays = tuple(as_real(f"data (argument {index})", part) for index, part in enumerate(data))
    for index, part in enumerate(arrays):
        if part.ndim > 1:
            as_responses(f"data (argument {index})", part, (part.ndim,))
    several = sum(part.ndim > 1 for part in arrays)
    require(several > 0, "data must hold an array (trials, units)")
    check_blocks(arrays, left_out)
    name = getattr(estimator, "__name__", "estimator")
    about = {"interval_of": f"what {name} estimates"}
    return _Prepared(name, _function_values(estimator), arrays, None if several > 1 else True, about)


def _check_freedom(responses: Array, freedom: int, parts: tuple[Array, ...], left_out: int | None) -> None:
    without = "" if left_out is None else f" when one of {left_out} blocks is left out"
    trials = " and ".join(str(part.shape[-2]) for part in parts)
    check_freedom(responses.shape[-1], freedom, f"T = {trials} trials{without}")


def _kept(trials: int, blocks: int | None) -> int:
    return trials if blocks is None else trials - trials // blocks


def _direct_values(minus: Array, plus: Array, step: Array) -> tuple[Array, Array]:
    moments = pair_moments(minus, plus, jnp.atleast_1d(step))
    return scalar_if(minus.ndim == 2, direct_value(moments, degrees_of_freedom(minus, plus)))


def _shuffled_values(minus: Array, plus: Array, step: Array) -> tuple[Array, Array]:
    moments = pair_moments(minus, plus, jnp.atleast_1d(step))
    return scalar_if(minus.ndim == 2, shuffled_value(moments, degrees_of_freedom(minus, plus)))


def _difference_values(minus: Array, plus: Array, step: Array) -> tuple[Array, Array]:
    direct, shuffled = _direct_values(minus, plus, step), _shuffled_values(minus, plus, step)
    return direct[0] - shuffled[0], direct[1] - shuffled[1]


@functools.lru_cache(maxsize=64)
def _function_values(estimator: Callable[..., Any]) -> Values:
    def values(*arrays: Array) -> tuple[Array, Array]:
        result = estimator(*arrays)
        if isinstance(result, FisherEstimate):
            return result.value, result.naive
        return jnp.asarray(result), jnp.asarray(result)

    return values


_NAMED: dict[str, tuple[Values, int, str]] = {  # its values, the number of its arguments, and what the interval is of
    "direct": (_direct_values, 3, "linear Fisher information"),
    "shuffled": (_shuffled_values, 3, "linear Fisher information of units taken as independent"),
    "direct - shuffled": (_difference_values, 3, "what noise correlations add to linear Fisher information"),
    "pathwise": (path_values, 2, "linear Fisher information"),
}


@jax.jit(static_argnums=(2, 3, 4))
def _bootstrap(
    arrays: tuple[Array, ...],
    key: Key,
    values: Values,
    num_resamples: int,
    paired: bool,  # noqa: FBT001
) -> tuple[Array, Array, Array, Array]:
    """Value, error, naive value, and in how many resamples the estimate could be computed."""

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
    resolved = jnp.isfinite(samples)
    count = jnp.sum(resolved, axis=0).astype(value.dtype)
    mean = jnp.sum(jnp.where(resolved, samples, 0), axis=0) / count
    error = jnp.sqrt(jnp.sum(jnp.where(resolved, (samples - mean) ** 2, 0), axis=0) / (count - 1))
    return value, error, naive, count
