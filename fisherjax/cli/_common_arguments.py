"""What every command that computes something can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T", bound="Common")


@dataclass(frozen=True, kw_only=True)
class Common:
    """Arguments of every command that computes something."""

    out: Path = Path("results")
    """Folder for everything that is written."""
    seed: int = 0
    """Seed of all randomness."""
    config: Path | None = None
    """TOML file whose entries replace the defaults of this command; the command line wins over it."""
    quick: bool = False
    """A small version that ends in seconds, to see that everything works."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute."""
    devices: str = "1"
    """How many devices share the work, or all; several on a CPU are threads of this machine."""
    distributed: bool = False
    """One of several processes that work together; what the scheduler (SLURM, Open MPI) says is found by itself."""
    coordinator: str = ""
    """Address host:port of the first process, where no scheduler tells."""
    num_processes: int = 0
    """How many processes there are, where no scheduler tells."""
    process_id: int = -1
    """Number of this one, from 0, where no scheduler tells."""
    force: bool = False
    """Write into a folder that is not empty."""

    def quickened(self: T) -> T:
        """These arguments with sizes for a quick look."""
        return self
