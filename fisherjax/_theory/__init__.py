"""What the theories of discrete and of continuous time share; not public."""

from fisherjax.connectivity import check_gain_matrix

from ._crossing import crossing, ordered_below, told, unless_silent
from ._fixed_point import fixed_point, variance_from_above
from ._records import REGIMES, PhaseDiagram, Point, TwoTimeCorrelation, diagram_of, grid_of, symmetric
from ._structure import Structure, as_structure

__all__ = [
    "REGIMES",
    "PhaseDiagram",
    "Point",
    "Structure",
    "TwoTimeCorrelation",
    "as_structure",
    "check_gain_matrix",
    "crossing",
    "diagram_of",
    "fixed_point",
    "grid_of",
    "ordered_below",
    "symmetric",
    "told",
    "unless_silent",
    "variance_from_above",
]
