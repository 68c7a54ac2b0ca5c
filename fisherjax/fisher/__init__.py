"""Fisher information: predicted, measured, and through time."""

from ._curve import FisherCurve
from ._meanfield import meanfield_curve, operator_curve
from ._simulated import ensemble_curve, simulated_curve

__all__ = ["FisherCurve", "ensemble_curve", "meanfield_curve", "operator_curve", "simulated_curve"]
