"""Phase planes: velocities, nullclines, fixed points, trajectories, in two dimensions and in a plane through more."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.linalg import expm

from fisherjax import dynamics, networks, plot
from fisherjax.dynamics._orbits import PeriodicOrbits
from fisherjax.dynamics._phase_plane import PhasePlane


def velocity(state):
    """A saddle at 0 and centers of attraction at (±1, 0): ẋ = x − x³ + y, ẏ = −y."""
    return jnp.array([state[0] - state[0] ** 3 + state[1], -state[1]])


@pytest.fixture(scope="module")
def plane():
    return dynamics.phase_plane(networks.Flow(velocity), limits=((-2.0, 2.0), (-1.0, 1.0)), num_points=21)


def test_what_a_plane_of_a_flow_shows(plane):
    first, second = np.meshgrid(plane.first, plane.second, indexing="ij")
    np.testing.assert_allclose(plane.velocity[..., 0], first - first**3 + second, atol=1e-14)
    np.testing.assert_allclose(plane.velocity[..., 1], -second, atol=1e-14)
    np.testing.assert_allclose(plane.leaving, 0, atol=1e-14)
    assert plane.kind == ("attractor", "attractor", "1-saddle")
    np.testing.assert_allclose(np.sort(plane.points[:, 0]), [-1, 0, 1], atol=1e-9)
    one, two = plane.nullclines
    assert np.abs(one[:, 1] - (one[:, 0] ** 3 - one[:, 0])).max() < 0.05  # of a grid of 0.2 by 0.1
    np.testing.assert_allclose(two[:, 1], 0, atol=1e-12)
    assert plane.trajectories.shape == (201, 16, 2)
    ends = plane.trajectories[-1]
    assert np.abs(np.abs(ends[:, 0]) - 1).max() < 0.1
    assert "2 × attractor, 1 × 1-saddle" in repr(plane)


def test_a_plane_through_more_dimensions(key):
    """A linear flow: the velocity A x is split into its part in the plane and the rest; trajectories are e^{At} x."""
    matrix = np.asarray(jax.random.normal(key, (4, 4))) / 2 - 1.5 * np.eye(4)
    origin, directions = np.array([0.1, 0.0, -0.2, 0.3]), np.array([[1.0, 0, 1, 0], [0, 2.0, 0, 1]])
    network = networks.FlowNetwork(matrix + np.eye(4), np.ones(4), noise_std=0.1, nonlinearity="identity", dt=0.1)
    plane = dynamics.phase_plane(
        network, limits=((-1, 1), (-2, 2)), plane=(origin, directions), num_points=5, num_steps=20, num_trajectories=4
    )
    grid = np.stack(np.meshgrid(plane.first, plane.second, indexing="ij"), axis=-1)
    moved = (origin + grid @ directions) @ matrix.T
    basis = np.linalg.qr(directions.T)[0]
    np.testing.assert_allclose(plane.velocity @ directions, moved @ basis @ basis.T, atol=1e-12)
    np.testing.assert_allclose(plane.leaving, np.linalg.norm(moved - moved @ basis @ basis.T, axis=-1), atol=1e-12)
    start = origin + plane.trajectories[0] @ directions
    np.testing.assert_allclose(plane.trajectories[-1], plane.project(start @ expm(2 * matrix).T), atol=1e-4)
    np.testing.assert_allclose(plane.points, plane.project(np.zeros((1, 4))), atol=1e-9)
    gap = np.linalg.norm(origin - basis @ basis.T @ origin)
    np.testing.assert_allclose(plane.distances, gap, atol=1e-9)


def test_principal_components_are_a_plane(key):
    network = networks.RNN(1, 5, 1, key=key)
    states = dynamics.sample_states(network, None, 60, key=key)
    components = dynamics.principal_components(states, 2)
    plane = dynamics.phase_plane(network, np.zeros(1), plane=components, num_points=4, num_trajectories=0)
    place = np.array([plane.first[1], plane.second[2]])
    state = components.reconstruct(place)
    np.testing.assert_allclose(components.project(network.step(state)) - place, plane.velocity[1, 2], atol=1e-9)
    np.testing.assert_allclose(plane.first[[0, -1]], 3 * np.sqrt(components.variances[0]) * np.array([-1, 1]))
    assert plane.trajectories.shape == (201, 0, 2)


def test_pictures(plane):
    """Nullclines, arrows, one marker for each kind, orbits; and a branch solid where stable, with its bifurcations."""
    ax = plot.phase_plane(plane)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["velocity 1 = 0", "velocity 2 = 0", "attractor", "1-saddle"]
    plt.close("all")
    angles = np.linspace(0, 2 * np.pi, 121)[:-1]
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    one, none = np.ones(1), np.zeros(1, int)
    orbit = PeriodicOrbits(
        circle[None], one, one, np.full((1, 1), 0.5j), one + 0j, one, None, none, none, none == 0, none, none + 1, 1, 0,
        1e-6, 1e-3, is_flow=True,
    )  # fmt: skip
    ax = plot.phase_plane(plane, orbits=orbit)
    (line,) = (line for line in ax.lines if line.get_label() == "periodic orbit")
    np.testing.assert_allclose(np.linalg.norm(line.get_xydata(), axis=1), 1)
    assert len(line.get_xydata()) == 121, "closed"
    (found,) = dynamics.continue_fixed_points(lambda mu: lambda x: x + 0.1 * (mu - x**2), [1.0], start=1.0, stop=-1.0)
    ax = plot.branches(found)
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["fold"]
    plt.close("all")


def test_saved_planes_come_back(plane, tmp_path):
    loaded = PhasePlane.load(plane.save(tmp_path / "plane"))
    np.testing.assert_array_equal(loaded.velocity, plane.velocity)
    assert loaded.kind == plane.kind


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("step", "changes", "message"),
    [
        (networks.Flow(velocity), {}, "limits must be given"),
        (networks.Flow(velocity), {"limits": ((1, 0), (0, 1))}, "limits must rise"),
        (lambda x: x / (1 - x), {"limits": ((0, 1), (0, 1))}, "the velocity of step on the grid must be finite"),
        (networks.RateNetwork(np.eye(3), np.ones(3), noise_std=0.1), {}, "plane must be given for a system in 3"),
        (jnp.tanh, {"plane": (np.zeros(3), np.ones((2, 3))), "limits": ((0, 1), (0, 1))}, "must not be parallel"),
        (jnp.tanh, {"plane": np.zeros(3), "limits": ((0, 1), (0, 1))}, "plane must be PrincipalComponents or"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(step, changes, message):
    with pytest.raises(ValueError, match=message):
        dynamics.phase_plane(step, num_points=3, **changes)
