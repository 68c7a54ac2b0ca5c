"""Whole figures about convolutional recurrent networks, saved as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fisherjax._errors import require
from fisherjax.fisher import FisherCurve
from fisherjax.fisher._eigendistortions import Eigendistortion
from fisherjax.vision import ConvolutionalTraining, Response
from fisherjax.vision._analyze import Analysis
from fisherjax.vision._convolution_spectrum import StabilityCertificate
from fisherjax.vision._decisions import Decisions
from fisherjax.vision._evaluation import Evaluation
from fisherjax.vision._relaxation import Relaxation
from fisherjax.vision._robustness import Robustness

from . import _convolutional as panel
from ._checks import checked
from ._evaluation import confusion, evaluation
from ._style import tiles


@checked
def save_convolutional_training(
    path: Path, trained: ConvolutionalTraining, decided: Decisions, bounds: StabilityCertificate, *, onset: int
) -> Path:
    """Course of all stages, decisions through time on test images, and stability bounds of every area."""
    with tiles(path, 3, columns=3, height=4.4) as (course, time, stability):
        panel.stages(trained.histories, course)
        panel.decisions(decided, time, onset=onset)
        time.set_title("test images")
        panel.certificate(bounds, stability)
    return path


@checked
def save_evaluation(path: Path, found: Evaluation, names: Sequence[str]) -> Path:
    """Right decisions through time with their intervals, and what classes are taken for."""
    with tiles(path, 2, columns=2, height=4.6) as (time, classes):
        evaluation(found, time)
        confusion(found, names, classes)
    return path


@checked
def save_response(path: Path, picture: Any, response: Response, names: Sequence[str], *, top: int = 5) -> Path:
    """A picture as the network sees it, its most probable classes and the activity of all areas through time."""
    with tiles(path, 3, columns=3, height=4.2) as (seen, classes, areas):
        shown = np.asarray(picture)
        seen.imshow(shown if shown.shape[-1] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=1)
        seen.set(xticks=[], yticks=[], title="what the network sees")
        panel.class_probabilities(response, names, classes, top=top)
        classes.set_title("most probable classes")
        panel.area_activity(response, areas)
        areas.set_title("activity of the areas")
    return path


@checked
def save_stability(path: Path, analysis: Analysis, alpha: Sequence[float], *, onset: int) -> Path:
    """Certified bounds, eigenvalues of every area, those along a response, and transient growth, where there are."""
    unasked = "was not asked for"
    with tiles(path, 4, columns=2, height=4.2) as (bounded, plane, time, grown):
        if analysis.certificate is not None:
            panel.certificate(analysis.certificate, bounded)
        else:
            _say(bounded, f"a certificate {unasked}" if analysis.areas is None else "feedback: nothing is certified")
        if analysis.areas is not None:
            panel.spectra([area.eigenvalues for area in analysis.areas], alpha, plane)
            plane.set_title("(1 − α) + αW, every unit active")
        else:
            _say(plane, f"stability {unasked}")
        if analysis.trajectory is not None:
            panel.trajectory_spectrum(analysis.trajectory, time)
            time.axvline(onset, color="0.6", linewidth=1, linestyle=":")
            time.set_title("along a response")
        else:
            _say(time, f"stability {unasked}")
        if analysis.growth is not None:
            panel.transient_growth(analysis.growth, grown)
            grown.set_title("perturbed when the image appears")
        else:
            _say(grown, f"transient growth {unasked}")
    return path


@checked
def save_decisions(path: Path, decided: Decisions | None, back: Relaxation | None, *, onset: int) -> Path:
    """Decisions through time, and how activity settles, where there are."""
    require(decided is not None or back is not None, "one of decided and back must be given")
    panels = [decided is not None, back is not None]
    with tiles(path, sum(panels), columns=2, height=4.4) as axes:
        free = iter(axes)
        if decided is not None:
            panel.decisions(decided, next(free), onset=onset)
        if back is not None:
            panel.relaxation(back, next(free))
    return path


@checked
def save_robustness(path: Path, found: Mapping[str, Robustness]) -> Path:
    """Accuracy against the strength of each corruption."""
    require(bool(found), "found must hold at least one corruption")
    columns = min(3, len(found))
    with tiles(path, len(found), columns=columns, height=3, sharey=True) as axes:
        for place, (ax, (name, own)) in enumerate(zip(axes, found.items(), strict=True)):
            panel.robustness(own, ax)
            ax.set_title(name)
            if place % columns:  # the first of the row says it
                ax.set_ylabel("")
    return path


@checked
def save_information_in_time(
    path: Path,
    theory: Mapping[str, FisherCurve],
    measured: Mapping[str, FisherCurve],
    units: Mapping[str, str],
    *,
    onset: int,
) -> Path:
    """Fisher information about every parameter through time, predicted and measured."""
    for name in theory:
        require(name in measured, f"measured has no estimates for {name!r}")
        require(name in units, f"units has none for {name!r}")
    with tiles(path, len(theory), columns=3, height=4.2) as axes:
        for ax, (name, found) in zip(axes, theory.items(), strict=True):
            panel.information_in_time(found, ax, measured=measured[name], onset=onset, unit=units[name])
            ax.set_title(name)
    return path


@checked
def save_eigendistortions(path: Path, image: Any, most: Eigendistortion, least: Eigendistortion) -> Path:
    """An image and its most and least noticeable distortions."""
    with tiles(path, 3, columns=3, height=3.6) as axes:
        panel.eigendistortions(image, most, least, axes)
    return path


def _say(ax: Any, text: str) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center")
