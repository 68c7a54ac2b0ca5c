"""Bias and coverage of what is asked of recordings, on a simulated cortex whose information is known.

``python -m benchmarks.recordings [--count 500] [CASE …]`` writes results/recordings.md and .json, case after case. The
cortex has 80 units, eight orientations and 300 trials of each: bell-shaped tuning, a gain that fluctuates from trial to
trial, an orientation that does too (information-limiting correlations), Poisson counts, and eight units that hardly
ever fire. What is exact is known from its moments, of 200 000 trials at each stimulus.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks._common import RESULTS, write
from fisherjax import fisher

UNITS, TRIALS, FEW = 80, 300, 30
STIMULI = np.arange(8) * 22.5
GAIN, WOBBLE = 0.2, 1.0  # standard deviations of the gain, and of the orientation in degrees
EXACT = 200_000
COUNT = 500
DECODERS = ("linear", "ridge", "logistic", "diagonal", "early-stopped")

_RNG = np.random.default_rng(0)
PREFERRED = _RNG.uniform(0, 180, UNITS)
WIDTH = _RNG.uniform(0.5, 3, UNITS)
AMPLITUDE = np.where(np.arange(UNITS) < 8, 0.05, _RNG.uniform(2, 10, UNITS))
BASE = np.where(np.arange(UNITS) < 8, 0.005, 1.0)


def rates(theta: np.ndarray) -> np.ndarray:
    """Mean responses (trials, units)."""
    turn = np.cos(2 * np.pi / 180 * (theta[:, None] - PREFERRED))
    return AMPLITUDE * np.exp(WIDTH * (turn - 1)) + BASE


def counts(rng: np.random.Generator, theta: np.ndarray) -> np.ndarray:
    """Spike counts of trials."""
    gain = np.maximum(1 + GAIN * rng.normal(size=len(theta)), 0)
    return rng.poisson(gain[:, None] * rates(theta + WOBBLE * rng.normal(size=len(theta)))).astype(float)


def moments() -> tuple[np.ndarray, np.ndarray]:
    """Means (stimuli, units) and covariances of the cortex."""
    rng = np.random.default_rng(1)
    means, covariances = [], []
    for value in STIMULI:
        total, square = np.zeros(UNITS), np.zeros((UNITS, UNITS))
        for _ in range(EXACT // 20_000):
            part = counts(rng, np.full(20_000, value))
            total += part.sum(axis=0)
            square += part.T @ part
        mean = total / EXACT
        means.append(mean)
        covariances.append(square / EXACT - np.outer(mean, mean))
    return np.stack(means), np.stack(covariances)


def exact_values(means: np.ndarray, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Information of each pair of neighbours, in every sense."""
    found: dict[str, list[float]] = {}
    step = STIMULI[1]
    for first in range(len(STIMULI)):
        second = (first + 1) % len(STIMULI)
        slope = (means[second] - means[first]) / step
        pooled = (covariances[first] + covariances[second]) / 2
        variance = np.diag(pooled)
        weights = slope / variance
        change = np.linalg.solve(pooled, (covariances[second] - covariances[first]) / step)
        direct, shuffled = slope @ np.linalg.solve(pooled, slope), weights @ slope
        values = {
            "direct": direct,
            "shuffled": shuffled,
            "direct - shuffled": direct - shuffled,
            "diagonal": shuffled**2 / (weights @ pooled @ weights),
            "covariance term": np.trace(change @ change) / 2,
            "poisson": np.sum(slope**2 / ((means[first] + means[second]) / 2)),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(float(value))
    return {name: np.array(values) for name, values in found.items()}


Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]
Answers = dict[str, tuple[Any, Any, Any, Any]]  # value, error, interval, exact


def of_estimates(found: dict[str, Any], exact: dict[str, np.ndarray], label: str, *, mean: bool) -> Answers:
    """Every estimate with what it should be."""
    answers = {}
    for name, one in found.items():
        truth = exact[name.removesuffix(" ")]
        answers[f"{name}{label}"] = (one.value, one.standard_error, one.interval, truth.mean() if mean else truth)
    return answers


