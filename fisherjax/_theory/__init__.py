"""What the theories of discrete and of continuous time share; not public."""

from ._crossing import crossing, ordered_below, told, unless_silent
from ._fixed_point import fixed_point, variance_from_above
from ._records import REGIMES, PhaseDiagram, Point, TwoTimeCorrelation, diagram, symmetric
from ._structure import Structure, as_structure, structure_or_one

__all__ = [
    "REGIMES",
    "PhaseDiagram",
    "Point",
    "Structure",
    "TwoTimeCorrelation",
    "as_structure",
    "crossing",
    "diagram",
    "fixed_point",
    "ordered_below",
    "structure_or_one",
    "symmetric",
    "told",
    "unless_silent",
    "variance_from_above",
]
