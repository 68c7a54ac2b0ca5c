"""Geometry of many stimuli: which distances a network keeps, predicted and measured."""

from fisherjax._linalg._dimension import participation_ratio

from ._comparison import GeometryComparison, NetworkGeometry, compare_geometry, network_geometry
from ._distances import pairwise_distances, predicted_distances
from ._expected import predicted_correlation
from ._measures import class_neighbors, linear_probe, near_isometry, neighbors_kept
from ._patterns import initial_patterns, sparse_pairs
from ._shepard import DistanceCorrelation, ShepardDiagram, distance_correlation, shepard

__all__ = [
    "DistanceCorrelation", "GeometryComparison", "NetworkGeometry", "ShepardDiagram", "class_neighbors",
    "compare_geometry", "distance_correlation", "initial_patterns", "linear_probe", "near_isometry",
    "neighbors_kept", "network_geometry", "pairwise_distances", "participation_ratio", "predicted_correlation",
    "predicted_distances", "shepard", "sparse_pairs",
]  # fmt: skip
