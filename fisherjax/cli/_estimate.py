"""Fisher information from samples: of a user's responses, or of a network trained to read orientations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import datasets, fisher, networks, plot, training
from fisherjax.report import Figure, Section, Table

from ._arguments import Estimate
from ._responses import load_responses
from ._session import Session
from ._shared import say_where, write_report

_HEADER = ("method", "information", "standard error", "95 % from", "to", "uncorrected")
_SEPARATIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
_TRIALS = (100, 200, 400, 800)
_REPLICATES = 120
_DECODED = 1000  # trials at each angle for the decoder's error
_FEWEST_UNITS = 16  # for a look at how information grows with units


def run_estimate(command: Estimate, session: Session) -> None:
    """Estimate from files if there are any, else run the orientation study."""
    (_from_files if command.responses else _orientation_study)(command, session)
    say_where(session)


def _from_files(command: Estimate, session: Session) -> None:
    minus, plus, separation = load_responses(command.responses, command.separation)
    key, subset_key = jax.random.split(jax.random.key(command.seed))
    with session.stage("estimating"):
        units, trials = minus.shape[-1], len(minus) + len(plus)
        found: dict[str, fisher.FisherEstimate] = {}
        if units < trials - 3:
            found["direct"] = fisher.direct(minus, plus, separation)
            if min(len(minus), len(plus)) >= 20 and units < 0.9 * trials - 5:
                found["direct, jackknife error"] = fisher.jackknife(minus, plus, separation)
        else:
            found["direct, shrinkage 0.5 (biased)"] = fisher.direct(minus, plus, separation, shrinkage=0.5)
        found["shuffled (correlations removed)"] = fisher.shuffled(minus, plus, separation)
        if units < trials // 2 - 4:
            found["held-out decoder"] = fisher.decoder(minus, plus, separation, key=key)
        found["early-stopped decoder"] = fisher.decoder(minus, plus, separation, key=key, method="early-stopped")
        scaling = None
        if units >= _FEWEST_UNITS and units < 0.9 * trials - 5:
            scaling = fisher.information_scaling(minus, plus, separation, key=subset_key)
    with session.stage("drawing"):
        figure = plot.save_estimates(session.folder / "estimates.png", found, scaling)
    rows = _rows(found)
    session.write_table(_HEADER, rows)
    facts: dict[str, Any] = {"units": units, "trials": [len(minus), len(plus)], "separation": separation}
    if scaling is not None:
        scaling.save(session.folder / "scaling.npz")
        facts |= {"information_per_unit": scaling.information_per_unit, "saturation": scaling.saturation}
        facts |= {"saturation_error": scaling.saturation_error}
    best = next(iter(found.values()))
    best.save(session.folder / "estimate.npz")
    facts["sensitivity_index"] = fisher.sensitivity_index(jnp.maximum(best.value, 0), separation)
    session.write_results(facts | {"estimates": {name: one.value for name, one in found.items()}})
    session.write_arrays(**{f"interval_{index}": one.interval for index, one in enumerate(found.values())})
    session.write_manifest()
    text = [
        f"{len(minus)} and {len(plus)} trials of {units} units, stimuli Δθ = {separation:g} apart; bias removed.",
        "The difference between direct and shuffled is what noise correlations do. Decoders are lower bounds.",
    ]
    section = Section("Linear Fisher information", text, [Table(_HEADER, rows), Figure(figure, "Estimates.")])
    write_report(session, "Fisher information of your responses", [section])
    for row in rows:
        print(f"{row[0]:<34} {row[1]:10.4g} ± {row[2]:.3g}")


def _orientation_study(command: Estimate, session: Session) -> None:
    train_key, profile_key, sample_key, method_key, study_key = jax.random.split(jax.random.key(command.seed), 5)
    with session.stage("training the network"):
        trained = training.train_angle_network(key=train_key, size=command.size, num_steps=command.training_steps)
        trained.save(session.folder / "network.npz")
    # sampling needs no float64: its errors are percents
    respond = training.respond_to_gratings(jax.tree.map(lambda x: x.astype(jnp.float32), trained.network))
    angles = jnp.linspace(0, jnp.pi, command.angles, endpoint=False, dtype=jnp.float32)
    with session.stage("sampling the profile"):
        profile = fisher.information_profile(
            respond, angles, key=profile_key, relative_error=command.relative_error, max_trials=command.budget
        )
        profile.save(session.folder / "profile.npz")
    with session.stage("decoding"):
        means, covariances, bound = _responses(respond, angles, profile, sample_key)
        images = _image_information(angles, command.size)
    with session.stage("comparing methods"):
        found = _methods(respond, command.trials, method_key)
    with session.stage("where the variance comes from"):
        study = _variance_study(respond, study_key)
    with session.stage("drawing"):
        figures = [
            plot.save_angle_study(session.folder / "orientation.png", profile, means, covariances, bound, images),
            plot.save_estimates(session.folder / "methods.png", found),
            plot.save_variance_study(session.folder / "variance.png", *study),
        ]
    rows = _rows(found)
    session.write_table(_HEADER, rows)
    efficiency, share = float(jnp.mean(bound.efficiency)), float(np.mean(np.asarray(profile.value) / images))
    session.write_results(
        {
            "final_loss": jnp.mean(trained.loss[-100:]),
            "mean_information": jnp.mean(profile.value),
            "share_of_image_information": share,
            "decoder_efficiency": efficiency,
            "converged": profile.converged,
            "total_trials": profile.total_trials,
            "estimates": {name: one.value for name, one in found.items()},
        }
    )
    session.write_arrays(angles=angles, information=profile.value, error=profile.standard_error, means=means)
    session.write_manifest()
    reached = float(jnp.mean(profile.converged))
    sections = [
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
                    f"The output holds {100 * share:.0f} % of the image's linear information. The least variance that "
                    f"its bias allows is {100 * efficiency:.0f} % of the variance of the decoder ½ atan2."
                ),
            ],
            [Figure(figures[0], "Polar: information against orientation, band ± one standard error.")],
        ),
        Section(
            "The same information by several methods",
            [f"At θ = 45°, {command.trials} trials (per condition where there are two, Δθ = 0.1)."],
            [Table(_HEADER, rows), Figure(figures[1], "Estimates of the same information.")],
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
            [Figure(figures[2], f"Over {_REPLICATES} independent data sets each, θ = 45°.")],
        ),
    ]
    write_report(session, "Fisher information of a trained network", sections)
    print(f"mean information {float(jnp.mean(profile.value)):.4g} rad⁻², {100 * share:.0f} % of the image's linear one")


def _rows(found: dict[str, fisher.FisherEstimate]) -> list[list[Any]]:
    return [
        [name, float(one.value), float(one.standard_error), *(float(end) for end in one.interval), float(one.naive)]
        for name, one in found.items()
    ]


def _responses(respond: Any, angles: Any, profile: Any, key: Any) -> tuple[Any, Any, fisher.CramerRao]:
    """Mean and covariance of the outputs at each angle, and the decoder's error."""
    keys = jax.random.split(key, (len(angles), _DECODED))

    draw = jax.vmap(respond, in_axes=(None, 0))
    values = jax.lax.map(lambda pair: draw(*pair), (angles, keys))
    covariances = jax.vmap(lambda part: jnp.cov(part.T))(values)
    bound = fisher.cramer_rao(networks.decode_angle(values), angles, profile.value, period=np.pi)
    return jnp.mean(values, axis=1), covariances, bound


