"""Training of networks on tasks."""

from fisherjax._runtime import TrainingHistory, TrainingProgress, load_checkpoint

from ._fit import Training, fit
from ._psychometric import psychometric
from ._statistics import trial_statistics

__all__ = [
    "Training", "TrainingHistory", "TrainingProgress", "fit", "load_checkpoint", "psychometric", "trial_statistics",
]  # fmt: skip
