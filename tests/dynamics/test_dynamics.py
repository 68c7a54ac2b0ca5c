"""Jacobians, modes, manifolds, components and Lyapunov exponents against systems in which they are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import _linalg, dynamics, fisher, networks
from fisherjax.dynamics._components import components_for_variance
from fisherjax.dynamics._modes import effective_marginal, modes_of, stability_of
from fisherjax.networks import GRU, LSTM, RNN, ContinuousRNN


@pytest.mark.parametrize("kind", [RNN, ContinuousRNN, GRU, LSTM], ids=lambda kind: kind.__name__)
def test_jacobians_against_finite_differences(kind, key):
    network = kind(2, 4, 1, key=key)
    size = network.state_size
    points, inputs = jax.random.normal(key, (3, size)), jax.random.normal(jax.random.key(1), (3, 2))
    ours = {wrt: dynamics.jacobian(network, points, inputs, wrt=wrt) for wrt in ("state", "input")}
    small = 1e-6
    for index in range(3):
        for wrt, count in (("state", size), ("input", 2)):
            for column in range(count):
                shift = small * np.eye(count)[column]
                ends = [
                    network.step(points[index] + sign * shift, inputs[index])
                    if wrt == "state"
                    else network.step(points[index], inputs[index] + sign * shift)
                    for sign in (1, -1)
                ]
                expected = (np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * small)
                np.testing.assert_allclose(ours[wrt][index][:, column], expected, atol=1e-8)
    np.testing.assert_allclose(dynamics.jacobian(network, points[0], inputs[0]), ours["state"][0], rtol=1e-12)


def test_modes_of_a_linear_system_with_given_eigenvalues():
    """A = V diag(λ) V⁻¹, also with a complex pair: eigenvalues, biorthogonal vectors, time constants, frequency."""
    rng = np.random.default_rng(0)
    angle, basis = 0.3, rng.standard_normal((4, 4))
    block = np.zeros((4, 4))
    block[0, 0], block[1, 1] = 1.02, 0.5
    block[2:, 2:] = 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = basis @ block @ np.linalg.inv(basis)
    found = modes_of(matrix, 2.0, is_flow=False)
    np.testing.assert_allclose(np.abs(found.eigenvalues), [1.02, 0.9, 0.9, 0.5], rtol=1e-10)
    np.testing.assert_allclose(matrix @ found.right, found.right * found.eigenvalues, atol=1e-10)
    np.testing.assert_allclose(found.left @ matrix, found.eigenvalues[:, None] * found.left, atol=1e-9)
    np.testing.assert_allclose(found.left @ found.right, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(found.time_constants, -2 / np.log([1.02, 0.9, 0.9, 0.5]), rtol=1e-8)
    np.testing.assert_allclose(np.abs(found.frequencies), [0, angle / (4 * np.pi), angle / (4 * np.pi), 0], atol=1e-10)
    flow = modes_of(np.diag([-0.5, 0.1, -2.0]), 1.0, is_flow=True)
    np.testing.assert_allclose(flow.eigenvalues, [0.1, -0.5, -2.0])
    np.testing.assert_allclose(flow.time_constants, [-10, 2, 0.5])


def test_classification_has_a_stated_tolerance():
    values = np.array([[0.5, 1.0005], [0.5, 1.1], [1.2, -1.3], [0.2, -0.99]])
    strict, loose = (stability_of(values + 0j, marginal, is_flow=False) for marginal in (1e-6, 1e-3))
    assert strict.kind == ("1-saddle", "1-saddle", "repeller", "attractor")
    assert loose.kind == ("marginal", "1-saddle", "repeller", "attractor")
    assert loose.num_marginal.tolist() == [1, 0, 0, 0]
    assert loose.is_stable.tolist() == [False, False, False, True]
    assert stability_of(np.array([[np.nan, 0.5 + 0j]]), 1e-6, is_flow=False).kind == ("marginal",)
    assert effective_marginal(0.0, np.float32) == np.finfo(np.float32).eps ** 0.5
    flow = stability_of(np.array([[-1.0, 1e-9, 2j]]), 1e-6, is_flow=True)
    assert flow.kind == ("marginal",)
    assert flow.num_marginal.tolist() == [2]


def test_linearization_is_a_step_and_feeds_fisher_memory(key):
    network = RNN(2, 5, 1, key=key)
    point, inputs = jax.random.normal(key, (5,)), jnp.array([0.1, -0.2])
    linear = dynamics.linearize(network, point, inputs)
    small = 1e-5
    moved, pushed = point + small, inputs - 2 * small
    np.testing.assert_allclose(linear(moved, pushed), network.step(moved, pushed), atol=1e-8)
    np.testing.assert_allclose(linear(point, inputs), network.step(point, inputs), rtol=1e-14)
    memory = fisher.memory_curve(
        linear.state_jacobian, linear.input_jacobian[:, 0], noise_std=0.1, num_steps=4
    )  # fmt: skip
    assert np.all(np.isfinite(memory))
    assert float(memory[0]) > 0
    assert dynamics.linearize(lambda x: 0.5 * x, np.ones(3)).inputs is None


def ring_network(size=60, coupling=3.0):
    """Cosine connectivity: a ring of marginal states, the amplitude of the bump by its self-consistency."""
    angles = 2 * np.pi * np.arange(size) / size
    weights = jnp.asarray(coupling * np.cos(angles[:, None] - angles) / size)

    def step(state):
        return jnp.tanh(weights @ state)

    return step, angles


def test_ring_attractor(key):
    """The bump can stand anywhere: fixed points on a ring, one marginal mode each, along the ring."""
    step, angles = ring_network()
    shifts = jax.random.uniform(key, (80,), maxval=2 * np.pi)
    candidates = jnp.cos(jnp.asarray(angles)[None] - shifts[:, None])
    found = dynamics.find_fixed_points(step, candidates, marginal=1e-4)
    assert len(found) > 60
    assert set(found.kind) == {"marginal"}
    assert found.num_marginal.tolist() == [1] * len(found)
    np.testing.assert_allclose(found.eigenvalues[:, 0], 1, atol=1e-4)
    ring = dynamics.attractor_manifold(step, found.points)
    assert ring.kind == "ring"
    assert ring.alignment > 0.98
    # length of θ ↦ f(θ_i − θ): 2π times the norm of the bump's derivative
    waves = np.fft.fft(found.points[0])
    expected = 2 * np.pi * np.linalg.norm(np.fft.ifft(1j * np.fft.fftfreq(60, 1 / 60) * waves))
    np.testing.assert_allclose(ring.length, expected, rtol=0.02)
    assert len(ring.order) == len(found)


def test_line_attractor_and_its_opposite(key):
    """A rank-one integrator x⁺ = v vᵀx has a line of fixed points; isolated attractors are no line."""
    vector = np.array([3.0, 4.0, 0.0]) / 5

    def integrate(state):
        return jnp.asarray(np.outer(vector, vector) + 0.3 * np.diag([0, 0, 1.0])) @ state

    found = dynamics.find_fixed_points(integrate, jax.random.normal(key, (100, 3)))
    line = dynamics.attractor_manifold(integrate, found.points)
    assert line.kind == "line"
    assert line.alignment > 0.999
    np.testing.assert_allclose(line.length, np.ptp(found.points @ vector), rtol=1e-6)
    along = found.points[line.order] @ vector
    assert np.all(np.diff(along) > 0) or np.all(np.diff(along) < 0)

    def corners(state):
        return jnp.tanh(3 * state)

    isolated = dynamics.find_fixed_points(corners, jax.random.normal(key, (200, 3)))
    assert len(isolated) == 27
    assert dynamics.attractor_manifold(corners, isolated.points[isolated.is_stable]).kind == "points"


def test_principal_components_are_centred_and_sorted(key):
    scales = np.array([0.1, 3.0, 1.0])
    states = np.asarray(jax.random.normal(key, (50, 40, 3))) * scales + 10.0
    found = dynamics.principal_components(states)
    samples = states.reshape(-1, 3)
    np.testing.assert_allclose(found.mean, samples.mean(axis=0), rtol=1e-12)
    reference = np.sort(np.linalg.eigvalsh(np.cov(samples.T)))[::-1]
    np.testing.assert_allclose(found.variances, reference, rtol=1e-10)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.abs(found.components[0]), [0, 1, 0], atol=0.05)
    np.testing.assert_allclose(found.reconstruct(found.project(states)), states, rtol=1e-10)
    assert components_for_variance(found, 0.85) == 1
    assert components_for_variance(found, 0.95) == 2
    assert components_for_variance(found, 1.0) == 3
    ratio = _linalg.participation_ratio(samples)
    np.testing.assert_allclose(ratio, reference.sum() ** 2 / np.sum(reference**2), rtol=1e-10)
    np.testing.assert_allclose(_linalg.participation_ratio(samples[:2]), 1, rtol=1e-10)
    with pytest.raises(ValueError, match="hold"):
        components_for_variance(dynamics.principal_components(states, 1), 0.99)


def lorenz(state, step=0.01):
    """One Runge–Kutta step of the Lorenz system."""

    def velocity(x):
        return jnp.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])

    first = velocity(state)
    second = velocity(state + step / 2 * first)
    third = velocity(state + step / 2 * second)
    fourth = velocity(state + step * third)
    return state + step / 6 * (first + 2 * second + 2 * third + fourth)


def test_lyapunov_spectrum_of_lorenz(key):
    """(0.9056, 0, −14.572), dimension 2.062 (Sprott 2003); their sum is the divergence −41/3 exactly."""
    found = dynamics.lyapunov_spectrum(
        lorenz, np.array([1.0, 1.0, 20.0]), key=key, num_steps=10_000, warm_up=1000, dt=0.01, steps_per_qr=5
    )  # fmt: skip
    expected = np.array([0.9056, 0.0, -14.572])
    assert np.all(np.abs(found.exponents - expected) < 4 * found.standard_error + 1e-3)
    assert found.standard_error.max() < 0.06
    np.testing.assert_allclose(found.exponents.sum(), -41 / 3, atol=1e-3)
    assert abs(found.dimension - 2.062) < 0.01


def test_lyapunov_exponents_of_linear_maps_are_logarithms(key):
    matrix = jnp.array([[1.1, 2.0, 0.0], [0.0, 0.7, 1.0], [0.0, 0.0, 0.3]])
    found = dynamics.lyapunov_spectrum(lambda x: matrix @ x, np.zeros(3), key=key, num_steps=400, warm_up=100)
    np.testing.assert_allclose(found.exponents, np.log([1.1, 0.7, 0.3]), atol=2e-3)
    leading = dynamics.lyapunov_spectrum(
        lambda x: matrix @ x, np.zeros(3), key=key, num_steps=400, warm_up=100, num_exponents=1
    )  # fmt: skip
    np.testing.assert_allclose(leading.exponents, found.exponents[:1], atol=1e-6)


def test_directions_that_are_lost_have_minus_infinity(key):
    """A map of rank two in four dimensions has two exponents; a balanced network, whose rows sum to zero, loses one."""
    left, right = np.eye(4)[:, :2] * 0.9, np.eye(4)[:2]
    matrix = jnp.asarray(left @ right)
    found = dynamics.lyapunov_spectrum(lambda x: matrix @ x, np.zeros(4), key=key, num_steps=40)
    np.testing.assert_allclose(found.exponents[:2], np.log(0.9), rtol=1e-10)
    assert np.all(np.isneginf(found.exponents[2:]))
    assert np.isnan(found.standard_error[2:]).all()
    network = RNN(1, 12, 1, key=key, constraints=networks.dale(0.8), recurrent_initializer="balanced")
    with pytest.warns(RuntimeWarning, match="exponents are not resolved and NaN"):
        found = dynamics.lyapunov_spectrum(network, np.full(12, 0.1), key=key, num_steps=40)
    assert np.isfinite(found.exponents[0])
    assert np.isnan(found.exponents[-1])


def test_repeated_eigenvalues_keep_biorthogonal_vectors():
    basis = np.random.default_rng(1).standard_normal((5, 5))
    found = modes_of(basis @ np.diag([0.9, 0.9, 0.5, 0.2, 0.2]) @ np.linalg.inv(basis), 1.0, is_flow=False)
    np.testing.assert_allclose(found.left @ found.right, np.eye(5), atol=1e-10)


def test_linearization_of_a_network_takes_inputs(key):
    network = RNN(2, 4, 1, key=key)
    point, pushed = jax.random.normal(key, (4,)), jnp.array([1e-5, -2e-5])
    linear = dynamics.linearize(network, point)
    np.testing.assert_allclose(linear(point, pushed), network.step(point, pushed), atol=1e-8)


def test_candidates_lie_near_and_between_visited_states(key):
    network = RNN(1, 6, 1, key=key)
    inputs = jax.random.normal(key, (10, 5, 1))
    visited = np.asarray(networks.run(network, inputs)[0]).reshape(-1, 6)
    exact = dynamics.sample_states(network, inputs, 20, key=key, noise_std=0.0, mixed=0.0)
    gaps = np.linalg.norm(np.asarray(exact)[:, None] - visited[None], axis=-1).min(axis=1)
    np.testing.assert_allclose(gaps, 0, atol=1e-12)
    mixed = np.asarray(dynamics.sample_states(network, inputs, 20, key=key, noise_std=0.0, mixed=1.0))
    apart = np.linalg.norm(mixed[:, None] - visited[None], axis=-1).min(axis=1) > 1e-6
    assert apart.mean() >= 0.9  # the same state may be drawn twice
    assert np.all(mixed.min(axis=0) >= visited.min(axis=0) - 1e-12)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key: dynamics.jacobian(jnp.tanh, np.ones(2), wrt="input"), "inputs must be given"),
        (lambda key: modes_of(np.ones((2, 3)), 1.0, is_flow=False), "one square matrix"),
        (lambda key: dynamics.find_fixed_points(jnp.tanh, np.ones(2), marginal=-1.0), "marginal must be at least 0"),
        (lambda key: dynamics.linearize(jnp.tanh, np.ones((4, 2))), "one state"),
        (lambda key: dynamics.attractor_manifold(jnp.tanh, np.ones((3, 2))), "at least 5 states"),
        (lambda key: dynamics.principal_components(np.ones((1, 3))), "at least two samples"),
        (lambda key: dynamics.principal_components(np.ones((4, 3)), 4), "num_components must be at most 3"),
        (lambda key: dynamics.lyapunov_spectrum(jnp.tanh, np.ones(2), key=key, num_steps=5), "at least 20"),
        (
            lambda key: dynamics.lyapunov_spectrum(jnp.tanh, np.ones(2), key=key, num_steps=20, num_exponents=3),
            "at most the state's length 2",
        ),
        (
            lambda key: dynamics.lyapunov_spectrum(lambda x: x**3 * 10, np.full(2, 2.0), key=key, num_steps=40),
            "diverge",
        ),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message, key):
    with pytest.raises(ValueError, match=message):
        call(key)
