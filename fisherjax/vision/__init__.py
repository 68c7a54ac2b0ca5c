"""Convolutional networks that are dynamical systems: from images to spectra, decisions and information."""

from fisherjax._linalg import arnoldi

from ._analyze import analyze
from ._architecture import Architecture, architecture
from ._augmentation import Augmentation
from ._checkpoints import load_checkpoint, save_checkpoint
from ._convolution_spectrum import convolution_bounds, convolution_spectrum, spectral_penalty, stability_certificate
from ._decisions import decisions
from ._evaluation import evaluate
from ._feedforward import FeedforwardCNN, feedforward_pass, fold_batch_norm
from ._heads import picture_trials, with_head
from ._matching._regression import neural_regression
from ._matching._similarity import representational_similarity
from ._network import ConvolutionalRNN
from ._orientation._network import AngleNetwork, angle_network, decode_angle
from ._orientation._stimuli import respond_to_angle
from ._orientation._study import orientation_study
from ._orientation._training import train_angle_network
from ._pipeline import ConvolutionalTraining, StageSteps, train, train_directly
from ._relaxation import relaxation
from ._respond import Response, channel_means, respond, shown
from ._response_curve import response_curve
from ._robustness import robustness
from ._spectra import spectrum, trajectory_spectrum, transient_growth
from ._stages import anneal, fine_tune, fit_recurrence, train_feedforward, train_linear

__all__ = [
    "AngleNetwork", "Architecture", "Augmentation", "ConvolutionalRNN", "ConvolutionalTraining", "FeedforwardCNN",
    "Response", "StageSteps", "analyze", "angle_network", "anneal", "architecture", "arnoldi", "channel_means",
    "convolution_bounds", "convolution_spectrum", "decisions", "decode_angle", "evaluate", "feedforward_pass",
    "fine_tune", "fit_recurrence", "fold_batch_norm", "load_checkpoint", "neural_regression", "orientation_study",
    "picture_trials", "relaxation", "representational_similarity", "respond", "respond_to_angle", "response_curve",
    "robustness", "save_checkpoint", "shown", "spectral_penalty", "spectrum", "stability_certificate", "train",
    "train_angle_network", "train_directly", "train_feedforward", "train_linear", "trajectory_spectrum",
    "transient_growth", "with_head",
]  # fmt: skip
