"""What `benchmarks.gpu` measures, in order of importance: what is right, products, simulation, and the rest."""

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from benchmarks import _gpu_networks, _gpu_questions
from benchmarks._common import Row, in_new_process, paired, ratio_row, row
from benchmarks._gpu_peers import DEVICE, synchronized, torch_or_none
from fisherjax import _linalg, connectivity, fisher, networks, simulate
from fisherjax._runtime import PRECISIONS, product, products_in
from fisherjax.simulate import _trajectories

KEY = jax.random.key(0)
FEW = 4096  # units up to which a step may take its product and 25 microseconds
SIZES = ((1000, 100, 96), (4000, 100, 48), (16_384, 512, 48), (32_768, 512, 16))  # units, trials, steps
SMALL_SIZES = ((300, 20, 48), (600, 20, 24))
COMMAND_BUFFERS = {
    "none": "--xla_gpu_enable_command_buffer=",
    "as XLA has them": "",
    "of whole loops": "--xla_gpu_enable_command_buffer=+WHILE --xla_gpu_graph_min_graph_size=2",
    "as XLA has them, no Triton": "--xla_gpu_enable_triton_gemm=false",
}


class Part(NamedTuple):
    """Some rows that are measured together, and how many seconds that takes on an H200, with compiling."""

    name: str
    seconds: float
    measure: Callable[[], list[Row]]
    is_check: bool = False  # whether a target that is missed is an error, and not only slow


def parts(*, small: bool) -> list[Part]:
    """All parts; `small` for a CPU."""
    sizes, (units, trials, steps) = (SMALL_SIZES, SMALL_SIZES[0]) if small else (SIZES, SIZES[0])
    checks = [
        Part("check: theory in float32 at every default precision", 30, _theory, is_check=True),
        Part("check: states by precision", 20, _states, is_check=True),
        Part("check: the same noise as on a CPU", 15, _same_noise, is_check=True),
        Part("check: normal numbers of every generator", 15, _law, is_check=True),
    ]
    first = [
        Part("rates", 15, lambda: _rates(512 if small else 8192)),
        *(Part(f"simulation, N = {size[0]}", 25, lambda size=size: _simulation(*size)) for size in sizes[:2]),
        Part("normal numbers", 15, lambda: _noise(10**6 if small else 10**8)),
    ]
    variants = [
        *(Part(f"blocks of a step, N = {n}", 30, lambda s=(n, m, t): _blocks(*s)) for n, m, t in sizes[:2]),
        Part("generators in a step", 20, lambda: _generators(units, trials, steps)),
        Part("command buffers", 60, lambda: _command_buffers(units, trials, steps)),
    ]
    large = [Part(f"simulation, N = {size[0]}", 30, lambda size=size: _simulation(*size)) for size in sizes[2:]]
    rest = [Part(*one) for one in (*_gpu_networks.parts(small=small), *_gpu_questions.parts(small=small))]
    return [*checks, *first, *rest[:2], *large, *rest[2:], *variants]


def rounds(functions: dict[str, Callable[[], Any]], seconds: float = 1.5) -> dict[str, list[float]]:
    """Times of rounds in turn: 3 to 15 of them, as many as fit."""
    begun = paired(functions, 1)
    return paired(functions, int(np.clip(seconds / sum(map(sum, begun.values())), 3, 15)))


def _weights(units: int) -> jax.Array:
    return connectivity.sample_weights(connectivity.homogeneous(1.0), units, key=KEY, dtype=jnp.float32)


def _network(units: int, noise_std: float = 0.1) -> networks.RateNetwork:
    return networks.RateNetwork(_weights(units), jnp.ones(units, jnp.float32), noise_std=noise_std)


def _theory() -> list[Row]:
    """Theory asks for full products itself; measurement must agree with it whatever the default is."""
    with jax.enable_x64(True):
        weights, pulse = _weights(256), {"stimulus": 0.5, "num_steps": 6}
        noisy = networks.RateNetwork(weights.astype(jnp.float64), np.ones(256), noise_std=0.3)
        exact = np.asarray(fisher.closure_curve(noisy, **pulse).total)
    noisy, rows = networks.RateNetwork(weights, jnp.ones(256, jnp.float32), noise_std=0.3), []
    for level in ("float32", "tensorfloat32", "bfloat16"):
        with jax.default_matmul_precision(level):
            closed = np.asarray(fisher.closure_curve(noisy, **pulse).total, np.float64)
        off = float(np.abs(closed / exact - 1).max())
        rows.append(row(f"closure in float32 against float64, default {level}: relative", off, "lower", 1e-3))
    for precision in PRECISIONS:
        measured = fisher.simulated_curve(noisy, num_trials=4000, key=KEY, precision=precision, **pulse)
        spread = np.hypot(np.asarray(measured.standard_error, np.float64), 0.01 * exact)
        score = float(np.abs((np.asarray(measured.total, np.float64) - exact) / spread).max())
        rows.append(row(f"simulation against closure, {precision} steps: standard errors", score, "lower", 4.5))
    return rows


