"""Improve structure: global search and gradient ascent through predicted Fisher information."""

from ._constraints import Budget, Constraint, DiffusionRadius, MaximumGain, WeightRadius
from ._distances import DistancesKept
from ._evolve import Search, evolve
from ._maximize import Optimum, maximize
from ._objectives import IntegratedMemory, LogFisher, MemoryObjective, Retention, StreamCapacity
from ._refine import Ascent, refine

__all__ = [
    "Ascent", "Budget", "Constraint", "DiffusionRadius", "DistancesKept", "IntegratedMemory", "LogFisher",
    "MaximumGain", "MemoryObjective", "Optimum", "Retention", "Search", "StreamCapacity", "WeightRadius", "evolve",
    "maximize", "refine",
]  # fmt: skip
