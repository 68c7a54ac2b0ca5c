"""Networks of every kind, and states that are trees: the same questions, answered alike."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from fisherjax import dynamics, networks, vision

N = 3
PLAN = vision.Architecture((4, 4, 1), 2, (1, 1), stem_channels=1, stem_kernel=3, alpha=0.3)


@eqx.filter_jit
def applied(function, *arguments):
    """One program, where eager operations would compile one each."""
    return function(*arguments)


def weights(key, gain=0.6):
    return gain * np.asarray(jax.random.normal(key, (N, N))) / N**0.5


def stepped(key):
    matrix = jnp.asarray(weights(key))
    return networks.from_step(
        lambda x, u: 0.5 * jnp.tanh(matrix @ x + u) + 0.1 * x, N, initial_state=lambda theta: theta * jnp.ones(N),
        noise_std=0.1, input_shape=(N,),
    )  # fmt: skip


KINDS = {
    "rate": lambda key: networks.RateNetwork(weights(key), np.ones((N, 2)), noise_std=0.1),
    "flow": lambda key: networks.FlowNetwork(weights(key), np.ones((N, 2)), noise_std=0.1, dt=0.2),
    "RNN": lambda key: networks.RNN(2, N, 1, key=key, noise_std=0.1),
    "ContinuousRNN": lambda key: networks.ContinuousRNN(2, N, 1, key=key, time_constant=30.0, noise_std=0.1),
    "GRU": lambda key: networks.GRU(2, N, 1, key=key, noise_std=0.1),
    "LSTM": lambda key: networks.LSTM(2, N, 1, key=key, noise_std=0.1),
    "convolutional": lambda key: networks.in_precision(
        vision.ConvolutionalRNN(PLAN, key=key, noise_std=0.1, leak=0.2), float
    ),
    "step": stepped,
}


@pytest.fixture(scope="module", params=KINDS)
def asked(request):
    """A network, an input that is held, and the attractor there."""
    key = jax.random.key(4)
    network = KINDS[request.param](key)
    held = 0.3 * np.asarray(jax.random.normal(jax.random.key(1), network.input_shape))
    candidates = dynamics.sample_states(network, np.stack([[held]] * 4), 6, key=key)
    return network, held, dynamics.find_fixed_points(network, candidates, held, adam_steps=0)


def test_fixed_points_and_their_modes(asked):
    """A point at which the step changes nothing; eigenvalues of central differences of step or velocity."""
    network, held, found = asked
    assert found.is_stable.tolist() == [True]
    point, is_flow = found.points[0], isinstance(network, networks.FlowNetwork)
    np.testing.assert_allclose(applied(network.step, jnp.asarray(point), jnp.asarray(held)), point, atol=1e-9)
    assert found.is_flow == is_flow
    move = network.velocity if is_flow else network.step
    shifts = 1e-6 * np.eye(len(point))
    moved = [np.asarray(applied(move, jnp.asarray(point + sign * shifts), jnp.asarray(held[None]))) for sign in (1, -1)]
    slope = (moved[0] - moved[1]).T / 2e-6
    np.testing.assert_allclose(dynamics.jacobian(network, point, held), slope, atol=1e-8)
    by_input = dynamics.jacobian(network, found.points, held, wrt="input")
    assert by_input.shape == (1, len(point), *network.input_shape)
    linear = dynamics.linearize(network, point, held)
    np.testing.assert_allclose(linear.input_jacobian, by_input[0])
    np.testing.assert_allclose(
        np.sort_complex(linear.eigenvalues), np.sort_complex(np.linalg.eigvals(slope)), atol=1e-5
    )
    assert found.inputs.shape == (1, *network.input_shape)


# the others are as these
few = pytest.mark.parametrize("asked", ["flow", "LSTM", "convolutional", "step"], indirect=True, scope="module")


@few
def test_lyapunov_exponents_at_rest(asked, key):
    """Started at a fixed point, the exponents add up to ln |det J| of the step, per unit of time."""
    network, held, found = asked
    spectrum = dynamics.lyapunov_spectrum(network, found.points[0], held, key=key, num_steps=20, warm_up=0)
    slope = applied(jax.jacfwd(lambda x: network.step(x, jnp.asarray(held))), jnp.asarray(found.points[0]))
    expected = np.linalg.slogdet(np.asarray(slope))[1] / float(network.time_step)
    np.testing.assert_allclose(spectrum.exponents.sum(), expected, rtol=1e-8)


@few
def test_noise_of_its_own_leads_back_to_the_attractor(asked, key):
    network, _, found = asked
    graph = dynamics.transition_graph(network, found, key=key, num_trials=4, relax_steps=200)
    assert graph.edges[0, 0]["probability"] == 1
    assert graph.nodes[0]["kind"] == "attractor"


@pytest.mark.parametrize("kind", ["LSTM", "convolutional", "step"])
def test_candidates_without_inputs_are_noisy_trajectories(kind, key):
    network = KINDS[kind](key)
    states = dynamics.sample_states(network, None, 40, key=key, noise_std=0.0, mixed=0.0)
    assert states.shape == (40, network.state_size)
    assert len(np.unique(np.asarray(states), axis=0)) > 20
    assert np.all(np.isfinite(states))


def test_the_exponents_of_a_flow_network_do_not_depend_on_how_it_is_told(key):
    """By its own step, by its velocity, and by the matrix exponential of a linear one."""
    matrix = weights(key)
    network = networks.FlowNetwork(matrix, np.ones(N), noise_std=0.0, nonlinearity="identity", dt=0.1)
    settings = {"key": key, "num_steps": 400, "warm_up": 100}
    own = dynamics.lyapunov_spectrum(network, np.ones(N), **settings)
    told = dynamics.lyapunov_spectrum(networks.Flow(network.velocity), np.ones(N), **settings, dt=0.1)
    np.testing.assert_allclose(told.exponents, own.exponents, rtol=1e-12)
    np.testing.assert_allclose(own.exponents.sum(), np.log(np.linalg.det(expm(matrix - np.eye(N)))), rtol=1e-5)
    with pytest.raises(ValueError, match="dt must be said for a Flow: lyapunov_spectrum iterates a map"):
        dynamics.lyapunov_spectrum(networks.Flow(network.velocity), np.ones(N), **settings)


def test_transitions_of_a_flow_by_its_velocity_and_by_its_step(key):
    """ẋ = x − x³ between ±1: kinds by the velocity, trials by Runge–Kutta steps."""
    flow = networks.Flow(lambda x: x - x**3)
    found = dynamics.find_fixed_points(flow, np.linspace(-1.5, 1.5, 9)[:, None])
    assert found.kind == ("attractor", "attractor", "repeller")
    graph = dynamics.transition_graph(flow, found, key=key, noise_std=0.2, num_trials=200, relax_steps=400, dt=0.1)
    assert graph.nodes[2]["kind"] == "repeller"
    halves = [graph.edges[2, end]["probability"] for end in (0, 1)]
    assert sum(halves) == 1
    assert abs(halves[0] - 0.5) < 4 * 0.5 / 200**0.5
    with pytest.raises(ValueError, match="dt must be said"):
        dynamics.transition_graph(flow, found, key=key, noise_std=0.2)
    with pytest.raises(ValueError, match="noise_std must be given"):
        dynamics.transition_graph(flow, found, key=key, dt=0.1)


def test_arrays_of_a_flow_stay_leaves():
    class Decay(eqx.Module):
        rate: jax.Array

        def __call__(self, state):
            return -self.rate * state

    flow = networks.Flow(Decay(jnp.array([1.0, 2.0])))
    assert [leaf.shape for leaf in jax.tree.leaves(eqx.filter(flow, eqx.is_array))] == [(2,)]
    np.testing.assert_allclose(dynamics.linearize(flow, np.zeros(2)).modes.time_constants, [1, 0.5])
    slope = jax.grad(lambda r: dynamics.jacobian(networks.Flow(Decay(r)), np.zeros(2)).sum())(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(slope, [-1, -1])


class Gated(NamedTuple):
    hidden: jax.Array
    cell: jax.Array


TREES = {
    "tuple": (tuple, lambda h, c: (h, c)),
    "dictionary": (lambda tree: (tree["h"], tree["c"]), lambda h, c: {"c": c, "h": h}),
    "named tuple": (tuple, Gated),
}


@pytest.mark.parametrize("name", TREES)
def test_states_that_are_trees(name, key):
    """An LSTM as a function of (h, c): the points, modes and exponents of the network with its flat state."""
    parts, tree = TREES[name]
    network = networks.LSTM(1, N, 1, key=key)

    def step(state):
        return tree(*jnp.split(network.step(jnp.concatenate(parts(state))), 2))

    flat = 0.5 * jax.random.normal(key, (5, 2 * N))
    candidates = tree(flat[:, :N], flat[:, N:])
    expected = dynamics.find_fixed_points(network, flat, adam_steps=0)
    found = dynamics.find_fixed_points(step, candidates, adam_steps=0)
    hidden, cell = parts(found.states)
    gaps = np.linalg.norm(np.concatenate([hidden, cell], axis=1)[:, None] - expected.points, axis=-1)
    np.testing.assert_allclose([gaps.min(axis=0), gaps.min(axis=1)], 0, atol=1e-8)
    np.testing.assert_allclose(found.eigenvalues[gaps.argmin(axis=0)], expected.eigenvalues, atol=1e-8)
    assert isinstance(found.states, type(candidates))
    if name == "named tuple":
        one = jax.tree.map(lambda leaf: leaf[0], found.states)
        settings = {"key": key, "num_steps": 20, "warm_up": 0}
        exponents = dynamics.lyapunov_spectrum(step, one, **settings).exponents
        expected = dynamics.lyapunov_spectrum(network, np.concatenate(one), **settings).exponents
        np.testing.assert_allclose(exponents.sum(), expected.sum(), rtol=1e-9)
        graph = dynamics.transition_graph(step, found, key=key, noise_std=0.1, num_trials=3, relax_steps=200)
        assert graph.edges[0, 0]["probability"] == 1
        assert dynamics.linearize(step, one).state_jacobian.shape == (2 * N, 2 * N)


def test_a_file_does_not_keep_the_way_back(tmp_path):
    found = dynamics.find_fixed_points(lambda x: {"a": 0.5 * x["a"]}, {"a": np.ones((2, 2, 2))}, adam_steps=0)
    assert found.states["a"].shape == (1, 2, 2)
    loaded = dynamics.FixedPoints.load(found.save(tmp_path / "points"))
    assert loaded.unflatten is None
    np.testing.assert_array_equal(loaded.states, found.points)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: dynamics.find_fixed_points(lambda x: x["a"], {"a": np.ones((2, 2))}),
            TypeError,
            "step must return a tree like its state",
        ),
        (
            lambda: dynamics.find_fixed_points(lambda x: {"a": x["a"][:1]}, {"a": np.ones((2, 2))}),
            ValueError,
            r"step must return leaves like those of its state, \['float64\[2\]'\], got \['float64\[1\]'\]",
        ),
        (
            lambda: dynamics.jacobian(lambda x: x, (np.ones((2, 2)), np.ones((3, 2)))),
            ValueError,
            r"every leaf of points must have one leading axis",
        ),
        (
            lambda: dynamics.jacobian(lambda x: x, (np.ones((2, 2)), np.ones((2, 2), np.float32))),
            ValueError,
            "every leaf of points must have one float type, got float32 and float64",
        ),
        (
            lambda: dynamics.jacobian(KINDS["LSTM"](jax.random.key(0)), (np.ones((1, N)), np.ones((1, N)))),
            ValueError,
            "points of a network must be an array",
        ),
        (
            lambda: dynamics.jacobian(KINDS["convolutional"](jax.random.key(0)), np.ones((2, 48)), np.ones(16)),
            ValueError,
            r"inputs must have shape \(4, 4, 1\) or \(2, 4, 4, 1\), got \(16,\)",
        ),
        (
            lambda: dynamics.sample_states(KINDS["GRU"](jax.random.key(0)), np.ones((4, 3)), 2, key=jax.random.key(0)),
            ValueError,
            r"inputs must have last axes \(\.\.\., 2\), got \(4, 3\)",
        ),
        (
            lambda: dynamics.jacobian(
                networks.from_step(lambda x: x / 2, 2, initial_state=lambda t: t * jnp.ones(2)), np.ones(2), np.ones(1)
            ),
            ValueError,
            "inputs have no use: the step of this StepNetwork takes none",
        ),
    ],
)  # fmt: skip
def test_wrong_states_and_inputs_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
