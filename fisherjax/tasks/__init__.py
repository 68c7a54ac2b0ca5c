"""Tasks for recurrent networks, generated on the fly from a key."""

from ._batch import TaskBatch
from ._images import sequential_images
from ._neurogym import from_neurogym
from ._registry import (
    adding,
    context_integration,
    copy_memory,
    delayed_match,
    flip_flop,
    integrator,
    perceptual_decision,
    sine_wave,
)
from ._task import Task, choice_accuracy, explained_variance, sign_accuracy

__all__ = [
    "Task", "TaskBatch", "adding", "choice_accuracy", "context_integration", "copy_memory", "delayed_match",
    "explained_variance", "flip_flop", "from_neurogym", "integrator", "perceptual_decision",
    "sequential_images", "sign_accuracy", "sine_wave",
]  # fmt: skip
