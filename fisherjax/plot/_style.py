"""Axes, colors and an opt-in style that every figure shares, and pages: figures as files."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fisherjax._errors import require, told
from fisherjax._types import write_atomically

# Okabe & Ito's palette without its yellow, which is too faint for lines: safe for color-blind readers
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

_COPIES: ContextVar[str] = ContextVar("copies", default="")


@contextmanager
def copies_as(suffix: str) -> Iterator[None]:
    """Pages that are written within have a copy as ``"pdf"`` or ``"svg"`` beside them; none for ``""``."""
    token = _COPIES.set(suffix)
    try:
        yield
    finally:
        _COPIES.reset(token)


def population_color(index: int) -> str:
    """The color of a population, the same in every figure."""
    return COLORS[index % len(COLORS)]


@contextmanager
def style() -> Iterator[None]:
    """Context with the look of the report: light axes, small legends, legible at half a page."""
    settings: Any = {
        "figure.constrained_layout.use": True,
        "figure.dpi": 110,
        "savefig.dpi": 130,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "font.size": 10,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "pdf.fonttype": 42,  # text that a journal can edit
        "svg.fonttype": "none",
    }
    with plt.rc_context(settings):
        yield


def draw_circle(ax: Axes, radius: float = 1.0, line: str = "-", **style: Any) -> None:
    """A circle about zero in the complex plane."""
    angle = np.linspace(0, 2 * np.pi, 400)
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), line, **style)


def axes_or_new(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be Axes of matplotlib, got {told(ax)}; plt.subplots()[1] makes one")
    return plt.subplots()[1] if ax is None else ax


@contextmanager
def page(path: Path, size: tuple[float | int, float | int]) -> Iterator[Any]:
    """A figure in our style, to draw panels on; it is written at the end, and closed whatever happens."""
    with style():
        figure = plt.figure(figsize=size)
        try:
            yield figure
            write_figure(figure, Path(path))
            if _COPIES.get():
                write_figure(figure, Path(path).with_suffix(f".{_COPIES.get()}"))
        finally:
            plt.close(figure)


def write_figure(figure: Figure, path: Path) -> None:
    """Save a figure; a reader sees the old file or the whole new one."""
    known = sorted(figure.canvas.get_supported_filetypes())
    suffix = path.suffix.removeprefix(".") or "png"
    require(suffix in known, f"path must end in one of {', '.join(known)}, got {path.name}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    write_atomically(path, buffer.getvalue())
