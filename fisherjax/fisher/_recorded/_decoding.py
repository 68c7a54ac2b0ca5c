"""What decoders reach on trials that did not train them, for all neighbouring stimuli of a recording at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_labels
from fisherjax._errors import check_choice, check_confidence, check_integer, require
from fisherjax._runtime import full_precision
from fisherjax._types import Record
from fisherjax.fisher._direct import direct_numbers
from fisherjax.fisher._gate import FisherEstimate
from fisherjax.fisher._moments import PairMoments, active_units

from ._covariance import SHRINKING, regularized
from ._pairs import Grouped, Pairs, Trials, as_recording, grouped, map_pairs, moments_of, paired, pairs_of
from ._recording import Recording

_DESCENT_STEPS = 400
_STRENGTHS = 10.0 ** np.arange(-4, 3.01, 0.5)  # of the ridge, in units of a mean variance
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # of the logistic decoder


class RecordedDecoding(Record):
    """What a decoder reaches on held-out trials, between neighbouring stimuli of a recording."""

    stimuli: Float[np.ndarray, " M"]
    """the middle of each pair"""
    separation: Float[np.ndarray, " M"]
    estimate: FisherEstimate
    """information that the decoder reaches (M,), a lower bound of what the responses hold"""
    average: FisherEstimate
    """its mean over the pairs"""
    correct: Float[np.ndarray, " M"]
    """share of held-out trials that are told apart"""
    method: str = eqx.field(static=True)


def _linear(trials: Trials) -> Array:
    pair, _ = paired(moments_of(trials), trials.step)
    slope, covariance, _ = active_units(pair.slope, pair.covariance)
    return jnp.linalg.solve(covariance, slope[0])


def _diagonal(trials: Trials) -> Array:
    pair, _ = paired(moments_of(trials), trials.step)
    slope, covariance, _ = active_units(pair.slope, pair.covariance)
    return slope[0] / jnp.diagonal(covariance)


def _shrunk(name: str) -> Callable[[Trials], Array]:
    def weights(trials: Trials) -> Array:
        moments = moments_of(trials)
        pair, _ = paired(moments, trials.step)
        slope, _, _ = active_units(pair.slope, pair.covariance)
        return jnp.linalg.solve(regularized(trials, moments, SHRINKING[name]), slope[0])

    return weights


class _Regression(NamedTuple):
    """Regression of the condition, −1 or 1, on standardized responses."""

    matrix: Float[Array, "p p"]
    cross: Float[Array, " p"]
    gain: Float[Array, " p"]


def _regression(trials: Trials, like: Trials | None = None) -> _Regression:
    """Second moments of the trials that count; in the standard of others, if they are given."""
    moments = moments_of(trials if like is None else like)
    count = moments.trials
    center = jnp.sum(count[:, None] * moments.mean, axis=0) / jnp.sum(count)
    within = jnp.einsum("cii->i", moments.scatter)
    variance = (within + jnp.einsum("c,ci->i", count, (moments.mean - center) ** 2)) / jnp.sum(count)
    gain = jnp.where(variance > 0, 1 / jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)
    standard = (trials.responses - center) * gain * trials.weight[..., None]
    total = jnp.sum(trials.weight)
    matrix = jnp.einsum("cti,ctj->ij", standard, standard) / total
    cross = (jnp.sum(standard[1], axis=0) - jnp.sum(standard[0], axis=0)) / total
    return _Regression(matrix, cross, gain)


def _ridge(trials: Trials) -> Array:
    """Ridge regression; the strength that generalized cross-validation likes best (Golub, Heath & Wahba 1979)."""
    data, total = _regression(trials), jnp.sum(trials.weight)
    values, vectors = jnp.linalg.eigh(data.matrix)
    values = jnp.maximum(values, 0)
    along = vectors.T @ data.cross

    def weights(strength: Array) -> Array:
        return along / (values + strength)

    def score(strength: Array) -> Array:
        fitted = weights(strength)
        loss = 1 - 2 * fitted @ along + jnp.sum(values * fitted**2)
        freedom = jnp.sum(values / (values + strength))
        return jnp.where(freedom < total, loss / (1 - freedom / total) ** 2, jnp.inf)

    strengths = jnp.asarray(_STRENGTHS, values.dtype)
    best = strengths[jnp.argmin(jax.vmap(score)(strengths))]
    return vectors @ weights(best) * data.gain


def _early_stopped(trials: Trials) -> Array:
    """Gradient descent of the squared error on two thirds of the trials, stopped where the other third does best."""
    third = jnp.arange(trials.weight.shape[1]) % 3 == 0
    seen = trials._replace(weight=jnp.where(third, 0, trials.weight))
    data = _regression(seen)
    check = _regression(trials._replace(weight=jnp.where(third, trials.weight, 0)), seen)
    rate = 1 / jnp.linalg.norm(data.matrix, ord=2)

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        weights, best, lowest = carry
        weights = weights + rate * (data.cross - data.matrix @ weights)
        loss = weights @ check.matrix @ weights - 2 * check.cross @ weights
        return (weights, jnp.where(loss < lowest, weights, best), jnp.minimum(loss, lowest)), None

    start = (jnp.zeros_like(data.cross), rate * data.cross, jnp.asarray(jnp.inf, rate.dtype))
    (_, best, _), _ = jax.lax.scan(step, start, length=_DESCENT_STEPS)
    return best * data.gain


_TRAINERS: dict[str, Callable[[Trials], Array]] = {
    "linear": _linear,
    "diagonal": _diagonal,
    "ridge": _ridge,
    "early-stopped": _early_stopped,
    **{name: _shrunk(name) for name in SHRINKING},
}
METHODS = (*_TRAINERS, "logistic")


@full_precision
def recorded_decoding(
    recording: Recording, *, method: str = "ridge", num_folds: int = 5, groups: Any = None, confidence: float = 0.95
) -> RecordedDecoding:
    r"""Information that a linear decoder reaches on held-out trials, between all neighbouring stimuli.

    Each fold of trials is decoded by weights that the other folds trained. What the decoded number y holds is estimated
    with its bias removed, b²/v (2m−4)/(2m−2) − 2/(mΔθ²) of m trials per condition (`fisher.decoder`), and averaged over
    folds. No decoder reaches more than the linear information: this is a lower bound on average, also for more units
    than trials, and for responses that are not Gaussian.

    Parameters
    ----------
    recording
        Trials at two or more stimuli.
    method
        ``"ridge"`` regression of the condition, its strength by generalized cross-validation; ``"logistic"``
        regression with a penalty chosen in the training trials; ``"linear"``: S⁻¹f′; ``"diagonal"``: correlations
        ignored; ``"early-stopped"`` gradient descent; ``"ledoit-wolf"``, ``"oas"``, ``"factor"``: Σ⁻¹f′ with a
        regularized covariance.
    num_folds
        Number of folds, each with the same share of every stimulus; fewer where the recording has fewer blocks.
    groups
        Label of each trial (trials,): trials of one group are never in training and test together. By default the
        recording's blocks, if it has any.
    confidence
        Coverage of the intervals, of what this decoder reaches.

    Returns
    -------
    RecordedDecoding

    Raises
    ------
    ValueError
        If there are too few trials or groups for the folds, values are missing, or ``"linear"`` has more units than
        training trials.
    """
    as_recording("recording", recording, whole="decoders")
    check_choice("method", method, METHODS)
    num_folds, confidence = check_integer("num_folds", num_folds, minimum=2), check_confidence(confidence)
    if groups is None and recording.block is not None:
        num_folds = min(num_folds, int(recording.block.max()) + 1)
        require(num_folds >= 2, "block: all trials are of one block, so that none is left to test; give groups=")
    pairs = pairs_of(recording)
    data = grouped(recording, num_folds)
    folds = _folds(recording, data, num_folds, groups)
    _check_folds(recording, data, pairs, folds, num_folds, method)
    if method == "logistic":
        weights = jnp.asarray(_logistic(data, pairs, folds, num_folds), data.responses.dtype)
    else:
        weights = _train(*_arrays(data, pairs), jnp.asarray(folds), num_folds, method)
    reached, error, correct = (
        np.asarray(part, np.float64) for part in _test(*_arrays(data, pairs), jnp.asarray(folds), weights)
    )
    of = "what this decoder reaches, a lower bound of the information"
    told = f"{method} decoder, {num_folds} folds"
    value, spread = reached.mean(axis=1), np.sqrt(np.mean(error**2, axis=1) / num_folds)
    estimate = _estimate(value, spread, told, of, confidence)
    # decoders of neighbouring pairs share the trials of one stimulus: their errors are correlated, by less than a half
    shared = 1 + np.minimum(2, len(value) - 1) * 0.5
    whole = np.sqrt(np.mean(spread**2) / len(value) * shared)
    average = _estimate(value.mean(), whole, f"{told}, mean over pairs", of, confidence)
    return RecordedDecoding(pairs.middle, pairs.separation, estimate, average, correct, method)


def _estimate(value: Any, error: Any, told: str, of: str, confidence: float) -> FisherEstimate:
    reach = float(scipy.stats.norm.ppf((1 + confidence) / 2)) * error
    numbers = [jnp.asarray(part, float) for part in (value, error, np.stack([value - reach, value + reach]), value)]
    return FisherEstimate(*numbers, method=told, confidence=confidence, interval_of=of)


def _arrays(data: Grouped, pairs: Pairs) -> tuple[Array, ...]:
    return data.responses, data.present, *pairs.arrays(data.responses.dtype)


def _folds(recording: Recording, data: Grouped, num_folds: int, groups: Any) -> Int[np.ndarray, "K T"]:
    """Number of each trial's fold: every so manieth trial, or whole groups, the largest first where there is room."""
    count = len(recording.stimulus)
    labels = recording.block if groups is None else as_labels("groups", groups, count)[0]
    folds = np.zeros(data.present.shape, np.int64)
    if labels is None:
        folds[:] = np.arange(folds.shape[1]) % num_folds
        return folds
    sizes = np.bincount(labels)
    require(len(sizes) >= num_folds, f"groups must be at least as many as the {num_folds} folds, got {len(sizes)}")
    room, fold_of = np.zeros(num_folds), np.zeros(len(sizes), int)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of[group] = int(np.argmin(room))
        room[fold_of[group]] += sizes[group]
    codes = np.searchsorted(recording.stimuli, recording.stimulus)
    for code in range(len(recording.stimuli)):
        own = fold_of[labels[codes == code]]
        folds[code, : len(own)] = own
    return folds


