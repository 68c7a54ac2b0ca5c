"""Networks as frozen data with their step functions."""

from . import constraints, initializers
from ._flow import Flow
from ._from_equinox import from_equinox
from ._from_flax import from_flax
from ._from_step import StepNetwork, from_step
from ._from_torch import CurrentRNN, from_torch
from ._gated import GRU, LSTM
from ._network import Network
from ._protocol import PROTOCOLS, Protocol, check_protocol, entered, entered_with_slopes
from ._rate import PRECISIONS, FlowNetwork, RateNetwork, runge_kutta
from ._reading import READINGS, Reading, check_reading, check_times, populations_read, reading
from ._recurrent import RecurrentNetwork, trainable_filter
from ._run import run
from ._stacked import StackedNetwork
from ._vanilla import RNN, ContinuousRNN, current_network
from ._weight_files import read_weights
from ._weights import WeightMatrix, in_precision, resolved
from .constraints import MultiRegion, Projection, Region, dale, fixed_signs, frozen, low_rank, mask, no_autapses

__all__ = [
    "GRU",
    "LSTM",
    "PRECISIONS",
    "PROTOCOLS",
    "READINGS",
    "RNN",
    "ContinuousRNN",
    "CurrentRNN",
    "Flow",
    "FlowNetwork",
    "MultiRegion",
    "Network",
    "Projection",
    "Protocol",
    "RateNetwork",
    "Reading",
    "RecurrentNetwork",
    "Region",
    "StackedNetwork",
    "StepNetwork",
    "WeightMatrix",
    "check_protocol",
    "check_reading",
    "check_times",
    "constraints",
    "current_network",
    "dale",
    "entered",
    "entered_with_slopes",
    "fixed_signs",
    "from_equinox",
    "from_flax",
    "from_step",
    "from_torch",
    "frozen",
    "in_precision",
    "initializers",
    "low_rank",
    "mask",
    "no_autapses",
    "populations_read",
    "read_weights",
    "reading",
    "resolved",
    "run",
    "runge_kutta",
    "trainable_filter",
]