def _states() -> list[Row]:
    """Errors of states after one and ten steps; that of one is what rounding of the operands makes."""
    settings = {"stimulus": 0.5, "num_steps": 10, "num_trials": 1, "key": KEY}
    with jax.enable_x64(True):
        exact = networks.RateNetwork(_weights(500).astype(jnp.float64), np.ones(500), noise_std=0.0)
        path = np.asarray(simulate.trajectories(exact, **settings))[:, 0]
    bounds = {"float32": 1e-5, "tensorfloat32": 2e-3, "bfloat16": 1e-2}
    rows, single = [], _network(500, noise_std=0.0)
    for precision in PRECISIONS:
        found = np.asarray(simulate.trajectories(single, precision=precision, **settings), np.float64)[:, 0]
        off = np.linalg.norm(found - path, axis=1) / np.linalg.norm(path, axis=1)
        rows.append(row(f"states after one step, {precision}: relative error", off[0], "lower", bounds[precision]))
        rows.append(row(f"states after ten steps, {precision}: relative error", off[9]))
    return rows


def _same_noise() -> list[Row]:
    """Trials of a threefry key are those of a CPU, to rounding, whatever the length of a block is."""
    network, settings = _network(200), {"stimulus": 0.5, "num_steps": 4, "num_trials": 100, "key": KEY}
    here = np.asarray(simulate.trajectories(network, **settings))
    with jax.default_device(jax.devices("cpu")[0]):
        there = np.asarray(simulate.trajectories(_network(200), **settings))
    with mock.patch.object(_trajectories, "MOST_AT_ONCE", 1):
        alone = np.asarray(simulate.trajectories(network, **settings))
    off = [float(np.abs(here - other).max()) for other in (there, alone)]
    return [
        row("trials against those of a CPU: largest difference", off[0], "lower", 1e-4),
        row("trials against those without blocks: largest difference", off[1], "lower", 1e-4),
    ]


def _law() -> list[Row]:
    """Kolmogorov and Smirnov's √n D exceeds 1.95 with probability 0.001."""
    rows = []
    for impl in ("threefry2x32", "rbg", "unsafe_rbg"):
        values = np.asarray(_linalg.standard_normal(jax.random.key(1, impl=impl), (1000, 1000)), np.float64).ravel()
        distance = float(np.sqrt(values.size) * scipy.stats.kstest(values, "norm").statistic)
        rows.append(row(f"normal numbers of {impl}: Kolmogorov's √n D", distance, "lower", 1.95))
    return rows


def _rates(units: int) -> list[Row]:
    """What the device does: products of square matrices, and copies."""
    rows, matrix = [], _weights(units)
    for precision in PRECISIONS:
        times = rounds({"products": lambda precision=precision: _products(matrix, matrix, 8, precision)})["products"]
        rate = 8 * 2.0 * units**3 / np.array(times) / 1e12
        rows.append(row(f"products, {units} × {units}, {precision}: TFLOP/s", rate, "higher"))
    long = jnp.ones(units * units * 4, jnp.float32)
    times = rounds({"copy": lambda: _copies(long, 8)})["copy"]
    rows.append(row("copies: GB/s read and written", 8 * 2.0 * long.nbytes / np.array(times) / 1e9, "higher"))
    return rows


def _products(weights: jax.Array, start: jax.Array, steps: int, precision: str) -> jax.Array:
    with products_in(precision):
        return _chain(weights, start, steps)


@jax.jit(static_argnums=2)
def _chain(weights: jax.Array, start: jax.Array, steps: int) -> jax.Array:
    """Products one after another and nothing else, eight in one iteration of the loop."""
    return jax.lax.scan(lambda x, _: (product(x, weights.T), None), start, length=steps, unroll=8)[0]


@jax.jit(static_argnums=1)
def _copies(array: jax.Array, times: int) -> jax.Array:
    return jax.lax.fori_loop(0, times, lambda _, x: x + 1, array)


def _step_time(units: int, trials: int, steps: int, precision: Any = "float32", impl: str = "threefry2x32") -> Any:
    network, key = _network(units), jax.random.key(0, impl=impl)
    settings = {"stimulus": 0.1, "num_steps": steps, "num_trials": trials, "key": key, "precision": precision}
    return lambda: simulate.trajectories(network, **settings)


