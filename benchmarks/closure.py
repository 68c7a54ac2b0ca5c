"""The moment closure: against simulation, against large-N theory, in time, and what it says of the optimum."""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from benchmarks._common import RESULTS, Row, paired, ratio_row, row, seconds, temporary_bytes, write
from fisherjax import connectivity as cn
from fisherjax import fisher, networks, optimize, plot, simulate

DRAWS = {100: 1600, 200: 800, 400: 400, 800: 160, 1600: 48}  # networks of each size, for errors near 1 %
SETTINGS = ((1.0, 0.1, 0.1), (1.3, 0.5, 1.0), (1.5, 0.3, 0.5))


class Case(NamedTuple):
    """One network to be simulated, drawn at a random gain or, without one, from the default optimum."""

    gain: float | None
    units: int
    draw: int
    noise_std: float
    stimulus: float
    num_steps: int = 10


CASES = (
    *(Case(g, 100, 0, s, x) for g in (1.0, 1.3, 1.5, 2.0) for s in (0.1, 0.5) for x in (0.1, 1.0)),
    *(Case(g, 300, 0, s, x) for g in (1.3, 1.5, 2.0) for s in (0.1, 0.5) for x in (0.1, 1.0)),
    *(Case(None, 100, draw, 0.1, 0.1, 60) for draw in range(4)),
    Case(None, 100, 0, 0.1, 1.0, 30),
    *(Case(None, 300, draw, 0.1, 0.1, 20) for draw in range(3)),
    *(Case(None, 500, draw, 0.1, 0.1) for draw in range(3)),
)
TIMES = (2, 4, 6, 8, 10, 15, 20, 30, 60)


def run() -> dict[str, object]:
    """Everything about the closure, in float64 as its theory is."""
    with jax.enable_x64(True):
        matrix = default_optimum()
        simulated, amplifying, optimum = against_simulation(), where_it_holds(matrix), of_the_optimum(matrix)
        ensemble = against_meanfield()
    held = [row for row in amplifying if row["steps until it ends"] > 1]
    largest_held = [float(row["largest difference until it ends"]) for row in held]
    asked = [row for row in simulated if row["gain"] != SETTINGS[-1][0]]
    largest = {
        f"{name}, largest difference from simulation": max(float(row[f"{name}, largest difference"]) for row in asked)
        for name in ("independent", "linear", "linear, plain Gaussian")
    }
    return write(
        "closure",
        {
            "what": "Moment closure of given networks: N = 200 against 40 000 trials (g, σ, θ) = (1, .1, .1), "
            "(1.3, .5, 1), three draws each; random networks of gains 1 to 2, σ = .1, .5, θ = .1, 1, N = 100, 300 and "
            "the default optimum, N = 100, 300, 500, against 60 000; its advantage with noise correlations.",
            **largest,
            "largest difference until it ends, median over networks": float(np.median(largest_held)),
            "the same, largest": max(largest_held),
            "largest excess over its own estimate": max(float(row["largest excess over its estimate"]) for row in held),
            "advantage of the optimum, linear form, N = 1200": float(optimum[-1]["advantage, closure, linear"]),
            "its standard error": float(optimum[-1]["its error, closure, linear"]),
            "advantage of the optimum, independent form, N = 1200": float(
                optimum[-1]["advantage, closure, independent"]
            ),
            "simulation": simulated,
            "until it ends": amplifying,
            "meanfield": ensemble,
            "optimum": optimum,
        },
    )


def against_simulation() -> list[dict[str, Any]]:
    """N = 200, 40 000 trials, t ≤ 8: relative difference of closure and bias-corrected simulation."""
    rows = []
    for gain, noise_std, theta in SETTINGS:
        for draw in range(3):
            weights = cn.sample_weights(cn.homogeneous(gain), 200, key=jax.random.key(draw), dtype=jnp.float32)
            settings = {"stimulus": theta, "num_steps": 8}
            narrow = networks.RateNetwork(weights, np.ones(200), noise_std=noise_std)
            network = networks.in_precision(narrow, float)
            row: dict[str, object] = {"gain": gain, "noise_std": noise_std, "stimulus": theta, "draw": draw}
            for form in ("independent", "linear"):
                measured = fisher.simulated_curve(
                    narrow, form=form, num_trials=40_000, key=jax.random.key(10 + draw), **settings
                )
                truth = np.asarray(measured.total, float)
                for name, higher in (("", True), (", plain Gaussian", False)):
                    closed = fisher.closure_curve(network, form=form, higher_cumulants=higher, **settings)
                    difference = np.asarray(closed.total) / truth - 1
                    row[f"{form}{name}, largest difference"] = float(np.abs(difference).max())
                row[f"{form}, largest standard error"] = float(np.max(np.asarray(measured.standard_error) / truth))
            rows.append(row)
    return rows


