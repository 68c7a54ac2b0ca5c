"""Numerical tools without a neuroscience word: Gaussian moments, spectra, progress."""

from ._checkpoint import (
    check_settings,
    description,
    digest,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from ._devices import AXES, Devices, device_mesh, on_devices, spread, spread_map
from ._dimension import centered_gram, dimension_of_gram, less_first, magnitude, participation_ratio
from ._erf_mixture import Erf, ErfMixture, Logistic, Tanh
from ._fit import Fit, fit_parameters
from ._krylov import Spectrum, Target, arnoldi, largest_symmetric
from ._legendre import LobattoRule, interpolate, lobatto_rule
from ._linear import Identity, ThresholdLinear
from ._lyapunov import solve_discrete_lyapunov
from ._mixture import kolmogorov_rule
from ._noncentral import noncentral_f_cdf, noncentrality_interval
from ._nonlinearity import Drift, Nonlinearity, TwoPointMoments
from ._normal import standard_normal, threefry_words
from ._piecewise import PiecewiseSmooth
from ._power_iteration import PowerIteration, power_iteration
from ._precision import full_precision
from ._progress import progress_bar
from ._recording import recorded_scan
from ._registry import NonlinearityLike, as_nonlinearity, coarse_nonlinearity
from ._slopes import directions_of, with_slopes
from ._smooth import SmoothFunction
from ._spectral import numerical_abscissa, perron_vectors, spectral_radius
from ._stop import forget_stop, request_stop, stop_if_requested, stop_requested

__all__ = [
    "AXES",
    "Devices",
    "Drift",
    "Erf",
    "ErfMixture",
    "Fit",
    "Identity",
    "LobattoRule",
    "Logistic",
    "Nonlinearity",
    "NonlinearityLike",
    "PiecewiseSmooth",
    "PowerIteration",
    "SmoothFunction",
    "Spectrum",
    "Tanh",
    "Target",
    "ThresholdLinear",
    "TwoPointMoments",
    "arnoldi",
    "as_nonlinearity",
    "centered_gram",
    "check_settings",
    "coarse_nonlinearity",
    "description",
    "device_mesh",
    "digest",
    "dimension_of_gram",
    "directions_of",
    "fit_parameters",
    "forget_stop",
    "full_precision",
    "interpolate",
    "kolmogorov_rule",
    "largest_symmetric",
    "less_first",
    "lobatto_rule",
    "magnitude",
    "noncentral_f_cdf",
    "noncentrality_interval",
    "numerical_abscissa",
    "on_devices",
    "participation_ratio",
    "perron_vectors",
    "power_iteration",
    "progress_bar",
    "read_checkpoint",
    "recorded_scan",
    "remove_checkpoint",
    "request_stop",
    "solve_discrete_lyapunov",
    "spectral_radius",
    "spread",
    "spread_map",
    "standard_normal",
    "stop_if_requested",
    "stop_requested",
    "threefry_words",
    "with_slopes",
    "write_checkpoint",
]
