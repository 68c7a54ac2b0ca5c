"""Training of networks on tasks."""

from ._checkpoint import Checkpoint, load_checkpoint
from ._fit import fit
from ._psychometric import PsychometricCurve, psychometric
from ._result import Training, TrainingHistory, TrainingProgress
from ._statistics import TrialStatistics, trial_statistics

__all__ = [
    "Checkpoint",
    "PsychometricCurve",
    "Training",
    "TrainingHistory",
    "TrainingProgress",
    "TrialStatistics",
    "fit",
    "load_checkpoint",
    "psychometric",
    "trial_statistics",
]
