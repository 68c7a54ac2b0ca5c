"""What pictures ask of their arguments, and how they say that something could not be drawn."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from matplotlib.axes import Axes

from fisherjax import connectivity, dmft, dynamics, fisher, geometry, networks, tasks, training, vision
from fisherjax._errors import check_instance, require, told
from fisherjax.dynamics._flow import MeasuredExponent
from fisherjax.dynamics._orbits import PeriodicOrbits
from fisherjax.dynamics._phase_plane import PhasePlane
from fisherjax.fisher._capacity import ProcessingCapacity
from fisherjax.fisher._cramer_rao import CramerRao
from fisherjax.fisher._eigendistortions import Eigendistortion
from fisherjax.fisher._profile import InformationProfile
from fisherjax.fisher._recorded._decoding import RecordedDecoding
from fisherjax.fisher._recorded._information import RecordedInformation
from fisherjax.fisher._recorded._smooth import SmoothInformation
from fisherjax.fisher._recorded._tuning import Tuning
from fisherjax.fisher._saturation import InformationScaling
from fisherjax.fisher._temporal import TemporalMatrix
from fisherjax.geometry._measured import GeometryCurve
from fisherjax.optimize._problem import History
from fisherjax.optimize._sensitivity import Sensitivity
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation
from fisherjax.vision._analyze import Analysis
from fisherjax.vision._convolution_spectrum import StabilityCertificate
from fisherjax.vision._decisions import Decisions
from fisherjax.vision._evaluation import Evaluation
from fisherjax.vision._matching._match import ModelMatch
from fisherjax.vision._orientation._case import OrientationCase
from fisherjax.vision._orientation._estimates import EstimatorVariance
from fisherjax.vision._orientation._study import OrientationStudy
from fisherjax.vision._relaxation import Relaxation
from fisherjax.vision._response_curve import ResponseCurve
from fisherjax.vision._robustness import Robustness
from fisherjax.vision._spectra import TrajectorySpectrum, TransientGrowth

from ._style import SMALL

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_MADE_BY: dict[type, str] = {
    Analysis: "vision.analyze",
    EstimatorVariance: ".variance of vision.orientation_study",
    OrientationCase: ".cases of vision.orientation_study",
    OrientationStudy: "vision.orientation_study",
    connectivity.GainMatrix: "connectivity.homogeneous or GainMatrix(gains, fractions)",
    dmft.Autocorrelation: "dmft.autocorrelation",
    dmft.PhaseDiagram: "dmft.phase_diagram",
    dynamics.Branch: "dynamics.continue_fixed_points",
    Decisions: "vision.decisions",
    dynamics.FixedPoints: "dynamics.find_fixed_points",
    MeasuredExponent: "dynamics.measure_lyapunov_exponent",
    PeriodicOrbits: "dynamics.find_periodic_orbits",
    PhasePlane: "dynamics.phase_plane",
    dynamics.PrincipalComponents: "dynamics.principal_components",
    Relaxation: "vision.relaxation",
    Evaluation: "vision.evaluate",
    ResponseCurve: "vision.response_curve",
    Robustness: "vision.robustness",
    StabilityCertificate: "vision.stability_certificate",
    TrajectorySpectrum: "vision.trajectory_spectrum",
    TransientGrowth: "vision.transient_growth",
    CramerRao: "fisher.cramer_rao",
    Eigendistortion: "fisher.eigendistortions",
    fisher.FisherCurve: "fisher.meanfield_curve or fisher.ensemble_curve",
    fisher.FisherEstimate: "fisher.direct or fisher.estimate",
    InformationProfile: "fisher.information_profile",
    InformationScaling: "fisher.information_scaling",
    ProcessingCapacity: "fisher.processing_capacity",
    RecordedDecoding: "fisher.recorded_decoding",
    RecordedInformation: "fisher.recorded_information",
    SmoothInformation: "fisher.smooth_information",
    Tuning: "fisher.tuning",
    TemporalMatrix: "fisher.temporal_matrix",
    geometry.DistanceCorrelation: "geometry.distance_correlation",
    geometry.GeometryComparison: "geometry.compare_geometry",
    geometry.NetworkGeometry: "geometry.network_geometry",
    GeometryCurve: ".measured or .theory of geometry.compare_geometry",
    geometry.ShepardDiagram: "geometry.shepard",
    ModelMatch: "vision.representational_similarity or vision.neural_regression",
    networks.RecurrentNetwork: "networks.RNN",
    vision.Response: "vision.respond",
    nx.DiGraph: "dynamics.transition_graph",
    History: ".history of optimize.maximize",
    Sensitivity: ".sensitivity of optimize.maximize's result",
    MeasuredAutocorrelation: "simulate.measure_autocorrelation",
    tasks.TaskBatch: "tasks.flip_flop(num_bits=1).batch(key, num_trials, num_steps)",
    vision.ConvolutionalTraining: "vision.train",
    training.Training: "training.fit",
    training.TrainingHistory: ".history of training.fit, or .histories of vision.train",
}


def checked(draw: F) -> F:
    """Check arguments by their annotations before anything is drawn: results, dictionaries of results, and paths."""
    names = list(inspect.signature(draw).parameters)
    checks = {name: _check_of(kind) for name, kind in get_type_hints(draw).items() if name in names}

    @functools.wraps(draw)
    def drawn(*args: Any, **options: Any) -> Any:
        for name, value in {**dict(zip(names, args, strict=False)), **options}.items():
            if (check := checks.get(name)) is not None:
                check(name, value)
        return draw(*args, **options)

    return drawn  # pyright: ignore[reportReturnType]


def _check_of(annotation: Any) -> Callable[[str, Any], Any] | None:
    """The check that an annotation asks for, if it is of a path, of results or of a dictionary of them."""
    options = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    kinds = [kind for kind in options if kind is not NoneType]
    is_dictionary = len(kinds) == 1 and get_origin(kinds[0]) in {Mapping, dict}
    if Path in kinds:
        return _check_path
    if kinds and all(isinstance(kind, type) and kind in _MADE_BY for kind in kinds):
        check: Callable[[str, Any], Any] = lambda name, value: check_result(name, value, *kinds)  # noqa: E731
    elif is_dictionary and get_args(kinds[0])[1] in _MADE_BY:
        check = functools.partial(check_results, kind=get_args(kinds[0])[1])
    else:
        return None
    return check if len(kinds) == len(options) else lambda name, value: None if value is None else check(name, value)


def check_result(name: str, value: T, *kinds: type) -> T:
    """Return `value` if it is of one of these types; otherwise TypeError that says what makes one."""
    return check_instance(name, value, kinds, f"{' or '.join(_MADE_BY[kind] for kind in kinds)} makes one")


def check_results(name: str, values: Any, kind: type) -> Mapping[Any, Any]:
    """Return results by name."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a dictionary of names and {kind.__name__}s, got {told(values)}")
    for key, value in values.items():
        check_result(f"{name}[{key!r}]", value, kind)
    return values


