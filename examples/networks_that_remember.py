"""Which initial network learns to remember?
=========================================

Which initial network learns to remember? Eighteen of them at three learning rates in six settings, and criteria.

Every network has 100 tanh units and is trained with Adam for 250 steps on batches of 32. Before training we ask what
its states already hold: G (``fisher.linear_decodability``), Fisher information about a pulse, and how gradients grow.
The mean of the held-out accuracy over training, evaluated every ten steps, at the learning rate that is best for that
kind of network, says how well it learns. g* is ``connectivity.memory_gain``, fixed before any training.

Some 40 minutes on two cores; a run that was stopped goes on with what is missing. It writes every training into
networks_that_remember.jsonl, numbers into .json beside itself, and three figures into docs/images.

.. code-block:: sh

    python examples/networks_that_remember.py
    python examples/networks_that_remember.py --quick    # six networks in one setting, into a folder of their own

.. image:: /images/networks_that_remember.png
   :alt: Which initial network learns to remember?
"""

import concurrent.futures
import functools
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisherjax import connectivity, datasets, dynamics, fisher, networks, optimize, tasks, training
from fisherjax.networks import initializers

HERE = Path(__file__).parent
UNITS, BATCH, STEPS, EVERY, SEEDS = 100, 32, 250, 10, 3
RATES = (3e-4, 1e-3, 3e-3)
READ_NOISE, LEAST_NOISE = 0.03, 0.01  # of G and of the pulse's information
PULSE_TRIALS = 1000
ASCENT_STEPS, ASCENT_RATE, ASCENT_TRIALS = 40, 3e-3, 512


class Setting(NamedTuple):
    """A task, with the process noise of the networks that learn it."""

    name: str
    delay: int | None  # of the copy task; digits otherwise
    noise_std: float
    permuted: bool = False

    @property
    def num_steps(self) -> int:
        """Steps of a trial."""
        return 64 if self.delay is None else self.delay + tasks.copy_memory().shortest


SETTINGS = {
    one.name: one
    for one in (
        Setting("copy, delay 60", 60, 0.0),
        Setting("copy, delay 200", 200, 0.0),
        Setting("copy, delay 30, noise .1", 30, 0.1),
        Setting("copy, delay 60, noise .05", 60, 0.05),
        Setting("digits", None, 0.0),
        Setting("digits, permuted", None, 0.0, permuted=True),
    )
}
GAINS = {"orthogonal .9": 0.9, "orthogonal 1": 1.0, "orthogonal 1.1": 1.1, "orthogonal 1.3": 1.3, "orthogonal 1.5": 1.5}
STARTS = (
    *GAINS, "orthogonal g*", "orthogonal, g by G", "Gaussian 1", "Gaussian 1.3", "Gaussian 2", "Glorot", "identity",
    "chain 1.02", "feedback chain", "Toeplitz, independent", "Toeplitz, linear", "Gaussian, ascended in G",
    "orthogonal g*, ascended in G",
)  # fmt: skip


@functools.cache
def digits(split: str, *, permuted: bool) -> Any:
    """Inputs, targets and mask of the digits, pixel by pixel."""
    order = jax.random.key(7) if permuted else None
    return tuple(tasks.sequential_images(*datasets.digits(split=split), key=order))


def asked(setting: Setting) -> dict[str, Any]:
    """The task as `fisher.linear_decodability` takes it."""
    if setting.delay is not None:
        return {"task": tasks.copy_memory(), "num_steps": setting.num_steps}
    inputs, targets, mask = digits("train", permuted=setting.permuted)
    return {"task": inputs, "targets": targets, "mask": mask}


@functools.cache
def toeplitz(form: str) -> connectivity.GainMatrix:
    """Five populations with most information about a pulse after ten steps, on the budget of a random network."""
    family, noise = connectivity.ToeplitzFamily(5), 0.1
    objective = optimize.LogFisher(10, stimulus=0.1, noise_std=noise, form=form)
    limit = optimize.Budget(1.0)
    units = jax.random.uniform(jax.random.key(0), (4, family.num_parameters), minval=0.05, maxval=0.95)
    ascents = [
        optimize.refine(family, objective, family.build(5 * unit), constraints=(limit,), num_steps=80) for unit in units
    ]
    best = max(ascents, key=lambda ascent: float(ascent.value)).best
    return limit.rescale(family.build(5 * best))


def gain_by_rule(setting: Setting) -> float:
    """g* where the task is one of copying; else the gain that G likes best."""
    if setting.delay is None:
        return gain_by_decodability(setting)
    return connectivity.memory_gain(setting.delay, noise_std=setting.noise_std, input_variance=1 / 15)


