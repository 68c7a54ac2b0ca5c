"""Dynamic mean-field theory: speed against a shooting solver in SciPy, and agreement with networks of 2000 units."""

import time
from typing import Any, cast

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from benchmarks._common import RESULTS, Row, row, seconds, write
from fisherjax import connectivity, dmft, dynamics, fisher, plot, simulate
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation

GRID, SAMPLED = 50, 25
GAINS, UNITS, DRAWS, MORE_DRAWS = (1.5, 2.0, 3.0), 2000, 5, 20
MAX_LAG = 20.0
STRUCTURE = connectivity.GainMatrix(np.array([[1.5, 2.0], [0.5, 2.5]]), np.array([0.4, 0.6]))


def run() -> dict[str, Any]:
    """Everything; theory in float64, simulation in float32."""
    agreement, rows = _agreement()
    return write(
        "dmft",
        {
            "what": "Continuous-time dynamic mean-field theory, tanh, float64, two cores. Peer of the phase diagram: "
            f"NumPy and SciPy, one point after another (energy by root finding, profile and ground state by shooting), "
            f"measured on {SAMPLED} points spread over the diagram and scaled. Simulation: N = {UNITS}, float32",
            **agreement,
            "rows": rows,
        },
    )


def speed() -> list[Row]:
    """Speed, in float64."""
    with jax.enable_x64(True):
        return _speed()


def _speed() -> list[Row]:
    gains, noise = np.linspace(0.1, 3.0, GRID), np.linspace(0.0, 1.0, GRID)
    dmft.autocorrelation(1.7, noise_std=0.1**0.5)
    ones = [seconds(lambda g=g: dmft.autocorrelation(g, noise_std=0.1**0.5)) for g in np.linspace(1.2, 3, 15)]
    begun = time.perf_counter()
    dmft.phase_diagram(gains, noise)
    first = time.perf_counter() - begun
    times, peers, gaps = [], [], []
    places = np.random.default_rng(0).permutation(GRID * GRID)[:SAMPLED]
    for part in np.array_split(places, 3):
        begun = time.perf_counter()
        diagram = dmft.phase_diagram(gains, noise)
        times.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        for place in part:
            line, column = divmod(int(place), GRID)
            exponent = _by_shooting(gains[column], noise[line] ** 2)
            gaps.append(abs(exponent - float(diagram.lyapunov_exponent[line, column])))
        peers.append((time.perf_counter() - begun) / len(part) * GRID * GRID)
    name = f"mean-field theory in continuous time, {GRID} × {GRID} points"
    return [
        row("mean-field theory in continuous time, one network: milliseconds", 1e3 * np.array(ones), "lower", 50.0),
        row(f"{name}: seconds", times, "lower", 60.0),
        row(f"{name}: seconds with compiling", first, "lower"),
        row(f"{name}: shooting in SciPy / fisherjax", np.array(peers) / np.array(times), "higher", 20.0),
        row(f"{name}: largest difference of the exponent between the two", np.max(gaps)),
    ]


