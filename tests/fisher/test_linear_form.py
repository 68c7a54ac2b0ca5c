"""The linear form of a structure at N → ∞: reference values, laws, exact linear networks, derivatives, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fisherjax import connectivity as cn
from fisherjax import fisher, optimize

TWO = cn.GainMatrix(1.3 * np.array([[1.142589, 0.685553], [1.599624, 0.914071]]), np.array([0.3, 0.7]))
THREE = cn.GainMatrix(np.array([[1.2, 0.3, 0.0], [0.8, 1.2, 0.3], [0.0, 0.8, 1.2]]))


def linear(matrix, *, stimulus=1.0, noise_std=0.3, num_steps=6, **more):
    return fisher.meanfield_curve(
        matrix, stimulus=stimulus, noise_std=noise_std, num_steps=num_steps, form="linear", **more
    )


@pytest.mark.parametrize(
    ("matrix", "asked", "steps", "expected"),
    [
        (
            cn.homogeneous(1.0),
            {"noise_std": 0.1, "num_steps": 8},
            (2, 4, 8),
            (1.902848589, 0.1979296388, 0.02248562713),
        ),
        (cn.homogeneous(1.3), {"noise_std": 0.5, "num_steps": 8}, (3, 6), (0.03632018159, 0.004879900843)),
        (TWO, {}, (6,), (0.01391343354,)),
        (TWO, {"observed": (1.0, 0.0)}, (6,), (0.005705926107,)),
        (TWO, {"observed": (0.0, 0.5)}, (6,), (0.007531590599,)),
        (TWO, {"observation_noise_std": 0.5}, (6,), (0.009471336366,)),
        (THREE, {"stimulus": 0.1, "noise_std": 0.1, "num_steps": 10}, (5, 10), (0.9360129801, 0.0580189813)),
        (cn.homogeneous(1.3), {"noise_std": 1.0, "nonlinearity": "identity"}, (6,), (0.3080189941,)),
    ],
)
def test_reference_values(matrix, asked, steps, expected):
    """theory.md §8, to the digits that are given there."""
    found = np.asarray(linear(matrix, **asked).total)[np.array(steps) - 1]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_linear_network_of_one_population_is_that_of_the_closed_recursion():
    """F/N = g²/(σ² + z₁), z_{k−1}² = (σ² + z_k) z_{k−2}, z₀ = (σ² + z₁)/g², z_t = 0, for g = σ = 1 (§4)."""
    curve = linear(cn.homogeneous(1.0), noise_std=1.0, num_steps=6, nonlinearity="identity")
    np.testing.assert_allclose(curve.total[:4], [1, 0.38196601, 0.21206681, 0.13751994], rtol=3e-8)
    g = 1.3
    second = linear(cn.homogeneous(g), noise_std=1.0, num_steps=6, nonlinearity="identity").total[1]
    np.testing.assert_allclose(second, g**2 * (1 - (np.sqrt(1 + 4 * g**2) - 1) / (2 * g**2)), rtol=1e-12)


def of_linear_networks(matrix, num_units, num_steps, noise_std, draws):
    """∂mᵀΣ⁻¹∂m / N of drawn linear networks, by their covariances: mean and standard error."""
    values = []
    for key in jax.random.split(jax.random.key(0), draws):
        weights = np.asarray(cn.sample_weights(matrix, num_units, key=key, dtype=float))
        mean, covariance = (cn.population_index(matrix, num_units) == 0) * 1.0, 0 * weights
        for _ in range(num_steps):
            mean, covariance = weights @ mean, weights @ covariance @ weights.T + noise_std**2 * np.eye(num_units)
        values.append([mean @ np.linalg.solve(covariance, mean), np.sum(mean**2 / np.diag(covariance))])
    values = np.array(values) / num_units
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(draws)


def test_noise_of_a_loud_population_can_be_subtracted():
    """Linear information can exceed the independent form: what one population is disturbed by, another tells.

    Here fourfold at t = 4, which drawn linear networks confirm (to 1/N): it is no upper bound.
    """
    matrix = cn.GainMatrix(np.array([[1.0, 1.0], [0.0, 3.0]]))
    asked = {"noise_std": 0.1, "num_steps": 4, "nonlinearity": "identity"}
    counted = float(linear(matrix, **asked).total[-1])
    alone = float(fisher.meanfield_curve(matrix, stimulus=1.0, **asked).total[-1])
    value, error = of_linear_networks(matrix, 400, 4, 0.1, 12)
    assert counted > 4 * alone
    assert np.all(np.abs(value - [counted, alone]) < 4 * error + 0.03 * value)


entries, levels = st.floats(0.05, 2.5), st.floats(0.1, 1.0)


@st.composite
def structures(draw):
    shares = draw(st.floats(0.2, 0.8))
    return cn.GainMatrix(np.array(draw(st.lists(entries, min_size=4, max_size=4))).reshape(2, 2), (shares, 1 - shares))


@settings(max_examples=15)
@given(matrix=structures(), noise_std=levels, theta=st.floats(-1.5, 1.5))
def test_laws(matrix, noise_std, theta):
    """Permuting; the first step; what a tiny share, or much observation noise, leaves of the correlations; decay."""
    asked = {"stimulus": theta, "noise_std": noise_std, "num_steps": 6}
    curve = linear(matrix, **asked, input_pattern=(1.0, 0.4))
    moved = linear(matrix.permuted((1, 0)), **asked, input_pattern=(0.4, 1.0))
    np.testing.assert_allclose(moved.total, curve.total, rtol=1e-9)
    np.testing.assert_allclose(moved.by_population, curve.by_population[:, ::-1], rtol=1e-9)
    plain = {**asked, "input_pattern": (1.0, 0.4)}
    alone = fisher.meanfield_curve(matrix, **plain)
    np.testing.assert_allclose(curve.total[0], alone.total[0], rtol=1e-12)
    # what one population tells is no more than what both do
    assert bool(jnp.all(curve.by_population <= curve.total[:, None] * (1 + 1e-9)))
    rare = {"observed": (1e-7, 1e-7)}
    np.testing.assert_allclose(
        linear(matrix, **plain, **rare).total, fisher.meanfield_curve(matrix, **plain, **rare).total, rtol=1e-4
    )
    loud = {"observation_noise_std": 1e5}
    np.testing.assert_allclose(
        linear(matrix, **plain, **loud).total, fisher.meanfield_curve(matrix, **plain, **loud).total, rtol=1e-4
    )


@settings(max_examples=10)
@given(share=st.floats(0.1, 0.9), noise_std=levels, theta=st.floats(0.0, 1.5), gain=st.floats(0.3, 3.0))
def test_splitting_a_population_changes_nothing(share, noise_std, theta, gain):
    one = cn.homogeneous(gain)
    two = cn.GainMatrix(np.full((2, 2), gain), (share, 1 - share))
    asked = {"stimulus": theta, "noise_std": noise_std, "num_steps": 6}
    np.testing.assert_allclose(
        linear(two, **asked, input_pattern=(1.0, 1.0)).total, linear(one, **asked).total, rtol=1e-9
    )


def test_identity_knows_no_scale():
    asked = {"num_steps": 4, "nonlinearity": "identity"}
    np.testing.assert_allclose(
        linear(TWO, noise_std=0.3, stimulus=0.2, **asked).total,
        4 * linear(TWO, noise_std=0.6, stimulus=3.0, **asked).total,
        rtol=1e-12,
    )


def test_a_vanishing_stimulus_is_a_limit():
    """At θ = 0 nothing is 0/0, and its derivative is that of an even function."""
    curves = [np.asarray(linear(TWO, stimulus=theta).total) for theta in (0.0, 1e-9, 1e-5)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-12)
    np.testing.assert_allclose(curves[2], curves[0], rtol=1e-8)
    slope = jax.grad(lambda theta: linear(TWO, stimulus=theta).total[-1])
    assert float(slope(0.0)) == 0
    np.testing.assert_allclose(slope(1e-5) / slope(1e-4), 0.1, rtol=1e-4)


def test_several_stimuli_are_told_together_and_in_any_direction():
    """The matrix for two parameters is that of every direction in them, and holds that of each alone."""
    pattern, theta = np.array([[1.0, 0.4], [0.2, -0.7]]), np.array([0.6, 0.9])
    matrix = np.asarray(linear(TWO, stimulus=theta, input_pattern=pattern).total)
    direction = np.array([0.8, -1.3])
    along = np.stack([pattern @ theta, pattern @ direction], axis=1)
    turned = np.asarray(linear(TWO, stimulus=np.array([1.0, 0.0]), input_pattern=along).total)
    np.testing.assert_allclose(turned[:, 1, 1], np.einsum("i,tij,j->t", direction, matrix, direction), rtol=1e-11)
    alone = linear(TWO, stimulus=0.6, input_pattern=pattern[:, 0]).total
    both = linear(TWO, stimulus=np.array([0.6, 0.0]), input_pattern=pattern).total
    np.testing.assert_allclose(both[:, 0, 0], alone, rtol=1e-11)


def test_gradients_are_those_of_differences():
    def information(gains, shares, theta, noise_std, observed, heard):
        curve = linear(
            cn.GainMatrix(gains, shares), stimulus=theta, noise_std=noise_std, observed=heard,
            observation_noise_std=observed,
        )  # fmt: skip
        return jnp.sum(jnp.log(curve.total)) + jnp.log(curve.by_population[-1, 1])

    arguments = (TWO.gains, TWO.fractions, *map(jnp.asarray, (0.7, 0.3, 0.2)), jnp.array([0.9, 0.5]))
    function, gradient = jax.jit(information), jax.jit(jax.grad(information, argnums=range(6)))
    for index, found in enumerate(gradient(*arguments)):
        direction = jnp.cos(jnp.arange(found.size, dtype=float)).reshape(found.shape)
        sides = []
        for step in (-1e-5, 1e-5):
            moved = list(arguments)
            moved[index] = moved[index] + step * direction
            sides.append(float(function(*moved)))
        assert float(jnp.vdot(found, direction)) == pytest.approx((sides[1] - sides[0]) / 2e-5, rel=1e-6)


def test_second_derivatives_exist():
    """The objective's Hessian, through the fixed point and the extremum, is that of its gradient's differences."""
    objective = optimize.LogFisher(3, form="linear", stimulus=0.5, noise_std=0.3)

    def value(gains):
        return objective(cn.GainMatrix(gains.reshape(2, 2), TWO.fractions))

    at, step = TWO.gains.reshape(-1), 1e-5
    gradient = jax.jit(jax.grad(value))
    along = jax.jit(lambda direction: jax.jvp(jax.grad(value), (at,), (direction,))[1])
    hessian = jnp.stack([along(e) for e in jnp.eye(4)])
    differences = jnp.stack([(gradient(at + step * e) - gradient(at - step * e)) / (2 * step) for e in jnp.eye(4)])
    np.testing.assert_allclose(hessian, differences, rtol=1e-6, atol=1e-7)


def test_read_at_some_times_is_that_of_the_whole_curve():
    curve = linear(TWO)
    np.testing.assert_allclose(linear(TWO, at=(2, 5)).total, curve.total[np.array([1, 4])], rtol=1e-12)
    np.testing.assert_array_equal(linear(TWO, at=(2, 5)).times, [2, 5])
    halves = fisher.meanfield_curve(TWO, stimulus=1.0, noise_std=0.3, num_steps=6, at=(2, 5), observed=(1.0, 0.5))
    whole = fisher.meanfield_curve(TWO, stimulus=1.0, noise_std=0.3, num_steps=6)
    np.testing.assert_allclose(halves.by_population, whole.by_population[np.array([1, 4])] * np.array([1, 0.5]))


def test_single_precision():
    narrow = cn.GainMatrix(jnp.asarray(TWO.gains, jnp.float32), jnp.asarray(TWO.fractions, jnp.float32))
    found = linear(narrow).total
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, linear(TWO).total, rtol=2e-4)


def test_other_odd_functions():
    """A user's tanh is tanh; a steep one is resolved: φ(s x)/s with gains, noise and stimulus scaled alike."""
    theory = linear(TWO).total
    np.testing.assert_allclose(linear(TWO, nonlinearity=lambda x: jnp.tanh(x)).total, theory, rtol=1e-10)  # noqa: PLW0108
    scaled = linear(TWO, nonlinearity=lambda x: jnp.tanh(4 * x) / 4, stimulus=0.25, noise_std=0.075).total
    np.testing.assert_allclose(scaled / 16, theory, rtol=1e-9)


