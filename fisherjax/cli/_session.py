"""One run of a command: device, output folder, first line, manifest."""

import contextlib
import csv
import dataclasses
import importlib.metadata
import io
import json
import math
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fisherjax import __version__
from fisherjax._types import write_atomically

from ._common_arguments import Common
from ._devices import agreed, set_up_devices, wait_for_all
from ._limits import UsageError
from ._terminate import is_first_process, several_processes

_PACKAGES = ("jax", "jaxlib", "equinox", "optimistix", "diffrax", "optax", "evosax", "numpy", "scipy", "matplotlib")
_CHECKPOINTS = ("checkpoint.npz", "stage-*.npz")


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
            if holds_files(folder) and not welcome:
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

        found = [path for path in self.folder.glob(pattern) if ".previous" not in path.name]
        if not getattr(self.command, "resume", False):
            for path in found:
                remove_checkpoint(path)
        elif agreed("" if found or not self.first else "missing"):
            raise UsageError(f"--resume: there is no {self.command.out / pattern}")
        self.open_folder()
        return self.folder / pattern

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
        if self.first:
            print(f"{title} …", file=sys.stderr, flush=True)
        yield
        self.timings[title] = round(time.perf_counter() - start, 3)

    def say_how_to_go_on(self) -> None:
        """Print the command that goes on from the checkpoints in the folder, if there are any."""
        if self.arguments[:1] != ["sweep"] and any(True for pattern in _CHECKPOINTS for _ in self.folder.glob(pattern)):
            words = [word for word in self.arguments if word not in {"--resume", "--force"}]
            print(f"go on with: fisherjax {shlex.join(words)} --resume", flush=True)

    def write_table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write table.csv."""
        text = io.StringIO()
        csv.writer(text).writerows([header, *rows])
        self.write("table.csv", text.getvalue())

    def write_results(self, results: dict[str, Any]) -> None:
        """Write results.json; NumPy and JAX values become numbers and lists, what is not finite null."""
        self.write("results.json", json.dumps(_finite(results), indent=2) + "\n")

    def write_arrays(self, **arrays: Any) -> None:
        """Write arrays.npz."""
        import numpy as np  # noqa: PLC0415

        from fisherjax._archive import npz_bytes  # noqa: PLC0415

        data = npz_bytes({name: np.asarray(value) for name, value in arrays.items()})
        write_atomically(self.folder / "arrays.npz", data)

    def write_manifest(self) -> None:
        """Write manifest.json: what was asked, what it resolved to, with what, and how long it took."""
        manifest = {
            "command": self.name,
            "arguments": self.arguments,
            "configuration": dataclasses.asdict(self.command),
            "versions": versions(),
            "device": self.device,
            "platform": platform.platform(),
            "precision": "float64 theory, float32 simulation",
            "seconds": self.timings,
        }
        self.write("manifest.json", json.dumps(manifest, indent=2, default=_plain) + "\n")

    def write(self, name: str, text: str) -> Path:
        """Write a text file into the folder."""
        path = self.folder / name
        # the name of a user's file may hold what is no character
        write_atomically(path, text.encode(errors="replace"))
        return path


def holds_files(folder: Path) -> bool:
    """Whether there is anything but empty folders in a folder."""
    return folder.is_dir() and any(not place.is_dir() for place in folder.rglob("*"))


def first_line(device: str, seed: int | None = None) -> str:
    """Version, jax, device, precision and seed, in one line."""
    import jax  # noqa: PLC0415

    precision = "float64" if jax.config.jax_enable_x64 else "float32"  # pyright: ignore[reportAttributeAccessIssue]
    seeded = "" if seed is None else f" · seed {seed}"
    return f"fisherjax {__version__} · jax {jax.__version__} · {device} · {precision}{seeded}"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "fisherjax": __version__}
    return found | {name: importlib.metadata.version(name) for name in _PACKAGES}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _finite(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write a {type(value).__name__} as JSON")
