"""Mean responses against the stimulus, and how variable they are."""

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from fisherjax._errors import require
from fisherjax._types import Record

from ._pairs import as_recording
from ._recording import Recording


class Tuning(Record):
    """Mean and variance of every unit at every stimulus."""

    stimuli: Float[np.ndarray, " K"]
    mean: Float[np.ndarray, "K units"]
    standard_error: Float[np.ndarray, "K units"]
    variance: Float[np.ndarray, "K units"]
    fano_factor: Float[np.ndarray, " units"]
    """variance over mean, summed over the stimuli: 1 for Poisson counts; NaN where the mean is not positive"""
    preferred: Float[np.ndarray, " units"]
    """direction of the vector sum of the responses above their least on a circle, the stimulus of the largest mean on
    a line"""
    modulation: Float[np.ndarray, " units"]
    """share of a unit's variance that the stimulus explains, ω², bias removed: below 0.01 it is hardly tuned"""
    num_trials: Int[np.ndarray, "K units"]
    names: tuple[str, ...] = eqx.field(static=True)
    stimulus_unit: str = eqx.field(static=True)
    period: float | None = eqx.field(static=True)


def tuning(recording: Recording) -> Tuning:
    """Tuning curves of a recording: mean, its error (of independent trials), variance, Fano factor, preference.

    Parameters
    ----------
    recording
        Trials at two or more stimuli.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError
        If a stimulus has fewer than two trials (for continuous ones: `smooth_information(...).tuning`).

    References
    ----------
    Hays (1963), Statistics for Psychologists, for ω².
    """
    as_recording("recording", recording)
    stimuli = recording.stimuli
    parts = [recording.responses[recording.stimulus == value] for value in stimuli]
    counts = np.stack([(~np.isnan(part)).sum(axis=0) for part in parts])
    few = np.flatnonzero(counts.min(axis=1) < 2)
    require(
        len(few) == 0,
        f"tuning needs two trials of every unit at each stimulus, but {len(few)} of {len(stimuli)} have fewer; of "
        "continuous stimuli fisher.smooth_information has it",
    )
    mean = np.stack([np.nanmean(part, axis=0) for part in parts])
    variance = np.stack([np.nanvar(part, axis=0, ddof=1) for part in parts])
    total = mean.sum(axis=0)
    within = (variance * (counts - 1)).sum(axis=0)
    freedom = (counts - 1).sum(axis=0)
    center = (counts * mean).sum(axis=0) / counts.sum(axis=0)
    between = (counts * (mean - center) ** 2).sum(axis=0)
    noise = within / freedom
    positive = total > 0
    return Tuning(
        stimuli=stimuli,
        mean=mean,
        standard_error=np.sqrt(variance / counts),
        variance=variance,
        fano_factor=np.where(positive, variance.sum(axis=0) / np.where(positive, total, 1), np.nan),
        preferred=_preferred(recording, stimuli, mean),
        modulation=(between - (len(stimuli) - 1) * noise) / (between + within + noise),
        num_trials=counts,
        names=recording.names,
        stimulus_unit=recording.stimulus_unit,
        period=recording.period,
    )


def _preferred(recording: Recording, stimuli: np.ndarray, mean: np.ndarray) -> Float[np.ndarray, " units"]:
    if recording.period is None:
        return stimuli[np.argmax(mean, axis=0)]
    phase = np.exp(2j * np.pi * stimuli / recording.period)
    angle = np.angle(phase @ (mean - mean.min(axis=0)))
    return np.mod(angle * recording.period / (2 * np.pi), recording.period)
