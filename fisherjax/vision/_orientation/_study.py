"""What networks that were trained to read orientations know of them, where, and how well it can be estimated."""

import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax import fisher
from fisherjax._errors import (
    as_path,
    check_callable,
    check_choice,
    check_instance,
    check_integer,
    check_key,
    check_scalar,
    require,
)
from fisherjax._runtime import check_settings, digest, read_checkpoint, write_checkpoint
from fisherjax._types import Key, Record
from fisherjax.datasets import grating_moments
from fisherjax.fisher import FisherEstimate
from fisherjax.fisher._cramer_rao import CramerRao
from fisherjax.fisher._profile import InformationProfile

from ._orientation import AngleLoss, AngleTraining, Frozen, decode_angle, respond_to_gratings, train_angle_network

_ANGLE = math.pi / 4  # at which methods are compared
_SEPARATION = 0.1  # of those methods that need one
_SEPARATIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
_TRIALS = (100, 200, 400, 800)

Respond = Callable[[Any, Any], Any]


class OrientationCase(Record):
    """A network trained in one way, and what its two outputs know of the orientation.

    Parameters
    ----------
    loss, concentration, frozen
        How it was trained, as of `vision.train_angle_network`.
    training
        The network, and the loss of each step.
    profile
        Linear Fisher information of the outputs against orientation, in 1/rad².
    means, covariances
        Of the outputs at each of these orientations (M, 2), (M, 2, 2).
    bound
        Bias and variance of the decoder ½ atan2, and the least variance that this bias allows.
    share
        Of the linear information of the images themselves, mean over orientations.
    settings
        What a file of this case must agree in to be gone on from.
    """

    loss: str
    concentration: float
    frozen: str
    training: AngleTraining
    profile: InformationProfile
    means: Float[Array, "M 2"]
    covariances: Float[Array, "M 2 2"]
    bound: CramerRao
    share: float
    settings: dict[str, Any]

    @property
    def label(self) -> str:
        """How it was trained, in words."""
        angles = "all angles alike" if self.concentration == 0 else f"angles κ = {self.concentration:g}"
        kept = {"none": "", "first": ", first layer frozen", "hidden": ", hidden layers frozen"}
        return f"{self.loss}, {angles}{kept[self.frozen]}"


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


class OrientationStudy(Record):
    """Networks trained in several ways, and for the first of them estimates of the same information by all methods.

    Parameters
    ----------
    cases
        One per loss, concentration and frozen part.
    estimates
        By several methods, at θ = 45°.
    variance
        Of three of them over many data sets; None where none were asked for.
    """

    cases: tuple[OrientationCase, ...]
    estimates: dict[str, FisherEstimate]
    variance: EstimatorVariance | None = None


