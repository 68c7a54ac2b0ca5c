"""Where noise leads from one fixed point, from equal ones, from unstable ones; shares with errors."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from fisherjax import dynamics
from fisherjax.dynamics._shares import share_error, share_interval


def edges(step, points, key, inputs=None, **options):
    settings = {"noise_std": 0.1, "num_trials": 40, "relax_steps": 200, **options}
    graph = dynamics.transition_graph(step, points, inputs, key=key, **settings)
    return {(a, b): facts for a, b, facts in graph.edges(data=True)}, graph


def spiral(state):
    """A repeller inside a limit cycle of radius one."""
    turn = jnp.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    return 1.5 * turn @ state / (1 + 0.5 * jnp.sum(state**2))


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (spiral, "moved"),
        (lambda x: 2 * x, "diverged"),
        (lambda x: x + 2 * x * jnp.abs(x), "diverged"),
        (lambda x: jnp.tanh(2 * x), "rested"),  # at ±0.96, which are not listed
        (lambda x: jnp.stack([x[1], -x[0]]), "moved"),  # a center: circles of every radius
    ],
    ids=["limit cycle", "doubling", "faster", "elsewhere", "center"],
)
def test_one_point_that_is_no_attractor_holds_no_trial(key, step, why):
    found, graph = edges(step, np.zeros((1, 2)), key)
    assert set(found) == {(0, "elsewhere")}
    assert found[0, "elsewhere"][why] == 40
    assert not graph.nodes[0]["stable"]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_one_attractor_holds_all_trials_with_an_error(key, scale):
    """Also where it is reached slowly, at every scale of the states; p = 1 is never told as certain."""
    for step in (lambda x: 0.5 * x + scale, lambda x: 0.999 * x + 0.002 * scale):
        found, _ = edges(step, np.full((1, 2), 2 * scale), key, noise_std=0.1 * scale)
        assert found[0, 0]["probability"] == 1
        assert found[0, 0]["standard_error"] == share_error(40, 40) > 0.01
        assert found[0, 0]["low"] < 0.95
        assert found[0, 0]["high"] == 1


def test_equal_points_keep_their_own_trials(key):
    found, _ = edges(lambda x: 0.5 * x + 1, np.full((2, 2), 2.0), key)
    assert set(found) == {(0, 0), (1, 1)}


def test_points_at_other_inputs_are_no_ends(key):
    """Two inputs so close that the points of one lie next to those of the other."""

    def step(state, inputs):
        return 0.5 * state + inputs

    inputs = np.array([[0.0], [1e-7]])
    found, _ = edges(step, 2 * inputs, key, inputs)
    assert set(found) == {(0, 0), (1, 1)}
    assert {facts["probability"] for facts in found.values()} == {1.0}


def test_of_two_attractors_a_listed_one_gets_its_own_trials_only(key):
    """x⁺ = tanh 2x from its right attractor: kicks of one lead across zero, to the left one, which is not listed."""
    root = float(dynamics.find_fixed_points(lambda x: jnp.tanh(2 * x), np.ones((1, 1))).points[0, 0])
    found, _ = edges(lambda x: jnp.tanh(2 * x), np.array([[root]]), key, noise_std=1.0, num_trials=400)
    expected = norm.cdf(-root)
    stays, leaves = found[0, 0], found[0, "elsewhere"]
    assert stays["count"] + leaves["count"] == 400
    assert leaves["rested"] == leaves["count"]
    assert abs(leaves["probability"] - expected) < 4 * leaves["standard_error"]


def test_a_state_that_is_no_fixed_point_is_refused(key):
    with pytest.raises(ValueError, match=r"points must be fixed points, but one step moves number 1 by 2\.5"):
        edges(lambda x: 0.5 * x, np.array([[0.0], [5.0]]), key)


def test_shares_have_wilson_intervals():
    """Against the equation that defines it, |p − c/n| = z √(p (1 − p)/n) at both ends; and coverage at small n."""
    for count, trials in ((0, 7), (3, 7), (7, 7), (190, 200)):
        low, high = share_interval(count, trials, 0.95)
        for end in (low, high):
            if 0 < end < 1:
                gap = 1.959964 * np.sqrt(end * (1 - end) / trials)
                np.testing.assert_allclose(abs(end - count / trials), gap, rtol=1e-6)
    np.testing.assert_allclose(share_error(500, 1000), 0.5 / np.sqrt(1000), rtol=1e-3)
    np.testing.assert_allclose(share_error(10, 10), 1 / 22)
    counts = np.random.default_rng(0).binomial(20, 0.9, 2000)
    covered = [low <= 0.9 <= high for low, high in (share_interval(int(count), 20, 0.95) for count in counts)]
    assert 0.92 < np.mean(covered) < 0.98
