"""What does training do to information?
=====================================

What does training do to information? Losses, angles, frozen and fine-tuned layers, and few or many images.

Networks of 15² → 15 → 20 → 2 units read gratings (a turn by 180° changes nothing) and pieces of photographs (only a
whole turn does), each way of training from three seeds. We ask for the linear Fisher information of the two outputs
about the angle, of fresh images and of those that a network was trained on, and for the error of the decoded angle.

Six minutes on one core; a run that was stopped goes on with what is missing. Writes orientation_study.json beside
itself and a figure into docs/images.

.. code-block:: sh

    python examples/orientation_study.py
    python examples/orientation_study.py --quick    # one seed and short training, into results/

.. image:: /images/orientation_study.png
   :alt: What does training do to information?
"""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from fisherjax import plot, vision

HERE = Path(__file__).parent
SIZE, STEPS, SEEDS, ANGLES = 15, 3000, 3, 12
KINDS = ("gratings", "photographs")
LOSSES = ("cosine", "angle", "squared", "root", "von-mises")
IMAGES = (50, 200, 1000, 5000, 20_000)
FROM = ("random weights", "a base of other images", "a base of angles about 0", "a base of the same")
NARROW = 4.0  # concentration of the angles of the third


class Way(NamedTuple):
    """How some networks are trained: all losses, concentrations and frozen parts of it, from one base."""

    losses: tuple[Any, ...] = ("cosine",)
    concentrations: tuple[float, ...] = (0.0,)
    frozen: tuple[Any, ...] = ("none",)
    base: str = FROM[0]
    images: int | None = None


WAYS = (
    Way(losses=LOSSES, concentrations=(0.0, 2.0)),
    Way(frozen=("first", "hidden")),
    *(Way(frozen=("none", "first", "hidden"), base=base) for base in FROM[1:3]),
    *(Way(images=count) for count in IMAGES),
    Way(frozen=("none", "first", "hidden"), base=FROM[3]),
)


