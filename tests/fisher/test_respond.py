"""Information of any function that responds: one stimulus, and profiles over many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import fisher, networks, simulate
from fisherjax.fisher._respond import path
from fisherjax.fisher._trial_profile import profile_of_trials

SLOPES = jnp.linspace(1.0, 2.0, 4)


def smooth(theta, key):
    return jnp.sin(theta * SLOPES) + 0.3 * jnp.exp(0.2 * theta) * jax.random.normal(key, (4,))


def truth(theta):
    return float(jnp.sum((SLOPES * jnp.cos(theta * SLOPES)) ** 2) / (0.09 * jnp.exp(0.4 * theta)))


def thinned(theta, key):
    first, second = jax.random.split(key)
    kept = jax.random.uniform(second, (4,)) < jax.nn.sigmoid(theta)
    return theta * SLOPES + jnp.where(kept, jax.random.normal(first, (4,)), 0)


def thresholded(theta, key):
    return (theta * SLOPES + jax.random.normal(key, (4,)) > 0).astype(float)


def counted(theta, key):
    return jax.random.poisson(key, jnp.exp(theta * SLOPES))


def rectified(theta, key):
    return jnp.maximum(theta * SLOPES + jax.random.normal(key, (4,)), 0)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("pathwise", {}),
        ("pathwise", {"error": "influence"}),
        ("common", {"separation": 0.05}),
        ("direct", {"separation": 0.1}),
        ("decoder", {"separation": 0.1}),
    ],
)
def test_every_method_finds_the_information(method, options, key):
    found = fisher.estimate(smooth, 0.5, key=key, num_trials=3000, method=method, **options)
    assert abs(float(found.value) - truth(0.5)) < 3.5 * float(found.standard_error)
    assert float(found.relative_error) < 0.2


def test_pathwise_error_is_far_below_that_of_independent_differences(key):
    pathwise = fisher.estimate(smooth, 0.5, key=key, num_trials=1000)
    direct = fisher.estimate(smooth, 0.5, key=key, num_trials=1000, method="direct", separation=0.05)
    assert float(direct.standard_error) > 3 * float(pathwise.standard_error)


def test_a_fisher_matrix(key):
    def both(theta, key):
        first, second = jax.random.split(key)
        return jnp.concatenate([smooth(theta[0], first), smooth(theta[1], second)])

    found = fisher.estimate(both, [0.5, 0.2], key=key, num_trials=2000)
    expected = np.diag([truth(0.5), truth(0.2)])
    assert np.all(np.abs(found.value - expected) < 4 * np.asarray(found.standard_error))


def test_a_whole_trajectory_agrees_with_the_closure(key):
    """A simulated network is just another function: its last state against the closure's linear form."""
    weights = jnp.asarray(cn.sample_weights(cn.homogeneous(1.0), 20, key=key), float)
    network = networks.RateNetwork(weights, jnp.ones(20), noise_std=0.3)

    def respond(theta, key):
        return simulate.trajectories(network, stimulus=theta, num_steps=3, num_trials=1, key=key)[-1, 0]

    found = fisher.estimate(respond, 0.5, key=key, num_trials=3000)
    closure = fisher.closure_curve(network, stimulus=0.5, num_steps=3)
    assert abs(float(found.value - closure.total[-1])) < 3.5 * float(found.standard_error) + 0.02 * float(found.value)


@pytest.mark.parametrize(
    ("respond", "error", "message"),
    [
        (thinned, ValueError, "responses jump as the stimulus changes"),
        (thresholded, ValueError, "derivative of the responses is zero in every trial"),
        (counted, TypeError, "has no derivative in the stimulus"),
        (lambda theta, key: theta + jax.random.normal(key), ValueError, r"must return one vector \(p,\)"),
    ],
)
def test_what_pathwise_cannot_see_is_refused(respond, error, message, key, as_user):
    with pytest.raises(error, match=message):
        fisher.estimate(respond, 0.5, key=key, num_trials=500)


def test_a_profile_does_not_see_jumps_either(key):
    with pytest.raises(ValueError, match="responses jump as the stimulus changes"):
        fisher.information_profile(thinned, [0.4, 0.5], key=key, relative_error=0.3, max_trials=2000)


def test_corners_are_not_jumps_and_the_check_can_be_skipped(key):
    fisher.estimate(rectified, 0.5, key=key, num_trials=500)
    fisher.estimate(thinned, 0.5, key=key, num_trials=500, check=False)


def test_counts_work_with_common_random_numbers(key):
    """Poisson counts: I = Σ f′²/f; and differences need a separation."""
    rate = jnp.exp(0.5 * SLOPES)
    found = fisher.estimate(counted, 0.5, key=key, num_trials=20_000, method="common", separation=0.1)
    assert abs(float(found.value) - float(jnp.sum(SLOPES**2 * rate))) < 4 * float(found.standard_error)
    with pytest.raises(ValueError, match="needs separation"):
        fisher.estimate(counted, 0.5, key=key, num_trials=100, method="common")


def test_profile_reaches_its_target_without_reusing_the_pilot(key):
    stimuli = np.linspace(0.0, 1.0, 6)
    profile = fisher.information_profile(smooth, stimuli, key=key, relative_error=0.04)
    expected = np.array([truth(theta) for theta in stimuli])
    pull = (np.asarray(profile.value) - expected) / np.asarray(profile.standard_error)
    assert np.all(np.abs(pull) < 4)  # Student's t with 19 degrees of freedom, six stimuli
    relative = np.asarray(profile.standard_error / profile.value)
    assert np.sqrt(np.mean(relative**2)) < 0.045
    assert np.array_equal(np.asarray(profile.converged), relative <= 0.04)
    assert int(profile.total_trials) == int(np.sum(profile.num_trials)) + 6 * 200


