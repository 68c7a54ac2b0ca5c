"""Networks as frozen data with their step functions."""

from . import constraints, initializers
from ._angle import AngleNetwork, angle_network, decode_angle
from ._architecture import PRESETS, Architecture, architecture
from ._convolution import Convolution, Readout, as_convolution, convolve
from ._convolutional import AreaState, ConvolutionalRNN, Drive, Kernels
from ._feedforward import BatchNorm, FeedforwardCNN, FeedforwardPass, feedforward_pass, fold_batch_norm
from ._gated import GRU, LSTM
from ._published import load_cordsnet, read_weights, save_cordsnet
from ._rate import PRECISIONS, RateNetwork
from ._recurrent import RecurrentNetwork, trainable_filter
from ._respond import Response, respond
from ._run import run
from ._vanilla import RNN, ContinuousRNN, as_rate_network
from ._weights import WeightMatrix, in_precision, resolved
from .constraints import MultiRegion, Projection, Region, dale, low_rank, mask, no_autapses

__all__ = [
    "GRU",
    "LSTM",
    "PRECISIONS",
    "PRESETS",
    "RNN",
    "AngleNetwork",
    "Architecture",
    "AreaState",
    "BatchNorm",
    "ContinuousRNN",
    "Convolution",
    "ConvolutionalRNN",
    "Drive",
    "FeedforwardCNN",
    "FeedforwardPass",
    "Kernels",
    "MultiRegion",
    "Projection",
    "RateNetwork",
    "Readout",
    "RecurrentNetwork",
    "Region",
    "Response",
    "WeightMatrix",
    "angle_network",
    "architecture",
    "as_convolution",
    "as_rate_network",
    "constraints",
    "convolve",
    "dale",
    "decode_angle",
    "feedforward_pass",
    "fold_batch_norm",
    "in_precision",
    "initializers",
    "load_cordsnet",
    "low_rank",
    "mask",
    "no_autapses",
    "read_weights",
    "resolved",
    "respond",
    "run",
    "save_cordsnet",
    "trainable_filter",
]
