"""Networks trained to read angles: what they know of them, and how well that can be estimated."""

from typing import Any

import jax
import jax.numpy as jnp

from fisherjax import datasets, vision
from fisherjax.vision._orientation._case import OrientationCase
from fisherjax.vision._orientation._reading import AngleReading

from ._arguments import Orientation
from ._files import load_record, part_of, reading
from ._orientation_report import of_images, orientation_sections
from ._outcome import Outcome, estimate_table
from ._session import Session

_QUICK_REPLICATES = 30


def run_orientation(command: Orientation, session: Session) -> Outcome:
    """Train, sample, decode, compare."""
    base = _base(command)
    stimuli = _stimuli(command, base)
    session.checkpoint("case-*.npz")
    with session.stage("training networks, and asking what they know"):
        study = vision.orientation_study(
            key=jax.random.key(command.seed),
            stimuli=stimuli,
            size=command.size,
            num_images=command.images or None,
            num_steps=command.training_steps,
            losses=command.loss,
            concentrations=command.concentration,
            frozen=command.frozen,
            encoding=command.encoding,
            nonlinearity=command.nonlinearity,
            start=base,
            num_angles=command.angles,
            relative_error=command.relative_error,
            max_trials=command.budget,
            num_trials=command.trials,
            robust=command.robust,
            **({"num_replicates": _QUICK_REPLICATES} if command.quick else {}),
            folder=session.folder,
            callback=session.tell,
        )
        session.save("study", study)
    first = study.cases[0]
    session.save("network", first.training)
    session.save("profile", first.fresh.profile)
    numbers = [_numbers(case) for case in study.cases]
    results = {name: number for name, number in numbers[0].items() if name not in {"loss", "concentration", "frozen"}}
    if len(numbers) > 1:
        results["cases"] = numbers
    mean = f"mean information {float(numbers[0]['mean_information']):.4g} rad⁻²"
    return Outcome(
        title="Fisher information of a trained network",
        sections=orientation_sections(command, study),
        results=results | {"estimates": {name: estimate.value for name, estimate in study.estimates.items()}},
        arrays={
            "angles": first.fresh.profile.stimuli,
            "information": first.fresh.profile.value,
            "error": first.fresh.profile.standard_error,
            "means": first.fresh.means,
        },
        table=estimate_table(study.estimates, "1/rad²"),
        sentences=[f"{mean}, {100 * first.share:.2g} % of {of_images(study)}"],
    )


def _base(command: Orientation) -> vision.AngleNetwork | None:
    if command.base is None:
        return None
    saved = load_record(command.base, "--base")
    return part_of(saved, vision.AngleNetwork, f"--base {command.base}", "network that reads angles")


def _stimuli(command: Orientation, base: vision.AngleNetwork | None) -> Any:
    if command.stimuli == "gratings":
        return command.stimuli
    size = command.size or (21 if base is None else base.size)
    options: dict[str, Any] = {"window": command.window, "noise_std": command.noise_std, "symmetry": command.symmetry}
    with reading("--stimuli", command.stimuli):
        return datasets.turned_pictures(command.stimuli, size=size, **options)


def _numbers(case: OrientationCase) -> dict[str, Any]:
    """One way of training, as results.json has it."""
    return {
        "loss": case.loss,
        "concentration": case.concentration,
        "frozen": case.frozen,
        "final_loss": jnp.mean(case.training.loss[-100:]),
        **_of_reading(case.fresh),
        "share_of_image_information": case.share,
        "total_trials": case.fresh.profile.total_trials,
        "training_images": None if case.trained is None else _of_reading(case.trained),
    }


def _of_reading(found: AngleReading) -> dict[str, Any]:
    """Means over the angles; of bias and deviations the root of the mean square (rad), of efficiencies the median."""
    decoder = found.decoder
    return {
        "mean_information": jnp.mean(found.profile.value),
        "robust_information": None if found.robust is None else jnp.mean(found.robust.value),
        "converged": found.profile.converged,
        "decoder_bias": jnp.sqrt(jnp.mean(decoder.bias**2)),
        "decoder_std": jnp.sqrt(jnp.mean(decoder.variance)),
        "decoder_efficiency": jnp.nanmedian(decoder.efficiency),
        "decoder_robust_std": jnp.sqrt(jnp.mean(decoder.robust_variance)),
        "decoder_robust_efficiency": jnp.nanmedian(decoder.robust_efficiency),
        "decoder_outliers": jnp.mean(decoder.outliers),
    }
