"""What a state knows of its past inputs."""

import numpy as np
from matplotlib.axes import Axes

from fisherjax.fisher._temporal import TemporalMatrix

from ._checks import axes_of, checked
from ._style import COLORS, PAGE_WIDTH, legend_below

_MODES = 3


@checked
def temporal_matrix(found: TemporalMatrix, axes: tuple[Axes, Axes, Axes] | None = None) -> tuple[Axes, Axes, Axes]:
    """The matrix with its correlations off the diagonal, what is known of each input, and the best known streams."""
    matrix, memory, modes = axes_of(axes, 1, 3, (PAGE_WIDTH, 3.8))
    total = np.asarray(found.total, float)
    steps, channels = found.inputs.shape
    scale = np.sqrt(np.maximum(np.diagonal(total), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = total / (scale[:, None] * scale)
    image = matrix.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    matrix.set(xlabel="input (step)", ylabel="input (step)", title="F over the roots of its diagonal")
    matrix.figure.colorbar(image, ax=matrix, label="correlation")
    lags = np.arange(steps)
    for channel, values in enumerate(np.asarray(found.memory, float).T):
        label = f"input {channel}" if channels > 1 else None
        memory.plot(
            lags,
            np.where(values > 0, values, np.nan),
            "o-",
            markersize=3,
            color=COLORS[channel % len(COLORS)],
            label=label,
        )
    memory.set_yscale("log")
    memory.set(xlabel="steps ago", ylabel="Fisher information (1/input²)", title="what is known of each input")
    if channels > 1:
        legend_below(memory)
    values, vectors = np.linalg.eigh((total + total.T) / 2)
    for mode in range(min(_MODES, len(values))):
        shown = vectors[:, -1 - mode] * np.sign(vectors[np.argmax(np.abs(vectors[:, -1 - mode])), -1 - mode])
        modes.plot(shown, ".-", color=COLORS[mode], label=f"{values[-1 - mode]:.4g}")
    modes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    modes.set(
        xlabel="input (step), the last one on the right", ylabel="weight of an input",
        title="streams that are known best",
    )  # fmt: skip
    legend_below(modes, title="eigenvalue of F")
    return matrix, memory, modes
