"""Pictures of trained networks: what they draw is what they were given."""

import sys

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest

from fisherjax import dynamics, networks, plot, tasks, training
from fisherjax.plot._dynamics import write_state_space_html

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def system():
    """Three independent bistable directions: 27 fixed points, and trajectories to the corners."""

    def step(state):
        return jnp.tanh(1.5 * state)

    found = dynamics.find_fixed_points(step, 1.5 * jax.random.normal(jax.random.key(0), (300, 3)))
    states = np.asarray(jax.random.normal(jax.random.key(1), (1, 40, 3)))
    path = [states[0]]
    for _ in range(10):
        path.append(np.tanh(1.5 * path[-1]))
    return step, found, np.stack(path)


def test_state_space_shows_every_point_once(system):
    step, found, states = system
    components = dynamics.principal_components(states)
    ax = plot.state_space(components, states, found, step=step, max_trajectories=7)
    drawn = sum(len(collection.get_offsets()) for collection in ax.collections)
    assert drawn == len(found) == 27
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "8 × attractor", "12 × 1-saddle", "6 × 2-saddle", "1 × repeller",
    ]  # fmt: skip
    ways_out = int(found.num_unstable.sum())
    assert len(ax.lines) == 7 + ways_out
    assert "PC 1" in ax.get_xlabel()
    space = plot.state_space(components, states, found, dimensions=3)
    assert "PC 3" in space.get_zlabel()


def test_ways_out_follow_the_growing_modes(system):
    """Of x⁺ = tanh(1.5 x) every growing direction is a coordinate axis."""
    from fisherjax.plot._dynamics import ways_out

    step, found, states = system
    components = dynamics.principal_components(states)
    for segment in ways_out(components, found, step):
        direction = np.asarray(components.reconstruct(segment))
        direction = np.abs(direction[1] - direction[0])
        assert np.sort(direction)[1] < 1e-8 * direction.max()


def test_transition_graph_draws_its_edges(system, key):
    step, found, _ = system
    graph = dynamics.transition_graph(step, found, key=key, noise_std=0.3, num_trials=50)
    ax = plot.transition_graph(graph, positions=found.points[:, :2])
    between = sum(a != b for a, b in graph.edges)
    assert len(ax.patches) == between
    assert plot.transition_graph(graph).get_xticks().size == 0


def test_elsewhere_stands_apart_from_a_single_fixed_point():
    graph = nx.DiGraph()
    graph.add_node(0, stable=False)
    graph.add_edge(0, "elsewhere", probability=1.0)
    ax = plot.transition_graph(graph, positions=np.zeros((1, 2)))
    first, second = np.concatenate([part.get_offsets() for part in ax.collections])
    assert np.linalg.norm(first - second) > 0.1


def test_weight_matrix_shows_signs_and_regions(key):
    regions = networks.MultiRegion({"A": networks.Region(6, dale=0.5), "B": networks.Region(4)})
    network = networks.RNN(1, 10, 1, key=key, constraints=regions)
    ax = plot.weight_matrix(network, regions=regions.slices)
    np.testing.assert_array_equal(ax.images[0].get_array(), network.recurrent_weights)
    colors = [line.get_color() for line in ax.lines[:10]]
    assert colors[:3] == [plot.COLORS[1]] * 3
    assert colors[3:6] == [plot.COLORS[0]] * 3
    assert {text.get_text() for text in ax.texts} == {"A", "B"}
    assert plot.weight_matrix(np.eye(3)).get_xlabel() == "from unit"


def test_eigenvalues_are_split_by_growth():
    ax = plot.eigenvalues([0.5, 1.5, 0.9j])
    assert [len(part.get_offsets()) for part in ax.collections] == [2, 1]
    ax = plot.eigenvalues([-0.5, 0.5], is_flow=True)
    assert [len(part.get_offsets()) for part in ax.collections] == [1, 1]


def test_training_and_trials(key):
    task = tasks.flip_flop(num_bits=1)
    trained = training.fit(
        networks.RNN(1, 4, 1, key=key), task, key=key, num_steps=4, batch_size=2, trial_steps=5, evaluate_every=2
    )
    left, right = plot.training_history(trained.history)
    np.testing.assert_array_equal(left.lines[0].get_ydata(), trained.history.loss)
    np.testing.assert_array_equal(right.lines[0].get_ydata(), trained.history.held_out_accuracy)
    batch = task.batch(key, 2, 5)
    upper, lower = plot.network_trial(trained.network, batch, trial=1)
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), batch.inputs[:, 1, 0])
    outputs = networks.run(trained.network, batch.inputs)[1]
    np.testing.assert_allclose(lower.lines[-1].get_ydata(), outputs[:, 1, 0], rtol=1e-12)


def test_classes_are_drawn_as_probabilities_and_gaps_where_nothing_counts(key):
    outputs = jax.random.normal(key, (6, 2, 3))
    mask = np.ones((6, 2))
    mask[:2] = 0
    batch = tasks.TaskBatch(jnp.zeros((6, 2, 1)), jnp.full((6, 2), 2), jnp.asarray(mask))
    _, lower = plot.task_trial(batch, outputs, trial=1)
    given = np.stack([line.get_ydata() for line in lower.lines[2::3]], axis=1)
    np.testing.assert_allclose(given, jax.nn.softmax(outputs[:, 1]), rtol=1e-12)
    wanted = np.stack([line.get_ydata() for line in lower.lines[1::3]], axis=1)
    np.testing.assert_array_equal(wanted, [[np.nan] * 3] * 2 + [[0, 0, 1]] * 4)
    assert "probabilities" in lower.get_ylabel()
    _, alone = plot.task_trial(batch)
    np.testing.assert_array_equal(alone.lines[1].get_ydata(), [np.nan] * 2 + [2] * 4)


def test_accuracy_of_batches_is_drawn_where_there_is_one(key):
    batch = (jnp.ones((4, 3, 1)), jnp.zeros((4, 3), int))
    trained = training.fit(networks.RNN(1, 4, 2, key=key), batch, key=key, num_steps=3, batch_size=3)
    _, right = plot.training_history(trained.history)
    np.testing.assert_array_equal(right.lines[0].get_ydata(), trained.history.accuracy)


def test_interactive_page_and_its_absence(system, tmp_path, monkeypatch):
    step, found, states = system
    components = dynamics.principal_components(states)
    page = write_state_space_html(tmp_path / "page.html", components, states, found, step=step)
    text = page.read_text()
    assert "1-saddle" in text
    assert "<script src=" not in text, "the page must open offline"
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match=r"pip install 'fisherjax\[interactive\]'"):
        write_state_space_html(tmp_path / "page.html", components, states, found)