def test_a_shorter_chunk_is_the_same(monkeypatch):
    from fisherjax.fisher import _meanfield_linear

    whole = linear(THREE, num_steps=10).total
    monkeypatch.setattr(_meanfield_linear, "_MOST_NUMBERS", 5 * 3 * 73 * 4)
    # of another number of steps, which nothing else asks for: it is compiled now
    np.testing.assert_allclose(linear(THREE, num_steps=5).total, whole[:5], rtol=1e-12)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"nonlinearity": "relu"}, "kink at 0; use form='independent'"),
        ({"nonlinearity": lambda x: jnp.clip(x, -1, 1)}, "kink at -1"),
        ({"noise_std": 0.0, "observation_noise_std": 1.0}, "needs process noise"),
        ({"observed": (1.0, 1.5)}, "observed must hold shares of at most 1, got 1.5"),
        ({"observed": (0.0, 0.0)}, "nothing would be read out"),
        ({"observed": (1.0,)}, "observed"),
        ({"at": (3, 9)}, "at must rise within 1…6"),
    ],
)
def test_what_it_cannot_say_it_refuses(asked, message):
    with pytest.raises(ValueError, match=message):
        linear(TWO, **asked)


def test_the_total_form_is_refused_with_its_reason():
    with pytest.raises(ValueError, match="the covariance term is of order N as well"):
        fisher.meanfield_curve(TWO, stimulus=1.0, noise_std=0.3, num_steps=3, form="total")


def test_what_leaves_the_float_range_ends_with_a_warning():
    grows = cn.homogeneous(1e60)
    with pytest.warns(RuntimeWarning, match="not finite from time"):
        curve = linear(grows, nonlinearity="identity", num_steps=5)
    assert bool(jnp.isfinite(curve.total[0]))
    assert bool(jnp.isnan(curve.total[-1]))
