"""Pictures of what is no result, and of results that are not resolved: named, and never drawn as zero."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

from fisherjax.plot._angle_pages import save_angle_case, save_angle_study, save_variance_study
from fisherjax.plot._convolutional import class_probabilities
from fisherjax.plot._convolutional_pages import (
    save_convolutional_training,
    save_decisions,
    save_information_in_time,
    save_response,
)
from fisherjax.plot._figures import save_sweep
from fisherjax.plot._geometry import save_extreme_pairs, save_geometry, save_geometry_measures
from fisherjax.plot._networks import save_fixed_points, save_training, save_trials
from fisherjax.plot._pages import save_curves, save_estimates, save_history, save_network
from fisherjax.vision._orientation._estimates import EstimatorVariance
from fisherjax.vision._relaxation import Relaxation

mpl.use("Agg")

import matplotlib.pyplot as plt

from fisherjax import connectivity as cn
from fisherjax import fisher, geometry, plot, training
from fisherjax.optimize._problem import History

KEY = jax.random.key(0)
TABLE = {"size": [1, 1, 2, 2, 3], "value": [1.0, 3.0, float("nan"), 4.0, "failed"]}
NOT_ONE = object()

REFUSED = [
    (plot.area_activity, "response"),
    (plot.certificate, "found"),
    (lambda x: class_probabilities(x, ["a"]), "response"),
    (plot.information_in_time, "theory"),
    (plot.cramer_rao, "found"),
    (plot.decisions, "found"),
    (plot.distance_correlation, "curve"),
    (lambda x: plot.eigendistortions(np.zeros((3, 3, 1)), x, x), "most"),
    (plot.eigenvalues, "values"),
    (plot.estimates, "found"),
    (lambda x: plot.estimates({"direct": x}), r"found\['direct'\]"),
    (lambda x: plot.estimator_errors([1.0], x, "step"), "errors"),
    (lambda x: plot.estimator_errors([1.0], {"a": x}, "step"), r"errors\['a'\]"),
    (lambda x: plot.estimator_errors(x, {"a": [1.0]}, "step"), "values"),
    (plot.fisher_curve, "curve"),
    (plot.gain_matrix, "matrix"),
    (plot.history, "record"),
    (plot.information_profile, "profile"),
    (plot.information_scaling, "found"),
    (plot.recorded_information, "found"),
    (plot.smooth_information, "found"),
    (plot.tuning, "found"),
    (plot.processing_capacity, "found"),
    (plot.model_similarity, "found"),
    (lambda x: plot.lyapunov_exponents(x, [1.0]), "gains"),
    (lambda x: plot.lyapunov_exponents([1.0], x), "exponents"),
    (lambda x: plot.network_trial(x, x), "network"),
    (plot.phase_diagram, "diagram"),
    (plot.phase_plane, "plane"),
    (plot.branches, "found"),
    (plot.relaxation, "found"),
    (plot.robustness, "found"),
    (plot.shepard, "diagram"),
    (plot.stages, "histories"),
    (plot.state_space, "components"),
    (plot.autocorrelation, "theory"),
    (lambda x: plot.sweep(x, x="size", y="value"), "columns"),
    (lambda x: plot.sweep(TABLE, x="size", y=x), "y"),
    (plot.task_trial, "batch"),
    (plot.training_history, "history"),
    (plot.trajectory_spectrum, "found"),
    (plot.transient_growth, "found"),
    (plot.transition_graph, "graph"),
    (lambda x: plot.unit_trajectories(x, np.zeros((1, 2))), "times"),
    (lambda x: plot.unit_trajectories([0.0], x), "states"),
    (plot.weight_matrix, "weights"),
    (plot.weight_spectrum, "weights"),
    (lambda x: plot.covariance_ellipses(x, np.zeros((1, 2)), np.zeros((1, 2, 2))), "stimuli"),
    (lambda x: plot.covariance_ellipses([0.0], x, np.zeros((1, 2, 2))), "means"),
    (lambda x: save_angle_case("a.png", x), "case"),
    (lambda x: save_angle_study("a.png", x), "study"),
    (lambda x: save_information_in_time("a.png", x, {}, {}, onset=1), "theory"),
    (lambda x: save_convolutional_training("a.png", x, x, x, onset=1), "trained"),
    (lambda x: save_curves("a.png", x, None, x), "independent"),
    (lambda x: save_decisions("a.png", x, None, onset=1), "decided"),
    (lambda x: save_estimates("a.png", x), "found"),
    (lambda x: save_extreme_pairs("a.png", x, x), "found"),
    (lambda x: save_fixed_points("a.png", x, x, x, x, x), "found"),
    (lambda x: save_geometry("a.png", x), "found"),
    (lambda x: save_geometry_measures("a.png", x), "found"),
    (lambda x: save_history("a.png", x), "record"),
    (lambda x: save_network("a.png", x, x), "gain_matrix"),
    (lambda x: save_response("a.png", x, x, []), "response"),
    (lambda x: save_sweep("a.png", x, x="size", y="value"), "columns"),
    (lambda x: save_training("a.png", x), "trained"),
    (lambda x: save_trials("a.png", x, x), "network"),
    (lambda x: plot.gain_matrix(cn.homogeneous(1.0), x), "ax"),
    (lambda x: plot.history(History(*[np.ones(2)] * 4, num_generations=1), (x, x)), "axes"),
]


@pytest.fixture(autouse=True)
def _closed():
    plt.close("all")  # those of other files
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("draw", "argument"), REFUSED, ids=[f"{place}-{name}" for place, (_, name) in enumerate(REFUSED)]
)
def test_what_is_no_result_is_named(draw, argument, as_user):
    for wrong in (NOT_ONE, "text"):
        with pytest.raises((TypeError, ValueError), match=rf"^{argument} must "):
            draw(wrong)
    assert not plt.get_fignums(), "refused before a figure is made"


def test_a_refusal_says_what_makes_a_result(as_user):
    with pytest.raises(
        TypeError, match=r"curve must be a FisherCurve, got None; fisher.meanfield_curve or .* makes one"
    ):
        plot.fisher_curve(None)


def test_paths(as_user, tmp_path):
    with pytest.raises(TypeError, match="path must be the name of a file"):
        save_network(3.5, cn.homogeneous(1.0), np.eye(2))
    with pytest.raises(ValueError, match=r"path must end in one of .*png.*, got a\.txt"):
        save_network(tmp_path / "a.txt", cn.homogeneous(1.0), np.eye(2))


def said(ax):
    return [text.get_text().replace("\n", " ") for text in ax.texts if "not drawn" in text.get_text()]


def test_what_a_logarithmic_axis_cannot_show_is_counted():
    times, total = jnp.arange(1.0, 5), jnp.array([1.0, -0.5, jnp.nan, 2.0])
    curve = fisher.FisherCurve(times, total[:, None], total, 0.1 * jnp.ones(4), "independent")
    ax = plot.fisher_curve(curve, by_population=False)
    assert said(ax) == ["2 values not drawn: not resolved or not above 0"]
    np.testing.assert_array_equal(np.isnan(ax.containers[0].lines[0].get_ydata()), [False, True, True, False])
    names = [field.name for field in dataclasses.fields(training.TrainingHistory)]
    course = training.TrainingHistory(
        **{name: np.array([1, 2]) if name == "evaluated" else np.array([1.0, 0.0]) for name in names}
    )
    left, _ = plot.training_history(course)
    assert said(left) == ["2 values not drawn: not resolved or not above 0"]
    back = Relaxation(np.ones((3, 1)), 1, 2, np.array([[1.0], [0.0]]), np.ones(1), np.array([False]))
    assert len(said(plot.relaxation(back))) == 1
    errors = plot.estimator_errors([1.0, 2.0], {"a": [0.1, np.nan]}, "trials", uncertainty={"a": [0.01, np.nan]})
    assert said(errors) == ["1 value not drawn: not resolved or not above 0"]
    assert errors.containers[0].has_yerr


def test_unresolved_correlations_are_gaps():
    distances = geometry.pairwise_distances(np.random.default_rng(0).normal(size=(5, 3)))
    with pytest.warns(RuntimeWarning, match="all equal"):
        found = geometry.distance_correlation(distances, np.stack([distances, 1.0 - np.eye(5)]))
    ax = plot.distance_correlation(found, measured=True)
    np.testing.assert_array_equal(np.isnan(ax.lines[0].get_ydata()), [False, True])
    assert ax.lines[0].get_markerfacecolor() == "none"
    assert said(ax) == ["1 value not drawn: not resolved"]


def test_a_mean_of_one_row_has_no_error():
    ax = plot.sweep(TABLE, x="size", y="value")
    np.testing.assert_allclose(ax.containers[0].lines[0].get_xydata(), [[1, 2], [2, 4]])
    hollow = ax.lines[-1]
    np.testing.assert_allclose(hollow.get_xydata(), [[2, 4]])
    assert said(ax) == ["2 values not drawn: not resolved"]


def test_where_there_is_no_chance_there_is_no_error():
    """Equal rows, and rows that nothing repeats, are points without bars; several columns tell lines apart."""
    rows = {"size": [1, 1, 2, 2] * 2, "value": [3.0, 3.0, 4.0, 5.0] * 2, "a": [0] * 4 + [1] * 4, "b": ["x"] * 8}
    ax = plot.sweep(rows, x="size", y="value", color=["a", "b"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a = 0, b = x", "a = 1, b = x"]
    (bars,) = ax.containers[0].lines[2]
    reach = [np.ptp(segment[:, 1]) for segment in bars.get_segments() if len(segment)]
    np.testing.assert_allclose([one for one in reach if np.isfinite(one)], [1.0])
    alone = plot.sweep({"size": [1, 2], "value": [1.0, 2.0]}, x="size", y="value")
    assert [line.get_markerfacecolor() for line in alone.lines if line.get_marker() == "o"] == [plot.COLORS[0]]


def test_every_measured_point_of_the_geometry_has_an_error(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("fisherjax.plot._style.write_figure", lambda figure, path: figures.append(figure) or path)
    patterns = np.random.default_rng(0).normal(size=(12, 20))
    found = geometry.compare_geometry(
        cn.homogeneous(1.0), patterns, noise_std=0.1, num_steps=2, num_trials=1, num_draws=3, key=KEY, num_resamples=20,
        labels=np.arange(12) % 2,
    )  # fmt: skip
    assert np.all(found.measured.neighbors_error > 0)
    assert found.theory.neighbors_error is None
    save_geometry_measures(tmp_path / "a.png", found)
    save_geometry(tmp_path / "a.png", found)
    for ax in [*figures[0].axes, figures[1].axes[-1]]:
        points = [line for line in ax.lines if line.get_marker() == "o"]
        assert points
        assert len(ax.containers) == len(points)
        assert all(container.has_yerr for container in ax.containers)


def test_the_variance_study_has_errors(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("fisherjax.plot._style.write_figure", lambda figure, path: figures.append(figure) or path)
    bias = {"direct": np.array([[-0.13, 0.1], [0.1, 0.1]]), "pathwise": np.array([[0.02, 0.02], [0.1, 0.1]])}
    spread = {name: np.abs(pair) for name, pair in bias.items()}
    save_variance_study(tmp_path / "a.png", EstimatorVariance((0.1, 0.2), (100, 200), 9, bias, spread, spread))
    for ax in figures[0].axes:
        assert len(ax.containers) == 2
        assert all(container.has_yerr for container in ax.containers)