def _check_folds(
    recording: Recording, data: Grouped, pairs: Pairs, folds: np.ndarray, num_folds: int, method: str
) -> None:
    present = np.asarray(data.present)
    sizes = np.stack([(present * (folds == fold)).sum(axis=1) for fold in range(num_folds)], axis=1)
    least = int(sizes.min())
    require(
        least >= 4,
        f"decoders need at least 4 trials of each stimulus in every fold, but one fold has {least}; fewer "
        "num_folds, or groups that hold all stimuli",
    )
    if method == "linear":
        training = (sizes.sum(axis=1)[pairs.members].sum(axis=1) - sizes[pairs.members].sum(axis=1).max(axis=1)).min()
        require(
            bool(recording.num_units < training - 3),
            f'method="linear" needs more training trials than units, got {int(training)} for {recording.num_units}; '
            'take method="ridge"',
        )


@jax.jit(static_argnums=(5, 6))
def _train(
    responses: Array, present: Array, index: Array, steps: Array, folds: Array, num_folds: int, method: str
) -> Float[Array, "M F p"]:
    """Weights of every pair and fold."""
    train = _TRAINERS[method]

    def without(fold: Array) -> Array:
        return map_pairs(responses, jnp.where(folds == fold, 0, present), index, steps, train)

    return jnp.moveaxis(jax.lax.map(without, jnp.arange(num_folds)), 0, 1)


