"""Is there information at all, and do noise correlations matter? Tests that assume nothing but what they permute."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_instance, check_integer, check_key, require
from fisherjax._runtime import full_precision
from fisherjax._types import Key, Record

from ._pairs import Trials, grouped, moments_of, paired, pairs_of
from ._recording import Recording
from ._values import covariance_value, direct_numbers, shuffled_numbers

QUESTIONS = ("information", "correlations", "covariance")


class PermutationTest(Record):
    """How often permuted trials show as much as the recorded ones do."""

    stimuli: Float[np.ndarray, " M"]
    """the middle of each pair"""
    statistic: Float[np.ndarray, " M"]
    """of the recorded trials: the direct information, direct − shuffled, or the covariance term"""
    probability: Float[np.ndarray, " M"]
    """for each pair: 0.01 says that one in a hundred permutations shows as much"""
    overall: float = eqx.field(static=True)
    """for all pairs together, of the sum of their statistics: one test, which needs no correction for many"""
    null: Float[np.ndarray, "R M"]
    """statistics of the permutations"""
    question: str = eqx.field(static=True)


@full_precision
def permutation_test(
    recording: Recording, question: str = "information", *, key: Key, num_permutations: int = 500
) -> PermutationTest:
    """Test for information, for what noise correlations do to it, or for covariances that change, by permuting trials.

    Parameters
    ----------
    recording
        Trials at two or more stimuli.
    question
        ``"information"``: stimuli of a pair are permuted among its trials, whose mean responses then do not differ; a
        one-sided test. ``"correlations"``: every unit's trials of a stimulus are permuted apart, which leaves
        tuning and variances as they are and no correlations; a two-sided test of direct − shuffled. ``"covariance"``:
        the deviations from the means are permuted between the stimuli of a pair, whose covariances then do not differ;
        a one-sided test of the covariance term, right but for what estimating the means costs.
    key
        JAX random key.
    num_permutations
        Number of permutations R; no probability is below 1/(R + 1).

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        If values are missing, or there are more units than trials allow.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Phipson & Smyth (2010), Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9, 39.
    """
    check_instance("recording", recording, Recording, "fisher.Recording(responses, stimulus)")
    check_choice("question", question, QUESTIONS)
    key, count = check_key("key", key), check_integer("num_permutations", num_permutations, minimum=20)
    require(not np.isnan(recording.responses).any(), "a test needs all units in every trial (no pairwise)")
    pairs = pairs_of(recording)
    least = int(recording.num_trials[pairs.members].sum(axis=1).min())
    require(
        recording.num_units < least - 3,
        f"{recording.num_units} units need more than {recording.num_units + 3} trials in each pair, but one has "
        f"{least}; test .principal_components(k)",
    )
    data = grouped(recording, 1)
    index, steps = jnp.asarray(pairs.members), jnp.asarray(pairs.separation, data.responses.dtype)
    found, null = _program(data.responses, data.present, index, steps, key, count, question)
    statistic, null = np.asarray(found, np.float64), np.asarray(null, np.float64)
    return PermutationTest(
        pairs.middle,
        statistic,
        _probability(statistic, null, question),
        float(_probability(statistic.sum(keepdims=True), null.sum(axis=1, keepdims=True), question)[0]),
        null,
        question,
    )


def _probability(statistic: np.ndarray, null: np.ndarray, question: str) -> Float[np.ndarray, " M"]:
    above = (1 + (null >= statistic).sum(axis=0)) / (1 + len(null))
    if question != "correlations":
        return above
    below = (1 + (null <= statistic).sum(axis=0)) / (1 + len(null))
    return np.minimum(1, 2 * np.minimum(above, below))


@jax.jit(static_argnums=(5, 6))
def _program(
    responses: Array, present: Array, index: Array, steps: Array, key: Array, count: int, question: str
) -> tuple[Float[Array, " M"], Float[Array, "R M"]]:
    """Statistics of the recording, and of its permutations, one after another."""

    def of_recorded(item: tuple[Array, Array]) -> Array:
        pair, step = item
        return _statistic(Trials(responses[pair], present[pair], step), question)

    def of_permuted(permutation_key: Array) -> Array:
        if question == "correlations":
            # neighbouring pairs share trials: they are permuted once for all
            mixed = _each_unit(responses, present, permutation_key)
            return jax.lax.map(
                lambda item: _statistic(Trials(mixed[item[0]], present[item[0]], item[1]), question), pairs
            )
        keys = jax.random.split(permutation_key, len(index))

        def of_pair(item: tuple[Array, Array, Array]) -> Array:
            pair, step, own = item
            trials = Trials(responses[pair], present[pair], step)
            if question == "covariance":
                trials = trials._replace(responses=trials.responses - moments_of(trials).mean[:, None])
            return _statistic(_relabeled(trials, own), question)

        return jax.lax.map(of_pair, (index, steps, keys))

    pairs = (index, steps)
    return jax.lax.map(of_recorded, pairs), jax.lax.map(of_permuted, jax.random.split(key, count))


def _statistic(trials: Trials, question: str) -> Array:
    if question == "covariance":
        return covariance_value(moments_of(trials), trials.step)
    pair, freedom = paired(moments_of(trials), trials.step)
    direct = direct_numbers(pair, freedom)[0][0, 0]
    return direct if question == "information" else direct - shuffled_numbers(pair, freedom)[0][0, 0]


def _each_unit(responses: Array, present: Array, key: Array) -> Array:
    """Trials of every stimulus, permuted for each unit apart; padding stays where it is."""
    draws = jax.random.uniform(key, responses.shape, responses.dtype)
    order = jnp.argsort(jnp.where(present[..., None] > 0, draws, 2), axis=1)
    return jnp.take_along_axis(responses, order, axis=1)


def _relabeled(trials: Trials, key: Array) -> Trials:
    """Trials of both conditions, mixed; as many in each as there were."""
    rows, weight = trials.responses.reshape(-1, trials.responses.shape[-1]), trials.weight.ravel()
    draws = jnp.where(weight > 0, jax.random.uniform(key, weight.shape, weight.dtype), 2)
    order = jnp.argsort(draws)  # the trials that are there come first, in random order
    place = jnp.cumsum(weight).astype(int) - 1  # number of each trial among those that are there
    mixed = rows[order[jnp.where(weight > 0, place, 0)]]
    return trials._replace(responses=mixed.reshape(trials.responses.shape))
