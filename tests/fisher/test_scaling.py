"""Information against the number of units: what the limit is, and when it is not known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import fisher

UNITS = 24


def population(key, limiting_noise, trials):
    """Responses with slope 1, private variance 4 and differential correlations of strength ε: c = ¼."""
    first, second = jax.random.split(key)
    shared = jnp.sqrt(limiting_noise) * jax.random.normal(first, (trials, 1))
    responses = 2 * jax.random.normal(second, (trials, UNITS)) + shared
    return responses, jnp.ones_like(responses)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_limit_is_the_information_at_infinity_with_its_error(key, kind):
    responses, slopes = (np.asarray(part, kind) for part in population(key, 0.2, 1500))
    found = fisher.information_scaling(responses, slopes, key=key, sizes=(2, 6, UNITS), num_subsets=6)
    assert bool(found.resolved)
    assert abs(float(found.limiting_noise) - 0.2) < 4 * float(found.limiting_noise_error)
    np.testing.assert_allclose(found.limit, 1 / found.limiting_noise, rtol=1e-5)
    np.testing.assert_allclose(found.limit_error, found.limiting_noise_error / found.limiting_noise**2, rtol=1e-5)
    low, high = found.limit_interval
    assert low < 5 < high
    assert low < found.limit < high


def test_no_saturation_is_no_number(key):
    """Without differential correlations I(∞) is infinite: NaN, a lower end, and a warning that says it in words."""
    responses, slopes = population(key, 0.0, 400)
    with pytest.warns(RuntimeWarning, match=r"saturation was not seen.*at least"):
        found = fisher.information_scaling(responses, slopes, key=key, sizes=(2, 6, UNITS), num_subsets=6)
    assert not bool(found.resolved)
    assert np.isnan(found.limit)
    assert np.isnan(found.limit_error)
    assert np.isnan(found.limit_interval[1])
    assert float(found.limit_interval[0]) > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sizes": (5, 5)}, ValueError, "sizes must hold at least two different numbers"),
        ({"sizes": (2.5, 4)}, ValueError, "sizes must be whole numbers"),
        ({"sizes": "all"}, TypeError, "sizes must be an array of real numbers"),
        ({"sizes": (2, 99)}, ValueError, "sizes must be at most 24"),
        ({"confidence": 95}, ValueError, "confidence must be strictly between 0 and 1"),
        ({"num_subsets": 0}, ValueError, "num_subsets must be at least 1"),
    ],
)
def test_bad_input(change, error, message, key, as_user):
    settings = {"sizes": (2, 6), **change}
    with pytest.raises(error, match=message):
        fisher.information_scaling(*population(key, 0.2, 100), key=key, **settings)


def test_too_few_trials_for_the_blocks(key, as_user):
    responses, slopes = population(key, 0.2, 15)
    with pytest.raises(ValueError, match="10 blocks need 20 trials, got 15"):
        fisher.information_scaling(responses[:, :3], slopes[:, :3], key=key, sizes=(1, 2))
