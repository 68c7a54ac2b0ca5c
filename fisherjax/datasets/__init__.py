"""Stimuli."""

from ._gratings import grating_angles, grating_moments, gratings
from ._natural import natural_patches

__all__ = ["grating_angles", "grating_moments", "gratings", "natural_patches"]