def of_whole(recording: fisher.Recording, exact: dict[str, np.ndarray]) -> Answers:
    """Information and its parts, of 300 trials of each orientation."""
    found = fisher.recorded_information(recording, check=False)
    answers = of_estimates(found.estimates, exact, "", mean=False)
    answers |= of_estimates(found.averages, exact, ", mean over pairs", mean=True)
    robust = fisher.recorded_information(recording, check=False, error="jackknife")
    pairs = {name: robust.estimates[name] for name in ("direct", "shuffled")}
    answers |= of_estimates(pairs, exact, ", error=jackknife", mean=False)
    half = np.arange(len(recording.stimulus)) % 2 == 0
    crossed = fisher.cross_information(recording.select(trials=half), recording.select(trials=~half))
    for name in ("reached", "own"):
        one = getattr(crossed, name)
        answers[f"cross-information, {name}"] = (one.value, one.standard_error, one.interval, exact["direct"])
    one = crossed.averages["reached"]
    truth = exact["direct"].mean()
    answers["cross-information, reached, mean over pairs"] = (one.value, one.standard_error, one.interval, truth)
    return answers


def of_decoders(recording: fisher.Recording, exact: dict[str, np.ndarray]) -> Answers:
    """What decoders reach on folds of the same trials."""
    answers: Answers = {}
    for method in DECODERS:
        one = fisher.recorded_decoding(recording, method=method).estimate
        answers[f"{method} decoder"] = (one.value, one.standard_error, one.interval, exact["direct"])
    return answers


def of_few(recording: fisher.Recording, exact: dict[str, np.ndarray]) -> Answers:
    """More units than trials: what regularized covariances and few features give."""
    answers: Answers = {}
    for name in ("ledoit-wolf", "oas", "factor"):
        one = fisher.recorded_information(recording, covariance=name, num_blocks=5, check=False)["direct"]
        answers[f"direct, {name}"] = (one.value, one.standard_error, one.interval, exact["direct"])
        decoded = fisher.recorded_decoding(recording, method=name).estimate
        answers[f"{name} decoder"] = (decoded.value, decoded.standard_error, decoded.interval, exact["direct"])
    one = fisher.recorded_information(recording.principal_components(10), check=False)["direct"]
    answers["direct, 10 principal components"] = (one.value, one.standard_error, one.interval, exact["direct"])
    one = fisher.recorded_decoding(recording, method="ridge").estimate
    answers["ridge decoder"] = (one.value, one.standard_error, one.interval, exact["direct"])
    return answers


def shown(rng: np.random.Generator, draw: Draw, trials: int) -> fisher.Recording:
    """A recording of all orientations, in random order."""
    theta = rng.permutation(np.repeat(STIMULI, trials))
    return fisher.Recording(draw(rng, theta), theta, period=180)


def gaussian(means: np.ndarray, covariances: np.ndarray) -> Draw:
    """Gaussian responses with the moments of the cortex."""
    roots = np.linalg.cholesky(covariances)

    def draw(rng: np.random.Generator, theta: np.ndarray) -> np.ndarray:
        codes = np.round(theta / STIMULI[1]).astype(int)
        noise = rng.normal(size=(len(theta), UNITS))
        return means[codes] + np.einsum("tij,tj->ti", roots[codes], noise)

    return draw


def smooth_case(count: int) -> list[dict[str, Any]]:
    """Continuous orientations, 2400 of them: information by smooth tuning, Gaussian noise of changing covariance."""
    asked = np.arange(12) * 15.0
    turn = 2 * np.pi / 180
    phase = turn * (asked[:, None] - PREFERRED)
    bell = AMPLITUDE * np.exp(WIDTH * (np.cos(phase) - 1))
    slope = -turn * WIDTH * np.sin(phase) * bell
    mean = bell + BASE
    exact = {"direct": [], "shuffled": []}
    for own, level in zip(slope, mean, strict=True):
        covariance = np.diag(level) + GAIN**2 * np.outer(level, level) + WOBBLE**2 * np.outer(own, own)
        exact["direct"].append(own @ np.linalg.solve(covariance, own))
        exact["shuffled"].append(np.sum(own**2 / np.diag(covariance)))

    def respond(rng: np.random.Generator, theta: np.ndarray) -> np.ndarray:
        level = rates(theta)
        bell = level - BASE
        own = -turn * WIDTH * np.sin(turn * (theta[:, None] - PREFERRED)) * bell
        a, b = rng.normal(size=(2, len(theta), 1))
        return level + np.sqrt(level) * rng.normal(size=level.shape) + GAIN * level * a + WOBBLE * own * b

    def ask(seed: int) -> Answers:
        rng = np.random.default_rng(seed)
        theta = rng.uniform(0, 180, 8 * TRIALS)
        recording = fisher.Recording(respond(rng, theta), theta, period=180)
        found = fisher.smooth_information(recording, asked)
        return of_estimates(found.estimates, {name: np.array(part) for name, part in exact.items()}, "", mean=False)

    return table(ask, count)


