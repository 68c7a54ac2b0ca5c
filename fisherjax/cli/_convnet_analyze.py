"""Stability, decisions and Fisher information of a trained convolutional recurrent network."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import datasets, networks, vision
from fisherjax.datasets._offline import PHOTOGRAPHS
from fisherjax.plot._convolutional_pages import (
    save_decisions,
    save_eigendistortions,
    save_information_in_time,
    save_robustness,
    save_stability,
)
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture
from fisherjax.vision._analyze import LARGE, PARTS, PATCH, Analysis

from ._convnet_arguments import ConvnetAnalyze
from ._convnet_data import Known, check_kind_of, in_memory, load_known, standardized
from ._image_data import named_images
from ._outcome import Outcome, section
from ._session import Session
from ._values import UsageError

_UNITS = {"angle": "1/rad²", "contrast": "1/contrast²", "position": "1/pixel²"}

Described = tuple[Section, dict[str, Any], dict[str, Any]]  # with results and arrays


def run_convnet_analyze(command: ConvnetAnalyze, session: Session) -> Outcome:
    """Every part that was asked for: one section, its figures, its numbers."""
    known = load_known(command)
    plan = known.network.architecture
    small = plan.num_units <= LARGE
    trials = command.trials or (max(100, 2 * plan.channels[-1]) if command.quick else None)
    # small networks in float64: spectra and derivatives to rounding; large ones in float32, four times as fast
    with jax.enable_x64(small):
        network = networks.in_precision(known.network, jnp.float64 if small else jnp.float32)
        images, labels, source = _images(command, known)
        with session.stage("analyzing"):
            analysis = vision.analyze(
                network,
                images.astype(network.leak.dtype),
                labels,
                key=jax.random.key(command.seed),
                parts=command.parts or None,
                num_eigenvalues=command.eigenvalues,
                num_trials=trials,
                callback=session.tell,
            )
            session.save("analysis", analysis)
    parts = [part(analysis, plan) for part in (_stability, _decisions, _information, _distortions)]
    described = [part for part in parts if part is not None]
    results: dict[str, Any] = {"network": repr(network), "images": source, "parts": analysis.parts}
    arrays: dict[str, Any] = {}
    for _, numbers, kept in described:
        results, arrays = results | numbers, arrays | kept
    sections = [part for part, *_ in described]
    left_out = [part for part in PARTS if part not in analysis.parts and not command.parts]
    large = f"more than {LARGE} units: left out are {', '.join(left_out)}; --parts asks for them"
    return Outcome(
        title="A convolutional recurrent network",
        sections=sections,
        results=results,
        arrays=arrays,
        table=next((item for part in sections for item in part.items if isinstance(item, Table)), None),
        sentences=[large if left_out else "", *(line for part in sections for line in part.text)],
    )


def _images(command: ConvnetAnalyze, known: Known) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images to analyze the network with, labels where known, and what they are."""
    data = command.data if command.data != "auto" else known.data or "photographs"
    plan = known.network.architecture
    if data == "photographs":
        photographs = [known.preprocessing(datasets.photograph(name)) for name in PHOTOGRAPHS]
        return np.stack(photographs), None, data
    found = named_images(data, ("test",), 0, jax.random.key(command.seed))
    check_kind_of(found.parts["test"], command, data, plan)
    if len(found.classes) > plan.num_classes:
        raise UsageError(f"--data {data} has {len(found.classes)} classes, the network {plan.num_classes}")
    images, labels = in_memory(standardized(known.preprocessing, found.parts["test"]), command.images)
    return images, labels, data


