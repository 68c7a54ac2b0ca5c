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
from fisherjax.plot._dynamics import write_state_space_html
from fisherjax.plot._networks import save_fixed_points
from fisherjax.report import Figure, Section, Table
from fisherjax.tasks._registry import TASKS

from ._arguments import FixedPoints
from ._limits import UsageError
from ._load_network import load_network, with_noise
from ._session import Session
from ._shared import say_where, write_report

HEADER = ("point", "kind", "growing", "largest λ", "slowest τ (steps)", "q", "candidates", "stays", "elsewhere")

_TRIALS = 128
_STEPS = 50  # of trajectories without a task


def run_fixed_points(command: FixedPoints, session: Session) -> None:
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
        found = dynamics.find_fixed_points(network, candidates, held, tolerance=command.tolerance)
        found.save(session.folder / "fixed_points.npz")
        if not len(found):
            raise UsageError(f"no candidate reached q <= {command.tolerance:g}; {len(found.slow_points)} slow points")
    with session.stage("drawing"):
        graph = dynamics.transition_graph(network, found, key=noise_key, noise_std=command.noise_std)
        components = dynamics.principal_components(states)
        figure = save_fixed_points(session.folder / "fixed_points.png", found, components, states, graph, step=network)
        page = _interactive(session.folder / "state_space.html", components, states, found, network)
    rows = _rows(found, graph)
    session.write_table(HEADER, rows)
    facts = {
        "kinds": {kind: found.kind.count(kind) for kind in dict.fromkeys(found.kind)},
        "largest_q": float(found.speed.max()),
        "converged": int(found.converged.sum()),
        "slow_points": len(found.slow_points),
        "participation_ratio": float(_linalg.participation_ratio(states.reshape(-1, network.state_size))),
        "components_for_90_percent": _components(components),
        "transitions": [
            [str(a), str(b), edge["probability"], edge["standard_error"]] for a, b, edge in graph.edges(data=True)
        ],
    }
    session.write_results(facts)
    session.write_arrays(points=found.points, eigenvalues=found.eigenvalues, speed=found.speed)
    session.write_manifest()
    text = [
        f"{found!r}".removeprefix("FixedPoints(").removesuffix(")") + f"; input held at {command.inputs or 0}.",
        (
            f"The states that it visits have a participation ratio of {facts['participation_ratio']:.2f}; "
            f"{facts['components_for_90_percent']} components hold 90 % of their variance."
        ),
        *([f"To turn with the mouse: {page.name}."] if page is not None else []),
    ]
    caption = (
        "Trajectories and fixed points along principal components (black: stable; lines: directions of growth); "
        f"where one step of noise of {command.noise_std:g} per unit leads (elsewhere: to no stable point of these); "
        "eigenvalues."
    )
    section = Section("Fixed points", text, [Figure(figure, caption), Table(HEADER, rows)])
    write_report(session, "Fixed points", [section])
    print(found)
    say_where(session)


def _load(command: FixedPoints) -> tuple[networks.Network, tasks.Task | None]:
    """The network in float64, and the task whose trials it is shown, if one is known."""
    loaded = load_network(command.network, nonlinearity=command.nonlinearity)
    network, name = networks.in_precision(loaded.network, float), command.task
    name = name or next((key for key, task in TASKS.items() if repr(task) == loaded.task), None)
    task = None if name is None else TASKS[name]
    if task is not None and network.input_shape != (task.num_inputs,):
        raise UsageError(f"--task: the network has {_num_inputs(network)} inputs, the task {task.num_inputs}")
    return network, task


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
    quiet, trials = with_noise(network, {"noise_std": 0.0, "observation_noise_std": 0.0}), jnp.asarray(inputs)

    def follow(given: Array) -> Array:
        asked: dict[str, Any] = {"num_steps": len(trials), "protocol": lambda _: given}
        return simulate.trajectories(quiet, num_trials=1, key=key, **asked)[:, 0]

    return jax.vmap(follow, in_axes=1, out_axes=1)(trials)


def _interactive(path: Path, components: Any, states: Any, found: Any, step: Any) -> Path | None:
    """The page to turn with the mouse, where plotly is installed."""
    if len(components.components) < 3:
        return None
    try:
        return write_state_space_html(path, components, states, found, step=step)
    except ImportError:
        return None


def _components(components: dynamics.PrincipalComponents) -> int:
    """How many components hold nine tenths of the variance; none where the states do not vary."""
    varies = bool(np.isfinite(np.asarray(components.explained)).all())
    return dynamics.components_for_variance(components, 0.9) if varies else 0


def _share(graph: Any, source: int, target: ArrayLike) -> str:
    """The probability of an edge with its standard error, or that no trial took it."""
    if not graph.has_edge(source, target):
        return "0"
    edge = graph.edges[source, target]
    return f"{edge['probability']:.3f} ± {edge['standard_error']:.3f}"


def _rows(found: dynamics.FixedPoints, graph: Any) -> list[list[object]]:
    constants = found.time_constants
    return [
        [
            index,
            kind,
            int(found.num_unstable[index]),
            float(np.abs(found.eigenvalues[index, 0])),
            float(np.max(np.abs(constants[index]))),
            f"{found.speed[index]:.0e}",
            int(found.basin[index]),
            _share(graph, index, index),
            _share(graph, index, "elsewhere"),
        ]
        for index, kind in enumerate(found.kind)
    ]
