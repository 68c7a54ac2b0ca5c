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

RECORDS = {
    "PhaseDiagram": "fisherjax._theory",
    "TwoTimeCorrelation": "fisherjax._theory",
    "BlockFamily": "fisherjax.connectivity",
    "CirculantFamily": "fisherjax.connectivity",
    "FeedforwardChainFamily": "fisherjax.connectivity",
    "FreeFamily": "fisherjax.connectivity",
    "GainMatrix": "fisherjax.connectivity",
    "GeneralizedToeplitzFamily": "fisherjax.connectivity",
    "HomogeneousFamily": "fisherjax.connectivity",
    "SymmetricToeplitzFamily": "fisherjax.connectivity",
    "ToeplitzFamily": "fisherjax.connectivity",
    "WithFractions": "fisherjax.connectivity",
    "Preprocessing": "fisherjax.datasets",
    "Whitening": "fisherjax.datasets",
    "Autocorrelation": "fisherjax.dmft",
    "PowerSpectrum": "fisherjax.dmft",
    "AttractorManifold": "fisherjax.dynamics",
    "Bifurcation": "fisherjax.dynamics",
    "Branch": "fisherjax.dynamics",
    "ConvolutionSpectrum": "fisherjax.vision",
    "Decisions": "fisherjax.vision",
    "FixedPoints": "fisherjax.dynamics",
    "IndexSum": "fisherjax.dynamics",
    "Linearization": "fisherjax.dynamics",
    "LyapunovSpectrum": "fisherjax.dynamics",
    "MeasuredExponent": "fisherjax.dynamics",
    "PeriodicOrbits": "fisherjax.dynamics",
    "PhasePlane": "fisherjax.dynamics",
    "PrincipalComponents": "fisherjax.dynamics",
    "Relaxation": "fisherjax.vision",
    "Robustness": "fisherjax.vision",
    "StabilityCertificate": "fisherjax.vision",
    "TrajectorySpectrum": "fisherjax.vision",
    "TransientGrowth": "fisherjax.vision",
    "ClosureMoments": "fisherjax.fisher",
    "CramerRao": "fisherjax.fisher",
    "Diagnosis": "fisherjax.fisher._estimate",
    "Eigendistortion": "fisherjax.fisher",
    "FisherCurve": "fisherjax.fisher",
    "FisherEstimate": "fisherjax.fisher",
    "InformationProfile": "fisherjax.fisher",
    "InformationScaling": "fisherjax.fisher",
    "DistanceCorrelation": "fisherjax.geometry",
    "GeometryComparison": "fisherjax.geometry",
    "GeometryCurve": "fisherjax.geometry",
    "NetworkGeometry": "fisherjax.geometry",
    "NearIsometry": "fisherjax.geometry",
    "ShepardDiagram": "fisherjax.geometry",
    "Alignment": "fisherjax.meanfield",
    "DiffusionOperator": "fisherjax.meanfield",
    "PatternOverlaps": "fisherjax.meanfield",
    "StationaryState": "fisherjax.meanfield",
    "Trajectory": "fisherjax.meanfield",
    "AngleNetwork": "fisherjax.vision",
    "Architecture": "fisherjax.vision",
    "BatchNorm": "fisherjax.vision",
    "ConstrainedWeights": "fisherjax.networks._weights",
    "ContinuousRNN": "fisherjax.networks",
    "Convolution": "fisherjax.vision",
    "ConvolutionalRNN": "fisherjax.vision",
    "CurrentRNN": "fisherjax.networks",
    "Dale": "fisherjax.networks._constraints",
    "FeedforwardCNN": "fisherjax.vision",
    "FixedSigns": "fisherjax.networks._constraints",
    "FreeWeights": "fisherjax.networks._weights",
    "Frozen": "fisherjax.networks._constraints",
    "GRU": "fisherjax.networks",
    "LSTM": "fisherjax.networks",
    "LowRank": "fisherjax.networks._constraints",
    "LowRankWeights": "fisherjax.networks._weights",
    "Mask": "fisherjax.networks._constraints",
    "MultiRegion": "fisherjax.networks",
    "NoAutapses": "fisherjax.networks._constraints",
    "Pattern": "fisherjax.networks._pattern",
    "Projection": "fisherjax.networks",
    "RNN": "fisherjax.networks",
    "FlowNetwork": "fisherjax.networks",
    "RateNetwork": "fisherjax.networks",
    "Readout": "fisherjax.vision",
    "Region": "fisherjax.networks",
    "Response": "fisherjax.vision",
    "StackedNetwork": "fisherjax.networks",
    "Erf": "fisherjax.nonlinearities",
    "Identity": "fisherjax.nonlinearities",
    "Logistic": "fisherjax.nonlinearities",
    "PiecewiseSmooth": "fisherjax.nonlinearities._piecewise",
    "PowerIteration": "fisherjax._linalg",
    "SmoothFunction": "fisherjax.nonlinearities",
    "Spectrum": "fisherjax._linalg",
    "Tanh": "fisherjax.nonlinearities",
    "ThresholdLinear": "fisherjax.nonlinearities",
    "AscentState": "fisherjax.optimize._checkpoint",
    "Budget": "fisherjax.optimize",
    "DiffusionRadius": "fisherjax.optimize",
    "DistancesKept": "fisherjax.optimize",
    "History": "fisherjax.optimize",
    "IntegratedMemory": "fisherjax.optimize",
    "LogFisher": "fisherjax.optimize",
    "MaximumGain": "fisherjax.optimize",
    "OptimizationCheckpoint": "fisherjax.optimize._checkpoint",
    "Optimum": "fisherjax.optimize",
    "Retention": "fisherjax.optimize",
    "SearchState": "fisherjax.optimize._checkpoint",
    "WeightRadius": "fisherjax.optimize",
    "MeasuredAutocorrelation": "fisherjax.simulate",
    "SensitivityMoments": "fisherjax.simulate",
    "Adding": "fisherjax.tasks",
    "ContextIntegration": "fisherjax.tasks",
    "CopyMemory": "fisherjax.tasks",
    "DelayedMatch": "fisherjax.tasks",
    "FlipFlop": "fisherjax.tasks",
    "Integrator": "fisherjax.tasks",
    "PerceptualDecision": "fisherjax.tasks",
    "SineWave": "fisherjax.tasks",
    "AngleTraining": "fisherjax.vision",
    "PsychometricCurve": "fisherjax.training",
    "TrialStatistics": "fisherjax.training",
    "Checkpoint": "fisherjax.training",
    "ConvolutionalTraining": "fisherjax.vision",
    "RecurrenceFit": "fisherjax.vision._objectives",
    "StageCheckpoint": "fisherjax.vision._descent",
    "StageHistory": "fisherjax.vision",
    "Training": "fisherjax.training",
    "TrainingHistory": "fisherjax.training",
}
"""Home of each class that a file may hold."""

