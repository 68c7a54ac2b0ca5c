"""Training of networks on tasks."""

from ._angle import AngleTraining, respond_to_gratings, train_angle_network
from ._checkpoint import Checkpoint, load_checkpoint
from ._fit import fit
from ._result import Training, TrainingHistory, TrainingProgress

__all__ = [
    "AngleTraining",
    "Checkpoint",
    "Training",
    "TrainingHistory",
    "TrainingProgress",
    "fit",
    "load_checkpoint",
    "respond_to_gratings",
    "train_angle_network",
]
