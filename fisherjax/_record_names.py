"""What a saved file may name: classes of records and activation functions, decided before anything is imported.

A file holds a class by its bare name, and this table says where that class lives now, so that a file outlives a move
within the package. `tests/records` walks the library and compares.
"""

import importlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from fisherjax._errors import suggest

_HOMES = {
    "_linalg._krylov": "Spectrum",
    "_runtime._course": "Checkpoint TrainingHistory",
    "_theory": "PhaseDiagram TwoTimeCorrelation",
    "connectivity._families": (
        "BlockFamily CirculantFamily FeedforwardChainFamily FreeFamily "
        "GeneralizedToeplitzFamily HomogeneousFamily SymmetricToeplitzFamily "
        "ToeplitzFamily"
    ),
    "connectivity._freed": "WithFractions WithMeans",
    "connectivity._gain_matrix": "GainMatrix",
    "datasets._pictures": "Preprocessing",
    "datasets._preprocess": "Whitening",
    "datasets._turned": "TurnedPictures",
    "dmft._autocorrelation": "Autocorrelation",
    "dmft._fourier": "PowerSpectrum",
    "dynamics._completeness": "IndexSum",
    "dynamics._components": "PrincipalComponents",
    "dynamics._continuation": "Bifurcation Branch",
    "dynamics._fixed_points": "FixedPoints",
    "dynamics._flow": "MeasuredExponent",
    "dynamics._gradients": "GradientSpectrum",
    "dynamics._jacobian": "Linearization",
    "dynamics._lyapunov": "LyapunovSpectrum",
    "dynamics._manifold": "AttractorManifold",
    "dynamics._orbits": "PeriodicOrbits",
    "dynamics._phase_plane": "PhasePlane",
    "fisher._capacity": "ProcessingCapacity",
    "fisher._closure": "ClosureMoments",
    "fisher._cramer_rao": "CramerRao",
    "fisher._curve": "FisherCurve",
    "fisher._decodability": "Decodability",
    "fisher._eigendistortions": "Eigendistortion",
    "fisher._gate": "Diagnosis FisherEstimate",
    "fisher._layers": "LayerInformation",
    "fisher._metamers": "Metamer",
    "fisher._profile": "InformationProfile",
    "fisher._recorded._cross": "CrossInformation",
    "fisher._recorded._decoding": "RecordedDecoding",
    "fisher._recorded._information": "RecordedInformation",
    "fisher._recorded._permutation": "PermutationTest",
    "fisher._recorded._recording": "Recording",
    "fisher._recorded._smooth": "SmoothInformation",
    "fisher._recorded._tuning": "Tuning",
    "fisher._saturation": "InformationScaling",
    "fisher._temporal": "TemporalMatrix",
    "geometry._comparison": "GeometryComparison NetworkGeometry",
    "geometry._measured": "GeometryCurve",
    "geometry._measures": "NearIsometry",
    "geometry._shepard": "DistanceCorrelation ShepardDiagram",
    "meanfield._diffusion": "Alignment DiffusionOperator",
    "meanfield._overlaps": "PatternOverlaps",
    "meanfield._recursion": "Trajectory",
    "meanfield._resting": "StationaryState",
    "networks._constraints": "Dale FixedSigns Frozen LowRank Mask NoAutapses",
    "networks._from_torch": "CurrentRNN",
    "networks._gated": "GRU LSTM",
    "networks._pattern": "Pattern",
    "networks._rate": "FlowNetwork RateNetwork",
    "networks._regions": "MultiRegion Projection Region",
    "networks._stacked": "StackedNetwork",
    "networks._vanilla": "ContinuousRNN RNN",
    "networks._weights": "ConstrainedWeights FreeWeights LowRankWeights",
    "nonlinearities._erf_mixture": "Erf Logistic Tanh",
    "nonlinearities._linear": "Identity ThresholdLinear",
    "nonlinearities._piecewise": "PiecewiseSmooth",
    "nonlinearities._smooth": "SmoothFunction",
    "optimize._checkpoint": "AscentState OptimizationCheckpoint SearchState",
    "optimize._constraints": "Budget DiffusionRadius MaximumGain WeightRadius",
    "optimize._distances": "DistancesKept",
    "optimize._maximize": "Optimum",
    "optimize._objectives": "IntegratedMemory LogFisher Retention StreamCapacity",
    "optimize._problem": "History",
    "optimize._sensitivity": "Sensitivity",
    "simulate._autocorrelation": "MeasuredAutocorrelation",
    "simulate._moments": "SensitivityMoments",
    "tasks._decisions": "ContextIntegration PerceptualDecision",
    "tasks._integration": "Integrator SineWave",
    "tasks._memory": "Adding CopyMemory DelayedMatch FlipFlop",
    "training._fit": "Training",
    "training._psychometric": "PsychometricCurve",
    "training._statistics": "TrialStatistics",
    "vision._analyze": "Analysis",
    "vision._architecture": "Architecture",
    "vision._convolution": "Convolution Readout",
    "vision._convolution_spectrum": "ConvolutionSpectrum StabilityCertificate",
    "vision._decisions": "Decisions",
    "vision._evaluation": "Evaluation",
    "vision._feedforward": "BatchNorm FeedforwardCNN",
    "vision._heads": "NetworkWithHead",
    "vision._matching._match": "BestMatch ModelMatch",
    "vision._network": "ConvolutionalRNN",
    "vision._objectives": "RecurrenceFit",
    "vision._orientation._case": "OrientationCase",
    "vision._orientation._estimates": "EstimatorVariance",
    "vision._orientation._network": "AngleNetwork",
    "vision._orientation._reading": "AngleReading",
    "vision._orientation._stimuli": "Gratings",
    "vision._orientation._study": "OrientationStudy",
    "vision._orientation._training": "AngleTraining",
    "vision._pipeline": "ConvolutionalTraining",
    "vision._relaxation": "Relaxation",
    "vision._respond": "Response",
    "vision._response_curve": "ResponseCurve",
    "vision._robustness": "Robustness",
    "vision._spectra": "TrajectorySpectrum TransientGrowth",
}
RECORDS = {name: f"fisherjax.{home}" for home, names in _HOMES.items() for name in names.split()}
"""Home of each class that a file may hold."""

