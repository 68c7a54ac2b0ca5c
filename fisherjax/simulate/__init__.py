"""Monte-Carlo simulation: whole trajectories, or only their moments."""

from ._memory import available_bytes, check_allocation, chunk_length, map_length
from ._moments import SensitivityMoments, sensitivity_moments
from ._trajectories import noisy_step, observe, trajectories

__all__ = [
    "SensitivityMoments",
    "available_bytes",
    "check_allocation",
    "chunk_length",
    "map_length",
    "noisy_step",
    "observe",
    "sensitivity_moments",
    "trajectories",
]
