"""Networks as frozen data with their step functions."""

from . import constraints, initializers
from ._angle import AngleNetwork, angle_network, decode_angle
from ._architecture import PRESETS, Architecture, architecture
from ._convolution import Convolution, Readout, as_convolution, convolve
from ._convolutional import AreaState, ConvolutionalRNN, Drive, Kernels
from ._feedforward import BatchNorm, FeedforwardCNN, FeedforwardPass, feedforward_pass, fold_batch_norm
from ._flow import Flow
from ._from_equinox import from_equinox
from ._from_flax import from_flax
from ._from_step import StepNetwork, from_step
from ._from_torch import CurrentRNN, from_torch
from ._gated import GRU, LSTM
from ._network import Network
from ._protocol import PROTOCOLS, Protocol, check_protocol, entered, entered_with_slopes
from ._published import load_cordsnet, save_cordsnet
from ._rate import PRECISIONS, FlowNetwork, RateNetwork, runge_kutta
from ._reading import READINGS, Reading, check_reading, check_times, populations_read, reading
from ._recurrent import RecurrentNetwork, trainable_filter
from ._respond import Response, respond
from ._run import run
from ._shown import ChannelMeans, Shown, channel_means, shown
from ._stacked import StackedNetwork
from ._vanilla import RNN, ContinuousRNN, current_network
from ._weight_files import read_weights
from ._weights import WeightMatrix, in_precision, resolved
from .constraints import MultiRegion, Projection, Region, dale, fixed_signs, frozen, low_rank, mask, no_autapses

__all__ = [
    "GRU",
    "LSTM",
    "PRECISIONS",
    "PRESETS",
    "PROTOCOLS",
    "READINGS",
    "RNN",
    "AngleNetwork",
    "Architecture",
    "AreaState",
    "BatchNorm",
    "ChannelMeans",
    "ContinuousRNN",
    "Convolution",
    "ConvolutionalRNN",
    "CurrentRNN",
    "Drive",
    "FeedforwardCNN",
    "FeedforwardPass",
    "Flow",
    "FlowNetwork",
    "Kernels",
    "MultiRegion",
    "Network",
    "Projection",
    "Protocol",
    "RateNetwork",
    "Reading",
    "Readout",
    "RecurrentNetwork",
    "Region",
    "Response",
    "Shown",
    "StackedNetwork",
    "StepNetwork",
    "WeightMatrix",
    "angle_network",
    "architecture",
    "as_convolution",
    "channel_means",
    "check_protocol",
    "check_reading",
    "check_times",
    "constraints",
    "convolve",
    "current_network",
    "dale",
    "decode_angle",
    "entered",
    "entered_with_slopes",
    "feedforward_pass",
    "fixed_signs",
    "fold_batch_norm",
    "from_equinox",
    "from_flax",
    "from_step",
    "from_torch",
    "frozen",
    "in_precision",
    "initializers",
    "load_cordsnet",
    "low_rank",
    "mask",
    "no_autapses",
    "populations_read",
    "read_weights",
    "reading",
    "resolved",
    "respond",
    "run",
    "runge_kutta",
    "save_cordsnet",
    "shown",
    "trainable_filter",
]