def check_sequence(name: str, values: Any, kind: type) -> Sequence[Any]:
    """Return a list of results."""
    if not isinstance(values, list | tuple):
        raise TypeError(f"{name} must be a list of {kind.__name__}s, got {told(values)}")
    for index, value in enumerate(values):
        check_result(f"{name}[{index}]", value, kind)
    return values


def axes_of(axes: Any, rows: int, columns: int, size: tuple[float | int, float | int]) -> Any:
    """Return the axes given, as many as a picture takes, or those of a new figure."""
    if axes is None:
        return tuple(plt.subplots(rows, columns, figsize=size, sharex=rows > 1, layout="constrained")[1])
    count = rows * columns
    chosen = list(np.ravel(np.asarray(axes, dtype=object)))
    if not all(isinstance(ax, Axes) for ax in chosen):
        raise TypeError(
            f"axes must be {count} Axes of matplotlib, got {told(axes)}; plt.subplots(1, {count})[1] makes them"
        )
    require(len(chosen) == count, f"axes must be {count} Axes of matplotlib, got {len(chosen)}")
    return axes


def _check_path(name: str, path: Any) -> None:
    """Refuse what is no path of a picture."""
    if not isinstance(path, str | Path):
        raise TypeError(f"{name} must be the name of a file, got {told(path)}")


def drawable(ax: Axes, values: Any, *, positive: bool = False) -> np.ndarray:
    """Values with gaps, NaN, where one is not resolved or, on a logarithmic axis, not `positive`.

    How many were left out is said beside the axes, on the right.
    """
    array = np.asarray(values, float)
    shown = np.isfinite(array) & (array > 0) if positive else np.isfinite(array)
    missing = int(np.count_nonzero(~shown))
    if missing:
        _say_missing(ax, missing, positive=positive)
    return np.where(shown, array, np.nan)


def _say_missing(ax: Axes, missing: int, *, positive: bool) -> None:
    note = next((text for text in ax.texts if text.get_gid() == "missing"), None)
    before = 0 if note is None else int(note.get_text().split()[0])
    if note is None:
        place: Any = {"transform": ax.transAxes, "rotation": 90, "ha": "left", "va": "bottom"}
        note = ax.text(1.01, 0.0, "", fontsize=SMALL, color="0.4", **place)
        note.set_gid("missing")
    why = "not resolved or not above 0" if positive else "not resolved"
    count = missing + before
    note.set_text(f"{count} value{'s' if count > 1 else ''} not drawn:\n{why}")
