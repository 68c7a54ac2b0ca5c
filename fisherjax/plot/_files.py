"""Figures as files."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt


def new_figure(rows: int, columns: int, size: tuple[float | int, float | int]) -> tuple[Any, Any]:
    """A figure and its grid of axes (rows, columns)."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False)


def write_figure(figure: Any, path: Path) -> Path:
    """Save and close a figure."""
    figure.savefig(path)
    plt.close(figure)
    return path
