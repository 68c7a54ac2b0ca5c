"""Monte-Carlo simulation: whole trajectories, or only their moments."""

from ._autocorrelation import MeasuredAutocorrelation, measure_autocorrelation, trajectory_autocorrelation
from ._continuous import FlowStep, checked_times, continuous_trajectories, drift, solve_additive, solver_grid
from ._draw import drawn_network
from ._memory import available_bytes, check_allocation, chunk_length, map_length, row_shards
from ._moments import SensitivityMoments, sensitivity_moments
from ._trajectories import noisy_step, observe, trajectories

__all__ = [
    "FlowStep",
    "MeasuredAutocorrelation",
    "SensitivityMoments",
    "available_bytes",
    "check_allocation",
    "checked_times",
    "chunk_length",
    "continuous_trajectories",
    "drawn_network",
    "drift",
    "map_length",
    "measure_autocorrelation",
    "noisy_step",
    "observe",
    "row_shards",
    "sensitivity_moments",
    "solve_additive",
    "solver_grid",
    "trajectories",
    "trajectory_autocorrelation",
]
