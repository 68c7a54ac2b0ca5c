"""The linear form at N → ∞ against simulations of networks of several sizes, extrapolated in 1/N."""

import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import RESULTS, write, write_table
from fisherjax import connectivity as cn
from fisherjax import fisher, optimize, simulate

DRAWS = {400: 24, 800: 12, 1600: 6}  # networks of each size; three trials for every unit
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
    rows = _kept(len(settings))
    done = {line["setting"] for line in rows}
    for index, (name, setting) in enumerate(settings.items()):
        if name in done:
            continue
        start = time.perf_counter()
        rows += _measured(name, *setting, seed=index)
        print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)
        write_table("linear_form", "Simulated networks against the linear form at N → ∞", "", rows)
    held = [abs(line["z"]) <= 2 or abs(line["ratio"] - 1) <= 0.01 for line in rows]
    picture(rows)
    return write(
        "linear_form",
        {
            "what": f"tanh networks of {' , '.join(f'{n} ({k})' for n, k in DRAWS.items())} units (draws), 3 N trials "
            "each, float32; F/N, of F(t)/F(1) of each network, fitted by F∞/N (1 + c/N)",
            "within 1 % or 2 s.e. (target: all)": f"{sum(held)} of {len(held)}",
            "root mean square z": float(np.sqrt(np.mean([line["z"] ** 2 for line in rows]))),
            "mean ratio": float(np.mean([line["ratio"] for line in rows])),
            "rows": rows,
        },
    )


def _kept(whole: int) -> list[dict[str, Any]]:
    """Rows of a table that is not whole, to go on from; none where it is whole, or is not there."""
    path = RESULTS / "linear_form.md"
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")] if path.exists() else []
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [dict(zip(cells[0], [row[0], int(row[1]), *map(float, row[2:])], strict=True)) for row in cells[2:]]
    return rows if len({line["setting"] for line in rows}) < whole else []


def _measured(
    name: str, matrix: cn.GainMatrix, noise: float, stimulus: float, times: tuple[int, ...], *, seed: int
) -> list[dict[str, Any]]:
    settings = {"stimulus": stimulus, "noise_std": noise, "num_steps": times[-1]}
    with jax.enable_x64(True):
        forms = {
            form: np.asarray(fisher.meanfield_curve(matrix, **settings, form=form, at=times).total)
            for form in ("linear", "independent")
        }
        start = float(fisher.meanfield_curve(matrix, **settings, at=(1,)).total[0])
    small = cn.GainMatrix(np.asarray(matrix.gains, np.float32), np.asarray(matrix.fractions, np.float32))
    # a network's information is that of its first step, which differs most between networks, times what is kept of it
    kept = {
        size: start * np.stack([_kept_information(one, stimulus, times) for one in _networks(small, noise, size, seed)])
        for size in DRAWS
    }
    sizes = np.array(list(DRAWS))
    rows = []
    for place, step in enumerate(times):
        found = [kept[size][:, place] for size in DRAWS]
        value = np.array([part.mean() for part in found])
        # networks of one size are few: their scatter, which falls as 1/√N, is taken from all sizes together
        scatter = np.concatenate([(part / part.mean() - 1) * np.sqrt(n) for part, n in zip(found, sizes, strict=True)])
        spread = np.sqrt(np.sum(scatter**2) / (len(scatter) - len(sizes)))
        error = value * spread / np.sqrt(sizes * [len(part) for part in found])
        design = np.stack([np.ones(len(sizes)), 1 / sizes], axis=1) / error[:, None]
        covariance = np.linalg.inv(design.T @ design)
        limit, slope = covariance @ design.T @ (value / error)
        theory, doubt = float(forms["linear"][place]), float(np.sqrt(covariance[0, 0]))
        rows.append(
            {
                "setting": name, "t": step, "theory": theory, "independent form": float(forms["independent"][place]),
                **{f"N = {size}": float(v) for size, v in zip(sizes, value, strict=True)},
                "N → ∞": float(limit), "standard error": doubt, "c": float(slope / limit),
                "ratio": float(limit / theory), "z": float((limit - theory) / doubt),
            }
        )  # fmt: skip
    return rows


def _networks(matrix: cn.GainMatrix, noise: float, size: int, seed: int) -> tuple[Any, ...]:
    key = jax.random.fold_in(jax.random.key(seed), size)
    return simulate.draw_networks(matrix, size, num_draws=DRAWS[size], noise_std=noise, key=key, dtype=jnp.float32)


def _kept_information(network: Any, stimulus: float, times: tuple[int, ...]) -> np.ndarray:
    """F(t)/F(1) of one simulated network."""
    size = network.state_size
    curve = fisher.simulated_curve(
        network,
        stimulus=stimulus,
        num_steps=times[-1],
        num_trials=3 * size,
        at=(1, *times),
        key=jax.random.fold_in(jax.random.key(1), size),
        form="linear",
    )
    total = np.asarray(curve.total, float)
    return total[1:] / total[0]


def picture(rows: list[dict[str, Any]]) -> None:
    """Extrapolated simulations over theory, and what counting units as independent would say."""
    figure, ax = plt.subplots(figsize=(9.5, 5), layout="constrained")
    names = list(dict.fromkeys(line["setting"] for line in rows))
    # the times of a setting side by side
    order = [sum(other["setting"] == line["setting"] for other in rows[:index]) for index, line in enumerate(rows)]
    places = np.array([names.index(line["setting"]) for line in rows]) + 0.22 * (np.array(order) - 1)
    ratio = np.array([line["ratio"] for line in rows])
    error = np.array([line["standard error"] / line["theory"] for line in rows])
    alone = [line["independent form"] / line["theory"] for line in rows]
    ax.plot(places, alone, "_", color="0.5", markersize=9, label="independent form")
    ax.errorbar(
        places, ratio, 2 * error, fmt="o", capsize=2, markersize=4, label="simulated networks, N → ∞ (2 s.e.), linear"
    )
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_yscale("log")
    ax.set_yticks([0.9, 1, 1.5, 2, 3, 4], ["0.9", "1", "1.5", "2", "3", "4"])
    ax.minorticks_off()
    ax.set_ylabel("Fisher information over the linear form")
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    ax.set_title("at three times in each setting (2, 4, 6; optima: 2, 6, 10)", fontsize=10)
    ax.legend(loc="upper left")
    # beside the derivation
    figure.savefig(RESULTS.parent.parent / "docs/images/linear_form.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    print(json.dumps({key: value for key, value in run().items() if key != "rows"}, indent=2))