FUNCTIONS = (
    "celu", "elu", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "identity", "leaky_relu", "log_sigmoid",
    "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_sign", "softplus", "sparse_plus", "sparse_sigmoid",
    "squareplus", "tanh",
)  # fmt: skip
"""Activation functions of `jax.nn` that a file may hold."""

OWN_FUNCTIONS = {"rectified_tanh": "fisherjax.nonlinearities._registry"}
"""Home of each function of fisherjax that a file may hold."""

KEY_KINDS = ("threefry2x32", "rbg", "unsafe_rbg")
"""Generators of random keys that a file may hold."""


def stored_name(kind: type) -> str | None:
    """What files call a class; None if they may not hold it."""
    # a class of a user that has the name of one of ours is not ours
    return kind.__qualname__ if RECORDS.get(kind.__qualname__) == kind.__module__ else None


def record_class(name: Any, label: str) -> type[eqx.Module]:
    """The class that a file names; nothing is imported unless the table has it.

    Raises
    ------
    ValueError
        If it is not in the table, with the file and the name.
    """
    if not isinstance(name, str) or name not in RECORDS:
        raise ValueError(f"{label} names {str(name)[:80]!r}, which is no record of fisherjax{suggest(name, RECORDS)}")
    return getattr(importlib.import_module(RECORDS[name]), name)


def stored_function(function: Callable[..., Any]) -> str | None:
    """What files call an activation function; None if they may not hold it."""
    name = getattr(function, "__name__", "")
    return name if callable(function) and _function(name) is function else None


def function_named(name: Any, label: str) -> Callable[..., Any]:
    """The activation function that a file names.

    Raises
    ------
    ValueError
        If it is not in the table, with the file and the name.
    """
    function = _function(name)
    if function is None:
        raise ValueError(f"{label} names the function {str(name)[:80]!r}, which is no activation function of jax.nn")
    return function


def _function(name: Any) -> Callable[..., Any] | None:
    """The function of that name in the tables; nothing is imported for any other."""
    if not isinstance(name, str):
        return None
    if name in OWN_FUNCTIONS:
        return getattr(importlib.import_module(OWN_FUNCTIONS[name]), name)
    return getattr(jax.nn, name, None) if name in FUNCTIONS else None