def where_it_holds(optimum: cn.GainMatrix) -> list[dict[str, Any]]:
    """Linear form against 60 000 trials, also of networks that amplify until nothing small is left to expand in."""
    rows = []
    for case in CASES:
        matrix = optimum if case.gain is None else cn.homogeneous(case.gain)
        weights = cn.sample_weights(matrix, case.units, key=jax.random.key(case.draw), dtype=jnp.float32)
        first = cn.population_index(matrix, case.units) == 0
        narrow = networks.RateNetwork(weights, first.astype(jnp.float32), noise_std=case.noise_std)
        network, asked = networks.in_precision(narrow, float), {"stimulus": case.stimulus, "num_steps": case.num_steps}
        measured = fisher.simulated_curve(narrow, num_trials=60_000, key=jax.random.key(100 + case.draw), **asked)
        closed = fisher.closure_curve(network, **asked)
        plain = fisher.closure_curve(network, higher_cumulants=False, **asked)
        truth, error = np.asarray(measured.total, float), np.asarray(measured.standard_error, float)
        estimate = np.asarray(closed.model_error, float)
        ends = int(np.isfinite(np.asarray(closed.total)).sum())
        difference = np.abs(np.asarray(closed.total)[:ends] / truth[:ends] - 1)
        at = [time for time in TIMES if time <= case.num_steps]
        index = np.array(at) - 1
        rows.append(
            {
                **case._asdict(),
                "steps until it ends": ends,
                "largest difference until it ends": float(difference.max()),
                "largest excess over its estimate": float(
                    np.max(difference - estimate[:ends] - 2 * error[:ends] / truth[:ends])
                ),
                "times": at,
                "simulation": truth[index].tolist(),
                "standard error": error[index].tolist(),
                "closure": np.asarray(closed.total, float)[index].tolist(),
                "model error": estimate[index].tolist(),
                "plain Gaussian": np.asarray(plain.total, float)[index].tolist(),
            }
        )
    return rows


