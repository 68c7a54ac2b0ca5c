"""The orientation study: train a network on gratings, sample what its outputs know, and compare the methods."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import datasets, fisher, vision
from fisherjax.fisher._cramer_rao import CramerRao
from fisherjax.fisher._profile import InformationProfile
from fisherjax.plot._pages import save_angle_study, save_estimates, save_variance_study
from fisherjax.report import Figure, Section, Table
from fisherjax.vision._orientation_training import AngleTraining

from ._arguments import Estimate
from ._session import Session
from ._shared import ESTIMATE_HEADER, estimate_rows, write_report

_SEPARATIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
_TRIALS = (100, 200, 400, 800)
_REPLICATES = 120
_DECODED = 1000  # trials at each angle for the decoder's error

Respond = Callable[[Any, Any], Any]


class _Variance(NamedTuple):
    """Relative bias and spread of estimates over many data sets, by method, each with its standard error."""

    bias: dict[str, tuple[np.ndarray, np.ndarray]]  # along the separations
    spread: dict[str, tuple[np.ndarray, np.ndarray]]  # along the separations
    spread_by_trials: dict[str, tuple[np.ndarray, np.ndarray]]


class _Found(NamedTuple):
    """Everything the study computes."""

    trained: AngleTraining
    profile: InformationProfile
    means: jax.Array
    covariances: jax.Array
    bound: CramerRao
    share: float  # of the linear information of the images
    estimates: dict[str, fisher.FisherEstimate]
    variance: _Variance


def run_orientation_study(command: Estimate, session: Session) -> None:
    """Train, sample, decode, compare, write."""
    found = _examine(command, session)
    with session.stage("drawing"):
        figures = _draw(session.folder, found)
    _write(session, found)
    write_report(session, "Fisher information of a trained network", _sections(command, found, figures))
    mean = float(jnp.mean(found.profile.value))
    print(f"mean information {mean:.4g} rad⁻², {100 * found.share:.0f} % of the image's linear one")


def _examine(command: Estimate, session: Session) -> _Found:
    train_key, profile_key, sample_key, method_key, study_key = jax.random.split(jax.random.key(command.seed), 5)
    with session.stage("training the network"):
        trained = vision.train_angle_network(key=train_key, size=command.size, num_steps=command.training_steps)
        trained.save(session.folder / "network.npz")
    # sampling needs no float64: its errors are percents
    respond = vision.respond_to_gratings(jax.tree.map(lambda x: x.astype(jnp.float32), trained.network))
    angles = jnp.linspace(0, jnp.pi, command.angles, endpoint=False, dtype=jnp.float32)
    with session.stage("sampling the profile"):
        profile = fisher.information_profile(
            respond, angles, key=profile_key, relative_error=command.relative_error, max_trials=command.budget
        )
        profile.save(session.folder / "profile.npz")
    with session.stage("decoding"):
        decoded = _responses(respond, profile, sample_key)
        share = float(np.mean(np.asarray(profile.value) / _image_information(angles, command.size)))
    with session.stage("comparing methods"):
        estimates = _methods(respond, command.trials, method_key)
    with session.stage("where the variance comes from"):
        variance = _variance_study(respond, study_key)
    return _Found(trained, profile, *decoded, share, estimates, variance)


def _draw(folder: Path, found: _Found) -> dict[str, Path]:
    return {
        "orientation": save_angle_study(
            folder / "orientation.png", found.profile, found.means, found.covariances, found.bound, found.share
        ),
        "methods": save_estimates(folder / "methods.png", found.estimates),
        "variance": save_variance_study(
            folder / "variance.png",
            _SEPARATIONS,
            found.variance.spread,
            found.variance.bias,
            _TRIALS,
            found.variance.spread_by_trials,
        ),
    }


def _write(session: Session, found: _Found) -> None:
    profile = found.profile
    session.write_table(ESTIMATE_HEADER, estimate_rows(found.estimates))
    session.write_results(
        {
            "final_loss": jnp.mean(found.trained.loss[-100:]),
            "mean_information": jnp.mean(profile.value),
            "share_of_image_information": found.share,
            "decoder_efficiency": jnp.mean(found.bound.efficiency),
            "converged": profile.converged,
            "total_trials": profile.total_trials,
            "estimates": {name: one.value for name, one in found.estimates.items()},
        }
    )
    session.write_arrays(
        angles=profile.stimuli, information=profile.value, error=profile.standard_error, means=found.means
    )
    session.write_manifest()


def _sections(command: Estimate, found: _Found, figures: dict[str, Path]) -> list[Section]:
    profile, reached = found.profile, float(jnp.mean(found.profile.converged))
    efficiency = float(jnp.mean(found.bound.efficiency))
    return [
        Section(
            "Information about orientation",
            [
                (
                    f"A network {command.size}² → {command.size} → 20 → 2 was trained on noisy gratings to point along "
                    "(cos 2θ, sin 2θ). Its two outputs, not the decoded angle, are the response."
                ),
                (
                    f"{int(profile.total_trials)} trials at {command.angles} angles; the target error of "
                    f"{100 * command.relative_error:g} % was reached at {100 * reached:.0f} % of them."
                ),
                (
                    f"The output holds {100 * found.share:.0f} % of the image's linear information. The least "
                    f"variance that its bias allows is {100 * efficiency:.0f} % of the variance of the decoder ½ atan2."
                ),
            ],
            [Figure(figures["orientation"], "Polar: information against orientation, band ± one standard error.")],
        ),
        Section(
            "The same information by several methods",
            [f"At θ = 45°, {command.trials} trials (per condition where there are two, Δθ = 0.1)."],
            [
                Table(ESTIMATE_HEADER, estimate_rows(found.estimates)),
                Figure(figures["methods"], "Estimates of the same information."),
            ],
        ),
        Section(
            "Where the variance comes from",
            [
                (
                    "Differences over a step trade the bias of a large step for the noise of a small one. Common "
                    "random numbers remove most of that noise, exact derivatives the step as well. What is left, "
                    "√(2/ν), is the covariance's own, which no estimate of the derivative changes. All methods have "
                    "the same number of evaluations, T per condition or 2T in all."
                )
            ],
            [
                Figure(
                    figures["variance"],
                    f"Over {_REPLICATES} independent data sets each, θ = 45°. Bars: one standard error.",
                )
            ],
        ),
    ]


def _responses(respond: Respond, profile: InformationProfile, key: jax.Array) -> tuple[jax.Array, jax.Array, CramerRao]:
    """Mean and covariance of the outputs at each angle, and the decoder's error."""
    angles = profile.stimuli
    keys = jax.random.split(key, (len(angles), _DECODED))
    draw = jax.vmap(respond, in_axes=(None, 0))
    values = jax.lax.map(lambda pair: draw(*pair), (angles, keys))
    covariances = jax.vmap(lambda part: jnp.cov(part.T))(values)
    bound = fisher.cramer_rao(vision.decode_angle(values), angles, profile.value, period=np.pi)
    return jnp.mean(values, axis=1), covariances, bound


