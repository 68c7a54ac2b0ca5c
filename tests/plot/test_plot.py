"""Pictures show what they should: axes, labels, data."""

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from scipy.spatial.distance import squareform

from fisherjax import connectivity as cn
from fisherjax import fisher, geometry, plot
from fisherjax.optimize._problem import History
from fisherjax.plot._style import population_color

mpl.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def curve(two_populations):
    return fisher.meanfield_curve(two_populations, stimulus=0.1, noise_std=0.1, num_steps=4)


def test_theory_is_a_line_per_population_in_its_color(curve):
    ax = plot.fisher_curve(curve)
    assert [line.get_label() for line in ax.lines] == ["total", "population 0", "population 1"]
    assert ax.lines[1].get_color() == population_color(0)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.total)
    assert ax.get_yscale() == "log"
    assert "steps" in ax.get_xlabel()
    assert "1/θ²" in ax.get_ylabel()


def test_measurement_is_points_with_errors(curve):
    error = 0.1 * curve.total
    measured = fisher.FisherCurve(curve.times, curve.by_population, curve.total, error, "independent")
    _, ax = plt.subplots()
    assert plot.fisher_curve(measured, ax) is ax
    assert len(ax.containers) == 3
    assert ax.containers[0].has_yerr


def test_negative_estimates_leave_a_gap_not_an_error(curve):
    measured = fisher.FisherCurve(curve.times, curve.by_population, curve.total.at[2].set(-1.0), 0.1 * curve.total)
    ax = plot.fisher_curve(measured, by_population=False)
    assert np.isnan(ax.containers[0].lines[0].get_ydata()[2])


def test_gain_matrix_and_spectrum(two_populations):
    ax = plot.gain_matrix(two_populations)
    assert ax.get_xlabel().startswith("from population")
    weights = cn.sample_weights(two_populations, 60, key=jax.random.key(0))
    ax = plot.weight_spectrum(weights, two_populations)
    assert len(ax.collections[0].get_offsets()) == 60


def test_history_marks_where_the_gradient_takes_over():
    steps = jnp.linspace(0, 1, 30)
    record = History(steps, steps + 1, steps, 1 - steps, num_generations=20)
    left, right = plot.history(record)
    assert left.lines[-1].get_xdata()[0] == 20.5
    assert len(right.get_legend().get_texts()) == 3


def test_shepard_and_correlation():
    diagram = geometry.shepard(np.arange(1.0, 11.0), np.arange(1.0, 11.0) ** 2)
    assert "stress 0.00" in plot.shepard(diagram).get_title()
    latent = np.stack([squareform(np.random.default_rng(0).uniform(1, 2, 10))] * 3)
    record = geometry.distance_correlation(latent[0], latent)
    ax = plot.distance_correlation(record, label="theory")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1)


def test_style_is_opt_in():
    before = dict(mpl.rcParams)
    with plot.style():
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


def test_pictures_of_sampled_information(key):
    """Every panel takes a result, draws it, and returns its axes with labels."""
    from fisherjax import fisher

    noise = jax.random.normal(key, (2, 300, 20))
    found = {"direct": fisher.direct(noise[0], noise[1] + 0.1, 0.2)}
    axes = plot.estimates(found, reference=5.0)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["direct"]
    with pytest.warns(RuntimeWarning, match="saturation was not seen"):
        scaling = fisher.information_scaling(noise[0], 0.2 + 0 * noise[0], key=key, sizes=[2, 5, 10])
    assert plot.information_scaling(scaling).get_xlabel() == "units read out"
    bound = fisher.cramer_rao(noise[0, :5], np.arange(5.0), np.ones(5))
    assert plot.cramer_rao(bound).get_ylabel() == "variance (θ²)"
    normal = fisher.cramer_rao(np.random.default_rng(0).normal(size=(5, 20_000)), np.arange(5.0), np.ones(5))
    assert np.max(normal.outliers) > 0
    assert "without" not in str(plot.cramer_rao(normal).get_legend_handles_labels()[1])
    profile = fisher.information_profile(
        lambda theta, key: theta * np.ones(2) + jax.random.normal(key, (2,)), [0.1, 0.2], key=key, max_trials=2000
    )
    assert plot.information_profile(profile).get_ylabel().startswith("Fisher information")
    errors = plot.estimator_errors([1.0, 2.0], {"a": [0.1, 0.05]}, "trials", floor=0.02)
    assert [label.get_text() for label in errors.get_xticklabels()] == ["1", "2"]
    ellipses = plot.covariance_ellipses([0.0, 1.0], np.eye(2), np.stack([np.eye(2)] * 2))
    assert len(ellipses.patches) == 2