def against_meanfield() -> dict[str, object]:
    """Mean of the independent form over weight draws tends to the exact large-N curve."""
    settings = {"stimulus": 1.0, "noise_std": 0.3, "num_steps": 6}
    exact = np.asarray(fisher.meanfield_curve(cn.homogeneous(1.2), **settings).total)
    sizes, ratios, errors = tuple(DRAWS), [], []
    for size, count in DRAWS.items():
        draws = simulate.draw_networks(
            cn.homogeneous(1.2), size, num_draws=count, noise_std=0.3, key=jax.random.key(size)
        )
        curve = fisher.closure_curve(draws, stimulus=1.0, num_steps=6, form="independent")
        ratios.append((np.asarray(curve.total, float) / size / exact).tolist())
        errors.append((np.asarray(curve.standard_error, float) / size / exact).tolist())
    with plot.style():
        figure, ax = plt.subplots(figsize=(6, 4))
        for step in (1, 3, 5):
            deviation = [row[step] - 1 for row in ratios]
            bars = {"fmt": "o-", "capsize": 3, "color": plot.COLORS[step // 2]}
            ax.errorbar(sizes, deviation, [row[step] for row in errors], label=f"t = {step + 1}", **bars)
        ax.axhline(0, color="0.5", linewidth=0.8)
        ax.set_xscale("log")
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.set_xlabel("units N")
        ax.set_ylabel("mean over networks / mean-field theory − 1")
        ax.legend()
        figure.savefig(RESULTS / "closure.png")
        plt.close(figure)
    return {"units": sizes, "ratio to theory": ratios, "standard error": errors}


def speed() -> list[Row]:
    """Cost, in float64."""
    with jax.enable_x64(True):
        return against_products()


def against_products() -> list[Row]:
    """N = 500, T = 20: value and sensitivity beside the closure's own matrix products, and the gradient's memory."""
    size, steps = 500, 20
    weights = cn.sample_weights(cn.homogeneous(1.1), size, key=jax.random.key(0), dtype=float)
    network = networks.RateNetwork(weights, np.ones(size), noise_std=0.3)

    def products(count: int):
        def body(state: jax.Array, _: None) -> tuple[jax.Array, None]:
            for _pair in range(count // 2):
                state = weights @ state @ weights.T
            return state / jnp.max(jnp.abs(state)), None

        return jax.jit(lambda start: jax.lax.scan(body, start, length=steps - 1)[0])

    def curve(*, higher: bool):
        return lambda: fisher.closure_curve(network, stimulus=0.5, num_steps=steps, higher_cumulants=higher).total

    twelve, four = products(12), products(4)
    runs = {"closure": curve(higher=True), "plain": curve(higher=False)}
    runs |= {"twelve": lambda: twelve(weights), "four": lambda: four(weights)}
    times = paired(runs, repeats=5)

    def last(matrix: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda n: n.weights, network, matrix)
        return jnp.log(fisher.closure_curve(moved, stimulus=0.5, num_steps=steps).total[-1])

    compiled = jax.jit(jax.grad(last)).lower(weights).compile()
    name = f"closure, N = {size}, T = {steps}, float64"
    gradient = [seconds(lambda: compiled(weights)) for _ in range(3)]
    return [
        ratio_row(f"{name}: fisherjax / its twelve products per step", times, ("closure", "twelve"), "lower", 3.0),
        ratio_row(f"{name}: plain closure / its four products per step", times, ("plain", "four"), "lower"),
        row(f"{name}: gradient / value", np.array(gradient) / np.median(times["closure"]), "lower"),
        row(f"{name}: memory of the gradient (GiB)", temporary_bytes(compiled) / 2**30, "lower", 4.0),
    ]


def _last(curve: fisher.FisherCurve) -> tuple[float, float]:
    """Information at T and its standard error."""
    return float(curve.total[-1]), float(cast("jax.Array", curve.standard_error)[-1])


def default_optimum() -> cn.GainMatrix:
    """What `fisherjax optimize` finds."""
    return optimize.maximize(
        cn.ToeplitzFamily(5),
        optimize.LogFisher(10, stimulus=0.1, noise_std=0.1),
        key=jax.random.key(0),
        constraints=(optimize.Budget(1.0),),
        num_generations=150,
    ).gain_matrix


def of_the_optimum(optimum: cn.GainMatrix) -> list[dict[str, Any]]:
    """Whether the structured optimum's advantage survives noise correlations; closure and simulation."""
    settings = {"stimulus": 0.1, "num_steps": 10}
    rows = []
    for size, simulated in ((150, True), (300, True), (600, False), (1200, False)):
        found: dict[str, tuple[float, float]] = {}
        for name, matrix in (("optimum", optimum), ("homogeneous", cn.homogeneous(1.0, 5))):
            draws = simulate.draw_networks(
                matrix, size, num_draws=8 if simulated else 4, noise_std=0.1, key=jax.random.key(size), dtype=float
            )
            for form in ("linear", "independent"):
                curve = fisher.closure_curve(draws, form=form, **settings)
                found[f"closure, {form}, {name}"] = _last(curve)
            if simulated:
                options = {"num_trials": 30 * size, "key": jax.random.key(1), **settings}
                curve = fisher.simulated_curve(networks.in_precision(draws, jnp.float32), **options)
                found[f"simulation, linear, {name}"] = _last(curve)
        row: dict[str, object] = {"units": size}
        for kind in ("closure, linear", "closure, independent", "simulation, linear"):
            if f"{kind}, optimum" in found:
                (top, top_error), (base, base_error) = found[f"{kind}, optimum"], found[f"{kind}, homogeneous"]
                ratio = top / base
                row[f"advantage, {kind}"] = ratio
                row[f"its error, {kind}"] = ratio * float(np.hypot(top_error / top, base_error / base))
        rows.append(row)
    return rows
