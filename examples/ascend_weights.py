"""Which weights hold most information?
====================================

Ascend the Fisher information of the weights J themselves, and see which structure emerges and what it gains.

From random, orthogonal, chain and Toeplitz-optimal networks, under three constraints of equal cost: the Frobenius
norm of a critical random network, spectral radius at most one (within that norm), and Dale's law (on that norm).
The objective is the closure's linear form at T, noise correlations included. The closure is an approximation, and
a gradient finds where it breaks: so every few steps the network is simulated, the ascent goes back and takes smaller
steps once prediction and measurement part, and the network that *measured* best is kept and measured again with fresh
noise.

Some fifteen minutes on two cores; writes ascend_weights.png and ascend_weights.json beside itself.

.. code-block:: sh

    python examples/ascend_weights.py [--quick]

.. image:: /../examples/ascend_weights.png
   :alt: Which weights hold most information?
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from fisherjax import _linalg, fisher, optimize, plot
from fisherjax import connectivity as cn
from fisherjax.networks import RateNetwork

UNITS, STEPS, NOISE, STIMULUS = 60, 6, 0.1, 0.1
POPULATIONS = 5
RATE, TRUST = 0.01, 1.5  # Adam's step; ratio of prediction to measurement beyond which the closure is not trusted
SETTINGS = {"stimulus": STIMULUS, "num_steps": STEPS}


def budget(raw: jax.Array) -> jax.Array:
    """Frobenius norm √N, that of a critical random network (g = 1)."""
    return raw * jnp.sqrt(len(raw)) / jnp.linalg.norm(raw)


def radius(raw: jax.Array) -> jax.Array:
    """Spectral radius at most one, on that norm."""
    weights = budget(raw)
    return weights / jnp.maximum(1, _linalg.spectral_radius(weights))


def dale(raw: jax.Array) -> jax.Array:
    """Four fifths of the units excite, the others inhibit; on that norm."""
    # inhibition four times as strong, so that the two balance where magnitudes are alike
    signs = jnp.where(jnp.arange(len(raw)) % 5 < 4, 1.0, -4.0)
    return budget(jnp.abs(raw) * signs)


CONSTRAINTS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "Frobenius norm": budget,
    "spectral radius": radius,
    "Dale's law": dale,
}


def starts(key: jax.Array, toeplitz: cn.GainMatrix) -> dict[str, jax.Array]:
    """The four networks that the ascent starts from."""
    random_key, orthogonal_key, toeplitz_key, noise_key = jax.random.split(key, 4)
    blur = 0.02 * jax.random.normal(noise_key, (UNITS, UNITS))
    shift = jnp.eye(UNITS, k=-(UNITS // POPULATIONS))
    return {
        "random": cn.sample_weights(cn.homogeneous(1.0), UNITS, key=random_key, dtype=float),
        "orthogonal": jax.random.orthogonal(orthogonal_key, UNITS),
        "chain": shift + blur,
        "Toeplitz-optimal": cn.sample_weights(toeplitz, UNITS, key=toeplitz_key, dtype=float),
    }


def information(weights: jax.Array, vector: jax.Array) -> jax.Array:
    """Linear Fisher information at T."""
    return fisher.closure_curve(RateNetwork(weights, vector, noise_std=NOISE), **SETTINGS).total[-1]


class Ascent(NamedTuple):
    """The network that measured best, and prediction and measurement on the way."""

    weights: jax.Array
    steps: list[int]
    predicted: list[float]
    measured: list[float]


def measure(weights: jax.Array, vector: jax.Array, key: jax.Array, num_trials: int) -> tuple[float, float]:
    """Simulated linear information at T and its standard error."""
    network = RateNetwork(weights.astype(jnp.float32), vector, noise_std=NOISE)
    curve = fisher.simulated_curve(network, num_trials=num_trials, key=key, **SETTINGS)
    return float(curve.total[-1]), float(cast("jax.Array", curve.standard_error)[-1])


def ascend(start: jax.Array, constrain: Callable[[jax.Array], jax.Array], vector: jax.Array, rounds: int) -> Ascent:
    """Adam on log F through the constraint, ten steps a round, from where the closure could last be trusted."""
    optimizer = optax.adam(RATE)

    def loss(raw: jax.Array) -> jax.Array:
        return -jnp.log(jnp.maximum(information(constrain(raw), vector), 1e-12))

    @jax.jit
    def ten_steps(raw: jax.Array, state: optax.OptState, scale: jax.Array) -> tuple[jax.Array, optax.OptState]:
        def step(carry, _):
            raw, state = carry
            slope = jax.grad(loss)(raw)
            slope = jnp.where(jnp.all(jnp.isfinite(slope)), slope, 0)
            updates, state = optimizer.update(slope, state)
            return (raw + scale * cast("jax.Array", updates), state), None

        return jax.lax.scan(step, (raw, state), length=10)[0]

    # scaled first, so that a step of the optimizer means the same in every start
    raw = budget(start)
    trusted, state, scale = raw, optimizer.init(raw), 1.0
    record = Ascent(constrain(raw), [], [], [])
    for turn in range(rounds + 1):
        weights = constrain(raw)
        predicted = float(information(weights, vector))
        measured, _ = measure(weights, vector, jax.random.key(turn), 3000)
        if not record.measured or measured > max(record.measured):
            record = record._replace(weights=weights)
        record.steps.append(10 * turn)
        record.predicted.append(predicted)
        record.measured.append(measured)
        if predicted < TRUST * measured:
            trusted = raw
        else:
            # where the closure broke, go back and go on more carefully
            raw, state, scale = trusted, optimizer.init(trusted), scale / 2
        raw, state = ten_steps(raw, state, jnp.asarray(scale))
    return record


def main(*, quick: bool) -> None:
    """Ascend from every start under every constraint, confirm, draw."""
    jax.config.update("jax_enable_x64", True)
    rounds, num_trials = (1, 2000) if quick else (12, 20_000)
    key = jax.random.key(0)
    vector = (jnp.arange(UNITS) < UNITS // POPULATIONS).astype(float)
    optimum = optimize.maximize(
        cn.ToeplitzFamily(POPULATIONS),
        optimize.LogFisher(STEPS, stimulus=STIMULUS, noise_std=NOISE, form="linear"),
        key=key,
        constraints=(optimize.Budget(1.0),),
        num_generations=20 if quick else 50,
    ).gain_matrix
    networks = starts(key, optimum)
    ensemble = [
        budget(cn.sample_weights(optimum, UNITS, key=draw, dtype=float))
        for draw in jax.random.split(jax.random.key(1), 3 if quick else 12)
    ]
    reference = float(np.mean([measure(weights, vector, key, num_trials)[0] for weights in ensemble]))
    print(f"Toeplitz-optimal ensemble on the same norm: {reference:.1f} measured, on average")
    found, rows = {}, []
    for rule, constrain in CONSTRAINTS.items():
        for name, start in networks.items():
            ascent = ascend(start, constrain, vector, rounds)
            value, error = measure(ascent.weights, vector, jax.random.key(1000), num_trials)
            predicted = float(information(ascent.weights, vector))
            found[rule, name] = ascent
            rows.append(
                {
                    "constraint": rule,
                    "start": name,
                    "measured before": ascent.measured[0],
                    "measured after": value,
                    "standard error": error,
                    "predicted after": predicted if np.isfinite(predicted) else None,
                    "over the best structured ensemble": value / reference,
                    "departure from normality": float(_departure(ascent.weights)),
                    "steps": ascent.steps[-1],
                }
            )
            print(
                f"{rule:>16} from {name:<17} {ascent.measured[0]:7.1f} → {value:7.1f} ± {error:.1f}, predicted "
                f"{predicted:7.1f}; {value / reference:.1f} × the ensemble",
                flush=True,
            )
    folder = Path(__file__).parent
    record = {"units": UNITS, "steps": STEPS, "mean of the Toeplitz-optimal ensemble": reference, "rows": rows}
    (folder / "ascend_weights.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(folder / "ascend_weights.png", found, reference)


def _departure(weights: jax.Array) -> jax.Array:
    """Henrici's departure from normality relative to the norm: 0 normal, near 1 a pure chain."""
    values = np.linalg.eigvals(np.asarray(weights))
    norm = np.linalg.norm(np.asarray(weights))
    return np.sqrt(max(0.0, norm**2 - np.sum(np.abs(values) ** 2))) / norm


