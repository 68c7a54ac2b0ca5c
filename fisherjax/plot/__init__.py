"""Pictures of results. Functions take `ax=None`, return Axes and never show anything."""

from ._convolutional import (
    certificate,
    convolutional_information,
    decisions,
    eigendistortions,
    relaxation,
    robustness,
    stages,
    trajectory_spectrum,
)
from ._dynamics import state_space, transition_graph, write_state_space_html
from ._figures import distance_correlation, fisher_curve, gain_matrix, history, shepard, weight_spectrum
from ._geometry import save_extreme_pairs, save_geometry, save_geometry_measures
from ._information import (
    covariance_ellipses,
    cramer_rao,
    estimates,
    estimator_errors,
    information_profile,
    information_scaling,
)
from ._network_pages import save_convolutional_training, save_fixed_points, save_training, save_trials
from ._networks import eigenvalues, network_trial, task_trial, training_history, weight_matrix
from ._pages import (
    save_angle_study,
    save_curves,
    save_estimates,
    save_history,
    save_network,
    save_variance_study,
)
from ._style import COLORS, population_color, style
from ._transition import autocorrelation, lyapunov_exponents, phase_diagram, save_dmft, unit_trajectories

__all__ = [
    "COLORS",
    "autocorrelation",
    "certificate",
    "convolutional_information",
    "covariance_ellipses",
    "cramer_rao",
    "decisions",
    "distance_correlation",
    "eigendistortions",
    "eigenvalues",
    "estimates",
    "estimator_errors",
    "fisher_curve",
    "gain_matrix",
    "history",
    "information_profile",
    "information_scaling",
    "lyapunov_exponents",
    "network_trial",
    "phase_diagram",
    "population_color",
    "relaxation",
    "robustness",
    "save_angle_study",
    "save_convolutional_training",
    "save_curves",
    "save_dmft",
    "save_estimates",
    "save_extreme_pairs",
    "save_fixed_points",
    "save_geometry",
    "save_geometry_measures",
    "save_history",
    "save_network",
    "save_training",
    "save_trials",
    "save_variance_study",
    "shepard",
    "stages",
    "state_space",
    "style",
    "task_trial",
    "training_history",
    "trajectory_spectrum",
    "transition_graph",
    "unit_trajectories",
    "weight_matrix",
    "weight_spectrum",
    "write_state_space_html",
]
