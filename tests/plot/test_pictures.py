"""Key figures look as they did, at the width of a column, and nothing stands on their data.

`FISHERJAX_NEW_PICTURES=1` writes the pictures that figures are compared with; look at them before they are kept.
"""

import os
from pathlib import Path

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter, NullLocator

mpl.use("Agg")

import matplotlib.pyplot as plt

from fisherjax import dmft, fisher, geometry, plot
from fisherjax.connectivity import GainMatrix
from fisherjax.fisher._profile import InformationProfile
from fisherjax.fisher._recorded._information import RecordedInformation
from fisherjax.fisher._recorded._tuning import Tuning
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation
from fisherjax.training import TrainingHistory

BASELINE = Path(__file__).parent / "baseline"
COLUMN = 3.5  # inches
BLOCK = 10  # pixels: a line that lies half a pixel elsewhere leaves the mean of a block as it is
TOLERANCE = 0.02  # of the ink; matplotlib 3.9 to 3.11 differ by 0.007, one dashed line by 0.03


def fisher_curve(ax):
    times, decay = np.arange(1.0, 9.0), np.exp(-0.4 * np.arange(8.0))
    parts = 1000 * np.stack([decay, 0.3 * decay[::-1]], axis=1)
    theory = fisher.FisherCurve(jnp.asarray(times), jnp.asarray(parts), jnp.asarray(parts.sum(axis=1)))
    values, errors = jnp.asarray(1.1 * parts), jnp.asarray(0.2 * parts)
    measured = fisher.FisherCurve(
        theory.times, values, values.sum(axis=1), errors.sum(axis=1), by_population_error=errors
    )
    plot.fisher_curve(theory, ax)
    plot.fisher_curve(measured, ax)
    ax.set_ylim(10, 2000)  # matplotlib before 3.11 leaves more room below error bars
    return ax


def phase_diagram(ax, between=0.3):
    gains, noise = np.linspace(0, 2, 9), np.linspace(0, 1, 7)
    field, unit = gains[None] - 1.2 - 0.4 * noise[:, None], np.ones((7, 9))
    regime = np.where(field > 0, 4, np.where(field > -0.3, 3, 2))
    parts = (gains, noise, unit[..., None], field, field + between, np.exp(-(field**2)), unit, regime)
    diagram = dmft.PhaseDiagram(*map(jnp.asarray, parts))
    return plot.phase_diagram(diagram, ax, mark=(1.0, 0.5))


def estimate(value, error):
    low, high = value - 2 * error, value + 2 * error
    return fisher.FisherEstimate(*map(jnp.asarray, (value, error, np.stack([low, high]), value)))


def estimates(ax):
    names = ("direct", "direct, jackknife", "shuffled (correlations removed)", "held-out decoder")
    found = {name: estimate(10.0 - index, 1.0 + 0.2 * index) for index, name in enumerate(names)}
    return plot.estimates(found, ax, reference=9.0)


def gain_matrix(ax):
    gains = np.array([[1.2, 0.3, 0.0], [0.8, 1.0, 0.2], [0.1, 0.9, 0.6]])
    return plot.gain_matrix(GainMatrix(jnp.asarray(gains), jnp.asarray([0.5, 0.3, 0.2])), ax)


def information_profile(ax):
    angles = np.arange(12) * np.pi / 12
    value = 5 + 3 * np.cos(2 * angles)
    error = np.full(12, 0.8)
    interval = np.stack([value - error, value + error], axis=1)
    trials, yes = np.full(12, 100), np.ones(12, bool)
    profile = InformationProfile(*map(jnp.asarray, (angles, value, error, interval, trials, yes, 1200)))
    return plot.information_profile(profile, ax, period=np.pi)


def recorded_information(ax):
    places = np.arange(8) * 22.5 + 11.25
    value = 0.02 + 0.01 * np.cos(np.pi * places / 90)
    found = {"direct": estimate(value, 0.2 * value), "shuffled": estimate(1.6 * value, 0.2 * value)}
    average = {name: estimate(0.02, 0.002) for name in found}
    recorded = RecordedInformation(places, np.full(8, 22.5), found, average, (), "deg", 180.0)
    return plot.recorded_information(recorded, ax)


