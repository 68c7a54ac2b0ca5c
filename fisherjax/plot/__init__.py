"""Pictures of results. Functions take `ax=None`, return Axes and never show anything."""

from ._convolutional import (
    area_activity,
    certificate,
    decisions,
    eigendistortions,
    information_in_time,
    relaxation,
    response_curve,
    robustness,
    spectra,
    stages,
    trajectory_spectrum,
    transient_growth,
)
from ._dynamics import branches, phase_plane, state_space, transition_graph
from ._figures import distance_correlation, fisher_curve, gain_matrix, history, shepard, sweep, weight_spectrum
from ._information import (
    covariance_ellipses,
    cramer_rao,
    estimates,
    estimator_errors,
    information_profile,
    information_scaling,
)
from ._matching import model_similarity
from ._networks import eigenvalues, network_trial, task_trial, training_history, weight_matrix
from ._recordings import processing_capacity, recorded_information, smooth_information, tuning
from ._sensitivity import sensitivity
from ._style import COLORS, style
from ._temporal import temporal_matrix
from ._transition import autocorrelation, lyapunov_exponents, phase_diagram, unit_trajectories

__all__ = [
    "COLORS", "area_activity", "autocorrelation", "branches", "certificate", "covariance_ellipses", "cramer_rao",
    "decisions", "distance_correlation", "eigendistortions", "eigenvalues", "estimates", "estimator_errors",
    "fisher_curve", "gain_matrix", "history", "information_in_time", "information_profile", "information_scaling",
    "lyapunov_exponents", "model_similarity", "network_trial", "phase_diagram", "phase_plane",
    "processing_capacity", "recorded_information", "relaxation", "response_curve", "robustness", "sensitivity",
    "shepard", "smooth_information", "spectra", "stages", "state_space", "style", "sweep", "task_trial",
    "temporal_matrix", "training_history", "trajectory_spectrum", "transient_growth", "transition_graph", "tuning",
    "unit_trajectories", "weight_matrix", "weight_spectrum",
]  # fmt: skip
