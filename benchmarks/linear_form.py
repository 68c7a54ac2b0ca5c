"""The linear form at N → ∞ against simulations of networks of several sizes, extrapolated in 1/N."""

import json
import time
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import RESULTS, write
from fisherjax import connectivity as cn
from fisherjax import fisher, optimize

DRAWS = {400: 24, 800: 12, 1600: 4}  # networks of each size; three trials for every unit
TWO = np.array([[1.142589, 0.685553], [1.599624, 0.914071]])
THREE = np.array([[1.2, 0.3, 0.0], [0.8, 1.2, 0.3], [0.0, 0.8, 1.2]])
SHARES = np.array([0.3, 0.7])


def structures() -> dict[str, tuple[cn.GainMatrix, float, float, tuple[int, ...]]]:
    """Structure, σ, θ and the times of every setting."""
    short, end = (2, 4, 6), (2, 6, 10)
    settings = {
        f"g = {gain}, σ = {noise}, θ = {stimulus}": (cn.homogeneous(gain), noise, stimulus, short)
        for gain, noise, stimulus in (
            (0.8, 0.1, 0.1), (0.8, 0.5, 1.0), (1.0, 0.1, 0.1), (1.0, 0.1, 1.0), (1.3, 0.1, 0.1), (1.3, 0.5, 1.0),
            (1.5, 0.5, 0.1), (1.5, 0.1, 1.0),
        )
    }  # fmt: skip
    for noise, stimulus in ((0.1, 0.1), (0.5, 1.0)):
        settings[f"two populations, σ = {noise}, θ = {stimulus}"] = (cn.GainMatrix(TWO, SHARES), noise, stimulus, short)
        settings[f"three populations, σ = {noise}, θ = {stimulus}"] = (cn.GainMatrix(THREE), noise, stimulus, short)
    for form in ("independent", "linear"):
        settings[f"optimum, {form} form"] = (optimum(form), 0.1, 0.1, end)
    return settings


def optimum(form: str) -> cn.GainMatrix:
    """Best of the Toeplitz networks of five populations on a budget of one, from six starts."""
    family, objective = cn.ToeplitzFamily(5), optimize.LogFisher(10, form=form)
    found = [
        optimize.refine(
            family,
            objective,
            family.build(jax.random.uniform(jax.random.key(start), (9,), minval=0.5, maxval=4.5)),
            constraints=(optimize.Budget(1.0),),
        )
        for start in range(6)
    ]
    best = max(found, key=lambda ascent: float(ascent.value)).best
    return optimize.Budget(1.0).rescale(family.build(5 * best))


def run() -> dict[str, object]:
    """Theory within 1 % or two standard errors of the extrapolation, everywhere."""
    with jax.enable_x64(True):
        settings = structures()
    rows: list[dict[str, Any]] = []
    for index, (name, setting) in enumerate(settings.items()):
        start = time.perf_counter()
        rows += _measured(name, *setting, seed=index)
        print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)
        _table(rows)
    held = [abs(line["z"]) <= 2 or abs(line["ratio"] - 1) <= 0.01 for line in rows]
    picture(rows)
    return write(
        "linear_form",
        {
            "what": f"tanh networks of {' , '.join(f'{n} ({k})' for n, k in DRAWS.items())} units (draws), 3 N trials "
            "each, float32; F/N = F∞/N (1 + c/N) fitted by weighted least squares",
            "within 1 % or 2 s.e. (target: all)": f"{sum(held)} of {len(held)}",
            "root mean square z": float(np.sqrt(np.mean([line["z"] ** 2 for line in rows]))),
            "mean ratio": float(np.mean([line["ratio"] for line in rows])),
            "rows": rows,
        },
    )


def _measured(
    name: str, matrix: cn.GainMatrix, noise: float, stimulus: float, times: tuple[int, ...], *, seed: int
) -> list[dict[str, Any]]:
    settings = {"stimulus": stimulus, "noise_std": noise, "num_steps": times[-1]}
    with jax.enable_x64(True):
        forms = {
            form: np.asarray(fisher.meanfield_curve(matrix, **settings, form=form, at=times).total)
            for form in ("linear", "independent")
        }
    small = cn.GainMatrix(np.asarray(matrix.gains, np.float32), np.asarray(matrix.fractions, np.float32))
    values, errors = [], []
    for size, draws in DRAWS.items():
        curve = fisher.ensemble_curve(
            small,
            num_units=size,
            num_trials=3 * size,
            num_draws=draws,
            form="linear",
            key=jax.random.key(seed),
            **settings,
        )
        chosen = np.asarray(times) - 1
        values.append(np.asarray(curve.total, float)[chosen] / size)
        errors.append(np.asarray(curve.standard_error, float)[chosen] / size)
    sizes = np.array(list(DRAWS))
    rows = []
    for place, step in enumerate(times):
        value, error = (np.array([part[place] for part in parts]) for parts in (values, errors))
        design = np.stack([np.ones(len(sizes)), 1 / sizes], axis=1) / error[:, None]
        covariance = np.linalg.inv(design.T @ design)
        limit, slope = covariance @ design.T @ (value / error)
        theory, spread = float(forms["linear"][place]), float(np.sqrt(covariance[0, 0]))
        rows.append(
            {
                "setting": name, "t": step, "theory": theory, "independent form": float(forms["independent"][place]),
                **{f"N = {size}": float(v) for size, v in zip(sizes, value, strict=True)},
                "N → ∞": float(limit), "standard error": spread, "c": float(slope / limit),
                "ratio": float(limit / theory), "z": float((limit - theory) / spread),
            }
        )  # fmt: skip
    return rows


def _table(rows: list[dict[str, Any]]) -> None:
    header = list(rows[0])
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(v if isinstance(v, str) else f'{v:.4g}' for v in line.values())} |" for line in rows]
    text = "# Simulated networks against the linear form at N → ∞\n\n"
    text += "Written by `python -m benchmarks --long linear_form`.\n\n"
    (RESULTS / "linear_form.md").write_text(text + "\n".join(lines) + "\n")


def picture(rows: list[dict[str, Any]]) -> None:
    """Extrapolated simulations over theory, and what counting units as independent would say."""
    figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
    places = np.arange(len(rows))
    ratio = np.array([line["ratio"] for line in rows])
    error = np.array([line["standard error"] / line["theory"] for line in rows])
    ax.errorbar(places, ratio, 2 * error, fmt="o", capsize=2, markersize=4, label="simulation, N → ∞ (2 s.e.)")
    ax.plot(
        places, [line["independent form"] / line["theory"] for line in rows], "_", color="0.5", label="independent form"
    )
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_yscale("log")
    ax.set(ylabel="over the linear form at N → ∞", xlabel="time, within each setting")
    ax.set_xticks(places, [str(line["t"]) for line in rows], fontsize=7)
    ax.legend()
    figure.savefig(RESULTS / "linear_form.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    print(json.dumps({key: value for key, value in run().items() if key != "rows"}, indent=2))
