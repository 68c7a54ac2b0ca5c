"""Which area of a model does a recording resemble?
================================================

Which area of a model does a recording resemble, and how much later? A recording of which both are known.

A convolutional recurrent network, untrained, sees sixty digits. Sixty units are recorded whose mean responses are
random mixtures of its area 2, three steps before, in noise, ten times for each digit; another recording is noise alone.
Both ways to compare a model with a recording are asked for the area and the delay. Run
``python examples/model_and_recording.py`` (half a minute); it writes model_and_recording.json beside itself and
docs/images/model_and_recording.png.

.. image:: /images/model_and_recording.png
   :alt: Which area of a model does a recording resemble?
"""

import json
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import datasets, fisher, plot, vision

HERE = Path(__file__).parent
DIGITS, UNITS, REPEATS, BINS = 60, 60, 10, 15
STEP, AREA, DELAY, NOISE = 10.0, 2, 3, 0.5  # milliseconds of a step; the delay in steps


def main() -> None:
    """Show, record, compare, draw."""
    images = datasets.digits()[0][:DIGITS]
    plan = vision.architecture("R4-8", alpha=0.4, blank_steps=2, image_steps=10)
    network = vision.ConvolutionalRNN(plan, key=jax.random.key(0), recurrent_gain=2.0)
    response = vision.respond(network, (images - images.mean()) / images.std(), areas="all")
    recording = recorded(np.asarray(response.activity[response.areas.index(AREA)]))
    nothing = recorded(np.zeros((len(response.recorded), DIGITS, 1)))
    asked: dict[str, Any] = {
        "key": jax.random.key(1), "times": STEP * response.recorded, "recorded_times": STEP * np.arange(1, BINS + 1),
        "time_unit": "ms",
    }  # fmt: skip
    found = {
        "similarity": vision.representational_similarity(response, recording, **asked),
        "regression": vision.neural_regression(response, recording, num_permutations=100, **asked),
    }
    chance = {
        "similarity": vision.representational_similarity(response, nothing, **asked),
        "regression": vision.neural_regression(response, nothing, num_permutations=100, **asked),
    }
    facts: dict[str, Any] = {"true area": f"area {AREA}", "true delay (ms)": STEP * DELAY}
    for name, one in found.items():
        facts[name] = one.best.to_dict() if one.best is not None else None
        facts[f"{name}, least probability in noise alone"] = float(
            np.nanmin(np.asarray(chance[name].probability, float))
        )
        print(name, one.best)
    (HERE / "model_and_recording.json").write_text(json.dumps(facts, indent=2) + "\n")
    with plot.style():
        figure, axes = plt.subplots(2, 3, figsize=(15, 8))
        for row, one in zip(axes, found.values(), strict=True):
            for ax, show in zip(row, ("delays", "times", "map"), strict=True):
                plot.model_similarity(one, ax, show=show)
        figure.savefig(HERE.parent / "docs" / "images" / "model_and_recording.png")


def recorded(activity: np.ndarray) -> list[fisher.Recording]:
    """Responses of units that mix an area's activity (times, digits, …), some steps later, one recording per bin."""
    rng = np.random.default_rng(0)
    flat = activity.reshape(*activity.shape[:2], -1)
    mixed = flat @ rng.normal(size=(flat.shape[2], UNITS))
    mixed /= max(float(mixed.std(axis=1).max()), 1.0)
    before = np.zeros((DELAY, DIGITS, UNITS))
    signal = np.concatenate([before, mixed])[:BINS]
    responses = signal[:, :, None] + NOISE * rng.normal(size=(BINS, DIGITS, REPEATS, UNITS))
    return [fisher.Recording(at, np.arange(DIGITS)) for at in responses]


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "images/model_and_recording.png"
