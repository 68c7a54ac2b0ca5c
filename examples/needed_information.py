"""Information that a task needs, and that it does not
===================================================

When information about what a task needs parts from information about what it does not.

A convolutional recurrent network learns to tell eight orientations of gratings whose spatial frequency and phase are
random: orientation is needed, frequency is not. At every evaluation of its training a callback asks for the linear
Fisher information about both, in the channel means of every area and in the logits, at the last step with the image:
one Fisher matrix (2, 2) for each, at small state noise, averaged over gratings between the classes.

Four minutes on two cores; writes needed_information.json beside itself and docs/images/needed_information.png.

.. code-block:: sh

    python examples/needed_information.py [--quick]

.. image:: /images/needed_information.png
   :alt: Information that a task needs, and that it does not
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import datasets, fisher, plot, vision

SIDE = 16
PLAN = vision.Architecture((SIDE, SIDE, 1), 8, (8, 8, 16, 16), blank_steps=2, image_steps=10)
STEPS = PLAN.blank_steps + PLAN.image_steps
NOISE = 0.02  # of the state
ANGLES, CYCLES = (0.2, 1.0, 1.8, 2.6), (1.6, 2.3)


def grating(phase: float, parameters: jax.Array) -> jax.Array:
    """A grating as in the data, of an angle (rad) and of cycles per image."""
    angle, cycles = parameters
    axis = (jnp.arange(SIDE) + 0.5) / SIDE
    wave = axis[None, :] * jnp.cos(angle) + axis[:, None] * jnp.sin(angle)
    return jnp.cos(2 * math.pi * cycles * wave + phase)[..., None]


class AreasAndLogits(eqx.Module):
    """A reading of several groups: the channel means of every area, and the logits."""

    network: vision.ConvolutionalRNN

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers read of each group."""
        return (*PLAN.channels, PLAN.num_classes)

    def __call__(self, state: jax.Array) -> jax.Array:
        """Of a flat state."""
        means = vision.channel_means(self.network, "all")(state)
        return jnp.concatenate([means, self.network.readout(state)], axis=-1)


def information(network: vision.ConvolutionalRNN) -> np.ndarray:
    """Fisher matrices about angle and cycles, mean over gratings (groups, 2, 2)."""
    noisy = network.replaced(noise_std=NOISE)
    noisy = eqx.tree_at(lambda n: n.observation_noise_std, noisy, jnp.asarray(1e-4))
    found = []
    for index, angle in enumerate(ANGLES):
        for cycles in CYCLES:
            shown = vision.shown(noisy, jax.tree_util.Partial(grating, jnp.asarray(1.3 * index)))
            curve = fisher.linearized_curve(
                noisy, stimulus=[angle, cycles], num_steps=STEPS, protocol=shown, read=AreasAndLogits(noisy), at=[STEPS]
            )
            found.append(np.asarray(curve.by_population[0]))
    return np.mean(found, axis=0)


def main(arguments: list[str]) -> None:
    """Train with a callback that asks, then draw."""
    quick = "--quick" in arguments
    data = {name: datasets.oriented_gratings(n, key=jax.random.key(k), size=SIDE, noise_std=1.0)
            for name, n, k in (("train", 3000, 1), ("test", 500, 2))}  # fmt: skip
    steps: list[int] = []
    course: list[np.ndarray] = []

    def ask(progress: Any) -> None:
        steps.append(progress.step)
        course.append(information(progress.network))
        needed, other = course[-1][:, 0, 0], course[-1][:, 1, 1]
        ratio = " ".join(f"{value:.2f}" for value in needed / other)
        print(f"step {progress.step}: accuracy {progress.held_out_accuracy:.3f}; needed over not, {ratio}", flush=True)

    start = vision.ConvolutionalRNN(PLAN, key=jax.random.key(0))
    begin = vision.evaluate(start, *data["test"]).accuracy
    steps.append(0)
    course.append(information(start))
    count = 20 if quick else 240
    _, history = vision.fine_tune(
        start, *data["train"], key=jax.random.key(3), num_steps=count, batch_size=32, learning_rate=1e-3,
        held_out=data["test"], evaluate_every=10, callback=ask, offset_steps=4,
    )  # fmt: skip
    if not quick:
        write(np.array(steps), np.array(course), np.array([begin, *history.held_out_accuracy]))


def write(steps: np.ndarray, course: np.ndarray, accuracy: np.ndarray) -> None:
    """Keep the numbers and the picture."""
    here = Path(__file__).with_suffix("")
    names = [*(f"area {area}" for area in range(PLAN.depth)), "logits"]
    needed, other = course[:, :, 0, 0], course[:, :, 1, 1]
    facts = {"steps": steps.tolist(), "accuracy": np.round(accuracy, 4).tolist(), "groups": names}
    facts |= {name: [[float(f"{v:.4g}") for v in row] for row in part.T]
              for name, part in (("angle, 1/rad²", needed), ("cycles", other))}  # fmt: skip
    here.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    with plot.style():
        figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
        parts = ((needed, "information on orientation (1/rad²)"), (other, "information on cycles per image"),
                 (needed / other, "ratio of both, relative to that before training"))  # fmt: skip
        for ax, (values, label) in zip(axes, parts, strict=True):
            shown = values / values[0] if ax is axes[2] else values
            for color, name, line in zip(plot.COLORS, names, shown.T, strict=False):
                ax.plot(steps, line, "o-", markersize=3, color=color, label=name)
            ax.set(xlabel="training steps", ylabel=label, yscale="linear" if ax is axes[2] else "log")
        axes[0].legend()
        right = axes[2].twinx()
        right.plot(steps, accuracy, "--", color="0.5")
        right.set(ylabel="validation accuracy (dashed)", ylim=(0, 1.02))
        figure.savefig(here.parent.parent / "docs" / "images" / "needed_information.png")
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])

# sphinx_gallery_thumbnail_path = "images/needed_information.png"