def orientation_study(
    *,
    key: Key,
    size: int = 21,
    num_steps: int = 4000,
    losses: Sequence[AngleLoss] = ("cosine",),
    concentrations: Sequence[float] = (0.0,),
    frozen: Sequence[Frozen] = ("none",),
    num_angles: int = 100,
    relative_error: float = 0.03,
    max_trials: int = 2_000_000,
    num_trials: int = 2000,
    num_decoded: int = 1000,
    num_replicates: int = 120,
    folder: str | os.PathLike[str] | None = None,
    callback: Callable[[str], object] | None = None,
) -> OrientationStudy:
    """Train networks to read the orientation of noisy gratings, and ask what their outputs know, and how one tells.

    Every loss, with every concentration of the training angles about θ = 0, with every part frozen: networks that start
    from the same weights. Their outputs are the response, not the decoded angle, whose information is less.

    Parameters
    ----------
    key
        JAX random key.
    size, num_steps
        Side of the images, and steps of Adam.
    losses, concentrations, frozen
        Of `vision.train_angle_network`.
    num_angles, relative_error, max_trials
        Angles of the profile, its target standard error, and all trials of one at most.
    num_trials
        Of the methods that are compared.
    num_decoded
        Trials at each angle for the error of the decoder.
    num_replicates
        Data sets for the variance of estimates; 0 for no such study.
    folder
        Where every case is kept as ``case-*.npz`` when it is done; those that are there are not computed again.
    callback
        Called with what is done next.

    Raises
    ------
    ValueError
        If a number is out of range, a word unknown, or a file is of other settings.
    TypeError
        If `key` is not a JAX key, or an argument is something else.
    """
    train_key, profile_key, sample_key, method_key, study_key = jax.random.split(check_key("key", key), 5)
    size = check_integer("size", size, minimum=2)
    num_steps = check_integer("num_steps", num_steps, minimum=1)
    check_scalar("relative_error", relative_error, minimum=0.0, strict=True)
    max_trials = check_integer("max_trials", max_trials, minimum=1)
    num_trials = check_integer("num_trials", num_trials, minimum=2)
    num_angles = check_integer("num_angles", num_angles, minimum=3)
    num_decoded = check_integer("num_decoded", num_decoded, minimum=2)
    num_replicates = check_integer("num_replicates", num_replicates, minimum=0)
    require(num_replicates == 0 or num_replicates > 2, f"num_replicates must be 0 or above 2, got {num_replicates}")
    tell = (lambda _: None) if callback is None else check_callable("callback", callback)
    ways = _ways(losses, concentrations, frozen)
    settings = {"size": size, "num_steps": num_steps, "num_angles": num_angles, "relative_error": relative_error}
    settings |= {"max_trials": max_trials, "num_decoded": num_decoded, "key": digest(jax.random.key_data(key))}
    place = None if folder is None else as_path("folder", folder)
    keys = (train_key, profile_key, sample_key)
    cases = tuple(_case(*way, keys=keys, settings=settings, folder=place, tell=tell) for way in ways)
    respond = _response(cases[0].training)
    tell("comparing methods")
    estimates = _methods(respond, num_trials, method_key)
    variance = None
    if num_replicates:
        tell("where the variance comes from")
        variance = estimator_variance(respond, jax.random.split(study_key, num_replicates))
    return OrientationStudy(cases, estimates, variance)


def _ways(losses: Any, concentrations: Any, frozen: Any) -> list[tuple[Any, float, Any]]:
    """All ways of training, checked before the first network is trained."""
    for name, words, known in (("losses", losses, get_args(AngleLoss)), ("frozen", frozen, get_args(Frozen))):
        for word in check_instance(name, words, Sequence, f"a list of {', '.join(known)}"):
            check_choice(name, word, known)
    for number in check_instance("concentrations", concentrations, Sequence, "a list of numbers"):
        check_scalar("concentrations", number, minimum=0.0)
    ways: list[Any] = list(itertools.product(losses, map(float, concentrations), frozen))
    require(len(ways) > 0, "losses, concentrations and frozen must each hold at least one")
    return ways


def _response(training: AngleTraining) -> Respond:
    """In float32: sampling errors are percents."""
    return respond_to_gratings(jax.tree.map(lambda x: x.astype(jnp.float32), training.network))


def _case(
    loss: Any,
    concentration: float,
    frozen: Any,
    *,
    keys: tuple[Key, Key, Key],
    settings: dict[str, Any],
    folder: Path | None,
    tell: Callable[[str], object],
) -> OrientationCase:
    """One network: from its file, if there is one, or trained and sampled."""
    path = None if folder is None else folder / f"case-{loss}-{concentration:g}-{frozen}.npz"
    done = None if path is None else read_checkpoint(OrientationCase, path, resume=True)
    if done is not None:
        check_settings(done.settings, settings, path or "")
        return done
    train_key, profile_key, sample_key = keys
    tell(f"training the network ({loss}, κ = {concentration:g}, frozen: {frozen})")
    size, options = settings["size"], {"loss": loss, "concentration": concentration, "frozen": frozen}
    training = train_angle_network(key=train_key, size=size, num_steps=settings["num_steps"], **options)
    tell("sampling the profile")
    respond = _response(training)
    angles = jnp.linspace(0, jnp.pi, settings["num_angles"], endpoint=False, dtype=jnp.float32)
    sampled = {name: settings[name] for name in ("relative_error", "max_trials")}
    profile = fisher.information_profile(respond, angles, key=profile_key, **sampled)
    tell("decoding")
    means, covariances, bound = _decoded(respond, profile, settings["num_decoded"], sample_key)
    share = float(np.mean(np.asarray(profile.value) / image_information(angles, size)))
    case = OrientationCase(
        loss, concentration, frozen, training, profile, means, covariances, bound, share, settings
    )  # fmt: skip
    if path is not None:
        write_checkpoint(case, path)
    return case


