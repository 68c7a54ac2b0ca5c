"""Networks as frozen data with their step functions."""

from ._angle import AngleNetwork, angle_network, decode_angle
from ._rate import RateNetwork

__all__ = ["AngleNetwork", "RateNetwork", "angle_network", "decode_angle"]
