"""Pictures of results. Functions take `ax=None`, return Axes and never show anything."""

from ._figures import distance_correlation, fisher_curve, gain_matrix, history, shepard, weight_spectrum
from ._pages import save_curves, save_geometry, save_history, save_network
from ._style import COLORS, population_color, style

__all__ = [
    "COLORS",
    "distance_correlation",
    "fisher_curve",
    "gain_matrix",
    "history",
    "population_color",
    "save_curves",
    "save_geometry",
    "save_history",
    "save_network",
    "shepard",
    "style",
    "weight_spectrum",
]
