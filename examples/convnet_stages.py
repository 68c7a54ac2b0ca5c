"""Does training a convolutional network in steps pay?
===================================================

Whether training a convolutional recurrent network in steps pays, at equal numbers of updates.

Handwritten digits of 8 × 8, four areas (R4-8), 840 updates of 64 images either way: the published steps
(feed-forward network, its recurrence, linear, annealed, fine-tuned), or the recurrent network from random weights.
Same architecture, same images, same optimizer and schedule, three seeds. An update of the first two steps costs no
simulation, so that equal updates are far from equal time: both are reported.

They do not pay here: direct training ends above for every seed (99.4, 98.6, 99.4 % of the test images against 97.8,
97.2, 98.1 %), and though it takes 2.5 to 2.8 times as long, it is ahead after a third of its updates.

Half an hour on two cores; writes convnet_stages.json beside itself and docs/images/convnet_stages.png.

.. code-block:: sh

    python examples/convnet_stages.py [--quick]

.. image:: /images/convnet_stages.png
   :alt: Does training a convolutional network in steps pay?
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import datasets, plot, vision

STEPS = vision.StageSteps(feedforward=300, recurrence=300, linear=60, anneal=4, fine_tune=100)
QUICK = vision.StageSteps(feedforward=20, recurrence=20, linear=5, anneal=1, fine_tune=5)
OPTIONS = {"batch_size": 64, "learning_rate": 2e-3}
HELD = 144  # of the training images, for validation


def main(arguments: list[str]) -> None:
    """Train both ways from every seed, test, draw."""
    quick = "--quick" in arguments
    steps, seeds = (QUICK, range(1)) if quick else (STEPS, range(3))
    images, labels = datasets.digits()
    tested, answers = datasets.digits(split="test")
    mean, spread = images.mean(), images.std()
    images, tested = (images - mean) / spread, (tested - mean) / spread
    plan = vision.architecture("R4-8", num_classes=10, blank_steps=8, image_steps=20)
    settings: dict[str, Any] = {**OPTIONS, "held_out": (images[:HELD], labels[:HELD]), "progress": True}
    shown = (images[HELD:], labels[HELD:])
    found: dict[str, list[tuple[vision.ConvolutionalTraining, float, float]]] = {"in steps": [], "directly": []}
    for seed in seeds:
        key = jax.random.key(seed)
        for way, runs in found.items():
            start = time.perf_counter()
            if way == "in steps":
                trained = vision.train(plan, *shown, key=key, steps=steps, **settings)
            else:
                trained = vision.train_directly(plan, *shown, key=key, num_steps=steps.total, **settings)
            seconds = time.perf_counter() - start
            accuracy = vision.evaluate(trained.network, tested, answers).accuracy
            runs.append((trained, accuracy, seconds))
            print(f"seed {seed}, {way}: {accuracy:.4f} of {len(answers)} test images, {seconds:.0f} s", flush=True)
    if not quick:
        write(found, steps, tested, answers, plan.blank_steps)


def write(found: dict[str, Any], steps: vision.StageSteps, tested: Any, answers: Any, onset: int) -> None:
    """Keep the numbers and the picture."""
    here = Path(__file__).with_suffix("")
    facts = {
        way: {
            "test_accuracy": [round(accuracy, 4) for _, accuracy, _ in runs],
            "seconds": [round(seconds) for *_, seconds in runs],
            "validation_accuracy": [
                {name: np.round(one.held_out_accuracy, 4).tolist() for name, one in trained.histories.items()}
                for trained, _, _ in runs
            ],
            "evaluated": {name: one.evaluated.tolist() for name, one in runs[0][0].histories.items()},
        }
        for way, runs in found.items()
    }
    facts |= {"updates": steps.total, "steps": steps._asdict(), "test_images": len(answers)}
    text = json.dumps(facts, indent=1).replace("NaN", "null")
    here.with_suffix(".json").write_text(text + "\n")
    with plot.style():
        figure, (course, decided) = plt.subplots(1, 2, figsize=(11, 4.2))
        for color, (way, runs) in zip(plot.COLORS, found.items(), strict=False):
            for index, (trained, _, _) in enumerate(runs):
                plot.stages(trained.histories, course, color=color, label="_" if index else way)
                logits = vision.respond(trained.network, tested).logits
                share = vision.decisions(logits, answers, onset=onset).accuracy
                decided.plot(np.arange(1, len(share) + 1), share, color=color, label=None if index else way)
        course.set_title(f"{steps.total} updates either way")
        decided.set_title("test images")
        decided.axvline(onset, color="0.6", linewidth=1, linestyle=":", label="image appears")
        decided.set_xlabel("time (steps)")
        decided.set_ylabel("accuracy")
        decided.legend()
        figure.savefig(here.parent.parent / "docs" / "images" / "convnet_stages.png")
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])

# sphinx_gallery_thumbnail_path = "images/convnet_stages.png"
