"""Structures that keep the geometry of stimuli."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import connectivity as cn
from fisherjax import datasets, geometry, optimize


@pytest.fixture(scope="module")
def objective():
    key = jax.random.key(0)
    patterns = geometry.initial_patterns(datasets.natural_patches(10, key=key), cn.homogeneous(1.0), 100, key=key)
    return optimize.DistancesKept(patterns, 4, noise_std=0.3, num_units=300)


def test_gradient_matches_differences(objective):
    gains, direction = jnp.array([[0.9, 0.4], [0.8, 0.5]]), jnp.array([[0.3, -0.2], [0.5, 0.1]])

    def value(step):
        return objective(cn.GainMatrix(gains + step * direction))

    step = 1e-4
    difference = (value(step) - value(-step)) / (2 * step)
    assert float(jax.grad(value)(0.0)) == pytest.approx(float(difference), rel=1e-5)


def test_a_vanishing_signal_is_not_kept_geometry(objective):
    weak, critical = (float(objective(cn.homogeneous(gain, 2))) for gain in (0.1, 1.0))
    assert weak < 0.1 < critical


def test_maximizing_beats_the_homogeneous_network(objective):
    found = optimize.maximize(
        cn.ToeplitzFamily(2),
        objective,
        key=jax.random.key(1),
        constraints=(optimize.Budget(1.0),),
        num_generations=6,
        population_size=8,
        refine_steps=3,
    )
    assert float(found.value) > float(objective(cn.homogeneous(1.0, 2)))
    assert float(found.gain_matrix.mean_synaptic_budget) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("patterns", "options", "message"),
    [
        (np.eye(2), {}, "patterns must hold at least three stimuli"),
        (np.ones((4, 3)), {}, "patterns must have distances that differ"),
        (0.1 * np.eye(5), {}, "patterns must have distances that differ"),
        (np.ones((4, 3, 1)), {}, r"patterns must have shape \(stimuli, units\)"),
        (np.diag([1.0, 2.0, 3.0]), {"noise_std": 0.0}, "noise_std must be above 0"),
        (np.diag([1.0, 2.0, 3.0]), {"step": 0}, "step must be at least 1"),
    ],
)
def test_bad_input(patterns, options, message, as_user):
    with pytest.raises(ValueError, match=message):
        optimize.DistancesKept(patterns, **options)


def test_population_out_of_range(objective):
    outside = optimize.DistancesKept(np.diag([1.0, 2.0, 3.0]), population=2)
    with pytest.raises(ValueError, match="population must be below 2"):
        outside(cn.homogeneous(1.0, 2))
