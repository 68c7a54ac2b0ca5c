"""Stability, decisions and Fisher information of a trained convolutional recurrent network."""

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import _linalg, datasets, fisher, networks, vision
from fisherjax.datasets._offline import PHOTOGRAPHS
from fisherjax.plot._convolutional_pages import (
    save_decisions,
    save_eigendistortions,
    save_information_in_time,
    save_stability,
)
from fisherjax.report import Figure, Section, Table
from fisherjax.vision._certificate import StabilityCertificate
from fisherjax.vision._decisions import Decisions, Relaxation, Robustness

from ._convnet_arguments import PARTS, ConvnetAnalyze
from ._convnet_data import Known, labeled_pairs, load_known, standardized
from ._limits import UsageError
from ._session import Session
from ._shared import say_where, write_report

HEADER = (
    "area",
    "units",
    "σ bound",
    "ω bound",
    "Jacobian radius",
    "|λ(W)| largest",
    "one fixed point",
    "locally stable",
)
PARAMETERS = {
    "angle": ("0.6 rad", 0.6, "1/rad²"),
    "contrast": ("1", 1.0, "1"),
    "position": ("0 pixels", 0.0, "1/pixel²"),
}

_LARGE = 100_000  # units beyond which growth, information and distortions take hours
_LONG = {"growth", "information", "distortions"}
_INPUT_LEVELS = (0.0, 0.25, 0.5, 1.0, 2.0)  # standard deviations of a pixel
_STATE_LEVELS = (0.0, 0.1, 0.2, 0.5, 1.0)  # of the root mean square activity
_DEFAULT_NOISE = 0.02  # of the same, where the network has none and information is asked for
_POINTS = 8


class _Run(NamedTuple):
    """What every part needs: what was asked, the network, the images to analyze it with, labels where known."""

    command: ConvnetAnalyze
    folder: Path
    parts: list[str]
    keys: dict[str, Any]
    network: vision.ConvolutionalRNN
    images: np.ndarray
    labels: np.ndarray | None
    activity: float  # root mean square of r when the image vanishes
    source: str


def run_convnet_analyze(command: ConvnetAnalyze, session: Session) -> None:
    """Every part that was asked for: one section, its figures, its numbers."""
    known = load_known(command)
    small = known.network.architecture.num_units <= _LARGE
    # small networks in float64: spectra and derivatives to rounding; large ones in float32, four times as fast
    with jax.enable_x64(small):
        precision = jnp.float64 if small else jnp.float32
        known = known._replace(network=networks.in_precision(known.network, precision))
        parts = _parts(command, small=small)
        run = _prepared(command, session.folder, known, parts)
        sections: list[Section] = []
        facts: dict[str, Any] = {"network": repr(known.network), "images": run.source, "parts": parts}
        arrays: dict[str, Any] = {}
        for wanted, part in (
            ({"stability", "growth"}, _stability),
            ({"decisions", "robustness", "relaxation"}, _decisions),
            ({"information"}, _information),
            ({"distortions"}, _distortions),
        ):
            if wanted & set(parts):
                with session.stage(" and ".join(name for name in parts if name in wanted)):
                    section, found, kept = part(run)
                sections.append(section)
                facts |= found
                arrays |= kept
    for table in (item for section in sections for item in section.items if isinstance(item, Table)):
        session.write_table(table.header, table.rows)
    session.write_results(facts)
    session.write_arrays(**arrays)
    session.write_manifest()
    write_report(session, "A convolutional recurrent network", sections)
    for section in sections:
        for line in section.text:
            print(line)
    say_where(session)


def _parts(command: ConvnetAnalyze, *, small: bool) -> list[str]:
    if command.parts:
        return [part for part in PARTS if part in command.parts]
    if not small:
        print(f"more than {_LARGE} units: leaving out {', '.join(sorted(_LONG))}; --parts asks for them")
    return [part for part in PARTS if small or part not in _LONG]