def _decoded(respond: Respond, profile: InformationProfile, trials: int, key: Key) -> tuple[Array, Array, CramerRao]:
    """Mean and covariance of the outputs at each angle, and the decoder's error."""
    angles = profile.stimuli
    keys = jax.random.split(key, (len(angles), trials))
    draw = jax.vmap(respond, in_axes=(None, 0))
    values = jax.lax.map(lambda pair: draw(*pair), (angles, keys))
    covariances = jax.vmap(lambda part: jnp.cov(part.T))(values)
    bound = fisher.cramer_rao(decode_angle(values), angles, profile.value, period=np.pi)
    return jnp.mean(values, axis=1), covariances, bound


def image_information(angles: Float[Array, " M"], size: int) -> Float[np.ndarray, " M"]:
    """Linear information of the images themselves, exact: Σ (∂⟨pixel⟩/∂θ)² / variance, pixels being independent."""

    def at(angle: Array) -> Array:
        moments = functools.partial(grating_moments, size=size)
        (_, variance), (slope, _) = jax.jvp(moments, (angle,), (jnp.ones_like(angle),))
        return jnp.sum(jnp.where(variance > 0, slope**2 / jnp.where(variance > 0, variance, 1), 0))

    return np.asarray(jax.lax.map(at, angles))


def _methods(respond: Respond, trials: int, key: Key) -> dict[str, FisherEstimate]:
    names: dict[str, dict[str, Any]] = {
        "pathwise": {},
        "common random numbers": {"method": "common", "separation": _SEPARATION},
        "direct": {"method": "direct", "separation": _SEPARATION},
        "held-out decoder": {"method": "decoder", "separation": _SEPARATION},
        "neural decoder": {"method": "neural", "separation": _SEPARATION},
    }
    angle = jnp.asarray(_ANGLE, jnp.float32)
    return {
        name: fisher.estimate(respond, angle, key=key, num_trials=trials, **options) for name, options in names.items()
    }


def estimator_variance(
    respond: Respond, keys: Array, separations: tuple[float, ...] = _SEPARATIONS, num_trials: tuple[int, ...] = _TRIALS
) -> EstimatorVariance:
    """Bias and spread of three estimates over many data sets, one per key, against the step and against the trials.

    All have the same number of evaluations: T in each of two conditions, or 2T with their derivatives.
    """
    angle = jnp.asarray(_ANGLE, jnp.float32)
    middle_trials, middle_step = num_trials[len(num_trials) // 2], separations[len(separations) // 2]

    @functools.cache
    def differences(step: float, trials: int) -> dict[str, np.ndarray]:
        values = _by_differences(respond, angle, jnp.asarray(step, jnp.float32), keys, trials)
        return dict(zip(("direct", "common random numbers"), map(np.asarray, values), strict=True))

    exact = {trials: np.asarray(_by_derivatives(respond, angle, keys, trials)) for trials in num_trials}
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


@jax.jit(static_argnums=(0, 4))
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


@jax.jit(static_argnums=(0, 3))
def _by_derivatives(respond: Respond, angle: Array, keys: Array, trials: int) -> Array:
    """Pathwise estimates, one per data set."""

    def estimate(key: Array) -> Array:
        path_keys = jax.random.split(jax.random.split(key, 3)[2], 2 * trials)
        paths = jax.vmap(lambda k: jax.jvp(lambda a: respond(a, k), (angle,), (jnp.ones_like(angle),)))
        return fisher.pathwise(*paths(path_keys)).value

    return jax.lax.map(estimate, keys)