@functools.cache
def gain_by_decodability(setting: Setting) -> float:
    """The gain of orthogonal weights with the largest G, over three draws that no training uses."""
    gains = np.linspace(0.9, 1.6, 15)
    found = [
        np.mean([decoded(built(setting, initializers.orthogonal(gain), 1000 + seed), setting) for seed in range(3)])
        for gain in gains
    ]
    return float(gains[int(np.argmax(found))])


def built(setting: Setting, initializer: Any, seed: int) -> networks.RNN:
    """A network before training."""
    sizes = (5, 4) if setting.delay is not None else (1, 10)
    return networks.RNN(
        sizes[0], UNITS, sizes[1], key=jax.random.key(seed), recurrent_initializer=initializer,
        noise_std=setting.noise_std,
    )  # fmt: skip


def initial(setting: Setting, start: str, seed: int) -> networks.RNN:
    """One of the initial networks."""
    key = jax.random.fold_in(jax.random.key(seed), 1)
    below, above = np.eye(UNITS, k=-1), np.eye(UNITS, k=1)
    simple: dict[str, Callable[[], Any]] = {
        **{name: functools.partial(initializers.orthogonal, gain) for name, gain in GAINS.items()},
        "orthogonal g*": lambda: initializers.orthogonal(gain_by_rule(setting)),
        "orthogonal, g by G": lambda: initializers.orthogonal(gain_by_decodability(setting)),
        "Gaussian 1": lambda: initializers.gaussian(1.0),
        "Gaussian 1.3": lambda: initializers.gaussian(1.3),
        "Gaussian 2": lambda: initializers.gaussian(2.0),
        "Glorot": initializers.glorot,
        "identity": lambda: initializers.from_weights(np.eye(UNITS)),
        "chain 1.02": lambda: initializers.from_weights(1.02 * below),
        "feedback chain": lambda: initializers.from_weights(below + 0.1 * above),
        "Toeplitz, independent": lambda: initializers.from_weights(drawn("independent", key)),
        "Toeplitz, linear": lambda: initializers.from_weights(drawn("linear", key)),
    }
    if start in simple:
        return built(setting, simple[start](), seed)
    before = {"Gaussian, ascended in G": "Gaussian 1", "orthogonal g*, ascended in G": "orthogonal g*"}[start]
    return ascended(initial(setting, before, seed), setting, key)


def drawn(form: str, key: Any) -> Any:
    """Weights of an optimal structure."""
    return connectivity.sample_weights(toeplitz(form), UNITS, key=key)


def decoded(network: networks.RNN, setting: Setting, noise_std: float = LEAST_NOISE) -> float:
    """G."""
    return float(
        fisher.linear_decodability(
            network, key=jax.random.key(5), process_noise_std=noise_std, observation_noise_std=READ_NOISE,
            **asked(setting),
        ).value
    )  # fmt: skip


def ascended(network: networks.RNN, setting: Setting, key: Any) -> networks.RNN:
    """The network whose recurrent weights climbed in G, on fresh trials at every step."""
    optimizer = optax.adam(ASCENT_RATE)

    def place(weights: Any) -> networks.RNN:
        return eqx.tree_at(lambda one: one.recurrent.value, network, weights)

    trials = {} if setting.delay is None else {"num_trials": ASCENT_TRIALS}

    def loss(weights: Any, key: Any) -> Any:
        return -fisher.linear_decodability(
            place(weights), key=key, process_noise_std=max(setting.noise_std, LEAST_NOISE),
            observation_noise_std=READ_NOISE, num_blocks=2, **trials, **asked(setting),
        ).value  # fmt: skip

    weights = network.recurrent.value
    state, slope = optimizer.init(weights), jax.grad(loss)
    for index in range(ASCENT_STEPS):
        update, state = optimizer.update(slope(weights, jax.random.fold_in(key, index)), state)
        weights = optax.apply_updates(weights, update)
    return place(weights)


def criteria(network: networks.RNN, setting: Setting, seed: int) -> dict[str, float]:
    """What a network promises before it is trained; more is better for each."""
    key = jax.random.key(100 + seed)
    with jax.enable_x64(True):
        inputs = trial_inputs(setting, 8)
        gradients = dynamics.gradient_spectrum(networks.in_precision(network, float), inputs, key=key)
    return {
        "G": decoded(network, setting),
        "G, noise of training": decoded(network, setting, max(setting.noise_std, LEAST_NOISE)),
        "pulse information": pulse_information(network, setting, LEAST_NOISE, key),
        "pulse information, noise of training": pulse_information(
            network, setting, max(setting.noise_std, LEAST_NOISE), key
        ),
        "gradient gain": -abs(float(np.log(gradients.gain[0]))),
        "isometry": -min(gradients.isometry, 1e3),
    }


