"""Excitation and inhibition
=========================

Excitation and inhibition: where it comes to rest, oscillates or is chaotic, and what it knows of its last inputs.

Two populations, of four fifths and one fifth of the units, excite and inhibit each other. The strength of their mean
weights is one axis, the spread of single weights the other. Two critical lines bound the quiet regime: an oscillation
of the populations, and chaos of single units. On top, the capacity of the last six inputs with noise correlations
counted; beside it, how the mean activity goes on after a start.

Run it: ``python examples/excitation_inhibition.py`` (some minutes); it writes excitation_inhibition.png beside it.

.. image:: /../examples/excitation_inhibition.png
   :alt: Excitation and inhibition
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, meanfield, plot

SHARES, MEANS = np.array([0.8, 0.2]), np.array([[2.0, -9.0], [3.0, -2.0]])
AFFERENT = {"noise_std": 0.1, "bias": (0.1, 0.1)}
BEFORE, INPUTS, INPUT_STD = 30, 6, 0.3
STRENGTHS, SPREADS = np.linspace(0.05, 1.2, 36), np.linspace(0.1, 2.2, 36)
SHOWN = {"rest": (0.3, 0.6), "oscillation": (0.9, 0.6), "chaos of single units": (0.3, 2.0)}


def structure(strength, spread):
    """Means of some strength, and a spread that is the same for all weights."""
    return connectivity.GainMatrix(spread * jnp.ones((2, 2)), SHARES, strength * MEANS)


def last_inputs(values):
    """Silence, and then the inputs of which is asked."""
    return jnp.concatenate([jnp.zeros(BEFORE, values.dtype), values])


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0))
def capacity(strength, spread):
    """½ ln det(1 + s² F) of the last inputs, in nats per 1000 units."""
    curve = fisher.meanfield_curve(
        structure(strength, spread), stimulus=jnp.zeros(INPUTS), num_steps=BEFORE + INPUTS, at=(BEFORE + INPUTS,),
        protocol=last_inputs, form="linear", num_units=1000, **AFFERENT,
    )  # fmt: skip
    return jnp.linalg.slogdet(jnp.eye(INPUTS) + INPUT_STD**2 * curve.total[0])[1] / 2


def lines():
    """The strength at which an oscillation begins, and, of a quiet state, the spread at which chaos does."""
    oscillation = jax.jit(jax.vmap(lambda spread: meanfield.critical_mean(structure(1.0, spread), **AFFERENT)))
    chaos = jax.jit(
        jax.vmap(lambda strength: meanfield.critical_gain(gain_matrix=structure(strength, 1.0), **AFFERENT))
    )
    strengths, spreads = np.asarray(oscillation(SPREADS)), np.asarray(chaos(STRENGTHS))
    # of a state that a network stays in
    return strengths, np.where(np.interp(spreads, SPREADS, strengths) > STRENGTHS, spreads, np.nan)


def main():
    """Compute, and draw."""
    known = np.stack([np.asarray(capacity(strength, SPREADS)) for strength in STRENGTHS], axis=1)
    oscillation, chaos = lines()
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    grid = figure.add_gridspec(len(SHOWN), 2, width_ratios=(1.35, 1))
    ax, sides = figure.add_subplot(grid[:, 0]), [figure.add_subplot(grid[row, 1]) for row in range(len(SHOWN))]
    image = ax.pcolormesh(STRENGTHS, SPREADS, known, cmap="cividis", shading="nearest")
    figure.colorbar(image, ax=ax, label=f"nats about the last {INPUTS} inputs, 1000 units")
    ax.plot(oscillation, SPREADS, color="white", label="an oscillation begins")
    ax.plot(STRENGTHS, chaos, "--", color="white", label="chaos of single units begins")
    ax.set(xlabel="strength of the mean weights", ylabel="spread of the weights g", title="What is known")
    ax.set(xlim=STRENGTHS[[0, -1]], ylim=SPREADS[[0, -1]])
    ax.legend(loc="upper right", facecolor="0.35", labelcolor="white", framealpha=0.9)
    for color, side, (name, place) in zip(plot.COLORS, sides, SHOWN.items(), strict=False):
        ax.plot(*place, "o", color=color, markeredgecolor="white", markersize=9)
        order = meanfield.propagate(structure(*place), stimulus=0.5, num_steps=40, **AFFERENT)
        for population, (kind, style) in enumerate((("excitatory", "-"), ("inhibitory", "--"))):
            side.plot(order.times, order.mean[:, population], style, color=color, label=kind)
        side.set(title=name, ylabel="mean activity")
        side.legend(loc="upper right", fontsize=8)
    sides[-1].set(xlabel="step")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()

# sphinx_gallery_thumbnail_path = "../examples/excitation_inhibition.png"
