"""Training of networks on tasks."""

from ._checkpoint import load_checkpoint
from ._fit import fit
from ._psychometric import psychometric
from ._result import Training, TrainingHistory, TrainingProgress
from ._statistics import trial_statistics

__all__ = [
    "Training",
    "TrainingHistory",
    "TrainingProgress",
    "fit",
    "load_checkpoint",
    "psychometric",
    "trial_statistics",
]
