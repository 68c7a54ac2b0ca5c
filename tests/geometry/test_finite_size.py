"""What finitely many units add to distances: against simulation, exactly at the first step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import datasets, geometry, optimize
from fisherjax.connectivity import GainMatrix
from fisherjax.connectivity._gain_matrix import population_sizes
from fisherjax.geometry import _scatter as inner
from fisherjax.geometry._distances import starting_overlap
from fisherjax.meanfield import pattern_overlaps
from fisherjax.nonlinearities import as_nonlinearity

S, N, T, NOISE = 12, 200, 3, 0.1
PAIRS = np.triu_indices(S, 1)
TANH = as_nonlinearity("tanh")
ONE = cn.homogeneous(1.1)
TWO = GainMatrix(np.array([[0.9, 0.6], [0.7, 1.0]]), np.array([0.4, 0.6]))
STRUCTURES = {"one": ONE, "two": TWO}


@functools.cache
def gratings(name):
    """Stimuli at similar distances, where the scatter of few units counts most."""
    matrix = STRUCTURES[name]
    angles = np.linspace(0, np.pi, S, endpoint=False)
    images = datasets.gratings(angles, key=jax.random.key(0), size=41, noise_variance=0.2)
    return geometry.initial_patterns(images, matrix, N, key=jax.random.key(1))


@functools.cache
def simulated(name, trials, draws=200):
    """Distances (draws, T, pairs) in single networks."""
    matrix, patterns = STRUCTURES[name], np.asarray(gratings(name))
    rng = np.random.default_rng(0)
    index = np.asarray(cn.population_index(matrix, N))
    deviations = np.asarray(matrix.gains)[index][:, index] / np.sqrt(N)
    found = np.empty((draws, T, len(PAIRS[0])))
    for draw in range(draws):
        weights = deviations * rng.standard_normal((N, N))
        states = np.broadcast_to(patterns, (trials, S, N))
        for step in range(T):
            states = np.tanh(states) @ weights.T + NOISE * rng.standard_normal(states.shape)
            means = states.mean(axis=0)
            found[draw, step] = np.linalg.norm(means[PAIRS[0]] - means[PAIRS[1]], axis=1)
    return found


def predicted(matrix, patterns, trials, **options):
    settings = {"noise_std": NOISE, "num_steps": T, "num_units": N, "num_trials": trials} | options
    start = starting_overlap(matrix, patterns, TANH)
    return geometry.predicted_correlation(matrix, start, geometry.pairwise_distances(patterns), **settings)


@pytest.mark.parametrize(("name", "trials"), [("one", 1), ("two", 1), ("one", 8)])
def test_correlation_in_one_network_is_predicted(name, trials):
    """Within three standard errors at t = 1, 0.01 more later."""
    matrix, patterns = STRUCTURES[name], gratings(name)
    original = np.asarray(geometry.pairwise_distances(patterns))[PAIRS]
    distances = simulated(name, trials)
    rho = np.array([[np.corrcoef(original, step)[0, 1] for step in draw] for draw in distances])
    error = rho.std(axis=0) / np.sqrt(len(rho))
    difference = np.asarray(predicted(matrix, patterns, trials)) - rho.mean(axis=0)
    assert np.all(np.abs(difference) < 3 * error + np.array([0.0, 0.01, 0.01])), difference / error
    infinite = np.asarray(predicted(matrix, patterns, trials, num_units=10**9))
    assert np.all(infinite - rho.mean(axis=0) > 0.05)


@pytest.mark.parametrize("name", ["one", "two"])
def test_variance_of_distances_is_inherited_and_added(name):
    """Mean over pairs of Var d²/(4 E d²): as simulated, within 5 % at t = 1 and 10 % later."""
    matrix, patterns = STRUCTURES[name], gratings(name)
    overlaps = pattern_overlaps(matrix, starting_overlap(matrix, patterns, TANH), noise_std=NOISE, num_steps=T)
    measured = simulated(name, 1).var(axis=0, ddof=1).mean(axis=1)
    units = N * np.asarray(matrix.fractions)
    fluctuation = inner.no_fluctuation(matrix, S)
    original = geometry.pairwise_distances(patterns)
    for step in range(T):
        variance, overlap = overlaps.variance[step], overlaps.overlap[step]
        square = np.asarray(inner.squares(variance, overlap, 1))[:, PAIRS[0], PAIRS[1]]
        mixed = jnp.einsum("pq,rs,mqisj->mpirj", matrix.variance_gain, matrix.variance_gain, fluctuation)
        inherited = np.einsum("p,r,mpr->m", units, units, np.asarray(mixed)[:, :, 2, :, 2])
        added = 2 * units @ square**2
        expected = np.mean((added + inherited) / (4 * units @ square))
        assert measured[step] == pytest.approx(expected, rel=0.05 if step == 0 else 0.1)
        _, fluctuation = inner.scatter_step(matrix, TANH, original, fluctuation, variance, overlap, N, 1)
    assert np.mean(inherited / added) > 0.5  # without what is inherited it would be less than two thirds


def test_linear_networks_inherit_exactly():
    """φ(x) = x: fluctuations of |x|² are those of products of χ², whose relative variance grows by 2/N a step."""
    identity = as_nonlinearity("identity")
    patterns = jnp.asarray(np.random.default_rng(0).normal(size=(S, N)))
    overlaps = pattern_overlaps(
        ONE, starting_overlap(ONE, patterns, identity), noise_std=0.0, num_steps=T, nonlinearity=identity
    )
    fluctuation = inner.no_fluctuation(ONE, S)
    for step in range(T):
        moments = overlaps.variance[step], overlaps.overlap[step]
        square = np.asarray(inner.squares(*moments, 1))[0][PAIRS]
        _, fluctuation = inner.scatter_step(
            ONE, identity, geometry.pairwise_distances(patterns), fluctuation, *moments, N, 1
        )
        relative = np.asarray(fluctuation)[:, 0, 2, 0, 2] / square**2
        np.testing.assert_allclose(relative, 2 * (step + 1) / N, rtol=1e-6)


def test_comparison_and_objective_predict_the_same_number():
    patterns = gratings("two")
    found = geometry.compare_geometry(
        TWO, patterns, noise_std=NOISE, num_steps=T, num_trials=1, num_draws=1, key=jax.random.key(0), num_resamples=0
    )
    np.testing.assert_allclose(found.theory.pearson, predicted(TWO, patterns, 1), rtol=1e-6)
    units = population_sizes(ONE, N)[0]
    objective = optimize.DistancesKept(patterns[:, :units], T, noise_std=NOISE, num_units=N)
    assert float(objective(ONE)) == pytest.approx(float(predicted(ONE, patterns, 1)[-1]), rel=1e-6)


def test_gradient_is_that_of_differences():
    patterns = gratings("two")[:6]

    def last(gains):
        matrix = GainMatrix(gains, TWO.fractions)
        return predicted(matrix, patterns, 4, num_steps=2)[-1]

    slope, step = jax.grad(last)(TWO.gains), 1e-5
    for place in ((0, 0), (1, 0)):
        moved = [last(TWO.gains.at[place].add(sign * step)) for sign in (1, -1)]
        assert float(slope[place]) == pytest.approx(float(moved[0] - moved[1]) / (2 * step), rel=1e-4)


def test_gradient_holds_with_equal_stimuli_and_without_noise():
    patterns = gratings("one")[:6]
    patterns = patterns.at[1].set(patterns[0])

    def last(gain):
        matrix = GainMatrix(gain[None, None], ONE.fractions)
        return predicted(matrix, patterns, None, noise_std=0.0, num_steps=2)[-1]

    assert np.isfinite(jax.grad(last)(jnp.asarray(1.1)))


def test_a_silent_network_keeps_no_geometry():
    silent = GainMatrix(np.zeros((1, 1)), np.ones(1))
    with pytest.warns(RuntimeWarning, match="expected to be all equal, and correlations NaN, at t = 1, 2"):
        rho = predicted(silent, gratings("one")[:6], None, num_steps=2)
    assert np.isnan(rho).all()
    np.testing.assert_allclose(predicted(silent, gratings("one")[:6], 1), 0, atol=1e-12)
