"""Fisher information of anything that responds to a stimulus: a network, a trajectory, a trained classifier."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._errors import (
    check_callable,
    check_choice,
    check_confidence,
    check_flag,
    check_integer,
    check_key,
    check_positive,
    is_traced,
    require,
)
from fisherjax._runtime import Devices, full_precision, on_devices
from fisherjax._types import Key, Stimulus

from ._decoder import decoder
from ._direct import direct
from ._gate import FisherEstimate
from ._pathwise import gaussian_total, pathwise
from ._resampling import jackknife
from ._respond import _PROBED, Respond, as_stimulus, check_paths_continuous, check_respond, sample, sample_paths

METHODS = ("pathwise", "common", "direct", "decoder", "neural", "total")


@full_precision
def estimate(
    respond: Respond,
    stimulus: Stimulus,
    *,
    key: Key,
    num_trials: int,
    method: str = "pathwise",
    error: str = "jackknife",
    separation: float | None = None,
    robust: bool = False,
    check: bool = True,
    confidence: float = 0.95,
    devices: Devices = None,
) -> FisherEstimate:
    """Estimate the Fisher information that responses hold about a stimulus.

    Parameters
    ----------
    respond
        ``respond(stimulus, key) -> (p,)``: one noisy response. Any function that JAX can trace; for
        ``"pathwise"`` and ``"total"`` it must be differentiable in the stimulus at a fixed key.
    stimulus
        θ, a scalar, or (K,) for a Fisher matrix (``"pathwise"``, ``"common"`` and ``"total"`` only).
    key
        JAX random key.
    num_trials
        Responses drawn; for methods with two conditions, per condition.
    method
        ``"pathwise"``: exact derivatives at fixed randomness, the best choice where it is valid.
        ``"common"``: differences over `separation` at common random numbers; for responses that jump.
        ``"direct"``: differences of independent trials, as in an experiment.
        ``"decoder"``, ``"neural"``: what a held-out linear decoder, or a small network, reaches.
        ``"total"``: the Gaussian total, see `gaussian_total`; it warns.
    error
        ``"jackknife"`` (blocks of trials, no assumption on the distribution) or ``"influence"`` (that of
        `pathwise`), for ``"pathwise"`` and ``"common"``.
    separation
        Δθ of the methods that need one, the total separation.
    robust
        Whether trials far outside the rest are set aside first, as in `direct`; not for ``"total"``.
    check
        Whether to look, before a pathwise estimate, if responses jump as the stimulus changes. Two more
        evaluations of up to 512 trials; not done under jit.
    confidence
        Coverage of the interval.
    devices
        Divide the trials among devices: a number, ``"all"``, or what `fisherjax.device_mesh` takes.

    Returns
    -------
    FisherEstimate

    Raises
    ------
    ValueError
        If the responses are not vectors of finite numbers, jump with the stimulus (pathwise), or there are
        too few trials; if a separation is needed and absent.
    TypeError
        If `respond` is not callable, the responses are integers (pathwise), or `key` is not a JAX key.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from fisherjax import fisher
    >>> def respond(x, key):
    ...     return 2 * x + jax.random.normal(key, (3,))
    >>> found = fisher.estimate(respond, 0.0, key=jax.random.key(0), num_trials=500)
    >>> print(abs(found.value - 12) < 3 * found.standard_error)
    True
    """
    check_callable("respond", respond)
    check_choice("method", method, METHODS)
    check_choice("error", error, ("jackknife", "influence"))
    key, confidence = check_key("key", key), check_confidence(confidence)
    check, robust = check_flag("check", check), check_flag("robust", robust)
    require(not robust or method != "total", "robust is not for method='total', which takes all trials")
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    theta = as_stimulus(stimulus)
    _check_options(method, error, separation, theta)
    check_respond(respond, theta, key, needs_derivative=method in {"pathwise", "total"})
    with on_devices(devices):
        if method in {"pathwise", "total"}:
            keys = jax.random.split(key, num_trials)
            values, slopes = sample_paths(respond, theta, keys)
            _check_random(values)
            if check and not is_traced((values, slopes)):
                check_paths_continuous(respond, theta, keys[:_PROBED], values[:_PROBED], slopes[:_PROBED])
            if method == "total":
                return gaussian_total(values, slopes, confidence=confidence)
            return _paths(values, slopes, error, robust=robust, confidence=confidence)
        step = jnp.asarray(separation, theta.dtype)
        if method == "common":
            values, slopes = _differences(respond, theta, step, jax.random.split(key, num_trials))
            _check_random(values)
            paths = _paths(values, slopes, error, robust=robust, confidence=confidence)
            return dataclasses.replace(paths, method=f"common random numbers, {paths.method}")
        minus_key, plus_key, train_key = jax.random.split(key, 3)
        minus = sample(respond, theta - step / 2, jax.random.split(minus_key, num_trials))
        plus = sample(respond, theta + step / 2, jax.random.split(plus_key, num_trials))
        _check_random(minus)
        if method == "direct":
            return direct(minus, plus, step, robust=robust, confidence=confidence)
        kind = "neural" if method == "neural" else "held-out"
        return decoder(minus, plus, step, key=train_key, method=kind, robust=robust, confidence=confidence)


def _check_options(method: str, error: str, separation: float | None, theta: Array) -> None:
    """Refuse options that the method needs and lacks, or has no use for."""
    differs = method not in {"pathwise", "total"}
    if differs:
        require(separation is not None, f"method={method!r} needs separation, the total difference Δθ of the stimuli")
        check_positive(separation=separation)
        moves = is_traced((theta, separation)) or bool(
            jnp.all(theta + jnp.asarray(separation, theta.dtype) / 2 > theta)
        )
        require(moves, f"separation = {separation} is lost in the rounding of the stimulus; measure θ from elsewhere")
    else:
        require(separation is None, f"separation has no meaning for method={method!r}, which takes exact derivatives")
    blocks = method in {"pathwise", "common"}
    require(blocks or error == "jackknife", f"error={error!r} is for 'pathwise' and 'common', not method={method!r}")
    scalar = method in {"direct", "decoder", "neural"}
    require(not scalar or theta.ndim == 0, f"stimulus must be a scalar for method={method!r}, got shape {theta.shape}")


def _check_random(values: Array) -> None:
    """Refuse responses that are the same at every key."""
    if not is_traced(values) and len(values) > 1:
        require(
            bool(jnp.any(values != values[0])),
            "respond returns the same response for every key: information is that of noisy responses; draw the noise "
            "from the key that it is given",
        )


def _paths(values: Array, slopes: Array, error: str, *, robust: bool, confidence: float) -> FisherEstimate:
    if error == "influence":
        return pathwise(values, slopes, robust=robust, confidence=confidence)
    return jackknife(values, slopes, estimator="pathwise", robust=robust, confidence=confidence)


def _differences(respond: Respond, theta: Array, step: Array, keys: Key) -> tuple[Array, Array]:
    """Responses, and their central differences at the same keys, in place of derivatives."""

    def difference(direction: Array) -> Array:
        offset = direction * step / 2
        plus, minus = (sample(respond, theta + sign * offset, keys) for sign in (1, -1))
        return (plus - minus) / step

    values = sample(respond, theta, keys)
    if theta.ndim == 0:
        return values, difference(jnp.ones_like(theta))
    return values, jnp.stack([difference(row) for row in jnp.eye(theta.size, dtype=theta.dtype)], axis=1)