def _prepared(command: ConvnetAnalyze, folder: Path, known: Known, parts: list[str]) -> _Run:
    if "information" in parts:
        _trials(command, known.network.architecture)  # before anything long
    data = command.data if command.data != "auto" else known.data or "photographs"
    plan = known.network.architecture
    if data == "photographs":
        images = np.stack([known.preprocessing(datasets.photograph(name)) for name in PHOTOGRAPHS])
        labels = None
    else:
        pairs = labeled_pairs(data, 0, command.cifar, jax.random.key(command.seed))
        images, labels = (part[: command.images] for part in pairs[1])
        if images.shape[1:] != plan.image_shape:
            raise UsageError(f"--data {data} has images of {images.shape[1:]}, the network expects {plan.image_shape}")
        if int(pairs[0][1].max()) >= plan.num_classes:
            raise UsageError(f"--data {data} has {int(pairs[0][1].max()) + 1} classes, the network {plan.num_classes}")
        images = standardized(known.preprocessing, images)
    images = images.astype(known.network.leak.dtype)
    state = vision.respond(known.network, images[:1]).state
    activity = float(jnp.sqrt(sum(jnp.sum(area**2) for area in state) / plan.num_units))
    keys: dict[str, Any] = dict(zip(PARTS, jax.random.split(jax.random.key(command.seed), len(PARTS)), strict=True))
    return _Run(command, folder, parts, keys, known.network, images, labels, activity, data)


Found = tuple[Section, dict[str, Any], dict[str, Any]]


def _stability(run: _Run) -> Found:
    network, plan = run.network, run.network.architecture
    bounds = None if plan.feedback else vision.stability_certificate(network)
    own = vision.spectrum(network, key=run.keys["stability"])
    times = _times(0, max(1, plan.blank_steps + plan.image_steps - 1))  # the next step still has the image
    along = vision.trajectory_spectrum(
        network, run.images[0], at=times, key=run.keys["stability"], num_eigenvalues=run.command.eigenvalues
    )
    growth = None
    if "growth" in run.parts:
        growth = vision.transient_growth(
            network, run.images[0], steps=_times(0, plan.image_steps), key=run.keys["growth"]
        )
    path = save_stability(
        run.folder / "stability.png",
        bounds,
        [one.eigenvalues for one in own],
        plan.alpha,
        along,
        growth,
        onset=plan.blank_steps,
    )
    known = along.spectral_radius[np.isfinite(along.spectral_radius)]
    radius = float(known.max()) if len(known) else float("nan")
    missing = f"; at {len(times) - len(known)} more it has not converged" if len(known) < len(times) else ""
    times_known = f"At {len(known)} times of the response to one image"
    text = [f"{times_known} the Jacobian's spectral radius is at most {radius:.4f}{missing}."]
    facts: dict[str, Any] = {"largest_spectral_radius": radius, "steps": along.steps}
    arrays: dict[str, Any] = {"trajectory_eigenvalues": along.eigenvalues, "trajectory_steps": along.steps}
    if bounds is None:
        text.append("With feedback the areas form no chain: nothing is certified for all images.")
    else:
        sure, local = int(bounds.globally_stable.sum()), int(bounds.locally_stable.sum())
        text.append(
            f"Certified for every image: one fixed point in {sure} of {plan.depth} areas, locally stable fixed points "
            f"in {local}. What is not certified may be stable."
        )
        facts |= {"globally_stable": bounds.globally_stable, "locally_stable": bounds.locally_stable}
        arrays |= {"singular": bounds.singular, "symmetric": bounds.symmetric}
    if growth is not None:
        largest = float(growth.growth.max())  # NaN if one has not converged: it may be the largest
        much = "by what has not converged" if np.isnan(largest) else f"at most {largest:.3f}-fold"
        text.append(f"A perturbation at the onset grows {much}.")
        facts["largest_growth"] = largest
        arrays |= {"growth": growth.growth, "growth_steps": growth.steps}
    caption = (
        "Bounds that hold for every image; leading eigenvalues of every area if all its units were active; those of "
        "the Jacobian of the whole network along a response; largest growth of a perturbation."
    )
    return (
        Section("Stability", text, [Figure(path, caption), Table(HEADER, _area_rows(plan, bounds, own))]),
        facts,
        arrays,
    )


def _area_rows(
    plan: vision.Architecture, bounds: StabilityCertificate | None, own: tuple[_linalg.Spectrum, ...]
) -> list[list[object]]:
    """One row per area; blank where nothing can be certified."""
    rows: list[list[object]] = []
    for area, (shape, one) in enumerate(zip(plan.area_shapes, own, strict=True)):
        radius = float(np.abs(one.eigenvalues).max())
        bounded: list[object] = ["", "", ""]
        verdicts: list[object] = ["", ""]
        if bounds is not None:
            bounded = [float(part[area]) for part in (bounds.singular, bounds.symmetric, bounds.jacobian_radius)]
            stable = (bounds.globally_stable[area], bounds.locally_stable[area])
            verdicts = ["yes" if sure else "not certified" for sure in stable]
        rows.append([area, int(np.prod(shape)), *bounded, radius, *verdicts])
    return rows


