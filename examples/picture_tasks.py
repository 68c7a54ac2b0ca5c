"""Heads on areas: three tasks of pictures
=======================================

What a recurrent head can do with a network that sees: three tasks of pictures, on top of each area.

A convolutional recurrent network of four areas learns handwritten digits directly and is left as it is. On each of its
areas a gated recurrent network of 32 units learns to tell whether a sample and a test picture are of the same class
after a delay, which of two categories a picture belongs to under the rule that is cued, and a category after a delay.
The test is on other images. Then, for the delayed match on the last area: fixed points of the whole (areas and head)
while nothing is shown, beside the states in the delay.

Five minutes on two cores; writes picture_tasks.json beside itself and docs/images/picture_tasks.png.

.. code-block:: sh

    python examples/picture_tasks.py [--quick]

.. image:: /images/picture_tasks.png
   :alt: Heads on areas: three tasks of pictures
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import datasets, dynamics, networks, plot, training, vision

TASKS = ("delayed-match", "context", "category")
TIMES: dict[str, Any] = {"picture_steps": 10, "delay_steps": 10, "answer_steps": 4}
PLAN = vision.Architecture((8, 8, 1), 10, (8, 8, 16, 16), blank_steps=4, image_steps=12)


def seen(quick: bool) -> tuple[Any, Any, Any]:  # noqa: FBT001
    """The network, and images with labels to train heads and to test them."""
    train, test = datasets.digits(), datasets.digits(split="test")
    mean, spread = train[0].mean(), train[0].std()
    pairs = [((images - mean) / spread, labels) for images, labels in (train, test)]
    options: dict[str, Any] = {"batch_size": 64, "learning_rate": 2e-3, "offset_steps": 24, "return_penalty": 1e-2}
    trained = vision.train_directly(PLAN, *pairs[0], key=jax.random.key(0), num_steps=10 if quick else 500, **options)
    accuracy = vision.evaluate(trained.network, *pairs[1]).accuracy
    print(f"the network itself: {accuracy:.4f} of {len(pairs[1][1])} test images", flush=True)
    return trained.network, pairs[0], pairs[1]


def learned(network: Any, train: Any, test: Any, task: str, area: int, quick: bool) -> tuple[Any, float, float]:  # noqa: FBT001
    """A head that learned a task on an area, and its share of right answers on other images, with an error."""
    keys = jax.random.split(jax.random.key(1 + TASKS.index(task)), 3)
    count = 256 if quick else 4096
    batch, tested = (
        vision.picture_trials(network, pair[0], pair[1], task, key=key, num_trials=n, area=area, **TIMES)
        for pair, key, n in ((train, keys[0], count), (test, keys[1], 1024))
    )
    head: Any = networks.GRU(batch.inputs.shape[-1], 32, 2, key=keys[2])  # pyright: ignore[reportCallIssue]
    fitted = training.fit(
        head, tuple(batch), key=keys[2], num_steps=20 if quick else 800, batch_size=64, learning_rate=5e-3,
        loss="cross_entropy",
    ).network  # fmt: skip
    outputs = networks.run(fitted, tested.inputs)[1]
    right = np.asarray(outputs[-1].argmax(axis=-1) == tested.targets[-1].argmax(axis=-1))
    return fitted, float(right.mean()), float(right.std() / len(right) ** 0.5)


def points_of(network: Any, head: Any, test: Any, quick: bool) -> dict[str, Any]:  # noqa: FBT001
    """Fixed points of network and head while nothing is shown, and states at the end of the delay.

    The head does not act back on the areas, so that these are the areas' own fixed point and, with what the head sees
    there, those of the head; the Jacobian is block triangular. That the whole rests there is checked.
    """
    whole = vision.with_head(network, head)
    image, blank = jnp.asarray(test[0][: 8 if quick else 200]), jnp.zeros((1, *PLAN.image_shape))
    step = jax.jit(lambda state, image: whole.step(state, image))  # noqa: PLW0108  a network has no hash
    states = jnp.broadcast_to(whole.resting_state, (len(image), whole.state_size))
    for _ in range(TIMES["picture_steps"]):
        states = step(states, image)
    for _ in range(TIMES["delay_steps"]):
        states = step(states, jnp.broadcast_to(blank, image.shape))
    held, size = np.asarray(states), network.state_size
    rest = states[:1]
    for _ in range(500):
        rest = step(rest, blank)
    means = vision.channel_means(network)(rest[0, :size])
    found = dynamics.find_fixed_points(head, held[:, size:], means)
    both = jnp.concatenate([jnp.broadcast_to(rest[:, :size], (len(found.points), size)), found.points], axis=1)
    moved = step(both, jnp.broadcast_to(blank, (len(both), *PLAN.image_shape))) - both
    return {
        "states": held[:, size:], "labels": np.asarray(test[1][: len(held)]),
        "points": np.asarray(found.points), "unstable": np.asarray(found.num_unstable),
        "slowest": np.abs(np.asarray(found.eigenvalues)).max(axis=1), "moved": float(jnp.abs(moved).max()),
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    """Train heads, test them, look for fixed points, draw."""
    quick, begun = "--quick" in arguments, time.perf_counter()
    network, train, test = seen(quick)
    accuracy: dict[str, list[list[float]]] = {}
    heads = {}
    for task in TASKS:
        for area in range(PLAN.depth):
            heads[task, area], right, error = learned(network, train, test, task, area, quick)
            accuracy.setdefault(task, []).append([round(right, 4), round(error, 4)])
            print(f"{task}, area {area}: {right:.4f} ± {error:.4f}, {time.perf_counter() - begun:.0f} s", flush=True)
    found = points_of(network, heads["delayed-match", PLAN.depth - 1], test, quick)
    print(
        f"{len(found['points'])} fixed points, unstable directions {found['unstable'].tolist()}; {found['moved']:.1e}"
    )
    if not quick:
        facts = {"accuracy and error by area": accuracy, "unstable directions": found["unstable"].tolist()}
        facts |= {"largest move of the whole in a step from there": float(f"{found['moved']:.2g}")}
        facts |= {"largest |λ|": np.round(found["slowest"], 4).tolist(), "seconds": round(time.perf_counter() - begun)}
        write(facts, accuracy, found)


def write(facts: dict[str, Any], accuracy: dict[str, Any], found: dict[str, Any]) -> None:
    """Keep the numbers and the picture."""
    here = Path(__file__).with_suffix("")
    here.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    with plot.style():
        figure, (bars, plane) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
        for color, (task, values) in zip(plot.COLORS, accuracy.items(), strict=False):
            right, error = np.array(values).T
            bars.errorbar(range(len(right)), right, error, fmt="o-", color=color, capsize=2, label=task)
        bars.axhline(0.5, color="0.6", linestyle="--", linewidth=1, label="chance")
        bars.set(xticks=range(PLAN.depth), xlabel="area that the head sees", ylabel="right answers on other images")
        bars.legend()
        middle = found["states"].mean(axis=0)
        axes = np.linalg.svd(found["states"] - middle, full_matrices=False)[2][:2]
        at, fixed = ((found[name] - middle) @ axes.T for name in ("states", "points"))
        shown = plane.scatter(
            *at.T, c=found["labels"], cmap="tab10", vmin=-0.5, vmax=9.5, s=14, label="end of the delay"
        )
        figure.colorbar(shown, ax=plane, label="digit that was shown", ticks=range(10))
        stable = found["unstable"] == 0
        for chosen, marker, label in ((stable, "X", "stable fixed points"), (~stable, "+", "unstable ones")):
            if chosen.any():
                plane.plot(*fixed[chosen].T, marker, color="black", markersize=9, linestyle="none", label=label)
        plane.set(xlabel="first principal component of the head", ylabel="second", title="delayed match, last area")
        plane.legend()
        figure.savefig(here.parent.parent / "docs" / "images" / "picture_tasks.png")
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])

# sphinx_gallery_thumbnail_path = "images/picture_tasks.png"
