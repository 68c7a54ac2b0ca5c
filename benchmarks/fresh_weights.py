"""The linear form with correlated fields: networks that keep their weights, and ones that draw them anew at every step.

At small noise a closure is exact, so that only the theory of large N is tested. What is compared is the ratio of the
linear to the independent form, which differs little between networks.
"""

import json
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.linalg import cho_factor, cho_solve

from benchmarks._common import write, write_table
from fisherjax import connectivity as cn
from fisherjax import fisher

STEPS, NOISE = 6, 1e-3
DRAWS = {250: 200, 500: 100, 1000: 30}


class Case(NamedTuple):
    """One population, and what enters it."""

    gain: float
    mean: float
    stimulus: float
    bias: float
    bias_std: float
    protocol: str
    nonlinearity: str


CASES = {
    "pulse, frozen bias": Case(2.0, 0.0, 1.0, 0.0, 1.0, "pulse", "tanh"),
    "input that lasts, bias": Case(1.5, 0.0, 1.0, 1.0, 0.0, "sustained", "tanh"),
    "input that lasts, inhibition": Case(2.0, -1.0, 0.5, 0.0, 1.0, "sustained", "tanh"),
    "pulse, logistic": Case(5.0, 0.0, 1.0, 0.0, 0.0, "pulse", "logistic"),
}
FUNCTIONS = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "logistic": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (4 * np.cosh(x / 2) ** 2)),
}


def run() -> dict[str, object]:
    """Every case with one set of weights and with fresh ones, beside the theory."""
    rows: list[dict[str, Any]] = []
    for name, case in CASES.items():
        start = time.perf_counter()
        theory = predicted(case)
        for fresh in (False, True):
            for size, draws in DRAWS.items():
                found = np.stack([ratio(case, size, (size, draw), fresh=fresh) for draw in range(draws)]) / theory
                mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(draws)
                rows += [
                    {
                        "case": name,
                        "weights": "fresh" if fresh else "kept",
                        "N": size,
                        "t": step + 1,
                        "theory": float(theory[step]),
                        "networks / theory": float(mean[step]),
                        "standard error": float(error[step]),
                    }
                    for step in range(1, STEPS)
                ]
        print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)
        write_table(
            "fresh_weights",
            "One set of weights, and fresh weights at every step",
            "Linear over independent form.",
            rows,
        )
    return write("fresh_weights", {"what": __doc__, "rows": rows})


def predicted(case: Case) -> np.ndarray:
    """Linear over independent form at N → ∞."""
    means = np.array([[case.mean]])
    structure = cn.GainMatrix(np.array([[case.gain]]), means=means if case.mean else None)
    asked = {
        "stimulus": case.stimulus,
        "noise_std": NOISE,
        "num_steps": STEPS,
        "nonlinearity": case.nonlinearity,
        "bias": case.bias,
        "bias_std": case.bias_std,
        "protocol": case.protocol,
    }
    with jax.enable_x64(True):
        curves = [fisher.meanfield_curve(structure, form=form, **asked).total for form in ("linear", "independent")]
        return np.asarray(curves[0] / curves[1])


def ratio(case: Case, size: int, seed: tuple[int, int], *, fresh: bool) -> np.ndarray:
    """Linear over independent form of one network at small noise, at times 1…STEPS."""
    rng = np.random.default_rng([*seed, int(fresh)])
    phi, slope = FUNCTIONS[case.nonlinearity]

    def drawn() -> np.ndarray:
        return case.gain * rng.normal(size=(size, size)) / np.sqrt(size) + case.mean / size

    weights, bias = drawn(), case.bias + case.bias_std * rng.normal(size=size)
    lasting = case.protocol == "sustained"
    state, change = (np.zeros(size),) * 2 if lasting else (np.full(size, case.stimulus), np.ones(size))
    covariance, found = np.zeros((size, size)), []
    for _ in range(STEPS):
        step = weights * slope(state)
        state = weights @ phi(state) + bias + lasting * case.stimulus
        change = step @ change + lasting
        covariance = step @ covariance @ step.T + np.eye(size)
        linear = change @ cho_solve(cho_factor(covariance), change)
        found.append(linear * np.mean(np.diag(covariance)) / np.sum(change**2))
        weights = drawn() if fresh else weights
    return np.array(found)


if __name__ == "__main__":
    print(json.dumps(run()["what"]))
