"""Coverage of the stated 95 % intervals on data that are not as the intervals assume, with and without the remedy.

``python -m benchmarks.coverage [--count 1000] [--missing] [CASE …]`` writes results/coverage.md and .json, case after
case. Each draws data sets of p = 10 units with linear information 10, T trials in each of two conditions, and asks
every estimator; an interval is right if it holds what it is said to be of. How often the data sets are warned of is
measured through the public functions, each asked as a user asks.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import RESULTS, write
from fisherjax import fisher
from fisherjax.fisher._decoder import _divide
from fisherjax.fisher._moments import active_units, pair_moments
from fisherjax.fisher._trials import set_aside

UNITS, TRIALS, INFORMATION, STEP = 10, (60, 200), 10.0, 0.5
RESAMPLES, WARNED = 200, 300
LENGTH = 12  # of blocks for correlated trials, as the warning says


def population() -> tuple[np.ndarray, np.ndarray]:
    """A mean derivative and a correlated covariance with linear information 10."""
    rng = np.random.default_rng(10)
    factor = rng.normal(size=(UNITS, 2 * UNITS)) / np.sqrt(2 * UNITS)
    covariance = factor @ factor.T + 0.3 * np.eye(UNITS)
    slope = rng.normal(size=UNITS)
    return slope * np.sqrt(INFORMATION / (slope @ np.linalg.solve(covariance, slope))), covariance


SLOPE, COVARIANCE = population()
ROOT = np.linalg.cholesky(COVARIANCE)
Draw = Callable[[np.random.Generator, int], np.ndarray]  # standardized noise of one condition (T, p), covariance Σ


def gaussian(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Gaussian noise."""
    return rng.normal(size=(trials, UNITS)) @ ROOT.T


