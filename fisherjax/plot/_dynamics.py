"""Pictures of dynamics: state space with fixed points, phase planes with orbits, branches, transitions."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from matplotlib.axes import Axes

from fisherjax._arrays import host_real
from fisherjax._errors import check_integer
from fisherjax.dynamics import Branch, FixedPoints, PrincipalComponents, linearize
from fisherjax.dynamics._orbits import PeriodicOrbits
from fisherjax.dynamics._phase_plane import PhasePlane

from ._checks import check_sequence, checked
from ._style import COLORS, SMALL, axes_or_new


@checked
def state_space(
    components: PrincipalComponents,
    states: Any = None,
    fixed_points: FixedPoints | None = None,
    ax: Any = None,
    *,
    step: Any = None,
    inputs: Any = None,
    dimensions: int = 2,
    max_trajectories: int = 30,
) -> Any:
    """Trajectories (T, trials, N) and fixed points along the first two or three principal components.

    Attractors are filled (gray where a mode is marginal), points with growing modes open, in a color for each
    number of such modes. With the `step` function, short lines show the directions in which saddles are left.
    """
    check_integer("dimensions", dimensions, minimum=2, maximum=3)
    check_integer("max_trajectories", max_trajectories, minimum=0)
    if states is not None:
        host_real("states", states, "steps trials units")
    if ax is None:
        ax = plt.figure(layout="constrained").add_subplot(projection=None if dimensions == 2 else "3d")
    chosen = slice(0, dimensions)
    if states is not None:
        paths = np.asarray(components.project(states))[..., chosen]
        for trial in range(min(paths.shape[1], max_trajectories)):
            ax.plot(*paths[:, trial].T, color="0.75", linewidth=0.6, zorder=1)
    if fixed_points is not None and len(fixed_points):
        places = np.asarray(components.project(fixed_points.points))[:, chosen]
        if step is not None:
            for segment in ways_out(components, fixed_points, step, inputs):
                ax.plot(*segment[:, chosen].T, color=COLORS[1], linewidth=1.6, zorder=3)
        for kind, rows, color in _by_kind(fixed_points):
            face = color if kind in {"attractor", "marginal"} else "white"
            label = f"{rows.sum()} × {kind}"
            depth = {"depthshade": False} if dimensions == 3 else {"zorder": 4}
            ax.scatter(*places[rows].T, s=42, facecolors=face, edgecolors=color, linewidths=1.4, label=label, **depth)
        # beside the axes: nowhere inside is sure to be free
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    shares = 100 * np.asarray(components.explained)[chosen]
    setters = [ax.set_xlabel, ax.set_ylabel, *([ax.set_zlabel] if dimensions == 3 else [])]
    for index, (setter, share) in enumerate(zip(setters, shares, strict=False)):
        setter(f"PC {index + 1} ({share:.0f} %)")
    return ax


def ways_out(
    components: PrincipalComponents, fixed_points: FixedPoints, step: Any, inputs: Any = None
) -> list[np.ndarray]:
    """Line segments (2, K) through every saddle along each growing mode, a sixth of the cloud's spread long."""
    reach = float(np.sqrt(np.asarray(components.variances)[0])) / 2
    rows = fixed_points.inputs
    if inputs is not None:
        rows = np.broadcast_to(inputs, (len(fixed_points), np.shape(inputs)[-1]))
    segments = []
    for index in np.flatnonzero(fixed_points.num_unstable):
        held = None if rows is None else rows[index]
        found = linearize(step, jax.tree.map(lambda leaf, row=index: leaf[row], fixed_points.states), held).modes
        for mode in range(int(fixed_points.num_unstable[index])):
            direction = np.real(found.right[:, mode])
            ends = fixed_points.points[index] + np.outer([-reach, reach], direction / np.linalg.norm(direction))
            segments.append(np.asarray(components.project(ends)))
    return segments


