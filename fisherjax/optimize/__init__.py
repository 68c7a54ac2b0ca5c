"""Improve structure: global search and gradient ascent through predicted Fisher information."""

from ._distances import DistancesKept
from ._evolve import Search, evolve
from ._maximize import Optimum, maximize
from ._objectives import (
    Budget,
    Constraint,
    DiffusionRadius,
    IntegratedMemory,
    LogFisher,
    MaximumGain,
    MemoryObjective,
    Retention,
    WeightRadius,
)
from ._problem import History
from ._refine import Ascent, refine

__all__ = [
    "Ascent", "Budget", "Constraint", "DiffusionRadius", "DistancesKept", "History", "IntegratedMemory",
    "LogFisher", "MaximumGain", "MemoryObjective", "Optimum", "Retention", "Search", "WeightRadius", "evolve",
    "maximize", "refine",
]  # fmt: skip
