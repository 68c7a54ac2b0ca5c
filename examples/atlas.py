"""Which structure is best, over time, noise and budget?
=====================================================

Which structure keeps most information, over time, noise and budget, in both forms: one sweep that goes on.

Five populations in a Toeplitz structure; at every point the best of several gradient ascents. The result is a list of
points in atlas.json, each with the gains that lags −4 … 4 have, what both forms say of it beside the homogeneous
network on the same budget, and what it is like. A run that was stopped goes on with the points that are missing.

.. code-block:: sh

    python examples/atlas.py            # all points
    python examples/atlas.py --quick    # a few, into a file of their own
    python examples/atlas.py --page     # what the interactive page of the documentation shows of them

.. image:: /../examples/atlas.png
   :alt: Which structure is best, over time, noise and budget?
"""

import collections
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, meanfield, optimize
from fisherjax.plot import COLORS

HERE = Path(__file__).parent
TIMES, NOISES, BUDGETS = (2, 5, 10, 20), (0.03, 0.1, 0.3, 1.0), (0.5, 1.0, 2.0)
FORMS, STIMULUS, STARTS, POPULATIONS = ("independent", "linear"), 0.1, 6, 5
LEGEND = {"exchange": "exchange 0 ↔ 4", "self-loops": "self-loops", "other lags": "other lags"}
SHARE = "share of the budget"
FAMILY = connectivity.ToeplitzFamily(POPULATIONS)
PAGE, HORIZON, UNITS = HERE.parent / "docs" / "_static" / "atlas-data.js", 20, 150


def main(*, quick: bool) -> None:
    """Fill the file, then draw it."""
    path = HERE / ("atlas-quick.json" if quick else "atlas.json")
    points = json.loads(path.read_text()) if path.exists() else []
    done = {(point["form"], point["steps"], point["noise_std"], point["budget"]) for point in points}
    grid = list(itertools.product(FORMS, TIMES[:1] if quick else TIMES, NOISES[1:2] if quick else NOISES, BUDGETS))
    for place in grid:
        if place in done:
            continue
        start = time.perf_counter()
        points.append(best_of(*place, starts=2 if quick else STARTS))
        path.write_text(json.dumps(points, indent=1) + "\n")
        print(f"{place}: {points[-1]['regime']}, {time.perf_counter() - start:.1f} s", flush=True)
    if quick:
        return
    for form in FORMS:
        found = collections.Counter(regime(np.array(point[SHARE])) for point in points if point["form"] == form)
        print(f"{form}: {', '.join(f'{name} {count}' for name, count in found.most_common())}")
    draw(points)


def best_of(form: str, steps: int, noise_std: float, budget: float, *, starts: int) -> dict[str, Any]:
    """The best structure at one point, and what it is like."""
    objectives = {name: optimize.LogFisher(steps, stimulus=STIMULUS, noise_std=noise_std, form=name) for name in FORMS}
    limit = optimize.Budget(budget)
    ascents = []
    for index in range(starts):
        unit = jax.random.uniform(jax.random.key(index), (FAMILY.num_parameters,), minval=0.05, maxval=0.95)
        first = FAMILY.build(5 * unit)
        ascents.append(optimize.refine(FAMILY, objectives[form], first, constraints=(limit,), num_steps=80))
    best = max(ascents, key=lambda ascent: float(ascent.value))
    matrix = limit.rescale(FAMILY.build(5 * best.best))
    plain = limit.rescale(connectivity.homogeneous(1.0, POPULATIONS))
    gains = np.asarray(FAMILY.parameters(matrix))
    share = np.asarray(matrix.fractions)[0] ** 2 * (POPULATIONS - np.abs(np.arange(-4, 5))) * gains**2 / budget
    alignment = meanfield.diffusion_operator(matrix, noise_std=noise_std).alignment()
    return {
        "form": form,
        "steps": steps,
        "noise_std": noise_std,
        "budget": budget,
        "gains": np.round(gains, 6).tolist(),
        SHARE: np.round(share, 4).tolist(),
        **{f"{name} form": float(np.exp(objective(matrix))) for name, objective in objectives.items()},
        **{
            f"over the homogeneous network, {name} form": float(np.exp(objective(matrix) - objective(plain)))
            for name, objective in objectives.items()
        },
        "starts that found it": sum(abs(float(ascent.value) - float(best.value)) < 1e-5 for ascent in ascents),
        "spectral radius": float(alignment.weight_spectral_radius),
        "alignment": float(alignment.input_overlap),
        "largest transient gain": float(alignment.transient_gain),
        "regime": regime(share),
    }


