"""Networks as frozen data with their step functions."""

from . import constraints, initializers
from ._angle import AngleNetwork, angle_network, decode_angle
from ._gated import GRU, LSTM
from ._rate import RateNetwork
from ._recurrent import RecurrentNetwork, trainable_filter
from ._run import run
from ._vanilla import RNN, ContinuousRNN, as_rate_network
from ._weights import WeightMatrix, in_precision, resolved
from .constraints import MultiRegion, Projection, Region, dale, low_rank, mask, no_autapses

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AngleNetwork",
    "ContinuousRNN",
    "MultiRegion",
    "Projection",
    "RateNetwork",
    "RecurrentNetwork",
    "Region",
    "WeightMatrix",
    "angle_network",
    "as_rate_network",
    "constraints",
    "dale",
    "decode_angle",
    "in_precision",
    "initializers",
    "low_rank",
    "mask",
    "no_autapses",
    "resolved",
    "run",
    "trainable_filter",
]
