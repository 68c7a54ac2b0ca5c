"""Dynamic mean-field theory in continuous time: ẋ = −x + J φ(x) + √2 σ ξ(t) for large networks."""

from fisherjax._theory import PhaseDiagram

from ._autocorrelation import Autocorrelation, autocorrelation
from ._fourier import power_spectrum
from ._transition import critical_gain, local_stability_gain, phase_diagram
from ._two_time import two_time_correlation

__all__ = [
    "Autocorrelation", "PhaseDiagram", "autocorrelation", "critical_gain", "local_stability_gain", "phase_diagram",
    "power_spectrum", "two_time_correlation",
]  # fmt: skip