def scaling_case(count: int, epsilon: float, common: float) -> list[dict[str, Any]]:
    """Growth with the number of units, with and without information-limiting correlations."""
    rng = np.random.default_rng(2)
    slope = rng.normal(size=UNITS) * 0.05
    root = np.linalg.cholesky(np.eye(UNITS) + common + epsilon * np.outer(slope, slope))

    def ask(seed: int) -> Answers:
        rng = np.random.default_rng(seed)
        theta = np.repeat(STIMULI, TRIALS)
        curve = np.abs(np.mod(theta, 90) - 45)  # rises and falls, a slope of one everywhere
        recording = fisher.Recording(curve[:, None] * slope + rng.normal(size=(len(theta), UNITS)) @ root.T, theta)
        found = fisher.information_scaling(recording, key=jax.random.key(seed), num_subsets=10)
        reach = 2.262 * float(found.limiting_noise_error)
        noise = float(found.limiting_noise)
        answers: Answers = {
            "limiting noise ε": (noise, found.limiting_noise_error, (noise - reach, noise + reach), epsilon)
        }
        if epsilon:
            answers["I(∞)"] = (found.limit, found.limit_error, found.limit_interval, 1 / epsilon)
        answers["resolved"] = (float(found.resolved), 0.0, (0.0, 1.0), float(epsilon > 0))
        return answers

    return table(ask, count)


def tests_case(count: int) -> list[dict[str, Any]]:
    """How often tests reject at 5 % where nothing is there: stimuli, or every unit's trials, in random order."""

    def ask(seed: int) -> Answers:
        rng = np.random.default_rng(seed)
        theta = rng.permutation(np.repeat(STIMULI, FEW))
        responses = counts(rng, theta)[:, 8:24]
        empty = fisher.Recording(responses, rng.permutation(theta), period=180)
        alone = responses.copy()
        for value in STIMULI:
            rows = np.flatnonzero(theta == value)
            for unit in range(alone.shape[1]):
                alone[rows, unit] = alone[rng.permutation(rows), unit]
        loose = fisher.Recording(alone, theta, period=180)
        key = jax.random.key(seed)
        found = {
            "information": fisher.permutation_test(empty, "information", key=key, num_permutations=99),
            "correlations": fisher.permutation_test(loose, "correlations", key=key, num_permutations=99),
            "covariance": fisher.permutation_test(empty, "covariance", key=key, num_permutations=99),
        }
        return {name: (float(test.overall <= 0.05), 0.0, (0.0, 1.0), 0.05) for name, test in found.items()}

    return table(ask, count)


def table(ask: Callable[[int], Answers], count: int) -> list[dict[str, Any]]:
    """Rows of what many data sets answered."""
    every: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]] = {}
    for seed in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, answer in ask(10_000 + seed).items():
                every.setdefault(name, []).append(tuple(np.asarray(part, float) for part in answer))  # pyright: ignore[reportArgumentType]
        if (seed + 1) % 50 == 0:
            print(f"  {seed + 1} of {count}", flush=True)
    return [row(name, answers) for name, answers in every.items()]


