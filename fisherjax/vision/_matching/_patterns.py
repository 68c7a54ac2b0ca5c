"""A recording as patterns: means of folds of its trials, and distances that their noise does not bias."""

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, solve_triangular

from fisherjax._errors import listed, require
from fisherjax.fisher import Recording

CROSSVALIDATED = ("crossnobis", "crossvalidated")
DISTANCES = (*CROSSVALIDATED, "squared", "euclidean", "correlation")
_LISTED = 5


def fold_means(recording: Recording) -> Float[np.ndarray, "F K p"]:
    """Mean responses to every stimulus in each fold of the trials.

    Folds are the recording's blocks. Without blocks there are as many as the least number of trials of a stimulus, and
    the trials of each are dealt out in turn.

    Raises
    ------
    ValueError
        If a block lacks a stimulus.
    """
    stimuli = recording.stimuli
    codes = np.searchsorted(stimuli, recording.stimulus)
    fold = _dealt(codes) if recording.block is None else recording.block
    num_folds = int(fold.max()) + 1
    place = fold * len(stimuli) + codes
    counts = np.bincount(place, minlength=num_folds * len(stimuli))
    empty = np.flatnonzero(counts.reshape(num_folds, -1).min(axis=1) == 0)
    require(
        len(empty) == 0,
        f"recording: every block must hold all stimuli, but blocks {listed(empty, _LISTED)} do not; leave those "
        "trials out with .select(trials=), or make the recording without block=",
    )
    order = np.argsort(place, kind="stable")
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(recording.responses[order].astype(np.float64), first, axis=0)
    return (sums / counts[:, None]).reshape(num_folds, len(stimuli), -1)


def _dealt(codes: Int[np.ndarray, " trials"]) -> Int[np.ndarray, " trials"]:
    """Numbers of folds of trials, dealt out within each stimulus."""
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    first = np.repeat(np.cumsum(counts) - counts, counts)
    fold = np.empty_like(codes)
    fold[order] = (np.arange(len(codes)) - first) % counts.min()
    return fold


def recorded_distances(recording: Recording, distance: str, num_splits: int) -> Float[np.ndarray, "Q K K"]:
    r"""Distances between the stimuli in every split of the trials: split s has the folds s, s + Q, ….

    .. math::
        d_{ab} = \frac{1}{F (F − 1)} Σ_{f ≠ f'} (m_{af} − m_{bf})^⊤ Σ^{-1} (m_{af'} − m_{bf'})

    of the means m of F folds is right on average, negative where noise has it so, for ``"crossnobis"``, in which Σ is
    the covariance of the noise, and for ``"crossvalidated"``, in which it is 1.
    """
    folds = fold_means(recording)
    least = num_splits * (2 if distance in CROSSVALIDATED else 1)
    what = "trials of each stimulus" if recording.block is None else "blocks"
    require(
        len(folds) >= least,
        f"recording: {distance} distances in num_splits={num_splits} splits need at least {least} {what}, got "
        f"{len(folds)}; take fewer splits" + (', or distance="squared"' if distance in CROSSVALIDATED else ""),
    )
    if distance == "crossnobis":
        factor = cholesky(noise_covariance(recording), lower=True)
        flat = folds.reshape(-1, folds.shape[-1])
        folds = solve_triangular(factor, flat.T, lower=True).T.reshape(folds.shape)
    return np.stack([_of_split(folds[split::num_splits], distance) for split in range(num_splits)])


def _of_split(folds: Float[np.ndarray, "F K p"], distance: str) -> Float[np.ndarray, "K K"]:
    if distance == "correlation":
        means = folds.mean(axis=0)
        means = means - means.mean(axis=1, keepdims=True)
        size = np.linalg.norm(means, axis=1, keepdims=True)
        means = means / np.where(size > 0, size, 1)
        return (1 - means @ means.T) * (1 - np.eye(len(means)))
    deviations = folds - folds.mean(axis=(0, 1))  # where rounding is least
    count, stimuli = folds.shape[:2]
    total = deviations.sum(axis=0)
    gram = total @ total.T
    if distance in CROSSVALIDATED:
        # products of different folds are all products less those of each fold with itself
        own = deviations.transpose(1, 0, 2).reshape(stimuli, -1)
        gram = (gram - own @ own.T) / (count * (count - 1))
    else:
        gram = gram / count**2
    squares = np.diagonal(gram)
    between = (squares[:, None] + squares - 2 * gram) * (1 - np.eye(stimuli))
    return np.sqrt(np.maximum(between, 0)) if distance == "euclidean" else between


def noise_covariance(recording: Recording) -> Float[np.ndarray, "p p"]:
    """Covariance of trials about the mean of their stimulus, shrunk towards its diagonal (Ledoit & Wolf 2004).

    Raises
    ------
    ValueError
        If a unit has no noise.
    """
    from sklearn.covariance import ledoit_wolf  # noqa: PLC0415  slow to import

    codes = np.searchsorted(recording.stimuli, recording.stimulus)
    counts = np.bincount(codes)
    freedom = len(codes) - len(counts)
    responses = recording.responses.astype(np.float64)
    sums = np.add.reduceat(responses[np.argsort(codes, kind="stable")], np.cumsum(counts) - counts, axis=0)
    residuals = responses - (sums / counts[:, None])[codes]
    spread = np.sqrt((residuals**2).sum(axis=0) / freedom)
    still = np.flatnonzero(spread <= 1e-12 * np.abs(responses).max(axis=0))
    require(
        len(still) == 0,
        "recording: crossnobis distances are in units of the noise, but there is none in "
        f"{listed((recording.names[place] for place in still), _LISTED)}; leave those out with .select(units=), or "
        'take distance="crossvalidated"',
    )
    shrunk = ledoit_wolf(residuals / spread, assume_centered=True)[0] * len(codes) / freedom
    return shrunk * spread[:, None] * spread
