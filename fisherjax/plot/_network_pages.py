"""Whole figures about trained networks and their dynamics, saved as PNG."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import scipy.special

from fisherjax.dynamics import FixedPoints, PrincipalComponents
from fisherjax.networks import RecurrentNetwork, run
from fisherjax.tasks import TaskBatch
from fisherjax.tasks._batch import has_labels
from fisherjax.training import Training

from ._checks import check_path, check_result
from ._dynamics import state_space, transition_graph
from ._files import new_figure, write_figure
from ._networks import eigenvalues, task_trial, training_history, weight_matrix
from ._style import style


def save_training(path: Path, trained: Training) -> Path:
    """Loss and accuracy over training, recurrent weights and their eigenvalues."""
    path = check_path(path)
    check_result("trained", trained, Training)
    with style():
        figure, ((loss, accuracy), (weights, spectrum)) = new_figure(2, 2, (11, 8))
        training_history(trained.history, (loss, accuracy))
        weight_matrix(trained.network, weights)
        weights.set_title("recurrent weights")
        matrix = np.asarray(trained.network.recurrent_weights)
        if matrix.shape[0] == matrix.shape[1]:
            eigenvalues(np.linalg.eigvals(matrix), spectrum)
            spectrum.set_title("their eigenvalues")
        else:
            spectrum.hist(matrix.ravel(), bins=60, color="0.6")
            spectrum.set_xlabel("weight (all gates)")
        write_figure(figure, path)
    return path


def save_trials(path: Path, network: RecurrentNetwork, batch: TaskBatch, *, probabilities: bool = False) -> Path:
    """Three trials of a task with the outputs of a network; as probabilities for classes or where that is asked."""
    path = check_path(path)
    check_result("network", network, RecurrentNetwork)
    check_result("batch", batch, TaskBatch)
    _, outputs = run(network, batch.inputs)
    shown = np.asarray(outputs)
    if probabilities and not has_labels(batch):
        shown = scipy.special.softmax(shown, axis=-1)
    with style():
        figure, axes = new_figure(2, 3, (14, 4.6))
        for trial in range(min(3, shown.shape[1])):
            task_trial(batch, shown, (axes[0, trial], axes[1, trial]), trial=trial)
        return write_figure(figure, path)


def save_fixed_points(
    path: Path, found: FixedPoints, components: PrincipalComponents, states: Any, graph: nx.DiGraph, step: Any
) -> Path:
    """State space in two and three dimensions, the graph between fixed points, eigenvalues at each kind."""
    path = check_path(path)
    check_result("found", found, FixedPoints)
    check_result("components", components, PrincipalComponents)
    check_result("graph", graph, nx.DiGraph)
    with style():
        figure = plt.figure(figsize=(11, 9))
        flat, space = figure.add_subplot(2, 2, 1), figure.add_subplot(2, 2, 2, projection="3d")
        state_space(components, states, found, flat, step=step)
        if flat.get_legend() is not None:
            flat.get_legend().remove()  # pyright: ignore[reportOptionalMemberAccess]
        if len(components.components) >= 3:
            state_space(components, states, found, space, step=step, dimensions=3)
        between, spectrum = figure.add_subplot(2, 2, 3), figure.add_subplot(2, 2, 4)
        if len(found):
            transition_graph(graph, between, positions=_oblique(np.asarray(components.project(found.points))))
            eigenvalues(found.eigenvalues, spectrum, is_flow=found.is_flow)
        between.set_title("where noise leads")
        spectrum.set_title("eigenvalues at all fixed points")
        return write_figure(figure, path)


def _oblique(places: np.ndarray) -> np.ndarray:
    """Two coordinates in which points that differ in the third are apart, as in a drawing of a cube."""
    if places.shape[1] < 3:
        return np.column_stack([places, np.zeros(len(places))])[:, :2]
    return places[:, :2] + places[:, 2:3] * np.array([0.4, 0.25])
