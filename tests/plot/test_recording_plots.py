"""Pictures of recordings: what is drawn is what was found, and nothing else is."""

import jax
import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

from fisherjax import fisher, plot, vision
from fisherjax.plot._recordings import save_recording
from fisherjax.plot._style import copies_as, page


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(0)
    theta = np.tile(np.arange(8) * 22.5, 30)
    rates = 4 + 3 * np.cos(np.pi / 90 * (theta[:, None] - np.arange(4) * 45))
    return fisher.Recording(rng.poisson(rates), theta, period=180, stimulus_unit="deg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_information_is_drawn_at_the_middle_of_its_pairs(recording):
    found = fisher.recorded_information(recording, check=False)
    ax = plot.recorded_information(found, names=("direct",), label="cortex,", color="black")
    x, y = ax.containers[0].lines[0].get_data()
    assert np.allclose(x, np.sort(found.stimuli))
    assert np.allclose(y, np.asarray(found["direct"].value)[np.argsort(found.stimuli)])
    assert ax.get_xlim() == (0, 180)
    assert ax.get_ylabel() == "Fisher information (1/deg²)"
    assert ax.get_legend_handles_labels()[1] == ["cortex, direct"]
    both = plot.recorded_information(found)
    assert len(both.containers) == 4  # direct, shuffled, diagonal, poisson
    with pytest.raises(ValueError, match="names must be one of"):
        plot.recorded_information(found, names=("best",))


def test_bands_and_maps(recording):
    smooth = fisher.smooth_information(recording, np.arange(0, 180, 30.0))
    ax = plot.smooth_information(smooth)
    assert np.allclose(ax.lines[0].get_ydata(), smooth["direct"].value)
    curves = fisher.tuning(recording)
    image = plot.tuning(curves).images[0].get_array()
    assert image.shape == (4, 8)
    assert image.min() == 0
    assert image.max() == 1
    order = np.argsort(curves.preferred)
    assert np.argmax(image[0]) == np.argmax(curves.mean[:, order[0]])


def test_capacity_beside_fisher_memory():
    rng = np.random.default_rng(0)
    found = fisher.processing_capacity(rng.normal(size=(400, 3)), rng.uniform(-1, 1, 400), max_delay=5, max_degree=2)
    ax = plot.processing_capacity(found, memory=np.array([4.0, 2.0, 1.0]))
    assert np.allclose(ax.lines[-1].get_ydata(), [1, 0.5, 0.25])
    assert "degree 2" in ax.get_title()
    with pytest.raises(ValueError, match="memory must have shape"):
        plot.processing_capacity(found, memory=np.ones((2, 2)))


def test_a_model_beside_a_recording():
    """Lines are what was found, each area at its own delay; the map has the line of the best delay."""
    rng = np.random.default_rng(0)
    model = np.stack([rng.normal(size=(3, 6, 4)), rng.normal(size=(3, 6, 4))])
    theta = np.tile(np.arange(6), 6)
    seen = [
        fisher.Recording(model[1, max(time - 1, 0)][theta] + 0.5 * rng.normal(size=(36, 4)), theta) for time in range(4)
    ]
    asked = {"time_unit": "ms", "num_permutations": 20, "num_resamples": 20, "key": jax.random.key(0)}
    for ask in (vision.representational_similarity, vision.neural_regression):
        found = ask(list(model), seen, **asked)
        assert (found.best.area, found.best.delay) == ("area 1", 1)
        ax = plot.model_similarity(found)
        assert np.allclose(ax.containers[1].lines[0].get_ydata(), found.by_delay[1], equal_nan=True)
        assert "ms" in ax.get_xlabel()
        ax = plot.model_similarity(found, show="times")
        assert np.allclose(ax.containers[1].lines[0].get_ydata(), [found.value[1, step, step + 1] for step in range(3)])
        assert "area 1, 1 ms later" in ax.get_legend_handles_labels()[1]
        ax = plot.model_similarity(found, show="map", area="area 0")
        assert np.allclose(ax.collections[0].get_array(), found.value[0])
        assert ax.get_title().startswith("area 0")
    with pytest.raises(ValueError, match="area must be one of"):
        plot.model_similarity(found, show="map", area="V1")
    with pytest.raises(ValueError, match="show must be one of"):
        plot.model_similarity(found, show="lines")


def test_a_page_of_what_there_is(recording, tmp_path):
    curves = fisher.tuning(recording)
    with copies_as("pdf"):
        save_recording(tmp_path / "a.png", curves, None, None, {}, None)
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with page(tmp_path / "b.png", (2, 2)):
        pass
    assert not (tmp_path / "b.pdf").exists()
