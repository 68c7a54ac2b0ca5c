"""What recordings are asked: equal to the questions of two conditions, to closed forms, and right on average."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.covariance
import sklearn.decomposition

from fisherjax import fisher
from fisherjax.fisher._recorded._covariance import SHRINKING
from fisherjax.fisher._recorded._pairs import Trials, grouped, moments_of, paired, pairs_of
from fisherjax.fisher._recorded._values import (
    covariance_value,
    cross_parts,
    diagonal_parts,
    poisson_value,
    quadratic_mean,
)

P, STEP = 6, 0.5
RNG = np.random.default_rng(3)
ROOT = np.tril(RNG.normal(size=(P, P))) / 2 + np.eye(P)
SIGMA = ROOT @ ROOT.T
SLOPE = RNG.normal(size=P)


def gaussian(rng, counts, slope=SLOPE, root=ROOT, stimuli=None):
    """Trials of equal covariance about means that lie on a line."""
    stimuli = STEP * np.arange(len(counts)) if stimuli is None else stimuli
    theta = np.repeat(stimuli, counts)
    return theta[:, None] * slope + rng.normal(size=(len(theta), len(slope))) @ root.T, theta


def recorded(seed=0, counts=(40, 50, 60), **options):
    return fisher.Recording(*gaussian(np.random.default_rng(seed), counts), **options)


@pytest.fixture(scope="module")
def data_sets():
    """Moments of many pairs of conditions, 60 and 50 trials each, all drawn alike."""
    keys = jax.random.split(jax.random.key(7), 4000)

    @jax.jit
    @jax.vmap
    def draw(key):
        noise = jax.random.normal(key, (2, 60, P)) @ ROOT.T
        rows = noise + jnp.asarray([-1.0, 1.0])[:, None, None] * STEP / 2 * SLOPE
        weight = jnp.ones((2, 60)).at[1, 50:].set(0)
        return moments_of(Trials(rows, weight, jnp.asarray(STEP)))

    return draw(keys)


def mean_and_error(values):
    values = np.asarray(values)
    return values.mean(), values.std() / np.sqrt(len(values))


def test_pairs_equal_two_conditions_whatever_their_trials():
    """Also with a unit that is silent at one pair, where it counts as absent."""
    recording = recorded(counts=(40, 51, 60, 41))
    found = fisher.recorded_information(recording, check=False)
    for index in range(3):
        pair = recording.at(index), recording.at(index + 1), STEP
        for name, one in (("direct", fisher.direct(*pair)), ("shuffled", fisher.shuffled(*pair))):
            for field in ("value", "standard_error", "interval", "naive"):
                mine = np.asarray(getattr(found[name], field))[..., index]
                assert np.allclose(mine, np.asarray(getattr(one, field)), rtol=1e-8), (name, field)
    difference = fisher.jackknife(recording.at(0), recording.at(1), STEP, estimator="direct - shuffled", num_blocks=10)
    assert np.isclose(found["direct - shuffled"].value[0], found["direct"].value[0] - found["shuffled"].value[0])
    assert 0.5 < float(found["direct - shuffled"].standard_error[0] / difference.standard_error) < 2


def test_a_unit_that_is_silent_in_a_pair_counts_as_absent():
    values, theta = gaussian(np.random.default_rng(1), (40, 50, 60))
    still = values.copy()
    still[theta < STEP * 1.5, 2] = 3.0
    found = fisher.recorded_information(fisher.Recording(still, theta), check=False)
    without = fisher.recorded_information(fisher.Recording(np.delete(values, 2, axis=1), theta), check=False)
    for name in ("direct", "shuffled", "diagonal", "covariance term"):
        for field in ("value", "standard_error"):
            parts = (getattr(one[name], field)[0] for one in (found, without))
            assert np.isclose(*parts, rtol=1e-6, equal_nan=name == "diagonal"), (name, field)


def test_one_program_serves_other_numbers_of_trials(num_programs):
    from fisherjax.fisher._recorded._information import _numbers

    fisher.recorded_information(recorded(counts=(40, 50, 60)), check=False)
    before = num_programs(_numbers)
    fisher.recorded_information(recorded(counts=(58, 40, 45)), check=False)
    assert num_programs(_numbers) == before


def test_corrections_have_no_bias(data_sets):
    """Parts of the diagonal decoder, and the covariance term without a change, at four standard errors of 4000 sets."""
    step = jnp.asarray(STEP)
    pair, freedom = jax.vmap(lambda moments: paired(moments, step))(data_sets)
    parts = jax.vmap(diagonal_parts)(pair.slope[:, 0], pair.covariance, freedom, pair.precision[:, 0])
    weights = SLOPE / np.diag(SIGMA)
    for part, exact in zip(parts, ((weights @ SLOPE) ** 2, weights @ SIGMA @ weights), strict=True):
        mean, error = mean_and_error(part)
        assert abs(mean - exact) < 4 * error + 0.002 * exact  # of S to order 1/ν
    change = jax.vmap(lambda moments: covariance_value(moments, step))(data_sets)
    mean, error = mean_and_error(change)
    assert abs(mean) < 4 * error


def test_ratios_and_covariance_terms_are_right_on_average():
    """Diagonal decoder and covariance term, the covariance turning with the stimulus, in 150 small recordings."""
    other = np.linalg.cholesky(SIGMA + 0.8 * np.outer(SLOPE, SLOPE))
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        rows = [rng.normal(size=(80, P)) @ root.T for root in (ROOT, other)]
        rows[1] = rows[1] + STEP * 2 * SLOPE
        recording = fisher.Recording(np.concatenate(rows), np.repeat([0.0, STEP], 80))
        found.append(fisher.recorded_information(recording, check=False))
    pooled = (SIGMA + other @ other.T) / 2
    ratio = np.linalg.solve(pooled, (other @ other.T - SIGMA) / STEP)
    weights = 2 * SLOPE / np.diag(pooled)
    expected = {
        "covariance term": np.trace(ratio @ ratio) / 2,
        "diagonal": (weights @ (2 * SLOPE)) ** 2 / (weights @ pooled @ weights),
    }
    for name, exact in expected.items():
        values = np.array([float(one[name].value[0]) for one in found])
        errors = np.array([float(one[name].standard_error[0]) for one in found])
        mean, error = mean_and_error(values)
        assert abs(mean - exact) < 4 * error, name
        assert error < 0.1 * exact
        assert 0.8 < np.sqrt(np.mean(errors**2)) / values.std() < 1.5, name


def test_weights_of_one_condition_reach_what_they_should_in_another(data_sets):
    """Cross-information to its own condition is direct information; to another one it is a closed form."""
    step = jnp.asarray(STEP)
    turned = ROOT @ np.linalg.qr(np.random.default_rng(5).normal(size=(P, P)))[0] @ np.diag(np.linspace(0.6, 1.5, P))
    other_slope = SLOPE + 0.5 * np.random.default_rng(6).normal(size=P)

    @jax.jit
    @jax.vmap
    def draw(key):
        rows = jax.random.normal(key, (2, 70, P)) @ turned.T
        rows = rows + jnp.asarray([-1.0, 1.0])[:, None, None] * STEP / 2 * other_slope
        return moments_of(Trials(rows, jnp.ones((2, 70)), step))

    tested = draw(jax.random.split(jax.random.key(8), 4000))
    parts = jax.jit(jax.vmap(lambda a, b: cross_parts(a, b, step, step)))
    weights = np.linalg.solve(SIGMA, SLOPE)
    again = jax.tree.map(lambda part: jnp.roll(part, 1, axis=0), data_sets)
    cases = (
        (tested, (weights @ other_slope) ** 2, weights @ turned @ turned.T @ weights),
        (again, (SLOPE @ weights) ** 2, SLOPE @ weights),
    )
    for other, hit, spread in cases:
        for part, exact in zip(parts(data_sets, other), (hit, spread), strict=True):
            mean, error = mean_and_error(part)
            assert abs(mean - exact) < 4 * error
            assert error < 0.1 * exact


def test_products_of_inverse_covariances_are_unbiased(data_sets):
    """f′ᵀΣ⁻¹GΣ⁻¹f′ for a known G: exact moments of the inverse Wishart distribution."""
    g = np.diag(np.arange(1.0, P + 1)) + 0.3

    def one(moments):
        pair, freedom = paired(moments, jnp.asarray(STEP))
        inverse = jnp.linalg.inv(pair.covariance)
        weights = inverse @ pair.slope[0]
        units = jnp.asarray(float(P))
        return quadratic_mean(
            weights @ g @ weights, jnp.sum(inverse * g), pair.slope[0] @ weights, 1 / pair.precision[0], units, freedom
        )

    weights = np.linalg.solve(SIGMA, SLOPE)
    mean, error = mean_and_error(jax.vmap(one)(data_sets))
    assert abs(mean - weights @ g @ weights) < 4 * error


def test_poisson_information_is_unbiased():
    rng, rates, trials = np.random.default_rng(2), np.array([[0.2, 1.0, 4.0], [0.5, 1.2, 3.0]]), np.array([7.0, 12.0])
    counts = rng.poisson(rates * trials[:, None], (20000, 2, 3)).astype(float)
    value, variance = jax.vmap(lambda part: poisson_value(part, jnp.asarray(trials), jnp.asarray(STEP)))(counts)
    middle = trials @ rates / trials.sum()
    lost = np.exp(-(trials @ rates)[0]) * (trials @ rates)[0]  # of a unit with a single spike nothing is known
    exact = np.sum(((rates[1] - rates[0]) / STEP) ** 2 / middle)
    mean, error = mean_and_error(value)
    assert abs(mean - exact) < 4 * error + lost * exact
    assert 0.8 < np.mean(np.asarray(variance)) / np.var(np.asarray(value)) < 1.25


def test_averages_count_shared_trials():
    """The spread of the mean over pairs, in many recordings, is what its error says."""
    counts = (60, 60, 60, 60)
    found = []
    for seed in range(60):
        values, theta = gaussian(np.random.default_rng(100 + seed), counts, 0.3 * SLOPE)
        found.append(fisher.recorded_information(fisher.Recording(values, theta), check=False).averages["direct"])
    values = np.array([float(one.value) for one in found])
    errors = np.array([float(one.standard_error) for one in found])
    ratio = np.sqrt(np.mean(errors**2)) / values.std(ddof=1)
    assert 0.75 < ratio < 1.35
    exact = 0.09 * SLOPE @ np.linalg.solve(SIGMA, SLOPE)
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(60)


@pytest.mark.parametrize(
    "method", ["ridge", "logistic", "linear", "diagonal", "early-stopped", "ledoit-wolf", "oas", "factor"]
)
def test_decoders_reach_no_more_than_there_is(method):
    recording = recorded(2, counts=(200, 200, 200))
    exact = SLOPE @ np.linalg.solve(SIGMA, SLOPE)
    found = fisher.recorded_decoding(recording, method=method)
    error = float(found.average.standard_error)
    weights = SLOPE / np.diag(SIGMA)
    reached = (weights @ SLOPE) ** 2 / (weights @ SIGMA @ weights) if method == "diagonal" else exact
    assert float(found.average.value) < exact + 3 * error
    assert float(found.average.value) > 0.8 * reached - 3 * error
    assert found.correct.shape == (2,)


def test_groups_are_never_trained_and_tested_together():
    """Responses that tell their group, and groups that hold one stimulus each: nothing carries over."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 10)
    theta = np.tile(np.repeat([0.0, 1.0], 5), 20)
    lure = rng.normal(size=(20, 2))[group, theta.astype(int)]  # differs between stimuli, at random in every group
    responses = np.stack([lure, rng.normal(size=200)], axis=1) + 0.1 * rng.normal(size=(200, 2))
    free = fisher.recorded_decoding(fisher.Recording(responses, theta), method="linear")
    grouped_ = fisher.recorded_decoding(fisher.Recording(responses, theta, block=group), method="linear")
    assert not np.isclose(float(free.average.value), float(grouped_.average.value))
    with pytest.raises(ValueError, match="at least as many as the 5 folds, got 2"):
        fisher.recorded_decoding(fisher.Recording(responses, theta), groups=np.arange(200) % 2)


