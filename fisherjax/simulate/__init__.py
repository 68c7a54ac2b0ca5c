"""Monte-Carlo simulation: whole trajectories, or only their moments."""

from ._autocorrelation import MeasuredAutocorrelation, measure_autocorrelation, trajectory_autocorrelation
from ._continuous import checked_times, continuous_trajectories, solve_additive, solver_grid
from ._draw import check_network, draw_networks
from ._moments import SensitivityMoments, sensitivity_moments
from ._trajectories import noisy_step, ready, trajectories

__all__ = [
    "MeasuredAutocorrelation",
    "SensitivityMoments",
    "check_network",
    "checked_times",
    "continuous_trajectories",
    "draw_networks",
    "measure_autocorrelation",
    "noisy_step",
    "ready",
    "sensitivity_moments",
    "solve_additive",
    "solver_grid",
    "trajectories",
    "trajectory_autocorrelation",
]
