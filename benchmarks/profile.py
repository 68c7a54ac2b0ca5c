"""An information profile of the orientation network beside the way people do it, and resampling in bulk."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._common import Row, ratio_row, row, seconds
from fisherjax import fisher, vision
from fisherjax.fisher._profile import InformationProfile

ANGLES, TARGET, SIZE = 100, 0.02, 21


def speed() -> list[Row]:
    """Profile of 100 angles to 2 %, against torch eager, one angle at a time, by finite differences."""
    trained = vision.train_angle_network(key=jax.random.key(0), size=SIZE)
    respond = vision.respond_to_angle(trained.network)
    angles = jnp.linspace(0, jnp.pi, ANGLES, endpoint=False)

    def ours(seed: int) -> InformationProfile:
        return fisher.information_profile(
            respond, angles, key=jax.random.key(seed), relative_error=TARGET, max_trials=6_000_000
        )

    profile = ours(0)
    step, bias = _step_of_small_bias(respond)
    peer = _TorchStudy(trained.network, step)
    chosen = np.linspace(0, ANGLES, 5, endpoint=False).astype(int)
    ours_times, peer_times, trials = [], [], []
    for turn in range(3):
        ours_times.append(seconds(lambda turn=turn: ours(turn + 1).value))
        # its errors are those of `direct`: trials that bring them to the target, from the known variance
        needed = [_trials_needed(float(profile.value[index]), step) for index in chosen]
        trials.append(np.mean(needed))
        peer_times.append(
            ANGLES * np.mean([peer.seconds(float(angles[i]), n) for i, n in zip(chosen, needed, strict=True)])
        )
    times = {"ours": ours_times, "peer": peer_times}
    name = f"information profile, {ANGLES} angles to {TARGET:.0%}"
    reached = jnp.sqrt(jnp.mean((profile.standard_error / profile.value) ** 2))
    peer_name = f"{name}: finite differences of independent trials (torch, step {step:g}, bias {bias:.1%}) / fisherjax"
    return [
        ratio_row(peer_name, times, ("peer", "ours"), "higher", 20.0),
        row(f"{name}: seconds", ours_times, "lower"),
        row(f"{name}: trials per angle, torch / fisherjax", np.array(trials) / (float(profile.total_trials) / ANGLES)),
        row(f"{name}: root mean square relative error reached", float(reached), "lower", 0.02),
        *_resampling(),
    ]


def _step_of_small_bias(respond) -> tuple[float, float]:
    """Largest step whose bias is below 1 % on average over angles, at common random numbers."""
    angles = jnp.linspace(0, jnp.pi, 8, endpoint=False)
    keys = jax.random.split(jax.random.key(5), 20_000)

    @jax.jit
    def information(angle: jax.Array, step: jax.Array) -> jax.Array:
        draw = jax.vmap(respond, in_axes=(None, 0))
        plus, minus = draw(angle + step / 2, keys), draw(angle - step / 2, keys)
        pooled = (jnp.cov(plus.T) + jnp.cov(minus.T)) / 2
        slope = jnp.mean(plus - minus, axis=0) / step
        return slope @ jnp.linalg.solve(pooled, slope)

    def mean(step: float) -> float:
        return float(np.mean([information(angle, jnp.asarray(step)) for angle in angles]))

    truth = mean(0.002)
    found = (0.01, mean(0.01) / truth - 1)
    for step in (0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1):
        bias = mean(step) / truth - 1
        if abs(bias) > 0.01:
            break
        found = (step, bias)
    return found


def _trials_needed(information: float, step: float) -> int:
    """Trials per condition at which the error of the direct estimate is 2 %."""
    for count in np.unique(np.geomspace(200, 1e8, 2000).astype(int)):
        precision, freedom = step**2 * count / 2, 2 * count - 2
        noise = 2 / precision
        variance = (
            2 / (freedom - 5) * ((information + noise) ** 2 + (noise + 2 * information) / precision * (freedom - 3))
        )
        if variance < (TARGET * information) ** 2:
            return int(count)
    raise RuntimeError("no number of trials reaches the target")


class _TorchStudy:
    """Gratings and network in torch eager, batches of 1000 images, as the study is usually written."""

    def __init__(self, network, step: float):
        import torch

        self.torch, self.step = torch, step
        torch.set_num_threads(2)
        self.layers = [
            (torch.tensor(np.asarray(w)), torch.tensor(np.asarray(b)))
            for w, b in zip(network.weights, network.biases, strict=True)
        ]
        axis = torch.linspace(-np.pi, np.pi, SIZE)
        self.x, self.y = axis[None, :], axis[:, None]
        self.disc = (self.x**2 + self.y**2 < 6).float()

    def outputs(self, angle: float, count: int):
        torch, rows = self.torch, []
        for start in range(0, count, 1000):
            batch = min(1000, count - start)
            wave = torch.cos(5 * (self.y * np.cos(angle) + self.x * np.sin(angle)))
            noise = np.sqrt(20.0) * torch.randn(batch, SIZE, SIZE)
            mask = (torch.rand(batch, SIZE, SIZE) < 0.8).float()
            state = (torch.clamp(wave + mask * noise, -1, 1) * self.disc).reshape(batch, -1)
            for index, (weights, biases) in enumerate(self.layers):
                state = state @ weights.T + biases
                state = torch.relu(state) if index < len(self.layers) - 1 else state
            rows.append(state)
        return torch.cat(rows)

    def seconds(self, angle: float, count: int) -> float:
        """Time of one angle; counts beyond 100 000 trials are timed there and scaled."""
        timed = min(count, 100_000)

        def estimate():
            with self.torch.no_grad():
                minus, plus = (self.outputs(angle + sign * self.step / 2, timed) for sign in (-1, 1))
                return _information(self.torch, minus, plus, self.step)

        return seconds(estimate) * count / timed


def _information(torch: Any, minus: Any, plus: Any, step: float) -> float:
    """Linear Fisher information with its bias removed, and nothing else (Kanitscheider et al. 2015)."""
    trials, units = minus.shape
    slope = (plus.mean(0) - minus.mean(0)) / step
    naive = slope @ torch.linalg.solve((torch.cov(minus.T) + torch.cov(plus.T)) / 2, slope)
    return float(naive * (2 * trials - units - 3) / (2 * trials - 2) - 2 * units / (trials * step**2))


def _resampling() -> list[Row]:
    """10 000 bootstrap estimates of a 500 × 50 data set, in one jitted call."""
    first, second = jax.random.split(jax.random.key(0))
    responses, slopes = jax.random.normal(first, (500, 50)), 1 + jax.random.normal(second, (500, 50))

    def draw(seed: int):
        return fisher.bootstrap(responses, slopes, key=jax.random.key(seed), num_resamples=10_000).standard_error

    jax.block_until_ready(draw(0))
    times = [seconds(lambda s=s: draw(s)) for s in (1, 2, 3)]
    return [row("10 000 bootstrap estimates of 500 × 50: seconds", times, "lower")]
