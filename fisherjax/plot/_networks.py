"""Pictures of trained networks: weights, eigenvalues, a trial, the course of training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.special
from matplotlib.axes import Axes

from fisherjax._arrays import host_real
from fisherjax._errors import check_flag, check_integer
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.tasks import TaskBatch
from fisherjax.tasks._batch import has_labels
from fisherjax.training import TrainingHistory

from ._checks import check_axes, check_result, drawable
from ._style import COLORS, axes_or_new


def weight_matrix(
    weights: RecurrentNetwork | Any, ax: Axes | None = None, *, regions: Mapping[str, slice] | None = None
) -> Axes:
    """Recurrent weights of a network, or any matrix: rows receive, columns send; red excites, blue inhibits.

    `regions` maps names to slices of the units (`MultiRegion.slices`): lines are drawn between them. Where signs
    are fixed by Dale's law, a strip above the columns says which.
    """
    signs = None
    if isinstance(weights, RecurrentNetwork):
        signs = weights.recurrent.pattern.signs
        weights = weights.recurrent_weights
    matrix = host_real("weights", weights, "to from")
    ax = axes_or_new(ax)
    top = float(np.quantile(np.abs(matrix), 0.995)) or 1.0
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest", aspect="auto")
    if signs is not None:
        for column, sign in enumerate(signs[0]):
            color = {1: COLORS[1], -1: COLORS[0], 0: "0.8"}[int(sign)]
            ax.plot([column - 0.5, column + 0.5], [-1.5, -1.5], color=color, linewidth=3, solid_capstyle="butt")
        ax.set_ylim(len(matrix) - 0.5, -2.5)
    ax.set_xlabel("from unit")
    ax.set_ylabel("to unit")
    for name, place in (regions or {}).items():
        for line in (ax.axhline, ax.axvline):
            line(place.stop - 0.5, color="black", linewidth=0.8)
        middle = (place.start + place.stop - 1) / 2
        ax.text(len(matrix[0]) + 0.5, middle, name, va="center", rotation=90, fontsize=9)
    pad = 0.12 if regions else 0.03
    ax.figure.colorbar(image, ax=ax, label="weight", shrink=0.85, pad=pad, extend="both")
    return ax


def eigenvalues(values: Any, ax: Axes | None = None, *, is_flow: bool = False, label: str = "") -> Axes:
    """Eigenvalues in the complex plane, growing ones in another color, with the line between growth and decay.

    That line is the unit circle, or for a flow the imaginary axis.
    """
    check_flag("is_flow", is_flow)
    real, imaginary = (host_real("values", np.asarray(part(values))) for part in (np.real, np.imag))
    array = (real + 1j * imaginary).ravel()
    ax = axes_or_new(ax)
    unstable = np.real(array) > 0 if is_flow else np.abs(array) > 1
    for chosen, color, word in ((~unstable, COLORS[0], "decaying"), (unstable, COLORS[1], "growing")):
        if chosen.any():
            name = f"{label} {word}".strip()
            ax.scatter(
                np.real(array[chosen]), np.imag(array[chosen]), s=9, color=color, alpha=0.7, linewidths=0, label=name
            )
    if is_flow:
        ax.axvline(0, color="black", linewidth=1)
    else:
        angle = np.linspace(0, 2 * np.pi, 400)
        ax.plot(np.cos(angle), np.sin(angle), color="black", linewidth=1)
        ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("Re λ")
    ax.set_ylabel("Im λ")
    ax.legend()
    return ax


def training_history(history: TrainingHistory, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Loss and, where targets are classes, accuracy of every training step; both on held-out trials."""
    check_result("history", history, TrainingHistory)
    if axes is None:
        import matplotlib.pyplot as plt  # noqa: PLC0415

        axes = tuple(plt.subplots(1, 2, figsize=(10, 3.6))[1])
    left, right = check_axes(axes, 2)
    loss, held_out = (drawable(left, part, positive=True) for part in (history.loss, history.held_out_loss))
    steps = np.arange(1, len(loss) + 1)
    left.plot(steps, loss, color="0.7", linewidth=0.8, label="training batch")
    left.plot(history.evaluated, held_out, color=COLORS[0], label="held out")
    left.set_yscale("log")
    left.set_ylabel("loss")
    left.legend()
    if np.isfinite(history.accuracy).any():
        right.plot(steps, drawable(right, history.accuracy), color="0.7", linewidth=0.8, label="training batch")
    right.plot(history.evaluated, drawable(right, history.held_out_accuracy), color=COLORS[2], label="held out")
    right.set_ylabel("accuracy")
    right.set_ylim(top=1.03)
    right.legend()
    for ax in axes:
        ax.set_xlabel("training step")
    return axes


def task_trial(batch: TaskBatch, outputs: Any = None, axes: Any = None, *, trial: int = 0) -> Any:
    """One trial: inputs above, targets (thick, pale; only where they count) and outputs below.

    Where targets are classes, outputs are drawn as the probabilities that they give to each class, softmax(outputs).
    """
    check_result("batch", batch, TaskBatch)
    steps, trials = np.shape(batch.inputs)[:2]
    trial = check_integer("trial", trial, minimum=0, maximum=trials - 1)
    classes = has_labels(batch)
    if outputs is not None:
        count = "O" if classes else np.shape(batch.targets)[2]
        outputs = host_real("outputs", outputs, f"{steps} {trials} {count}", finite=False)[:, trial]
    if axes is None:
        import matplotlib.pyplot as plt  # noqa: PLC0415

        axes = plt.subplots(2, 1, figsize=(6, 4), sharex=True, squeeze=False)[1][:, 0]
    upper, lower = check_axes(axes, 2)
    inputs, targets, mask = (np.asarray(part)[:, trial] for part in batch)
    if classes and outputs is not None:
        targets = targets[:, None] == np.arange(outputs.shape[1])
        outputs = scipy.special.softmax(outputs, axis=-1)
    targets, mask = (part.reshape(steps, -1) for part in (targets, mask))
    times = np.arange(1, steps + 1)
    for channel in range(inputs.shape[1]):
        upper.step(times, inputs[:, channel], where="mid", color=COLORS[channel % len(COLORS)], label=f"{channel}")
    for channel, shown in enumerate(np.where(mask > 0, targets, np.nan).T):
        color = COLORS[channel % len(COLORS)]
        lower.plot(times, shown, ".", color=color, alpha=0.2, markersize=9, markeredgewidth=0)
        lower.plot(times, shown, color=color, linewidth=5, alpha=0.25, solid_capstyle="butt")
        if outputs is not None:
            lower.plot(times, outputs[:, channel], color=color, linewidth=1.2)
    upper.set_ylabel("inputs")
    words = ("probabilities", "class") if classes else ("outputs", "targets")
    lower.set_ylabel(words[1] if outputs is None else f"{words[0]} (target pale)")
    lower.set_xlabel("time (steps)")
    return axes


def network_trial(network: RecurrentNetwork, batch: TaskBatch, axes: Any = None, *, trial: int = 0) -> Any:
    """One trial of a task with the outputs of a network."""
    check_result("network", network, RecurrentNetwork)
    check_result("batch", batch, TaskBatch)
    return task_trial(batch, run(network, batch.inputs)[1], axes, trial=trial)