def autocorrelation(ax):
    lags = np.linspace(0, 10, 41)
    values, one = np.exp(-lags / 3), np.ones(())
    theory = dmft.Autocorrelation(
        *map(jnp.asarray, (lags, values, one, 0 * one, one, -one, -one, one, one, one, np.array(True)))
    )
    measured = MeasuredAutocorrelation(lags, 1.05 * values, np.full(41, 0.05), np.stack([values] * 3))
    return plot.autocorrelation(theory, measured, ax)


def shepard(ax):
    original = np.linspace(1, 10, 60)
    latent = 3 * np.log(original) + 0.4 * np.sin(7 * original)
    pairs = np.stack([np.zeros(60, int), np.arange(1, 61)], axis=1)
    fitted = np.maximum.accumulate(latent)
    return plot.shepard(geometry.ShepardDiagram(original, latent, fitted, pairs, 0.1, 0.9, 0.9), ax)


def weight_spectrum(ax):
    turn, reach = 2.4 * np.arange(40), np.sqrt(np.arange(40) / 40)
    blocks = np.zeros((80, 80))
    for place, (angle, radius) in enumerate(zip(turn, reach, strict=True)):
        rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        blocks[2 * place : 2 * place + 2, 2 * place : 2 * place + 2] = radius * np.array(rotation)
    return plot.weight_spectrum(blocks, GainMatrix(jnp.asarray([[1.44]]), jnp.asarray([1.0])), ax)


def training_history(ax):
    steps = np.arange(1.0, 101.0)
    loss, accuracy = np.exp(-steps / 30) + 0.1, 1 - 0.6 * np.exp(-steps / 25)
    evaluated = np.arange(10, 101, 10)
    history = TrainingHistory(
        loss, accuracy, np.ones(100), np.ones(100), evaluated, 1.1 * loss[9::10], accuracy[9::10] - 0.05
    )
    return plot.training_history(history, (ax, ax.figure.add_subplot(1, 2, 2)))[0]


def tuning(ax):
    stimuli = np.arange(8) * 22.5
    preferred = np.arange(12) * 15.0
    mean = np.exp(2 * np.cos(np.pi / 90 * (stimuli[:, None] - preferred)))
    counts, same = np.full((8, 12), 20), np.ones(12)
    names = tuple(map(str, range(12)))
    return plot.tuning(Tuning(stimuli, mean, mean, mean, same, preferred, same, counts, names, "deg", 180.0), ax)


FIGURES = {
    draw.__name__: draw
    for draw in (
        fisher_curve, phase_diagram, estimates, gain_matrix, information_profile, recorded_information, autocorrelation,
        shepard, weight_spectrum, training_history, tuning,
    )
}  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(name):
    """A figure at the width of a column, and its axes."""
    with plot.style():
        figure = plt.figure(figsize=(COLUMN, 2.6), dpi=100)
        place = (1, 2, 1) if name == "training_history" else (1, 1, 1)
        ax = figure.add_subplot(*place, projection="polar" if name == "information_profile" else None)
        return figure, FIGURES[name](ax)


def bare(figure):
    """Nothing that depends on fonts or on where ticks are put: no text, no ticks, no legend."""
    for ax in figure.axes:
        ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # as the ticks would have them
        if ax.get_legend() is not None:
            ax.get_legend().remove()
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(NullLocator())
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(NullFormatter())
    for text in figure.findobj(Text):
        text.set_visible(False)
    return figure


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def blocks(picture):
    """Means over squares, by color."""
    height, width = (size - size % BLOCK for size in picture.shape[:2])
    cut = picture[:height, :width]
    return cut.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean(axis=(1, 3))


def difference(found, wanted):
    """Root mean square over blocks, of that of the ink: one of few curves counts as much on a picture that is empty."""
    found, wanted = blocks(found), blocks(wanted)
    return float(np.sqrt(np.sum((found - wanted) ** 2) / np.sum((1 - wanted) ** 2)))


def curves(ax):
    """What can be left out: lines, points with their bars, clouds of points, colored fields."""
    bars = [part for part in ax.containers if isinstance(part, ErrorbarContainer)]
    inside = {line for part in bars for line in (part.lines[0], *part.lines[1])}
    lines = [line for line in ax.lines if line not in inside and len(line.get_xdata()) > 2]
    clouds = [part for part in ax.collections if isinstance(part, PathCollection)]
    return [*lines, *bars, *clouds, *ax.images] or list(ax.collections)


def shown(part, *, visible):
    """Show a curve or hide it, with its bars."""
    parts = part.get_children() if isinstance(part, ErrorbarContainer) else [part]
    for one in parts:
        one.set_visible(visible)


