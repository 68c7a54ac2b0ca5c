"""What an estimator returns, and the gate through which responses of trials enter all estimators."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real, float_type, host_real
from fisherjax._errors import is_traced, require
from fisherjax._types import Record

_SHOWN = 5  # bad rows or units that a message lists
_ROUNDING = 8.0  # a unit whose range is fewer roundings of its values than this is constant


class Diagnosis(Record):
    """What the data say about the assumptions that an interval rests on.

    Statistics of the responses after their mean (given the stimulus) is removed and their covariance made one. Each
    comes with the probability that Gaussian responses, independent from trial to trial and of one covariance, would
    show as much; NaN where it cannot be tested (fewer than some three trials per unit).
    """

    kurtosis: float = eqx.field(static=True)
    """E|z|⁴/(p(p + 2)) − 1, above 0 for heavy tails (Mardia)"""
    kurtosis_probability: float = eqx.field(static=True)
    skewness: float = eqx.field(static=True)
    """E(z·z̃)³/p, 0 for symmetric responses (Mardia)"""
    skewness_probability: float = eqx.field(static=True)
    trial_correlation: float = eqx.field(static=True)
    """correlation of each trial with the next, the larger one of: mean over directions, along the decoder"""
    trial_correlation_probability: float = eqx.field(static=True)
    covariance_probability: float = eqx.field(static=True)
    """that the conditions have one covariance (Box's M)"""
    outliers: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    """trials far outside the rest, for each condition"""
    findings: tuple[str, ...] = eqx.field(static=True)
    """what was found, in sentences, with the remedy"""

    def __repr__(self) -> str:
        return f"Diagnosis({'; '.join(self.findings) or 'nothing speaks against it'})"


class FisherEstimate(Record):
    """Fisher information estimated from samples, 1/θ²; (K, K) matrices for K stimulus parameters.

    `naive` is the plug-in estimate whose bias was removed from `value`. Nothing is clipped: a `value` that
    is compatible with zero may be negative. `interval_of` says what the interval is meant to hold; `diagnosis` how
    far the data support what it assumes (None where they were not looked at, as under jit).
    """

    value: Float[Array, "*KK"]
    standard_error: Float[Array, "*KK"]
    interval: Float[Array, "2 *KK"]
    naive: Float[Array, "*KK"]
    method: str = eqx.field(static=True, default="direct")
    confidence: float = eqx.field(static=True, default=0.95)
    interval_of: str = eqx.field(static=True, default="linear Fisher information")
    diagnosis: Diagnosis | None = None

    @property
    def relative_error(self) -> Float[Array, "*KK"]:
        """Standard error relative to the value; above one half, the value says little."""
        return self.standard_error / jnp.abs(self.value)


def as_responses(name: str, responses: Any, ndims: tuple[int, ...] = (2,)) -> Array:
    """Responses as a float array (…, trials, units) without a bad value.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If there are too many or few axes, fewer than two trials, or a value that is not finite (with its rows).
    """
    array = as_real(name, responses, *_shapes(ndims), finite=False, hint=_column_hint(responses))
    _check_trials(name, array)
    return array


def in_common_frame(
    names: Sequence[str], arrays: Sequence[Any], ndims: tuple[int, ...] = (2,)
) -> tuple[list[Array], Float[np.ndarray, " p"]]:
    """Responses of several conditions in one float type, each unit about its mean and in units near its deviation.

    Fisher information does not depend on where a unit's zero lies nor on its unit of measurement; the rounding of
    single precision does, and so would a test of what never varies. Concrete data are therefore shifted (one mean for
    all conditions) and scaled (by powers of two) in double precision before they are cut.

    Returns
    -------
    arrays
        As given, for instance (trials, units).
    scale
        What each unit was multiplied by: one for traced data, which stay as they are.

    Raises
    ------
    ValueError
        As `as_responses`, and if a unit never varies but for rounding.
    """
    if is_traced(list(arrays)):
        traced = [as_responses(name, part, ndims) for name, part in zip(names, arrays, strict=True)]
        _check_same_units(names, traced)
        kind = float_type(*traced)
        return [part.astype(kind) for part in traced], np.ones(traced[0].shape[-1])
    own = [host_real(n, part, *_shapes(ndims), finite=False, hint=_column_hint(part)) for n, part in
           zip(names, arrays, strict=True)]  # fmt: skip
    for name, part in zip(names, own, strict=True):
        _check_trials(name, part)
    _check_same_units(names, own)
    _check_varying(own)
    rows = np.concatenate([np.asarray(part, np.float64).reshape(-1, part.shape[-1]) for part in own])
    center = rows.mean(axis=0)
    scale = 2.0 ** -np.round(np.log2(np.abs(rows - center).max(axis=0)))
    kind = float_type(*own) if all(part.dtype.kind == "f" for part in own) else float_type()
    return [jnp.asarray((np.asarray(part, np.float64) - center) * scale, kind) for part in own], scale


def check_pairs(responses_minus: Any, responses_plus: Any, separation: Any) -> tuple[Array, Array, Float[Array, " K"]]:
    """Two conditions of matching units, (trials, units) or (K, trials, units), and the separations (K,).

    Concrete responses come back in a frame of their own (`in_common_frame`), in which their information is the same.
    """
    names = ("responses_minus", "responses_plus")
    (minus, plus), _ = in_common_frame(names, (responses_minus, responses_plus), (2, 3))
    return minus, plus, check_separation(separation, minus)


def check_separation(separation: Any, minus: Array) -> Float[Array, " K"]:
    """Δθ of each stimulus parameter, above zero."""
    step = jnp.atleast_1d(as_real("separation", separation, "", "K", dtype=minus.dtype))
    expected = minus.shape[0] if minus.ndim == 3 else 1
    require(step.shape == (expected,), f"separation must be one number per parameter ({expected}), got {step.shape}")
    if not is_traced(step):
        least = float(jnp.min(step))
        require(least > 0, f"separation must be above 0, got {least:g}")
        square = float(jnp.min(step**2)) > 0 and bool(jnp.isfinite(jnp.max(step**2)))
        require(square, f"separation = {least:g} is out of the range of {step.dtype}: measure θ in another unit")
    return step


def check_paths(responses: Any, derivatives: Any) -> tuple[Array, Array, bool]:
    """Responses (n, p), derivatives (n, K, p), and whether the stimulus is a scalar."""
    if not is_traced((responses, derivatives)):
        raw = host_real("responses", responses, finite=False)
        given = getattr(responses, "dtype", raw.dtype)
        if not jnp.issubdtype(given, jnp.floating):
            raise TypeError(
                f"responses of type {given} have no derivative in the stimulus, so that a pathwise estimate is "
                "meaningless; use fisher.direct on responses to two stimuli"
            )
    (values,), scale = in_common_frame(["responses"], [responses])
    shape = f"{values.shape[0]} {values.shape[1]}"
    like = f"{values.shape[0]} K {values.shape[1]}"
    if is_traced(derivatives):
        slopes = as_real("derivatives", derivatives, shape, like).astype(values.dtype)
    else:
        own = host_real("derivatives", derivatives, shape, like, hint="one for each response")
        slopes = as_real("derivatives", own * scale, dtype=values.dtype)
    scalar = slopes.ndim == 2
    return values, slopes[:, None] if scalar else slopes, scalar


def check_freedom(units: int, freedom: int, trials: str) -> None:
    """Refuse data with too few trials to invert a covariance and to know the bias of its inverse."""
    require(
        units < freedom - 1,
        f"p = {units} units need more than p + 1 = {units + 1} degrees of freedom, but there are ν = {freedom} "
        f"({trials}). Record more trials, read out fewer units (a subset or principal components), or use "
        "fisher.shuffled, fisher.decoder or shrinkage=… (biased)",
    )


def least_correlation_eigenvalue(covariance: Float[np.ndarray, "p p"]) -> float:
    """The least eigenvalue of the correlation matrix of a covariance with positive variances."""
    scale = np.sqrt(np.diagonal(covariance))
    return float(np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0])


