"""Dynamics of a network, a map or a flow: fixed points, orbits, branches, transitions, manifolds, dimension, chaos."""

from fisherjax._linalg._dimension import participation_ratio
from fisherjax._linalg._krylov import Spectrum, arnoldi
from fisherjax._linalg._power_iteration import PowerIteration, power_iteration

from ._branch import Bifurcation, Branch
from ._candidates import sample_states
from ._completeness import IndexSum, index_sum
from ._components import PrincipalComponents, components_for_variance, principal_components
from ._continuation import continue_fixed_points
from ._fixed_points import FixedPoints, find_fixed_points
from ._flow import MeasuredExponent, measure_lyapunov_exponent
from ._jacobian import Linearization, jacobian, linearize
from ._lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ._manifold import AttractorManifold, attractor_manifold
from ._modes import Modes, flow_modes, map_modes
from ._orbits import PeriodicOrbits, find_periodic_orbits
from ._phase_plane import PhasePlane, phase_plane
from ._stability import Stability, classify_flow, classify_map
from ._step import StepLike
from ._transitions import transition_graph

__all__ = [
    "AttractorManifold",
    "Bifurcation",
    "Branch",
    "FixedPoints",
    "IndexSum",
    "Linearization",
    "LyapunovSpectrum",
    "MeasuredExponent",
    "Modes",
    "PeriodicOrbits",
    "PhasePlane",
    "PowerIteration",
    "PrincipalComponents",
    "Spectrum",
    "Stability",
    "StepLike",
    "arnoldi",
    "attractor_manifold",
    "classify_flow",
    "classify_map",
    "components_for_variance",
    "continue_fixed_points",
    "find_fixed_points",
    "find_periodic_orbits",
    "flow_modes",
    "index_sum",
    "jacobian",
    "linearize",
    "lyapunov_spectrum",
    "map_modes",
    "measure_lyapunov_exponent",
    "participation_ratio",
    "phase_plane",
    "power_iteration",
    "principal_components",
    "sample_states",
    "transition_graph",
]
