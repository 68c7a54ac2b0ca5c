"""Geometry of many stimuli: which distances a network keeps, predicted and measured."""

from fisherjax.numerics import participation_ratio

from ._comparison import GeometryComparison, GeometryCurve, compare_geometry
from ._distances import pairwise_distances, predicted_distances, starting_overlap
from ._expected import predicted_correlation
from ._measures import NearIsometry, class_neighbours, near_isometry, neighbours_kept
from ._patterns import initial_patterns, sparse_pairs
from ._probe import linear_probe
from ._shepard import DistanceCorrelation, ShepardDiagram, distance_correlation, shepard

__all__ = [
    "DistanceCorrelation",
    "GeometryComparison",
    "GeometryCurve",
    "NearIsometry",
    "ShepardDiagram",
    "class_neighbours",
    "compare_geometry",
    "distance_correlation",
    "initial_patterns",
    "linear_probe",
    "near_isometry",
    "neighbours_kept",
    "pairwise_distances",
    "participation_ratio",
    "predicted_correlation",
    "predicted_distances",
    "shepard",
    "sparse_pairs",
    "starting_overlap",
]
