"""Time to a 2 % error of Fisher information: pathwise derivatives against θ ± Δθ with independent noise."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import RESULTS, Row, row, write
from fisherjax import connectivity, fisher, networks
from fisherjax.plot._style import population_color

UNITS, STEP, NOISE, STIMULUS = 500, 8, 0.1, 0.1
TRIALS = (20, 30, 40, 80, 160, 320, 640, 1280, 2560)
MORE_TRIALS = (5120,)
SEPARATIONS = (0.05, 0.07, 0.1, 0.2)
REPEATS = 24
REASON = (
    "40 trials are enough, and of their few milliseconds a third is Python's and a quarter products; the peer gets "
    "there at the one separation where its two biases cancel, to 1 % at none"
)


def speed() -> list[Row]:
    """Time to a 2 % error."""
    found = _measured(8, (0.05, 0.1))["differences / pathwise to 2% (target 10)"]
    name = f"information to 2 %, N = {UNITS}: differences of independent trials (torch) / pathwise"
    if isinstance(found, str):
        bound = float(found.removeprefix("above ").partition(":")[0])
        return [row(f"{name}, at least: the peer never gets there", bound, "higher", 10.0, REASON)]
    return [row(name, found, "higher", 10.0, REASON)]


def run() -> dict[str, Any]:
    """All sizes and separations, and a figure."""
    found = _measured(REPEATS, SEPARATIONS)
    _figure(*(found.pop(name) for name in ("ours", "our times", "peer", "peer times", "truth")))
    return write("accuracy", found)


def _measured(repeats: int, separations: tuple[float, ...]) -> dict[str, Any]:
    """N = 500, g = 1, σ = θ = 0.1, F of one given network at t = 8, independent-unit form."""
    import torch

    key = jax.random.key(1)
    weights = connectivity.sample_weights(connectivity.homogeneous(1.0), UNITS, key=key, dtype=jnp.float32)
    vector = jnp.ones(UNITS, jnp.float32)
    torch_weights = torch.from_numpy(jax.device_get(weights).copy())
    network = networks.RateNetwork(weights, vector, noise_std=NOISE)

    def pathwise(trials: int, seed: int) -> float:
        curve = fisher.simulated_curve(
            network, stimulus=STIMULUS, num_steps=STEP, num_trials=trials, key=jax.random.key(seed), form="independent"
        )
        return float(curve.total[-1])

    def states(theta: float, trials: int) -> Any:
        with torch.no_grad():
            state = torch.full((trials, UNITS), theta)
            for _ in range(STEP):
                state = torch.tanh(state) @ torch_weights.T + NOISE * torch.randn(trials, UNITS)
            return state

    def differences(separation: float, trials: int, seed: int) -> float:
        """As it is done: n trials at θ + Δθ and at θ − Δθ, no correction. Same number of simulated trials."""
        torch.manual_seed(seed)
        above, below = (states(STIMULUS + sign * separation, trials // 2) for sign in (1, -1))
        slope = (above.mean(0) - below.mean(0)) / (2 * separation)
        variance = (above.var(0) + below.var(0)) / 2
        return float((slope**2 / variance).sum())

    truth = float(np.mean([pathwise(10_000, 100 + seed) for seed in range(4)]))
    ours = {trials: _error([pathwise(trials, seed) for seed in range(repeats)], truth) for trials in TRIALS}
    peer: dict[float, dict[int, dict[str, float]]] = {}
    for separation in separations:
        peer[separation] = {
            trials: _error([differences(separation, trials, seed) for seed in range(repeats)], truth)
            for trials in (*TRIALS, *MORE_TRIALS)
        }
    # the first call of a size compiles; times are of later ones
    our_times = {trials: _seconds(lambda trials=trials: pathwise(trials, 0)) for trials in ours}
    peer_times = {
        trials: _seconds(lambda trials=trials: differences(separations[0], trials, 0))
        for trials in peer[separations[0]]
    }
    ratios: dict[str, Any] = {}
    for target in (0.02, 0.01):
        ours_to = _time_to(target, ours, our_times)
        peer_to = {separation: _time_to(target, errors, peer_times) for separation, errors in peer.items()}
        best = min(peer_to, key=lambda separation: peer_to[separation])
        name = f"{target:.0%}"
        ratios[f"seconds to {name}, pathwise"] = ours_to
        ratios[f"seconds to {name}, differences"] = {str(key): value for key, value in peer_to.items()}
        ratios[f"peer's best separation for {name}"] = best
        # a bound where no separation gets there: the largest run of the peer divided by our time
        reached = np.isfinite(peer_to[best])
        ratios[f"differences / pathwise to {name}" + (" (target 10)" if target == 0.02 else "")] = (
            peer_to[best] / ours_to
            if reached
            else f"above {max(peer_times.values()) / ours_to:.1f}: the peer never gets there"
        )
    return {
        "what": f"N = {UNITS}, g = 1, σ = θ = 0.1, F at t = {STEP}; root-mean-square error over {repeats} runs",
        "true information": truth,
        "pathwise": {str(key): value for key, value in ours.items()},
        "differences": {str(h): {str(n): e for n, e in errors.items()} for h, errors in peer.items()},
        "seconds, pathwise": {str(key): value for key, value in our_times.items()},
        "seconds, differences": {str(key): value for key, value in peer_times.items()},
        **ratios,
        "ours": ours,
        "our times": our_times,
        "peer": peer,
        "peer times": peer_times,
        "truth": truth,
    }


def _error(values: list[float], truth: float) -> dict[str, float]:
    array = np.asarray(values) / truth
    return {"bias": float(array.mean() - 1), "rms": float(np.sqrt(np.mean((array - 1) ** 2)))}


def _seconds(function: Any) -> float:
    function()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _time_to(target: float, errors: dict[int, dict[str, float]], times: dict[int, float]) -> float:
    """Time at which the error reaches the target, log-log between the sizes; infinite if it never does."""
    sizes = sorted(errors)
    rms = np.array([errors[size]["rms"] for size in sizes])
    clock = np.array([times[size] for size in sizes])
    below = np.flatnonzero(rms <= target)
    if below.size == 0:
        return float("inf")
    index = int(below[0])
    if index == 0:
        return float(clock[0])
    share = np.log(rms[index - 1] / target) / np.log(rms[index - 1] / rms[index])
    return float(np.exp(np.log(clock[index - 1]) + share * np.log(clock[index] / clock[index - 1])))


def _figure(ours: Any, our_times: Any, peer: Any, peer_times: Any, truth: float) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from fisherjax import plot

    with plot.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
        for index, (separation, errors) in enumerate(peer.items()):
            sizes, color = sorted(errors), population_color(index + 1)
            label = f"θ ± {separation:g}, independent noise"
            left.loglog(
                [peer_times[n] for n in sizes], [errors[n]["rms"] for n in sizes], "o-", color=color, label=label
            )
            right.semilogx(sizes, [errors[n]["bias"] for n in sizes], "o-", color=color, label=label)
        sizes, color = sorted(ours), population_color(0)
        left.loglog([our_times[n] for n in sizes], [ours[n]["rms"] for n in sizes], "o-", color=color, label="pathwise")
        right.semilogx(sizes, [ours[n]["bias"] for n in sizes], "o-", color=color, label="pathwise")
        left.axhline(0.02, color="0.5", linewidth=0.8)
        left.set_xlabel("time (s)")
        left.set_ylabel("relative r.m.s. error of F(8)")
        right.set_yscale("symlog", linthresh=0.05)
        right.axhline(0, color="0.5", linewidth=0.8)
        right.set_xlabel("simulated trials")
        right.set_ylabel("relative bias of F(8)")
        left.legend()
        left.set_title(f"N = {UNITS}, F(8) = {truth:.4g}")
        figure.savefig(RESULTS / "accuracy.png")
        plt.close(figure)
