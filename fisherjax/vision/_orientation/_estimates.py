"""The same information by several methods, and where the variance of an estimate comes from."""

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax import fisher
from fisherjax._types import Key, Record
from fisherjax.fisher import FisherEstimate

from ._stimuli import Respond

_SEPARATION = 0.1  # of the methods that need one
_SEPARATIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
_TRIALS = (100, 200, 400, 800)


def estimates_by_method(
    respond: Respond, angle: float, trials: int, key: Key, *, robust: bool
) -> dict[str, FisherEstimate]:
    """Estimates at one angle; with `robust` two of them also with outlying trials set aside."""
    differences: dict[str, Any] = {"separation": _SEPARATION}
    names: dict[str, dict[str, Any]] = {
        "pathwise": {},
        "common random numbers": {"method": "common", **differences},
        "direct": {"method": "direct", **differences},
        "held-out decoder": {"method": "decoder", **differences},
        "neural decoder": {"method": "neural", **differences},
    }
    if robust:
        names |= {f"{name}, robust": {**names[name], "robust": True} for name in ("pathwise", "direct")}
    theta = jnp.asarray(angle, jnp.float32)
    return {
        name: fisher.estimate(respond, theta, key=key, num_trials=trials, check=False, **options)
        for name, options in names.items()
    }


class EstimatorVariance(Record):
    """Relative bias and spread of estimates over many data sets, by method, each with its standard error.

    Parameters
    ----------
    separations, num_trials
        Steps of the differences, at the middle of the numbers of trials; numbers of trials, at the middle step.
    num_replicates
        Data sets, independent of each other.
    bias, spread
        Mean and standard deviation over data sets, relative to the truth, against the step (2, steps).
    spread_by_trials
        The same against trials (2, numbers).
    """

    separations: tuple[float, ...]
    num_trials: tuple[int, ...]
    num_replicates: int
    bias: dict[str, Float[np.ndarray, "2 steps"]]
    spread: dict[str, Float[np.ndarray, "2 steps"]]
    spread_by_trials: dict[str, Float[np.ndarray, "2 numbers"]]


def estimator_variance(
    respond: Respond,
    angle: float,
    keys: Array,
    separations: tuple[float, ...] = _SEPARATIONS,
    num_trials: tuple[int, ...] = _TRIALS,
) -> EstimatorVariance:
    """Bias and spread of three estimates over many data sets, one per key, against the step and against the trials.

    All have the same number of evaluations: T in each of two conditions, or 2T with their derivatives.
    """
    theta = jnp.asarray(angle, jnp.float32)
    middle_trials, middle_step = num_trials[len(num_trials) // 2], separations[len(separations) // 2]

    @functools.cache
    def differences(step: float, trials: int) -> dict[str, np.ndarray]:
        values = _by_differences(respond, theta, jnp.asarray(step, jnp.float32), keys, trials)
        return dict(zip(("direct", "common random numbers"), map(np.asarray, values), strict=True))

    exact = {trials: np.asarray(_by_derivatives(respond, theta, keys, trials)) for trials in num_trials}
    by_step = [differences(step, middle_trials) | {"pathwise": exact[middle_trials]} for step in separations]
    by_trials = [differences(middle_step, trials) | {"pathwise": exact[trials]} for trials in num_trials]
    # exact derivatives are unbiased whatever their number of trials
    means = np.array([part.mean(dtype=np.float64) for part in exact.values()])
    truth = float(means.mean())
    truth_error = math.hypot(*(part.std(ddof=1) / math.sqrt(len(part)) for part in exact.values())) / len(means)

    def bias(values: np.ndarray) -> tuple[float, float]:
        # an upper bound where the estimates are among those that the truth is the mean of
        mean, error = values.mean() / truth, values.std(ddof=1) / math.sqrt(len(values))
        return float(mean - 1), math.hypot(error, mean * truth_error) / truth

    def spread(values: np.ndarray) -> tuple[float, float]:
        deviation, error = _deviation(values)
        return deviation / truth, error / truth

    return EstimatorVariance(
        separations, num_trials, len(keys), _along(by_step, bias), _along(by_step, spread), _along(by_trials, spread)
    )


def _along(
    parts: list[dict[str, np.ndarray]], statistic: Callable[[np.ndarray], tuple[float, float]]
) -> dict[str, np.ndarray]:
    """A statistic and its error along data sets, by method (2, n)."""
    return {name: np.array([statistic(part[name].astype(np.float64)) for part in parts]).T for name in parts[0]}


def _deviation(values: np.ndarray) -> tuple[float, float]:
    """Standard deviation, with the error that its jackknife gives whatever the distribution."""
    count, squares = len(values), (values - values.mean()) ** 2
    # the sum of squares without one value about the mean of the others
    without = np.sqrt((squares.sum() - squares * count / (count - 1)) / (count - 2))
    error = math.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2))
    return float(values.std(ddof=1)), error


@eqx.filter_jit
def _by_differences(respond: Respond, angle: Array, step: Array, keys: Array, trials: int) -> tuple[Array, Array]:
    """Estimates from independent trials, and from common random numbers, one per data set."""
    draw = jax.vmap(respond, in_axes=(None, 0))

    def estimates(key: Array) -> tuple[Array, Array]:
        first, second, _ = jax.random.split(key, 3)
        minus_keys = jax.random.split(first, trials)
        minus, shared = draw(angle - step / 2, minus_keys), draw(angle + step / 2, minus_keys)
        plus = draw(angle + step / 2, jax.random.split(second, trials))
        common = fisher.pathwise((minus + shared) / 2, (shared - minus) / step)
        return fisher.direct(minus, plus, step).value, common.value

    return jax.lax.map(estimates, keys)


@eqx.filter_jit
def _by_derivatives(respond: Respond, angle: Array, keys: Array, trials: int) -> Array:
    """Pathwise estimates, one per data set."""

    def estimate(key: Array) -> Array:
        path_keys = jax.random.split(jax.random.split(key, 3)[2], 2 * trials)
        paths = jax.vmap(lambda k: jax.jvp(lambda a: respond(a, k), (angle,), (jnp.ones_like(angle),)))
        return fisher.pathwise(*paths(path_keys)).value

    return jax.lax.map(estimate, keys)