def test_regularized_covariances_are_those_of_scikit_learn():
    recording = recorded(4, counts=(12, 15))
    data, pairs = grouped(recording, 2), pairs_of(recording)
    trials = Trials(data.responses[pairs.members[0]], data.present[pairs.members[0]], jnp.asarray(STEP))
    rows = np.concatenate(
        [np.asarray(r)[np.asarray(w) > 0] for r, w in zip(trials.responses, trials.weight, strict=True)]
    )
    rows -= np.repeat([rows[:12].mean(0), rows[12:].mean(0)], [12, 15], axis=0)
    rows /= rows.std(axis=0)
    correlation = rows.T @ rows / len(rows)
    count = jnp.asarray(27.0)
    for name, fit in (("ledoit-wolf", sklearn.covariance.LedoitWolf), ("oas", sklearn.covariance.OAS)):
        expected = fit(assume_centered=True).fit(rows).covariance_
        found = SHRINKING[name](jnp.asarray(correlation), jnp.asarray(rows), count)
        assert np.allclose(found, expected, rtol=1e-6), name


def test_factors_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    loading = rng.normal(size=(20, 2))
    rows = rng.multivariate_normal(np.zeros(20), loading @ loading.T + np.diag(rng.uniform(1, 2, 20)), 4000)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = sklearn.decomposition.FactorAnalysis(2, tol=1e-8, max_iter=2000).fit(rows).get_covariance()
    sample = jnp.asarray(rows.T @ rows / 4000)
    found = SHRINKING["factor"](sample, jnp.asarray(rows), jnp.asarray(4000.0))
    assert np.allclose(found, expected, atol=2e-3)
    assert np.abs(np.asarray(sample) - expected).max() > 0.02


