"""Information that decoders reach on trials they were not trained on: lower bounds that need no inverse bias."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fisherjax._errors import check_choice, check_confidence, check_key, check_share, require
from fisherjax._runtime import fit_parameters, full_precision
from fisherjax._types import Key

from ._direct import diagnosis_of_pairs, direct_interval
from ._gate import FisherEstimate, check_freedom, check_invertible, check_pairs
from ._moments import active_units, degrees_of_freedom, pair_moments, without_silent
from ._trials import set_aside

METHODS = ("held-out", "diagonal", "early-stopped", "neural")
_DESCENT_STEPS = 400
_NETWORK_STEPS = 600
_EVALUATE_EVERY = 10
_WIDTH = 32


@full_precision
def decoder(
    responses_minus: Any,
    responses_plus: Any,
    separation: Any,
    *,
    key: Key,
    method: str = "held-out",
    training_share: float = 0.5,
    robust: bool = False,
    confidence: float = 0.95,
) -> FisherEstimate:
    r"""Information that a trained decoder reaches on held-out trials, with its bias removed.

    The decoder turns each response into one number y; what y holds is estimated on m validation trials per
    condition with b its slope over Δθ and v its pooled variance,

    .. math::
        I = \frac{b^2}{v} \frac{2m-4}{2m-2} - \frac{2}{mΔθ^2},

    which is `direct` for one unit: error and interval are exact for Gaussian y. No decoder can exceed the
    information of the responses, so this is a lower bound on average, also for responses that are not
    Gaussian; for a linear one, on the linear information. **The interval holds what this decoder reaches**, not
    what the responses hold: a decoder trained on few trials reaches less.

    Parameters
    ----------
    responses_minus, responses_plus
        Responses (trials, units) to θ − Δθ/2 and θ + Δθ/2; trial counts may differ.
    separation
        Δθ > 0, the total separation.
    key
        JAX random key: the division into training and validation trials, and a network's training.
    method
        ``"held-out"``: w = S⁻¹f′ from the training trials. ``"diagonal"``: w = f′_i/S_ii, correlations
        ignored in training, not in validation. ``"early-stopped"``: linear regression by gradient descent on
        one third, stopped where a second third does best, validated on the last third; for many units and
        few trials. ``"neural"``: a small network trained to discriminate the conditions (optax), whose
        log-odds y also find information that is not linear.
    training_share
        Share of trials that train; ignored by ``"early-stopped"``.
    robust
        Whether trials far outside the rest are set aside first, as in `direct`.
    confidence
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    FisherEstimate, labeled by its method.

    Raises
    ------
    ValueError
        If there are too few trials to train or validate, or as `direct`.
    TypeError
        If `key` is not a JAX key.

    References
    ----------
    Kanitscheider et al. (2015), PLoS Comput. Biol. 11, e1004218, for early stopping; Brehmer et al. (2018),
    Phys. Rev. D 98, 052004, for classifiers as statistics.
    """
    key = check_key("key", key)
    check_choice("method", method, METHODS)
    confidence = check_confidence(confidence)
    training_share = check_share("training_share", training_share, strict=True)
    minus, plus, step = check_pairs(responses_minus, responses_plus, separation)
    require(minus.ndim == 2, f"responses_minus must have shape (trials, units), got {minus.shape}")
    kept, told = set_aside(robust, minus, plus)
    minus, plus = minus[kept[0]], plus[kept[1]]
    split_key, fit_key = jax.random.split(key)
    parts = 2 if method == "early-stopped" else 1
    share = 2 / 3 if method == "early-stopped" else float(training_share)
    conditions = [
        _divide(part, split, share, parts)
        for part, split in zip((minus, plus), jax.random.split(split_key), strict=True)
    ]
    training = [parts[:-1] for parts in conditions]
    validation = [parts[-1] for parts in conditions]
    statistic = _train(method, training, step, fit_key)
    first, second, step = check_pairs(statistic(validation[0])[:, None], statistic(validation[1])[:, None], step[0])
    moments = pair_moments(first, second, step)
    check_invertible("the variance of the decoder's output", moments.covariance)
    # many responses show more of what is wrong than a few numbers that the decoder makes of them
    diagnosis = diagnosis_of_pairs(minus, plus, pair_moments(minus, plus, step).slope)
    if diagnosis is not None and math.isnan(diagnosis.kurtosis):
        diagnosis = diagnosis_of_pairs(first, second, moments.slope)
    numbers = direct_interval(moments, degrees_of_freedom(first, second), confidence, scalar=True)
    of = "what this decoder reaches, a lower bound of the information"
    return FisherEstimate(*numbers, f"{method} decoder{told}", confidence, of, diagnosis)


def _divide(trials: Array, key: Key, share: float, parts: int) -> list[Array]:
    """`parts` training sets and one validation set, trials in random order."""
    count = len(trials)
    used = math.floor(count * share)
    require(
        used >= 2 * parts and count - used >= 4,
        f"a decoder needs trials to train and at least 4 to validate in each condition; got {count} trials",
    )
    order = jax.random.permutation(key, count)
    edges = [used * index // parts for index in range(parts + 1)] + [count]
    return _parts(trials, order, tuple(edges))


@functools.partial(jax.jit, static_argnames="edges")
def _parts(trials: Array, order: Array, edges: tuple[int, ...]) -> list[Array]:
    return [trials[order[low:high]] for low, high in itertools.pairwise(edges)]


def _train(method: str, training: list[list[Array]], step: Array, key: Key) -> Callable[[Array], Array]:
    (minus, *_), (plus, *_) = training
    if method == "neural":
        return _discriminator(minus, plus, key)
    moments = pair_moments(minus, plus, step)
    if method == "early-stopped":
        weights = _descend(minus, plus, training[0][1], training[1][1])
    elif method == "diagonal":
        slope, covariance, _ = active_units(moments.slope, moments.covariance)
        weights = slope[0] / jnp.diagonal(covariance)
    else:
        check_freedom(minus.shape[1], len(minus) + len(plus) - 2, f"{len(minus)} and {len(plus)} training trials")
        # a unit that is silent in the training trials gets no weight
        slope, covariance, _ = active_units(moments.slope, moments.covariance)
        check_invertible("the covariance of the training trials", covariance)
        weights = jnp.linalg.solve(covariance, slope[0])
    return lambda responses: responses @ weights


@jax.jit
def _descend(minus: Array, plus: Array, minus_check: Array, plus_check: Array) -> Float[Array, " p"]:
    """Weights along gradient descent of the squared error of the condition, best on the checking trials."""
    center, gain = _standard(minus, plus)
    train = (jnp.concatenate([minus, plus]) - center) * gain
    check = (jnp.concatenate([minus_check, plus_check]) - center) * gain

    def labels(first: Array, second: Array) -> Array:
        return jnp.concatenate([-jnp.ones(len(first), first.dtype), jnp.ones(len(second), first.dtype)])

    target, check_target = labels(minus, plus), labels(minus_check, plus_check)
    covariance, cross = train.T @ train / len(train), train.T @ target / len(train)
    rate = 1 / jnp.linalg.norm(covariance, ord=2)

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        weights, best, lowest = carry
        weights = weights + rate * (cross - covariance @ weights)
        loss = jnp.mean((check @ weights - check_target) ** 2)
        return (weights, jnp.where(loss < lowest, weights, best), jnp.minimum(loss, lowest)), None

    start = (jnp.zeros_like(cross), rate * cross, jnp.asarray(jnp.inf, cross.dtype))
    (_, best, _), _ = jax.lax.scan(step, start, length=_DESCENT_STEPS)
    return best * gain


def _standard(minus: Array, plus: Array) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Mean and one over the deviation of each unit; zero for one that never varies but for rounding."""
    both = jnp.concatenate([minus, plus])
    center, variance = jnp.mean(both, axis=0), jnp.var(both, axis=0)
    varies = jnp.diagonal(without_silent(jnp.diag(variance), jnp.mean(both**2, axis=0))) > 0
    return center, jnp.where(varies, 1 / jnp.sqrt(jnp.where(varies, variance, 1)), 0)


