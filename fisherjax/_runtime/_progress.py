"""Progress on long work: one bar on stderr, or nothing."""

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import jax
import numpy as np


class Advance(Protocol):
    """Report `steps` more steps done, and optionally a word on where things stand."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


@contextmanager
def progress_bar(description: str, total: int, *, enabled: bool) -> Iterator[Advance]:
    """Context that yields a function to call after each step of a host loop.

    Parameters
    ----------
    description
        What is being done, shown before the bar.
    total
        Number of steps.
    enabled
        Whether to show anything.
    """
    if not enabled:
        yield lambda steps=1, note="": None  # noqa: ARG005
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    notebook = console.is_jupyter
    if notebook and importlib.util.find_spec("ipywidgets") is None:
        console = Console(stderr=True, force_jupyter=False, force_terminal=True, width=100)
    # a cell of a notebook keeps what is left behind for ever
    with Progress(*columns, console=console, transient=notebook) as bar:
        task = bar.add_task(description, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.advance(task, steps)
            if note:
                bar.update(task, note=note)

        yield advance


_requested = threading.Event()


def request_stop() -> None:
    """Ask this process's loops, and with them those of all others, to stop at the next chunk."""
    _requested.set()


def forget_stop() -> None:
    """Take the wish back."""
    _requested.clear()


def stop_requested() -> bool:
    """Whether this process was asked, or has heard from another that was."""
    return _requested.is_set()


def stop_if_requested() -> None:
    """Raise KeyboardInterrupt on every process if one of them was asked to stop; all must call it."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils  # noqa: PLC0415

        if bool(np.any(multihost_utils.process_allgather(np.array(_requested.is_set())))):
            _requested.set()
    if _requested.is_set():
        raise KeyboardInterrupt
