"""The figures of networks_that_remember.py, and its numbers, from the records of its trainings.

python examples/networks_that_remember_figures.py
"""

import json
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from fisherjax import connectivity, fisher, plot

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "images"
CRITERIA = (
    "G", "G, noise of training", "pulse information", "pulse information, noise of training", "gradient gain",
    "isometry",
)  # fmt: skip
DRAWN = {"G": "G, share of the targets in the states", "pulse information": "log₁₀ of information about a pulse"}
FAMILIES = {
    "orthogonal": ("o", plot.COLORS[0]), "Gaussian": ("s", plot.COLORS[1]), "Glorot": ("s", plot.COLORS[5]),
    "identity": ("^", plot.COLORS[6]), "chain": ("D", plot.COLORS[2]), "feedback": ("D", plot.COLORS[4]),
    "Toeplitz": ("v", plot.COLORS[3]),
}  # fmt: skip
SHOWN = ("orthogonal g*", "orthogonal 1", "Gaussian 1", "chain 1.02", "identity", "Toeplitz, linear")
EVERY = 10
Records = list[dict[str, Any]]


def tuned(records: Records) -> Records:
    """The records with the accuracies at the learning rate that is best, over seeds, for their kind of network."""
    for record in records:
        alike = [one for one in records if (one["setting"], one["start"]) == (record["setting"], record["start"])]
        means = {rate: np.mean([one["accuracy"][rate] for one in alike]) for rate in record["accuracy"]}
        record["rate"] = max(means, key=lambda rate: means[rate])
        record["course"] = np.array(record["accuracy"][record["rate"]])
        record["score"] = float(record["course"].mean())
    return records


def of(records: Records, setting: str, start: str | None = None) -> Records:
    """Those of one setting, and of one kind."""
    return [one for one in records if one["setting"] == setting and start in {None, one["start"]}]


def ranked(records: Records, name: str) -> float:
    """Spearman's correlation of a criterion with accuracy, without the networks that were raised in the criterion."""
    chosen = [one for one in records if "ascended" not in one["start"]]
    found: Any = spearmanr([one["criteria"][name] for one in chosen], [one["score"] for one in chosen])
    return float(found.statistic)


def summary(records: Records, settings: list[str]) -> dict[str, Any]:
    """What the page says, as numbers."""
    starts = list(dict.fromkeys(one["start"] for one in records))
    return {
        "Spearman of each criterion with accuracy": {
            setting: {name: round(ranked(of(records, setting), name), 3) for name in CRITERIA} for setting in settings
        },
        "mean accuracy over training, at the best rate": {
            setting: {
                start: round(np.mean([one["score"] for one in of(records, setting, start)]), 3) for start in starts
            }
            for setting in settings
        },
        "G": {
            setting: {
                start: round(np.mean([one["criteria"]["G"] for one in of(records, setting, start)]), 3)
                for start in starts
            }
            for setting in settings
        },
    }


def scatter(ax: Axes, records: Records, name: str) -> None:
    """Accuracy against a criterion, a point for every network and seed."""
    for family, (marker, color) in FAMILIES.items():
        for ascended in (False, True):
            chosen = [
                one for one in records if one["start"].startswith(family) and ("ascended" in one["start"]) is ascended
            ]
            ax.plot(
                [one["criteria"][name] for one in chosen], [one["score"] for one in chosen], marker, color=color,
                markersize=4, markerfacecolor="none" if ascended else color, alpha=0.8,
                label=None if ascended else family,
            )  # fmt: skip
    ax.set_title(f"ρ = {ranked(records, name):.2f}", fontsize=9)


def draw_criteria(records: Records, settings: list[str], folder: Path) -> None:
    """A row for every criterion, a column for every setting."""
    figure, axes = plt.subplots(2, len(settings), figsize=(2.4 * len(settings), 5), sharey="col", squeeze=False)
    for row, name in zip(axes, DRAWN, strict=True):
        for ax, setting in zip(row, settings, strict=True):
            scatter(ax, of(records, setting), name)
            ax.set_xlabel(DRAWN[name], fontsize=8)
    for ax, setting in zip(axes[0], settings, strict=True):
        ax.set_title(f"{setting}\n{ax.get_title()}", fontsize=9)
    for row in axes:
        row[0].set_ylabel("mean accuracy over training")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(FAMILIES), fontsize=9)
    figure.savefig(folder / "networks_that_remember.png")
    plt.close(figure)


