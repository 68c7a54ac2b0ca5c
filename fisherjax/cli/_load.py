"""A structured network from the arguments that describe it."""

from pathlib import Path

import numpy as np

from fisherjax import connectivity, optimize
from fisherjax.datasets._tables import read_numbers

from ._arguments import Dmft, Optimize, Structured
from ._files import load_record
from ._limits import UsageError

FAMILIES = {
    "toeplitz": connectivity.ToeplitzFamily,
    "symmetric-toeplitz": connectivity.SymmetricToeplitzFamily,
    "generalized-toeplitz": connectivity.GeneralizedToeplitzFamily,
    "circulant": connectivity.CirculantFamily,
    "chain": connectivity.FeedforwardChainFamily,
    "free": connectivity.FreeFamily,
    "homogeneous": connectivity.HomogeneousFamily,
}
OBJECTIVES = {
    "log-fisher": optimize.LogFisher,
    "integrated": optimize.IntegratedMemory,
    "retention": optimize.Retention,
}


def load_gain_matrix(command: Structured | Dmft) -> connectivity.GainMatrix:
    """The gain matrix that a command names: a file, or a homogeneous network."""
    fractions = command.fractions or None
    if command.gains is None:
        return connectivity.homogeneous(command.gain, len(command.fractions) or 1, fractions)
    if command.gains.suffix == ".npz":
        return _load_saved(command.gains)
    try:
        gains = read_numbers(command.gains, header="no")
    except OSError as error:
        raise UsageError(f"--gains {command.gains}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--gains {error}") from error
    if gains.shape[0] != gains.shape[1]:
        raise UsageError(f"--gains {command.gains}: expected a square table, got shape {gains.shape}")
    return connectivity.GainMatrix(gains, None if fractions is None else np.array(fractions))


def load_family(command: Optimize) -> connectivity.Family:
    """The family that an optimization searches."""
    low, high = command.bounds
    return FAMILIES[command.structure](num_populations=command.populations, low=low, high=high)


def load_objective(command: Optimize) -> optimize.MemoryObjective:
    """What an optimization maximizes."""
    return OBJECTIVES[command.objective](
        command.steps,
        stimulus=command.stimulus,
        noise_std=command.noise_std,
        nonlinearity=command.nonlinearity,
    )


def load_constraints(command: Optimize) -> tuple[optimize.Constraint, ...]:
    """What an optimum must respect."""
    chosen: list[optimize.Constraint] = []
    if command.budget:
        chosen.append(optimize.Budget(command.budget))
    if command.max_radius:
        chosen.append(optimize.WeightRadius(command.max_radius))
    return tuple(chosen)


def _load_saved(path: Path) -> connectivity.GainMatrix:
    saved = load_record(path, "--gains")
    matrix = getattr(saved, "gain_matrix", saved)
    if not isinstance(matrix, connectivity.GainMatrix):
        raise UsageError(f"--gains {path} holds a {type(saved).__name__}, which has no gain matrix")
    return connectivity.GainMatrix(matrix.gains, matrix.fractions)
