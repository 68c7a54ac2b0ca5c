"""Dynamics of a network or of any step function: fixed points, modes, transitions, manifolds, dimension, chaos."""

from fisherjax.numerics import PowerIteration, Spectrum, arnoldi, participation_ratio, power_iteration

from ._candidates import sample_states
from ._certificate import StabilityCertificate, spectral_penalty, stability_certificate
from ._components import PrincipalComponents, components_for_variance, principal_components
from ._convolution_spectrum import (
    ConvolutionBounds,
    ConvolutionSpectrum,
    convolution_bounds,
    convolution_matrix,
    convolution_spectrum,
)
from ._convolutional import (
    TrajectorySpectrum,
    TransientGrowth,
    jacobian_product,
    recurrent_spectrum,
    trajectory_spectrum,
    transient_growth,
)
from ._decisions import Decisions, Relaxation, Robustness, decisions, relaxation, robustness
from ._fixed_points import FixedPoints, find_fixed_points
from ._flow import MeasuredExponent, flow_lyapunov_spectrum, measure_lyapunov_exponent
from ._jacobian import Linearization, Modes, jacobian, linearize, modes, time_constants
from ._lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ._manifold import AttractorManifold, attractor_manifold
from ._stability import Stability, classify
from ._transitions import transition_graph

__all__ = [
    "AttractorManifold",
    "ConvolutionBounds",
    "ConvolutionSpectrum",
    "Decisions",
    "FixedPoints",
    "Linearization",
    "LyapunovSpectrum",
    "MeasuredExponent",
    "Modes",
    "PowerIteration",
    "PrincipalComponents",
    "Relaxation",
    "Robustness",
    "Spectrum",
    "Stability",
    "StabilityCertificate",
    "TrajectorySpectrum",
    "TransientGrowth",
    "arnoldi",
    "attractor_manifold",
    "classify",
    "components_for_variance",
    "convolution_bounds",
    "convolution_matrix",
    "convolution_spectrum",
    "decisions",
    "find_fixed_points",
    "flow_lyapunov_spectrum",
    "jacobian",
    "jacobian_product",
    "linearize",
    "lyapunov_spectrum",
    "measure_lyapunov_exponent",
    "modes",
    "participation_ratio",
    "power_iteration",
    "principal_components",
    "recurrent_spectrum",
    "relaxation",
    "robustness",
    "sample_states",
    "spectral_penalty",
    "stability_certificate",
    "time_constants",
    "trajectory_spectrum",
    "transient_growth",
    "transition_graph",
]
