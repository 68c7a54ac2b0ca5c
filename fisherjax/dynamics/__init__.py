"""Dynamics of a network or of any step function: fixed points, modes, transitions, manifolds, dimension, chaos."""

from fisherjax.numerics import participation_ratio

from ._candidates import sample_states
from ._components import PrincipalComponents, components_for_variance, principal_components
from ._fixed_points import FixedPoints, find_fixed_points
from ._flow import MeasuredExponent, flow_lyapunov_spectrum, measure_lyapunov_exponent
from ._jacobian import Linearization, Modes, jacobian, linearize, modes, time_constants
from ._lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ._manifold import AttractorManifold, attractor_manifold
from ._stability import Stability, classify
from ._transitions import transition_graph

__all__ = [
    "AttractorManifold",
    "FixedPoints",
    "Linearization",
    "LyapunovSpectrum",
    "MeasuredExponent",
    "Modes",
    "PrincipalComponents",
    "Stability",
    "attractor_manifold",
    "classify",
    "components_for_variance",
    "find_fixed_points",
    "flow_lyapunov_spectrum",
    "jacobian",
    "linearize",
    "lyapunov_spectrum",
    "measure_lyapunov_exponent",
    "modes",
    "participation_ratio",
    "principal_components",
    "sample_states",
    "time_constants",
    "transition_graph",
]
