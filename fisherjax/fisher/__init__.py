"""Fisher information: predicted, measured, and through time."""

from ._capacity import processing_capacity
from ._closure import closure_curve, closure_moments
from ._continuous import continuous_curve
from ._continuous_simulated import simulated_continuous_curve
from ._cramer_rao import cramer_rao
from ._curve import FisherCurve
from ._decodability import linear_decodability
from ._decoder import decoder
from ._diagnosis import AssumptionWarning
from ._direct import direct, shuffled
from ._eigendistortions import eigendistortions
from ._estimate import estimate
from ._gate import FisherEstimate
from ._gaussian import gaussian_information, optimal_decoder, sensitivity_index
from ._layers import layer_information
from ._linearized import linearized_curve
from ._meanfield import meanfield_curve, operator_curve
from ._memory import memory_curve, memory_matrix, total_memory
from ._metamers import metamer
from ._pathwise import gaussian_total, pathwise
from ._profile import information_profile
from ._recorded._cross import cross_information
from ._recorded._decoding import recorded_decoding
from ._recorded._information import recorded_information
from ._recorded._permutation import permutation_test
from ._recorded._reading import read_recording
from ._recorded._record import record
from ._recorded._recording import Recording
from ._recorded._smooth import smooth_information
from ._recorded._tuning import tuning
from ._resampling import bootstrap, jackknife
from ._scaling import information_scaling
from ._simulated import ensemble_curve, simulated_curve
from ._temporal import temporal_matrix

__all__ = [
    "AssumptionWarning", "FisherCurve", "FisherEstimate", "Recording", "bootstrap", "closure_curve",
    "closure_moments", "continuous_curve", "cramer_rao", "cross_information", "decoder", "direct",
    "eigendistortions", "ensemble_curve", "estimate", "gaussian_information", "gaussian_total",
    "information_profile", "information_scaling", "jackknife", "layer_information", "linear_decodability",
    "linearized_curve", "meanfield_curve", "memory_curve", "memory_matrix", "metamer", "operator_curve",
    "optimal_decoder", "pathwise", "permutation_test", "processing_capacity", "read_recording", "record",
    "recorded_decoding", "recorded_information", "sensitivity_index", "shuffled", "simulated_continuous_curve",
    "simulated_curve", "smooth_information", "temporal_matrix", "total_memory", "tuning",
]  # fmt: skip
