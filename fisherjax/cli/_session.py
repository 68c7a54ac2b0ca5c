"""One run of a command: its device, output folder and first line, what it does, and how it ends."""

import contextlib
import dataclasses
import importlib.metadata
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fisherjax import __version__
from fisherjax._types import Record

from ._arguments import Common, Info
from ._devices import agreed, set_up_device, set_up_devices, wait_for_all
from ._process import is_first_process, several_processes
from ._provenance import full_line, typed_line
from ._values import UsageError

R = TypeVar("R", bound=Record)

_PACKAGES = ("jax", "jaxlib", "equinox", "optimistix", "diffrax", "optax", "evosax", "numpy", "scipy", "matplotlib")
CHECKPOINTS = ("checkpoint.npz", "checkpoint-*.npz", "stage-*.npz", "case-*.npz")
"""Files from which a command goes on."""


def print_info(command: Info, _: Sequence[str]) -> None:
    """Versions and device."""
    print(first_line(set_up_device(command.device)))
    print("\n".join(f"  {name:<12} {version}" for name, version in versions().items()))


class Session:
    """Output folder of a run, and what goes into its manifest."""

    def __init__(self, command: Common, name: str, arguments: Sequence[str]):
        """Refuse an output folder that holds something or cannot be written to; make none yet."""
        self.command, self.name, self.arguments = command, name, list(arguments)
        self.timings: dict[str, float] = {}
        self.device = set_up_devices(command)
        self.first = is_first_process()
        # of several processes one writes; the others keep what they write to themselves
        self.folder = command.out if self.first else Path(tempfile.mkdtemp())
        self._made: list[Path] = []
        problem = agreed(self._problem() if self.first else "")
        if problem:
            raise UsageError(problem)
        self.progress = self.first and sys.stderr is not None and sys.stderr.isatty()
        if self.first:
            print(first_line(self.device, command.seed), flush=True)

    def _problem(self) -> str:
        """Why nothing can be written into the folder, if so."""
        folder = self.folder
        welcome = self.command.force or getattr(self.command, "resume", False)
        try:
            if folder.exists() and not folder.is_dir():
                return f"--out {folder} is a file, not a folder"
            # empty folders stand in nobody's way
            if folder.is_dir() and not welcome and any(not place.is_dir() for place in folder.rglob("*")):
                return f"--out {folder} is not empty; choose another folder or add --force"
            there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
            with tempfile.TemporaryFile(dir=there):
                return ""
        except OSError as error:
            return f"--out {folder} cannot be written to: {error.strerror}"

    def open_folder(self) -> None:
        """Make the output folder: there is something to write."""
        if self.folder.exists():
            return
        self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {self.folder} cannot be written to: {error.strerror}") from error

    def leave_no_empty_folder(self) -> None:
        """Remove the folders that this run made, where nothing came into them."""
        for place in self._made:
            with contextlib.suppress(OSError):  # it holds something
                place.rmdir()

    def checkpoint(self, pattern: str) -> Path:
        """Where checkpoints go: those that are there with --resume, none with --force."""
        from fisherjax._runtime import remove_checkpoint  # noqa: PLC0415

        checkpoints = [path for path in self.folder.glob(pattern) if ".previous" not in path.name]
        if not getattr(self.command, "resume", False):
            for path in checkpoints:
                remove_checkpoint(path)
        elif agreed("" if checkpoints or not self.first else "missing"):
            raise UsageError(f"--resume: there is no {self.command.out / pattern}")
        self.open_folder()
        return self.folder / pattern

    def save(self, name: str, record: R) -> R:
        """Keep a record as NAME.npz as soon as there is one: what comes after may fail."""
        record.save(self.folder / f"{name}.npz")
        return record

    def close(self) -> None:
        """Wait for the other processes: when one is done, everything is written."""
        wait_for_all()
        if not self.first:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Say what is going on and time it."""
        start = time.perf_counter()
        self.open_folder()
        if several_processes():
            from fisherjax._runtime import stop_if_requested  # noqa: PLC0415

            stop_if_requested()
        self.tell(title)
        yield
        self.timings[title] = round(time.perf_counter() - start, 3)

    def tell(self, title: str) -> None:
        """Say what is being done."""
        if self.first:
            print(f"{title} …", file=sys.stderr, flush=True)

    def say_how_to_go_on(self) -> None:
        """Print the command that goes on from the checkpoints in the folder, if there are any."""
        if self.arguments[:1] != ["sweep"] and any(True for pattern in CHECKPOINTS for _ in self.folder.glob(pattern)):
            words = [word for word in self.arguments if word not in {"--resume", "--force"}]
            print(f"go on with: fisherjax {shlex.join(words)} --resume", flush=True)

    @property
    def command_line(self) -> str:
        """What makes the same again: what was typed, or for a point of a sweep what would have to be."""
        return full_line(self.command) if self.arguments[:1] == ["sweep"] else typed_line(self.arguments)

    def manifest(self) -> dict[str, Any]:
        """What was asked, what it resolved to, with what, and how long it took."""
        return {
            "command": self.name,
            "arguments": self.arguments,
            "configuration": dataclasses.asdict(self.command),
            "versions": versions(),
            "device": self.device,
            "platform": platform.platform(),
            "precision": "float64 theory, float32 simulation",
            "seconds": self.timings,
        }


def first_line(device: str, seed: int | None = None) -> str:
    """Version, jax, device, precision and seed, in one line."""
    import jax  # noqa: PLC0415

    precision = "float64" if jax.config.jax_enable_x64 else "float32"  # pyright: ignore[reportAttributeAccessIssue]
    seeded = "" if seed is None else f" · seed {seed}"
    return f"fisherjax {__version__} · jax {jax.__version__} · {device} · {precision}{seeded}"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    own = {"python": platform.python_version(), "fisherjax": __version__}
    return own | {name: importlib.metadata.version(name) for name in _PACKAGES}
