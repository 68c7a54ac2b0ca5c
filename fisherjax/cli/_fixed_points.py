"""Fixed points of a trained network: search, classify, draw."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from fisherjax import dynamics, networks, plot, tasks, training
from fisherjax.report import Figure, Section, Table

from ._arguments import FixedPoints
from ._files import load_record
from ._limits import UsageError
from ._session import Session
from ._shared import say_where, write_report

HEADER = ("point", "kind", "growing", "largest λ", "slowest τ (steps)", "q", "candidates", "stays", "elsewhere")

_TRIALS = 128


def run_fixed_points(command: FixedPoints, session: Session) -> None:
    """Search from states that the network visits, in float64."""
    network, task = _load(command)
    candidate_key, trial_key, noise_key = jax.random.split(jax.random.key(command.seed), 3)
    held = np.zeros(network.num_inputs) if not command.inputs else np.asarray(command.inputs)
    if held.shape != (network.num_inputs,):
        raise UsageError(f"--inputs: the network has {network.num_inputs} inputs, got {held.size} numbers")
    batch = task.batch(trial_key, _TRIALS)
    if task.num_inputs != network.num_inputs:
        raise UsageError(f"--task: the network has {network.num_inputs} inputs, the task {task.num_inputs}")
    states, _ = networks.run(network, batch.inputs)
    with session.stage(f"searching from {command.candidates} states"):
        found = dynamics.find_fixed_points(
            network,
            dynamics.sample_states(
                network, batch.inputs, command.candidates, key=candidate_key, noise_std=command.spread
            ),
            held,
            tolerance=command.tolerance,
        )
        found.save(session.folder / "fixed_points.npz")
        if not len(found):
            raise UsageError(f"no candidate reached q <= {command.tolerance:g}; {len(found.slow_points)} slow points")
    with session.stage("drawing"):
        graph = dynamics.transition_graph(network, found, key=noise_key, noise_std=command.noise_std)
        components = dynamics.principal_components(states)
        figure = plot.save_fixed_points(
            session.folder / "fixed_points.png", found, components, states, graph, step=network
        )
        page = _interactive(session.folder / "state_space.html", components, states, found, network)
    rows = _rows(found, graph)
    session.write_table(HEADER, rows)
    facts = {
        "kinds": {kind: found.kind.count(kind) for kind in dict.fromkeys(found.kind)},
        "largest_q": float(found.speed.max()),
        "converged": int(found.converged.sum()),
        "slow_points": len(found.slow_points),
        "participation_ratio": float(dynamics.participation_ratio(states.reshape(-1, network.state_size))),
        "components_for_90_percent": _components(components),
        "transitions": [
            [str(a), str(b), edge["probability"], edge["standard_error"]] for a, b, edge in graph.edges(data=True)
        ],
    }
    session.write_results(facts)
    session.write_arrays(points=found.points, eigenvalues=found.eigenvalues, speed=found.speed)
    session.write_manifest()
    text = [
        f"{found!r}".removeprefix("FixedPoints(").removesuffix(")") + f"; input held at {held.tolist()}.",
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


def _load(command: FixedPoints) -> tuple[networks.RecurrentNetwork, tasks.Task]:
    path, name = command.checkpoint, command.task
    saved = load_record(path, "checkpoint")
    if isinstance(saved, training.Checkpoint):
        network, written = saved.best_network, str(saved.settings.get("task"))
        name = name or next((key for key, task in tasks.TASKS.items() if repr(task) == written), None)
    else:
        network = getattr(saved, "network", saved)
    if not isinstance(network, networks.RecurrentNetwork):
        raise UsageError(f"checkpoint {path} holds a {type(saved).__name__}, which has no recurrent network")
    if name is None:
        raise UsageError(f"checkpoint {path} does not say which task it is of; add --task {{{','.join(tasks.TASKS)}}}")
    return networks.in_precision(network, float), tasks.TASKS[name]


def _interactive(path: Path, components: Any, states: Any, found: Any, step: Any) -> Path | None:
    """The page to turn with the mouse, where plotly is installed."""
    if len(components.components) < 3:
        return None
    try:
        return plot.write_state_space_html(path, components, states, found, step=step)
    except ImportError:
        return None


def _components(components: dynamics.PrincipalComponents) -> int:
    """How many components hold nine tenths of the variance; none where the states do not vary."""
    varies = bool(np.isfinite(np.asarray(components.explained)).all())
    return dynamics.components_for_variance(components, 0.9) if varies else 0


def _share(graph: Any, source: int, target: object) -> str:
    """The probability of an edge with its standard error, or that no trial took it."""
    if not graph.has_edge(source, target):
        return "0"
    edge = graph.edges[source, target]
    return f"{edge['probability']:.3f} ± {edge['standard_error']:.3f}"


def _rows(found: dynamics.FixedPoints, graph: Any) -> list[list[object]]:
    known = np.isfinite(found.eigenvalues).all(axis=1)  # of a Jacobian that is not finite there are none
    constants = np.full(found.eigenvalues.shape, np.nan)
    constants[known] = dynamics.time_constants(found.eigenvalues[known])[0]
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
