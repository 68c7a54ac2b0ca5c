"""Large-N theory: order parameters in time, stationary states, Fisher diffusion, chaos."""

from ._autocorrelation import REGIMES, Autocorrelation, as_structure, autocorrelation
from ._diffusion import Alignment, DiffusionOperator, diffusion_operator
from ._fourier import Spectrum, power_spectrum
from ._overlaps import PatternOverlaps, overlap_steps, pattern_overlaps
from ._phase_diagram import PhaseDiagram, phase_diagram
from ._recursion import Trajectory, input_parameters, propagate
from ._stationary import StationaryState, lyapunov_exponent, stationary_state
from ._transition import critical_gain, local_stability_gain
from ._two_time import Replicas, TwoTimeCorrelation, covariance_rows, two_time_correlation

__all__ = [
    "REGIMES",
    "Alignment",
    "Autocorrelation",
    "DiffusionOperator",
    "PatternOverlaps",
    "PhaseDiagram",
    "Replicas",
    "Spectrum",
    "StationaryState",
    "Trajectory",
    "TwoTimeCorrelation",
    "as_structure",
    "autocorrelation",
    "covariance_rows",
    "critical_gain",
    "diffusion_operator",
    "input_parameters",
    "local_stability_gain",
    "lyapunov_exponent",
    "overlap_steps",
    "pattern_overlaps",
    "phase_diagram",
    "power_spectrum",
    "propagate",
    "stationary_state",
    "two_time_correlation",
]
