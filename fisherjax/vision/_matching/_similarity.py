"""Representational similarity of a model and a recording in time: are the same stimuli alike, and when."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax._errors import check_choice, check_integer, check_key, check_kind, require, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key
from fisherjax.geometry import pairwise_distances
from fisherjax.geometry._distances import varies
from fisherjax.geometry._shepard import bootstrap_excess, generator

from ._areas import Activity, Recordings, Sides, both_sides
from ._comparison import COMPARISONS, Compared, compared, noise_bounds
from ._match import Draws, ModelMatch, matched, resolved
from ._patterns import CROSSVALIDATED, DISTANCES, recorded_distances

FEWEST_RESAMPLES, FEWEST_PERMUTATIONS = 20, 20
_MODEL_DISTANCES = ("squared", "euclidean", "correlation")
_SLOW = 2e13  # operations, some ten minutes of two cores


@full_precision
def representational_similarity(
    activity: Activity,
    recording: Recordings,
    *,
    key: Key,
    stimuli: ArrayLike | None = None,
    times: ArrayLike | None = None,
    recorded_times: ArrayLike | None = None,
    time_unit: str = "steps",
    distance: str = "crossnobis",
    model_distance: str | None = None,
    comparison: str = "pearson",
    num_splits: int = 2,
    num_permutations: int = 500,
    num_resamples: int = 200,
) -> ModelMatch:
    """Compare distances between stimuli in every area of a model at each time with those in a recording at each time.

    Parameters
    ----------
    activity
        Of the model: areas by name or in a list, each (times, stimuli, units) or (times, stimuli, …), of any network;
        or what `vision.respond` returns.
    recording
        A `fisher.Recording`, or a list with one for each time: of the same trials, units may differ. Its stimuli are
        the numbers of the rows of `activity`, from 0; it may lack some.
    key
        JAX random key of permutations and resamples.
    stimuli
        The recording's stimulus that each row of `activity` shows, if they are not the rows' numbers.
    times, recorded_times
        Of the axes, in one unit; 1, 2, … by default, or the steps of the response.
    time_unit
        As ``"ms"``, for axes.
    distance
        In the recording: ``"crossnobis"``, squared distances in units of the noise (its covariance shrunk after Ledoit
        and Wolf), cross-validated between blocks, or between trials where there are none, so that noise does not make
        stimuli differ; ``"crossvalidated"``, the same without units of the noise; ``"squared"`` and ``"euclidean"``
        distances of means; ``"correlation"``: one less Pearson's r of the patterns.
    model_distance
        In the model: ``"squared"``, ``"euclidean"`` or ``"correlation"``; what the recording's estimates, by default.
    comparison
        ``"pearson"`` or ``"spearman"`` correlation over pairs of stimuli, ``"kendall"``, τ-a, for models with many
        ties (time grows as the fourth power of the number of stimuli), or ``"cosine"``, for distances whose zero is
        known.
    num_splits
        Parts of the trials, or of the blocks, of which each has distances of its own. Values are means over the parts,
        and ceilings are of that mean: the true distances reach the root of the mean similarity of two parts, which is
        ``ceiling``. The lower bound is the mean similarity of each part with the mean of the others, the upper one
        that with the mean of all parts (Nili et al. 2014). More parts have less trials each, and all three fall, with
        the values. With 1 there is no ceiling.
    num_permutations
        Of the recording's stimuli, for probabilities; 0 for none. None is below 1/(permutations + 1).
    num_resamples
        Of stimuli, with replacement, for standard errors.

    Returns
    -------
    ModelMatch
        Where an area has the same activity for all stimuli there is no value, NaN.

    Raises
    ------
    ValueError
        If shapes, stimuli, trials or times do not fit, there are fewer than five stimuli, or too few trials or blocks
        for the splits.
    TypeError
        If an argument is not of its kind.

    Warns
    -----
    RuntimeWarning
        If ``"kendall"`` will take long.

    References
    ----------
    Nili et al. (2014), A toolbox for representational similarity analysis, PLoS Comput. Biol. 10, e1003553.
    Walther et al. (2016), Reliability of dissimilarity measures for multi-voxel pattern analysis, NeuroImage 137, 188.
    Westfall & Young (1993), Resampling-based multiple testing, Wiley.
    """
    sides = both_sides(activity, recording, stimuli, times, recorded_times)
    check_choice("distance", distance, DISTANCES)
    own = "squared" if distance in CROSSVALIDATED else distance
    check_choice("comparison", comparison, COMPARISONS)
    chosen = own if model_distance is None else check_choice("model_distance", model_distance, _MODEL_DISTANCES)
    check_kind("time_unit", time_unit, str, "a text, as 'ms'")
    key, num_splits = check_key("key", key), check_integer("num_splits", num_splits, minimum=1)
    num_permutations, num_resamples = check_draws(num_permutations, num_resamples)
    recorded = np.stack([recorded_distances(one, distance, num_splits) for one in sides.recordings], axis=1)
    model, differs = _model_distances(sides, chosen)
    _doubt_time(comparison, model, recorded, num_permutations + num_resamples)

    stimulus_count = recorded.shape[-1]
    permutation_key, resample_key = jax.random.split(key)
    found, resampled, null = compared(
        model,
        jnp.asarray(recorded, model.dtype),
        jnp.asarray(permuted_orders(num_permutations, stimulus_count, permutation_key)),
        jnp.asarray(1 + bootstrap_excess(num_resamples, stimulus_count, resample_key), model.dtype),
        comparison,
    )
    shape = (*differs.shape, recorded.shape[1])
    value, values, null = (
        np.where(differs[..., None], np.asarray(part, np.float64).reshape(*part.shape[:-2], *shape), np.nan)
        for part in (found.value, resampled.value, null)
    )
    ceiling, bounds, ceilings, has_signal = _ceilings(recorded, comparison, found, resampled)
    return matched(
        sides[:1] + sides[3:], value, ceiling, bounds, has_signal, Draws(values, ceilings, null),
        measure=f"similarity ({comparison}, {distance})", time_unit=time_unit, distances=recorded.mean(axis=0),
    )  # fmt: skip


def check_draws(num_permutations: int, num_resamples: int) -> tuple[int, int]:
    """Numbers of permutations, 0 or not too few, and of resamples."""
    count = check_integer("num_permutations", num_permutations, minimum=0)
    require(
        count == 0 or count >= FEWEST_PERMUTATIONS,
        f"num_permutations must be at least {FEWEST_PERMUTATIONS}, or 0 for no probabilities, got {count}",
    )
    return count, check_integer("num_resamples", num_resamples, minimum=FEWEST_RESAMPLES)


def permuted_orders(count: int, num_stimuli: int, key: Key) -> np.ndarray:
    """Random orders of the stimuli (count, K)."""
    return generator(key).permuted(np.tile(np.arange(num_stimuli), (count, 1)), axis=1)


def _model_distances(sides: Sides, distance: str) -> tuple[Float[Array, "M P"], Bool[np.ndarray, "A T"]]:
    """Distances of all pairs in every area at each time, and where they differ at all."""
    rows, columns = np.triu_indices(sides.patterns[0].shape[1], 1)
    every = jnp.stack([_distances(one, distance)[:, rows, columns] for one in sides.patterns])
    differs = np.array([[varies(time) for time in area] for area in np.asarray(every)])
    return every.reshape(-1, len(rows)), differs


def _distances(patterns: Float[Array, "T K N"], distance: str) -> Float[Array, "T K K"]:
    if distance == "euclidean":
        return pairwise_distances(patterns)
    if distance == "squared":
        return pairwise_distances(patterns) ** 2
    centered = patterns - jnp.mean(patterns, axis=2, keepdims=True)
    size = jnp.linalg.norm(centered, axis=2, keepdims=True)
    silent = size[..., 0] == 0
    # 1 − r is half the squared distance of patterns of length one; a pattern that is the same in all units has r = 0
    half = pairwise_distances(centered / jnp.where(size > 0, size, 1)) ** 2 / 2
    return jnp.where(silent[:, :, None] | silent[:, None, :], 1, half)


def _ceilings(
    recorded: Float[np.ndarray, "Q B K K"], comparison: str, found: Compared, resampled: Compared
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray, Bool[np.ndarray, " B"]]:
    """The ceiling (B,), its bounds, the ceiling of each resample (C, B), and where there is one."""
    splits, count = recorded.shape[:2]
    between, samples = (np.asarray(one.reliability, np.float64) for one in (found, resampled))
    if splits == 1:
        unknown = np.full(count, np.nan)
        return np.ones(count), (unknown, unknown), np.ones(samples.shape), np.ones(count, bool)
    rows, columns = np.triu_indices(recorded.shape[-1], 1)
    pairs = jnp.asarray(recorded[..., rows, columns], found.value.dtype)
    lower, upper = (np.asarray(one, np.float64) for one in noise_bounds(pairs, comparison))
    return _truth(between, comparison), (lower, upper), _truth(samples, comparison), resolved(between, samples)


def _truth(between: Float[np.ndarray, "*n"], comparison: str) -> Float[np.ndarray, "*n"]:
    """How similar the true distances are to those of a split, from how similar two splits are whose noise is apart.

    Correlations multiply along the way from one split over the truth to the other: the root. τ is brought to a
    correlation and back as of Gaussian numbers, τ = (2/π) asin r.
    """
    if comparison == "kendall":
        correlation = np.sqrt(np.sin(np.pi / 2 * np.clip(between, 0, 1)))
        return 2 / np.pi * np.arcsin(correlation)
    return np.sqrt(np.maximum(between, 0))


def _doubt_time(comparison: str, model: Array, recorded: np.ndarray, draws: int) -> None:
    count = model.size * model.shape[1] * recorded.shape[0] * recorded.shape[1] * (draws + 1)
    if comparison == "kendall" and count > _SLOW:
        warn(
            f"kendall compares all pairs of {model.shape[1]} distances, in all {count:.0e} times: that takes long; "
            'comparison="spearman" answers the same question in seconds where there are few ties'
        )
