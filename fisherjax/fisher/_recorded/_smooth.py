"""Information at any stimulus, from trials at continuous or many stimuli: smooth tuning instead of pairs."""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_confidence, check_instance, check_integer, check_optional, check_scalar, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.fisher._direct import direct_numbers, shuffled_numbers
from fisherjax.fisher._gate import FisherEstimate
from fisherjax.fisher._interval import noncentral_f_interval, wilson_interval
from fisherjax.fisher._moments import PairMoments, without_silent

from ._recording import Recording

_MOST_KNOTS = 16
_WIDTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the kernel, as shares of the range
_FOLDS = 5
_GRID = 24  # stimuli at which a bandwidth is judged
_EACH = 2  # effective trials per unit that a covariance needs


class SmoothInformation(Record):
    """Information at any stimulus, by smooth tuning curves, with all trials."""

    stimuli: Float[np.ndarray, " M"]
    estimates: dict[str, FisherEstimate]
    """``"direct"`` and ``"shuffled"``, (M,)"""
    tuning: Float[np.ndarray, "M units"]
    slope: Float[np.ndarray, "M units"]
    trials: Float[np.ndarray, " M"]
    """effective number of trials behind the covariance"""
    num_knots: int = eqx.field(static=True)
    bandwidth: float | None = eqx.field(static=True)
    """of the covariance, in units of the stimulus; None where one covariance serves all"""
    stimulus_unit: str = eqx.field(static=True)
    period: float | None = eqx.field(static=True)

    def __getitem__(self, name: str) -> FisherEstimate:
        """One of `estimates`."""
        require(name in self.estimates, f"estimates are {', '.join(self.estimates)}; got {name!r}")
        return self.estimates[name]


@full_precision
def smooth_information(
    recording: Recording,
    stimuli: ArrayLike | None = None,
    *,
    num_knots: int | None = None,
    bandwidth: Scalar | None = None,
    confidence: float = 0.95,
) -> SmoothInformation:
    r"""Linear Fisher information at any stimulus, from trials at continuous (or many) stimuli.

    Tuning curves are cubic splines, f_i(θ) = b(θ)ᵀβ_i, fitted by least squares to all trials, periodic on a circle;
    Cov f̂′(θ) = Σ h(θ) with h = b′ᵀ(XᵀX)⁻¹b′, which is all that the direct estimate asks for: n₀ = 1/h,

    .. math::  I(θ) = \frac{ν-p-1}{ν}\, \hat f'^T S^{-1} \hat f' - p\, h(θ).

    S are squares of the residuals about θ, weighted by a kernel (von Mises on a circle, Gaussian on a line), counted as
    ν = (Σw)²/Σw² − k trials, k knots' share. **What is approximate**: the splines (their bias is gone as knots grow),
    and the covariance as one within the kernel, of Wishart's law with the effective ν. Measured on simulated cortex:
    benchmarks/results/recordings.md.

    Parameters
    ----------
    recording
        Trials; each may have a stimulus of its own.
    stimuli
        Where information is asked for (M,); by default 50 over the range, or once round the circle.
    num_knots
        Knots of the splines, evenly spaced; by default the number that generalized cross-validation likes best.
    bandwidth
        Standard deviation of the kernel of the covariance in units of the stimulus; ``inf`` for one covariance. By
        default that under which held-out trials are likeliest.
    confidence
        Coverage of the intervals.

    Returns
    -------
    SmoothInformation

    Raises
    ------
    ValueError
        If values are missing, there are too few different stimuli or trials for the units, or a stimulus lies outside
        of the recorded range.

    References
    ----------
    Craven & Wahba (1979), Smoothing noisy data with spline functions, Numer. Math. 31, 377–403; Kanitscheider et al.
    (2015), PLoS Comput. Biol. 11, e1004218, for the correction.
    """
    check_instance("recording", recording, Recording, "fisher.Recording(responses, stimulus)")
    confidence = check_confidence(confidence)
    check_optional(check_integer, "num_knots", num_knots, minimum=3)
    wide = isinstance(bandwidth, float) and bandwidth == np.inf
    check_optional(check_scalar, "bandwidth", None if wide else bandwidth, minimum=0.0, strict=True)
    require(not np.isnan(recording.responses).any(), "smooth tuning needs all units in every trial (no pairwise)")
    asked = _asked(recording, stimuli)
    responses = recording.responses - recording.responses.mean(axis=0)
    fit = _fitted(recording, responses, num_knots)
    residuals = responses - fit.design @ fit.weights
    given = None if bandwidth is None or wide else float(np.asarray(bandwidth))
    width = np.inf if wide else given or _chosen_width(recording, residuals)
    kernel = _kernel(recording, asked, width)
    effective = kernel.sum(axis=1) ** 2 / (kernel**2).sum(axis=1)
    freedom = effective * (1 - fit.design.shape[1] / len(residuals))
    units = recording.num_units
    require(
        float(freedom.min()) > units + 3,
        f"{units} units need more than {units + 3} trials about each stimulus, but there are {freedom.min():.0f} "
        f"within bandwidth={width:.3g}; a wider one, .principal_components(k), or a subset of the units",
    )
    basis, slopes = _basis(fit, asked), _basis(fit, asked, derivative=True)
    spread = np.einsum("mk,kl,ml->m", slopes, fit.inverse, slopes)
    estimates = _estimates(residuals, kernel, slopes @ fit.weights, 1 / spread, freedom, confidence)
    return SmoothInformation(
        stimuli=asked,
        estimates=estimates,
        tuning=basis @ fit.weights + recording.responses.mean(axis=0),
        slope=slopes @ fit.weights,
        trials=effective,
        num_knots=fit.num_knots,
        bandwidth=None if np.isinf(width) else float(width),
        stimulus_unit=recording.stimulus_unit,
        period=recording.period,
    )


