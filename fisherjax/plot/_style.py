"""Axes, colors and an opt-in style that every figure shares, and pages: figures as files."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from fisherjax._errors import require, told
from fisherjax._types import write_atomically

# Okabe & Ito's palette without its yellow, which is too faint for lines: safe for color-blind readers
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

PAGE_WIDTH = 10.0
"""Inches of a page of a report: 960 pixels. A wider picture would be shrunk, and its letters with it."""
SMALL = 8
"""Points of the smallest letters."""
_PER_LETTER = 0.56  # of the size of letters, on average

_COPIES: ContextVar[str] = ContextVar("copies", default="")


def hand_back(backend: str) -> None:
    """Let figures from here on go to a backend of matplotlib that was set aside, if it is there."""
    with suppress(ImportError):
        plt.rcParams["backend"] = backend  # which it looks up when it is loaded
        plt.switch_backend(backend)


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
    """Context with the look of the report: light axes, legends beside the data, legible in a column of 3.5 inches."""
    settings: Any = {
        "figure.constrained_layout.use": True,
        "figure.dpi": 110,
        "savefig.dpi": 130,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "font.size": 9,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
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
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def legend_below(ax: Axes, *, title: str | None = None) -> None:
    """A legend below the axes with one entry for every name, in as many columns as there is room for.

    Only a layout that makes room for it, as that of `style`, keeps it on the figure; in others it is inside the axes.
    """
    handles, labels = ax.get_legend_handles_labels()
    first = dict(zip(reversed(labels), reversed(handles), strict=True))
    names = list(dict.fromkeys(labels))
    if not names:
        return
    entries: Any = {"handles": [first[name] for name in names], "labels": names, "title": title}
    if ax.figure.get_layout_engine() is not None:
        below = ax.transAxes + ScaledTranslation(0, -_height_of_labels(ax) / 72, ax.figure.dpi_scale_trans)
        entries |= {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": below, "borderaxespad": 0.0}
        entries |= {"handlelength": 1.6, "handletextpad": 0.6, "columnspacing": 1.2, "ncols": _columns(ax, names)}
    for handle in ax.legend(**entries).legend_handles:
        # what is faint or tiny for there are many of it is neither where it stands alone
        if isinstance(handle, PathCollection):
            handle.set_sizes(np.array([16.0]))
        if isinstance(handle, PathCollection | Line2D):
            handle.set_alpha(1)


def whole_numbers(axis: Axis) -> None:
    """Numbers of steps, units or trials on an axis: none of them is broken."""
    axis.set_major_locator(MaxNLocator("auto", integer=True))


def _height_of_labels(ax: Axes) -> float:
    """Points from the axes down to below the numbers and the name of the horizontal axis."""
    label = ax.get_xlabel()
    numbers = 1.3 * _points(plt.rcParams["xtick.labelsize"])
    name = 4 + 1.35 * _points(ax.xaxis.label.get_fontsize()) * (label.count("\n") + 1) if label else 0
    return 7 + numbers + name + 4


def _columns(ax: Axes, names: list[str]) -> int:
    """How many columns of a legend have room in what the axes have of the width of their figure."""
    size = _points(plt.rcParams["legend.fontsize"])
    place = ax.get_subplotspec()
    share = ax.get_position().width if place is None else len(place.colspan) / place.get_gridspec().ncols
    room = share * ax.figure.bbox.width / ax.figure.dpi * 72
    wide = size * (_PER_LETTER * max(len(name) for name in names) + 3.4)
    return max(1, min(len(names), int(room / wide)))


def _points(size: str | float | int) -> float:
    return FontProperties(size=size).get_size_in_points()  # pyright: ignore[reportArgumentType]


@contextmanager
def page(path: Path, size: tuple[float | int, float | int]) -> Iterator[Any]:
    """A figure in our style, to draw panels on; it is written at the end, and closed whatever happens."""
    require(size[0] <= PAGE_WIDTH, f"a page must be at most {PAGE_WIDTH:g} inches wide, got {size[0]:g}")
    with style():
        figure = plt.figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(h_pad=0.1, w_pad=0.08)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
        try:
            yield figure
            write_figure(figure, Path(path))
            if _COPIES.get():
                write_figure(figure, Path(path).with_suffix(f".{_COPIES.get()}"))
        finally:
            plt.close(figure)


@contextmanager
def tiles(path: Path, count: int, *, columns: int, height: float | int, **shared: Any) -> Iterator[list[Axes]]:
    """A page of so many axes, row by row, each `height` inches high; `shared` is handed to ``Figure.subplots``."""
    columns = min(columns, count)
    rows = -(-count // columns)
    # one panel alone need not be as wide as the page
    width = PAGE_WIDTH if columns > 1 else 0.65 * PAGE_WIDTH
    with page(path, (width, height * rows)) as figure:
        axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
        for ax in axes[count:]:
            ax.remove()
        yield axes[:count]


def write_figure(figure: Figure, path: Path) -> None:
    """Save a figure; a reader sees the old file or the whole new one."""
    known = sorted(figure.canvas.get_supported_filetypes())
    suffix = path.suffix.removeprefix(".") or "png"
    require(suffix in known, f"path must end in one of {', '.join(known)}, got {path.name}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    write_atomically(path, buffer.getvalue())