def _by_shooting(gain: float, noise: float) -> float:
    """λ as it is usually computed: Gaussian moments tabulated by quadrature, then ordinary differential equations."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def moments(variance: float, function: Any) -> np.polynomial.Chebyshev:
        def pair(c: np.ndarray) -> np.ndarray:
            inner, outer = np.sqrt(np.maximum(variance - c, 0))[:, None, None], np.sqrt(np.maximum(c, 0))[:, None]
            return (function(outer[..., None] * nodes[:, None] + inner * nodes) @ weights) ** 2 @ weights

        return np.polynomial.Chebyshev.interpolate(pair, 32, [0, variance])

    def energy(variance: float) -> float:
        force = gain**2 * moments(variance, np.tanh) - np.polynomial.Chebyshev([0, 1], [-1, 1]).convert(
            domain=[0, variance]
        )
        return noise**2 / 2 + float(force.integ(lbnd=0)(variance))

    if noise == 0 and gain <= 1:
        return gain - 1
    low = 1e-6 + noise / 2
    if energy(low) <= 0:
        return np.nan
    variance: Any = brentq(energy, low, noise + 2 * gain**2 + 1, xtol=1e-12)
    force = moments(variance, np.tanh)
    slope = moments(variance, lambda x: 1 / np.cosh(np.clip(x, -300, 300)) ** 2)
    kappa = np.sqrt(max(1 - gain**2 * slope(0.0), 1e-8))
    length = 12 / kappa

    def leaves(_: float, y: np.ndarray) -> float:
        return y[0] - 1e-5 * variance

    leaves.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    profile = solve_ivp(
        lambda _, y: [y[1], y[0] - gain**2 * force(np.clip(y[0], 0, variance))],
        (0, length), [variance, -noise], rtol=1e-9, atol=1e-12, dense_output=True, events=leaves,
    )  # fmt: skip
    end = profile.t[-1]

    def mismatch(level: float) -> float:
        def well(t: float) -> float:
            return 1 - gain**2 * slope(np.clip(profile.sol(t)[0], 0, variance))

        state = solve_ivp(lambda t, y: [y[1], (well(t) - level) * y[0]], (0, end), [1.0, 0.0], rtol=1e-8, atol=1e-10)
        value, derivative = state.y[:, -1]
        return derivative + np.sqrt(max(kappa**2 - level, 0)) * value

    bottom = 1 - gain**2 * slope(variance)
    low, high = bottom - 1e-9, kappa**2 * (1 - 1e-9)
    grid = np.linspace(low, high, 9)
    signs = np.sign([mismatch(level) for level in grid])
    change = int(np.flatnonzero(np.diff(signs))[0]) if np.any(np.diff(signs)) else len(grid) - 2
    if signs[change] == signs[change + 1]:
        return float(np.sqrt(1 - high) - 1)
    return float(np.sqrt(1 - cast("float", brentq(mismatch, grid[change], grid[change + 1], xtol=1e-10))) - 1)


def _agreement() -> tuple[dict[str, Any], list[dict[str, float]]]:
    rows, panels, facts = [], [], {}
    for index, gain in enumerate(GAINS):
        measured = simulate.measure_autocorrelation(
            gain, num_units=UNITS, num_draws=DRAWS, key=jax.random.key(index), max_lag=MAX_LAG
        )
        with jax.enable_x64(True):
            theory = dmft.autocorrelation(gain, lags=measured.lags)
        exponent = dynamics.measure_lyapunov_exponent(
            gain, num_units=UNITS, num_draws=DRAWS, key=jax.random.key(100 + index), dt=0.2, num_trials=8
        )
        rows.append(_row(f"g = {gain:g}", theory, measured))
        rows[-1] |= {
            "exponent": exponent.value,
            "its standard error": exponent.standard_error,
            "exponent / theory": exponent.value / float(theory.lyapunov_exponent),
        }
        panels.append((f"g = {gain:g}", theory, measured))
    more = simulate.measure_autocorrelation(
        GAINS[0], num_units=UNITS, num_draws=MORE_DRAWS, key=jax.random.key(50), max_lag=MAX_LAG
    )
    with jax.enable_x64(True):
        theory = dmft.autocorrelation(GAINS[0], lags=more.lags)
    rows.append(_row(f"g = {GAINS[0]:g}, {MORE_DRAWS} networks", theory, more))
    pair = simulate.measure_autocorrelation(
        STRUCTURE, num_units=UNITS, num_draws=DRAWS, key=jax.random.key(60), max_lag=MAX_LAG
    )
    with jax.enable_x64(True):
        matrix = connectivity.GainMatrix(np.asarray(STRUCTURE.gains, float), np.asarray(STRUCTURE.fractions, float))
        both = dmft.autocorrelation(matrix, lags=pair.lags)
    rows.append(_row("two populations", both, pair))
    panels.append(("two populations", both, pair))
    facts |= {
        "largest error of the variance, 5 networks (target 5 %)": max(row["variance off"] for row in rows[:3]),
        "largest error of the autocorrelation over the variance, 5 networks (target 5 %)": max(
            row["largest off"] for row in rows[:3]
        ),
        "largest error of the exponent (target 15 %)": max(abs(row["exponent / theory"] - 1) for row in rows[:3]),
        **_information(),
    }
    _draw(panels)
    return facts, rows


def _row(name: str, theory: dmft.Autocorrelation, measured: MeasuredAutocorrelation) -> dict[str, Any]:
    predicted, variance = np.asarray(theory.values), np.asarray(theory.variance)
    gap = np.abs(measured.values - predicted) / variance
    place = np.unravel_index(np.argmax(gap), gap.shape)
    return {
        "network": name,
        "variance off": float(np.max(gap[0])),
        "largest off": float(gap.max()),
        "at lag": float(measured.lags[place[0]]),
        "standard error there": float((measured.standard_error / variance)[place]),
    }


def _information() -> dict[str, float]:
    """Fisher information of a pulse and of a step in a noisy network."""
    settings: dict[str, Any] = {
        "times": [0.5, 1.0, 2.0, 3.0, 4.0, 6.0], "noise": 0.1, "stimulus": 1.0, "num_units": UNITS // 2, "settle": 2.0,
    }  # fmt: skip
    facts = {}
    for protocol in ("pulse", "step"):
        measured = fisher.simulated_continuous_curve(
            connectivity.homogeneous(1.3), **settings, protocol=protocol, num_trials=150, num_draws=16,
            key=jax.random.key(7),
        )  # fmt: skip
        with jax.enable_x64(True):
            theory = fisher.continuous_curve(connectivity.homogeneous(1.3), **settings, protocol=protocol)
        ratio = np.asarray(measured.total, float) / np.asarray(theory.total)
        z = (ratio - 1) * np.asarray(theory.total) / np.asarray(measured.standard_error, float)
        facts[f"information of a {protocol}, simulation / theory, furthest from 1"] = float(
            ratio[np.argmax(np.abs(ratio - 1))]
        )
        facts[f"information of a {protocol}, largest |z|"] = float(np.abs(z).max())
    return facts


def _draw(panels: list[tuple[str, Any, Any]]) -> None:
    with plot.style():
        figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.6))
        for ax, (title, theory, measured) in zip(axes, panels, strict=True):
            plot.autocorrelation(theory, measured, ax)
            ax.set_title(f"{title}, N = {UNITS}")
        figure.savefig(RESULTS / "dmft.png")
        plt.close(figure)


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key}: {value}")
