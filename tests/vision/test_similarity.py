"""A model beside a recording in time: distances without bias, ceilings, chance, an area and a delay that are known."""

import jax
import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from fisherjax import datasets, fisher
from fisherjax.vision import ConvolutionalRNN, architecture, neural_regression, representational_similarity, respond
from fisherjax.vision._matching._comparison import COMPARISONS, compared
from fisherjax.vision._matching._match import delays_between
from fisherjax.vision._matching._patterns import fold_means, noise_covariance, recorded_distances
from fisherjax.vision._matching._regression import _PENALTIES
from fisherjax.vision._matching._similarity import _doubt_time

PAIRS = np.triu_indices(6, 1)
ALL = {
    "pearson": lambda x, y: scipy.stats.pearsonr(x, y).statistic,
    "spearman": lambda x, y: scipy.stats.spearmanr(x, y).statistic,
    "kendall": lambda x, y: scipy.stats.kendalltau(x, y).statistic,  # τ-b, the same as τ-a without ties
    "cosine": lambda x, y: x @ y / np.linalg.norm(x) / np.linalg.norm(y),
}
FEW = {"num_permutations": 0, "num_resamples": 20}


def recording(rng, means, num_trials, factor=None, **options):
    """Gaussian trials about means (stimuli, units), in turn."""
    stimuli, units = means.shape
    noise = rng.normal(size=(num_trials, stimuli, units)) @ (np.eye(units) if factor is None else factor.T)
    return fisher.Recording((means + noise).reshape(-1, units), np.tile(np.arange(stimuli), num_trials), **options)


def squares(patterns):
    return ((patterns[:, None] - patterns) ** 2).sum(axis=-1)


def distinct(rng, *shape):
    """Symmetric matrices of distances of all sizes, no two equal."""
    matrix = rng.normal(size=shape)
    matrix = matrix + np.swapaxes(matrix, -1, -2)
    return matrix * (1 - np.eye(shape[-1]))


def test_crossvalidated_distances_are_unbiased():
    """Zero between equal means, squared Mahalanobis distance between others; distances of means are neither."""
    rng = np.random.default_rng(0)
    means = np.repeat(rng.normal(size=(3, 5)), 2, axis=0)  # every stimulus twice
    factor = np.linalg.cholesky(0.5 * np.eye(5) + 0.5 + np.diag(np.arange(5.0)))
    draws = [recording(rng, means, 60, factor) for _ in range(60)]
    for distance, white in (("crossvalidated", means), ("crossnobis", np.linalg.solve(factor, means.T).T)):
        found = np.array([recorded_distances(one, distance, 1)[0][PAIRS] for one in draws])
        error = found.std(axis=0, ddof=1) / np.sqrt(len(draws))
        truth = squares(white)[PAIRS]
        # the inverse of an estimated covariance is too large by (p + 1)/degrees of freedom
        inverse = 1 + 6 / (6 * 59) if distance == "crossnobis" else 1
        assert np.abs((found.mean(axis=0) - truth * inverse) / error).max() < 4
    naive = np.mean([recorded_distances(one, "squared", 1)[0][0, 1] for one in draws])
    assert_allclose(naive, 2 * np.trace(factor @ factor.T) / 60, rtol=0.2)


