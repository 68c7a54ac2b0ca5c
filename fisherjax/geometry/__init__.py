"""Geometry of many stimuli: which distances a network keeps, predicted and measured."""

from ._comparison import GeometryComparison, compare_geometry
from ._distances import initial_patterns, pairwise_distances, predicted_distances
from ._shepard import DistanceCorrelation, ShepardDiagram, distance_correlation, shepard

__all__ = [
    "DistanceCorrelation",
    "GeometryComparison",
    "ShepardDiagram",
    "compare_geometry",
    "distance_correlation",
    "initial_patterns",
    "pairwise_distances",
    "predicted_distances",
    "shepard",
]
