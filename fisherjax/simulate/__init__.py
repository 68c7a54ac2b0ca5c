"""Monte-Carlo simulation: whole trajectories, or only their moments."""

from ._autocorrelation import measure_autocorrelation, trajectory_autocorrelation
from ._continuous import continuous_trajectories
from ._draw import draw_networks
from ._moments import sensitivity_moments
from ._trajectories import trajectories

__all__ = [
    "continuous_trajectories", "draw_networks", "measure_autocorrelation", "sensitivity_moments", "trajectories",
    "trajectory_autocorrelation",
]  # fmt: skip
