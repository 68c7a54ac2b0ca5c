"""A run of a command: what it found out, and the one place that draws, writes and prints it."""

import contextlib
import csv
import io
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fisherjax import __version__
from fisherjax._archive import npz_bytes
from fisherjax._runtime import on_devices
from fisherjax._types import write_atomically
from fisherjax.fisher import FisherEstimate
from fisherjax.report import Section, Table, html_report
from fisherjax.report._html import Item

from ._arguments import Common
from ._commands import function_of, name_of
from ._devices import chosen_devices
from ._provenance import settings_table, versions_table
from ._session import Session, versions


def run(command: Common, words: Sequence[str]) -> None:
    """Run a command that computes something, and write what it found; `words` are what the user typed."""
    with drawing_to_files(command):
        session = Session(command, name_of(command), words)
        try:
            # of several processes one speaks
            quiet = contextlib.nullcontext() if session.first else contextlib.redirect_stdout(io.StringIO())
            with on_devices(chosen_devices(command)), quiet:
                write_outcome(session, function_of(command)(command, session))
        except KeyboardInterrupt:
            session.say_how_to_go_on()
            raise
        finally:
            session.leave_no_empty_folder()
        session.close()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that becomes of a command, beside the records that were saved on the way."""

    title: str
    sections: Sequence[Section]
    """Of the report; pictures among their items are drawn when it is written."""
    results: Mapping[str, Any]
    """What results.json holds; NumPy and JAX values become numbers and lists, what is not finite null."""
    arrays: Mapping[str, Any]
    """What arrays.npz holds."""
    table: Table | None = None
    """What table.csv holds."""
    sentences: Sequence[str] = ()
    """What is printed."""
    interrupted: bool = False
    """Whether the library ended early with what it had, so that the command can go on."""


def section(heading: str, text: Sequence[str], *items: Item) -> Section:
    """A section; empty sentences are left out."""
    return Section(heading, [sentence for sentence in text if sentence], items)


def thinned(table: Table, most: int) -> Table:
    """Every so manieth row, such that there are about `most`."""
    return Table(table.header, table.rows[:: max(1, len(table.rows) // most)])


def printed(table: Table) -> list[str]:
    """Lines of a table as a terminal shows it."""
    return [
        "  ".join(f"{cell:>14.5g}" if isinstance(cell, float) else f"{cell:>14}" for cell in row)
        for row in [table.header, *table.rows]
    ]


def estimate_table(estimates: Mapping[str, FisherEstimate], unit: str = "1/θ²") -> Table:
    """One row per method."""
    rows = [
        [name, float(e.value), float(e.standard_error), *(float(end) for end in e.interval), float(e.naive)]
        for name, e in estimates.items()
    ]
    shares = {estimate.confidence for estimate in estimates.values()}
    begins = f"{100 * shares.pop():g} % from" if len(shares) == 1 else "interval from"
    return Table(("method", f"information ({unit})", "standard error", begins, "to", "uncorrected"), rows)


def write_outcome(session: Session, outcome: Outcome) -> None:
    """Draw the figures, write table, results, arrays, manifest and report, and say where they are."""
    folder = session.folder
    with session.stage("drawing"):
        sections = [part.drawn(folder) for part in outcome.sections]
    if outcome.table is not None:
        write_text(folder / "table.csv", csv_text(outcome.table))
    write_text(folder / "results.json", json.dumps(_finite(outcome.results), indent=2) + "\n")
    write_atomically(
        folder / "arrays.npz", npz_bytes({name: np.asarray(value) for name, value in outcome.arrays.items()})
    )
    write_text(folder / "manifest.json", json.dumps(session.manifest(), indent=2, default=_plain) + "\n")
    write_text(folder / "report.html", _page(session, outcome.title, sections))
    print("".join(f"{sentence}\n" for sentence in outcome.sentences if sentence), end="")
    if outcome.interrupted:
        session.say_how_to_go_on()
    print(f"wrote {folder / 'report.html'}")


def _page(session: Session, title: str, sections: Sequence[Section]) -> str:
    """The report: what was asked and how to ask it again, then what was found."""
    command = session.command
    subtitle = f"fisherjax {__version__}, {session.name}, seed {command.seed}{' (--quick)' * command.quick}"
    seconds = sum(session.timings.values())
    return html_report(
        title,
        subtitle,
        sections,
        f"{session.device}, {seconds:.1f} s",
        command=session.command_line,
        folded={
            "All settings": settings_table(command),
            "Versions and times": versions_table(versions(), session.device, session.timings),
        },
    )


def csv_text(table: Table) -> str:
    """A table as comma-separated values."""
    text = io.StringIO()
    csv.writer(text).writerows([table.header, *table.rows])
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Write a text file; the name of a user's file in it may hold what is no character."""
    write_atomically(path, text.encode(errors="replace"))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
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


@contextlib.contextmanager
def drawing_to_files(command: Common) -> Iterator[None]:
    """Figures are files, in the command's format beside PNG: no backend that the environment names is asked for."""
    before, loaded, logger = os.environ.get("MPLBACKEND"), "matplotlib" in sys.modules, logging.getLogger("matplotlib")
    os.environ["MPLBACKEND"] = "agg"
    # where its cache cannot be written it makes another one, and says so at length
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from fisherjax.plot._style import copies_as  # noqa: PLC0415 - loads the backend

        with copies_as("" if command.format == "png" else command.format):
            yield
    finally:
        logger.setLevel(level)
        os.environ.pop("MPLBACKEND")
        if before is not None:
            os.environ["MPLBACKEND"] = before
            if not loaded and before.startswith("module://"):  # a notebook's, which would show no figure from here on
                from fisherjax.plot._style import hand_back  # noqa: PLC0415 - is loaded

                hand_back(before)
