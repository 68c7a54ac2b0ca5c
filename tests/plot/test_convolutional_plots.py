"""Pictures of convolutional recurrent networks: what they draw is what they were given."""

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from fisherjax import fisher, plot
from fisherjax.fisher._eigendistortions import Eigendistortion
from fisherjax.training import TrainingHistory
from fisherjax.vision._convolution_spectrum import StabilityCertificate
from fisherjax.vision._decisions import Decisions
from fisherjax.vision._relaxation import Relaxation
from fisherjax.vision._robustness import Robustness
from fisherjax.vision._spectra import TrajectorySpectrum

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def history(steps, accuracy):
    count = len(accuracy)
    evaluated = np.linspace(steps / count, steps, count).astype(int)
    return TrainingHistory(*np.ones((4, steps)), evaluated, np.ones(count), np.array(accuracy))


def test_stages_follow_one_another():
    nan = float("nan")
    courses = {"one": history(10, [0.2, 0.4]), "two": history(20, [nan, nan]), "three": history(4, [0.8, 0.9])}
    ax = plot.stages(courses)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [5, 10])
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [32, 34])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.8, 0.9])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "three"]
    direct = plot.stages({"direct": history(34, [0.5, 0.6])}, ax, color="black", label="direct")
    assert direct.get_legend().get_texts()[-1].get_text() == "direct"


def test_spectra():
    bounds = StabilityCertificate(
        np.array([0.8, 1.2]), np.array([0.5, 0.9]), np.array([0.9, 1.1]), np.array([0.85, 0.99]),
        np.array([True, False]), np.array([True, True]),
    )  # fmt: skip
    ax = plot.certificate(bounds)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), bounds.singular)
    found = TrajectorySpectrum(
        np.array([3, 9]), np.array([[0.9 + 0.1j, 0.9 - 0.1j], [0.5, np.nan]]), np.zeros((2, 2)),
        np.array([[True, True], [False, False]]),
    )  # fmt: skip
    ax = plot.trajectory_spectrum(found)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.abs([0.9 + 0.1j] * 2))
    np.testing.assert_allclose(ax.lines[2].get_xdata(), [9])


def test_time_courses():
    found = Decisions(np.array([0.1, 0.9]), np.array([0.3, 0.8]), np.array([1.0, np.nan]), np.array([0, 1]), 1.0)
    ax = plot.decisions(found, onset=1)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found.accuracy)
    np.testing.assert_allclose(ax.lines[3].get_xdata(), [2.0])
    levels = Robustness("blur", np.array([0.0, 1.0]), np.array([1.0, 0.5]), np.array([0.0, 0.1]), np.zeros((2, 4)))
    np.testing.assert_allclose(plot.robustness(levels, label="input").lines[0].get_ydata(), [1.0, 0.5])
    back = Relaxation(np.ones((3, 2)), 1, 2, np.array([[1.0, 2.0], [0.1, 0.2]]), np.ones(2), np.array([False, False]))
    ax = plot.relaxation(back)
    np.testing.assert_allclose(ax.lines[3].get_ydata(), [2.0, 0.2])
    np.testing.assert_allclose(ax.lines[3].get_xdata(), [2, 3])
    times, total = jnp.array([2.0, 4.0]), jnp.array([1.0, 3.0])
    theory = fisher.FisherCurve(times, total[:, None], total)
    measured = fisher.FisherCurve(times, total[:, None], total + 0.1, jnp.array([0.1, 0.2]))
    ax = plot.information_in_time(theory, measured=measured, onset=1)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.0, 3.0])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[2.0, 1.1], [4.0, 3.1]], rtol=1e-6)


def test_eigendistortions():
    rng = np.random.default_rng(0)
    most, least = (Eigendistortion(rng.normal(size=(4, 4, 1)), value) for value in (5.0, 0.1))
    axes = plot.eigendistortions(rng.normal(size=(4, 4, 1)), most, least)
    np.testing.assert_allclose(axes[1].images[0].get_array(), most.direction.mean(-1))
    assert axes[2].get_title() == "least noticeable, I = 0.1"