def _discriminator(minus: Array, plus: Array, key: Key) -> Callable[[Array], Array]:
    """Log-odds of the second condition by a network, trained on four fifths and stopped on the last fifth."""
    start_key, fit_key = jax.random.split(key)
    center, gain = _standard(minus, plus)
    parts = [((part - center) * gain) for part in (minus, plus)]
    train, check = [part[len(part) // 5 :] for part in parts], [part[: max(1, len(part) // 5)] for part in parts]
    network = eqx.nn.MLP(minus.shape[1], "scalar", _WIDTH, 2, activation=jax.nn.gelu, dtype=minus.dtype, key=start_key)

    fit = fit_parameters(
        network,
        jax.tree_util.Partial(_batch_loss, train),
        fit_key,
        optimizer=_decayed(),
        num_steps=_NETWORK_STEPS,
        held_out=jax.tree_util.Partial(_log_loss, check),
        evaluate_every=_EVALUATE_EVERY,
        title="the neural decoder",
    )
    return lambda responses: jax.vmap(fit.best)((responses - center) * gain)


def _log_loss(pair: list[Array], network: eqx.nn.MLP) -> Array:
    """Of the log-odds for responses to either condition."""
    minus, plus = (jax.vmap(network)(part) for part in pair)
    return jnp.mean(jax.nn.softplus(minus)) + jnp.mean(jax.nn.softplus(-plus))


def _batch_loss(train: list[Array], network: eqx.nn.MLP, batch_key: Array) -> Array:
    keys = jax.random.split(batch_key)
    batch = [part[jax.random.randint(k, (128,), 0, len(part))] for part, k in zip(train, keys, strict=True)]
    return _log_loss(batch, network)


@functools.cache
def _decayed() -> optax.GradientTransformation:
    """One instance, so that a second decoder finds the first one's compiled program."""
    return optax.adamw(optax.cosine_decay_schedule(3e-3, _NETWORK_STEPS), weight_decay=1e-3)