def _stability(analysis: Analysis, plan: vision.Architecture) -> Described | None:
    bounds, along, growth = analysis.certificate, analysis.trajectory, analysis.growth
    text, results, arrays, items = [], {}, {}, []
    if along is not None and analysis.areas is not None:
        known = along.spectral_radius[np.isfinite(along.spectral_radius)]
        radius, missing = float(known.max()) if len(known) else float("nan"), len(along.steps) - len(known)
        more = f"; at {missing} more it has not converged" if missing else ""
        text.append(
            f"At {len(known)} times of the response to one image the Jacobian's spectral radius is at most "
            f"{radius:.4f}{more}."
        )
        results = {"largest_spectral_radius": radius, "steps": along.steps}
        arrays = {"trajectory_eigenvalues": along.eigenvalues, "trajectory_steps": along.steps}
        items.append(_area_table(analysis, plan))
        if bounds is None:
            text.append("With feedback the areas form no chain: nothing is certified for all images.")
    if bounds is not None:
        text.append(
            f"Certified for every image: one fixed point in {int(bounds.globally_stable.sum())} of {plan.depth} areas, "
            f"locally stable fixed points in {int(bounds.locally_stable.sum())}. What is not certified may be stable."
        )
        results |= {"globally_stable": bounds.globally_stable, "locally_stable": bounds.locally_stable}
        arrays |= {"singular": bounds.singular, "symmetric": bounds.symmetric}
    if growth is not None:
        largest = float(growth.growth.max())  # NaN if one has not converged: it may be the largest
        much = "by what has not converged" if np.isnan(largest) else f"at most {largest:.3f}-fold"
        text.append(f"A perturbation at the onset grows {much}.")
        results["largest_growth"] = largest
        arrays |= {"growth": growth.growth, "growth_steps": growth.steps}
    if not text:
        return None
    caption = (
        "Bounds that hold for every image; leading eigenvalues of every area if all its units were active; those of "
        "the Jacobian of the whole network along a response; largest growth of a perturbation."
    )
    picture = Picture("stability.png", caption, save_stability, analysis, plan.alpha, onset=plan.blank_steps)
    return section("Stability", text, picture, *items), results, arrays


def _area_table(analysis: Analysis, plan: vision.Architecture) -> Table:
    """One row per area; blank where nothing can be certified."""
    bounds, rows = analysis.certificate, []
    for area, (shape, own) in enumerate(zip(plan.area_shapes, analysis.areas or (), strict=True)):
        bounded: list[object] = ["", "", ""]
        verdicts: list[object] = ["", ""]
        if bounds is not None:
            bounded = [float(part[area]) for part in (bounds.singular, bounds.symmetric, bounds.jacobian_radius)]
            stable = (bounds.globally_stable[area], bounds.locally_stable[area])
            verdicts = ["yes" if sure else "not certified" for sure in stable]
        rows.append([area, int(np.prod(shape)), *bounded, float(np.abs(own.eigenvalues).max()), *verdicts])
    bound_names = ("σ bound", "ω bound", "Jacobian radius")
    return Table(("area", "units", *bound_names, "|λ(W)| largest", "one fixed point", "locally stable"), rows)


