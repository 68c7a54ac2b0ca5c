"""Pictures of trained networks and pages of them: weights, eigenvalues, a trial, the course of training, dynamics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import scipy.special
from matplotlib.axes import Axes

from fisherjax._arrays import host_real
from fisherjax._errors import check_flag, check_integer
from fisherjax.dynamics import FixedPoints, PrincipalComponents
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.tasks import TaskBatch
from fisherjax.tasks._batch import has_labels
from fisherjax.training import Training, TrainingHistory

from ._checks import axes_of, checked, drawable
from ._dynamics import state_space, transition_graph
from ._style import COLORS, PAGE_WIDTH, SMALL, axes_or_new, draw_circle, legend_below, page, tiles


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
    ax.set(xlabel="from unit", ylabel="to unit")
    for name, place in (regions or {}).items():
        for line in (ax.axhline, ax.axvline):
            line(place.stop - 0.5, color="black", linewidth=0.8)
        middle = (place.start + place.stop - 1) / 2
        ax.text(len(matrix[0]) + 0.5, middle, name, va="center", rotation=90, fontsize=SMALL)
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
        draw_circle(ax, color="black", linewidth=1)
        ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel="Re λ", ylabel="Im λ")
    legend_below(ax)
    return ax


@checked
def training_history(history: TrainingHistory, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Loss and, where targets are classes, accuracy of every training step; both on held-out trials."""
    both = left, right = axes_of(axes, 1, 2, (10, 3.6))
    loss, held_out = (drawable(left, part, positive=True) for part in (history.loss, history.held_out_loss))
    steps = np.arange(1, len(loss) + 1)
    left.plot(steps, loss, color="0.7", linewidth=0.8, label="training batch")
    left.plot(history.evaluated, held_out, color=COLORS[0], label="held out")
    left.set(yscale="log", ylabel="loss")
    if np.isfinite(history.accuracy).any():
        right.plot(steps, drawable(right, history.accuracy), color="0.7", linewidth=0.8, label="training batch")
    right.plot(history.evaluated, drawable(right, history.held_out_accuracy), color=COLORS[2], label="held out")
    right.set(ylabel="accuracy", ylim=(None, 1.03))
    right.set_xlim(left.get_xlim())  # before the first evaluation there is nothing to see
    for ax in both:
        ax.set_xlabel("training step")
        legend_below(ax)
    return both


@checked
def task_trial(batch: TaskBatch, outputs: Any = None, axes: Any = None, *, trial: int = 0) -> Any:
    """One trial: inputs above, targets (thick, pale; only where they count) and outputs below.

    Where targets are classes, outputs are drawn as the probabilities that they give to each class, softmax(outputs).
    """
    steps, trials = np.shape(batch.inputs)[:2]
    trial = check_integer("trial", trial, minimum=0, maximum=trials - 1)
    classes = has_labels(batch)
    if outputs is not None:
        count = "O" if classes else np.shape(batch.targets)[2]
        outputs = host_real("outputs", outputs, f"{steps} {trials} {count}", finite=False)[:, trial]
    axes = upper, lower = axes_of(axes, 2, 1, (6, 4))
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
    lower.set(ylabel=words[1] if outputs is None else f"{words[0]} (target pale)", xlabel="time (steps)")
    return axes


@checked
def network_trial(network: RecurrentNetwork, batch: TaskBatch, axes: Any = None, *, trial: int = 0) -> Any:
    """One trial of a task with the outputs of a network."""
    return task_trial(batch, run(network, batch.inputs)[1], axes, trial=trial)


@checked
def save_training(path: Path, trained: Training) -> Path:
    """Loss and accuracy over training, recurrent weights and their eigenvalues."""
    with tiles(path, 4, columns=2, height=4) as (loss, accuracy, weights, spectrum):
        training_history(trained.history, (loss, accuracy))
        weight_matrix(trained.network, weights)
        weights.set_title("recurrent weights")
        matrix = np.asarray(trained.network.recurrent_weights)
        if matrix.shape[0] == matrix.shape[1]:
            eigenvalues(np.linalg.eigvals(matrix), spectrum)
            spectrum.set_title("their eigenvalues")
        else:
            spectrum.hist(matrix.ravel(), bins=60, color="0.6")
            spectrum.set(xlabel="weight (all gates)", ylabel="number of weights")
    return path


@checked
def save_trials(path: Path, network: RecurrentNetwork, batch: TaskBatch, *, probabilities: bool = False) -> Path:
    """Three trials of a task with the outputs of a network; as probabilities for classes or where that is asked."""
    _, outputs = run(network, batch.inputs)
    shown = np.asarray(outputs)
    if probabilities and not has_labels(batch):
        shown = scipy.special.softmax(shown, axis=-1)
    with page(path, (PAGE_WIDTH, 4.4)) as figure:
        axes = figure.subplots(2, 3)
        for trial in range(min(3, shown.shape[1])):
            task_trial(batch, shown, (axes[0, trial], axes[1, trial]), trial=trial)
    return path


@checked
def save_fixed_points(
    path: Path, found: FixedPoints, components: PrincipalComponents, states: Any, graph: nx.DiGraph, step: Any
) -> Path:
    """State space in two and three dimensions, the graph between fixed points, eigenvalues at each kind."""
    with page(path, (PAGE_WIDTH, 9)) as figure:
        flat = figure.add_subplot(2, 2, 1)
        state_space(components, states, found, flat, step=step)
        if len(components.components) >= 3:
            legend = flat.get_legend()
            if legend is not None:
                legend.remove()  # the same stands beside the other
            space = figure.add_subplot(2, 2, 2, projection="3d")
            state_space(components, states, found, space, step=step, dimensions=3)
        between, spectrum = figure.add_subplot(2, 2, 3), figure.add_subplot(2, 2, 4)
        if len(found):
            transition_graph(graph, between, positions=_oblique(np.asarray(components.project(found.points))))
            eigenvalues(found.eigenvalues, spectrum, is_flow=found.is_flow)
        between.set_title("where noise leads")
        spectrum.set_title("eigenvalues at all fixed points")
    return path


def _oblique(places: np.ndarray) -> np.ndarray:
    """Two coordinates in which points that differ in the third are apart, as in a drawing of a cube."""
    if places.shape[1] < 3:
        return np.column_stack([places, np.zeros(len(places))])[:, :2]
    return places[:, :2] + places[:, 2:3] * np.array([0.4, 0.25])
