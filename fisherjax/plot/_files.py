"""Figures as files."""

import io
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from fisherjax._errors import require
from fisherjax._types import write_atomically


def new_figure(rows: int, columns: int, size: tuple[float | int, float | int]) -> tuple[Any, Any]:
    """A figure and its grid of axes (rows, columns)."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False)


def write_figure(figure: Any, path: Path) -> Path:
    """Save and close a figure; a reader sees the old file or the whole new one."""
    known = sorted(figure.canvas.get_supported_filetypes())
    suffix = path.suffix.removeprefix(".") or "png"
    require(suffix in known, f"path must end in one of {', '.join(known)}, got {path.name}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    plt.close(figure)
    write_atomically(path, buffer.getvalue())
    return path