@checked
def transition_graph(graph: nx.DiGraph, ax: Axes | None = None, *, positions: Any = None) -> Axes:
    """Fixed points as nodes and the probabilities that noise takes the state from one to another as edges.

    `positions` (K, 2), for instance principal coordinates, place the nodes; a spring layout otherwise.
    """
    ax = axes_or_new(ax)
    if positions is None:
        places = nx.spring_layout(graph, seed=0, weight="probability")
    else:
        places = {node: np.asarray(positions)[node] for node in graph if node != "elsewhere"}
        if "elsewhere" in graph:
            points = np.stack(list(places.values()))
            span = float(np.ptp(points, axis=0).max()) or 1.0  # a single fixed point spans nothing
            places["elsewhere"] = points.min(axis=0) - 0.2 * span
    known = {node: stable for node, stable in graph.nodes(data="stable") if stable is not None}
    stable, unstable = ([node for node, is_so in known.items() if is_so == wanted] for wanted in (True, False))
    rest = [node for node in graph if node not in known]
    for nodes, face in ((stable, COLORS[4]), (unstable, "white"), (rest, "0.85")):
        nx.draw_networkx_nodes(
            graph, places, nodelist=nodes, ax=ax, node_color=face, edgecolors="black", node_size=220, linewidths=0.8
        )
    nx.draw_networkx_labels(graph, places, ax=ax, font_size=SMALL)
    edges = [(a, b) for a, b in graph.edges if a != b]
    shares = [graph.edges[edge]["probability"] for edge in edges]
    nx.draw_networkx_edges(
        graph, places, ax=ax, edgelist=edges, width=[0.4 + 2.5 * share for share in shares],
        edge_color=[(0.0, 0.0, 0.0, 0.25 + 0.6 * share) for share in shares], node_size=220, arrowsize=8,
        connectionstyle="arc3,rad=0.08",
    )  # fmt: skip
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


