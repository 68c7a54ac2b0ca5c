"""Stimuli."""

from ._natural import PHOTOGRAPHS, natural_patches

__all__ = ["PHOTOGRAPHS", "natural_patches"]