class _Fit(NamedTuple):
    """Splines fitted to all trials."""

    transformer: Any
    design: Float[np.ndarray, "trials k"]
    inverse: Float[np.ndarray, "k k"]
    weights: Float[np.ndarray, "k units"]
    num_knots: int


def _asked(recording: Recording, stimuli: Any) -> Float[np.ndarray, " M"]:
    low, high = float(recording.stimulus.min()), float(recording.stimulus.max())
    if stimuli is None:
        if recording.period is not None:
            return np.arange(50) * recording.period / 50
        return np.linspace(low, high, 50)
    asked = np.asarray(host_real("stimuli", stimuli, "stimuli"), np.float64)
    require(asked.size > 0, "stimuli must hold at least one stimulus")
    if recording.period is not None:
        return np.mod(asked, recording.period)
    inside = bool((asked >= low).all() and (asked <= high).all())
    require(
        inside, f"stimuli must lie in the recorded range, {low:g} to {high:g}, got {asked.min():g} to {asked.max():g}"
    )
    return asked


def _fitted(recording: Recording, responses: np.ndarray, num_knots: int | None) -> _Fit:
    """Splines with the given number of knots, or the one of least generalized cross-validation."""
    distinct = len(recording.stimuli)
    # a periodic cubic spline has one coefficient per knot (the last is the first), one on a line two more
    extra = 0 if recording.period is not None else 2
    most = min(_MOST_KNOTS, distinct - extra)
    least = 4 if recording.period is not None else 3
    require(most >= least, f"smooth tuning needs at least {least + extra} different stimuli, got {distinct}")
    if num_knots is not None:
        require(
            num_knots <= distinct - extra,
            f"num_knots must be at most {distinct - extra} for {distinct} different stimuli, got {num_knots}",
        )
        return _fit(recording, responses, num_knots)
    fits = [_fit(recording, responses, count) for count in range(least, most + 1)]
    variance = responses.var(axis=0)
    scores = []
    for fit in fits:
        loss = ((responses - fit.design @ fit.weights) ** 2).mean(axis=0)
        scores.append(np.mean(loss / variance) / (1 - fit.design.shape[1] / len(responses)) ** 2)
    return fits[int(np.argmin(scores))]


def _fit(recording: Recording, responses: np.ndarray, count: int) -> _Fit:
    from sklearn.preprocessing import SplineTransformer  # noqa: PLC0415  slow to import

    circle = recording.period
    if circle is None:
        knots, beyond = np.linspace(recording.stimulus.min(), recording.stimulus.max(), count), "continue"
    else:
        knots, beyond = np.linspace(0, circle, count + 1), "periodic"
    transformer = SplineTransformer(knots=cast("Any", knots[:, None]), extrapolation=beyond).fit(
        recording.stimulus[:, None]
    )
    design = np.asarray(transformer.transform(recording.stimulus[:, None]))
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    return _Fit(transformer, design, inverse, inverse @ (design.T @ responses), count)


def _basis(fit: _Fit, stimuli: np.ndarray, *, derivative: bool = False) -> Float[np.ndarray, "M k"]:
    """Splines, or their derivatives, at some stimuli."""
    if not derivative:
        return np.asarray(fit.transformer.transform(stimuli[:, None]))
    spline = fit.transformer.bsplines_[0]
    count = fit.design.shape[1]
    # of one spline all coefficients at once; a periodic one repeats its first
    eye = np.eye(count)
    full = np.vstack([eye, eye[: len(spline.t) - spline.k - 1 - count]])
    slope = type(spline)(spline.t, full, spline.k, extrapolate=spline.extrapolate).derivative()
    if spline.extrapolate == "periodic":
        start, end = spline.t[spline.k], spline.t[-spline.k - 1]
        stimuli = start + np.mod(stimuli - start, end - start)
    return np.asarray(slope(stimuli))