def _decisions(run: _Run) -> Found:
    text: list[str] = []
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    decided, noisy, back = None, {}, None
    wanted = [name for name in ("decisions", "robustness") if name in run.parts]
    if run.labels is None and wanted:
        text.append(f"No labels are known for these images: {' and '.join(wanted)} left out; name others with --data.")
    if run.labels is not None and "decisions" in run.parts:
        decided, line, found = _decided(run, run.labels)
        text.append(line)
        facts |= found
        arrays |= {"accuracy": decided.accuracy, "confidence": decided.confidence}
        arrays |= {"reaction_time": decided.reaction_time}
    if run.labels is not None and "robustness" in run.parts:
        noisy = _in_noise(run, run.labels)
        text.append(f"Noise of the state up to its root mean square, {run.activity:.3g}.")
        for where, one in noisy.items():
            arrays |= {f"robustness_{where}": one.accuracy, f"robustness_{where}_std": one.noise_std}
    if "relaxation" in run.parts and not run.network.architecture.blank_steps:
        text.append("Without blank steps before the image there is no baseline to relax to.")
    elif "relaxation" in run.parts:
        back, line = _relaxed(run)
        text.append(line)
        facts["relaxation_time_constant"] = back.time_constant
        arrays["relaxation"] = back.distance
    figures = []
    if decided is not None or noisy or back is not None:
        path = run.folder / "decisions.png"
        shown = {}
        if noisy:
            shown = {"noise of the input (s.d. of a pixel)": noisy["input"]}
            shown["noise of the state (r.m.s. activity)"] = dataclasses.replace(
                noisy["state"], noise_std=np.array(_STATE_LEVELS)
            )
        save_decisions(path, decided, shown, back, onset=run.network.architecture.blank_steps)
        caption = "Decisions through time, accuracy in noise, and the way back to the baseline, one line per image."
        figures.append(Figure(path, caption))
    return Section("Decisions, noise and relaxation", text, figures), facts, arrays


def _decided(run: _Run, labels: np.ndarray) -> tuple[Decisions, str, dict[str, Any]]:
    logits = vision.respond(run.network, run.images).logits
    found = vision.decisions(logits, labels, onset=run.network.architecture.blank_steps)
    reaction = found.reaction_time[np.isfinite(found.reaction_time)]
    after = f", after {np.median(reaction):g} steps (median)" if len(reaction) else ""
    line = f"Right on {found.accuracy[-1]:.1%} of {len(labels)} images at the end; decided on {len(reaction)}{after}."
    return found, line, {"accuracy": float(found.accuracy[-1]), "decided": len(reaction)}


def _in_noise(run: _Run, labels: np.ndarray) -> dict[str, Robustness]:
    levels = {"input": list(_INPUT_LEVELS), "state": [level * run.activity for level in _STATE_LEVELS]}
    keys = dict(zip(levels, jax.random.split(run.keys["robustness"]), strict=True))
    return {
        where: vision.robustness(run.network, run.images, labels, key=keys[where], noise_std=stds, where=where)
        for where, stds in levels.items()
    }


def _relaxed(run: _Run) -> tuple[Relaxation, str]:
    steps = max(20, run.network.architecture.image_steps)
    found = vision.relaxation(run.network, run.images[:_POINTS], offset_steps=steps)
    known = found.time_constant[np.isfinite(found.time_constant)]
    constant = f"; time constant {np.median(known):.1f} steps" if len(known) else ""
    line = (
        f"After the image, {int(found.returned.sum())} of {len(found.returned)} responses came within a hundredth "
        f"of the baseline in {steps} steps{constant}."
    )
    return found, line


