"""Numerical tools without a neuroscience word: Gaussian moments, spectra, progress."""

from ._erf_mixture import Erf, ErfMixture, Logistic, Tanh
from ._linear import Identity, ThresholdLinear
from ._mixture import kolmogorov_rule
from ._nonlinearity import Nonlinearity, TwoPointMoments
from ._progress import progress_bar
from ._registry import as_nonlinearity
from ._smooth import SmoothFunction
from ._spectral import numerical_abscissa, perron_vectors, spectral_radius

__all__ = [
    "Erf",
    "ErfMixture",
    "Identity",
    "Logistic",
    "Nonlinearity",
    "SmoothFunction",
    "Tanh",
    "ThresholdLinear",
    "TwoPointMoments",
    "as_nonlinearity",
    "kolmogorov_rule",
    "numerical_abscissa",
    "perron_vectors",
    "progress_bar",
    "spectral_radius",
]