def _kernel(recording: Recording, stimuli: np.ndarray, width: float) -> Float[np.ndarray, "M trials"]:
    """Weight of every trial at each stimulus."""
    distance = recording.stimulus - stimuli[:, None]
    if np.isinf(width):
        return np.ones_like(distance)
    if recording.period is None:
        return np.exp(-((distance / width) ** 2) / 2)
    turn = 2 * np.pi / recording.period
    return np.exp((np.cos(turn * distance) - 1) / (turn * width) ** 2)


def _chosen_width(recording: Recording, residuals: np.ndarray) -> float:
    """The bandwidth under whose covariance trials of other folds are likeliest, as Gaussian ones."""
    reach = np.ptp(recording.stimulus) if recording.period is None else recording.period
    grid = recording.stimulus.min() + reach * (np.arange(_GRID) + 0.5) / _GRID
    nearest = np.argmax(_kernel(recording, grid, reach / 4), axis=0)
    fold = np.arange(len(residuals)) % _FOLDS
    scores = {}
    for width in (share * reach for share in _WIDTHS):
        kernel = _kernel(recording, grid, width)
        effective = kernel.sum(axis=1) ** 2 / (kernel**2).sum(axis=1)
        if effective.min() * (1 - 1 / _FOLDS) >= _EACH * recording.num_units + 5:
            scores[width] = _likelihood(residuals, kernel, nearest, fold)
    scores[np.inf] = _likelihood(residuals, np.ones((1, len(residuals))), 0 * nearest, fold)
    return max(scores, key=lambda width: scores[width])


def _likelihood(residuals: np.ndarray, kernel: np.ndarray, nearest: np.ndarray, fold: np.ndarray) -> float:
    """Mean log-likelihood of the trials of each fold under covariances of the others."""
    total = 0.0
    for left in range(_FOLDS):
        for place in range(len(kernel)):
            tested = residuals[(fold == left) & (nearest == place)]
            if len(tested) == 0:
                continue
            weight = np.where(fold == left, 0, kernel[place])
            covariance = (residuals * weight[:, None]).T @ residuals / weight.sum()
            varies = np.diagonal(covariance) > 0
            lower = np.linalg.cholesky(covariance[np.ix_(varies, varies)])
            white = np.linalg.solve(lower, tested[:, varies].T)
            total -= np.sum(white**2) / 2 + len(tested) * np.sum(np.log(np.diagonal(lower)))
    return total / len(residuals)


def _estimates(
    residuals: np.ndarray,
    kernel: np.ndarray,
    slope: np.ndarray,
    precision: np.ndarray,
    freedom: np.ndarray,
    confidence: float,
) -> dict[str, FisherEstimate]:
    scale = 2.0 ** -np.round(np.log2(np.abs(residuals).max(axis=0)))
    arrays = [residuals * scale, kernel, slope * scale, precision, freedom]
    direct, alone, units = _numbers(*(jnp.asarray(part, float) for part in arrays))
    value, error, naive = direct
    ends = [
        noncentral_f_interval(*numbers, confidence)
        for numbers in zip(naive, jnp.asarray(precision, float), jnp.asarray(freedom, float), units, strict=True)
    ]
    of = "linear Fisher information"
    first = FisherEstimate(value, error, jnp.stack(ends, axis=1), naive, "direct, smooth tuning", confidence, of)
    value, error, naive, growth = alone
    interval = wilson_interval(value, error, growth, confidence)
    of = "linear Fisher information of units taken as independent"
    second = FisherEstimate(value, error, interval, naive, "shuffled, smooth tuning", confidence, of)
    return {"direct": first, "shuffled": second}


@jax.jit
def _numbers(residuals: Array, kernel: Array, slope: Array, precision: Array, freedom: Array) -> tuple[Any, Any, Array]:
    square = jnp.mean(residuals**2, axis=0)
    # residuals are smaller than the noise by the share of the coefficients that were fitted
    known = freedom[0] * jnp.sum(kernel[0] ** 2) / jnp.sum(kernel[0]) ** 2

    def of_stimulus(item: tuple[Array, ...]) -> Any:
        weight, own, n0, degrees = item
        covariance = jnp.einsum("t,ti,tj->ij", weight, residuals, residuals) / jnp.sum(weight) / known
        moments = PairMoments(own[None], without_silent(covariance, square), n0[None])
        units = jnp.sum(jnp.diagonal(moments.covariance) > 0)
        both = direct_numbers(moments, degrees), shuffled_numbers(moments, degrees)
        return *jax.tree.map(lambda part: part[0, 0], both), units

    return jax.lax.map(of_stimulus, (kernel, slope, precision, freedom))
