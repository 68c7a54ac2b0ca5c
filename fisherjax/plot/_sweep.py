"""A result against an argument that was varied."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fisherjax._errors import check_choice, check_instance

from ._checks import check_path, drawable
from ._files import new_figure, write_figure
from ._style import axes_or_new, population_color


def sweep(
    columns: Mapping[str, Sequence[Any]], *, x: str, y: str, color: str | None = None, ax: Axes | None = None
) -> Axes:
    """Mean and standard error of column `y` over the rows that agree in `x` and `color`.

    Parameters
    ----------
    columns
        Columns of a table by name, equally long; rows whose `y` is not a finite number are left out, and counted in a
        corner. A mean of one row has no error and is hollow.
    x, y
        Names of the columns to draw.
    color
        Column whose values become lines of their own.
    ax
        Where to draw.
    """
    _check(columns, x, y, color)
    axes = axes_or_new(ax)
    groups = list(dict.fromkeys(columns[color])) if color else [None]
    for index, group in enumerate(groups):
        rows = [i for i in range(len(columns[x])) if color is None or columns[color][i] == group]
        values = drawable(axes, [_number(columns[y][i]) for i in rows])
        rows = [i for i, value in zip(rows, values, strict=True) if np.isfinite(value)]
        places = sorted({float(columns[x][i]) for i in rows})
        found = [np.array([columns[y][i] for i in rows if float(columns[x][i]) == place]) for place in places]
        means = [values.mean() for values in found]
        errors = [values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan for values in found]
        label = None if group is None else f"{color} = {group}"
        shade = population_color(index)
        axes.errorbar(places, means, errors, color=shade, marker="o", capsize=2, label=label)
        alone = np.isnan(errors)
        axes.plot(np.array(places)[alone], np.array(means)[alone], "o", color=shade, markerfacecolor="white", zorder=3)
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(y.replace("_", " "))
    if color:
        axes.legend(frameon=False)
    return axes


def _check(columns: Any, x: Any, y: Any, color: Any) -> None:
    check_instance("columns", columns, Mapping, "names of columns and their values")
    for name, column in {"x": x, "y": y, **({} if color is None else {"color": color})}.items():
        check_choice(name, column, columns)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else np.nan


def save_sweep(path: Path, columns: Mapping[str, Sequence[Any]], *, x: str, y: str, color: str | None = None) -> Path:
    """`sweep` as a file."""
    path = check_path(path)
    _check(columns, x, y, color)
    figure, axes = new_figure(1, 1, (6.0, 4.2))
    sweep(columns, x=x, y=y, color=color, ax=axes[0, 0])
    figure.tight_layout()
    return write_figure(figure, path)