def draw(path: Path, found: dict, reference: float) -> None:
    """Histories, the weights that emerge (units in the order the signal passes through them), their eigenvalues."""
    with plot.style():
        figure, axes = plt.subplots(3, len(CONSTRAINTS), figsize=(4.6 * len(CONSTRAINTS), 12))
        for column, rule in enumerate(CONSTRAINTS):
            for index, (_, name) in enumerate(pair for pair in found if pair[0] == rule):
                ascent = found[rule, name]
                axes[0, column].plot(
                    ascent.steps, ascent.measured, "o-", markersize=3, color=plot.COLORS[index], label=f"from {name}"
                )
                axes[0, column].plot(ascent.steps, ascent.predicted, "--", linewidth=0.9, color=plot.COLORS[index])
            axes[0, column].axhline(
                reference, color="black", linestyle="--", linewidth=1, label="best structured ensemble"
            )
            axes[0, column].set_yscale("log")
            axes[0, column].set_title(f"{rule} (points: simulated, dashed: closure)")
            axes[0, column].set_xlabel("gradient step")
            axes[0, column].set_ylabel(f"linear Fisher information at T = {STEPS}")
            weights = np.asarray(found[rule, "random"].weights)
            order = _signal_order(weights)
            top = np.quantile(np.abs(weights), 0.995)
            axes[1, column].imshow(weights[order][:, order], cmap="RdBu_r", vmin=-top, vmax=top)
            axes[1, column].set_title("weights found from random")
            axes[1, column].set_xlabel("from unit (by arrival of the signal)")
            axes[1, column].set_ylabel("to unit")
            values = np.linalg.eigvals(weights)
            angle = np.linspace(0, 2 * np.pi, 200)
            axes[2, column].plot(np.cos(angle), np.sin(angle), color="black", linewidth=0.8)
            axes[2, column].plot(values.real, values.imag, "o", markersize=3, color=plot.COLORS[0])
            axes[2, column].set_aspect("equal")
            axes[2, column].set_xlabel("Re λ")
            axes[2, column].set_ylabel("Im λ")
        axes[0, 0].legend()
        figure.savefig(path)
        plt.close(figure)


def _signal_order(weights: np.ndarray) -> np.ndarray:
    """Units in the order of the mean time at which a pulse into the first population passes through them."""
    state, energy, times = (np.arange(UNITS) < UNITS // POPULATIONS).astype(float), np.zeros(UNITS), np.zeros(UNITS)
    for step in range(STEPS + 1):
        energy, times = energy + state**2, times + step * state**2
        state = weights @ state
    return np.argsort(times / energy)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)

# sphinx_gallery_thumbnail_path = "../examples/ascend_weights.png"