def _information(run: _Run) -> Found:
    network, plan = run.network, run.network.architecture
    if float(network.noise_std) == 0 and run.activity == 0:
        return Section("Fisher information", ["The network is silent: no noise level suggests itself."]), {}, {}
    trials = _trials(run.command, plan)
    if float(network.noise_std) == 0:
        network = network.replaced(noise_std=_DEFAULT_NOISE * run.activity)
    onset, offset = plan.blank_steps, plan.blank_steps + plan.image_steps
    at = _times(onset, offset)
    read, theory, measured, arrays = vision.channel_means(network), {}, {}, {"information_steps": np.array(at)}
    base, patch = jnp.array([value for _, value, _ in PARAMETERS.values()]), functools.partial(_patch, plan.image_shape)
    keys = jax.random.split(run.keys["information"], len(PARAMETERS))
    for name, key, direction in zip(PARAMETERS, keys, jnp.eye(len(PARAMETERS)), strict=True):
        # base and direction are arguments: one program serves all parameters
        image_of = jax.tree_util.Partial(patch, base, direction)
        shown = vision.shown(network, image_of)
        asked = {"stimulus": 0.0, "num_steps": shown.num_steps, "protocol": shown, "read": read, "at": at}
        theory[name] = fisher.linearized_curve(network, **asked)
        measured[name] = fisher.simulated_curve(network, **asked, key=key, num_trials=trials)
        arrays |= {f"information_{name}": theory[name].total}
        arrays |= {f"information_{name}_simulated": measured[name].total}
        arrays |= {f"information_{name}_error": measured[name].standard_error}
    units = {name: unit for name, (_, _, unit) in PARAMETERS.items()}
    path = save_information_in_time(run.folder / "information.png", theory, measured, units, onset=onset)
    where = ", ".join(f"{name} {text}" for name, (text, _, _) in PARAMETERS.items())
    text = [
        (
            f"Linear Fisher information of the channel means of area {plan.depth - 1} about a Gabor patch at {where}, "
            f"state noise σ = {float(network.noise_std):.3g}."
        ),
        (
            "Lines: noise linearized around the response, an approximation for weak noise. Points: "
            f"{trials} simulated responses, the same ones at all times."
        ),
    ]
    facts = {
        "information": {
            name: {"theory": float(theory[name].total[-1]), "simulation": float(measured[name].total[-1])}
            for name in PARAMETERS
        },
        "information_noise_std": float(network.noise_std),
    }
    caption = "Fisher information through time; bars are standard errors."
    return Section("Fisher information", text, [Figure(path, caption)]), facts, arrays


def _patch(image_shape: tuple[int, int, int], base: jax.Array, direction: jax.Array, value: Any) -> jax.Array:
    """A Gabor patch whose parameters move along a direction."""
    return datasets.gabor(image_shape, **dict(zip(PARAMETERS, base + value * direction, strict=True)))


def _distortions(run: _Run) -> Found:
    image = jnp.asarray(run.images[0])
    most, least = fisher.eigendistortions(
        jax.tree_util.Partial(_logits, run.network), image, key=run.keys["distortions"]
    )
    path = save_eigendistortions(run.folder / "distortions.png", image, most, least)
    ratio = most.information / max(least.information, np.finfo(float).tiny)
    text = [
        f"The logits at the end show one distortion of this image {ratio:.3g} times as well as another, in information."
        if least.information > 100 * np.finfo(image.dtype).eps * most.information
        else "Some distortions of this image the logits at the end do not show at all."
    ]
    caption = "An image, and the distortions of unit norm that the logits show most and least."
    facts = {"most_noticeable": most.information, "least_noticeable": least.information}
    return (
        Section("Eigendistortions", text, [Figure(path, caption)]),
        facts,
        {"most": most.direction, "least": least.direction},
    )


def _logits(network: vision.ConvolutionalRNN, image: jax.Array) -> jax.Array:
    return network(image)


def _trials(command: ConvnetAnalyze, plan: vision.Architecture) -> int:
    """Simulated responses: as asked for, if that is enough for the channels of the last area."""
    channels = plan.channels[-1]
    if command.trials == 0:
        return max(100, 2 * channels) if command.quick else max(400, 4 * channels)
    least = max(20, math.ceil((channels + 3) / 0.9) + 1)  # each tenth is left out once
    if command.trials < least:
        raise UsageError(f"--trials must be at least {least} for {channels} channels, got {command.trials}")
    return command.trials


def _times(start: int, end: int) -> list[int]:
    """Up to eight steps after `start` until `end`."""
    return np.unique(np.linspace(start, end, min(end - start, _POINTS) + 1).round().astype(int))[1:].tolist()