@jax.jit
def _test(
    responses: Array, present: Array, index: Array, steps: Array, folds: Array, weights: Array
) -> tuple[Array, Array, Array]:
    """Information and its error (M, F), and the share of trials that are told apart (M,)."""

    def of_pair(item: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        pair, step, own = item
        decoded = jnp.einsum("cti,fi->fct", responses[pair], own)
        held_out = jnp.arange(len(own))[:, None, None] == folds[pair]
        weight = jnp.where(held_out, present[pair], 0)
        count = jnp.sum(weight, axis=2)
        mean = jnp.sum(weight * decoded, axis=2) / count
        scatter = jnp.sum(weight * (decoded - mean[..., None]) ** 2, axis=(1, 2))
        freedom = jnp.sum(count, axis=1) - 2
        value, error = _one_number((mean[:, 1] - mean[:, 0]) / step, scatter / freedom, step, count, freedom)
        # the border lies between the means of the trials that trained
        trained = jnp.where(held_out, 0, present[pair])
        border = jnp.mean(jnp.sum(trained * decoded, axis=2) / jnp.sum(trained, axis=2), axis=1)
        right = (decoded > border[:, None, None]) == jnp.asarray([False, True])[:, None]
        return value, error, jnp.sum(jnp.where(right, weight, 0)) / jnp.sum(weight)

    return jax.lax.map(of_pair, (index, steps, weights))


def _one_number(slope: Array, variance: Array, step: Array, count: Array, freedom: Array) -> tuple[Array, Array]:
    """The direct estimate of one unit, for each fold."""
    precision = step**2 / jnp.sum(1 / count, axis=1)

    def of_fold(slope: Array, variance: Array, precision: Array, freedom: Array) -> tuple[Array, Array]:
        value, error, _ = direct_numbers(PairMoments(slope[None, None], variance[None, None], precision[None]), freedom)
        return value[0, 0], error[0, 0]

    return jax.vmap(of_fold)(slope, variance, precision, freedom)


def _logistic(data: Grouped, pairs: Pairs, folds: np.ndarray, num_folds: int) -> Float[np.ndarray, "M F p"]:
    """Weights of scikit-learn's logistic regression; the penalty does best on a fifth of the training trials."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  slow to import

    responses, present = np.asarray(data.responses), np.asarray(data.present) > 0
    weights = np.zeros((len(pairs.members), num_folds, responses.shape[-1]))
    for place, pair in enumerate(pairs.members):
        kept = present[pair]
        rows = responses[pair][kept]
        target = np.repeat([0, 1], kept.sum(axis=1))
        fold_of = folds[pair][kept]
        for fold in range(num_folds):
            training = np.flatnonzero(fold_of != fold)
            x, y = rows[training], target[training]
            center, scale = x.mean(axis=0), x.std(axis=0)
            scale = np.where(scale > 0, scale, np.inf)
            x, inner = (x - center) / scale, np.arange(len(x)) % 5 == 0
            scores = []
            for penalty in _PENALTIES:
                model = LogisticRegression(C=penalty, max_iter=500).fit(x[~inner], y[~inner])
                chance = model.predict_proba(x[inner])[np.arange(inner.sum()), y[inner]]
                scores.append(np.log(np.maximum(chance, 1e-300)).sum())
            best = LogisticRegression(C=_PENALTIES[int(np.argmax(scores))], max_iter=500).fit(x, y)
            weights[place, fold] = best.coef_[0] / scale
    return weights