def _image_information(angles: jax.Array, size: int) -> np.ndarray:
    """Linear information of the images themselves, exact."""

    def one(angle: jax.Array) -> jax.Array:
        def moments(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
            return datasets.grating_moments(theta, size=size)

        (_, variance), (slope, _) = jax.jvp(moments, (angle,), (jnp.ones_like(angle),))
        return jnp.sum(jnp.where(variance > 0, slope**2 / jnp.where(variance > 0, variance, 1), 0))

    return np.asarray(jax.lax.map(one, angles))


def _methods(respond: Respond, trials: int, key: jax.Array) -> dict[str, fisher.FisherEstimate]:
    names = {
        "pathwise": {},
        "common random numbers": {"method": "common", "separation": 0.1},
        "direct": {"method": "direct", "separation": 0.1},
        "held-out decoder": {"method": "decoder", "separation": 0.1},
        "neural decoder": {"method": "neural", "separation": 0.1},
    }
    angle = jnp.asarray(np.pi / 4, jnp.float32)
    return {
        name: fisher.estimate(respond, angle, key=key, num_trials=trials, **options) for name, options in names.items()
    }


def _variance_study(respond: Respond, key: jax.Array) -> _Variance:
    """Bias and spread of three estimates over many data sets, against the step and against the trials.

    All have the same number of evaluations: T in each of two conditions, or 2T with their derivatives.
    """
    angle = jnp.asarray(np.pi / 4, jnp.float32)
    keys = jax.random.split(key, _REPLICATES)
    middle_trials, middle_step = _TRIALS[len(_TRIALS) // 2], _SEPARATIONS[len(_SEPARATIONS) // 2]

    @functools.cache
    def differences(step: float, trials: int) -> dict[str, np.ndarray]:
        found = _by_differences(respond, angle, jnp.asarray(step, jnp.float32), keys, trials)
        return dict(zip(("direct", "common random numbers"), map(np.asarray, found), strict=True))

    exact = {trials: np.asarray(_by_derivatives(respond, angle, keys, trials)) for trials in _TRIALS}
    by_step = [differences(step, middle_trials) | {"pathwise": exact[middle_trials]} for step in _SEPARATIONS]
    by_trials = [differences(middle_step, trials) | {"pathwise": exact[trials]} for trials in _TRIALS]
    means = np.array([part.mean(dtype=np.float64) for part in exact.values()])
    truth = float(means.mean())
    truth_error = math.hypot(*(part.std(ddof=1) / math.sqrt(_REPLICATES) for part in exact.values())) / len(means)

    def along(
        parts: list[dict[str, np.ndarray]], statistic: Callable[[np.ndarray], tuple[float, float]]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        pairs = {name: np.array([statistic(part[name].astype(np.float64)) for part in parts]) for name in parts[0]}
        return {name: (pair[:, 0], pair[:, 1]) for name, pair in pairs.items()}

    def bias(values: np.ndarray) -> tuple[float, float]:
        # an upper bound where the estimates are among those that the truth is the mean of
        mean, error = values.mean() / truth, values.std(ddof=1) / math.sqrt(len(values))
        return float(mean - 1), math.hypot(error, mean * truth_error) / truth

    def spread(values: np.ndarray) -> tuple[float, float]:
        """Standard deviation, with the error that its jackknife gives whatever the distribution."""
        count, squares = len(values), (values - values.mean()) ** 2
        without = np.sqrt((squares.sum() - squares * count / (count - 1)) / (count - 2))
        error = math.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2))
        return float(values.std(ddof=1)) / truth, error / truth

    return _Variance(
        bias=along(by_step, bias), spread=along(by_step, spread), spread_by_trials=along(by_trials, spread)
    )


@jax.jit(static_argnums=(0, 4))
def _by_differences(
    respond: Respond, angle: jax.Array, step: jax.Array, keys: jax.Array, trials: int
) -> tuple[jax.Array, jax.Array]:
    """Estimates from independent trials, and from common random numbers, one per data set."""
    draw = jax.vmap(respond, in_axes=(None, 0))

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        first, second, _ = jax.random.split(key, 3)
        minus_keys = jax.random.split(first, trials)
        minus, shared = draw(angle - step / 2, minus_keys), draw(angle + step / 2, minus_keys)
        plus = draw(angle + step / 2, jax.random.split(second, trials))
        common = fisher.pathwise((minus + shared) / 2, (shared - minus) / step)
        return fisher.direct(minus, plus, step).value, common.value

    return jax.lax.map(one, keys)


@jax.jit(static_argnums=(0, 3))
def _by_derivatives(respond: Respond, angle: jax.Array, keys: jax.Array, trials: int) -> jax.Array:
    """Pathwise estimates, one per data set."""

    def one(key: jax.Array) -> jax.Array:
        path_keys = jax.random.split(jax.random.split(key, 3)[2], 2 * trials)
        paths = jax.vmap(lambda k: jax.jvp(lambda a: respond(a, k), (angle,), (jnp.ones_like(angle),)))
        return fisher.pathwise(*paths(path_keys)).value

    return jax.lax.map(one, keys)
