"""The optimizer's objective and its optimum against NumPy quadrature under scipy's differential evolution."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import differential_evolution

from benchmarks._common import Row, paired, ratio_row, row
from fisherjax import connectivity, fisher, optimize
from fisherjax.optimize._problem import make_problem

POPULATIONS, STEP, STIMULUS, NOISE = 5, 10, 0.1, 0.1
BATCH, OUR_RUNS, PEER_RUNS = 1280, 5, 1


class NumpyObjective:
    """ln F(T) of a Toeplitz network on the budget, tanh moments by 64 × 64 Fourier quadrature (theory.md §2).

    The integrand is even under both reflections of the rotated axes, so a quarter of the plane is summed.
    """

    nodes = 32

    def __init__(self) -> None:
        index = np.arange(POPULATIONS)
        self.lags = index[:, None] - index + POPULATIONS - 1

    def __call__(self, coefficients: np.ndarray) -> float:
        gains = coefficients[self.lags]
        gain = gains**2 / POPULATIONS
        gain = gain / (gain.sum() / POPULATIONS)
        pattern = np.eye(POPULATIONS)[0]
        s, ds = np.tanh(STIMULUS * pattern), pattern / np.cosh(STIMULUS * pattern) ** 2
        overlap, slope, sensitivity = gain @ s**2, 2 * gain @ (s * ds), gain @ ds**2
        variance, variance_slope = overlap + NOISE**2, slope.copy()
        for _ in range(STEP - 1):
            square, steepness, bending, *_ = self.pair(variance, variance)
            value, kappa, mixed, curvature, third = self.pair(variance, overlap)
            sensitivity = gain @ (
                kappa * sensitivity
                + curvature / 4 * (slope**2 + variance_slope**2)
                + third / 2 * slope * variance_slope
            )
            slope = gain @ (kappa * slope + mixed * variance_slope)
            variance_slope = gain @ ((steepness + bending) * variance_slope)
            variance, overlap = NOISE**2 + gain @ square, gain @ value
        return float(np.log(np.sum(sensitivity / (variance - overlap)) / POPULATIONS))

    def pair(self, variance: np.ndarray, overlap: np.ndarray) -> np.ndarray:
        """E[φφ], E[φ′φ′], E[φ″φ], E[φ″φ″], E[φ′φ‴] for every population."""
        wide, narrow = variance + overlap, variance - overlap
        s_cut = np.minimum(26.0, 9 / np.sqrt(np.maximum(np.minimum(wide, variance), 1e-12)))
        d_cut = np.minimum(26.0, 9 / np.sqrt(np.maximum(narrow, 1e-12)))
        grid = (np.arange(self.nodes) + 0.5) / self.nodes
        s, d = s_cut[:, None, None] * grid[:, None], d_cut[:, None, None] * grid
        k, l = (s + d) / np.sqrt(2), (s - d) / np.sqrt(2)  # noqa: E741
        transform = _slope_transform(k) * _slope_transform(l)
        area = 4 * s_cut * d_cut / self.nodes**2 / (2 * np.pi) ** 2
        gauss = np.exp(-(wide[:, None, None] * s**2 + narrow[:, None, None] * d**2) / 2)
        independent = np.exp(-variance[:, None, None] * (s**2 + d**2) / 2)
        product = k * l
        diagonal = np.abs(product) < 1e-12
        odd = (independent - gauss) / np.where(diagonal, 1, product)
        odd = np.where(diagonal, overlap[:, None, None] * gauss, odd)
        terms = [odd, gauss, -(k**2 + l**2) / 2 * odd, -product * gauss, -(k**2 + l**2) / 2 * gauss]
        return np.array([area * np.sum(transform * term, axis=(1, 2)) for term in terms])


def _slope_transform(k: np.ndarray) -> np.ndarray:
    half = np.pi * np.abs(k) / 2
    return np.where(half < 1e-8, 2.0, 2 * half / np.sinh(np.maximum(half, 1e-8)))


def speed() -> list[Row]:
    """Evaluations per second, and the optimum found in a given time."""
    with jax.enable_x64(True):
        return [*_rows(), *linear_form()]


def _rows() -> list[Row]:
    family, budget = connectivity.ToeplitzFamily(POPULATIONS), optimize.Budget(1.0)
    objective = optimize.LogFisher(STEP, stimulus=STIMULUS, noise_std=NOISE)
    exact = make_problem(family, objective, (budget,))
    coarse = exact.coarse()
    peer = NumpyObjective()
    points = np.random.default_rng(0).uniform(0.02, 1, (BATCH, family.num_parameters))
    units = jnp.asarray(points)
    functions = {"exact": jax.jit(jax.vmap(exact.value)), "inner loop": jax.jit(jax.vmap(coarse.value))}
    deviation = max(abs(float(exact.value(x)) - peer(np.asarray(5 * x))) for x in units[:10])
    calls = {name: (lambda function=function: function(units)) for name, function in functions.items()}
    times = paired({**calls, "numpy": lambda: [peer(5 * x) for x in points[:40]]}, repeats=7)
    times["numpy"] = [value * BATCH / 40 for value in times["numpy"]]

    ours_seconds, ours_value = [], []
    for seed in range(OUR_RUNS + 1):
        start = time.perf_counter()
        optimum = optimize.maximize(
            family, objective, key=jax.random.key(seed), constraints=(budget,), num_generations=150, refine_steps=60
        )
        ours_seconds.append(time.perf_counter() - start)
        ours_value.append(float(optimum.value))
    peer_seconds, peer_value = [], []
    for seed in range(PEER_RUNS):
        start = time.perf_counter()
        found = differential_evolution(
            lambda x: -peer(x), [(1e-6, 5.0)] * family.num_parameters, rng=seed, maxiter=45, popsize=12, tol=1e-8
        )
        peer_seconds.append(time.perf_counter() - start)
        value = float(exact.value(jnp.asarray(found.x / 5)))
        peer_value.append(value)
    name = f"optimizer, Toeplitz, P = {POPULATIONS}, T = {STEP}"
    warm = np.array(ours_seconds[1:])
    five = 5 * np.mean(peer_seconds)
    return [
        row(f"{name}: largest deviation of the NumPy objective", deviation),
        ratio_row(f"{name}: NumPy / exact objective", times, ("numpy", "exact"), "higher", 30.0),
        ratio_row(f"{name}: NumPy / objective of the search", times, ("numpy", "inner loop"), "higher"),
        row(f"{name}: worst optimum − SciPy's best of {PEER_RUNS}", min(ours_value) - max(peer_value), "higher", -1e-6),
        row(f"{name}: time / five runs of SciPy", warm / five, "lower", 0.2),
        row(f"{name}: time with compiling / five runs of SciPy", ours_seconds[0] / five, "lower"),
    ]


def linear_form() -> list[Row]:
    """The linear form of five populations to T = 10: curve, gradient, and how the curve's cost grows."""

    def curve(gains: jax.Array, steps: int) -> jax.Array:
        matrix = connectivity.GainMatrix(gains)
        return fisher.meanfield_curve(matrix, stimulus=STIMULUS, noise_std=NOISE, num_steps=steps, form="linear").total

    def at(populations: int, steps: int) -> Callable[[], jax.Array]:
        gains = 1 + 0.1 * jnp.sin(jnp.arange(populations**2, dtype=float)).reshape(populations, populations)
        program = jax.jit(curve, static_argnums=1)
        return lambda: program(gains, steps)

    gains = jnp.ones((POPULATIONS, POPULATIONS))
    begun = time.perf_counter()
    value = jax.jit(lambda g: curve(g, STEP)).lower(gains).compile()
    compiled = time.perf_counter()
    slope = jax.jit(jax.grad(lambda g: jnp.log(curve(g, STEP)[-1]))).lower(gains).compile()
    ended = time.perf_counter()
    times = paired(
        {
            "value": lambda: value(gains), "gradient": lambda: slope(gains), "T": at(POPULATIONS, STEP),
            "2T": at(POPULATIONS, 2 * STEP), "2P": at(2 * POPULATIONS, STEP),
        },
        7,
    )  # fmt: skip
    return [
        row(
            "linear form, five populations to T = 10: curve, ms",
            [1e3 * t for t in times["value"]],
            "lower",
            50,
            "milliseconds are a machine's: sixty read-outs, each population alone at each time; the total at the "
            "last time alone takes a fifth",
        ),
        ratio_row("linear form: gradient / curve", times, ("gradient", "value"), "lower", 5),
        row("linear form: compiling the curve, s", compiled - begun, "lower", 20),
        row("linear form: compiling the gradient, s", ended - compiled, "lower", 20),
        ratio_row(
            "linear form: twice the steps / once (T²: 4)",
            times,
            ("2T", "T"),
            "lower",
            4,
            "later read-outs need a few more sweeps to their fixed point",
        ),
        ratio_row(
            "linear form: twice the populations / once, each also read alone (P³: 8)", times, ("2P", "T"), "lower"
        ),
    ]