def write_page(points: list[dict[str, Any]]) -> None:
    """Curves and eigenvalues of every point, as a script that a page opened from a file can read."""
    shown = []
    for point in points:
        matrix = connectivity.toeplitz(point["gains"])
        plain = optimize.Budget(point["budget"]).rescale(connectivity.homogeneous(1.0, POPULATIONS))
        weights = connectivity.sample_weights(matrix, UNITS, key=jax.random.key(0))
        values = np.linalg.eigvals(np.asarray(weights))
        shown.append(
            {
                **{name: point[name] for name in ("form", "steps", "noise_std", "budget", "gains", "regime")},
                **{name: curve_of(matrix, point["noise_std"], name) for name in FORMS},
                **{f"homogeneous_{name}": curve_of(plain, point["noise_std"], name) for name in FORMS},
                **{f"ratio_{name}": round(point[f"over the homogeneous network, {name} form"], 3) for name in FORMS},
                "radius": round(point["spectral radius"], 4),
                "alignment": round(point["alignment"], 4),
                "eigenvalues": np.round(np.stack([values.real, values.imag], axis=1), 3).tolist(),
            }
        )
    atlas = {
        "populations": POPULATIONS,
        "units": UNITS,
        "forms": FORMS,
        "steps": TIMES,
        "noise_stds": NOISES,
        "budgets": BUDGETS,
        "points": shown,
    }
    PAGE.write_text(f"const ATLAS = {json.dumps(atlas, separators=(',', ':'))};\n")


def curve_of(matrix: connectivity.GainMatrix, noise_std: float, form: str) -> list[float]:
    """Information per unit over time, to four digits."""
    settings = {"stimulus": STIMULUS, "noise_std": noise_std, "num_steps": HORIZON}
    return [float(f"{value:.4g}") for value in fisher.meanfield_curve(matrix, form=form, **settings).total]


def parts_of(share: np.ndarray) -> dict[str, float]:
    """Shares of the budget: between the population that hears the stimulus and the last one, within each, elsewhere."""
    return {
        "exchange": share[0] + share[-1],
        "self-loops": share[4],
        "other lags": share[1:4].sum() + share[5:-1].sum(),
    }


def regime(share: np.ndarray) -> str:
    """What a tenth of the budget or more goes into, the most first."""
    parts = parts_of(share)
    return " and ".join(name for name in sorted(parts, key=parts.__getitem__, reverse=True) if parts[name] > 0.1)


def draw(points: list[dict[str, Any]]) -> None:
    """Where each form's optimum spends its budget, over noise, one row for every form, one column for every time."""
    figure, axes = plt.subplots(len(FORMS), len(TIMES), figsize=(13, 6), layout="constrained", sharex=True, sharey=True)
    width = 0.26
    for row, form in zip(axes, FORMS, strict=True):
        for ax, steps in zip(row, TIMES, strict=True):
            for offset, budget in zip((-1, 0, 1), BUDGETS, strict=True):
                chosen = [
                    point
                    for point in points
                    if (point["form"], point["steps"], point["budget"]) == (form, steps, budget)
                ]
                chosen.sort(key=lambda point: point["noise_std"])
                parts = [parts_of(np.array(point[SHARE])) for point in chosen]
                places, bottom = np.arange(len(chosen)) + 1.1 * width * offset, np.zeros(len(chosen))
                for color, name in zip(COLORS, ("exchange", "self-loops", "other lags"), strict=False):
                    height = np.array([part[name] for part in parts])
                    ax.bar(places, height, width, bottom, color=color, label=LEGEND[name] if offset == 0 else None)
                    bottom += height
            ax.set_xticks(range(len(NOISES)), [f"{noise:g}" for noise in NOISES])
            ax.set_title(f"{form} form, T = {steps}")
    axes[1, 0].legend(fontsize=8, loc="lower left")
    figure.supxlabel("process noise σ; bars of one group: budgets 0.5, 1, 2")
    figure.supylabel("share of the synaptic budget")
    figure.savefig(HERE / "atlas.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    with jax.enable_x64(True):
        if "--page" in sys.argv:
            write_page(json.loads((HERE / "atlas.json").read_text()))
        else:
            main(quick="--quick" in sys.argv)

# sphinx_gallery_thumbnail_path = "../examples/atlas.png"
