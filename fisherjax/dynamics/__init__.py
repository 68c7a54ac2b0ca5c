"""Dynamics of a network, a map or a flow: fixed points, orbits, branches, transitions, manifolds, dimension, chaos."""

from ._candidates import sample_states
from ._completeness import index_sum
from ._components import PrincipalComponents, principal_components
from ._continuation import Branch, continue_fixed_points
from ._fixed_points import FixedPoints, find_fixed_points
from ._flow import measure_lyapunov_exponent
from ._gradients import gradient_spectrum
from ._jacobian import jacobian, linearize
from ._lyapunov import lyapunov_spectrum
from ._manifold import attractor_manifold
from ._orbits import find_periodic_orbits
from ._phase_plane import phase_plane
from ._transitions import transition_graph

__all__ = [
    "Branch", "FixedPoints", "PrincipalComponents", "attractor_manifold", "continue_fixed_points",
    "find_fixed_points", "find_periodic_orbits", "gradient_spectrum", "index_sum", "jacobian", "linearize",
    "lyapunov_spectrum", "measure_lyapunov_exponent", "phase_plane", "principal_components", "sample_states",
    "transition_graph",
]  # fmt: skip