STORED_AS = {"dmft.Spectrum": "PowerSpectrum"}
"""Package and class where another package has a class of the same name: what files call it."""

FUNCTIONS = (
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh",
)
"""Activation functions of `jax.nn` that a file may hold."""

OWN_FUNCTIONS = {"rectified_tanh": "fisherjax.nonlinearities._registry"}
"""Home of each function of fisherjax that a file may hold."""

KEY_KINDS = ("threefry2x32", "rbg", "unsafe_rbg")
"""Generators of random keys that a file may hold."""


def stored_name(kind: type) -> str | None:
    """What files call a class; None if they may not hold it."""
    package = kind.__module__.split(".")[1:2]
    name = STORED_AS.get(".".join([*package, kind.__qualname__]), kind.__qualname__)
    home = RECORDS.get(name, "")
    # a class of a user that has the name of one of ours is not ours
    return name if kind.__module__.startswith("fisherjax.") and package == home.split(".")[1:2] else None


def record_class(name: Any, label: str) -> type[eqx.Module]:
    """The class that a file names; nothing is imported unless the table has it.

    Raises
    ------
    ValueError
        If it is not in the table, with the file and the name.
    """
    if not isinstance(name, str) or name not in RECORDS:
        raise ValueError(f"{label} names {str(name)[:80]!r}, which is no record of fisherjax{suggest(name, RECORDS)}")
    own = {stored: qualified.split(".")[1] for qualified, stored in STORED_AS.items()}
    return getattr(importlib.import_module(RECORDS[name]), own.get(name, name))


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
