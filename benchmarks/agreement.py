"""Simulation against the exact large-N curve on a grid of gains, noise levels and stimuli."""

import itertools
from typing import Any

import jax
import numpy as np

from benchmarks._common import RESULTS, write
from fisherjax import connectivity, fisher

UNITS, TRIALS, DRAWS, STEPS = 2000, 150, 24, 8
GAINS = np.array([[1.14258878, 0.68555327], [1.59962429, 0.91407102]])
FRACTIONS = np.array([0.3, 0.7])


def run() -> dict[str, Any]:
    """Every total must lie within 3 standard errors or 5 % of the theory."""
    rows = []
    for scale, noise_std, stimulus in itertools.product((0.8, 1.0, 1.3), (0.1, 0.5), (0.1, 1.0)):
        matrix = connectivity.GainMatrix(scale * GAINS, FRACTIONS)
        settings = {"stimulus": stimulus, "noise_std": noise_std, "num_steps": STEPS, "num_units": UNITS}
        with jax.enable_x64(True):
            exact = connectivity.GainMatrix(scale * GAINS, FRACTIONS)
            theory = np.asarray(fisher.meanfield_curve(exact, **settings).total)
        measured = fisher.ensemble_curve(
            matrix, num_trials=TRIALS, num_draws=DRAWS, key=jax.random.key(len(rows)), **settings
        )
        total, error = np.asarray(measured.total), np.asarray(measured.standard_error)
        rows += [
            {
                "g0": scale, "σ": noise_std, "θ": stimulus, "t": step + 1, "theory": float(theory[step]),
                "simulation": float(total[step]), "standard error": float(error[step]),
                "ratio": float(total[step] / theory[step]), "z": float((total[step] - theory[step]) / error[step]),
            }
            for step in range(STEPS)
        ]  # fmt: skip
    passed = [abs(row["z"]) <= 3 or abs(row["ratio"] - 1) <= 0.05 for row in rows]
    _table(rows)
    return write(
        "agreement",
        {
            "what": f"N = {UNITS}, {TRIALS} trials, {DRAWS} weight draws, independent-unit form, float32 simulation",
            "within 3 s.e. or 5 % (target: all)": f"{sum(passed)} of {len(rows)}",
            "within 3 s.e.": sum(abs(row["z"]) <= 3 for row in rows),
            "within 5 %": sum(abs(row["ratio"] - 1) <= 0.05 for row in rows),
            "mean ratio": float(np.mean([row["ratio"] for row in rows])),
            "root mean square z": float(np.sqrt(np.mean([row["z"] ** 2 for row in rows]))),
            "rows": rows,
        },
    )


def _table(rows: list[dict[str, float]]) -> None:
    header = list(rows[0])
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(f'{row[name]:.4g}' for name in header)} |" for row in rows]
    text = "# Simulation against exact theory\n\nWritten by `python -m benchmarks.agreement`.\n\n"
    (RESULTS / "agreement.md").write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    for key, value in run().items():
        if key != "rows":
            print(f"{key}: {value}")
