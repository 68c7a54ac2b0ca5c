"""Pictures of how often a network is right, and of what it takes images for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fisherjax.vision._evaluation import Evaluation

from ._checks import checked, drawable
from ._style import COLORS, SMALL, axes_or_new, legend_below, whole_numbers

_MOST_NAMED = 20  # classes whose names have room
_WORTH_TELLING = 0.02  # shares that are written into the squares


@checked
def evaluation(found: Evaluation, ax: Axes | None = None) -> Axes:
    """Share of images that are taken for what they are after every step, with its interval."""
    ax = axes_or_new(ax)
    times = np.arange(1, len(found.top_1) + 1)
    parts = [("most probable class", found.top_1, found.top_1_interval)]
    parts += [("among the five most probable", found.top_5, found.top_5_interval)] if len(found.confusion) > 5 else []
    for color, (label, share, interval) in zip(COLORS, parts, strict=False):
        ax.plot(times, drawable(ax, share), color=color, label=label)
        ax.fill_between(times, *interval.T, color=color, alpha=0.25, linewidth=0)
    ax.axhline(1 / len(found.confusion), color="0.6", linewidth=1, linestyle="--", label="chance")
    if found.onset or found.offset < len(times):
        ax.axvspan(found.onset, found.offset, color="0.93", linewidth=0, zorder=0, label="image")
    ax.set(xlabel="time (steps)", ylabel="share of images that are right", ylim=(0, 1.03))
    whole_numbers(ax.xaxis)
    legend_below(ax)
    return ax


@checked
def confusion(found: Evaluation, names: Sequence[str], ax: Axes | None = None) -> Axes:
    """What the images of every class are taken for at the end; of many classes, how often they are right."""
    ax = axes_or_new(ax)
    counts = found.confusion.sum(axis=1)
    shown = np.flatnonzero(counts)
    share = found.confusion[np.ix_(shown, shown)] / counts[shown, None]
    if len(shown) > _MOST_NAMED:
        ax.plot(np.sort(np.diag(share)), np.arange(1, len(shown) + 1) / len(shown), drawstyle="steps-post")
        ax.set(xlabel="share of a class's images that are right", ylabel="share of classes", xlim=(0, 1), ylim=(0, 1))
        return ax
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(share >= _WORTH_TELLING):
        color = "white" if share[row, column] > 0.5 else "black"
        text = f"{100 * share[row, column]:.0f}"
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=SMALL)
    labels = [names[index] for index in shown.tolist()]
    turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if max(map(len, labels)) > 3 else {}
    ax.set_xticks(range(len(shown)), labels, **turned)
    ax.set_yticks(range(len(shown)), labels)
    ax.set(xlabel="taken for", ylabel="class", title="numbers: % of a class")
    ax.grid(visible=False)
    ax.figure.colorbar(image, ax=ax, label="share of a class", fraction=0.046)
    return ax
