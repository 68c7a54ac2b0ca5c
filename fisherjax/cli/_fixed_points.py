"""Fixed points of a network: search, classify, draw."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax import _linalg, dynamics, networks, simulate, tasks
from fisherjax._types import ArrayLike
from fisherjax.dynamics._components import components_for_variance
from fisherjax.plot._dynamics import write_state_space_html
from fisherjax.plot._networks import save_fixed_points
from fisherjax.report import Table
from fisherjax.report._html import Picture
from fisherjax.tasks._registry import TASKS

from ._arguments import FixedPoints
from ._network import load_network, with_noise
from ._outcome import Outcome, section
from ._session import Session
from ._values import UsageError

_TRIALS = 128
_STEPS = 50  # of trajectories without a task


def run_fixed_points(command: FixedPoints, session: Session) -> Outcome:
    """Search from states that the network visits, in float64."""
    network, task = _load(command)
    candidate_key, trial_key, noise_key = jax.random.split(jax.random.key(command.seed), 3)
    held = _held(command, network)
    inputs = None if task is None else task.batch(trial_key, _TRIALS).inputs
    with session.stage(f"searching from {command.candidates} states"):
        candidates = dynamics.sample_states(
            network, inputs, command.candidates, key=candidate_key, noise_std=command.spread
        )
        states = _visited(network, inputs, candidates, trial_key)
        points = dynamics.find_fixed_points(network, candidates, held, tolerance=command.tolerance)
        session.save("fixed_points", points)
        if not len(points):
            slow = len(points.slow_points)
            raise UsageError(f"no candidate reached q <= {command.tolerance:g}; {slow} slow points")
    with session.stage("following noise"):
        graph = dynamics.transition_graph(network, points, key=noise_key, noise_std=command.noise_std)
        components = dynamics.principal_components(states)
        page = _interactive(session.folder / "state_space.html", components, states, points, network)
    results = _results(points, graph, states, components)
    text = [
        f"{points!r}".removeprefix("FixedPoints(").removesuffix(")") + f"; input held at {command.inputs or 0}.",
        (
            f"The states that it visits have a participation ratio of {results['participation_ratio']:.2f}; "
            f"{results['components_for_90_percent']} components hold 90 % of their variance."
        ),
        "" if page is None else f"To turn with the mouse: {page.name}.",
    ]
    caption = (
        "Trajectories and fixed points along principal components (black: stable; lines: directions of growth); "
        f"where one step of noise of {command.noise_std:g} per unit leads (elsewhere: to no stable point of these); "
        "eigenvalues."
    )
    drawn = (points, components, states, graph)
    picture = Picture("fixed_points.png", caption, save_fixed_points, *drawn, step=network)
    table = _table(points, graph)
    return Outcome(
        title="Fixed points",
        sections=[section("Fixed points", text, picture, table)],
        results=results,
        arrays={"points": points.points, "eigenvalues": points.eigenvalues, "speed": points.speed},
        table=table,
        sentences=[f"{points}"],
    )


def _results(points: dynamics.FixedPoints, graph: Any, states: Any, components: Any) -> dict[str, Any]:
    varies = bool(np.isfinite(np.asarray(components.explained)).all())  # the states may not
    return {
        "kinds": {kind: points.kind.count(kind) for kind in dict.fromkeys(points.kind)},
        "largest_q": float(points.speed.max()),
        "converged": int(points.converged.sum()),
        "slow_points": len(points.slow_points),
        "participation_ratio": float(_linalg.participation_ratio(states.reshape(-1, states.shape[-1]))),
        "components_for_90_percent": components_for_variance(components, 0.9) if varies else 0,
        "transitions": [
            [str(a), str(b), edge["probability"], edge["standard_error"]] for a, b, edge in graph.edges(data=True)
        ],
    }


def _load(command: FixedPoints) -> tuple[networks.Network, tasks.Task | None]:
    """The network in float64, and the task whose trials it is shown, if one is known."""
    network, trained_on = load_network(command.network, nonlinearity=command.nonlinearity)
    name = command.task or next((key for key, task in TASKS.items() if repr(task) == trained_on), None)
    task = None if name is None else TASKS[name]
    if task is not None and network.input_shape != (task.num_inputs,):
        raise UsageError(f"--task: the network has {_num_inputs(network)} inputs, the task {task.num_inputs}")
    return networks.in_precision(network, float), task


def _num_inputs(network: networks.Network) -> int:
    return 0 if network.input_shape is None else math.prod(network.input_shape)


def _held(command: FixedPoints, network: networks.Network) -> np.ndarray | None:
    """The input that is held, in the shape that the network takes; None for none."""
    if not command.inputs:
        return None
    count = _num_inputs(network)
    if len(command.inputs) != count:
        raise UsageError(f"--inputs: the network has {count} inputs, got {len(command.inputs)} numbers")
    return np.asarray(command.inputs).reshape(network.input_shape or ())


def _visited(
    network: networks.Network, inputs: ArrayLike | None, candidates: jax.Array, key: jax.Array
) -> Float[Array, "T batch S"]:
    """Trajectories to draw: without noise through trials of a task, or under the network's own from candidates."""
    if inputs is None:
        asked: dict[str, Any] = {"num_steps": _STEPS, "initial_state": candidates[:_TRIALS]}
        return simulate.trajectories(network, num_trials=1, key=key, **asked)[:, :, 0]
    quiet, trials = with_noise(network, noise_std=0.0, observation_noise_std=0.0), jnp.asarray(inputs)

    def follow(given: Array) -> Array:
        asked: dict[str, Any] = {"num_steps": len(trials), "protocol": lambda _: given}
        return simulate.trajectories(quiet, num_trials=1, key=key, **asked)[:, 0]

    return jax.vmap(follow, in_axes=1, out_axes=1)(trials)


def _interactive(path: Path, components: Any, states: Any, points: Any, step: Any) -> Path | None:
    """The page to turn with the mouse, where plotly is installed."""
    if len(components.components) < 3:
        return None
    try:
        return write_state_space_html(path, components, states, points, step=step)
    except ImportError:
        return None


def _share(graph: Any, source: int, target: ArrayLike) -> str:
    """The probability of an edge with its standard error, or that no trial took it."""
    if not graph.has_edge(source, target):
        return "0"
    edge = graph.edges[source, target]
    return f"{edge['probability']:.3f} ± {edge['standard_error']:.3f}"


def _table(points: dynamics.FixedPoints, graph: Any) -> Table:
    rows = [
        [
            index,
            kind,
            int(points.num_unstable[index]),
            float(np.abs(points.eigenvalues[index, 0])),
            float(np.max(np.abs(points.time_constants[index]))),
            f"{points.speed[index]:.0e}",
            int(points.basin[index]),
            _share(graph, index, index),
            _share(graph, index, "elsewhere"),
        ]
        for index, kind in enumerate(points.kind)
    ]
    header = ("point", "kind", "growing", "largest λ", "slowest τ (steps)", "q", "candidates", "stays", "elsewhere")
    return Table(header, rows)
