"""Which networks keep the geometry of images?
===========================================

Which networks keep the geometry of images: Fisher-optimal, geometry-optimal, critical, sub-critical, chaotic.

Five structures of five populations see the same patches of photographs in their first population. The Fisher-optimal
one maximizes the information about a pulse after ten steps, the geometry-optimal one the predicted correlation of
distances after ten steps, in single noisy trials; both within the synaptic budget of the critical random network.

Some four minutes on two cores; writes keep_geometry.png and keep_geometry.json beside itself.

.. code-block:: sh

    python examples/keep_geometry.py [--quick]

.. image:: /../examples/keep_geometry.png
   :alt: Which networks keep the geometry of images?
"""

import json
import sys
from pathlib import Path
from typing import Any, cast

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from fisherjax import connectivity as cn
from fisherjax import datasets, fisher, geometry, optimize, plot

POPULATIONS, HORIZON, STEPS, NOISE = 5, 10, 20, 0.1
HERE = Path(__file__).parent


def structures(key: jax.Array, *, quick: bool) -> dict[str, cn.GainMatrix]:
    """The five networks."""
    search: dict[str, Any] = {
        "key": key,
        "constraints": (optimize.Budget(1.0),),
        "num_generations": 10 if quick else 150,
        "refine_steps": 5 if quick else 30,
    }
    stimulated = cn.homogeneous(1.0)
    images = datasets.natural_patches(20, key=jax.random.fold_in(key, 1))
    patterns = geometry.initial_patterns(images, stimulated, 200, key=key)
    kept = optimize.DistancesKept(patterns, HORIZON, noise_std=NOISE)
    information = optimize.LogFisher(HORIZON, stimulus=0.1, noise_std=NOISE)
    geometric: dict[str, Any] = search | {"num_generations": 5 if quick else 60, "population_size": 24}
    return {
        "Fisher-optimal": optimize.maximize(cn.ToeplitzFamily(POPULATIONS), information, **search).gain_matrix,
        "geometry-optimal": optimize.maximize(cn.ToeplitzFamily(POPULATIONS), kept, **geometric).gain_matrix,
        "critical, g = 1": cn.homogeneous(1.0, POPULATIONS),
        "sub-critical, g = 0.7": cn.homogeneous(0.7, POPULATIONS),
        "chaotic, g = 1.6": cn.homogeneous(1.6, POPULATIONS),
    }


def main(*, quick: bool) -> None:
    """Optimize, follow, draw."""
    key = jax.random.key(0)
    units, images = (200, 30) if quick else (1000, 100)
    patches = datasets.natural_patches(images, key=jax.random.fold_in(key, 2))
    found, information = {}, {}
    with jax.enable_x64(True):
        for name, gains in structures(key, quick=quick).items():
            found[name] = geometry.compare_geometry(
                gains,
                geometry.initial_patterns(patches, gains, units, key=key),
                noise_std=NOISE,
                num_steps=STEPS,
                num_trials=1,
                num_draws=2 if quick else 5,
                key=key,
                kept_times=[HORIZON],
            )
            information[name] = fisher.meanfield_curve(
                gains, stimulus=0.1, noise_std=NOISE, num_steps=STEPS, num_units=units
            )
            print(summary(name, found[name], information[name]))
    folder = Path("results") if quick else HERE
    folder.mkdir(exist_ok=True)
    draw(folder / "keep_geometry.png", found, information)
    record = {
        name: {
            "pearson": one.measured.pearson.tolist(),
            "pearson interval": one.measured.pearson_interval.tolist(),
            "pearson, theory": one.theory.pearson.tolist(),
            "neighbors": one.measured.neighbors.tolist(),
            "Fisher information": np.asarray(information[name].total).tolist(),
        }
        for name, one in found.items()
    }
    (folder / "keep_geometry.json").write_text(json.dumps(record, indent=1) + "\n")


def summary(name: str, one: geometry.GeometryComparison, information: fisher.FisherCurve) -> str:
    """One network at the horizon, in a line."""
    place = HORIZON - 1
    low, high = cast("Any", one.measured.pearson_interval)[place]
    return (
        f"{name:>22}: correlation at t = {HORIZON} {one.measured.pearson[place]:.2f} ({low:.2f} to {high:.2f}), "
        f"predicted {one.theory.pearson[place]:.2f}; neighbors {one.measured.neighbors[place]:.2f}; "
        f"Fisher information of a pulse {float(information.total[place]):.3g}"
    )


def draw(path: Path, found: dict[str, geometry.GeometryComparison], information: dict[str, fisher.FisherCurve]) -> None:
    """Curves above, Shepard diagrams at the horizon below."""
    with plot.style():
        figure = plt.figure(figsize=(15, 7.4))
        above, below = cast("Any", figure.subfigures(2, 1, height_ratios=(1.15, 1)))
        left, middle, right = above.subplots(1, 3)
        diagrams = below.subplots(1, len(found))
        for index, (name, one) in enumerate(found.items()):
            color = plot.COLORS[index]
            plot.distance_correlation(one.theory, left, color=color)
            plot.distance_correlation(one.measured, left, measured=True, color=color, label=name)
            middle.plot(one.measured.times, one.measured.neighbors, "o-", markersize=3, color=color)
            right.plot(information[name].times, information[name].total, color=color)
            plot.shepard(geometry.shepard(one.original, one.simulated[0]), diagrams[index])
            diagrams[index].set_title(f"{name}\n{diagrams[index].get_title()}", color=color)
        left.set_title("points: single trials, 95 % intervals; lines: theory")
        middle.set_title("nearest ten neighbors kept")
        right.set_title("Fisher information of a pulse (theory, independent)")
        right.set_yscale("log")
        for ax in (middle, right):
            ax.set_xlabel("time (steps)")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        below.suptitle(f"distances between images at t = {HORIZON}", fontsize=10)
        figure.savefig(path)
        plt.close(figure)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)

# sphinx_gallery_thumbnail_path = "../examples/keep_geometry.png"