def row(name: str, answers: list[Any]) -> dict[str, Any]:
    """Bias, error and coverage, over data sets and pairs."""
    value, error, interval, exact = (np.stack([answer[place] for answer in answers]) for place in range(4))
    truth = exact.mean()
    # one number per data set: pairs of one share trials
    means = value.reshape(len(value), -1).mean(axis=1)
    # a ratio that is not resolved is NaN, and has no interval
    known = np.isfinite(value).reshape(len(value), -1)
    inside = ((interval[:, 0] <= exact) & (exact <= interval[:, 1])).reshape(len(value), -1)
    share = np.sum(inside & known, axis=1) / np.maximum(known.sum(axis=1), 1)
    share = share[known.any(axis=1)]
    spread = np.sqrt(np.nanmean(np.nanvar(value.reshape(len(value), -1), axis=0, ddof=1)))
    return {
        "estimator": name,
        "exact": float(truth),
        "mean": float(np.nanmean(means)),
        "mean_error": float(np.nanstd(means) / np.sqrt(len(means))),
        "spread": float(spread),
        "stated_error": float(np.sqrt(np.nanmean(error**2))),
        "coverage": float(np.mean(share)),
        "coverage_error": float(np.std(share) / np.sqrt(len(share))),
        "count": len(answers),
    }


def cases(count: int) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    """Every case by name."""
    means, covariances = moments()
    exact = exact_values(means, covariances)
    same = gaussian(means, covariances)

    def asked(draw: Draw, trials: int, ask: Callable[..., Answers]) -> Callable[[], list[dict[str, Any]]]:
        return lambda: table(lambda seed: ask(shown(np.random.default_rng(seed), draw, trials), exact), count)

    return {
        "spike counts, 300 trials": asked(counts, TRIALS, of_whole),
        "Gaussian with the same moments, 300 trials": asked(same, TRIALS, of_whole),
        "decoders of spike counts, 300 trials": asked(counts, TRIALS, of_decoders),
        "spike counts, 30 trials: more units than trials": asked(counts, FEW, of_few),
        "continuous orientations": lambda: smooth_case(count),
        "growth with units, ε = 4": lambda: scaling_case(count, 4.0, 0.0),
        "growth with units, ε = 0": lambda: scaling_case(count, 0.0, 0.0),
        "growth with units, ε = 4, all correlated by 0.1": lambda: scaling_case(count, 4.0, 0.1),
        "growth with units, ε = 0, all correlated by 0.1": lambda: scaling_case(count, 0.0, 0.1),
        "tests where nothing is there (mean: share rejected)": lambda: tests_case(count),
    }


_WORDS = (
    "Bias and coverage are with their standard errors over data sets; s.d. is the spread of one value, s.e. its stated "
    "error (root mean square). A decoder's line compares with the information of the responses, of which it reaches "
    "less by intent; its interval is of what it reaches."
)


def text(results: dict[str, list[dict[str, Any]]]) -> str:
    """The tables as Markdown."""
    lines = [
        "# Recordings: bias and coverage on a simulated cortex",
        "",
        (__doc__ or "").split("\n\n", 2)[-1].strip(),
        "",
        _WORDS,
    ]
    for name, rows in results.items():
        lines += ["", f"## {name} ({rows[0]['count']} data sets)", ""]
        lines += [
            "| estimator | exact | mean | bias | s.d. | stated s.e. | 95 % intervals hold it |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in rows:
            scale = abs(one["exact"]) or float("nan")
            bias = f"{(one['mean'] - one['exact']) / scale:+.1%} ± {one['mean_error'] / scale:.1%}"
            held = f"{one['coverage']:.1%} ± {one['coverage_error']:.1%}"
            spread = f"{one['spread']:.2g} | {one['stated_error']:.2g}"
            lines.append(
                f"| {one['estimator']} | {one['exact']:.4g} | {one['mean']:.4g} | {bias} | {spread} | {held} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cases that are named, all by default; keep the others of an earlier run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    file = RESULTS / "recordings.json"
    earlier = json.loads(file.read_text()) if file.exists() else {}
    results = {name: part for name, part in earlier.items() if isinstance(part, list)}
    for name, run in cases(options.count).items():
        if options.cases and not any(word in name for word in options.cases):
            continue
        print(name, flush=True)
        results[name] = run()
        write("recordings", results)
        (RESULTS / "recordings.md").write_text(text(results))
        print(text({name: results[name]}), flush=True)


if __name__ == "__main__":
    main()
