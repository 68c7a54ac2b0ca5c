"""Branches of fixed points against closed forms: folds, pitchforks, flips, Hopf and Neimark–Sacker bifurcations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import dynamics, networks


def one_of(found, kind):
    """The only bifurcation on a branch, which is of this kind."""
    assert [one.kind for one in found.bifurcations] == [kind]
    return found.bifurcations[0]


@pytest.mark.parametrize("is_flow", [False, True])
def test_a_fold_is_passed(is_flow):
    """μ − x²: ±√μ, the modes 1 ∓ 0.2 √μ of the map and ∓2 √μ of the flow; the branch comes back on the other side."""

    def step_of(mu):
        return networks.Flow(lambda x: mu - x**2) if is_flow else lambda x: x + 0.1 * (mu - x**2)

    (found,) = dynamics.continue_fixed_points(step_of, [1.0], start=1.0, stop=-1.0)
    fold = one_of(found, "fold")
    assert abs(fold.parameter) < 1e-15
    np.testing.assert_allclose(fold.point, 0, atol=1e-8)
    assert found.end == "start"
    np.testing.assert_allclose(found.points[:, 0] ** 2, found.parameters, atol=1e-12)
    states = found.points[:, 0]
    np.testing.assert_allclose(found.eigenvalues[:, 0], -2 * states if is_flow else 1 - 0.2 * states, atol=1e-12)
    np.testing.assert_array_equal(found.is_stable, states > 0)
    assert found.parameters[[0, -1]].tolist() == [1.0, 1.0]
    np.testing.assert_allclose(np.sort(found.at(0.25)[:, 0]), [-0.5, 0.5], atol=2e-4)


def test_points_of_one_branch_are_followed_once_and_those_at_another_input_are_not_of_it():
    def step_of(mu):
        return lambda x, u: x + 0.1 * (mu - x**2) + 0 * u

    for inputs, count in (([[0.0], [0.0]], 1), ([[0.0], [1.0]], 2)):
        found = dynamics.continue_fixed_points(step_of, [[1.0], [-1.0]], np.array(inputs), start=1.0, stop=-1.0)
        assert len(found) == count
        assert [branch.inputs.tolist() for branch in found] == inputs[:count]


def test_a_pitchfork_from_all_its_branches():
    """Tanh(g x): the origin loses stability at g = 1, where the other branch, one for both signs, turns."""

    def step_of(gain):
        return lambda x: jnp.tanh(gain * x)

    points = dynamics.find_fixed_points(step_of(2.0), np.linspace(-1.5, 1.5, 21)[:, None])
    found = dynamics.continue_fixed_points(step_of, points, start=2.0, stop=0.5)
    assert len(found) == 2  # three points, of which two lie on one branch
    for branch in found:
        assert abs(one_of(branch, "branch point").parameter - 1) < 1e-9
    outer, origin = sorted(found, key=lambda branch: -np.abs(branch.points[0, 0]))
    assert outer.is_stable.all()
    assert (outer.end, origin.end) == ("start", "stop")
    np.testing.assert_array_equal(origin.is_stable, origin.parameters < 1)
    np.testing.assert_allclose(np.tanh(outer.parameters * outer.points[:, 0]), outer.points[:, 0], atol=1e-12)
    np.testing.assert_allclose(np.sort(outer.points[[0, -1], 0]), np.sort(points.points[:2, 0]), atol=1e-8)


def test_the_logistic_map_doubles_its_period():
    """X = 1 − 1/r, with 2 − r: from a transcritical point at r = 1 to a flip at r = 3."""
    (found,) = dynamics.continue_fixed_points(
        lambda r: lambda x: r * x * (1 - x), [[2 / 3 - 0.01]], start=3.0, stop=0.5
    )
    assert [one.kind for one in found.bifurcations] == ["branch point"]
    assert abs(found.bifurcations[0].parameter - 1) < 1e-9
    (found,) = dynamics.continue_fixed_points(lambda r: lambda x: r * x * (1 - x), [[0.6]], start=2.5, stop=3.6)
    flip = one_of(found, "flip")
    assert abs(flip.parameter - 3) < 1e-12
    np.testing.assert_allclose(flip.eigenvalue, -1, atol=1e-12)
    np.testing.assert_allclose(found.eigenvalues[:, 0], 2 - found.parameters, atol=1e-12)


def test_hopf_and_neimark_sacker():
    """The normal form at μ = 0 with ω = 2; the delayed logistic map at r = 2 with e^{±iπ/3}."""

    def normal_form(mu):
        return networks.Flow(lambda x: mu * x + 2 * jnp.array([-x[1], x[0]]) - x * (x @ x))

    (found,) = dynamics.continue_fixed_points(normal_form, [0.0, 0.0], start=-1.0, stop=1.0)
    hopf = one_of(found, "Hopf")
    assert abs(hopf.parameter) < 1e-12
    np.testing.assert_allclose(abs(hopf.eigenvalue.imag), 2, rtol=1e-12)
    assert found.num_unstable[[0, -1]].tolist() == [0, 2]
    (found,) = dynamics.continue_fixed_points(
        lambda r: lambda x: jnp.array([r * x[0] * (1 - x[1]), x[0]]), [0.4, 0.4], start=1 / 0.6, stop=2.5
    )
    torus = one_of(found, "Neimark-Sacker")
    assert abs(torus.parameter - 2) < 1e-12
    np.testing.assert_allclose([torus.eigenvalue.real, abs(torus.eigenvalue.imag)], [0.5, 0.75**0.5], rtol=1e-10)


@pytest.fixture(scope="module")
def weights():
    return np.asarray(jax.random.normal(jax.random.key(3), (6, 6))) / 6**0.5


def test_the_gain_of_a_network(weights):
    """The origin of x⁺ = g J tanh x is stable up to g = 1/ρ(J), for the map; of the flow up to 1/max Re λ."""
    values = np.linalg.eigvals(weights)
    gains = {networks.RateNetwork: 1 / np.abs(values).max(), networks.FlowNetwork: 1 / values.real.max()}
    for kind, critical in gains.items():
        (found,) = dynamics.continue_fixed_points(
            lambda gain, kind=kind: kind(gain * weights, jnp.ones(6), noise_std=0.0), np.zeros(6), start=0.1, stop=4.0
        )
        np.testing.assert_allclose(found.bifurcations[0].parameter, critical, rtol=1e-12)
        assert len(found.bifurcations) >= 2
        changes = np.abs(np.diff(found.num_unstable)).sum()
        assert sum(1 + (abs(one.eigenvalue.imag) > 1e-6) for one in found.bifurcations) == changes


def test_an_input_pushes_a_bistable_network_over_its_folds():
    """X⁺ = 2 tanh x + u: folds where 2 sech² x = 1, tanh x = ∓1/√2, u = ±(√2 − artanh 1/√2); one branch."""
    network = networks.RateNetwork([[2.0]], [1.0], noise_std=0.1)
    (found,) = dynamics.continue_fixed_points(
        lambda push: lambda x: network.step(x, push[None]), [[-2.96]], start=-1.0, stop=1.0
    )
    expected = 2**0.5 - np.arctanh(0.5**0.5)
    assert [one.kind for one in found.bifurcations] == ["fold", "fold"]
    np.testing.assert_allclose([one.parameter for one in found.bifurcations], [expected, -expected], rtol=1e-12)
    assert found.end == "stop"
    assert len(found.at(0.0)) == 3


def test_trees_and_float32(weights):
    """A state that is a dictionary, in single precision: the same branch to seven digits."""
    small = jnp.asarray(weights[:2, :2], jnp.float32)

    def step_of(gain):
        return lambda state: {"x": jnp.tanh(gain * small @ state["x"])}

    (found,) = dynamics.continue_fixed_points(
        step_of, {"x": np.zeros((1, 2), np.float32)}, start=0.1, stop=1.0 / np.abs(np.linalg.eigvals(small)).max() + 0.5
    )
    np.testing.assert_allclose(found.bifurcations[0].parameter, 1 / np.abs(np.linalg.eigvals(small)).max(), rtol=1e-5)
    assert found.points.dtype == np.float32
    assert found.unflatten(found.points)["x"].shape == (len(found), 2)


def test_one_program_serves_a_branch(num_programs):
    from fisherjax.dynamics import _curve

    def step_of(mu):
        return lambda x: x + 0.1 * (mu - x**2)

    before = num_programs(_curve._evaluated)
    dynamics.continue_fixed_points(step_of, [[1.0], [-1.0]], start=1.0, stop=2.0)
    assert num_programs(_curve._evaluated) == before + 1


def test_a_branch_that_ends_says_why():
    """X = tan p leaves through infinity; the square root of p ends at a singular point."""
    (found,) = dynamics.continue_fixed_points(
        lambda p: lambda x: x + jnp.cos(p) * x - jnp.sin(p), [0.0], start=0.0, stop=1.7
    )
    assert found.end in {"diverges", "max_points"}
    with pytest.warns(RuntimeWarning, match="a branch is lost at parameter"):
        (found,) = dynamics.continue_fixed_points(lambda p: lambda x: jnp.sqrt(p) + 0 * x, [1.0], start=1.0, stop=-1.0)
    assert found.end == "lost"
    assert abs(found.parameters[-1]) < 1e-2


def test_saved_branches_come_back(tmp_path):
    (found,) = dynamics.continue_fixed_points(lambda r: lambda x: r * x * (1 - x), [[0.6]], start=2.5, stop=3.2)
    loaded = dynamics.Branch.load(found.save(tmp_path / "branch"))
    np.testing.assert_array_equal(loaded.points, found.points)
    assert repr(loaded) == repr(found)
    assert "flip at 3" in repr(loaded)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"step_of": 3.0}, TypeError, "step_of must be a function"),
        ({"step_of": lambda p: 3.0}, TypeError, "step must be a function"),
        ({"step_of": lambda p: lambda x: x * np.tanh(p)}, TypeError, "step_of cannot be traced by JAX"),
        ({"stop": 0.5}, ValueError, "start and stop must differ, both are 0.5"),
        ({"max_step": 0.0}, ValueError, "max_step must be above 0"),
        ({"max_points": 1}, ValueError, "max_points must be at least 2"),
        ({"points": [3.0]}, ValueError, "points must be fixed points at start.*number 0"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(changes, error, message):
    call = {"step_of": lambda p: lambda x: jnp.tanh(p * x), "points": [0.0], "start": 0.5, "stop": 1.0, **changes}
    with pytest.raises(error, match=message):
        dynamics.continue_fixed_points(call.pop("step_of"), call.pop("points"), **call)
