"""Monte-Carlo check of every sample estimator: bias, stated variance and coverage, p × T × data."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import RESULTS, write
from fisherjax import fisher

UNITS, TRIALS, INFORMATION, STEP = (2, 5, 20, 50), (200, 500, 2000), 12.0, 0.3


def population(units: int) -> tuple[jax.Array, jax.Array]:
    """A mean derivative and a correlated covariance with information 12."""
    first, second = jax.random.split(jax.random.key(units))
    factor = jax.random.normal(first, (units, 2 * units + 2)) / np.sqrt(2 * units + 2)
    covariance = factor @ factor.T + 0.3 * jnp.eye(units)
    slope = jax.random.normal(second, (units,))
    return slope * jnp.sqrt(INFORMATION / fisher.gaussian_information(slope, covariance)), covariance


def replicates(units: int, trials: int, count: int, name: str) -> tuple[np.ndarray, float]:
    """Value, error and interval of `count` independent data sets, and the truth."""
    slope, covariance = population(units)
    root = jnp.linalg.cholesky(covariance)

    def one(key: jax.Array) -> jax.Array:
        noise = jax.random.normal(key, (2, trials, units)) @ root.T
        minus, plus = noise[0] - slope * STEP / 2, noise[1] + slope * STEP / 2
        found = {
            "direct": lambda: fisher.direct(minus, plus, STEP),
            "shuffled": lambda: fisher.shuffled(minus, plus, STEP),
            "pathwise, r' constant": lambda: fisher.pathwise(noise[0], jnp.broadcast_to(slope, noise[0].shape)),
            "pathwise, r' follows r": lambda: fisher.pathwise(noise[0], slope + 0.7 * noise[0]),
            "pathwise, r' independent": lambda: fisher.pathwise(noise[0], slope + noise[1]),
        }[name]()
        return jnp.stack([found.value, found.standard_error, *found.interval])

    # one at a time: XLA's CPU threads can wait for each other forever in batched factorizations
    rows = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(trials), count))
    truth = fisher.gaussian_information(slope, covariance, form="independent") if name == "shuffled" else INFORMATION
    return np.asarray(rows).T, float(truth)


def run() -> dict[str, object]:
    """Write the table and what it says at worst."""
    with jax.enable_x64(True):
        table, worst = _table()
    (RESULTS / "estimators.md").write_text("\n".join(table) + "\n")
    return write("estimators", {"what": "Every estimator on independent Gaussian data sets: estimators.md", **worst})


def _table() -> tuple[list[str], dict[str, float]]:
    lines = [
        "# Bias, stated variance and coverage of the estimators",
        "",
        "Independent Gaussian data sets, I = 12 (shuffled: its own truth). Bias in standard errors of the mean;",
        "variance as mean stated over empirical, the ratio's own standard error in brackets.",
        "",
        "| estimator | p | T | replicates | bias / s.e. | stated / empirical variance | coverage of 95 % |",
        "|---|---|---|---|---|---|---|",
    ]
    biases, ratios, covers = [], [], []
    for name in ("direct", "shuffled", "pathwise, r' constant", "pathwise, r' follows r", "pathwise, r' independent"):
        for units in UNITS:
            for trials in TRIALS:
                count = 2000 if name == "direct" else int(np.clip(4e8 / (trials * units * (units + 50)), 1500, 6000))
                (value, error, low, high), truth = replicates(units, trials, count, name)
                bias = (value.mean() - truth) / (value.std() / np.sqrt(count))
                ratio = np.mean(error**2) / value.var()
                scatter = np.std((value - value.mean()) ** 2) / value.var() / np.sqrt(count)
                cover = np.mean((low <= truth) & (truth <= high))
                shown = f"{bias:.2f} | {ratio:.3f} ({scatter:.3f}) | {100 * cover:.1f} %"
                lines.append(f"| {name} | {units} | {trials} | {count} | {shown} |")
                biases.append(abs(bias))
                ratios.append(abs(ratio - 1))
                covers.append(cover)
    return lines, {
        "largest bias (standard errors)": float(max(biases)),
        "largest deviation of stated from empirical variance": float(max(ratios)),
        "lowest coverage": float(min(covers)),
        "highest coverage": float(max(covers)),
    }
