"""Networks trained to read orientations: what they know of them, and how well that can be estimated."""

import jax
import jax.numpy as jnp

from fisherjax import vision
from fisherjax.plot._pages import save_angle_case, save_angle_study, save_estimates, save_variance_study
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture
from fisherjax.vision._orientation_study import OrientationCase, OrientationStudy

from ._arguments import Orientation
from ._outcome import Outcome, estimate_table, section
from ._session import Session


def run_orientation(command: Orientation, session: Session) -> Outcome:
    """Train, sample, decode, compare."""
    session.checkpoint("case-*.npz")
    with session.stage("training networks, and asking what they know"):
        study = vision.orientation_study(
            key=jax.random.key(command.seed),
            size=command.size,
            num_steps=command.training_steps,
            losses=command.loss,
            concentrations=command.concentration,
            frozen=command.frozen,
            num_angles=command.angles,
            relative_error=command.relative_error,
            max_trials=command.budget,
            num_trials=command.trials,
            folder=session.folder,
            callback=session.tell,
        )
        session.save("study", study)
    first = study.cases[0]
    session.save("network", first.training)
    session.save("profile", first.profile)
    numbers = [_numbers(case) for case in study.cases]
    results = {name: number for name, number in numbers[0].items() if name not in {"loss", "concentration", "frozen"}}
    if len(numbers) > 1:
        results["cases"] = numbers
    mean, share = numbers[0]["mean_information"], 100 * first.share
    return Outcome(
        title="Fisher information of a trained network",
        sections=_sections(command, study),
        results=results | {"estimates": {name: estimate.value for name, estimate in study.estimates.items()}},
        arrays={
            "angles": first.profile.stimuli,
            "information": first.profile.value,
            "error": first.profile.standard_error,
            "means": first.means,
        },
        table=estimate_table(study.estimates),
        sentences=[f"mean information {mean:.4g} rad⁻², {share:.0f} % of the image's linear one"],
    )


def _numbers(case: OrientationCase) -> dict[str, object]:
    return {
        "loss": case.loss,
        "concentration": case.concentration,
        "frozen": case.frozen,
        "final_loss": jnp.mean(case.training.loss[-100:]),
        "mean_information": jnp.mean(case.profile.value),
        "share_of_image_information": case.share,
        "decoder_efficiency": jnp.mean(case.bound.efficiency),
        "converged": case.profile.converged,
        "total_trials": case.profile.total_trials,
    }


def _sections(command: Orientation, study: OrientationStudy) -> list[Section]:
    first = study.cases[0]
    estimates = Picture("methods.png", "Estimates of the same information.", save_estimates, study.estimates)
    methods = f"At θ = 45°, {command.trials} trials (per condition where there are two, Δθ = 0.1)."
    sections = [_information(command, first)]
    if len(study.cases) > 1:
        sections.append(_cases(study))
    sections.append(
        section("The same information by several methods", [methods], estimate_table(study.estimates), estimates)
    )
    if study.variance is not None:
        text = (
            "Differences over a step trade the bias of a large step for the noise of a small one. Common random "
            "numbers remove most of that noise, exact derivatives the step as well. What is left, √(2/ν), is the "
            "covariance's own, which no estimate of the derivative changes. All methods have the same number of "
            "evaluations, T per condition or 2T in all."
        )
        caption = f"Over {study.variance.num_replicates} independent data sets each, θ = 45°. Bars: one standard error."
        picture = Picture("variance.png", caption, save_variance_study, study.variance)
        sections.append(section("Where the variance comes from", [text], picture))
    return sections


def _information(command: Orientation, case: OrientationCase) -> Section:
    profile, efficiency = case.profile, 100 * float(jnp.mean(case.bound.efficiency))
    reached = 100 * float(jnp.mean(profile.converged))
    text = [
        (
            f"A network {command.size}² → {command.size} → 20 → 2 was trained on noisy gratings to point along "
            f"(cos 2θ, sin 2θ): {case.label}. Its two outputs, not the decoded angle, are the response."
        ),
        (
            f"{int(profile.total_trials)} trials at {command.angles} angles; the target error of "
            f"{100 * command.relative_error:g} % was reached at {reached:.0f} % of them."
        ),
        (
            f"The output holds {100 * case.share:.0f} % of the image's linear information. The least variance that its "
            f"bias allows is {efficiency:.0f} % of the variance of the decoder ½ atan2."
        ),
    ]
    caption = "Polar: information against orientation, band ± one standard error."
    picture = Picture("orientation.png", caption, save_angle_case, case)
    return section("Information about orientation", text, picture)


def _cases(study: OrientationStudy) -> Section:
    header = ("loss", "κ of angles", "frozen", "mean information", "least", "largest", "share of the image's")
    rows = [
        [case.loss, case.concentration, case.frozen, *(float(f(case.profile.value)) for f in _SUMMARIES), case.share]
        for case in study.cases
    ]
    text = [
        (
            "All start from the same weights; information is in 1/rad². Training angles that are concentrated make it "
            "depend on the orientation; frozen layers show what random weights pass on."
        )
    ]
    picture = Picture("cases.png", "One line per way of training.", save_angle_study, study)
    return section("How they were trained", text, Table(header, rows), picture)


_SUMMARIES = (jnp.mean, jnp.min, jnp.max)