def check_invertible(what: str, scatter: Array) -> None:
    """Refuse a covariance that cannot be inverted, saying which units are to blame."""
    if is_traced(scatter):
        return
    matrix = np.asarray(scatter, np.float64)
    variances = np.diagonal(matrix)
    silent = np.flatnonzero(variances <= 0)
    require(silent.size == 0, f"{what} is singular: units {_listed(silent)} never vary (given the stimulus); {_LEAVE}")
    least = least_correlation_eigenvalue(matrix)
    tolerance = 10 * len(matrix) * float(jnp.finfo(scatter.dtype).eps)
    require(
        least > tolerance,
        f"{what} is singular to rounding (least eigenvalue of the correlation matrix {least:.1e}): some units are "
        "sums of others; read out fewer units or principal components",
    )


_LEAVE = "leave them out"


def _shapes(ndims: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(" ".join([*["K"] * (count - 2), "trials", "units"]) for count in ndims)


def _column_hint(responses: Any) -> str:
    flat = getattr(responses, "ndim", None) == 1
    return "one unit is a column, responses[:, None]" if flat else ""


def _check_same_units(names: Sequence[str], arrays: Sequence[Any]) -> None:
    """Refuse conditions that differ in more than their number of trials."""
    told = ", ".join(f"{name} has shape {part.shape}" for name, part in zip(names, arrays, strict=True))
    others = {(*part.shape[:-2], part.shape[-1]) for part in arrays}
    require(len(others) == 1, f"the conditions must have the same units: {told}")


def _check_trials(name: str, array: Any) -> None:
    count = array.shape[-2]
    require(count >= 2, f"{name} has {count} trial{'s' * (count != 1)}: a covariance needs at least 2")
    require(array.shape[-1] >= 1, f"{name} has no units: shape {array.shape}")
    if is_traced(array):
        return
    finite = np.isfinite(np.asarray(array)).all(axis=-1)
    rows = np.flatnonzero(~(finite if finite.ndim == 1 else finite.all(axis=0)))
    require(
        rows.size == 0,
        f"{name} holds NaN or infinite values in {rows.size} of {count} rows (trials {_listed(rows)}); "
        "remove those trials",
    )


def _check_varying(arrays: Sequence[np.ndarray]) -> None:
    """Refuse a unit that is constant in every condition but for the rounding of its own values."""
    silent = np.ones(arrays[0].shape[-1], bool)
    for part in arrays:
        conditions = part.reshape(-1, *part.shape[-2:])
        span = np.ptp(np.asarray(conditions, np.float64), axis=1)
        kind = np.finfo(part.dtype)
        rounding = _ROUNDING * float(kind.eps) * np.abs(conditions).max(axis=1).astype(np.float64)
        silent &= (span <= np.maximum(rounding, float(kind.tiny))).all(axis=0)
    where = np.flatnonzero(silent)
    require(where.size == 0, f"units {_listed(where)} never vary (given the stimulus); {_LEAVE}")


def _listed(items: np.ndarray) -> str:
    return ", ".join(map(str, items[:_SHOWN])) + (", …" if items.size > _SHOWN else "")
