"""The small picture that a notebook shows beside the numbers of a result."""

import base64
import io
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from fisherjax import connectivity, dmft, dynamics, fisher, geometry
from fisherjax._types import Record
from fisherjax.fisher._capacity import ProcessingCapacity
from fisherjax.fisher._cramer_rao import CramerRao
from fisherjax.fisher._profile import InformationProfile
from fisherjax.fisher._recorded._information import RecordedInformation
from fisherjax.fisher._recorded._smooth import SmoothInformation
from fisherjax.fisher._recorded._tuning import Tuning
from fisherjax.fisher._saturation import InformationScaling
from fisherjax.vision._decisions import Decisions
from fisherjax.vision._relaxation import Relaxation
from fisherjax.vision._response_curve import ResponseCurve
from fisherjax.vision._spectra import TransientGrowth

from ._convolutional import decisions, relaxation, response_curve, transient_growth
from ._dynamics import branches
from ._figures import distance_correlation, fisher_curve, gain_matrix, shepard
from ._information import cramer_rao, information_profile, information_scaling
from ._recordings import processing_capacity, recorded_information, smooth_information, tuning
from ._style import style
from ._transition import autocorrelation, phase_diagram

_DRAWN_BY: dict[type[Record], Callable[..., Any]] = {
    CramerRao: cramer_rao,
    Decisions: decisions,
    InformationProfile: information_profile,
    InformationScaling: information_scaling,
    ProcessingCapacity: processing_capacity,
    RecordedInformation: recorded_information,
    Relaxation: relaxation,
    ResponseCurve: response_curve,
    SmoothInformation: smooth_information,
    TransientGrowth: transient_growth,
    Tuning: tuning,
    connectivity.GainMatrix: gain_matrix,
    dmft.Autocorrelation: autocorrelation,
    dmft.PhaseDiagram: phase_diagram,
    dynamics.Branch: branches,
    fisher.FisherCurve: fisher_curve,
    geometry.DistanceCorrelation: distance_correlation,
    geometry.ShepardDiagram: shepard,
}


def thumbnail(record: Record) -> str:
    """A PNG of the result as an HTML image; nothing for results without a picture, or that cannot be drawn as it is."""
    draw = _DRAWN_BY.get(type(record))
    if draw is None:
        return ""
    with style():
        # a figure that pyplot does not know of is not shown a second time by a notebook
        figure = Figure(figsize=(4.2, 2.8))
        try:
            draw(record, ax=figure.subplots())
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=100)
        except (TypeError, ValueError):
            return ""
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{type(record).__name__}' style='max-width:420px' src='data:image/png;base64,{data}'>"
