"""Large-N theory in discrete time: order parameters, stationary states, Fisher diffusion, chaos."""

from ._backward import gradient_gain
from ._diffusion import DiffusionOperator, diffusion_operator
from ._overlaps import pattern_overlaps
from ._recursion import propagate
from ._resting import StationaryState
from ._spectra import gradient_spectrum, lyapunov_spectrum
from ._stationary import lyapunov_exponent, stationary_state, stationary_states
from ._transition import critical_gain, critical_mean, phase_diagram
from ._two_time import two_time_correlation

__all__ = [
    "DiffusionOperator", "StationaryState", "critical_gain", "critical_mean", "diffusion_operator",
    "gradient_gain", "gradient_spectrum", "lyapunov_exponent", "lyapunov_spectrum", "pattern_overlaps",
    "phase_diagram", "propagate", "stationary_state", "stationary_states", "two_time_correlation",
]  # fmt: skip