def _image_information(angles: Any, size: int) -> np.ndarray:
    """Linear information of the images themselves, exact."""

    def one(angle: Any) -> Any:
        def moments(theta: Any) -> Any:
            return datasets.grating_moments(theta, size=size)

        (_, variance), (slope, _) = jax.jvp(moments, (angle,), (jnp.ones_like(angle),))
        return jnp.sum(jnp.where(variance > 0, slope**2 / jnp.where(variance > 0, variance, 1), 0))

    return np.asarray(jax.lax.map(one, angles))


def _methods(respond: Any, trials: int, key: Any) -> dict[str, fisher.FisherEstimate]:
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


def _variance_study(respond: Any, key: Any) -> tuple[Any, ...]:
    """Bias and spread of three estimates over many data sets, against the step and against the trials."""
    theta, middle_trials, middle_step = np.pi / 4, _TRIALS[len(_TRIALS) // 2], _SEPARATIONS[len(_SEPARATIONS) // 2]
    keys = jax.random.split(key, _REPLICATES)

    def study(step: float, trials: int) -> dict[str, np.ndarray]:
        @jax.jit
        def estimates(data_key: Any) -> Any:
            first, second, third = jax.random.split(data_key, 3)
            draw = jax.vmap(respond, in_axes=(None, 0))
            angle, half = (jnp.asarray(number, jnp.float32) for number in (theta, step / 2))
            minus_keys, plus_keys = jax.random.split(first, trials), jax.random.split(second, trials)
            minus, plus = draw(angle - half, minus_keys), draw(angle + half, plus_keys)
            shared = draw(angle + half, minus_keys)
            path_keys = jax.random.split(third, 2 * trials)
            values, slopes = jax.vmap(lambda k: jax.jvp(lambda a: respond(a, k), (angle,), (jnp.ones_like(angle),)))(
                path_keys
            )
            return (
                fisher.direct(minus, plus, step).value,
                fisher.pathwise((minus + shared) / 2, (shared - minus) / step).value,
                fisher.pathwise(values, slopes).value,
            )

        columns = jax.lax.map(estimates, keys)
        return dict(zip(("direct", "common random numbers", "pathwise"), map(np.asarray, columns), strict=True))

    by_step = [study(step, middle_trials) for step in _SEPARATIONS]
    by_trials = [study(middle_step, trials) for trials in _TRIALS]
    truth = np.mean([part["pathwise"].mean() for part in by_step + by_trials])
    names = tuple(by_step[0])
    spreads = {name: [part[name].std() / truth for part in by_step] for name in names}
    biases = {name: [part[name].mean() / truth - 1 for part in by_step] for name in names}
    along = {name: [part[name].std() / truth for part in by_trials] for name in names}
    return _SEPARATIONS, spreads, biases, _TRIALS, along