def test_profile_stays_within_its_budget_and_says_so(key):
    with pytest.warns(RuntimeWarning, match="0.005 relative error is not reached at 4 of 4 stimuli"):
        profile = fisher.information_profile(
            smooth, np.linspace(0, 1, 4), key=key, relative_error=0.005, max_trials=4000
        )
    assert int(profile.total_trials) <= 4000
    assert not np.any(profile.converged)
    assert np.all(np.isfinite(profile.value))


def test_a_profile_keeps_what_is_finite_and_names_the_rest(key):
    def breaks(theta, key):
        return jnp.where(theta > 0.8, jnp.nan, smooth(theta, key))

    settings = {"key": key, "relative_error": 0.3, "max_trials": 2000}
    with pytest.warns(RuntimeWarning) as told:
        profile = fisher.information_profile(breaks, np.array([1.0, 0.2, 0.5]), **settings)
    assert any("information is not finite at stimuli [0]" in str(one.message) for one in told)
    assert np.isfinite(profile.value).tolist() == [False, True, True]
    assert not bool(profile.converged[0])
    assert abs(float(profile.value[1]) - truth(0.2)) < 4 * float(profile.standard_error[1])


@pytest.mark.parametrize(
    ("respond", "options", "error", "message"),
    [
        (lambda theta, key: theta * SLOPES, {}, ValueError, "respond returns the same response for every key"),
        (lambda theta: theta * SLOPES, {}, TypeError, r"respond must take \(stimulus, key\)"),
        (lambda theta, key: {"r": SLOPES}, {}, TypeError, r"respond must return one vector \(p,\)"),
        (
            lambda theta, key: jax.lax.complex(SLOPES, SLOPES),
            {},
            TypeError,
            "respond must return real numbers, got complex",
        ),
        (smooth, {"separation": 0.1}, ValueError, "separation has no meaning for method='pathwise'"),
        (smooth, {"confidence": 95}, ValueError, "confidence must be strictly between 0 and 1"),
        (
            smooth,
            {"method": "direct", "separation": 1e-30},
            ValueError,
            "separation = 1e-30 is lost in the rounding of the stimulus",
        ),
        (
            smooth,
            {"method": "direct", "separation": 0.1, "error": "influence"},
            ValueError,
            "error='influence' is for 'pathwise' and 'common'",
        ),
    ],
)
def test_wrong_responses_and_options(respond, options, error, message, key, as_user):
    with pytest.raises(error, match=message):
        fisher.estimate(respond, 0.5, key=key, num_trials=100, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_trials": 100}, "need at least"),
        ({"batch_size": 30}, "multiple of 20"),
        ({"relative_error": 0.0}, "relative_error must be above 0"),
        ({"stimuli": [0.0, np.nan]}, "stimuli must be finite"),
        ({"confidence": 95}, "confidence must be strictly between 0 and 1"),
    ],
)
def test_bad_profiles(options, message, key, as_user):
    settings = {"stimuli": [0.1, 0.2], **options}
    stimuli = settings.pop("stimuli")
    with pytest.raises(ValueError, match=message):
        fisher.information_profile(smooth, stimuli, key=key, **settings)


def test_robust_estimates_are_those_without_what_is_far_outside(key):
    """A trial in fifty thirty times as noisy halves the information, and is set aside by every method that can."""

    def spoiled(theta, key):
        rare, noise = jax.random.split(key)
        scale = jnp.where(jax.random.uniform(rare) < 0.02, 30.0, 1.0)
        return jnp.sin(theta * SLOPES) + 0.3 * scale * jax.random.normal(noise, (4,))

    expected = float(jnp.sum((SLOPES * jnp.cos(0.3 * SLOPES)) ** 2) / 0.09)
    for options in ({}, {"error": "influence"}, {"method": "direct", "separation": 0.1}):
        found = fisher.estimate(spoiled, 0.3, key=key, num_trials=600, robust=True, **options)
        assert "set aside" in found.method
        assert abs(float(found.value) - expected) < 4 * float(found.standard_error)
    with pytest.raises(ValueError, match="robust is not for method='total'"):
        fisher.estimate(smooth, 0.3, key=key, num_trials=60, robust=True, method="total")


def test_a_profile_of_trials_is_that_of_fresh_ones(key):
    """At k standard errors; what is not kept might as well not be there."""
    stimuli = jnp.array([0.2, 0.6])
    draw = jax.vmap(lambda theta, key: path(smooth, theta, key), in_axes=(None, 0))
    paths = jax.vmap(draw, in_axes=(0, None))(stimuli, jax.random.split(key, 2000))
    kept = np.ones((2, 2000), bool)
    kept[:, ::7] = False
    found = profile_of_trials(stimuli, *paths, jnp.asarray(kept), relative_error=0.1)
    assert found.num_trials.tolist() == [1714, 1714]
    truths = [truth(theta) for theta in (0.2, 0.6)]
    assert np.all(np.abs(np.asarray(found.value) - truths) < 4 * np.asarray(found.standard_error))
    assert np.all((found.interval[:, 0] < found.value) & (found.value < found.interval[:, 1]))
    wanted = fisher.pathwise(paths[0][1, kept[1]], paths[1][1, kept[1]])
    np.testing.assert_allclose(found.value[1], wanted.value, rtol=1e-9)
    np.testing.assert_allclose(found.standard_error[1], wanted.standard_error, rtol=0.5)
