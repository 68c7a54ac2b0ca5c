"""Psychometric curves: how often a choice is made as one condition varies."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.stats import norm

from fisherjax._errors import check_integer, require, told
from fisherjax._types import ArrayLike, Key, Record
from fisherjax.networks import RecurrentNetwork
from fisherjax.tasks import Task
from fisherjax.tasks._neurogym import NeurogymTrials

from ._data import Trials
from ._statistics import trial_statistics

_LEAST_STEEPNESS = 1e-3  # per standard deviation of the condition: less is none


class PsychometricCurve(Record):
    """Share of one choice against one condition, and Φ((x − bias)/threshold) fitted to it by maximum likelihood.

    Parameters
    ----------
    condition, choice
        Name of the condition x, number of the choice.
    values, fraction, standard_error, num_trials
        x, the share of trials with that choice, √(p (1 − p)/n), and n (values,).
    bias, threshold
        Where the choice is made in half of the trials, and the standard deviation of the fit, negative where the share
        falls with x. The threshold is 0 where choices follow the sign of x − bias without an exception beside the bias,
        so that none can be said; the bias is at the edge where there is one choice only. The threshold is at most a
        thousand times the spread of the values, as where the share does not change with x.
    """

    condition: str
    choice: int
    values: Float[np.ndarray, " values"]
    fraction: Float[np.ndarray, " values"]
    standard_error: Float[np.ndarray, " values"]
    num_trials: Int[np.ndarray, " values"]
    bias: float
    threshold: float

    def __repr__(self) -> str:
        return (
            f"PsychometricCurve({self.condition}, {len(self.values)} values, {self.num_trials.sum()} trials, bias "
            f"{self.bias:.3g}, threshold {self.threshold:.3g})"
        )


def psychometric(
    network: RecurrentNetwork,
    task: Task | NeurogymTrials | Trials,
    *,
    key: Key,
    num_trials: int = 1000,
    condition: str | None = None,
    choice: int = -1,
    conditions: Mapping[str, ArrayLike] | None = None,
    num_bins: int = 8,
    trial_steps: int | None = None,
    batch_first: bool | None = None,
) -> PsychometricCurve:
    """Share of trials in which one choice is made, against one condition, and its threshold.

    Parameters
    ----------
    network, task, key, num_trials, conditions, num_bins, trial_steps, batch_first
        As in `trial_statistics`.
    condition
        Name of the condition, for instance "coherence"; the first by default.
    choice
        Number of the choice; the last by default.

    Raises
    ------
    ValueError
        As `trial_statistics`; or if there is no such choice.
    """
    require(
        condition is None or isinstance(condition, str),
        f"condition must be the name of one condition, got {told(condition)}",
    )
    found = trial_statistics(
        network, task, key=key, num_trials=num_trials, by=condition, conditions=conditions, num_bins=num_bins,
        trial_steps=trial_steps, batch_first=batch_first,
    )  # fmt: skip
    require(bool(found.names), "there is no curve: these trials have no condition; give conditions={name: values}")
    require(len(found.names) == 1, f"condition must be one of {', '.join(found.names)}, got None")
    most = found.choice_fraction.shape[1] - 1
    number = check_integer("choice", choice, minimum=-1, maximum=most) % (most + 1)
    values, share = found.conditions[:, 0], found.choice_fraction[:, number]
    bias, threshold = _probit(values, share, found.num_trials)
    error = found.choice_error[:, number]
    return PsychometricCurve(found.names[0], number, values, share, error, found.num_trials, bias, threshold)


def _probit(values: np.ndarray, share: np.ndarray, count: np.ndarray) -> tuple[float, float]:
    """Bias and threshold of the most likely Φ((x − bias)/threshold) for shares of counts."""
    step = _step(values, share)
    if step is not None:
        return step, 0.0
    center, scale = float(values.mean()), float(values.std())
    x = (values - center) / scale

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] + parameters[1] * x
        up, down = norm.logcdf(z), norm.logcdf(-z)
        slope = count * (share * np.exp(norm.logpdf(z) - up) - (1 - share) * np.exp(norm.logpdf(z) - down))
        return -float(np.sum(count * (share * up + (1 - share) * down))), -np.array([slope.sum(), (slope * x).sum()])

    # the likelihood is concave, so that there is one maximum
    offset, steepness = minimize(cost, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-8 * count.sum()}).x
    threshold = scale / np.copysign(max(abs(steepness), _LEAST_STEEPNESS), steepness)
    return float(center - offset * threshold), float(threshold)


def _step(values: np.ndarray, share: np.ndarray) -> float | None:
    """Where shares change from none to all at once, so that no slope is steep enough; None where they do not."""
    mixed, changes = (share > 0) & (share < 1), np.diff(share)
    if mixed.sum() > 1 or not ((changes >= 0).all() or (changes <= 0).all()):
        return None
    if mixed.any():
        return float(values[mixed][0])
    place = np.flatnonzero(changes)
    if len(place):
        return float(values[place[0] : place[0] + 2].mean())
    return float(values[0] if share[0] == 1 else values[-1])
