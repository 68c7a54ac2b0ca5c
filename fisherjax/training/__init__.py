"""Training of networks on tasks."""

from ._angle import AngleTraining, respond_to_gratings, train_angle_network
from ._augment import Augmentation, augment
from ._checkpoint import Checkpoint, load_checkpoint
from ._cordsnet import accuracy, anneal, fine_tune, fit_recurrence, train_feedforward, train_linear
from ._descent import StageHistory
from ._fit import fit
from ._pipeline import ConvolutionalTraining, StageSteps, train_cordsnet, train_directly
from ._psychometric import PsychometricCurve, psychometric
from ._result import Training, TrainingHistory, TrainingProgress
from ._statistics import TrialStatistics, trial_statistics

__all__ = [
    "AngleTraining",
    "Augmentation",
    "Checkpoint",
    "ConvolutionalTraining",
    "PsychometricCurve",
    "StageHistory",
    "StageSteps",
    "Training",
    "TrainingHistory",
    "TrainingProgress",
    "TrialStatistics",
    "accuracy",
    "anneal",
    "augment",
    "fine_tune",
    "fit",
    "fit_recurrence",
    "load_checkpoint",
    "psychometric",
    "respond_to_gratings",
    "train_angle_network",
    "train_cordsnet",
    "train_directly",
    "train_feedforward",
    "train_linear",
    "trial_statistics",
]
