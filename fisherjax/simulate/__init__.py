"""Monte-Carlo simulation: whole trajectories, or only their moments."""

from ._autocorrelation import MeasuredAutocorrelation, measure_autocorrelation, trajectory_autocorrelation
from ._continuous import checked_times, continuous_trajectories, solve_additive, solver_grid
from ._draw import check_network, draw_networks
from ._memory import available_bytes, check_allocation, chunk_length, map_length, row_shards
from ._moments import SensitivityMoments, sensitivity_moments
from ._trajectories import noisy_step, ready, trajectories

__all__ = [
    "MeasuredAutocorrelation",
    "SensitivityMoments",
    "available_bytes",
    "check_allocation",
    "check_network",
    "checked_times",
    "chunk_length",
    "continuous_trajectories",
    "draw_networks",
    "map_length",
    "measure_autocorrelation",
    "noisy_step",
    "ready",
    "row_shards",
    "sensitivity_moments",
    "solve_additive",
    "solver_grid",
    "trajectories",
    "trajectory_autocorrelation",
]