def draw_courses(records: Records, settings: list[str], folder: Path) -> None:
    """Learning curves above, accuracy over the gain of orthogonal weights below."""
    figure, axes = plt.subplots(2, len(settings), figsize=(2.4 * len(settings), 5.2), squeeze=False)
    for ax, setting in zip(axes[0], settings, strict=True):
        for start, color in zip(SHOWN, plot.COLORS, strict=False):
            courses = [one["course"] for one in of(records, setting, start)]
            steps = EVERY * (1 + np.arange(len(courses[0])))
            for course in courses:
                ax.plot(steps, course, color=color, linewidth=0.5, alpha=0.6)
            ax.plot(steps, np.mean(courses, axis=0), color=color, label=start)
        ax.set_title(setting, fontsize=9)
        ax.set_xlabel("training step")
        ax.set_ylim(0, 1.02)
    for ax, setting in zip(axes[1], settings, strict=True):
        chosen = [
            one
            for one in of(records, setting)
            if one["start"].startswith("orthogonal") and "ascended" not in one["start"]
        ]
        gains = np.array([one["gain"] for one in chosen])
        ax.plot(gains, [one["score"] for one in chosen], ".", color=plot.COLORS[0])
        ax.plot(gains, [one["criteria"]["G"] for one in chosen], "x", color=plot.COLORS[2], markersize=4)
        best = next(one["gain"] for one in chosen if one["start"] == "orthogonal g*")
        ax.axvline(best, color=plot.COLORS[1], linewidth=1)
        ax.set_title(f"{'g*' if 'copy' in setting else 'by G'} = {best:.3f}", fontsize=9)
        ax.set_xlabel("gain of orthogonal weights")
    axes[0, 0].set_ylabel("held-out accuracy")
    axes[1, 0].set_ylabel("mean accuracy (•), G (×)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(SHOWN), fontsize=9)
    figure.savefig(folder / "networks_that_remember_training.png")
    plt.close(figure)


def draw_information(folder: Path) -> None:
    """Linear information about a pulse in Haar and Gaussian weights: theory, and networks of 300 units."""
    steps = 10
    settings: Any = {"stimulus": 0.5, "noise_std": 0.1, "num_steps": steps, "form": "linear"}
    figure, ax = plt.subplots(figsize=(5, 3.6))
    times = np.arange(1, steps + 1)
    for ensemble, color in (("orthogonal", plot.COLORS[0]), ("gaussian", plot.COLORS[1])):
        structure = connectivity.homogeneous(1.0)
        theory = fisher.meanfield_curve(structure, **settings, ensemble=ensemble)
        measured: Any = fisher.ensemble_curve(
            structure, **settings, num_units=300, num_trials=4000, num_draws=8, ensemble=ensemble, key=jax.random.key(0)
        )
        ax.plot(times, theory.total, color=color, label=f"{ensemble}, theory")
        ax.errorbar(times, measured.total / 300, measured.standard_error / 300, fmt="o", color=color, markersize=3)
        ratio = np.asarray(measured.total / 300 / theory.total)
        print(f"{ensemble}: measured over predicted {np.round(ratio, 3).tolist()}")
    ax.set_yscale("log")
    ax.set_xlabel("time since the pulse (steps)")
    ax.set_ylabel("linear information per unit")
    ax.legend()
    figure.savefig(folder / "orthogonal_information.png")
    plt.close(figure)


def draw(records: Records, folder: Path, pictures: Path) -> None:
    """All figures, and the numbers."""
    settings = list(dict.fromkeys(one["setting"] for one in records))
    tuned(records)
    with plot.style():
        draw_criteria(records, settings, pictures)
        draw_courses(records, settings, pictures)
        draw_information(pictures)
    numbers = summary(records, settings)
    (folder / "networks_that_remember.json").write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(numbers["Spearman of each criterion with accuracy"], indent=1, ensure_ascii=False))


if __name__ == "__main__":
    lines = (HERE / "networks_that_remember.jsonl").read_text().splitlines()
    draw([json.loads(line) for line in lines], HERE, PICTURES)
