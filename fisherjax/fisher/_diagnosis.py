"""What an interval assumes, tested on the data: Gaussian tails, symmetry, independent trials, one covariance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Array, Float

from fisherjax._errors import is_traced, warn

from ._gate import Diagnosis
from ._trials import outlyingness

_LEVEL = 0.004  # of each test, so that about one Gaussian data set in a hundred is called something else
_TRIALS_PER_UNIT = 3
_MOST_TRIALS = 1000  # that a test of all pairs of trials looks at
_EFFECT = 0.05  # smaller deviations are told nobody, however sure
_MOST_OUTLIERS = 0.05  # a larger share of outliers is a heavy tail
_GROSS = 3.0  # squared distances of outliers are beyond so many times the limit of chance
_SINGULAR = 1e-12


class AssumptionWarning(UserWarning):
    """The data do not look like what an interval assumes; the message names the way out."""


class _Residuals(NamedTuple):
    white: list[Float[np.ndarray, "_ p"]]  # deviations from the condition's mean, covariance one
    directions: Float[np.ndarray, "p K"]  # along the decoder of each parameter


def diagnose(
    conditions: Sequence[Float[Array, "_ units"]],
    slope: Float[Array, "K units"],
    *,
    gaussian: bool = True,
    dependent: bool = False,
) -> Diagnosis | None:
    """Test the responses of several conditions, and warn of what does not hold; None where they are traced.

    Parameters
    ----------
    conditions
        Responses at each stimulus.
    slope
        Derivatives of the mean, whose direction matters most.
    gaussian
        Whether the error rests on Gaussian responses of one covariance; else only outliers and dependent trials count.
    dependent
        Whether correlated trials are allowed for already.

    References
    ----------
    Mardia (1970), Measures of multivariate skewness and kurtosis with applications, Biometrika 57, 519–530, (1974) for
    their moments; Box (1949), A general distribution theory for a class of likelihood criteria, Biometrika 36.
    """
    if is_traced((conditions, slope)):
        return None
    known = [np.asarray(part, np.float64) for part in conditions]
    diagnosis = _tested(known, np.asarray(slope, np.float64), gaussian=gaussian, dependent=dependent)
    for sentence in diagnosis.findings:
        warn(sentence, AssumptionWarning)
    return diagnosis


def _tested(conditions: Sequence[np.ndarray], slope: np.ndarray, *, gaussian: bool, dependent: bool) -> Diagnosis:
    units, total = conditions[0].shape[1], sum(map(len, conditions))
    if total < _TRIALS_PER_UNIT * units + len(conditions):
        nan = float("nan")
        return Diagnosis(nan, nan, nan, nan, nan, nan, nan, tuple(() for _ in conditions), ())
    residuals = _whitened(conditions, slope)
    correlation, correlation_probability = _trial_correlation(residuals)
    correlated = not dependent and correlation_probability < _LEVEL and abs(correlation) > _EFFECT
    covariance_probability = _equal_covariances(conditions)
    if covariance_probability < _LEVEL:
        residuals = _whitened(conditions, slope, together=False)
    kurtosis, kurtosis_probability = _kurtosis(residuals)
    skewness, skewness_probability = _skewness(residuals)
    heavy = kurtosis_probability < _LEVEL and kurtosis > _EFFECT
    outliers = _gross_outliers(conditions) if heavy else tuple(() for _ in conditions)
    findings: list[str] = []
    if any(outliers):
        findings.append(_outlier_sentence(outliers, total))
    elif gaussian and heavy:
        findings.append(
            f"the responses have heavier tails than Gaussian ones (Mardia's kurtosis {100 * kurtosis:.0f} % too high), "
            "which the interval does not count; use fisher.jackknife"
        )
    if correlated:
        findings.append(_dependence_sentence(correlation))
    # what follows is tested as if trials were independent and nothing else were wrong
    gaussian = gaussian and not dependent
    if gaussian and not findings and skewness_probability < _LEVEL and skewness > _EFFECT:
        findings.append(
            f"the responses are skewed (Mardia's test, p = {skewness_probability:.1g}), which the interval does not "
            "count; use fisher.jackknife"
        )
    if gaussian and not findings and covariance_probability < _LEVEL:
        findings.append(
            f"the covariance differs between the conditions (Box's M, p = {covariance_probability:.1g}), while the "
            "interval takes it as one; use fisher.jackknife, and as many trials in each condition"
        )
    return Diagnosis(
        kurtosis, kurtosis_probability, skewness, skewness_probability, correlation, correlation_probability,
        covariance_probability, outliers, tuple(findings),
    )  # fmt: skip


def _whitened(conditions: Sequence[np.ndarray], slope: np.ndarray, *, together: bool = True) -> _Residuals:
    """Deviations in coordinates where their covariance is one: that of all conditions, or of each."""
    centered = [part - part.mean(axis=0) for part in conditions]
    stacked = np.concatenate(centered)
    root = _root(stacked)
    directions = root.T @ slope.T
    directions = directions / np.maximum(np.linalg.norm(directions, axis=0), np.finfo(float).tiny)
    return _Residuals([part @ (root if together else _root(part)) for part in centered], directions)


def _root(centered: np.ndarray) -> Float[np.ndarray, "p p"]:
    values, vectors = np.linalg.eigh(centered.T @ centered / len(centered))
    return vectors / np.sqrt(np.maximum(values, _SINGULAR * values[-1]))


def _gross_outliers(conditions: Sequence[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    """Trials far outside the rest, if they are few and most of them far beyond what heavy tails make; else none."""
    excess = outlyingness(conditions)
    beyond = np.concatenate(excess)
    beyond = beyond[beyond > 1]
    few = 0 < len(beyond) <= max(_MOST_OUTLIERS * sum(map(len, conditions)), 1)
    if not few or np.median(beyond) < _GROSS:
        return tuple(() for _ in conditions)
    return tuple(tuple(np.flatnonzero(part > 1).tolist()) for part in excess)


def _kurtosis(residuals: _Residuals) -> tuple[float, float]:
    white = np.concatenate(residuals.white)
    count, units = len(white), white.shape[1]
    degrees = count - len(residuals.white) + 1  # as if of one condition
    fourth = np.mean(np.sum(white**2, axis=1) ** 2)
    expected = units * (units + 2) * (degrees - 1) / (degrees + 1)
    variance = (
        8 * units * (units + 2) * (degrees - 3) * (degrees - units - 1) * (degrees - units + 1)
        / ((degrees + 1) ** 2 * (degrees + 3) * (degrees + 5))
    )  # fmt: skip
    score = (fourth - expected) / np.sqrt(variance)
    # the statistic is itself skewed, as a χ² of 2/9 of its degrees: Wilson & Hilferty
    return float(fourth / (units * (units + 2)) - 1), float(_skewed_tail(score, degrees / max(units, 3)))


def _skewed_tail(score: float, size: float) -> float:
    """P(above `score`) of a standardized sum with the skewness of a χ² with `size` degrees of freedom."""
    return float(scipy.stats.chi2.sf(size + score * np.sqrt(2 * size), size))


def _skewness(residuals: _Residuals) -> tuple[float, float]:
    white = np.concatenate(residuals.white)
    white = white[:: -(-len(white) // _MOST_TRIALS)]
    count, units = white.shape
    products = white @ white.T
    third = float(np.mean(products * products * products))
    degrees = units * (units + 1) * (units + 2) / 6
    # Mardia's correction for few trials
    correction = (units + 1) * (count + 1) * (count + 3) / (count * ((count + 1) * (units + 1) - 6))
    return third / units, float(scipy.stats.chi2.sf(count * third * correction / 6, degrees))


def _trial_correlation(residuals: _Residuals) -> tuple[float, float]:
    """Of neighbors, over all directions and along the decoder: the one that is less likely by chance."""
    candidates = []
    for parts, units in (
        (residuals.white, residuals.white[0].shape[1]),
        ([part @ residuals.directions for part in residuals.white], residuals.directions.shape[1]),
    ):
        pairs = sum(len(part) - 1 for part in parts)
        variance = sum(np.sum(part**2) for part in parts) / sum(map(len, parts))
        if variance == 0:
            continue  # no information, no direction
        product = sum(np.sum(part[1:] * part[:-1]) for part in parts)
        # a deviation from its own mean is correlated by −1/T
        correlation = product / (pairs * variance) + len(parts) / (pairs + len(parts))
        chance = float(2 * scipy.stats.norm.sf(abs(correlation) * np.sqrt(pairs * units)))
        candidates.append((float(correlation), chance))
    correlation, probability = min(candidates, key=lambda pair: pair[1])
    return correlation, min(1.0, 2 * probability)


def _equal_covariances(conditions: Sequence[np.ndarray]) -> float:
    """Box's M by its F approximation; NaN where a condition has too few trials."""
    groups, units = len(conditions), conditions[0].shape[1]
    freedoms = np.array([len(part) - 1 for part in conditions], float)
    if groups < 2 or freedoms.min() <= units + 1:
        return float("nan")
    scatters = [np.cov(part.T).reshape(units, units) for part in conditions]
    pooled = sum(f * s for f, s in zip(freedoms, scatters, strict=True)) / freedoms.sum()
    signs, logarithms = zip(*(np.linalg.slogdet(part) for part in [*scatters, pooled]), strict=True)
    if min(signs) <= 0:
        return float("nan")
    statistic = freedoms.sum() * logarithms[-1] - freedoms @ np.array(logarithms[:-1])
    first = (2 * units**2 + 3 * units - 1) / (6 * (units + 1) * (groups - 1))
    first *= np.sum(1 / freedoms) - 1 / freedoms.sum()
    second = (units - 1) * (units + 2) / (6 * (groups - 1)) * (np.sum(1 / freedoms**2) - 1 / freedoms.sum() ** 2)
    degrees = units * (units + 1) * (groups - 1) / 2
    gap = second - first**2
    others = (degrees + 2) / max(abs(gap), 1e-300)
    if gap > 0:
        scale = degrees / (1 - first - degrees / others)
        return float(scipy.stats.f.sf(statistic / scale, degrees, others))
    scale = others / (1 - first + 2 / others)
    return float(scipy.stats.f.sf(others * statistic / (degrees * max(scale - statistic, 1e-300)), degrees, others))


def _outlier_sentence(outliers: tuple[tuple[int, ...], ...], total: int) -> str:
    shown = "; ".join(
        f"condition {index}: {', '.join(map(str, trials[:5]))}{', …' if len(trials) > 5 else ''}"
        for index, trials in enumerate(outliers)
        if trials
    )
    apart = sum(map(len, outliers))
    return (
        f"{apart} of {total} trials lie far outside the rest ({shown}) and decide the estimate; remove them if "
        "they are artefacts, or use robust=True"
    )


def _dependence_sentence(correlation: float) -> str:
    length = int(np.ceil(4 * (1 + correlation) / max(1 - correlation, 0.05))) if correlation > 0 else 2
    return (
        f"trials are correlated with the next ones (by {correlation:.2f}), while the interval takes them as "
        f"independent; use fisher.direct with blocks={length}, or keep every {max(length // 2, 2)}th trial"
    )
