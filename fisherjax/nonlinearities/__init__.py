"""Activation functions φ and their moments under Gaussian input, which every theory here is made of."""

from ._erf_mixture import Erf, ErfMixture, Logistic, Tanh
from ._linear import Identity, ThresholdLinear
from ._mixture import kolmogorov_rule
from ._nonlinearity import Drift, Nonlinearity, TwoPointMoments
from ._piecewise import PiecewiseSmooth
from ._registry import NonlinearityLike, as_nonlinearity, coarse_nonlinearity
from ._smooth import SmoothFunction

__all__ = [
    "Drift",
    "Erf",
    "ErfMixture",
    "Identity",
    "Logistic",
    "Nonlinearity",
    "NonlinearityLike",
    "PiecewiseSmooth",
    "SmoothFunction",
    "Tanh",
    "ThresholdLinear",
    "TwoPointMoments",
    "as_nonlinearity",
    "coarse_nonlinearity",
    "kolmogorov_rule",
]
