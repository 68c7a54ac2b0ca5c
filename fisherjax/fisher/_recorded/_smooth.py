"""Information at any stimulus, from trials at continuous or many stimuli: smooth tuning instead of pairs."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_confidence, check_integer, check_optional, listed, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record
from fisherjax.fisher._direct import direct_numbers, shuffled_numbers
from fisherjax.fisher._gate import FisherEstimate
from fisherjax.fisher._moments import PairMoments, without_silent

from ._pairs import as_recording
from ._recording import Recording
from ._values import direct_estimate, shuffled_estimate

_MOST_KNOTS = 16
_FINER = 1.5
_COVARIANCE_KNOTS = (4, 5, 6, 8, 10, 12, 16)  # that are tried
_FOLDS = 5
_GRID = 48  # stimuli at which a number of knots is judged
_EACH = 2  # effective trials per unit that a covariance needs
_SWEEPS = 50  # of Fisher's scoring of the variances
_RANGE = 1e-3  # least variance, as a share of the unit's mean one


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
    """of the tuning curves"""
    num_covariance_knots: int = eqx.field(static=True)
    """of the covariance; 1 where one serves all stimuli"""
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
    num_covariance_knots: int | None = None,
    confidence: float = 0.95,
) -> SmoothInformation:
    r"""Linear Fisher information at any stimulus, from trials at continuous (or many) stimuli.

    Tuning curves are cubic splines, f_i(θ) = b(θ)ᵀβ_i, fitted by least squares to all trials, periodic on a circle;
    Cov f̂′(θ) = Σ h(θ) with h = b′ᵀ(XᵀX)⁻¹b′ (where variances change with θ, their mean over the trials that tell f′),
    which is all that the direct estimate asks for: n₀ = 1/h,

    .. math::  I(θ) = \frac{ν-p-1}{ν}\, \hat f'^T S^{-1} \hat f' - p\, h(θ).

    So is the covariance: variances v_i(θ) = exp(b(θ)ᵀγ_i) by the gamma likelihood of squared residuals, and about them
    S(θ) = √v (Σ_t a_t(θ) z_t z_tᵀ) √v, products of the standardized residuals z smoothed by splines, whose weights a
    sum to one. An average over neighbouring stimuli instead would turn a gain that fluctuates into correlations that
    limit information: f fᵀ averaged over a width w holds w² f′f′ᵀ. The weights count as the ν trials that make the
    inverse of S as much too large, ν/(ν − p − 1) = m, 1/m = Σ_t a_t/(1 + a_t (p + 1) m).

    **What is approximate**: tuning and covariance as splines (their bias is gone as knots grow), and S as one of
    Wishart's law with the effective ν. Measured on simulated cortex: benchmarks/results/recordings.md.

    Parameters
    ----------
    recording
        Trials; each may have a stimulus of its own.
    stimuli
        Where information is asked for (M,); by default 50 over the range, or once round the circle.
    num_knots
        Knots of the splines, evenly spaced; by default half as many again as generalized cross-validation likes best,
        so that slopes have little bias.
    num_covariance_knots
        The same of the covariance; 1 for one covariance at all stimuli. By default the number under which held-out
        trials are likeliest, of those that leave two trials per unit.
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
    as_recording("recording", recording, whole="splines")
    if recording.block is not None:
        warn("block is not counted by smooth_information: its errors are those of independent trials")
    confidence = check_confidence(confidence)
    check_optional(check_integer, "num_knots", num_knots, minimum=3)
    check_optional(check_integer, "num_covariance_knots", num_covariance_knots, minimum=1)
    asked = _asked(recording, stimuli)
    responses = recording.responses - recording.responses.mean(axis=0)
    fit = _fitted(recording, responses, num_knots)
    residuals = responses - fit.design @ fit.weights
    covariance_knots = num_covariance_knots or _chosen_knots(recording, residuals)
    kernel = _weights(recording, asked, covariance_knots)
    variances = _variances(recording, residuals, covariance_knots)
    units = recording.num_units
    effective = _effective(kernel, units)
    freedom = effective * (1 - fit.design.shape[1] / len(residuals))
    require(
        float(freedom.min()) > units + 3,
        f"{units} units need more than {units + 3} trials about each stimulus, but there are {freedom.min():.0f} "
        f"with num_covariance_knots={covariance_knots}; fewer, .principal_components(k), or a subset of the units",
    )
    basis, slopes = _basis(fit, asked), _basis(fit, asked, derivative=True)
    level, own = variances(recording.stimulus), variances(asked)
    standard = residuals / np.sqrt(level)
    # information of responses in units of their deviation at each stimulus is that of the responses
    relative = slopes @ fit.weights / np.sqrt(own)
    spread = np.mean((slopes @ fit.inverse @ fit.design.T) ** 2 @ level / own, axis=1)
    # residuals are smaller than the noise by the share of the coefficients that were fitted
    known = 1 - fit.design.shape[1] / len(residuals)
    far = _far(recording, asked, fit.num_knots)
    precision = np.where(far | (spread <= 0), np.nan, 1 / np.where(spread > 0, spread, 1))
    estimates = _estimates(standard / np.sqrt(known), kernel, relative, precision, freedom, confidence)
    if far.any():
        warn(
            f"no trial lies near {int(far.sum())} of {len(asked)} stimuli ({listed(asked[far].round(3), 5)}): "
            "information is NaN there"
        )
    lost = asked[~far & ~np.isfinite(np.asarray(estimates["direct"].value))]
    if len(lost):
        warn(
            f"the smoothed covariance is none at {len(lost)} of {len(asked)} stimuli ({listed(lost.round(3), 5)}): "
            "information is NaN there; take fewer num_covariance_knots, or fewer units"
        )
    return SmoothInformation(
        stimuli=asked,
        estimates=estimates,
        tuning=basis @ fit.weights + recording.responses.mean(axis=0),
        slope=slopes @ fit.weights,
        trials=effective,
        num_knots=fit.num_knots,
        num_covariance_knots=covariance_knots,
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


def _far(recording: Recording, asked: np.ndarray, num_knots: int) -> Bool[np.ndarray, " M"]:
    """Whether a stimulus is further than a knot is from the next from all that were shown."""
    reach = np.ptp(recording.stimulus) if recording.period is None else recording.period
    distance = np.abs(asked[:, None] - recording.stimuli)
    if recording.period is not None:
        distance = np.minimum(distance, recording.period - distance)
    return distance.min(axis=1) > reach / num_knots


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
    best = fits[int(np.argmin(scores))].num_knots
    # what is best for the curve leaves a bias in its slope, whose square is asked for
    return _fit(recording, responses, min(math.ceil(_FINER * best), distinct - extra))


def _fit(recording: Recording, responses: np.ndarray, count: int) -> _Fit:
    transformer = _splines(recording, count)
    design = np.asarray(transformer.transform(recording.stimulus[:, None]))
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    return _Fit(transformer, design, inverse, inverse @ (design.T @ responses), count)


def _splines(recording: Recording, count: int) -> Any:
    """Cubic splines of scikit-learn, periodic on a circle, with evenly spaced knots."""
    from sklearn.preprocessing import SplineTransformer  # noqa: PLC0415  slow to import

    if recording.period is None:
        knots, beyond = np.linspace(recording.stimulus.min(), recording.stimulus.max(), count), "continue"
    else:
        knots, beyond = np.linspace(0, recording.period, count + 1), "periodic"
    transformer = SplineTransformer(knots=cast("Any", knots[:, None]), extrapolation=beyond)
    return transformer.fit(recording.stimulus[:, None])


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


def _weights(recording: Recording, stimuli: np.ndarray, count: int) -> Float[np.ndarray, "M trials"]:
    """Weight of every trial in what is smoothed, at each stimulus; they sum to one."""
    total = len(recording.stimulus)
    if count == 1:
        return np.full((len(stimuli), total), 1 / total)
    splines = _splines(recording, count)
    design = np.asarray(splines.transform(recording.stimulus[:, None]))
    return (
        np.asarray(splines.transform(stimuli[:, None])) @ np.linalg.pinv(design.T @ design, hermitian=True) @ design.T
    )


def _variances(
    recording: Recording, residuals: np.ndarray, count: int
) -> Callable[[np.ndarray], Float[np.ndarray, "M units"]]:
    """Variance of every unit at given stimuli, exp of a spline, by the gamma likelihood of squared residuals."""
    square = residuals**2
    mean = np.maximum(square.mean(axis=0), np.finfo(float).tiny)
    if count == 1:
        return lambda stimuli: np.broadcast_to(mean, (len(stimuli), len(mean)))
    splines = _splines(recording, count)
    design = np.asarray(splines.transform(recording.stimulus[:, None]))
    project = np.linalg.pinv(design.T @ design, hermitian=True) @ design.T
    # splines sum to one at every stimulus; with this link and law Fisher's information is the same at every step
    weights = np.broadcast_to(np.log(mean), (design.shape[1], len(mean))).copy()
    for _ in range(_SWEEPS):
        weights += np.clip(project @ (square / np.exp(design @ weights) - 1), -1, 1)
        weights = np.maximum(weights, np.log(mean * _RANGE))
    return lambda stimuli: np.exp(np.asarray(splines.transform(stimuli[:, None])) @ weights)


def _effective(weights: np.ndarray, units: int) -> Float[np.ndarray, " M"]:
    """Number of trials of equal weight whose covariance has an inverse as much too large; 0 where there is none.

    References
    ----------
    Silverstein & Bai (1995), On the empirical distribution of eigenvalues of a class of large dimensional random
    matrices, J. Multivariate Anal. 54, 175–192.
    """
    excess, below = np.ones(len(weights)), np.ones_like(weights)
    for _ in range(_SWEEPS):
        below = 1 + weights * ((units + 1) * excess)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            excess = (excess + 1 / np.sum(weights / below, axis=1)) / 2
    settled = np.isfinite(excess) & (excess > 1) & (below > 0).all(axis=1)
    return np.where(settled, (units + 1) * excess / np.where(settled, excess - 1, 1), 0)


def _chosen_knots(recording: Recording, residuals: np.ndarray) -> int:
    """The least number of knots that explains trials of other folds about as well as the best one does.

    Every trial's log-likelihood is that of a covariance known without error, of Wishart's mean: what counts is the bias
    of smoothing. "About as well" is within a standard error of the difference.
    """
    reach = np.ptp(recording.stimulus) if recording.period is None else recording.period
    start = recording.stimulus.min() if recording.period is None else 0.0
    grid = start + reach * (np.arange(_GRID) + 0.5) / _GRID
    distance = np.abs(recording.stimulus[:, None] - grid)
    nearest = np.argmin(distance if recording.period is None else np.minimum(distance, reach - distance), axis=1)
    distinct = len(recording.stimuli) - (0 if recording.period is not None else 2)
    scores: dict[int, np.ndarray] = {}
    for count in (1, *(number for number in _COVARIANCE_KNOTS if number <= distinct)):
        weights = _weights(recording, grid, count)
        if _effective(weights, recording.num_units).min() * (1 - 1 / _FOLDS) < _EACH * recording.num_units:
            break
        variances = _variances(recording, residuals, count)(recording.stimulus)
        found = _likelihood(residuals / np.sqrt(variances), weights, nearest)
        if found is not None:
            scores[count] = found - np.sum(np.log(variances), axis=1) / 2
    require(
        bool(scores),
        f"{recording.num_units} units need more than {2 * recording.num_units} trials, got {len(residuals)}",
    )
    best = max(scores, key=lambda count: scores[count].mean())
    for count, score in scores.items():
        lost = scores[best] - score
        if lost.mean() <= lost.std() / np.sqrt(len(lost)):
            return count
    return best


def _likelihood(standard: np.ndarray, weights: np.ndarray, nearest: np.ndarray) -> Float[np.ndarray, " trials"] | None:
    """Log-likelihood of the trials of each fold under covariances of the others; None where one is none."""
    units = standard.shape[1]
    score = np.zeros(len(standard))
    fold = np.arange(len(standard)) % _FOLDS
    for left in range(_FOLDS):
        for place in range(len(weights)):
            tested = (fold == left) & (nearest == place)
            if not tested.any():
                continue
            own = np.where(fold == left, 0, weights[place])
            own = own / own.sum()
            known = float(_effective(own[None], units)[0])
            values, vectors = np.linalg.eigh((standard * own[:, None]).T @ standard)
            if values[0] <= 0 or known <= units + 1:
                return None
            square = np.sum((standard[tested] @ vectors) ** 2 / values, axis=1) * (known - units - 1) / known
            shrunk = np.sum(scipy.special.digamma((known - np.arange(units)) / 2)) + units * np.log(2 / known)
            score[tested] = -(square + np.sum(np.log(values)) - shrunk) / 2
    return score


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
    known = jnp.asarray(precision, float), jnp.asarray(freedom, float), units
    told = ", smooth tuning"
    return {
        "direct": direct_estimate(direct, *known, confidence, told),
        "shuffled": shuffled_estimate(alone, confidence, told),
    }


@jax.jit
def _numbers(residuals: Array, kernel: Array, slope: Array, precision: Array, freedom: Array) -> tuple[Any, Any, Array]:
    square = jnp.mean(residuals**2, axis=0)

    def of_stimulus(item: tuple[Array, ...]) -> Any:
        weight, own, n0, degrees = item
        covariance = jnp.einsum("t,ti,tj->ij", weight, residuals, residuals)
        moments = PairMoments(own[None], without_silent(covariance, square), n0[None])
        units = jnp.sum(jnp.diagonal(moments.covariance) > 0)
        both = direct_numbers(moments, degrees), shuffled_numbers(moments, degrees)
        return *jax.tree.map(lambda part: part[0, 0], both), units

    return jax.lax.map(of_stimulus, (kernel, slope, precision, freedom))