def _decisions(analysis: Analysis, plan: vision.Architecture) -> Described | None:
    wanted = [part for part in ("decisions", "robustness", "relaxation") if part in analysis.parts]
    if not wanted:
        return None
    decided, spoiled, back = analysis.decisions, analysis.robustness, analysis.relaxation
    text, results, arrays = [], {}, {}
    unlabeled = [part for part in wanted if part != "relaxation"]
    if unlabeled and decided is None and spoiled is None:
        text.append(
            f"No labels are known for these images: {' and '.join(unlabeled)} left out; name others with --data."
        )
    if decided is not None:
        reaction = decided.reaction_time[np.isfinite(decided.reaction_time)]
        after = f", after {np.median(reaction):g} steps (median)" if len(reaction) else ""
        text.append(
            f"Right on {decided.accuracy[-1]:.1%} of {len(decided.decision)} images at the end; decided on "
            f"{len(reaction)}{after}."
        )
        results = {"accuracy": float(decided.accuracy[-1]), "decided": len(reaction)}
        arrays = {name: getattr(decided, name) for name in ("accuracy", "confidence", "reaction_time")}
    for name, found in (spoiled or {}).items():
        arrays |= {f"robustness_{name}": found.accuracy, f"robustness_{name}_levels": found.levels}
    if spoiled:
        text.append(f"Noise of the state up to its root mean square, {analysis.activity:.3g}.")
    if back is not None:
        known = back.time_constant[np.isfinite(back.time_constant)]
        constant = f"; time constant {np.median(known):.1f} steps" if len(known) else ""
        text.append(
            f"After the image, {int(back.returned.sum())} of {len(back.returned)} responses came within a hundredth "
            f"of the baseline in {len(back.distance) - 1} steps{constant}."
        )
        results["relaxation_time_constant"] = back.time_constant
        arrays["relaxation"] = back.distance
    elif "relaxation" in wanted:
        text.append("Without blank steps before the image there is no baseline to relax to.")
    pictures = []
    if decided is not None or back is not None:
        caption = "Decisions through time; how activity settles, and the way back to the baseline, one line per image."
        pictures.append(Picture("decisions.png", caption, save_decisions, decided, back, onset=plan.blank_steps))
    if spoiled:
        caption = "Accuracy at the end, on images that are spoiled more and more, and with noise of the state."
        pictures.append(Picture("robustness.png", caption, save_robustness, spoiled))
    return section("Decisions, noise and relaxation", text, *pictures), results, arrays


def _information(analysis: Analysis, plan: vision.Architecture) -> Described | None:
    if "information" not in analysis.parts:
        return None
    theory, measured = analysis.predicted, analysis.simulated
    if theory is None or measured is None:
        return section("Fisher information", ["The network is silent: no noise level suggests itself."]), {}, {}
    arrays: dict[str, Any] = {"information_steps": np.asarray(theory["angle"].times).astype(int)}
    for name, curve in theory.items():
        arrays |= {f"information_{name}": curve.total, f"information_{name}_simulated": measured[name].total}
        arrays[f"information_{name}_error"] = measured[name].standard_error
    where = f"angle {PATCH['angle']} rad, contrast {PATCH['contrast']:g}, position {PATCH['position']:g} pixels"
    text = [
        (
            f"Linear Fisher information of the channel means of area {plan.depth - 1} about a Gabor patch at {where}, "
            f"state noise σ = {analysis.noise_std:.3g}."
        ),
        (
            "Lines: noise linearized around the response, an approximation for weak noise. Points: "
            f"{analysis.num_trials} simulated responses, the same ones at all times."
        ),
    ]
    last = {
        name: {"theory": float(curve.total[-1]), "simulation": float(measured[name].total[-1])}
        for name, curve in theory.items()
    }
    drawn = (theory, measured, _UNITS)
    caption = "Fisher information through time; bars are standard errors."
    picture = Picture("information.png", caption, save_information_in_time, *drawn, onset=plan.blank_steps)
    results = {"information": last, "information_noise_std": analysis.noise_std}
    return section("Fisher information", text, picture), results, arrays


def _distortions(analysis: Analysis, _: vision.Architecture) -> Described | None:
    most, least = analysis.most_noticeable, analysis.least_noticeable
    if most is None or least is None:
        return None
    text = "Some distortions of this image the logits at the end do not show at all."
    if least.information > 100 * np.finfo(analysis.image.dtype).eps * most.information:
        ratio = most.information / least.information
        text = (
            f"The logits at the end show one distortion of this image {ratio:.3g} times as well as another, in "
            "information."
        )
    caption = "An image, and the distortions of unit norm that the logits show most and least."
    picture = Picture("distortions.png", caption, save_eigendistortions, analysis.image, most, least)
    results = {"most_noticeable": most.information, "least_noticeable": least.information}
    return section("Eigendistortions", [text], picture), results, {"most": most.direction, "least": least.direction}