def student(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Multivariate t with five degrees of freedom."""
    return gaussian(rng, trials) * np.sqrt(3 / rng.chisquare(5, size=(trials, 1)))


def lognormal(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Mixtures of independent lognormal variables of unit s.d. in the logarithm."""
    raw = np.exp(rng.normal(size=(trials, UNITS)))
    return (raw - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e) @ ROOT.T


def autoregressive(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Gaussian trials, each correlated with the one before by 0.5."""
    state, rows = gaussian(rng, 1)[0], []
    for fresh in gaussian(rng, trials):
        state = 0.5 * state + np.sqrt(0.75) * fresh
        rows.append(state)
    return np.stack(rows)


def contaminated(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Gaussian noise, one trial in a hundred (at least one) twenty times too large."""
    noise = gaussian(rng, trials)
    noise[rng.choice(trials, max(1, trials // 100), replace=False)] *= 20
    return noise


CASES: dict[str, tuple[Draw, Draw]] = {
    "Gaussian": (gaussian, gaussian),
    "multivariate t, 5 degrees": (student, student),
    "lognormal": (lognormal, lognormal),
    "AR(0.5) trials": (autoregressive, autoregressive),
    "1 % outliers × 20": (contaminated, contaminated),
    "unequal covariances (1 : 3)": (
        lambda rng, trials: np.sqrt(0.5) * gaussian(rng, trials),
        lambda rng, trials: np.sqrt(1.5) * gaussian(rng, trials),
    ),
}
POISSON = "Poisson counts, 0.05 to 0.3 per bin"
REMEDIES = {
    "multivariate t, 5 degrees": ("jackknife", "jackknife, pathwise"),
    "lognormal": ("jackknife", "jackknife, pathwise"),
    "AR(0.5) trials": (f"direct, blocks={LENGTH}",),
    "1 % outliers × 20": ("direct, robust", "pathwise, robust", "jackknife, robust", "held-out decoder, robust"),
    POISSON: ("jackknife",),
    "unequal covariances (1 : 3)": ("jackknife",),
}


def data_sets(case: str, trials: int, count: int) -> tuple[np.ndarray, float]:
    """Responses (count, 2, T, p) to both stimuli, and the linear information."""
    rng = np.random.default_rng([trials, len(case)])
    if case == POISSON:
        rates, slope = np.linspace(0.05, 0.3, UNITS), np.linspace(-1, 1, UNITS) * 0.2
        slope = slope * np.sqrt(INFORMATION / 10 / np.sum(slope**2 / rates))
        ends = np.stack([rates - slope * STEP / 2, rates + slope * STEP / 2])
        truth = float(np.sum(slope**2 / ends.mean(axis=0)))
        return rng.poisson(ends[None, :, None], size=(count, 2, trials, UNITS)).astype(float), truth
    shift = np.array([-0.5, 0.5])[:, None, None] * STEP * SLOPE
    return np.stack([np.stack([draw(rng, trials) for draw in CASES[case]]) + shift for _ in range(count)]), INFORMATION


def intervals(data: np.ndarray, covariance: np.ndarray, slope: np.ndarray) -> dict[str, np.ndarray]:
    """Value, ends of the interval, and what it is of where that is the decoder's own: (count, 4) for each estimator."""

    def one(pair: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        minus, plus = pair
        paths = (minus, jnp.asarray(slope) + 0.5 * (plus - jnp.mean(plus, axis=0)))
        found = {
            "direct": fisher.direct(minus, plus, STEP),
            "shuffled": fisher.shuffled(minus, plus, STEP),
            "pathwise": fisher.pathwise(*paths),
            "held-out decoder": fisher.decoder(minus, plus, STEP, key=key),
            "jackknife": fisher.jackknife(minus, plus, STEP),
            "jackknife, pathwise": fisher.jackknife(*paths),
            "bootstrap": fisher.bootstrap(minus, plus, STEP, key=key, num_resamples=RESAMPLES),
            f"direct, blocks={LENGTH}": fisher.direct(minus, plus, STEP, blocks=LENGTH),
        }
        own = {"held-out decoder": _reached(_held_out_weights(minus, plus, key), covariance, slope)}
        return {
            name: jnp.stack([part.value, *part.interval, own.get(name, jnp.zeros(()))]) for name, part in found.items()
        }

    keys = jax.random.split(jax.random.key(1), len(data))
    run = jax.jit(lambda *arrays: jax.lax.map(lambda pair: one(*pair), arrays))
    return {name: np.asarray(part) for name, part in run(data, keys).items()}


def _reached(weights: jax.Array, covariance: np.ndarray, slope: np.ndarray) -> jax.Array:
    """The information that a linear decoder reaches."""
    return (weights @ jnp.asarray(slope)) ** 2 / (weights @ jnp.asarray(covariance) @ weights)


def _held_out_weights(minus: jax.Array, plus: jax.Array, key: jax.Array) -> jax.Array:
    """Weights of the held-out decoder: those of the same training half."""
    split_key, _ = jax.random.split(key)
    halves = [_divide(p, k, 0.5, 1)[0] for p, k in zip((minus, plus), jax.random.split(split_key), strict=True)]
    moments = pair_moments(*halves, jnp.full(1, STEP))
    slope_found, covariance, _ = active_units(moments.slope, moments.covariance)
    return jnp.linalg.solve(covariance, slope_found[0])


CALLS: dict[str, Callable[..., Any]] = {
    "direct": lambda minus, plus: fisher.direct(minus, plus, STEP),
    "pathwise": lambda minus, plus: fisher.pathwise(minus, SLOPE + 0.5 * (plus - plus.mean(axis=0))),
    "held-out decoder": lambda minus, plus: fisher.decoder(minus, plus, STEP, key=jax.random.key(0)),
    "jackknife": lambda minus, plus: fisher.jackknife(minus, plus, STEP),
    "jackknife, pathwise": lambda minus, plus: fisher.jackknife(minus, SLOPE + 0.5 * (plus - plus.mean(axis=0))),
    "shuffled": lambda minus, plus: fisher.shuffled(minus, plus, STEP),
    "bootstrap": lambda minus, plus: fisher.bootstrap(minus, plus, STEP, key=jax.random.key(0), num_resamples=2),
}
"""Each estimator as a user asks it, who is warned or not."""


def warned(data: np.ndarray) -> dict[str, float]:
    """Share of the data sets in which each estimator warns."""
    counts = dict.fromkeys(CALLS, 0)
    for minus, plus in data:
        for name, call in CALLS.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                call(minus, plus)
            counts[name] += any(issubclass(one.category, fisher.AssumptionWarning) for one in caught)
    return {name: value / len(data) for name, value in counts.items()}


def robust_intervals(data: np.ndarray) -> dict[str, np.ndarray]:
    """As `intervals`, for estimators that set outliers aside."""
    calls: dict[str, Callable[..., Any]] = {
        "direct, robust": lambda minus, plus: fisher.direct(minus, plus, STEP, robust=True),
        "pathwise, robust": lambda minus, plus: fisher.pathwise(
            minus, SLOPE + 0.5 * (plus - plus.mean(axis=0)), robust=True
        ),
        "jackknife, robust": lambda minus, plus: fisher.jackknife(minus, plus, STEP, robust=True),
        "held-out decoder, robust": lambda minus, plus: fisher.decoder(
            minus, plus, STEP, key=jax.random.key(0), robust=True
        ),
    }
    rows: dict[str, list[np.ndarray]] = {name: [] for name in calls}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for minus, plus in data:
            kept, _ = set_aside(True, minus, plus)
            reached = _reached(_held_out_weights(minus[kept[0]], plus[kept[1]], jax.random.key(0)), COVARIANCE, SLOPE)
            for name, call in calls.items():
                found = call(minus, plus)
                rows[name].append(np.array([float(found.value), *np.asarray(found.interval), float(reached)]))
    return {name: np.stack(part) for name, part in rows.items()}


def measured(case: str, trials: int, count: int) -> dict[str, dict[str, float]]:
    """Coverage, both misses, mean estimate and share warned, for each estimator."""
    with jax.enable_x64(True):
        return _measured(case, trials, count)


def _measured(case: str, trials: int, count: int) -> dict[str, dict[str, float]]:
    data, truth = data_sets(case, trials, count)
    slope, covariance = SLOPE, COVARIANCE
    if case == POISSON:
        ends = data.mean(axis=(0, 2))
        slope, covariance = (ends[1] - ends[0]) / STEP, np.diag(ends.mean(axis=0))
    found = intervals(data, covariance, slope)
    if case in {"Gaussian", "1 % outliers × 20"}:
        found |= robust_intervals(data)
    shares = warned(data[:WARNED])
    table = {}
    for name, (value, low, high, own) in ((name, part.T) for name, part in found.items()):
        if name == "shuffled" and case != POISSON:
            right = float(fisher.gaussian_information(slope, covariance, form="independent"))
        else:
            right = own if name.startswith("held-out decoder") else truth
        if "pathwise" in name and case.startswith("unequal"):
            right = 2 * truth  # at the one stimulus where the covariance is half of the mean one
        if case == POISSON and "pathwise" in name:
            continue  # counts have no derivative
        table[name] = {
            "covered": float(np.mean((low <= right) & (right <= high))),
            "below": float(np.mean(high < right)),
            "above": float(np.mean(low > right)),
            "mean": float(np.mean(value)),
            "warned": shares.get(name, float("nan")),
        }
    return table


def main() -> int:
    """Measure all cases, write the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.coverage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", help="words of their names; all by default")
    parser.add_argument("--count", type=int, default=1000, help="data sets")
    parser.add_argument(
        "--missing", action="store_true", help="only cases, and shares warned, that results/coverage.json lacks"
    )
    options = parser.parse_args()
    names = [name for name in [*CASES, POISSON] if not options.cases or any(word in name for word in options.cases)]
    path = RESULTS / "coverage.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    results = kept.get("cases", {}) if kept.get("data sets") == options.count else {}
    for name in names:
        for trials in TRIALS:
            cell = f"{name}, T = {trials}"
            if not (options.missing and cell in results):
                results[cell] = measured(name, trials, options.count)
            elif any(np.isnan(results[cell][one]["warned"]) for one in CALLS if one in results[cell]):
                with jax.enable_x64(True):
                    shares = warned(data_sets(name, trials, options.count)[0][:WARNED])
                for one in results[cell]:
                    results[cell][one]["warned"] = shares.get(one, float("nan"))
            else:
                continue
            _write(results, options.count)
    return 0


def _write(results: dict[str, Any], count: int) -> None:
    head = [
        "# Coverage of the stated 95 % intervals", "",
        f"{count} data sets of p = {UNITS} units and T trials in each of two conditions; linear information",
        f"{INFORMATION:g} (Poisson: 1), Δθ = {STEP}. Misses: interval below, above what it is of. Warned: share of",
        f"the first {WARNED} data sets of which the function warns. The decoder's interval is of what that decoder",
        "reaches; pathwise responses of unequal covariances are those of one stimulus, with information 20. Bold: the",
        "remedy that the warning names. `python -m benchmarks.coverage` repeats it, cell by cell.", "",
    ]  # fmt: skip
    (RESULTS / "coverage.md").write_text("\n".join([*head, *lines(results)]) + "\n")
    write("coverage", {"what": "Coverage of intervals: coverage.md", "data sets": count, "cases": results})


def lines(results: dict[str, Any]) -> list[str]:
    """The table in Markdown."""
    rows = ["| data | estimator | covered | below, above | mean estimate | warned |", "|---|---|---|---|---|---|"]
    for case, table in results.items():
        remedies = REMEDIES.get(case.rpartition(",")[0], ())
        for name, one in table.items():
            told = "" if np.isnan(one["warned"]) else f"{one['warned']:.1%}"
            mark = f"**{name}**" if name in remedies else name
            rows.append(
                f"| {case} | {mark} | {one['covered']:.1%} | {one['below']:.1%}, {one['above']:.1%} "
                f"| {one['mean']:.2f} | {told} |"
            )
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