def recolored(part):
    """The same in another color of the palette."""
    if hasattr(part, "set_cmap"):
        part.set_cmap("magma")
        part.set(edgecolors="red") if isinstance(part, PathCollection) else None
    for one in part.get_children() if isinstance(part, ErrorbarContainer) else [part]:
        if isinstance(one, PathCollection):
            one.set_facecolor(plot.COLORS[3])
        elif hasattr(one, "set_color"):
            one.set_color(plot.COLORS[3])


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_it_did(name):
    figure, ax = drawn(name)
    found = pixels(bare(figure))
    path = BASELINE / f"{name}.png"
    if os.environ.get("FISHERJAX_NEW_PICTURES"):
        image.imsave(path, found)
    assert path.stat().st_size < 20_000
    wanted = image.imread(path)[..., :3]
    assert difference(found, wanted) < TOLERANCE
    # and it is told from one that lacks a curve, that has other limits, or another color
    figure.set_layout_engine("none")
    for part in curves(ax):
        shown(part, visible=False)
        assert difference(pixels(figure), wanted) > TOLERANCE, f"without {part} it passes"
        shown(part, visible=True)
    before = ax.get_ylim()
    low, high = before
    ax.set_ylim(low * 0.6, high) if ax.get_yscale() == "log" else ax.set_ylim(low - 0.15 * (high - low), high)
    assert difference(pixels(figure), wanted) > TOLERANCE, "with other limits it passes"
    ax.set_ylim(before)
    recolored(curves(ax)[0])
    assert difference(pixels(figure), wanted) > TOLERANCE, "in another color it passes"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_read_in_a_column(name):
    """Letters of 6 pt and more, all on the figure; the legend neither on the data nor on other letters."""
    figure, _ = drawn(name)
    figure.canvas.draw()
    page = figure.bbox.padded(1)
    for text in figure.findobj(lambda part: isinstance(part, Text) and part.get_visible() and part.get_text()):
        assert text.get_fontsize() >= 6, text
    for ax in figure.axes:
        legend, (horizontal, vertical) = ax.get_legend(), (ax.xaxis.label, ax.yaxis.label)
        for label in (horizontal, vertical, ax.title):
            box = label.get_window_extent()
            inside = page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1)
            assert not label.get_text() or inside, f"{label.get_text()} is cut"
        if legend is None:
            continue
        box = legend.get_window_extent()
        assert page.contains(box.x0, box.y0)
        assert page.contains(box.x1, box.y1)
        assert not box.overlaps(ax.get_window_extent().padded(-0.5)), "the legend is on the data"
        assert not (horizontal.get_text() and box.overlaps(horizontal.get_window_extent())), "the legend is on the name"


def test_the_curves_of_key_figures_are_told_apart():
    """Where there are several curves there is a legend, with one entry for each."""
    wanted = {
        "fisher_curve": ["total", "population 0", "population 1"],
        "phase_diagram": ["chaos to the right", "expands locally to the right", "this network"],
        "estimates": ["exact"],
        "shepard": ["pairs", "monotone fit"],
    }
    for name, entries in wanted.items():
        _, ax = drawn(name)
        assert [text.get_text() for text in ax.get_legend().get_texts()] == entries
    # in discrete time chaos begins where the network expands locally
    one_line = phase_diagram(plt.figure().add_subplot(), between=0.0)
    assert [text.get_text() for text in one_line.get_legend().get_texts()] == ["chaos to the right", "this network"]


def test_around_polar_axes_stand_the_stimuli():
    """An angle with period π is drawn twice; of any other stimulus one period is a turn."""
    value = np.ones(6)
    interval = np.stack([value, value], axis=1)
    rest = (value, 0.1 * value, interval, value.astype(int), value > 0, 6)
    for stimuli, points, mark in (
        (np.arange(6) * np.pi / 6, 13, "45°"),
        (np.arange(6) * 30.0, 7, "22.5"),
        (np.arange(6) * 4.0, 7, "3"),
    ):
        figure = plt.figure()
        ax = figure.add_subplot(projection="polar")
        plot.information_profile(InformationProfile(*map(jnp.asarray, (stimuli, *rest))), ax)
        assert len(ax.lines[0].get_xdata()) == points
        assert ax.lines[0].get_xdata()[-1] == pytest.approx(2 * np.pi)
        figure.canvas.draw()
        assert ax.get_xticklabels()[1].get_text() == mark
