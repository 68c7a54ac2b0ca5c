"""What the pictures of the transition show."""

import matplotlib as mpl
import numpy as np
import pytest

from fisherjax.dynamics._flow import MeasuredExponent
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation

mpl.use("Agg")

import jax.numpy as jnp
import matplotlib.pyplot as plt

from fisherjax import dmft, plot


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_theory_is_a_line_and_simulation_points():
    lags = np.linspace(0, 5, 11)
    theory = dmft.autocorrelation(0.8, noise_std=0.2**0.5, nonlinearity="identity", lags=lags)
    values = np.asarray(theory.values)
    measured = MeasuredAutocorrelation(lags, values + 0.01, np.full(11, 0.02), values[None] + 0.01)
    ax = plot.autocorrelation(theory, measured)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), values)
    container = ax.containers[0]
    np.testing.assert_allclose(container.lines[0].get_ydata(), values + 0.01)
    assert ax.lines[0].get_color() == container.lines[0].get_color()
    assert "time constants" in ax.get_xlabel()


def test_phase_diagram_draws_memory_and_both_lines():
    field = jnp.tile(jnp.linspace(-1, 1, 4), (3, 1))
    diagram = dmft.PhaseDiagram(
        gains=jnp.linspace(0.5, 2, 4),
        noise_stds=jnp.linspace(0, 1, 3),
        variance=jnp.ones((3, 4, 1)),
        lyapunov_exponent=field,
        local_growth=field + 0.1,
        memory=jnp.abs(field),
        relaxation_time=jnp.ones((3, 4)),
        regime=jnp.tile(jnp.array([0, 2, 3, 4]), (3, 1)),
    )
    ax = plot.phase_diagram(diagram, mark=(1.0, 0.5))
    np.testing.assert_allclose(ax.collections[0].get_array().ravel(), np.abs(field).ravel())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "chaos to the right",
        "expands locally to the right",
        "this network",
    ]
    assert ax.get_title() == "regimes: silent, driven, expanding, chaotic"


def test_exponents_and_trajectories():
    measured = {1.0: MeasuredExponent(0.1, 0.02, np.array([0.1]))}
    ax = plot.lyapunov_exponents([0.5, 1.0, 1.5], [-0.5, 0.0, 0.1], [-0.5, 0.1, 0.3], measured)
    assert len(ax.get_legend().get_texts()) == 3
    np.testing.assert_allclose(ax.containers[0].lines[0].get_xydata(), [[1.0, 0.1]])
    states = np.cumsum(np.ones((5, 3)), axis=0)
    ax = plot.unit_trajectories(np.arange(5), states, num_units=2)
    assert len(ax.lines) == 2
    np.testing.assert_allclose(ax.lines[1].get_ydata(), states[:, 1])
