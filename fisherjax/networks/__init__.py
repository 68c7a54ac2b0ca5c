"""Networks as frozen data with their step functions."""

from ._rate import RateNetwork

__all__ = ["RateNetwork"]
