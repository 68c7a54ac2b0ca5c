"""How areas that see respond in time
==================================

How areas of a network that sees respond in time: coming to rest, contrast, duration, and a second showing.

A convolutional recurrent network (R4-8) learns handwritten digits directly. Then: the change of its activity at every
step before, during and after a picture, and the leading eigenvalue of its Jacobian; responses of every area to
contrast, to duration, and to the same picture again after an interval.

Two minutes on two cores; writes seeing_in_time.json beside itself and docs/images/seeing_in_time.png.

.. code-block:: sh

    python examples/seeing_in_time.py [--quick]

.. image:: /images/seeing_in_time.png
   :alt: How areas that see respond in time
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import datasets, plot, vision

VALUES = {
    "contrast": (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0),
    "duration": (1, 2, 3, 5, 8, 12, 20, 40),
    "interval": (0, 1, 2, 4, 8, 16, 32, 64),
}


def main(arguments: list[str]) -> None:
    """Train, ask, draw."""
    quick = "--quick" in arguments
    train, test = datasets.digits(), datasets.digits(split="test")
    mean, spread = train[0].mean(), train[0].std()
    pairs = [((images - mean) / spread, labels) for images, labels in (train, test)]
    plan = vision.architecture("R4-8", blank_steps=8, image_steps=20)
    options: dict[str, Any] = {"batch_size": 64, "learning_rate": 2e-3}
    network = vision.train_directly(
        plan, *pairs[0], key=jax.random.key(0), num_steps=5 if quick else 300, **options
    ).network  # fmt: skip
    pictures = pairs[1][0][:40]
    back = vision.relaxation(network, pictures, offset_steps=60)
    curves = {
        varied: vision.response_curve(network, pictures, varied, values[:2] if quick else values)
        for varied, values in VALUES.items()
    }
    accuracy = vision.evaluate(network, *pairs[1]).accuracy
    print(f"accuracy {accuracy:.4f}; time constant of the return {np.nanmedian(back.time_constant):.1f} steps")
    facts: dict[str, Any] = {"accuracy": round(accuracy, 4)}
    facts["time constant"] = round(float(np.nanmedian(back.time_constant)), 2)
    facts["largest change in a step at the end of each phase"] = [
        float(f"{back.speed[end - 1].mean():.3g}") for end in (back.onset, back.offset, len(back.speed))
    ]
    for varied, curve in curves.items():
        shown = curve.ratio if varied == "interval" else curve.peak
        facts[varied] = {"values": curve.values.tolist(), "mean by area": np.round(shown.mean(axis=2).T, 4).tolist()}
        print(varied, facts[varied])
    if not quick:
        write(facts, back, curves)


def write(facts: dict[str, Any], back: Any, curves: dict[str, Any]) -> None:
    """Keep the numbers and the picture."""
    here = Path(__file__).with_suffix("")
    here.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    with plot.style():
        figure, grid = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
        first, *others = grid.ravel()
        plot.relaxation(back, first)
        for ax, curve in zip(others, curves.values(), strict=True):
            plot.response_curve(curve, ax)
        figure.savefig(here.parent.parent / "docs" / "images" / "seeing_in_time.png")
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])

# sphinx_gallery_thumbnail_path = "images/seeing_in_time.png"
