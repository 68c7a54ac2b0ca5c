"""Large-N theory: order parameters in time, stationary states, Fisher diffusion, chaos."""

from ._diffusion import Alignment, DiffusionOperator, diffusion_operator
from ._overlaps import PatternOverlaps, overlap_steps, pattern_overlaps
from ._recursion import Trajectory, input_parameters, propagate
from ._stationary import StationaryState, critical_gain, lyapunov_exponent, stationary_state

__all__ = [
    "Alignment",
    "DiffusionOperator",
    "PatternOverlaps",
    "StationaryState",
    "Trajectory",
    "critical_gain",
    "diffusion_operator",
    "input_parameters",
    "lyapunov_exponent",
    "overlap_steps",
    "pattern_overlaps",
    "propagate",
    "stationary_state",
]