def test_more_units_than_trials_have_ways_out():
    slope = np.random.default_rng(1).normal(size=30)
    recording = fisher.Recording(*gaussian(np.random.default_rng(0), (14, 14), slope, np.eye(30)))
    with pytest.raises(ValueError, match=r'30 units need more than 33 trials.*covariance="ledoit-wolf"'):
        fisher.recorded_information(recording)
    found = fisher.recorded_information(recording, covariance="ledoit-wolf", num_blocks=7, check=False)
    assert "biased" in found["direct"].method
    # of independent units, which is what it is shrunk towards, it is right
    assert abs(float(found["direct"].value[0]) - slope @ slope) < 4 * float(found["direct"].standard_error[0])
    features = fisher.recorded_information(recording.principal_components(2), num_blocks=7, check=False)
    assert float(features["direct"].value[0]) < slope @ slope + 4 * float(features["direct"].standard_error[0])


def test_units_that_were_never_together_add_up():
    rng = np.random.default_rng(0)
    first, theta = gaussian(rng, (60, 60))
    second, _ = gaussian(rng, (60, 60))
    values = np.full((240, 2 * P), np.nan)
    values[:120, :P], values[120:, P:] = first, second
    both = fisher.recorded_information(fisher.Recording(values, np.tile(theta, 2), missing="pairwise"))
    parts = [fisher.recorded_information(fisher.Recording(part, theta), check=False) for part in (first, second)]
    for name in ("direct", "shuffled"):
        assert np.isclose(both[name].value[0], sum(part[name].value[0] for part in parts))
    assert "2 independent groups" in both["direct"].method


