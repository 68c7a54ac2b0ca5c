"""Is there information at all, and do noise correlations matter? Tests by permutation of trials."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_integer, check_key, is_traced, require
from fisherjax._runtime import full_precision
from fisherjax._types import Key, Record

from ._pairs import Trials, as_recording, grouped, map_pairs, moments_of, paired, pairs_of
from ._recording import Recording
from ._values import covariance_value, direct_numbers, shuffled_numbers

_LAST = 2.0**20  # a block beyond all
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
    """for all pairs together, of the sum of their statistics under permutations among all stimuli: one test, which
    needs no correction for many"""
    null: Float[np.ndarray, "R M"]
    """statistics of permutations within each pair"""
    question: str = eqx.field(static=True)


@full_precision
def permutation_test(
    recording: Recording, question: str = "information", *, key: Key, num_permutations: int = 500
) -> PermutationTest:
    """Test for information, for what noise correlations do to it, or for a covariance that changes, by permutation.

    Parameters
    ----------
    recording
        Trials at two or more stimuli.
    question
        ``"information"``: stimuli are permuted among trials, whose responses then have one law; a one-sided test, exact
        where responses of all stimuli differ in their means alone (with unequal trial numbers, unequal covariances are
        taken for information too). ``"correlations"``: every unit's trials of a stimulus are permuted apart, which
        leaves tuning and variances as they are and no correlations; a two-sided test of direct − shuffled.
        ``"covariance"``: the deviations from the means are permuted between stimuli, whose covariances then do not
        differ; a one-sided test of the covariance term, right but for what estimating the means costs.
    key
        JAX random key. Trials of a recording with blocks are permuted within their blocks only.
    num_permutations
        Number of permutations R; no probability is below 1/(R + 1).

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        If values are missing, there are more units than trials allow, or no block holds two stimuli.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Phipson & Smyth (2010), Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9, 39.
    """
    as_recording("recording", recording, whole="tests")
    check_choice("question", question, QUESTIONS)
    key, count = check_key("key", key), check_integer("num_permutations", num_permutations, minimum=20)
    if is_traced(key):
        raise TypeError("key must be a concrete key, not a traced one: call this outside of jit, grad and vmap")
    pairs = pairs_of(recording)
    least = int(recording.num_trials[pairs.members].sum(axis=1).min())
    require(
        recording.num_units < least - 3,
        f"{recording.num_units} units need more than {recording.num_units + 3} trials in each pair, but one has "
        f"{least}; test .principal_components(k)",
    )
    data = grouped(recording, 1)
    index, steps = pairs.arrays(data.responses.dtype)
    block = jnp.asarray(data.block)
    if recording.block is not None and question != "correlations":
        mixed = any(len(np.unique(recording.stimulus[recording.block == code])) > 1 for code in range(data.num_blocks))
        require(mixed, "block: every block holds one stimulus, so that nothing can be permuted within blocks")
    found, null, every = _program(data.responses, data.present, block, index, steps, key, count, question)
    statistic, null, every = (np.asarray(part, np.float64) for part in (found, null, every))
    return PermutationTest(
        pairs.middle,
        statistic,
        _probability(statistic, null, question),
        float(_probability(statistic.sum(keepdims=True), every.sum(axis=1, keepdims=True), question)[0]),
        null,
        question,
    )


def _probability(statistic: np.ndarray, null: np.ndarray, question: str) -> Float[np.ndarray, " M"]:
    above = (1 + (null >= statistic).sum(axis=0)) / (1 + len(null))
    if question != "correlations":
        return above
    below = (1 + (null <= statistic).sum(axis=0)) / (1 + len(null))
    return np.minimum(1, 2 * np.minimum(above, below))


@jax.jit(static_argnums=(6, 7))
def _program(
    responses: Array, present: Array, block: Array, index: Array, steps: Array, key: Array, count: int, question: str
) -> tuple[Float[Array, " M"], Float[Array, "R M"], Float[Array, "R M"]]:
    """Statistics of the recording, of permutations within each pair, and of permutations among all stimuli."""

    def of_all(responses: Array) -> Float[Array, " M"]:
        return map_pairs(responses, present, index, steps, lambda trials: _statistic(trials, question))

    def of_units(permutation_key: Array) -> tuple[Array, Array]:
        found = of_all(_each_unit(responses, present, block, permutation_key))
        return found, found

    def of_stimuli(permutation_key: Array) -> tuple[Array, Array]:
        pair_key, whole_key = jax.random.split(permutation_key)

        def of_pair(item: tuple[Array, Array, Array]) -> Array:
            pair, step, own = item
            mixed = _relabeled(shown[pair], present[pair], block[pair], own)
            return _statistic(Trials(mixed, present[pair], step), question)

        within = jax.lax.map(of_pair, (index, steps, jax.random.split(pair_key, len(index))))
        return within, of_all(_relabeled(shown, present, block, whole_key))

    shown = responses
    if question == "covariance":
        mean = jnp.einsum("kt,kti->ki", present, responses) / jnp.sum(present, axis=1)[:, None]
        shown = responses - mean[:, None]
    permuted = of_units if question == "correlations" else of_stimuli
    return of_all(responses), *jax.lax.map(permuted, jax.random.split(key, count))


def _statistic(trials: Trials, question: str) -> Array:
    if question == "covariance":
        return covariance_value(moments_of(trials), trials.step)
    pair, freedom = paired(moments_of(trials), trials.step)
    direct = direct_numbers(pair, freedom)[0][0, 0]
    return direct if question == "information" else direct - shuffled_numbers(pair, freedom)[0][0, 0]


def _each_unit(responses: Array, present: Array, block: Array, key: Array) -> Array:
    """Trials of every stimulus and block, permuted for each unit apart; padding stays where it is."""
    draws = jax.random.uniform(key, responses.shape, responses.dtype)
    group = jnp.where(present > 0, block.astype(draws.dtype), _LAST)[..., None]
    slots = jnp.broadcast_to(jnp.argsort(group, axis=1, stable=True), responses.shape)
    order = jnp.argsort(group + draws, axis=1)
    mixed = jnp.take_along_axis(responses, order, axis=1)
    return jnp.put_along_axis(responses, slots, mixed, axis=1, inplace=False)


def _relabeled(responses: Array, present: Array, block: Array, key: Array) -> Array:
    """Trials of several stimuli (K, T, p), mixed within each block; as many of each stimulus as there were."""
    rows, weight = responses.reshape(-1, responses.shape[-1]), present.ravel()
    group = jnp.where(weight > 0, block.ravel().astype(weight.dtype), _LAST)  # padding comes last
    slots = jnp.argsort(group, stable=True)
    order = jnp.argsort(group + jax.random.uniform(key, weight.shape, weight.dtype))
    return jnp.zeros_like(rows).at[slots].set(rows[order]).reshape(responses.shape)
