"""Fixed points of systems in which they are known, and of a network, against an independent search."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from fisherjax import dynamics, networks


def bistable(state):
    """Two units that inhibit each other, x⁺ = tanh(J x): three fixed points on the line x₁ = −x₂."""
    return jnp.tanh(jnp.array([[0.5, -1.0], [-1.0, 0.5]]) @ state)


def spread(key, count, size, scale=1.0):
    return scale * jax.random.normal(key, (count, size))


def test_two_unit_bistable_network(key):
    """On x₁ = −x₂ = a the step is a⁺ = tanh(1.5 a): a = 0 is a saddle, a = ±a* are attractors."""
    found = dynamics.find_fixed_points(bistable, spread(key, 60, 2))
    root = scipy.optimize.brentq(lambda a: np.tanh(1.5 * a) - a, 0.1, 2)
    assert found.kind == ("attractor", "attractor", "1-saddle")
    np.testing.assert_allclose(np.sort(found.points[:2, 0]), [-root, root], rtol=1e-10)
    np.testing.assert_allclose(found.points[:, 0], -found.points[:, 1], atol=1e-10)
    np.testing.assert_allclose(found.points[2], 0, atol=1e-10)
    np.testing.assert_allclose(found.eigenvalues[2], [1.5, -0.5], rtol=1e-10)
    slope = 1 - root**2
    np.testing.assert_allclose(found.eigenvalues[0], [1.5 * slope, -0.5 * slope], rtol=1e-9)
    assert found.speed.max() < 1e-16
    assert found.basin.sum() == found.converged.sum() == 60
    np.testing.assert_array_equal(found.num_unstable, [0, 0, 1])
    assert "2 × attractor, 1 × 1-saddle" in repr(found)


def test_speed_is_what_it_says(key):
    found = dynamics.find_fixed_points(bistable, spread(key, 20, 2), newton_steps=0, marquardt_steps=0, tolerance=1e-3)
    assert len(found) > 0
    for point, speed in zip(found.points, found.speed, strict=True):
        np.testing.assert_allclose(speed, 0.5 * np.sum((np.asarray(bistable(point)) - point) ** 2), rtol=1e-9)
    assert np.all(found.speed <= 1e-3)


def test_each_point_keeps_its_own_input(key):
    """x⁺ = tanh(2 x + u): below the fold there are three points, above it one."""

    def step(state, inputs):
        return jnp.tanh(2 * state + inputs)

    candidates = jnp.tile(jnp.linspace(-2, 2, 30)[:, None], (2, 1))
    inputs = jnp.repeat(jnp.array([[0.0], [1.5]]), 30, axis=0)
    found = dynamics.find_fixed_points(step, candidates, inputs)
    counts = [np.sum(found.inputs[:, 0] == value) for value in (0.0, 1.5)]
    assert counts == [3, 1]
    for point, held in zip(found.points, found.inputs, strict=True):
        np.testing.assert_allclose(np.tanh(2 * point + held), point, rtol=1e-9)


def test_a_flow_is_asked_for_its_equilibria(key):
    """ẋ = x − x³, ẏ = −y: saddle at 0, attractors at ±1, eigenvalues by hand."""

    def velocity(state):
        return jnp.array([state[0] - state[0] ** 3, -state[1]])

    found = dynamics.find_fixed_points(networks.Flow(velocity), spread(key, 40, 2))
    np.testing.assert_allclose(found.points[np.argsort(found.points[:, 0])], [[-1, 0], [0, 0], [1, 0]], atol=1e-9)
    assert found.kind == ("attractor", "attractor", "1-saddle")
    np.testing.assert_allclose(np.sort(found.eigenvalues[0].real), [-2, -1], atol=1e-9)


def test_points_far_from_every_candidate_are_left_out(key):
    """x⁺ = x + 0.1 sin x has fixed points at all multiples of π; Newton jumps far where the slope is small."""

    def step(state):
        return state + 0.1 * jnp.sin(state)

    candidates = jnp.concatenate([spread(key, 30, 1, 0.3), jnp.full((5, 1), jnp.pi / 2 + 0.02)])
    found = dynamics.find_fixed_points(step, candidates, adam_steps=0, outlier_factor=3.0)
    everywhere = dynamics.find_fixed_points(step, candidates, adam_steps=0, outlier_factor=1e6)
    assert found.num_outliers > 0
    assert len(everywhere) == len(found) + found.num_outliers
    assert np.abs(found.points).max() < np.abs(everywhere.points).max()


def test_slow_points_are_kept_apart():
    """Just past a fold there is no fixed point but a ghost: x⁺ = x + 0.1 (x² + ε) is slowest at x = 0."""

    def step(state):
        return state + 0.1 * (state**2 + 1e-2)

    candidates = jnp.linspace(-0.5, 0.5, 20)[:, None]
    found = dynamics.find_fixed_points(step, candidates, unique_distance=0.1)
    assert len(found) == 0
    assert not found.converged.any()
    np.testing.assert_allclose(found.slow_points, 0, atol=1e-2)
    np.testing.assert_allclose(found.slow_speed, 0.5 * 1e-3**2, rtol=1e-2)
    nothing = dynamics.find_fixed_points(step, candidates, slow_tolerance=1e-9)
    assert len(nothing.slow_points) == 0


def test_slow_points_are_where_q_is_least(key):
    """One ghost, many candidates in more dimensions: one slow point, at the minimum of q."""

    def step(state):
        return jnp.concatenate([state[:1] + 2e-3 + 0.1 * state[:1] ** 2, 0.5 * state[1:]])

    for factor in (1.0, 5.0):
        found = dynamics.find_fixed_points(step, factor * spread(key, 40, 4), unique_distance=0.1)
        assert len(found.slow_points) == 1
        np.testing.assert_allclose(found.slow_speed, 2e-6, rtol=0.05)


def test_points_at_different_inputs_are_different_points(key):
    inputs = jnp.linspace(0, 0.01, 11)[:, None]
    found = dynamics.find_fixed_points(lambda x, u: 0.5 * x + u, 10 * spread(key, 11, 1), inputs)
    assert len(found) == 11
    np.testing.assert_allclose(found.points, 2 * found.inputs, atol=1e-8)


def test_a_small_cluster_of_candidates_may_lead_away(key):
    found = dynamics.find_fixed_points(lambda x: jnp.tanh(2 * x), 0.3 + 0.01 * spread(key, 20, 1))
    assert found.converged.all()
    assert len(found) >= 1


def test_marquardt_arrives_where_newton_does_not():
    """At a root of multiplicity three Newton converges only linearly, and from far it is thrown about."""

    def step(state):
        return state - jnp.arctan(4 * state)

    candidates = jnp.array([[3.0], [-2.5], [1.5]])
    settings = {"adam_steps": 0, "outlier_factor": 100.0}
    newton = dynamics.find_fixed_points(step, candidates, marquardt_steps=0, **settings)
    both = dynamics.find_fixed_points(step, candidates, **settings)
    assert not newton.converged.all()
    assert both.converged.all()
    np.testing.assert_allclose(both.points, 0, atol=1e-8)


def test_duplicates_keep_the_lowest_speed():
    """All candidates go to one point: one is reported, with the lowest q of all of them."""
    found = dynamics.find_fixed_points(lambda x: 0.5 * x, jnp.linspace(-1, 1, 50)[:, None], newton_steps=0)
    assert len(found) == 1
    assert found.speed[0] == found.candidate_speed.min()
    assert found.basin.tolist() == [50]


@pytest.fixture(scope="module")
def network():
    """Three groups that excite themselves, joined weakly: each is high, low or zero, so 27 fixed points."""
    key = jax.random.key(3)
    network = networks.RNN(1, 12, 1, key=key, recurrent_initializer="orthogonal")
    groups = 0.45 * np.kron(np.eye(3), np.ones((4, 4)))
    weights = groups + 0.02 * np.asarray(network.recurrent_weights)
    return eqx.tree_at(lambda n: n.recurrent.parameter, network, jnp.asarray(weights))


def test_network_against_an_exhaustive_search(network, key):
    """Two disjoint candidate sets give the same points, and SciPy from 400 other starts finds no other."""
    first, second = (
        dynamics.find_fixed_points(network, spread(k, 600, 12, 1.5)) for k in jax.random.split(key)
    )  # fmt: skip
    assert first.num_unstable.tolist() == [0] * 8 + [1] * 12 + [2] * 6 + [3]
    assert first.speed.max() < 1e-16
    gaps = np.linalg.norm(first.points[:, None] - second.points[None], axis=-1)
    assert gaps.shape == (27, 27)
    assert gaps.min(axis=0).max() < 1e-7
    assert gaps.min(axis=1).max() < 1e-7
    weights = np.asarray(network.recurrent_weights)
    rng = np.random.default_rng(0)
    missing = 0
    for start in rng.uniform(-1, 1, (400, 12)):
        result = scipy.optimize.root(lambda x: np.tanh(weights @ x) - x, start, tol=1e-12)
        if 0.5 * np.sum(result.fun**2) < 1e-16:
            missing += np.linalg.norm(first.points - result.x, axis=1).min() > 1e-5
    assert missing == 0


def test_batches_of_candidates_change_nothing(network, key):
    candidates = spread(key, 50, 12)
    whole = dynamics.find_fixed_points(network, candidates)
    parts = dynamics.find_fixed_points(network, candidates, batch_size=20)
    np.testing.assert_allclose(np.sort(whole.candidate_speed > 1e-16), np.sort(parts.candidate_speed > 1e-16))
    assert len(whole) == len(parts)


def test_transition_graph(network, key):
    found = dynamics.find_fixed_points(network, spread(key, 600, 12, 1.5))
    graph = dynamics.transition_graph(network, found, key=key, noise_std=0.2, num_trials=400)
    assert len(graph) == 27
    for node in graph:
        total = sum(edge["probability"] for _, _, edge in graph.out_edges(node, data=True))
        np.testing.assert_allclose(total, 1, rtol=1e-12)
    for node in np.flatnonzero(found.is_stable):
        assert graph.edges[node, node]["probability"] > 0.95
        assert graph.nodes[node]["stable"]
    # at zero bias x → −x is a symmetry: a 1-saddle is left to both sides alike
    saddles = np.flatnonzero(found.num_unstable == 1)
    for node in saddles[:4]:
        ends = sorted(edge["probability"] for _, _, edge in graph.out_edges(node, data=True))
        assert len(ends) >= 2
        assert abs(ends[-1] - 0.5) < 5 * 0.5 / np.sqrt(400)
    sparse = dynamics.transition_graph(network, found.points[:1], key=key, noise_std=5.0, distance=1e-3)
    assert "elsewhere" in sparse


def test_graph_of_a_velocity_is_refused(key):
    def velocity(state):
        return state - state**3

    found = dynamics.find_fixed_points(networks.Flow(velocity), spread(key, 10, 1))
    with pytest.raises(ValueError, match="iterates a map"):
        dynamics.transition_graph(velocity, found, key=key, noise_std=0.1)


def test_saved_fixed_points_come_back(key, tmp_path):
    found = dynamics.find_fixed_points(bistable, spread(key, 20, 2))
    loaded = dynamics.FixedPoints.load(found.save(tmp_path / "points"))
    np.testing.assert_array_equal(loaded.points, found.points)
    assert loaded.kind == found.kind


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dynamics.find_fixed_points(3, np.ones((2, 2))), TypeError, "step must be a function"),
        (lambda: dynamics.find_fixed_points(bistable, np.ones((2, 2, 2))), ValueError, "candidates must have shape"),
        (
            lambda: dynamics.find_fixed_points(bistable, np.full((2, 2), np.nan)),
            ValueError,
            "candidates must be finite",
        ),
        (lambda: dynamics.find_fixed_points(lambda x: x[:1], np.ones((2, 2))), ValueError, "step must map a state"),
        (lambda: dynamics.find_fixed_points(bistable, np.ones((2, 2)), tolerance=0.0), ValueError, "tolerance must be"),
        (lambda: networks.Flow("velocity"), TypeError, "velocity must be a function, got 'velocity'"),
        (
            lambda: dynamics.find_fixed_points(networks.Flow(lambda x: x[:1]), np.ones((2, 2))),
            ValueError,
            "velocity must map a state",
        ),
        (
            lambda: dynamics.find_fixed_points(lambda x, u: x, np.ones((4, 2)), np.ones((3, 1))),
            ValueError,
            r"inputs must have shape \(I,\) or \(4, I\)",
        ),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_another_search_compiles_nothing(key):
    """Other weights, candidates and inputs use the program that is there."""
    from fisherjax.dynamics import _search

    def search(seed):
        network = networks.RNN(1, 5, 1, key=jax.random.key(seed))
        return dynamics.find_fixed_points(network, spread(jax.random.key(seed), 10, 5), jnp.zeros(1))

    search(0)
    traces = []
    original = _search._descend
    _search._descend = lambda *arguments: traces.append(1) or original(*arguments)
    try:
        search(1)
    finally:
        _search._descend = original
    assert not traces
