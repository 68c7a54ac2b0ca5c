"""Linear regression of a recording on a model in time: which area predicts the units, and how much earlier."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import float_type
from fisherjax._errors import check_integer, check_key, check_kind, require
from fisherjax._linalg import centered_gram
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key
from fisherjax.fisher import Recording
from fisherjax.geometry._shepard import bootstrap_excess, generator

from ._areas import Activity, Recordings, both_sides
from ._match import Draws, ModelMatch, matched, resolved
from ._patterns import fold_means
from ._similarity import check_draws, permuted_orders

_PENALTIES = 10.0 ** np.arange(-4, 4.01, 0.5)  # of the ridge, in units of the mean eigenvalue of the kernel


class _Responses(NamedTuple):
    """Mean responses of all units at all times, side by side."""

    standard: Float[np.ndarray, "K U"]
    """about the mean over the stimuli, in units of the standard deviation over them"""
    share: Float[np.ndarray, "U B"]
    """of each unit in the mean over the units of its time"""
    noise: Float[np.ndarray, "K U"]
    """variance of the mean of the trials"""


@full_precision
def neural_regression(
    activity: Activity,
    recording: Recordings,
    *,
    key: Key,
    stimuli: ArrayLike | None = None,
    times: ArrayLike | None = None,
    recorded_times: ArrayLike | None = None,
    time_unit: str = "steps",
    num_folds: int = 5,
    num_permutations: int = 0,
    num_resamples: int = 200,
) -> ModelMatch:
    r"""Predict every unit of a recording at each time from every area of a model at each time, by ridge regression.

    Stimuli are divided into folds; each fold is predicted by weights that the others gave. The penalty of each unit is
    the one that generalized cross-validation likes best among the stimuli that train (Golub, Heath & Wahba 1979). Of
    the mean responses y of a unit

    .. math::
        \text{value} = 1 − \frac{\text{mean squared error}}{\operatorname{var} y}, \qquad
        \text{ceiling} = 1 − \frac{\text{variance of the noise of } y}{\operatorname{var} y},

    each a mean over the units. The ceiling is the value of a model that predicts the true means; the variance of the
    noise is that between trials, or between blocks, over their number. A model that knows nothing has about
    −1/(number of stimuli that train).

    Parameters
    ----------
    activity
        Of the model: areas by name or in a list, each (times, stimuli, units) or (times, stimuli, …), of any network;
        or what `vision.respond` returns.
    recording
        A `fisher.Recording`, or a list with one for each time: of the same trials, units may differ. Its stimuli are
        the numbers of the rows of `activity`, from 0; it may lack some.
    key
        JAX random key of folds, permutations and resamples.
    stimuli
        The recording's stimulus that each row of `activity` shows, if they are not the rows' numbers.
    times, recorded_times
        Of the axes, in one unit; 1, 2, … by default, or the steps of the response.
    time_unit
        As ``"ms"``, for axes.
    num_folds
        Number of folds of the stimuli.
    num_permutations
        Of the recording's stimuli, for probabilities: all regressions are done anew for each; 0 for none.
    num_resamples
        Of stimuli, with replacement, for standard errors: of predictions as they are, weights are not fitted anew.

    Returns
    -------
    ModelMatch
        With values and ceilings of single units. Times at which the ceiling is not two standard errors above 0 do not
        count in what is said of delays.

    Raises
    ------
    ValueError
        If shapes, stimuli, trials or times do not fit, a stimulus has no repeat, or there are fewer stimuli than folds.
    TypeError
        If an argument is not of its kind.

    References
    ----------
    Golub, Heath & Wahba (1979), Generalized cross-validation as a method for choosing a good ridge parameter,
    Technometrics 21, 215–223.
    """
    sides = both_sides(activity, recording, stimuli, times, recorded_times)
    count = sides.patterns[0].shape[1]
    num_folds = check_integer("num_folds", num_folds, minimum=2, maximum=count)
    check_kind("time_unit", time_unit, str, "a text, as 'ms'")
    num_permutations, num_resamples = check_draws(num_permutations, num_resamples)
    fold_key, permutation_key, resample_key = jax.random.split(check_key("key", key), 3)
    responses = _responses(sides.recordings)
    kernels = jnp.concatenate([centered_gram(one) for one in sides.patterns])
    dtype = float_type(kernels)

    by_stimulus, by_unit, null = _regressed(
        kernels,
        jnp.asarray(responses.standard, dtype),
        jnp.asarray(responses.share, dtype),
        jnp.asarray(_folds(count, num_folds, fold_key)),
        jnp.asarray(permuted_orders(num_permutations, count, permutation_key)),
    )
    shape = (len(sides.names), len(sides.times), len(sides.recordings))
    error = np.asarray(by_stimulus, np.float64).reshape(*shape[:2], count, shape[2])
    unit_value = 1 - np.asarray(by_unit, np.float64).reshape(*shape[:2], -1) / count
    null = 1 - np.moveaxis(np.asarray(null, np.float64), 1, 0).reshape(num_permutations, *shape) / count

    resamples = np.concatenate([np.ones((1, count)), 1 + bootstrap_excess(num_resamples, count, resample_key)])
    value, ceiling = _explained(error, responses, resamples)
    edges = np.cumsum([one.num_units for one in sides.recordings])[:-1]
    return matched(
        sides[:1] + sides[3:], value[0], ceiling[0], (ceiling[0], ceiling[0]), resolved(ceiling[0], ceiling[1:]),
        Draws(value[1:], ceiling[1:], null), measure="explained variance", time_unit=time_unit,
        unit_value=tuple(np.split(unit_value, edges, axis=2)),
        unit_ceiling=tuple(np.split(1 - responses.noise.mean(axis=0), edges)),
    )  # fmt: skip


def _responses(recordings: tuple[Recording, ...]) -> _Responses:
    folds = [fold_means(one) for one in recordings]
    num_folds = len(folds[0])
    what = "trials of each stimulus" if recordings[0].block is None else "blocks"
    require(num_folds >= 2, f"recording: what can be explained is known from repeats, at least two {what}, got one")
    means = np.concatenate([one.mean(axis=0) for one in folds], axis=1)
    noise = np.concatenate([one.var(axis=0, ddof=1) / num_folds for one in folds], axis=1)
    variance = means.var(axis=0, ddof=1)
    varies = variance > 1e-20 * (means**2).max(axis=0)
    scale = np.where(varies, variance, np.inf)  # a unit whose mean is the same for all stimuli has no part
    time = np.repeat(np.arange(len(folds)), [one.shape[2] for one in folds])
    share = ((time[:, None] == np.arange(len(folds))) & varies[:, None]).astype(float)
    require(bool(share.any(axis=0).all()), "recording must hold units that vary with the stimulus at every time")
    return _Responses((means - means.mean(axis=0)) / np.sqrt(scale), share / share.sum(axis=0), noise / scale)


def _folds(count: int, num_folds: int, key: Key) -> Int[np.ndarray, "F n"]:
    """Stimuli of each fold, in random order so that no order of the stimuli counts; −1 where a fold has fewer."""
    order = generator(key).permutation(count)
    padded = np.full(-(-count // num_folds) * num_folds, -1)
    padded[:count] = order
    return padded.reshape(-1, num_folds).T


def _explained(
    error: Float[np.ndarray, "A T K B"], responses: _Responses, weights: Float[np.ndarray, "C K"]
) -> tuple[Float[np.ndarray, "C A T B"], Float[np.ndarray, "C B"]]:
    """Explained variance and its ceiling of resampled stimuli; variances of single units stay what they are."""
    count = len(responses.standard)
    total = weights @ (responses.standard**2 @ responses.share) * (count / (count - 1))
    noise = weights @ (responses.noise @ responses.share)
    wrong = np.tensordot(weights, error, (1, 2))
    return 1 - wrong / total[:, None, None, :], 1 - noise / total


@jax.jit
def _regressed(
    kernels: Float[Array, "M K K"],
    responses: Float[Array, "K U"],
    share: Float[Array, "U B"],
    folds: Int[Array, "F n"],
    permutations: Int[Array, "R K"],
) -> tuple[Float[Array, "M K B"], Float[Array, "M U"], Float[Array, "M R B"]]:
    """Squared errors of stimuli that did not train: by stimulus and time, by unit, and by time of permuted stimuli."""
    shown = (folds >= 0).astype(responses.dtype)
    trains = 1 - jax.vmap(lambda fold, there: jnp.zeros(len(responses), share.dtype).at[fold].add(there))(folds, shown)

    def of_kernel(kernel: Array) -> tuple[Array, Array, Array]:
        solved = jax.vmap(lambda fold, trained: _solved(kernel, fold, trained))(folds, trains)

        def squared(targets: Array) -> Array:
            def of_fold(part: _Solved, fold: Array, trained: Array, there: Array) -> Array:
                wrong = targets[fold] - _predicted(part, trained, targets)
                return there[:, None] * wrong**2

            return jax.vmap(of_fold)(solved, folds, trains, shown)

        errors = squared(responses)
        by_time = errors @ share
        by_stimulus = jnp.zeros((len(responses), share.shape[1]), share.dtype).at[folds].add(by_time)
        null = jax.lax.map(lambda order: jnp.sum(squared(responses[order]), axis=(0, 1)) @ share, permutations)
        return by_stimulus, jnp.sum(errors, axis=(0, 1)), null

    return jax.lax.map(of_kernel, kernels)


class _Solved(NamedTuple):
    """One fold of one kernel, ready for any targets."""

    values: Float[Array, " K"]
    vectors: Float[Array, "K K"]
    crossed: Float[Array, "n K"]
    """kernel between the stimuli of the fold and those that train, along the vectors"""


def _solved(kernel: Float[Array, "K K"], fold: Int[Array, " n"], trained: Float[Array, " K"]) -> _Solved:
    count = jnp.sum(trained)
    mean = kernel @ trained / count
    centered = kernel - mean[:, None] - mean + trained @ mean / count
    # stimuli of the fold are rows of zeros: every fold has the same shape
    values, vectors = jnp.linalg.eigh(centered * trained[:, None] * trained)
    mean_value = jnp.sum(values) / (count - 1)
    scale = jnp.where(mean_value > 0, mean_value, 1)
    return _Solved(jnp.maximum(values, 0) / scale, vectors, (centered[fold] / scale * trained) @ vectors)


def _predicted(part: _Solved, trained: Float[Array, " K"], targets: Float[Array, "K U"]) -> Float[Array, "n U"]:
    count = jnp.sum(trained)
    mean = trained @ targets / count
    along = part.vectors.T @ ((targets - mean) * trained[:, None])
    penalties = jnp.asarray(_PENALTIES, targets.dtype)
    left = penalties[:, None] / (part.values + penalties[:, None])  # share of each direction that is not fitted
    # directions of the fold and of the mean are not fitted, nor are they free
    freedom = jnp.sum(left, axis=1) - (len(targets) - count + 1)
    score = (left**2 @ along**2) / freedom[:, None] ** 2
    penalty = penalties[jnp.argmin(score, axis=0)]
    return part.crossed @ (along / (part.values[:, None] + penalty)) + mean
