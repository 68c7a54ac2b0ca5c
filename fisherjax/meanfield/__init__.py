"""Large-N theory in discrete time: order parameters, stationary states, Fisher diffusion, chaos."""

from ._diffusion import DiffusionOperator, diffusion_operator
from ._overlaps import pattern_overlaps
from ._recursion import propagate
from ._stationary import StationaryState, critical_gain, lyapunov_exponent, phase_diagram, stationary_state
from ._two_time import two_time_correlation

__all__ = [
    "DiffusionOperator", "StationaryState", "critical_gain", "diffusion_operator", "lyapunov_exponent",
    "pattern_overlaps", "phase_diagram", "propagate", "stationary_state", "two_time_correlation",
]  # fmt: skip
