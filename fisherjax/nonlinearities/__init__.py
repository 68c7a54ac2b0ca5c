"""Activation functions φ and their moments under Gaussian input, which every theory here is made of."""

from ._erf_mixture import Erf, Logistic, Tanh
from ._linear import Identity, ThresholdLinear
from ._nonlinearity import Nonlinearity
from ._piecewise import PiecewiseSmooth
from ._registry import as_nonlinearity
from ._smooth import SmoothFunction

__all__ = [
    "Erf", "Identity", "Logistic", "Nonlinearity", "PiecewiseSmooth", "SmoothFunction", "Tanh", "ThresholdLinear",
    "as_nonlinearity",
]  # fmt: skip
