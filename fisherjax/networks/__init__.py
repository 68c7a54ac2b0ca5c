"""Networks as frozen data with their step functions."""

from . import initializers
from ._constraints import dale, fixed_signs, frozen, low_rank, mask, no_autapses
from ._from_cells import from_equinox, from_flax
from ._from_step import from_step
from ._from_torch import CurrentRNN, from_torch
from ._gated import GRU, LSTM
from ._network import Network
from ._rate import Flow, FlowNetwork, RateNetwork
from ._recurrent import RecurrentNetwork
from ._regions import MultiRegion, Projection, Region
from ._run import run
from ._stacked import StackedNetwork
from ._vanilla import RNN, ContinuousRNN
from ._weights import in_precision

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ContinuousRNN",
    "CurrentRNN",
    "Flow",
    "FlowNetwork",
    "MultiRegion",
    "Network",
    "Projection",
    "RateNetwork",
    "RecurrentNetwork",
    "Region",
    "StackedNetwork",
    "dale",
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
    "run",
]  # fmt: skip
