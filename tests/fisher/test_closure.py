"""The moment closure against exact linear theory, simulation, the large-N theory and central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rate_networks import closure, simulated

from fisherjax import connectivity as cn
from fisherjax import fisher, networks, simulate
from fisherjax.connectivity._gain_matrix import population_sizes


def exact_linear(weights, vector, noise_std, num_steps, observation_noise_std=0.0):
    """m = W^t v and Σ = σ² Σ W^k W^kᵀ: both forms."""
    weights = np.asarray(weights)
    covariance, mean, out = np.zeros_like(weights), np.asarray(vector), []
    observed = observation_noise_std**2 * np.eye(len(weights))
    for _ in range(num_steps):
        mean = weights @ mean
        covariance = noise_std**2 * np.eye(len(weights)) + weights @ covariance @ weights.T
        seen = covariance + observed
        out.append((mean @ np.linalg.solve(seen, mean), np.sum(mean**2 / np.diag(seen))))
    return np.array(out).T


@pytest.fixture
def small_network(key):
    return jnp.asarray(cn.sample_weights(cn.homogeneous(1.2), 30, key=key), float)


def test_a_linear_network_is_exact(small_network):
    vector = np.linspace(-1, 1, 30)
    settings = {"stimulus": 0.7, "noise_std": 0.3, "num_steps": 6, "input_vector": vector, "nonlinearity": "identity"}
    for observed in (0.0, 0.5):
        linear, diagonal = exact_linear(small_network, vector, 0.3, 6, observed)
        curves = {
            form: closure(small_network, form=form, observation_noise_std=observed, **settings).total
            for form in ("linear", "independent", "total")
        }
        np.testing.assert_allclose(curves["linear"], linear, rtol=1e-9)
        np.testing.assert_allclose(curves["independent"], diagonal, rtol=1e-9)
        # the covariance of a linear network does not depend on the stimulus
        np.testing.assert_allclose(curves["total"], linear, rtol=1e-9)


def test_linear_information_of_large_random_networks():
    """theory.md §4: linear F/N at g = σ = 1 is 1, .38196601, .21206681, .13751994 as N → ∞ (errors are O(1/N))."""
    key = jax.random.key(3)
    weights = jnp.stack(
        [cn.sample_weights(cn.homogeneous(1.0), 200, key=k, dtype=float) for k in jax.random.split(key, 6)]
    )
    curve = closure(
        weights, stimulus=1.0, noise_std=1.0, num_steps=4, input_vector=np.ones(200), nonlinearity="identity"
    )
    expected = 200 * np.array([1, 0.38196601, 0.21206681, 0.13751994])
    assert np.all(np.abs(curve.total - expected) < 4 * curve.standard_error + 0.01 * expected)


@pytest.mark.parametrize(("gain", "noise_std", "theta"), [(1.0, 0.1, 0.1), (1.3, 0.5, 1.0)])
def test_closure_agrees_with_simulation(gain, noise_std, theta):
    """N = 100 here with 20 000 trials; the acceptance at N = 200 with 40 000 is in benchmarks/closure.py."""
    weights = cn.sample_weights(cn.homogeneous(gain), 100, key=jax.random.key(0), dtype=jnp.float32)
    settings = {"stimulus": theta, "noise_std": noise_std, "num_steps": 6, "input_vector": np.ones(100)}
    for form, bound in (("independent", 0.01), ("linear", 0.02)):
        predicted = closure(weights.astype(float), form=form, **settings)
        measured = simulated(weights, form=form, num_trials=20_000, key=jax.random.key(1), **settings)
        distance = np.abs(np.asarray(measured.total) / np.asarray(predicted.total) - 1)
        error = np.asarray(measured.standard_error) / np.asarray(predicted.total)
        assert np.all(distance < bound + 2 * error)


@pytest.mark.parametrize(("gain", "theta", "plain_error"), [(1.5, 0.1, None), (1.8, 1.0, 0.08)])
def test_higher_cumulants_leave_nothing_that_simulation_can_see(gain, theta, plain_error):
    """At g = 1.5 the closure is 7 % too high without pair cumulants; the plain one is right by chance."""
    weights = cn.sample_weights(cn.homogeneous(gain), 60, key=jax.random.key(0), dtype=jnp.float32)
    settings = {"stimulus": theta, "noise_std": 0.5, "num_steps": 8, "input_vector": np.ones(60)}
    measured = simulated(weights, num_trials=40_000, key=jax.random.key(1), **settings)
    full, plain = (closure(weights.astype(float), higher_cumulants=higher, **settings) for higher in (True, False))
    assert plain.model_error is None
    truth, error = float(measured.total[-1]), float(measured.standard_error[-1])
    assert abs(float(full.total[-1]) - truth) < 0.01 * truth + 2.5 * error
    assert plain_error is None or abs(float(plain.total[-1]) - truth) > plain_error * truth


def test_a_nonlinearity_that_is_not_odd_under_sustained_input():
    """Rates with a threshold, means that matter: what holds about zero by symmetry is not used."""
    weights = cn.sample_weights(cn.homogeneous(1.4), 50, key=jax.random.key(7), dtype=jnp.float32) - 1 / 50
    settings = {
        "stimulus": 0.5, "noise_std": 0.4, "num_steps": 6, "input_vector": np.ones(50), "nonlinearity": "relu",
        "sustained_input": np.full(50, 0.2),
    }  # fmt: skip
    measured = simulated(weights, num_trials=20_000, key=jax.random.key(1), **settings)
    distance = np.abs(np.asarray(closure(weights.astype(float), **settings).total) / np.asarray(measured.total) - 1)
    assert np.all(distance < 0.01 + 3 * np.asarray(measured.standard_error) / np.asarray(measured.total))


def test_mean_over_draws_tends_to_the_meanfield_curve(key):
    """In the independent form the ensemble mean is the exact large-N curve, up to 1/N."""
    settings = {"stimulus": 1.0, "noise_std": 0.3, "num_steps": 4}
    exact = np.asarray(fisher.meanfield_curve(cn.homogeneous(1.2), num_units=1, **settings).total)
    draws = jnp.stack(
        [cn.sample_weights(cn.homogeneous(1.2), 150, key=k, dtype=float) for k in jax.random.split(key, 12)]
    )
    curve = closure(draws, form="independent", input_vector=np.ones(150), **settings)
    distance = np.abs(np.asarray(curve.total) / 150 - exact)
    assert np.all(distance < 4 * np.asarray(curve.standard_error) / 150 + 0.02 * exact)


@pytest.mark.parametrize("form", ["linear", "independent", "total"])
def test_gradient_in_every_argument_matches_differences(small_network, form, key):
    vector = jnp.linspace(0.2, 1.0, 30)

    def information(weights, vector, noise_std, observed, sustained, theta):
        curve = closure(
            weights, stimulus=theta, noise_std=noise_std, num_steps=4, input_vector=vector, form=form,
            observation_noise_std=observed, sustained_input=sustained,
        )  # fmt: skip
        return jnp.sum(jnp.log(curve.total))

    arguments = (
        small_network,
        vector,
        jnp.asarray(0.3),
        jnp.asarray(0.2),
        jnp.linspace(-0.1, 0.2, 30),
        jnp.asarray(0.5),
    )
    # every argument in the linear form, the weights in the others: each costs compilation
    chosen = tuple(range(6)) if form == "linear" else (0,)
    gradient = jax.jit(jax.grad(information, argnums=chosen))(*arguments)
    function = jax.jit(information)
    for index, argument_key in zip(chosen, jax.random.split(key, len(chosen)), strict=True):
        direction = jax.random.normal(argument_key, jnp.shape(arguments[index]))
        step = 1e-5 / float(jnp.sqrt(jnp.mean(direction**2)))

        def moved(sign, index=index, direction=direction, step=step):
            return function(*(a + (sign * step * direction if i == index else 0) for i, a in enumerate(arguments)))

        difference = (moved(1) - moved(-1)) / (2 * step)
        np.testing.assert_allclose(jnp.sum(gradient[index] * direction), difference, rtol=1e-5)


def test_vector_stimulus_gives_a_fisher_matrix(small_network):
    """Rotating the stimulus basis rotates the matrix, and a single direction is the scalar case."""
    patterns = np.stack([np.linspace(0, 1, 30), np.cos(np.arange(30))], axis=1)
    settings = {"noise_std": 0.3, "num_steps": 4, "form": "total"}
    matrix = closure(small_network, stimulus=[0.5, -0.2], input_vector=patterns, **settings).total
    assert matrix.shape == (4, 2, 2)
    np.testing.assert_allclose(matrix, np.swapaxes(matrix, 1, 2), rtol=1e-10)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    turned = closure(
        small_network, stimulus=np.array([0.5, -0.2]) @ turn, input_vector=patterns @ turn, **settings
    ).total
    np.testing.assert_allclose(turned, np.einsum("ki,tkl,lj->tij", turn, matrix, turn), rtol=1e-8)
    moment = patterns @ [0.5, -0.2]
    single = closure(small_network, stimulus=1.0, input_vector=moment, **settings).total
    np.testing.assert_allclose(single, np.einsum("k,tkl,l->t", [0.5, -0.2], matrix, [0.5, -0.2]), rtol=1e-8)


def test_populations_are_read_out_alone(small_network, two_populations):
    settings = {"stimulus": 0.5, "noise_std": 0.3, "num_steps": 3, "input_vector": np.ones(30)}
    settings["populations"] = population_sizes(two_populations, 30)
    linear = closure(small_network, **settings)
    assert linear.by_population.shape == (3, 2)
    assert np.all(linear.by_population <= linear.total[:, None] * (1 + 1e-9))
    independent = closure(small_network, form="independent", **settings)
    np.testing.assert_allclose(independent.by_population.sum(axis=1), independent.total, rtol=1e-12)


def test_permuting_units_changes_nothing(small_network, key):
    order = np.asarray(jax.random.permutation(key, 30))
    settings = {"stimulus": 0.5, "noise_std": 0.3, "num_steps": 4}
    vector = np.linspace(0, 1, 30)
    plain = closure(small_network, input_vector=vector, **settings).total
    permuted = closure(small_network[order][:, order], input_vector=vector[order], **settings).total
    np.testing.assert_allclose(permuted, plain, rtol=1e-9)


def test_moments_and_the_optimal_read_out(small_network):
    network = networks.RateNetwork(small_network, np.ones(30), noise_std=0.3)
    moments = fisher.closure_moments(network, stimulus=0.5, num_steps=4)
    curve = closure(small_network, stimulus=0.5, noise_std=0.3, num_steps=4, input_vector=np.ones(30))
    slope, covariance = moments.mean_slope[2, 0], moments.covariance[2]
    weights = fisher.optimal_decoder(slope, covariance)
    np.testing.assert_allclose(weights @ slope, 1, rtol=1e-10)
    np.testing.assert_allclose(1 / (weights @ covariance @ weights), curve.total[2], rtol=1e-9)


DEFAULT_OPTIMUM = cn.toeplitz([2.6, 0.7, 0.6, 0.0, 1.0, 0.0, 0.0, 0.7, 3.1])


def optimum_network(draw, units=60):
    weights = cn.sample_weights(DEFAULT_OPTIMUM, units, key=jax.random.key(draw), dtype=jnp.float32)
    return weights, (cn.population_index(DEFAULT_OPTIMUM, units) == 0).astype(float)


@pytest.mark.parametrize("theta", [0.1, 1.0])
def test_a_closure_ends_where_what_it_leaves_out_matters(theta):
    """Until then it is off by no more than it says; without higher cumulants it says several times too much."""
    weights, vector = optimum_network(0)
    settings = {"stimulus": theta, "noise_std": 0.1, "num_steps": 30, "input_vector": vector}
    with pytest.warns(RuntimeWarning, match=r"not finite from time [0-9]+ on: there the closure is beyond its limit"):
        curve = closure(weights.astype(float), **settings)
    finite = np.isfinite(np.asarray(curve.total))
    last = int(finite.sum())
    assert 3 <= last < 20
    assert np.all(finite[:last])
    assert not np.any(finite[last:])
    assert np.all(np.asarray(curve.model_error)[:last] <= 0.1)
    measured = simulated(weights, num_trials=9_000, key=jax.random.key(1), **{**settings, "num_steps": last})
    distance = np.abs(np.asarray(curve.total)[:last] / np.asarray(measured.total) - 1)
    error = np.asarray(measured.standard_error) / np.asarray(measured.total)
    assert np.all(distance < 0.01 + np.asarray(curve.model_error)[:last] + 3 * error)
    plain = closure(weights.astype(float), higher_cumulants=False, **{**settings, "num_steps": last})
    assert float(plain.total[-1]) > 1.15 * float(measured.total[-1])


def test_gradients_of_steps_before_the_end_are_finite():
    weights, vector = optimum_network(0)

    def early(weights, num_steps):
        curve = closure(
            weights, stimulus=1.0, noise_std=0.1, num_steps=num_steps, input_vector=vector, higher_cumulants=False
        )
        return jnp.log(curve.total[2])

    long, short = (jax.grad(early)(weights.astype(float), steps) for steps in (30, 3))
    np.testing.assert_allclose(long, short, rtol=1e-9, atol=1e-12)


def test_a_linear_network_leaves_nothing_out(small_network):
    curve = closure(
        small_network, stimulus=1.0, noise_std=0.3, num_steps=6, input_vector=np.ones(30), nonlinearity="identity"
    )
    assert np.all(np.asarray(curve.model_error) == 0)


def test_moments_end_as_the_curve_does():
    weights, vector = optimum_network(0)
    network = networks.RateNetwork(weights.astype(float), vector, noise_std=0.1)
    with pytest.warns(RuntimeWarning, match="moments are not finite from time"):
        moments = fisher.closure_moments(network, stimulus=1.0, num_steps=20)
    finite = np.isfinite(np.asarray(moments.mean)).all(axis=1)
    assert finite[0]
    assert not np.any(finite[int(finite.sum()) :])


def test_a_silent_network_has_moments(small_network):
    network = networks.RateNetwork(small_network, np.ones(30), noise_std=0.0)
    moments = fisher.closure_moments(network, stimulus=0.5, num_steps=4)
    assert np.all(np.isfinite(moments.mean))
    assert np.max(np.abs(moments.covariance)) < 1e-30


def test_observation_noise_in_closure_and_simulation(small_network):
    """Without process noise too, where it is all there is."""
    settings = {"stimulus": 0.5, "num_steps": 4, "input_vector": np.ones(30), "observation_noise_std": 0.4}
    for noise_std in (0.2, 0.0):
        predicted = closure(small_network, noise_std=noise_std, **settings)
        measured = simulated(small_network, noise_std=noise_std, num_trials=3000, key=jax.random.key(2), **settings)
        distance = np.abs(np.asarray(measured.total - predicted.total))
        assert np.all(distance < 3 * np.asarray(measured.standard_error) + 0.01 * np.asarray(predicted.total))


def test_observation_noise_in_theory_closure_and_simulation(two_populations):
    """One structure: within three standard errors of each other, and far from what there is without that noise."""
    noise = {"noise_std": 0.3, "observation_noise_std": 0.4}
    asked = {"stimulus": 0.5, "num_steps": 4}
    theory, bare = (
        fisher.meanfield_curve(two_populations, num_units=200, **asked, **{**noise, "observation_noise_std": level})
        for level in (0.4, 0.0)
    )
    drawn = simulate.draw_networks(two_populations, 200, num_draws=8, key=jax.random.key(4), dtype=float, **noise)
    closed = fisher.closure_curve(drawn, form="independent", **asked)
    measured = fisher.simulated_curve(drawn, form="independent", num_trials=200, key=jax.random.key(5), **asked)
    for one, other in ((closed, theory), (measured, theory), (measured, closed)):
        for part, error in (("total", "standard_error"), ("by_population", "by_population_error")):
            distance = np.abs(np.asarray(getattr(one, part)) - np.asarray(getattr(other, part)))
            errors = [np.asarray(getattr(curve, error)) for curve in (one, other) if curve is not theory]
            assert np.all(distance < 3 * np.sqrt(sum(each**2 for each in errors)))
    assert np.all(bare.total > theory.total + 6 * measured.standard_error)


def test_a_flow_with_much_noise_and_where_its_closure_ends():
    """Against simulation, where small noise is far off; and a chaotic one, which is believed for a while only."""
    vector = np.ones(60)
    calm, wild = (
        networks.FlowNetwork(
            cn.sample_weights(cn.homogeneous(gain), 60, key=jax.random.key(8), dtype=float),
            vector, noise_std=0.4, dt=0.25,
        )
        for gain in (1.0, 2.5)
    )  # fmt: skip
    asked = {"stimulus": 0.1, "num_steps": 16}
    closed, linear = fisher.closure_curve(calm, **asked), fisher.linearized_curve(calm, **asked)
    measured = fisher.simulated_curve(calm, num_trials=3000, key=jax.random.key(9), at=[4, 10, 16], **asked)
    at = np.array([4, 10, 16]) - 1
    distance = np.abs(np.asarray(measured.total - closed.total[at]))
    assert np.all(distance < 3 * measured.standard_error)
    assert linear.total[-1] > 1.3 * closed.total[-1]
    assert np.all(closed.model_error < 0.03)
    with pytest.warns(RuntimeWarning, match="beyond its limit"):
        ends = fisher.closure_curve(wild, **{**asked, "stimulus": 1.0})
    resolved = np.isfinite(ends.total)
    assert resolved[3]
    assert not resolved[-1]
    assert np.all(np.diff(ends.model_error) >= 0)


def test_overflow_is_reported(small_network):
    with pytest.warns(RuntimeWarning, match="not finite from time"):
        closure(
            1e60 * small_network,
            stimulus=0.1,
            noise_std=0.2,
            num_steps=4,
            input_vector=np.ones(30),
            nonlinearity="identity",
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_std": 0.0}, "network has noise_std 0"),
        ({"form": "diagonal"}, "form must be one of"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
        ({"input_vector": np.ones(3)}, "input_vector must have shape"),
        ({"higher_cumulants": "no"}, "higher_cumulants must be True or False"),
        ({"populations": (3, 4)}, "populations must add up to the 30 units, got 7"),
        ({"noise_std": np.nan}, "noise_std must be finite"),
        ({"stimulus": [0.1, 0.2]}, "stimulus must have shape"),
        ({"mehler_order": 0}, "mehler_order must be at least 1"),
    ],
)
def test_bad_input(small_network, change, message, as_user):
    settings = {"stimulus": 0.1, "noise_std": 0.2, "num_steps": 2, "input_vector": np.ones(30), **change}
    with pytest.raises((ValueError, TypeError), match=message):
        closure(small_network, **settings)
