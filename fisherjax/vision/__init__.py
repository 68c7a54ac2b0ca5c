"""Convolutional networks that are dynamical systems: from images to spectra, decisions and information."""

from ._architecture import PRESETS, Architecture, architecture
from ._augment import Augmentation, augment
from ._certificate import StabilityCertificate, spectral_penalty, stability_certificate
from ._convolution import Convolution, Readout, as_convolution, convolve
from ._convolution_spectrum import (
    ConvolutionBounds,
    ConvolutionSpectrum,
    convolution_bounds,
    convolution_matrix,
    convolution_spectrum,
)
from ._decisions import Decisions, Relaxation, Robustness, decisions, relaxation, robustness
from ._descent import StageHistory
from ._feedforward import BatchNorm, FeedforwardCNN, FeedforwardPass, feedforward_pass, fold_batch_norm
from ._network import AreaState, ConvolutionalRNN, Drive, Kernels
from ._orientation import AngleNetwork, angle_network, decode_angle
from ._orientation_training import AngleTraining, respond_to_gratings, train_angle_network
from ._pipeline import ConvolutionalTraining, StageSteps, train_cordsnet, train_directly
from ._published import load_cordsnet, save_cordsnet
from ._respond import Response, respond
from ._shown import ChannelMeans, Shown, channel_means, shown
from ._spectra import (
    TrajectorySpectrum,
    TransientGrowth,
    jacobian_product,
    recurrent_spectrum,
    trajectory_spectrum,
    transient_growth,
)
from ._stages import accuracy, anneal, fine_tune, fit_recurrence, train_feedforward, train_linear

__all__ = [
    "PRESETS",
    "AngleNetwork",
    "AngleTraining",
    "Architecture",
    "AreaState",
    "Augmentation",
    "BatchNorm",
    "ChannelMeans",
    "Convolution",
    "ConvolutionBounds",
    "ConvolutionSpectrum",
    "ConvolutionalRNN",
    "ConvolutionalTraining",
    "Decisions",
    "Drive",
    "FeedforwardCNN",
    "FeedforwardPass",
    "Kernels",
    "Readout",
    "Relaxation",
    "Response",
    "Robustness",
    "Shown",
    "StabilityCertificate",
    "StageHistory",
    "StageSteps",
    "TrajectorySpectrum",
    "TransientGrowth",
    "accuracy",
    "angle_network",
    "anneal",
    "architecture",
    "as_convolution",
    "augment",
    "channel_means",
    "convolution_bounds",
    "convolution_matrix",
    "convolution_spectrum",
    "convolve",
    "decisions",
    "decode_angle",
    "feedforward_pass",
    "fine_tune",
    "fit_recurrence",
    "fold_batch_norm",
    "jacobian_product",
    "load_cordsnet",
    "recurrent_spectrum",
    "relaxation",
    "respond",
    "respond_to_gratings",
    "robustness",
    "save_cordsnet",
    "shown",
    "spectral_penalty",
    "stability_certificate",
    "train_angle_network",
    "train_cordsnet",
    "train_directly",
    "train_feedforward",
    "train_linear",
    "trajectory_spectrum",
    "transient_growth",
]