def pulse_information(network: networks.RNN, setting: Setting, noise_std: float, key: Any) -> float:
    """log₁₀ of linear Fisher information about a pulse through all inputs, at the end of a trial."""
    noisy = eqx.tree_at(lambda one: one.noise_std, network, jnp.asarray(noise_std))
    last = setting.num_steps
    curve: Any = fisher.simulated_curve(
        noisy, stimulus=0.5, protocol=pulse(last, network.num_inputs), num_steps=last, num_trials=PULSE_TRIALS,
        at=(last,), key=key,
    )  # fmt: skip
    # where trajectories diverge the estimate is noise around nothing
    found, spread = float(curve.total[-1]), float(curve.standard_error[-1])
    return float(np.log10(found)) if np.isfinite(found) and found > max(2 * spread, 1e-3) else -3.0


@functools.cache
def pulse(num_steps: int, num_inputs: int) -> Callable[[Any], Any]:
    """A stimulus that enters through all inputs at the first step."""
    return jnp.zeros((num_steps, num_inputs)).at[0].set


def trial_inputs(setting: Setting, count: int) -> Any:
    """Inputs of a few trials."""
    if setting.delay is None:
        return digits("train", permuted=setting.permuted)[0][:, :count]
    return tasks.copy_memory().batch(jax.random.key(3), count, setting.num_steps).inputs


def learned(network: networks.RNN, setting: Setting, seed: int, rate: float) -> list[float]:
    """Held-out accuracy before training and after every ten steps."""
    options: dict[str, Any] = {"held_out": digits("test", permuted=setting.permuted)} if setting.delay is None else {}
    task = tasks.copy_memory() if setting.delay is not None else digits("train", permuted=setting.permuted)
    steps = {} if setting.delay is None else {"trial_steps": setting.num_steps}
    trained = training.fit(
        network, task, key=jax.random.key(10_000 + seed), num_steps=STEPS, batch_size=BATCH, learning_rate=rate,
        loss="cross_entropy", evaluate_every=EVERY, keep_best=False, **steps, **options,
    )  # fmt: skip
    return np.round(np.asarray(trained.history.held_out_accuracy, float), 4).tolist()


def one(job: tuple[str, str, int]) -> dict[str, Any]:
    """What one initial network promises, and how it learns at every rate."""
    setting, start, seed = SETTINGS[job[0]], job[1], job[2]
    network = initial(setting, start, seed)
    return {
        "setting": setting.name,
        "start": start,
        "seed": seed,
        "gain": round(float(np.linalg.norm(network.recurrent_weights) / UNITS**0.5), 4),
        "criteria": {name: round(value, 4) for name, value in criteria(network, setting, seed).items()},
        "accuracy": {f"{rate:g}": learned(network, setting, seed, rate) for rate in RATES},
    }


def gathered(jobs: Iterable[Any], work: Callable[[Any], dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The record of every job, those of an earlier run from the file, the others from one process for every core."""
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = [list(record.values())[:3] for record in known]
    missing = [job for job in jobs if list(job) not in done]
    # one thread for each: small products gain nothing from more
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool, path.open("a") as file:
        futures = [pool.submit(work, job) for job in missing]
        for count, future in enumerate(concurrent.futures.as_completed(futures), start=1):
            known.append(future.result())
            file.write(json.dumps(known[-1], ensure_ascii=False) + "\n")
            file.flush()
            if count % 20 == 0 or count == len(missing):
                print(f"{count} of {len(missing)}", flush=True)
    return known


def main(*, quick: bool) -> None:
    """Train what is missing, and draw."""
    from networks_that_remember_figures import PICTURES, SHOWN, draw  # noqa: PLC0415

    settings, starts, seeds = (list(SETTINGS)[2:3], SHOWN, 1) if quick else (list(SETTINGS), STARTS, SEEDS)
    folder = HERE.parent / "results" / "networks_that_remember" if quick else HERE
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(setting, start, seed) for setting in settings for seed in range(seeds) for start in starts]
    records = gathered(jobs, one, folder / "networks_that_remember.jsonl")
    draw(records, folder, folder if quick else PICTURES)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)

# sphinx_gallery_thumbnail_path = "images/networks_that_remember.png"