def test_folds_are_blocks_or_trials_in_turn():
    rng = np.random.default_rng(0)
    theta = np.array([2, 0, 0, 1, 1, 2, 0, 1, 2, 0, 0])  # five trials of 0, three of the others
    one = fisher.Recording(rng.normal(size=(11, 2)), theta)
    folds = fold_means(one)
    assert folds.shape == (3, 3, 2)
    zeros = one.responses[theta == 0]
    assert_allclose(folds[:, 0], [zeros[[0, 3]].mean(axis=0), zeros[[1, 4]].mean(axis=0), zeros[2]])
    block = np.array([0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    blocked = fold_means(fisher.Recording(one.responses, theta, block=block))
    assert_allclose(blocked[1, 1], one.responses[(theta == 1) & (block == 1)].mean(axis=0))
    # the sum over pairs of different folds, written out
    d = folds[:, 0] - folds[:, 1]
    pairs = np.mean([d[i] @ d[j] for i in range(3) for j in range(3) if i != j])
    assert_allclose(recorded_distances(one, "crossvalidated", 1)[0, 0, 1], pairs)
    assert_allclose(recorded_distances(one, "squared", 1)[0, 0, 1], ((folds.mean(0)[0] - folds.mean(0)[1]) ** 2).sum())
    r = np.corrcoef(folds.mean(axis=0))
    assert_allclose(recorded_distances(one, "correlation", 1)[0], 1 - r, atol=1e-12)


def test_shrunken_covariance_follows_the_scale_of_each_unit():
    rng = np.random.default_rng(0)
    factor, scale = rng.normal(size=(4, 4)), np.array([1.0, 100.0, 0.01, 5.0])
    one = recording(rng, np.zeros((5, 4)), 300, factor)
    scaled = fisher.Recording(one.responses * scale, one.stimulus)
    assert_allclose(noise_covariance(scaled), noise_covariance(one) * scale[:, None] * scale)
    assert_allclose(noise_covariance(one), factor @ factor.T, rtol=0.15, atol=0.15 * np.abs(factor @ factor.T).max())
    assert_allclose(recorded_distances(scaled, "crossnobis", 2), recorded_distances(one, "crossnobis", 2))


@pytest.mark.parametrize("kind", COMPARISONS)
def test_comparisons_resamples_and_permutations(kind):
    """Against scipy; a resample is that of stimuli written out, less pairs of a stimulus with itself."""
    rng = np.random.default_rng(0)
    model, recorded = distinct(rng, 3, 6, 6), distinct(rng, 2, 4, 6, 6)
    counts, orders = (
        np.array([[2, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]),
        np.array([rng.permutation(6) for _ in range(3)]),
    )
    found, resampled, null = compared(model[(slice(None), *PAIRS)], recorded, orders, counts.astype(float), kind)

    def mean(a, b, rows, columns):
        return np.mean([ALL[kind](model[a][rows, columns], split[b][rows, columns]) for split in recorded])

    for a, b in ((0, 0), (2, 3)):
        assert_allclose(found.value[a, b], mean(a, b, *PAIRS))
        shown = np.repeat(np.arange(6), counts[0])
        rows, columns = shown[np.triu_indices(6, 1)[0]], shown[np.triu_indices(6, 1)[1]]
        apart = rows != columns
        if kind != "kendall":  # whose copies of a pair are tied in scipy's τ
            assert_allclose(resampled.value[0, a, b], mean(a, b, rows[apart], columns[apart]))
        permuted = recorded[:, b][:, orders[1]][:, :, orders[1]]
        expected = np.mean([ALL[kind](model[a][PAIRS], split[PAIRS]) for split in permuted])
        assert_allclose(null[1, a, b], expected)
    assert_allclose(resampled.value[1], found.value)
    assert_allclose(found.reliability[2], ALL[kind](recorded[0, 2][PAIRS], recorded[1, 2][PAIRS]))


def test_ties_count_as_neither():
    """τ-a: of three pairs of values one is concordant, one tied and one discordant; of τ-b ties would be left out."""
    model = np.array([[0.0, 1.0, 1.0]])
    recorded = np.zeros((1, 1, 3, 3))
    recorded[0, 0][np.triu_indices(3, 1)] = [1.0, 2.0, 0.0]
    recorded += np.swapaxes(recorded, 2, 3)
    none = np.zeros((0, 3))
    assert_allclose(compared(model, recorded, none.astype(int), none, "kendall")[0].value, 0, atol=1e-12)


def test_invariances():
    """Rotations, scales and offsets of the model change nothing, nor does the order of the rows with stimuli=."""
    rng = np.random.default_rng(0)
    model = rng.normal(size=(2, 8, 5))
    one = recording(rng, rng.normal(size=(8, 6)), 6)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    order = rng.permutation(8)
    first = representational_similarity({"V1": model}, one, key=jax.random.key(0), **FEW)
    for ask in (representational_similarity, neural_regression):
        found = ask({"V1": model}, one, key=jax.random.key(0), **FEW)
        moved = ask({"V1": 3 * model @ rotation + 7}, one, key=jax.random.key(0), **FEW)
        assert_allclose(found.value, moved.value, atol=1e-8)
        mixed = ask([model[:, order]], one, key=jax.random.key(0), stimuli=order, **FEW)
        assert_allclose(found.value, mixed.value, atol=1e-8)
        assert found.areas == ("V1",)
        assert mixed.areas == ("area 0",)
        assert type(found).from_bytes(found.to_bytes()).best.area == "V1"
        assert_allclose(found.of_ceiling * found.ceiling, found.value)
    # a recording may lack pictures: those rows of the model are not looked at
    more = np.concatenate([model, model[:, :2] + 1], axis=1)
    assert_allclose(representational_similarity([more], one, key=jax.random.key(0), **FEW).value, first.value)


@pytest.mark.parametrize("comparison", ["pearson", "cosine", "spearman", "kendall"])
def test_the_truth_is_at_the_ceiling_and_between_its_bounds(comparison):
    """In several recordings of the same means; and nothing is above the upper bound."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(12, 10))
    recordings = [recording(rng, means, 12, 0.8 * np.eye(10)) for _ in range(40)]
    # recordings of one call have the same trials: each is a time
    found = representational_similarity(
        [means[None], rng.normal(size=(1, 12, 10))], recordings, key=jax.random.key(0), comparison=comparison,
        distance="crossvalidated", num_splits=3, **FEW,
    )  # fmt: skip
    truth, other = found.value[:, 0]
    assert found.lower_ceiling.mean() < truth.mean() < found.upper_ceiling.mean()
    assert (other < found.upper_ceiling).all()
    assert np.isfinite(found.ceiling).all()
    difference = truth - found.ceiling
    slack = {"spearman": 0.01, "kendall": 0.01}.get(comparison, 0)  # ranks are not linear
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(40) + slack
    if comparison == "pearson":  # no distances have a larger mean correlation with the parts
        split = np.stack([recorded_distances(recordings[0], "crossvalidated", 3)], 1)
        rows, columns = np.triu_indices(12, 1)
        tried = rng.normal(size=(300, 66)) + split[:, 0, rows, columns].mean(axis=0)
        none = np.zeros((0, 12))
        most = compared(tried, split, none.astype(int), none, "pearson")[0].value.max()
        assert found.upper_ceiling[0] - 0.2 < most < found.upper_ceiling[0]


def by_hand(features, responses, folds):
    """Ridge regression with the penalty of each unit by generalized cross-validation, in the space of features."""
    predicted = np.empty_like(responses)
    for fold in range(folds.max() + 1):
        train = folds != fold
        x, y = features[train], responses[train]
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        scale = np.trace(x @ x.T) / (train.sum() - 1)
        best = np.full(y.shape[1], np.inf)
        for penalty in _PENALTIES * scale:
            weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
            freedom = train.sum() - 1 - np.trace(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ x))
            score = ((y - x @ weights) ** 2).sum(axis=0) / freedom**2
            shown = (features[~train] - features[train].mean(axis=0)) @ weights + responses[train].mean(axis=0)
            better = score < best
            best = np.where(better, score, best)
            predicted[np.ix_(~train, better)] = shown[:, better]
    return predicted


def test_regression_is_ridge_regression_of_each_unit(monkeypatch):
    """Every unit beside the same in the space of features, folds of unequal size."""
    rng = np.random.default_rng(0)
    model = rng.normal(size=(2, 11, 4))
    signal = model[0] @ rng.normal(size=(4, 3))
    recordings = [recording(rng, signal + np.array([5.0, 0, -3]), 4), recording(rng, np.zeros((11, 2)), 4)]
    order = np.arange(11)
    monkeypatch.setattr(
        "fisherjax.vision._matching._regression._folds",
        lambda *_: np.stack([np.append(order[fold::3], [-1] * (fold == 2)).astype(int) for fold in range(3)]),
    )
    found = neural_regression([model], recordings, key=jax.random.key(0), num_folds=3, **FEW)
    for time, one in enumerate(recordings):
        means = np.array([one.at(index).mean(axis=0) for index in range(11)])
        for step in range(2):
            wrong = means - by_hand(model[step], means, order % 3)
            expected = 1 - (wrong**2).mean(axis=0) / means.var(axis=0, ddof=1)
            assert_allclose(found.unit_value[time][0, step], expected, rtol=1e-6)
            assert_allclose(found.value[0, step, time], expected.mean(), rtol=1e-6)
        noise = np.array([one.at(index).var(axis=0, ddof=1) for index in range(11)]).mean(axis=0) / 4
        assert_allclose(found.unit_ceiling[time], 1 - noise / means.var(axis=0, ddof=1))
        assert_allclose(found.ceiling[0], found.unit_ceiling[0].mean())
    assert np.isnan(found.ceiling[1])  # noise alone has none
    assert found.best.delay == 0


def test_explained_variance_reaches_its_ceiling_and_has_its_error():
    """A model that is right, many stimuli: the ceiling is that of the means, and errors are those of new stimuli."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 5))
    found, explained = [], []
    for _ in range(40):
        model = rng.normal(size=(1, 60, 3))
        one = recording(rng, model[0] @ weights, 4, 1.5 * np.eye(5))
        found.append(neural_regression([model], one, key=jax.random.key(0), **FEW))
    ceiling, explained = (np.array([getattr(one, name).ravel()[0] for one in found]) for name in ("ceiling", "value"))
    truth = np.mean(1 - 1.5**2 / 4 / ((weights**2).sum(axis=0) + 1.5**2 / 4))
    assert abs(ceiling.mean() - truth) < 4 * ceiling.std() / np.sqrt(40) + 0.005  # a ratio is biased by 1/stimuli
    share = explained / ceiling
    assert 0.9 < share.mean() < 1
    error = np.array([one.standard_error.ravel()[0] for one in found])
    assert 0.7 < error.mean() / explained.std(ddof=1) < 1.4


def test_errors_of_similarity_are_those_of_new_stimuli():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 8))
    found = []
    for _ in range(40):
        model = rng.normal(size=(1, 20, 6)) * np.array([2.0, 1, 1, 1, 1, 1])
        one = recording(rng, model[0] @ weights, 6, 2 * np.eye(8))
        found.append(
            representational_similarity([model], one, key=jax.random.key(0), num_permutations=0, num_resamples=60)
        )
    error, value = (np.array([getattr(one, name).item() for one in found]) for name in ("standard_error", "value"))
    assert 0.7 < error.mean() / value.std(ddof=1) < 1.5


def test_in_noise_nothing_is_found_oftener_than_claimed():
    """Probabilities are corrected for all areas and times: of noise, one in twenty is below 0.05 anywhere."""
    rng = np.random.default_rng(0)
    model = [rng.normal(size=(2, 8, 5)), rng.normal(size=(2, 8, 3))]
    count = 60
    silence = [[recording(rng, np.zeros((8, 4)), 4) for _ in range(2)] for _ in range(count)]
    for ask, options in (
        (representational_similarity, {"comparison": "cosine"}),
        (neural_regression, {"num_folds": 2}),
    ):
        options |= {"num_permutations": 39, "num_resamples": 20}
        found = [ask(model, one, key=jax.random.key(index), **options) for index, one in enumerate(silence)]
        least = np.array([one.probability.min() for one in found])
        assert (least <= 0.05).sum() <= 0.05 * count + 3 * np.sqrt(0.05 * 0.95 * count)
        assert 0.35 < least.mean() < 0.65  # uniform, as a whole


@pytest.fixture(scope="module")
def seen():
    """What a network did when it saw digits, and a recording of its area 2 three steps later."""
    images = datasets.digits()[0][:40]
    plan = architecture("R4-8", channels=(6, 6, 8, 8), alpha=0.4, blank_steps=1, image_steps=9)
    network = ConvolutionalRNN(plan, key=jax.random.key(0), recurrent_gain=2.0)
    response = respond(network, (images - images.mean()) / images.std(), areas="all")
    rng = np.random.default_rng(0)
    flat = np.asarray(response.activity[2]).reshape(10, 40, -1)
    mixed = flat @ rng.normal(size=(flat.shape[2], 60))
    mixed = np.concatenate([np.zeros((3, 40, 60)), mixed / mixed.std(axis=1).max()])
    return response, [recording(rng, at, 8, 0.3 * np.eye(60)) for at in mixed]


@pytest.mark.parametrize("ask", [representational_similarity, neural_regression])
def test_the_area_and_the_delay_are_found(seen, ask):
    response, recordings = seen
    found = ask(
        response, recordings, key=jax.random.key(0), times=10 * response.recorded,
        recorded_times=10 * np.arange(1, 14), time_unit="ms", num_permutations=20, num_resamples=40,
    )  # fmt: skip
    assert found.best.area == "area 2"
    assert abs(found.best.delay - 30) <= 3 * found.best.delay_error + 1e-9
    assert found.best.delay_error < 15
    assert found.best.area_share > 0.9
    assert found.best.probability == 1 / 21
    assert found.areas == ("area 0", "area 1", "area 2", "area 3")
    # before the area has heard of the image it does not tell stimuli apart: no similarity, nothing explained
    silent = found.value[2, 0]
    assert np.isnan(silent).all() if ask is representational_similarity else (silent < 0).all()
    assert (found.probability[:, :, :4] > 0.05)[np.isfinite(found.probability[:, :, :4])].all()


def test_a_response_must_be_of_several_images(seen):
    response, recordings = seen
    one = jax.tree.map(lambda part: part[:, 0] if part.ndim == 5 else part, response)
    with pytest.raises(ValueError, match=r"activity of a response must have shape \(steps, images, height"):
        representational_similarity(one, recordings, key=jax.random.key(0), **FEW)


def test_delays():
    """Half as many times as the most must meet; of uneven axes those that have no others to be compared with."""
    usable = np.ones((1, 4, 4), bool)
    both = delays_between(np.arange(4.0), np.arange(4.0) + 0.3, usable)
    assert_allclose(both.delays, [-1.7, -0.7, 0.3, 1.3, 2.3])
    value = np.arange(16.0).reshape(1, 4, 4)
    assert_allclose(
        both.means(value, np.full(4, 2.0))[0], [np.trace(value[0], k) / 2 / (4 - abs(k)) for k in range(-2, 3)]
    )
    usable[0, :, :3] = False
    assert_allclose(delays_between(np.arange(4.0), np.arange(4.0), usable).delays, [0, 1, 2, 3])
    single = delays_between(np.array([1.0]), np.array([4.0]), np.ones((2, 1, 1), bool))
    assert_allclose(single.means(np.array([[[3.0]], [[1.0]]]), np.ones(1)), [[3], [1]])


def test_without_splits_or_signal():
    rng = np.random.default_rng(0)
    model = rng.normal(size=(1, 6, 4))
    one = recording(rng, model[0], 4)
    whole = representational_similarity([model], one, key=jax.random.key(0), num_splits=1, **FEW)
    assert np.isnan(whole.upper_ceiling).all()
    assert_allclose(whole.by_delay.ravel(), whole.value.ravel())
    assert whole.probability is None
    assert whole.best.probability is None
    still = representational_similarity([np.ones((1, 6, 4))], one, key=jax.random.key(0), **FEW)
    assert np.isnan(still.value).all()
    assert still.best is None


def test_silent_patterns_are_uncorrelated_with_all():
    rng = np.random.default_rng(0)
    model = rng.normal(size=(1, 6, 4))
    model[0, 2] = 1.0
    found = representational_similarity(
        [model], recording(rng, model[0], 4), key=jax.random.key(0), distance="correlation", comparison="cosine",
        num_splits=1, **FEW,
    )  # fmt: skip
    expected = np.ones((6, 6))
    others = np.delete(np.arange(6), 2)
    expected[np.ix_(others, others)] = 1 - np.corrcoef(model[0, others])
    assert_allclose(found.value.item(), ALL["cosine"](expected[PAIRS], found.distances[0][PAIRS]))


MODEL = np.random.default_rng(0).normal(size=(2, 6, 3))
ONE = recording(np.random.default_rng(1), np.zeros((6, 3)), 4)
BLOCKED = fisher.Recording(ONE.responses, ONE.stimulus, block=np.repeat([0, 1], 12))
LACKING = fisher.Recording(ONE.responses, ONE.stimulus, block=np.arange(24) // 5)
RARE = np.where(
    (np.arange(25) == 24)[:, None] & (np.arange(3) == 1), 1.0, np.append(ONE.responses, [[0, 0, 0]], axis=0)
)
RARE[:24, 1] = 0
SILENT = fisher.Recording(RARE, np.append(ONE.stimulus, 0)).select(trials=np.arange(24))
SINGLE = ONE.select(trials=np.arange(6))


@pytest.mark.parametrize(("arguments", "options", "message"), [
    ((MODEL, ONE), {}, "activity must be areas by name, a list"),
    (([], ONE), {}, "activity must hold at least one area"),
    (([MODEL[0]], ONE), {}, r"must have shape \(times, stimuli, units\).*for one time give activity\[None\]"),
    (([MODEL, MODEL[:1]], ONE), {}, "activity must have the same times and stimuli in every area"),
    (([MODEL], [ONE, BLOCKED]), {}, r"recording\[1\] must hold the same trials as recording\[0\]"),
    (([MODEL], []), {}, "recording must hold at least one time"),
    (([MODEL], ONE.responses), {}, "recording must be a fisher.Recording, or a list"),
    (([MODEL[:, :5]], ONE), {}, "recording must have row numbers of activity as its stimuli, 0 to 4"),
    (([MODEL], fisher.Recording(ONE.responses, ONE.stimulus + 1)), {}, "take 1 off"),
    (([MODEL], ONE), {"stimuli": np.arange(5)}, "stimuli must be one for each of 6 rows"),
    (([MODEL], ONE), {"stimuli": np.arange(6) + 1}, "stimuli lack 1 of the recording's 6 stimuli"),
    (([MODEL], ONE), {"stimuli": [0, 1, 2, 3, 4, 4]}, "stimuli lack 1"),
    (([MODEL], ONE.select(trials=ONE.stimulus < 4)), {}, "at least 5 stimuli, got 4"),
    (([MODEL], ONE), {"times": [2.0, 1.0]}, "times must grow"),
    (([MODEL], ONE), {"recorded_times": [1.0, 2.0]}, "recorded_times must be one for each of 1 recordings"),
    (([MODEL], ONE), {"num_permutations": 5}, "num_permutations must be at least 20, or 0"),
    (([MODEL], ONE), {"num_resamples": 5}, "num_resamples must be at least 20"),
    (([MODEL], LACKING), {}, "every block must hold all stimuli, but blocks 0, 1, 2, 3, 4 do not"),
])  # fmt: skip
@pytest.mark.parametrize("ask", [representational_similarity, neural_regression])
def test_what_does_not_fit_is_named(ask, arguments, options, message, as_user):
    with pytest.raises((ValueError, TypeError), match=message):
        ask(*arguments, key=jax.random.key(0), **options)


@pytest.mark.parametrize(("recorded", "options", "message"), [
    (ONE, {"distance": "mahalanobis"}, "distance must be one of 'crossnobis'"),
    (ONE, {"comparison": "tau"}, "comparison must be one of"),
    (ONE, {"num_splits": 3}, "need at least 6 trials of each stimulus, got 4; take fewer splits"),
    (BLOCKED, {}, "need at least 4 blocks, got 2"),
    (SILENT, {}, "there is none in unit 1; leave those out"),
])  # fmt: skip
def test_what_does_not_fit_a_similarity(recorded, options, message):
    with pytest.raises(ValueError, match=message):
        representational_similarity([MODEL], recorded, key=jax.random.key(0), **options)


def test_what_does_not_fit_a_regression():
    with pytest.raises(ValueError, match="at least two trials of each stimulus, got one"):
        neural_regression([MODEL], SINGLE, key=jax.random.key(0))
    with pytest.raises(ValueError, match="num_folds must be at most 6"):
        neural_regression([MODEL], ONE, key=jax.random.key(0), num_folds=7)
    with pytest.warns(RuntimeWarning, match="that takes long"):
        _doubt_time("kendall", jax.numpy.zeros((400, 5000)), np.zeros((2, 30, 100, 100)), 700)
