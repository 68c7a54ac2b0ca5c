"""A picture of a model beside a recording: which area, how much later, and how near to the noise ceiling."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fisherjax._errors import check_choice
from fisherjax.vision._matching._match import ModelMatch

from ._checks import checked, drawable
from ._style import SMALL, axes_or_new, legend_below, population_color

_SIGNIFICANT = 0.05


@checked
def model_similarity(
    found: ModelMatch, ax: Axes | None = None, *, show: str = "delays", area: str | None = None
) -> Axes:
    """How well areas of a model fit a recording, with one standard error.

    Parameters
    ----------
    found
        The comparison.
    ax
        Axes of matplotlib.
    show
        ``"delays"``: every area against the delay, as a share of the noise ceiling. ``"times"``: every area against
        the recorded time, each at the delay that suits it best, with the band between the bounds of the ceiling.
        ``"map"``: one area, time of the model against recorded time; the line is the best delay, and a contour
        surrounds what is significant at 5 %, corrected for all areas and times.
    area
        Of the map; the best one by default.
    """
    check_choice("show", show, ("delays", "times", "map"))
    chosen = found.best.area if area is None and found.best is not None else (area or found.areas[0])
    check_choice("area", chosen, found.areas)
    ax = axes_or_new(ax)
    if show == "map":
        return _map(found, ax, found.areas.index(chosen))
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    (_delays if show == "delays" else _times)(found, ax)
    return ax


def _delays(found: ModelMatch, ax: Axes) -> None:
    for index, name in enumerate(found.areas):
        _line(ax, found.delays, found.by_delay[index], found.by_delay_error[index], index, name)
    if found.best is not None:
        ax.axvline(found.best.delay, color="0.6", linewidth=1, linestyle=":", zorder=0)
    ax.axhline(1, color="0.4", linewidth=1, linestyle="--", zorder=0)
    ax.annotate(
        "noise ceiling", (0.01, 1), xycoords=("axes fraction", "data"), xytext=(0, -3), textcoords="offset points",
        va="top", fontsize=SMALL, color="0.4",
    )  # fmt: skip
    ax.set(
        xlabel=f"delay of the recording ({found.time_unit})",
        ylabel=f"{found.measure},\nshare of the ceiling",
        ylim=(None, max(1.06, ax.get_ylim()[1])),
    )
    legend_below(ax)


def _times(found: ModelMatch, ax: Axes) -> None:
    time = found.recorded_times
    if np.isfinite(found.upper_ceiling).all():
        bounds: Any = {
            "color": "0.85",
            "linewidth": 3 if np.array_equal(found.lower_ceiling, found.upper_ceiling) else 0,
        }
        ax.fill_between(time, found.lower_ceiling, found.upper_ceiling, label="noise ceiling", zorder=0, **bounds)
    for index, name in enumerate(found.areas):
        by_delay = np.where(np.isfinite(found.by_delay[index]), found.by_delay[index], -np.inf)
        if np.isneginf(by_delay).all():
            continue
        delay = found.delays[np.argmax(by_delay)]
        apart = np.abs(time[:, None] - found.times - delay)
        near = np.argmin(apart, axis=1)
        there = apart.min(axis=1) <= 1e-6 * max(float(np.ptp(found.delays)), 1e-30)
        places = np.flatnonzero(there)
        label = f"{name}, {delay:g} {found.time_unit} later"
        values, errors = (part[index, near[places], places] for part in (found.value, found.standard_error))
        _line(ax, time[places], values, errors, index, label)
    ax.set(xlabel=f"time of the recording ({found.time_unit})", ylabel=found.measure)
    legend_below(ax)


def _line(ax: Axes, x: np.ndarray, values: np.ndarray, errors: np.ndarray, index: int, label: str) -> None:
    look: Any = {"markersize": 3.5, "linewidth": 1.2, "capsize": 2, "color": population_color(index)}
    ax.errorbar(x, drawable(ax, values), errors, fmt="o-", label=label, **look)


def _map(found: ModelMatch, ax: Axes, index: int) -> Axes:
    values, title = found.value[index], found.areas[index]
    ax.set_facecolor("0.9")
    image = ax.pcolormesh(found.recorded_times, found.times, np.ma.masked_invalid(values), shading="nearest")
    if found.probability is not None and min(values.shape) > 1:
        above = np.where(np.isfinite(values), found.probability[index], 1.0)
        if above.min() <= _SIGNIFICANT < above.max():
            ax.contour(found.recorded_times, found.times, above, [_SIGNIFICANT], colors="white", linewidths=1)
            title += f" (within the contour p < {_SIGNIFICANT:g})"
    if found.best is not None:
        limits = ax.get_xlim(), ax.get_ylim()
        ax.axline((found.best.delay, 0), slope=1, color="white", linewidth=1, linestyle="--")
        ax.set(xlim=limits[0], ylim=limits[1])
    ax.set(
        xlabel=f"time of the recording ({found.time_unit})",
        ylabel=f"time of the model ({found.time_unit})",
        title=title,
    )
    ax.figure.colorbar(image, ax=ax, label=found.measure)
    return ax
