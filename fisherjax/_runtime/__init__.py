"""How programs run: devices, memory, precision, progress, stopping, checkpoints."""

from ._ahead import compiled_ahead
from ._checkpoint import (
    check_settings,
    description,
    digest,
    key_words,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from ._course import Checkpoint, TrainingHistory, TrainingProgress, load_checkpoint
from ._descent import Descent, Interrupted, descend
from ._devices import AXES, Devices, device_mesh, on_devices, spread, spread_map
from ._fit import Fit, fit_parameters
from ._memory import available_bytes, check_allocation, chunk_length, map_length, row_shards
from ._options import Callback, OptimizerLike, Options, Rate
from ._precision import PRECISIONS, Precision, full_precision, precision_here, product, products_in, rounds_to_bfloat16
from ._progress import forget_stop, progress_bar, request_stop, stop_if_requested, stop_requested
from ._recording import recorded_scan
from ._run import Stream
from ._small import SmallProgram
from ._steps import Objective, Outcome

__all__ = [
    "AXES", "PRECISIONS", "Callback", "Checkpoint", "Descent", "Devices", "Fit", "Interrupted", "Objective",
    "OptimizerLike", "Options", "Outcome", "Precision", "Rate", "SmallProgram", "Stream", "TrainingHistory",
    "TrainingProgress", "available_bytes", "check_allocation", "check_settings", "chunk_length", "compiled_ahead",
    "descend", "description", "device_mesh", "digest", "fit_parameters", "forget_stop", "full_precision",
    "key_words", "load_checkpoint", "map_length", "on_devices", "precision_here", "product", "products_in",
    "progress_bar", "read_checkpoint", "recorded_scan", "remove_checkpoint", "request_stop", "rounds_to_bfloat16",
    "row_shards", "spread", "spread_map", "stop_if_requested", "stop_requested", "write_checkpoint",
]  # fmt: skip
