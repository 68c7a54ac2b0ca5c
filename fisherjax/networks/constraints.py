"""Biological constraints on weights, kept at every step of training because weights are built from them."""

from ._constraints import (
    Dale,
    FixedSigns,
    Frozen,
    LowRank,
    Mask,
    NoAutapses,
    dale,
    fixed_signs,
    frozen,
    low_rank,
    mask,
    no_autapses,
)
from ._pattern import Constraint, Pattern
from ._regions import MultiRegion, Projection, Region

__all__ = [
    "Constraint",
    "Dale",
    "FixedSigns",
    "Frozen",
    "LowRank",
    "Mask",
    "MultiRegion",
    "NoAutapses",
    "Pattern",
    "Projection",
    "Region",
    "dale",
    "fixed_signs",
    "frozen",
    "low_rank",
    "mask",
    "no_autapses",
]
