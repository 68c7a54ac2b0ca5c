"""Is a recurrent network robust?
==============================

Robustness of a recurrent network, beside that of the feed-forward network that it was made of.

Digits of 8 × 8 and drawn shapes of 16 × 16. Of each seed: the feed-forward network of step 1, the same trained for as
many updates as all steps together, the recurrent network that the published steps make of the first, and a recurrent
network trained directly. All see the same test images, spoiled alike: noise, lost contrast, occlusion, blur. Errors of
differences are those of paired images.

Ten minutes on two cores; writes robust_seeing.json beside itself and docs/images/robust_seeing.png.

.. code-block:: sh

    python examples/robust_seeing.py [--quick]

.. image:: /images/robust_seeing.png
   :alt: Is a recurrent network robust?
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

LEVELS = {
    "noise": (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    "contrast": (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95),
    "occlusion": (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    "blur": (0.0, 0.3, 0.5, 0.7, 0.9, 1.2, 1.5),
}
STEPS = vision.StageSteps(feedforward=300, recurrence=300, linear=60, anneal=4, fine_tune=100)
QUICK = vision.StageSteps(feedforward=5, recurrence=5, linear=2, anneal=1, fine_tune=2)
WAYS = ("feed-forward", "feed-forward, longer", "recurrent, in steps", "recurrent, directly")
OPTIONS: dict[str, Any] = {"batch_size": 64, "learning_rate": 2e-3}


def sets(key: jax.Array, quick: bool) -> dict[str, Any]:  # noqa: FBT001
    """Architecture, training and test images of each data set, standardized, and the scale of its blur."""
    train_key, test_key = jax.random.split(key)
    shapes = [datasets.shapes(n, key=k, size=16) for n, k in ((2000, train_key), (500, test_key))]
    times: dict[str, Any] = {"blank_steps": 2, "image_steps": 3} if quick else {"blank_steps": 8, "image_steps": 20}
    plans = {
        "digits": (vision.architecture("R4-8", **times), datasets.digits(), datasets.digits(split="test"), 1.0),
        "shapes": (vision.Architecture((16, 16, 1), 4, (8, 8, 16, 16), **times), *shapes, 2.0),
    }
    found = {}
    for name, (plan, train, test, scale) in plans.items():
        mean, spread = np.mean(train[0]), np.std(train[0])
        pairs = [((np.asarray(images) - mean) / spread, np.asarray(labels)) for images, labels in (train, test)]
        found[name] = (plan, *pairs, scale)
    return found


def networks_of(plan: vision.Architecture, train: Any, steps: vision.StageSteps, key: jax.Array) -> dict[str, Any]:
    """One network of each way, from the same key."""
    staged = vision.train(plan, *train, key=key, steps=steps, **OPTIONS)
    first, second = jax.random.split(jax.random.fold_in(key, 1))
    longer, _ = vision.train_feedforward(plan, *train, key=first, num_steps=steps.total, **OPTIONS)
    direct = vision.train_directly(plan, *train, key=second, num_steps=steps.total // 2, **OPTIONS)
    return dict(zip(WAYS, (staged.cnn, longer, staged.network, direct.network), strict=True))


def main(arguments: list[str]) -> None:
    """Train, spoil, compare, draw."""
    quick = "--quick" in arguments
    steps, begun = QUICK if quick else STEPS, time.perf_counter()
    found: dict[str, Any] = {}
    for name, (plan, train, test, scale) in sets(jax.random.key(0), quick).items():
        for seed in range(1 if quick or name == "shapes" else 2):
            for way, network in networks_of(plan, train, steps, jax.random.key(seed)).items():
                for corruption, levels in LEVELS.items():
                    strengths = np.array(levels) * (scale if corruption == "blur" else 1)
                    own = vision.robustness(
                        network, *test, key=jax.random.key(9), levels=strengths, corruption=corruption
                    )
                    found.setdefault(name, {}).setdefault(corruption, {}).setdefault(way, []).append(own)
                plain = found[name]["noise"][way][-1].accuracy[0]
                print(f"{name}, seed {seed}, {way}: {plain:.4f}, {time.perf_counter() - begun:.0f} s", flush=True)
    table = {name: compared(own) for name, own in found.items()}
    for name, rows in table.items():
        for corruption, row in rows.items():
            print(name, corruption, {way: value for way, value in row.items() if way != "levels"})
    if not quick:
        write(found, table, time.perf_counter() - begun)


def compared(own: dict[str, Any]) -> dict[str, Any]:
    """Mean accuracy over spoiled levels, and its difference from the feed-forward network's, with a paired error."""
    rows: dict[str, Any] = {}
    for corruption, by_way in own.items():
        base = np.concatenate([run.right[1:].mean(axis=0) for run in by_way[WAYS[0]]])
        row: dict[str, Any] = {"levels": by_way[WAYS[0]][0].levels.tolist()}
        for way, runs in by_way.items():
            mine = np.concatenate([run.right[1:].mean(axis=0) for run in runs])
            gain = mine - base
            row[way] = {
                "accuracy": np.round(np.mean([run.accuracy for run in runs], axis=0), 4).tolist(),
                "over spoiled levels": round(float(mine.mean()), 4),
                "more than feed-forward": round(float(gain.mean()), 4),
                "paired error": round(float(gain.std(ddof=1) / len(gain) ** 0.5), 4),
            }
        rows[corruption] = row
    return rows


def write(found: dict[str, Any], table: dict[str, Any], seconds: float) -> None:
    """Keep the numbers and the picture."""
    here = Path(__file__).with_suffix("")
    here.with_suffix(".json").write_text(json.dumps({**table, "seconds": round(seconds)}, indent=1) + "\n")
    with plot.style():
        figure, rows = plt.subplots(len(found), len(LEVELS), figsize=(12, 5.6), sharey=True, layout="constrained")
        for axes, (name, own) in zip(rows, found.items(), strict=True):
            for ax, (corruption, by_way) in zip(axes, own.items(), strict=True):
                for color, (way, runs) in zip(plot.COLORS, by_way.items(), strict=False):
                    for run in runs:
                        plot.robustness(run, ax, color=color)
                    ax.lines[-1].set_label(way)
                ax.set_title(f"{name}: {corruption}")
                ax.label_outer(remove_inner_ticks=False)
        handles = [rows[0, 0].lines[-1]]
        labels = list(WAYS)
        handles = [plt.Line2D([], [], color=color, marker="o") for color in plot.COLORS[: len(WAYS)]]
        figure.legend(handles, labels, loc="outside lower center", ncols=len(WAYS))
        figure.savefig(here.parent.parent / "docs" / "images" / "robust_seeing.png")
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])

# sphinx_gallery_thumbnail_path = "images/robust_seeing.png"