def _simulation(units: int, trials: int, steps: int) -> list[Row]:
    rows, weights = [], _weights(units)
    start, work = jnp.full((trials, units), 0.1, jnp.float32), 2.0 * steps * trials * units**2
    for precision in PRECISIONS:
        functions = {
            "fisherjax": _step_time(units, trials, steps, precision),
            "products": lambda precision=precision: _products(weights, start, steps, precision),
        }
        if precision != "bfloat16" and torch_or_none() is not None:
            functions["torch"] = _torch_steps(weights, trials, steps, allow=precision == "tensorfloat32")
        times = rounds(functions)
        ours, bare = (np.array(times[name]) for name in ("fisherjax", "products"))
        told, target = f"N = {units}, {trials} trials, {precision}", 25.0 if units <= FEW else None
        rows += [
            row(f"simulation, {told}: microseconds per step", ours / steps * 1e6, "lower"),
            row(f"simulation, {told}: above its product", (ours - bare) / steps * 1e6, "lower", target),
            ratio_row(f"simulation, {told}: / bare products", times, ("fisherjax", "products"), "lower"),
            row(f"simulation, {told}: TFLOP/s", work / ours / 1e12, "higher"),
            row(f"bare products, {told}: TFLOP/s", work / bare / 1e12),
        ]
        if "torch" in times:
            rows.append(ratio_row(f"simulation, {told}: torch / fisherjax", times, ("torch", "fisherjax"), "higher", 1))
    return rows


def _torch_steps(weights: jax.Array, trials: int, steps: int, *, allow: bool) -> Callable[[], Any]:
    torch = torch_or_none()
    theirs = torch.tensor(np.asarray(weights), device=DEVICE)

    def run() -> None:
        state, states = torch.full((trials, len(theirs)), 0.1), []
        for _ in range(steps):
            state = torch.tanh(state) @ theirs.T + 0.1 * torch.randn(trials, len(theirs))
            states.append(state)
        torch.stack(states)

    return synchronized(run, allow=allow)


def _blocks(units: int, trials: int, steps: int) -> list[Row]:
    """Steps whose noise is drawn, and whose states are written, at once."""
    rows = []
    for length in (length for length in (1, 2, 4, 8, 16) if steps % length == 0):
        with mock.patch.object(_trajectories, "block_length", lambda _, length=length: length):
            times = np.array(rounds({"run": _step_time(units, trials, steps)})["run"])
        rows.append(row(f"N = {units}, blocks of {length}: microseconds per step", times / steps * 1e6, "lower"))
    return rows


def _generators(units: int, trials: int, steps: int) -> list[Row]:
    kinds = ("threefry2x32", "rbg", "unsafe_rbg")
    times = rounds({impl: _step_time(units, trials, steps, impl=impl) for impl in kinds})
    each = {impl: np.array(times[impl]) / steps * 1e6 for impl in kinds}
    return [row(f"N = {units}, noise of {impl}: microseconds per step", each[impl], "lower") for impl in kinds]


def _command_buffers(*size: int) -> list[Row]:
    """XLA reads its flags when it starts: a process for each."""
    rows = []
    for name, flags in COMMAND_BUFFERS.items():
        there = {"JAX_PLATFORMS": "", "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_FLAGS": flags}
        times = in_new_process("benchmarks._gpu_parts", *map(str, size), **there)
        rows.append(row(f"N = {size[0]}, command buffers {name}: microseconds per step", times, "lower"))
    return rows


def _noise(count: int) -> list[Row]:
    shape, rows = (count // 1000, 1000), []
    ours = jax.jit(lambda key: _linalg.standard_normal(key, shape))
    theirs = jax.jit(lambda key: jax.random.normal(key, shape, jnp.float32))
    kinds = {impl: jax.random.key(0, impl=impl) for impl in ("threefry2x32", "rbg")}
    functions: dict[str, Callable[[], Any]] = {impl: lambda key=key: ours(key) for impl, key in kinds.items()}
    functions |= {f"jax, {impl}": lambda key=key: theirs(key) for impl, key in kinds.items()}
    torch = torch_or_none()
    if torch is not None:
        functions["torch"] = synchronized(lambda: torch.randn(*shape), allow=False)
    times = rounds(functions)
    fastest = min((name for name in times if name in {"torch", "jax, rbg"}), key=lambda name: np.median(times[name]))
    for name, spent in times.items():
        rows.append(row(f"{count:g} normal numbers, {name}: milliseconds", np.array(spent) * 1e3, "lower"))
    for impl in kinds:
        told = f"{count:g} normal numbers of {impl}: fisherjax / {fastest}"
        rows.append(ratio_row(told, times, (impl, fastest), "lower", 1.3))
    return rows


if __name__ == "__main__":
    import json
    import sys

    units, trials, steps = map(int, sys.argv[1:])
    print(json.dumps([one / steps * 1e6 for one in rounds({"run": _step_time(units, trials, steps)})["run"]]))