def rows(kind: str, seed: int, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Every case of one kind of images and one seed."""
    key, steps = jax.random.key(seed), 60 if quick else STEPS
    settings: dict[str, Any] = {"size": SIZE, "num_steps": steps}
    other = KINDS[1 - KINDS.index(kind)]
    trainings: Any = ({"stimuli": other}, {"stimuli": kind, "concentration": NARROW}, {"stimuli": kind})
    trained = (vision.train_angle_network(key=key, **training, **settings).network for training in trainings)
    bases: dict[str, Any] = dict(zip(FROM, (None, *trained), strict=True))
    for number, way in enumerate(WAYS):
        study = vision.orientation_study(
            key=key, stimuli=kind, num_images=way.images, losses=way.losses, concentrations=way.concentrations,
            frozen=way.frozen, start=bases[way.base], num_angles=ANGLES, relative_error=0.05,
            max_trials=6000 if quick else 150_000, num_trials=100, num_replicates=0,
            folder=Path("results", "orientation_study", f"{kind}-{seed}-{number}{'-quick' if quick else ''}"),
            **settings,
        )  # fmt: skip
        for case in study.cases:
            about = {"stimuli": kind, "seed": seed, "base": way.base, "images": way.images}
            yield about | {name: getattr(case, name) for name in ("loss", "concentration", "frozen")} | numbers(case)


def numbers(case: Any) -> dict[str, float]:
    """What is told of one network: means over angles, in rad⁻², degrees and shares; errors are root mean squares."""
    value, decoder = np.asarray(case.fresh.profile.value, float), case.fresh.decoder
    error = np.asarray(case.fresh.profile.standard_error, float)
    found = {
        "information": value.mean(),
        "standard error": np.linalg.norm(error) / len(error),
        "information at 0": value[0],
        "information at half a period": value[len(value) // 2],
        "share": case.share,
        "angle error": off(decoder.bias, decoder.variance),
        "deviation": off(0, decoder.variance),
        "deviation without outliers": off(0, decoder.robust_variance),
        "outliers": np.mean(decoder.outliers),
        "efficiency": np.nanmedian(decoder.efficiency),
        "efficiency without outliers": np.nanmedian(decoder.robust_efficiency),
    }
    if case.trained is not None:
        known = case.trained.profile
        found["information of training images"] = np.mean(known.value)
        found["standard error of training images"] = np.sqrt(np.mean(np.square(known.standard_error)))
        found["angle error of training images"] = off(case.trained.decoder.bias, case.trained.decoder.variance)
    return {name: float(f"{float(number):.5g}") for name, number in found.items()}


def off(bias: Any, variance: Any) -> float:
    """Root mean square of bias and variance together, in degrees."""
    return float(np.degrees(np.sqrt(np.mean(np.square(bias) + np.asarray(variance)))))


def chosen(table: list[dict[str, Any]], value: str, **which: Any) -> np.ndarray:
    """A number of the rows with these entries, over seeds."""
    return np.array([row[value] for row in table if all(row[name] == entry for name, entry in which.items())])


PLAIN = {"loss": "cosine", "concentration": 0.0, "frozen": "none", "base": FROM[0], "images": None}


def summary(table: list[dict[str, Any]]) -> str:
    """The tables of the documentation: means over seeds, of information with their standard errors."""
    ways: dict[str, dict[str, Any]] = {loss: {"loss": loss} for loss in LOSSES}
    ways |= {f"{loss}, angles about 0": {"loss": loss, "concentration": 2.0} for loss in LOSSES}
    for base in FROM:
        for frozen in ("none", "first", "hidden"):
            ways |= {f"cosine, from {base}, frozen: {frozen}": {"base": base, "frozen": frozen}}
    columns = ("information", "angle error", "deviation without outliers", "outliers", "efficiency")
    lines = [row(table, way, which, columns) for way, which in ways.items()]
    columns = ("information", "information of training images", "angle error", "angle error of training images")
    return "\n".join([*lines, "", *(row(table, str(count), {"images": count}, columns) for count in IMAGES)])


def row(table: list[dict[str, Any]], way: str, which: dict[str, Any], columns: tuple[str, ...]) -> str:
    """One way of training, of gratings and of photographs."""
    cells = []
    for kind in KINDS:
        for column in columns:
            values = chosen(table, column, stimuli=kind, **(PLAIN | which)) * (100 if column == "outliers" else 1)
            spread = values.std() / max(len(values) - 1, 1) ** 0.5
            cells.append(f"{values.mean():.3g}" + (f" ± {spread:.1g}" if column == "information" else ""))
    return f"| {way} | {' | '.join(cells)} |"


def draw(path: Path, table: list[dict[str, Any]]) -> None:
    """Losses, bases and numbers of images, for gratings above and photographs below."""
    with plot.style():
        figure, axes = plt.subplots(2, 3, figsize=(11.5, 7.6))
        for kind, (left, middle, right) in zip(KINDS, axes, strict=True):
            for index, concentration in enumerate((0.0, 2.0)):
                label = "all angles alike" if index == 0 else "angles about 0 (κ = 2)"
                for place, loss in enumerate(LOSSES):
                    which = PLAIN | {"loss": loss, "concentration": concentration, "stimuli": kind}
                    points(left, place + 0.2 * index - 0.1, chosen(table, "information", **which), index, label)
            left.set_xticks(range(len(LOSSES)), LOSSES)
            left.set(xlabel="loss", ylim=(0, None))
            left.set_title(kind, loc="left")
            parts = ("none", "first", "hidden")
            for index, base in enumerate(FROM):
                for place, frozen in enumerate(parts):
                    which = PLAIN | {"base": base, "frozen": frozen, "stimuli": kind}
                    where = place + 0.2 * (index - 1.5)
                    points(middle, where, chosen(table, "information", **which), index, f"from {base}")
            middle.set_xticks(range(len(parts)), parts)
            middle.set(xlabel="layers that are frozen", yscale="log")
            for index, (name, label) in enumerate({
                "information": "fresh images", "information of training images": "training images",
            }.items()):  # fmt: skip
                for count in IMAGES:
                    which = PLAIN | {"images": count, "stimuli": kind}
                    points(right, count, chosen(table, name, **which), index, label)
            endless = chosen(table, "information", stimuli=kind, **PLAIN)
            right.axhline(endless.mean(), color="0.5", linewidth=0.9, linestyle="--", label="fresh in every step")
            right.set(xlabel="number of training images", xscale="log", yscale="log")
        for ax in axes.flat:
            ax.set_ylabel("Fisher information (1/rad²)")
            if ax.get_yscale() == "log":
                ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if ax in axes[:, 1] else (1,)))
                ax.yaxis.set_major_formatter("{x:g}")
                ax.yaxis.set_minor_formatter(NullFormatter())
        for ax in axes[:, 2]:
            ax.xaxis.set_major_formatter("{x:,.0f}")
        for ax in axes[1]:
            handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
            ax.legend(handles.values(), handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=9)
        figure.suptitle("information of the outputs about the angle; points: seeds, bars: their mean", fontsize=11)
        figure.savefig(path)
        plt.close(figure)


def points(ax: Any, place: float, values: np.ndarray, index: int, label: str) -> None:
    """Seeds as points, their mean as a bar."""
    color = plot.COLORS[index]
    ax.plot(np.full(len(values), place), values, "o", color=color, markersize=4, label=label)
    ax.plot(place, values.mean(), "_", color=color, markersize=14, markeredgewidth=2)


def main(*, quick: bool) -> None:
    """Train, ask, draw."""
    warnings.simplefilter("ignore")  # that a network which knows hardly anything is hard to judge
    table = []
    for seed in range(1 if quick else SEEDS):
        for kind in KINDS:
            for row in rows(kind, seed, quick=quick):
                table.append(row)
                print(json.dumps(row), flush=True)
    folder = Path("results") if quick else HERE
    folder.mkdir(exist_ok=True)
    (folder / "orientation_study.json").write_text(json.dumps(table, indent=1) + "\n")
    draw((folder if quick else HERE.parent / "docs" / "images") / "orientation_study.png", table)
    print(summary(table))


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)

# sphinx_gallery_thumbnail_path = "images/orientation_study.png"
