"""The report of `fisherjax orientation`: information, decoder, ways of training, methods."""

import jax.numpy as jnp
import numpy as np

from fisherjax.plot._angle_pages import save_angle_case, save_angle_study, save_variance_study
from fisherjax.plot._pages import save_estimates
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture
from fisherjax.vision._orientation._case import OrientationCase
from fisherjax.vision._orientation._reading import AngleReading
from fisherjax.vision._orientation._study import OrientationStudy

from ._arguments import Orientation
from ._outcome import estimate_table, section

_SUMMARIES = (jnp.mean, jnp.min, jnp.max)


def of_images(study: OrientationStudy) -> str:
    """What the information of the outputs is compared with."""
    if study.stimuli == "gratings":
        return "the linear information of the images"
    return "what an observer who knows which piece is shown could tell, more than which no reader can"


def orientation_sections(command: Orientation, study: OrientationStudy) -> list[Section]:
    """All sections of the report; tables and pictures among their items."""
    sections = [_information(command, study), _decoding(study.cases[0])]
    if len(study.cases) > 1:
        sections.append(_cases(study))
    caption = "Estimates of the same information."
    estimates = Picture("methods.png", caption, save_estimates, study.estimates, unit="1/rad²")
    methods = f"At θ = 45°, {command.trials} trials (per condition where there are two, Δθ = 0.1)."
    sections.append(
        section(
            "The same information by several methods", [methods], estimate_table(study.estimates, "1/rad²"), estimates
        )
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


def _information(command: Orientation, study: OrientationStudy) -> Section:
    case = study.cases[0]
    profile, network = case.fresh.profile, case.network
    reached = 100 * float(jnp.mean(profile.converged))
    widths = " → ".join(str(len(biases)) for biases in network.biases)
    start = "from random weights" if command.base is None else f"from the weights in {command.base}"
    images = f"{command.images} of them" if command.images else "fresh ones in every step"
    text = [
        (
            f"A network {network.size}² → {widths} ({type(network.nonlinearity).__name__}) was trained {start} on "
            f"{study.stimuli}, {images}, turned by θ, {_encoding(network.encoding, network.symmetry)}: {case.label}. "
            "Its outputs, not the decoded angle, are the response."
        ),
        (
            f"{int(profile.total_trials)} trials of fresh images at {command.angles} angles; the target error of "
            f"{100 * command.relative_error:g} % was reached at {reached:.0f} % of them."
        ),
        f"The outputs hold {100 * case.share:.2g} % of {of_images(study)}.",
        _by_heart(case),
        _robust(case),
    ]
    caption = (
        "Left: information against angle, band ± one standard error. Middle: the outputs. Right: the decoder, bars: "
        "one standard error."
    )
    picture = Picture("orientation.png", caption, save_angle_case, case)
    return section("Information about the angle", text, picture)


def _encoding(encoding: str, symmetry: int) -> str:
    k = "" if symmetry == 1 else f"{symmetry}"
    turn = f"a turn by {360 / symmetry:g}° changes nothing"
    return {
        "vector": f"to point along (cos {k}θ, sin {k}θ), since {turn}",
        "population": f"to answer by eight outputs tuned to {k}θ, since {turn}",
        "scalar": f"to answer θ itself, from 0° to {360 / symmetry:g}°, where it jumps",
    }[encoding]


def _by_heart(case: OrientationCase) -> str:
    if case.trained is None:
        return ""
    trained, fresh = (float(jnp.mean(found.profile.value)) for found in (case.trained, case.fresh))
    # all angles share the training images, whose chance is that of one angle then
    error = float(jnp.sqrt(jnp.mean(case.trained.profile.standard_error**2)))
    return (
        f"Of its training images, each turned to every angle, the outputs hold {trained:.4g} ± {error:.2g} rad⁻², of "
        f"fresh ones {fresh:.4g}: what is more is learned by heart."
    )


def _robust(case: OrientationCase) -> str:
    profile = case.fresh.robust
    if profile is None:
        return ""
    kept = float(jnp.mean(profile.num_trials)) / case.settings["num_decoded"]
    return (
        f"With trials far outside the rest set aside ({100 * (1 - kept):.2g} %) they hold "
        f"{float(jnp.mean(profile.value)):.4g} rad⁻² of fresh ones."
    )


def _decoding(case: OrientationCase) -> Section:
    rows = [["fresh images", *_decoder_row(case.fresh)]]
    if case.trained is not None:
        rows.append(["training images", *_decoder_row(case.trained)])
    header = ("", "bias (°)", "s.d. (°)", "efficiency", "outliers (%)", "s.d. without (°)", "efficiency without")
    text = [
        (
            "Efficiency is the least variance that the bias allows, (1 + b′)²/I, over that of the decoded angle, the "
            "median over angles; I is the linear information of the outputs, so that a decoder which is not linear may "
            "have more than 1."
        ),
        (
            "A decoder that is right but for a few trials has a variance that these few make. Outliers are trials "
            "further from the median than four robust standard deviations (1.48 × the median absolute deviation); "
            "without them the bound is no theorem."
        ),
    ]
    return section("How well the angle is decoded", text, Table(header, rows))


def _decoder_row(found: AngleReading) -> list[float]:
    decoder = found.decoder
    degrees = [float(np.degrees(jnp.sqrt(jnp.mean(part)))) for part in (
        decoder.bias**2, decoder.variance, decoder.robust_variance
    )]  # fmt: skip
    efficiency, robust = float(jnp.nanmedian(decoder.efficiency)), float(jnp.nanmedian(decoder.robust_efficiency))
    return [*degrees[:2], efficiency, 100 * float(jnp.mean(decoder.outliers)), degrees[2], robust]


def _cases(study: OrientationStudy) -> Section:
    by_heart = study.cases[0].trained is not None
    trained = ("of training images",) if by_heart else ()
    header = ("loss", "κ of angles", "frozen", "information", "least", "largest", "share (%)", *trained,
              "s.d. (°)", "outliers (%)", "s.d. without (°)")  # fmt: skip
    rows = []
    for case in study.cases:
        _, deviation, _, outliers, without, _ = _decoder_row(case.fresh)
        heart = [] if case.trained is None else [float(jnp.mean(case.trained.profile.value))]
        values = [float(summary(case.fresh.profile.value)) for summary in _SUMMARIES]
        rows.append(
            [
                case.loss,
                case.concentration,
                case.frozen,
                *values,
                100 * case.share,
                *heart,
                deviation,
                outliers,
                without,
            ]
        )
    text = [
        (
            "All start from the same weights; information is in 1/rad², mean, least and largest over angles, of fresh "
            "images. Training angles that are concentrated make it depend on the angle; frozen layers show what the "
            "weights that they keep pass on."
        )
    ]
    picture = Picture("cases.png", "One line per way of training.", save_angle_study, study)
    return section("How they were trained", text, Table(header, rows), picture)
