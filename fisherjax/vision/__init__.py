"""Convolutional networks that are dynamical systems: from images to spectra, decisions and information."""

from fisherjax._linalg import arnoldi

from ._analyze import analyze
from ._architecture import Architecture, architecture
from ._checkpoints import load_checkpoint, save_checkpoint
from ._convolution_spectrum import convolution_bounds, convolution_spectrum, spectral_penalty, stability_certificate
from ._decisions import decisions, relaxation, robustness
from ._feedforward import FeedforwardCNN, feedforward_pass, fold_batch_norm
from ._images import Augmentation
from ._network import ConvolutionalRNN
from ._orientation._network import AngleNetwork, angle_network, decode_angle
from ._orientation._stimuli import respond_to_angle
from ._orientation._study import orientation_study
from ._orientation._training import train_angle_network
from ._pipeline import ConvolutionalTraining, StageSteps, train, train_directly
from ._respond import Response, channel_means, respond, shown
from ._spectra import spectrum, trajectory_spectrum, transient_growth
from ._stages import accuracy, anneal, fine_tune, fit_recurrence, train_feedforward, train_linear

__all__ = [
    "AngleNetwork", "Architecture", "Augmentation", "ConvolutionalRNN", "ConvolutionalTraining", "FeedforwardCNN",
    "Response", "StageSteps", "accuracy", "analyze", "angle_network", "anneal", "architecture", "arnoldi",
    "channel_means", "convolution_bounds", "convolution_spectrum", "decisions", "decode_angle", "feedforward_pass",
    "fine_tune", "fit_recurrence", "fold_batch_norm", "load_checkpoint", "orientation_study", "relaxation",
    "respond", "respond_to_angle", "robustness", "save_checkpoint", "shown", "spectral_penalty", "spectrum",
    "stability_certificate", "train", "train_angle_network", "train_directly", "train_feedforward", "train_linear",
    "trajectory_spectrum", "transient_growth",
]  # fmt: skip