@checked
def write_state_space_html(
    path: str | Path,
    components: PrincipalComponents,
    states: Any = None,
    fixed_points: FixedPoints | None = None,
    *,
    step: Any = None,
    max_trajectories: int = 30,
) -> Path:
    """The same in three dimensions as a page to turn with the mouse; needs plotly.

    Raises
    ------
    ImportError
        If plotly is not installed.
    """
    try:
        import plotly.graph_objects as go  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("the interactive page needs plotly: pip install 'fisherjax[interactive]'") from error
    figure: Any = go.Figure()
    if states is not None:
        paths = np.asarray(components.project(states))[..., :3]
        for trial in range(min(paths.shape[1], max_trajectories)):
            x, y, z = paths[:, trial].T
            line = {"color": "lightgrey", "width": 2}
            figure.add_scatter3d(x=x, y=y, z=z, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    if fixed_points is not None:
        for segment in ways_out(components, fixed_points, step) if step is not None else []:
            x, y, z = segment[:, :3].T
            line = {"color": "dimgrey", "width": 4}
            figure.add_scatter3d(x=x, y=y, z=z, mode="lines", line=line, showlegend=False, hoverinfo="skip")
        places = np.asarray(components.project(fixed_points.points))[:, :3]
        for kind, rows, color in _by_kind(fixed_points):
            x, y, z = places[rows].T
            text = [f"{kind}, q = {q:.1e}" for kind, q in zip(fixed_points.kind, fixed_points.speed, strict=True)]
            figure.add_scatter3d(
                x=x, y=y, z=z, mode="markers", marker={"size": 5, "color": color},
                name=f"{rows.sum()} × {kind}",
                text=[words for words, row in zip(text, rows, strict=True) if row],
            )  # fmt: skip
    titles = [
        f"PC {k + 1} ({100 * float(share):.0f} %)" for k, share in enumerate(np.asarray(components.explained)[:3])
    ]
    axes = dict(zip(("xaxis_title", "yaxis_title", "zaxis_title"), titles, strict=False))
    figure.update_layout(scene=axes, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    figure.write_html(path, include_plotlyjs=True)
    return Path(path)


@checked
def phase_plane(plane: PhasePlane, ax: Axes | None = None, *, orbits: PeriodicOrbits | None = None) -> Axes:
    """The velocity in a plane (arrows of one length), nullclines, trajectories, fixed points, and periodic orbits."""
    ax = axes_or_new(ax)
    thin = tuple(slice(None, None, max(1, len(side) // 20)) for side in (plane.first, plane.second))
    arrows = plane.velocity[thin]
    lengths = np.linalg.norm(arrows, axis=-1, keepdims=True)
    arrows = np.moveaxis(arrows / np.where(lengths > 0, lengths, 1), -1, 0)
    arrows = np.swapaxes(arrows, 1, 2)
    ax.quiver(plane.first[thin[0]], plane.second[thin[1]], *arrows, angles="xy", color="0.8", width=0.003, zorder=1)
    for path in np.moveaxis(plane.trajectories, 1, 0):
        ax.plot(*path.T, color="0.55", linewidth=0.7, marker=None if plane.is_flow else ".", markersize=2, zorder=2)
    for component, color in enumerate(COLORS[:2]):
        name = f"{'velocity' if plane.is_flow else 'change'} {component + 1} = 0"
        ax.contour(plane.first, plane.second, plane.velocity[:, :, component].T, levels=[0], colors=[color], zorder=3)
        ax.plot([], [], color=color, label=name)
    for number in range(0 if orbits is None else len(orbits)):
        _draw_orbit(plane, orbits, number, ax)  # pyright: ignore[reportArgumentType]
    for kind in dict.fromkeys(plane.kind):
        rows = np.array(plane.kind) == kind
        color = _kind_color(kind, int(plane.num_unstable[rows][0]))
        face = color if kind in {"attractor", "marginal"} else "white"
        ax.scatter(*plane.points[rows].T, s=42, facecolors=face, edgecolors=color, linewidths=1.4, zorder=5, label=kind)
    ax.set(
        xlim=(plane.first[0], plane.first[-1]),
        ylim=(plane.second[0], plane.second[-1]),
        xlabel="first coordinate",
        ylabel="second coordinate",
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def branches(found: Branch | Sequence[Branch], ax: Axes | None = None, *, coordinate: int = 0) -> Axes:
    """A bifurcation diagram: one coordinate of fixed points over the parameter, solid where stable, else dashed."""
    followed = [found] if isinstance(found, Branch) else check_sequence("found", found, Branch)
    ax = axes_or_new(ax)
    for branch in followed:
        check_integer("coordinate", coordinate, minimum=0, maximum=branch.points.shape[1] - 1)
        for rows, stable in _stretches(branch.is_stable):
            line = "-" if stable else "--"
            ax.plot(
                branch.parameters[rows], branch.points[rows, coordinate], line, color="black", linewidth=1.4, zorder=2
            )
    kinds = ("fold", "branch point", "flip", "Neimark-Sacker", "Hopf")
    places = [(one.kind, one.parameter, one.point[coordinate]) for branch in followed for one in branch.bifurcations]
    for color, kind in zip(COLORS, kinds, strict=False):
        chosen = [place[1:] for place in places if place[0] == kind]
        if chosen:
            ax.scatter(*np.transpose(chosen), s=36, color=color, zorder=3, label=kind)
    ax.set(xlabel="parameter", ylabel=f"fixed point, coordinate {coordinate + 1}")
    if places:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _stretches(stable: np.ndarray) -> Iterator[tuple[slice, bool]]:
    """Runs of points of one stability, each with the first point of the next."""
    changes = np.flatnonzero(np.diff(stable)) + 1
    for begin, end in zip([0, *changes], [*changes, len(stable)], strict=True):
        yield slice(begin, end + 1), bool(stable[begin])


def _draw_orbit(plane: PhasePlane, orbits: PeriodicOrbits, number: int, ax: Axes) -> None:
    """One orbit: a closed line of a flow, points of a map."""
    places = plane.project(orbits.orbits[number])
    line = (
        {"linestyle": "-" if orbits.is_stable[number] else "--"} if orbits.is_flow else {"linestyle": "", "marker": "D"}
    )
    closed = np.concatenate([places, places[:1]])
    if number == 0:
        line["label"] = "periodic orbit"
    ax.plot(*closed.T, color=COLORS[2], linewidth=2, markersize=5, zorder=4, **line)  # pyright: ignore[reportArgumentType]


def _kind_color(kind: str, growing: int) -> str:
    """One color for every number of growing modes, gray where linearization does not tell."""
    return "#737373" if kind == "marginal" else ("#000000", *COLORS[1:6])[min(growing, 5)]


def _by_kind(fixed_points: FixedPoints) -> Iterator[tuple[str, np.ndarray, str]]:
    """Kinds of fixed points, which rows are of each, and its color: one for every number of growing modes."""
    kinds = np.array(fixed_points.kind)
    for kind in dict.fromkeys(fixed_points.kind):
        rows = kinds == kind
        growing = int(fixed_points.num_unstable[rows][0])
        yield kind, rows, _kind_color(kind, growing)
