"""Every task with its usual settings; call one for others: ``flip_flop(num_bits=2)``."""

from ._decisions import ContextIntegration, PerceptualDecision
from ._integration import Integrator, SineWave
from ._memory import Adding, CopyMemory, DelayedMatch, FlipFlop
from ._task import Task

flip_flop: FlipFlop = FlipFlop()
integrator: Integrator = Integrator()
sine_wave: SineWave = SineWave()
copy_memory: CopyMemory = CopyMemory()
adding: Adding = Adding()
perceptual_decision: PerceptualDecision = PerceptualDecision()
delayed_match: DelayedMatch = DelayedMatch()
context_integration: ContextIntegration = ContextIntegration()

TASKS: dict[str, Task] = {
    "flip-flop": flip_flop,
    "integrator": integrator,
    "sine-wave": sine_wave,
    "copy-memory": copy_memory,
    "adding": adding,
    "perceptual-decision": perceptual_decision,
    "delayed-match": delayed_match,
    "context-integration": context_integration,
}