def test_blocks_that_depend_give_larger_errors():
    """A common shift of every block: the error of independent trials is too small, that between blocks is not."""
    rng = np.random.default_rng(0)
    values, theta = gaussian(rng, (400, 400))
    block = np.concatenate([np.arange(400) // 20] * 2)
    shifted = values + 0.7 * rng.normal(size=(20, 2, P))[block, (theta > 0).astype(int)] @ ROOT.T
    free = fisher.recorded_information(fisher.Recording(shifted, theta), check=False)
    held = fisher.recorded_information(fisher.Recording(shifted, theta, block=block), check=False)
    assert float(held["direct"].standard_error[0]) > 1.5 * float(free["direct"].standard_error[0])
    assert float(held["direct"].value[0]) < float(free["direct"].value[0])  # less the bias that dependence makes


def test_assumptions_are_told_for_all_pairs_at_once():
    values, theta = gaussian(np.random.default_rng(0), (200, 200, 200))
    recording = fisher.Recording(np.sign(values) * np.abs(values) ** 2.5, theta)
    with pytest.warns(fisher.AssumptionWarning, match=r'in 2 of 2 pairs .*error="jackknife"'):
        found = fisher.recorded_information(recording)
    assert len(found.findings) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fisher.recorded_information(recording, error="jackknife")


def test_units_that_are_sums_of_others_are_not_a_number():
    values, theta = gaussian(np.random.default_rng(0), (40, 40))
    recording = fisher.Recording(np.column_stack([values, values[:, 0] + values[:, 1]]), theta)
    with pytest.warns(RuntimeWarning, match="sums of others"):
        found = fisher.recorded_information(recording, check=False)
    assert np.isnan(float(found["direct"].value[0]))


def test_thresholds_are_those_of_their_intervals():
    found = fisher.recorded_information(recorded(), check=False)
    value, interval = found.threshold()
    assert np.allclose(value, 1 / np.sqrt(np.asarray(found["direct"].value)))
    assert bool(jnp.all(interval[0] < value) and jnp.all(value < interval[1]))
    none = fisher.Recording(np.random.default_rng(0).normal(size=(60, 3)), np.repeat([0.0, 1.0], 30))
    assert np.isinf(float(fisher.recorded_information(none, check=False).threshold()[1][1, 0]))


def test_cross_information_of_recordings(key):
    first, second = recorded(0, (80, 80, 80)), recorded(1, (70, 70, 70))
    found = fisher.cross_information(first, second)
    exact = SLOPE @ np.linalg.solve(SIGMA, SLOPE)
    assert abs(float(found.averages["reached"].value) - exact) < 4 * float(found.averages["reached"].standard_error)
    lost = found.averages["lost"]
    assert abs(float(lost.value)) < 4 * float(lost.standard_error)
    with pytest.raises(ValueError, match="same stimuli"):
        fisher.cross_information(first, recorded(1, (70, 70)))
    with pytest.raises(ValueError, match="same units"):
        fisher.cross_information(first, second.select(units=[0, 1, 2]))


def test_permutations_are_fair_and_see_what_is_there(key):
    """Probabilities of data without information, and without correlations, are uniform; of others they are small."""
    rng = np.random.default_rng(0)
    null, alone = [], []
    for _ in range(60):
        rows = fisher.Recording(rng.exponential(size=(45, 4)), np.repeat([0.0, 1.0, 2.0], 15))
        null.append(fisher.permutation_test(rows, key=key, num_permutations=39).overall)
        independent = np.repeat([0.0, 1.0, 2.0], 15)[:, None] + rng.exponential(size=(45, 4))
        recording = fisher.Recording(independent, rows.stimulus)
        alone.append(fisher.permutation_test(recording, "correlations", key=key, num_permutations=39).overall)
    for found in (null, alone):
        assert abs(np.mean(found) - 0.52) < 4 * 0.29 / np.sqrt(60)
        assert np.mean(np.array(found) <= 0.1) < 0.1 + 4 * 0.3 / np.sqrt(60)
    there = recorded(0, (40, 40, 40))
    rows = rng.normal(size=(80, 4)) * np.repeat([1.0, 2.0], 40)[:, None]
    turning = fisher.Recording(rows, np.repeat([0.0, 1.0], 40))
    assert fisher.permutation_test(turning, "covariance", key=key, num_permutations=99).overall < 0.03
    assert fisher.permutation_test(there, "covariance", key=key, num_permutations=99).overall > 0.05
    for question in ("information", "correlations"):
        assert fisher.permutation_test(there, question, key=key, num_permutations=99).overall < 0.03


def test_permutations_stay_within_blocks(key):
    """Blocks of unequal shares of two stimuli, each shifted as a whole: no information, however large the shifts."""
    rng = np.random.default_rng(1)
    block = np.arange(120) % 6
    theta = (rng.random(120) < 0.2 + 0.1 * block).astype(float)
    responses = rng.normal(size=(120, 3)) + 3 * rng.normal(size=(6, 3))[block]
    free = fisher.permutation_test(fisher.Recording(responses, theta), key=key, num_permutations=99)
    held = fisher.permutation_test(fisher.Recording(responses, theta, block=block), key=key, num_permutations=99)
    assert free.overall < 0.05 < held.overall
    apart = fisher.Recording(responses, theta, block=theta.astype(int) * 10 + block)
    with pytest.raises(ValueError, match="every block holds one stimulus"):
        fisher.permutation_test(apart, key=key)


def test_few_trials_have_errors_too():
    """Five repeats of each stimulus: blocks are trials then."""
    recording = fisher.Recording(*gaussian(np.random.default_rng(0), (5, 5, 5), SLOPE[:2], np.eye(2)))
    found = fisher.recorded_information(recording, check=False)
    assert np.isfinite([float(found.averages[name].standard_error) for name in ("direct", "shuffled")]).all()
    for block, words in (
        (np.zeros(15), "all 15 trials are of one block"),
        (np.repeat([0, 1, 2], 5), "without its largest"),
    ):
        with pytest.raises(ValueError, match=words):
            fisher.recorded_information(fisher.Recording(recording.responses, recording.stimulus, block=block))
    with pytest.raises(ValueError, match=r"9 units need more than 12 trials .* but one has 10 in all"):
        fisher.recorded_information(fisher.Recording(np.random.default_rng(0).normal(size=(15, 9)), recording.stimulus))


def test_ratios_that_are_not_resolved_are_no_numbers():
    """Hardly any signal: a ratio of two noises is NaN, and never a thousand."""
    values = []
    for seed in range(40):
        recording = recorded(seed, (20, 20, 20)).select(units=[0, 1, 2])
        weak = fisher.Recording(
            recording.responses - 0.95 * np.outer(recording.stimulus, SLOPE[:3]), recording.stimulus
        )
        values.append(np.append(fisher.recorded_information(weak, check=False)["diagonal"].value, 0.0))
    values = np.concatenate(values)
    assert np.isnan(values).mean() > 0.4
    assert np.nanmax(np.abs(values)) < 100


def test_sessions_of_a_pseudo_population_have_errors():
    rng = np.random.default_rng(0)
    first, theta = gaussian(rng, (40, 40))
    second, _ = gaussian(rng, (40, 40))
    values = np.full((160, 2 * P), np.nan)
    values[:80, :P], values[80:, P:] = first, second
    recording = fisher.Recording(values, np.tile(theta, 2), missing="pairwise", block=np.repeat(["a", "b"], 80))
    assert np.isfinite(float(fisher.recorded_information(recording)["direct"].standard_error[0]))


def test_questions_are_for_concrete_numbers(key):
    recording = recorded()
    with pytest.raises(TypeError, match="recording must hold concrete numbers"):
        jax.jit(lambda one: fisher.recorded_information(one)["direct"].value)(recording)
    with pytest.raises(TypeError, match="key must be a concrete key"):
        jax.jit(lambda key: fisher.permutation_test(recording, key=key).statistic)(key)
    with pytest.raises(ValueError, match="must be different trials"):
        fisher.cross_information(recording, recording)


def test_smooth_tuning_knows_where_nothing_was_shown():
    rng = np.random.default_rng(0)
    theta = rng.uniform(0, 60, 400)
    responses = 3 * np.cos(np.pi / 90 * (theta[:, None] - np.arange(4) * 45)) + rng.normal(size=(400, 4))
    with pytest.warns(RuntimeWarning, match="no trial lies near 1 of 2 stimuli"):
        found = fisher.smooth_information(fisher.Recording(responses, theta, period=180), [30.0, 150.0])
    assert np.isfinite(np.asarray(found["direct"].value)).tolist() == [True, False]


def test_smooth_tuning_needs_no_pairs():
    """Continuous stimuli on a circle, Gaussian noise: values and intervals about the exact information."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, P)
    amplitude = rng.uniform(0.5, 1.5, P)
    theta = rng.uniform(0, 360, 3000)
    turn = 2 * np.pi / 360

    def tuning(t):
        return amplitude * np.cos(turn * np.asarray(t)[:, None] - phase)

    recording = fisher.Recording(tuning(theta) + rng.normal(size=(3000, P)) @ ROOT.T, theta, period=360)
    found = fisher.smooth_information(recording, np.arange(12) * 30.0)
    slope = -turn * amplitude * np.sin(turn * found.stimuli[:, None] - phase)
    exact = np.einsum("mi,ij,mj->m", slope, np.linalg.inv(SIGMA), slope)
    assert found.num_covariance_knots <= 6
    spread = np.sqrt(np.diag(SIGMA) * found.num_knots / 3000)
    assert (np.abs(found.tuning - tuning(found.stimuli)) < 4.5 * spread).all()
    score = (np.asarray(found["direct"].value) - exact) / np.asarray(found["direct"].standard_error)
    assert abs(score.mean()) < 1.5
    assert (np.abs(score) < 3.5).all()
    low, high = np.asarray(found["direct"].interval)
    assert ((low < exact) & (exact < high)).mean() > 0.7
    shuffled = np.sum(slope**2 / np.diag(SIGMA), axis=1)
    assert (
        np.abs(np.asarray(found["shuffled"].value) - shuffled) < 4 * np.asarray(found["shuffled"].standard_error)
    ).all()
    with pytest.raises(ValueError, match=r"pairs need two trials at each stimulus.*fisher.smooth_information"):
        fisher.recorded_information(recording)


def test_smooth_tuning_follows_a_covariance_that_changes():
    rng = np.random.default_rng(0)
    theta = rng.uniform(-1, 1, 8000)
    scale = 1 + 0.8 * theta
    responses = 2 * theta[:, None] * SLOPE[:3] + scale[:, None] * rng.normal(size=(8000, 3))
    found = fisher.smooth_information(fisher.Recording(responses, theta), [-0.5, 0.0, 0.5])
    exact = 4 * SLOPE[:3] @ SLOPE[:3] / (1 + 0.8 * found.stimuli) ** 2
    assert found.num_covariance_knots > 1
    assert np.allclose(found["direct"].value, exact, rtol=0.2)
    with pytest.raises(ValueError, match="stimuli must lie in the recorded range"):
        fisher.smooth_information(fisher.Recording(responses, theta), [3.0])


def test_growth_of_a_recording_is_seen_where_it_is(key):
    """Means over pairs; with differential correlations the limit is in its interval, without none is resolved."""
    units, epsilon = 24, 0.05
    slope = np.random.default_rng(1).normal(size=units)
    limited = np.linalg.cholesky(np.eye(units) + epsilon * np.outer(slope, slope))
    values, theta = gaussian(np.random.default_rng(2), (300, 300, 300), slope, limited)
    found = fisher.information_scaling(fisher.Recording(values, theta), key=key, num_subsets=5)
    assert bool(found.resolved)
    assert abs(float(found.limiting_noise) - epsilon) < 4 * float(found.limiting_noise_error)
    assert np.isclose(
        float(found.units_for(0.9)), 9 / (float(found.limiting_noise) * float(found.information_per_unit))
    )
    values, theta = gaussian(np.random.default_rng(3), (300, 300, 300), slope, np.eye(units))
    with pytest.warns(RuntimeWarning, match="saturation was not seen"):
        free = fisher.information_scaling(fisher.Recording(values, theta), key=key, num_subsets=5)
    assert np.isnan(float(free.units_for(0.9)))
    assert np.isclose(
        float(free.value[-1]),
        float(fisher.recorded_information(fisher.Recording(values, theta), check=False).averages["direct"].value),
        rtol=1e-6,
    )


def test_tuning_is_that_of_its_units():
    recording = recorded(0, (40, 41, 42))
    found = fisher.tuning(recording)
    assert np.allclose(found.mean[1], recording.at(1).mean(axis=0))
    assert np.allclose(found.variance[2], recording.at(2).var(axis=0, ddof=1))
    noise = fisher.tuning(
        fisher.Recording(np.random.default_rng(0).poisson(5, (6000, 20)), np.repeat(np.arange(6.0), 1000))
    )
    assert abs(noise.modulation.mean()) < 4 * noise.modulation.std() / np.sqrt(20)
    assert np.allclose(noise.fano_factor, 1, atol=0.1)
    angles = np.repeat(np.arange(8) * 22.5, 50)
    curves = 5 * np.exp(np.cos(2 * np.pi / 180 * (angles[:, None] - np.array([10.0, 100.0]))))
    turned = fisher.tuning(
        fisher.Recording(curves + 0.1 * np.random.default_rng(0).normal(size=curves.shape), angles, period=180)
    )
    assert np.allclose(turned.preferred, [10, 100], atol=2)
