"""Tasks for recurrent networks, generated on the fly from a key."""

from ._batch import TaskBatch
from ._decisions import ContextIntegration, PerceptualDecision
from ._integration import Integrator, SineWave
from ._memory import Adding, CopyMemory, DelayedMatch, FlipFlop
from ._neurogym import NeurogymTrials, from_neurogym
from ._registry import (
    TASKS,
    adding,
    context_integration,
    copy_memory,
    delayed_match,
    flip_flop,
    integrator,
    perceptual_decision,
    sine_wave,
)
from ._task import Task, choice_accuracy, explained_variance, sign_accuracy, weighted_mean

__all__ = [
    "TASKS",
    "Adding",
    "ContextIntegration",
    "CopyMemory",
    "DelayedMatch",
    "FlipFlop",
    "Integrator",
    "NeurogymTrials",
    "PerceptualDecision",
    "SineWave",
    "Task",
    "TaskBatch",
    "adding",
    "choice_accuracy",
    "context_integration",
    "copy_memory",
    "delayed_match",
    "explained_variance",
    "flip_flop",
    "from_neurogym",
    "integrator",
    "perceptual_decision",
    "sign_accuracy",
    "sine_wave",
    "weighted_mean",
]
