"""Large-N theory in discrete time: order parameters, stationary states, Fisher diffusion, chaos."""

from fisherjax._theory import REGIMES, PhaseDiagram, TwoTimeCorrelation

from ._critical import critical_gain
from ._diffusion import Alignment, DiffusionOperator, diffusion_operator
from ._overlaps import PatternOverlaps, overlap_steps, pattern_overlaps
from ._phase_diagram import phase_diagram
from ._recursion import Trajectory, input_parameters, propagate
from ._stationary import StationaryState, lyapunov_exponent, stationary_state
from ._two_time import two_time_correlation

__all__ = [
    "REGIMES",
    "Alignment",
    "DiffusionOperator",
    "PatternOverlaps",
    "PhaseDiagram",
    "StationaryState",
    "Trajectory",
    "TwoTimeCorrelation",
    "critical_gain",
    "diffusion_operator",
    "input_parameters",
    "lyapunov_exponent",
    "overlap_steps",
    "pattern_overlaps",
    "phase_diagram",
    "propagate",
    "stationary_state",
    "two_time_correlation",
]
