"""What every command that computes something can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ._limits import Limits, Whole


@dataclass(frozen=True, kw_only=True)
class Common:
    """Arguments of every command that computes something."""

    out: Path = Path("results")
    """Folder for everything that is written."""
    seed: Annotated[int, Limits(0, 2**32 - 1)] = 0
    """Seed of all randomness."""
    config: Path | None = None
    """TOML file whose entries replace the defaults of this command; the command line wins over it."""
    quick: bool = False
    """A small version that ends in seconds, to see that everything works; what else is said stays."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute."""
    devices: str = "1"
    """How many devices share the work, or all; several on a CPU are threads of this machine."""
    distributed: bool = False
    """One of several processes that work together; what the scheduler (SLURM, Open MPI) says is found by itself."""
    coordinator: str = ""
    """Address host:port of the first process, where no scheduler tells."""
    num_processes: Whole = 0
    """How many processes there are, where no scheduler tells."""
    process_id: Annotated[int, Limits(-1, 10**9)] = -1
    """Number of this one, from 0, where no scheduler tells."""
    force: bool = False
    """Write into a folder that is not empty."""

    def usual(self) -> dict[str, Any]:
        """Values of what was not said, where they depend on other arguments."""
        return {}

    def quick_sizes(self) -> dict[str, Any]:
        """Sizes for a quick look, which replace those that were not said on the command line or in a config."""
        return {}
