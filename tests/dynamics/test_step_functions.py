"""What a user may give as a step: one sentence before anything is compiled, and one bad candidate spoils no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import dynamics, networks
from fisherjax.dynamics._components import components_for_variance
from fisherjax.dynamics._modes import effective_marginal, modes_of, stability_of

CALLS = {
    "find_fixed_points": lambda step, key: dynamics.find_fixed_points(step, np.ones((2, 2))),
    "jacobian": lambda step, key: dynamics.jacobian(step, np.ones((2, 2))),
    "linearize": lambda step, key: dynamics.linearize(step, np.ones(2)),
    "lyapunov_spectrum": lambda step, key: dynamics.lyapunov_spectrum(step, np.ones(2), key=key, num_steps=20),
    "transition_graph": lambda step, key: dynamics.transition_graph(step, np.ones((1, 2)), key=key, noise_std=0.1),
    "attractor_manifold": lambda step, key: dynamics.attractor_manifold(step, np.ones((5, 2))),
}


def branching(state):
    return state if state[0] > 0 else -state


def failing(state):
    raise KeyError("my own words")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (3, TypeError, r"step must be a function, got 3 \(int\)"),
        (lambda x: x[:1], ValueError, r"step must map a state \(2,\) to one of its shape, got \(1,\)"),
        (lambda x: (x, x), TypeError, r"step must return the next state, one array of shape \(2,\), got"),
        (lambda x: None, TypeError, "got None"),
        (lambda x: x.astype(jnp.float32), TypeError, "step must return the float type of its state, float64"),
        (lambda x: jnp.sign(x).astype(int), TypeError, "but it returns int64"),
        (np.tanh, TypeError, "step cannot be traced by JAX.*use jax.numpy"),
        (branching, TypeError, "step cannot be traced by JAX.*jnp.where"),
        (lambda x, u: x + u, TypeError, "it needs inputs, which are not given"),
        (failing, TypeError, "step, called with shape.*raised KeyError: 'my own words'"),
        (networks.RNN(1, 3, 1, key=jax.random.key(0)), ValueError, "must have 3 numbers per state, as step has; got 2"),
    ],
    ids=["number", "shape", "tuple", "none", "float32", "integers", "numpy", "if", "inputs", "own error", "network"],
)
def test_every_analysis_looks_at_its_step_first(as_user, key, call, step, error, message):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    try:
        with pytest.raises(error, match=message):
            call(step, key)
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(compiled) <= 2  # single operations on the states


def test_candidates_at_which_the_step_is_no_number_are_marked():
    """√x has the fixed points 0 and 1; candidates below zero are lost, and no other with them."""
    with pytest.warns(RuntimeWarning, match="step is not finite at 4 of 12 candidates"):
        found = dynamics.find_fixed_points(jnp.sqrt, np.linspace(-1, 2, 12)[:, None])
    assert np.isnan(found.candidate_speed).tolist() == [True] * 4 + [False] * 8
    assert not found.converged[:4].any()
    np.testing.assert_allclose(found.points, 1)


def test_a_jacobian_that_is_no_number_leaves_stability_open():
    """|x|^½ sgn x at 0 has an infinite slope: the point is told, what its modes do is not."""

    def step(state):
        return jnp.sign(state) * jnp.sqrt(jnp.abs(state))

    found = dynamics.find_fixed_points(step, np.array([[0.0], [0.9], [-0.9]]), adam_steps=0)
    kinds = dict(zip(np.round(found.points[:, 0]).tolist(), found.kind, strict=True))
    assert kinds == {-1.0: "attractor", 0.0: "marginal", 1.0: "attractor"}
    assert np.isnan(found.eigenvalues).sum() == 1


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_the_search_has_no_units(key, scale):
    """x⁺ = s tanh(2 x/s) at every scale s, from wide and from narrow candidates: −s x*, 0, s x*."""
    for width in (1e-3, 1.0, 1e3):
        candidates = scale * width * jax.random.normal(key, (40, 1))
        found = dynamics.find_fixed_points(lambda x: scale * jnp.tanh(2 * x / scale), candidates, adam_steps=0)
        np.testing.assert_allclose(np.abs(found.points / scale).max(), 0.957504, rtol=1e-4) if width >= 1 else None
        assert len(found) <= 3
        assert found.num_outliers == 0
        assert found.basin.sum() == found.converged.sum() > 30


def test_components_of_states_that_do_not_vary():
    """One third in every sample: what is left after the mean is rounding, not a component."""
    found = dynamics.principal_components(np.full((7, 3), 1 / 3))
    assert np.isnan(found.explained).all()
    with pytest.raises(ValueError, match="components hold no variance"):
        components_for_variance(found, 0.9)


def test_candidates_of_a_network_at_rest_are_not_all_one(key):
    network = networks.RNN(1, 4, 1, key=key)
    states = dynamics.sample_states(network, jnp.zeros((3, 2, 1)), 50, key=key, noise_std=0.5)
    assert 0.3 < float(jnp.std(states)) < 0.7


def test_equal_points_are_no_line_attractor():
    """One slow attractor, found five times but for rounding along its slow mode."""
    points = np.array([[1.0, 1.0]]) + 1e-10 * np.arange(5)[:, None] * np.array([1.0, 0.0])
    step = jnp.array([0.95, 0.5])
    found = dynamics.attractor_manifold(lambda x: 1 + step * (x - 1), points)
    assert found.kind == "points"
    assert dynamics.attractor_manifold(lambda x: 1 + step * (x - 1), np.ones((5, 2))).kind == "points"


def test_a_centre_is_marginal_in_every_float_type():
    """Rotation by one radian: |λ| = 1 but for rounding, in float32 some 1e-7 from it."""
    for dtype in (np.float32, np.float64):
        turn = jnp.asarray(np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]), dtype)
        found = dynamics.find_fixed_points(lambda x, turn=turn: turn @ x, np.ones((1, 2), dtype), marginal=0.0)
        assert found.kind == ("marginal",)
        values = np.linalg.eigvals(np.asarray(turn))
        assert stability_of(values[None], effective_marginal(0.0, dtype), is_flow=False).kind == ("marginal",)
        assert np.isinf(modes_of(turn, 1.0, is_flow=False).time_constants).all()
