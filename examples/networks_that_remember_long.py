"""Networks that remember, at other sizes and delays
=================================================

The longer form of networks_that_remember.py: other sizes, delays, optimizers and networks, and the test of g*.

Learning rates are tuned over three with two seeds; ten seeds then train at the best of them. The test fixes g* and
g = 1 with the rates that networks_that_remember.py found for them, and draws eight seeds that nothing was tuned on.
Some 25 minutes on two cores; a run that was stopped goes on. It writes networks_that_remember_long.jsonl and .md beside
itself.

.. code-block:: sh

    python examples/networks_that_remember_long.py

.. image:: /images/networks_that_remember_training.png
   :alt: Networks that remember, at other sizes and delays
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from networks_that_remember import EVERY, HERE, RATES, SETTINGS, gathered
from scipy.stats import wilcoxon

from fisherjax import connectivity, networks, tasks, training
from fisherjax.networks import initializers

TUNED_BY, SEEDS, FRESH = 2, 10, 8
BATCH, STEPS = 32, 250


class Case(NamedTuple):
    """What is trained on what."""

    start: str
    delay: int
    noise_std: float = 0.0
    units: int = 100
    length: int = 3
    optimizer: str = "adam"

    @property
    def task(self) -> Any:
        """The copy task."""
        return tasks.copy_memory(length=self.length)

    @property
    def gain(self) -> float:
        """g*, for input weights as they are drawn."""
        return connectivity.memory_gain(self.delay, noise_std=self.noise_std, input_variance=1 / 15, length=self.length)


VANILLA = ("orthogonal 1", "orthogonal g*", "Gaussian 1")
GATED = ("LSTM, plain", "LSTM, orthogonal, forget bias 1", "LSTM, chrono", "GRU, plain", "GRU, chrono")
CASES = (
    *(Case(start, 60, 0.05, units) for units in (32, 100, 300) for start in (*VANILLA, "chain 1.02")),
    *(Case(start, 500) for start in VANILLA),
    *(Case(start, 60, length=10) for start in VANILLA),
    *(Case(start, 60, 0.05, optimizer="rmsprop") for start in VANILLA),
    *(Case(start, delay) for delay in (60, 200) for start in (*VANILLA, *GATED, "diagonal linear")),
)
TEST = ("copy, delay 60, noise .05", "copy, delay 200", "copy, delay 30, noise .1")


def built(case: Case, seed: int) -> networks.RecurrentNetwork:
    """A network before training."""
    options: dict[str, Any] = {"key": jax.random.key(seed), "noise_std": case.noise_std}
    sizes: Any = (case.task.num_inputs, case.units, case.task.num_outputs)
    kind, _, rest = case.start.partition(", ")
    if kind in {"LSTM", "GRU"}:
        options["recurrent_initializer"] = "orthogonal" if "orthogonal" in rest else "gaussian"
        network = (networks.LSTM if kind == "LSTM" else networks.GRU)(*sizes, **options)
        return with_gates(network, rest, case, jax.random.key(1000 + seed))
    if case.start == "diagonal linear":
        weights, pattern = rotations(case.units, np.random.default_rng(seed))
        options |= {"nonlinearity": "identity", "constraints": [networks.mask(recurrent=pattern)]}
        return networks.RNN(*sizes, recurrent_initializer=initializers.from_weights(weights), **options)
    starts: dict[str, Callable[[], Any]] = {
        "orthogonal 1": initializers.orthogonal,
        "orthogonal g*": lambda: initializers.orthogonal(case.gain),
        "Gaussian 1": initializers.gaussian,
        "chain 1.02": lambda: initializers.from_weights(1.02 * np.eye(case.units, k=-1)),
    }
    return networks.RNN(*sizes, recurrent_initializer=starts[case.start](), **options)


def with_gates(network: Any, rest: str, case: Case, key: Any) -> Any:
    """Biases of the gates: none, 1, or those that forget over times up to the delay (Tallec & Ollivier, 2018)."""
    units = case.units
    bias = jnp.zeros_like(network.recurrent_bias)
    open_for = jnp.log(jax.random.uniform(key, (units,), minval=1.0, maxval=case.delay - 1.0))
    if isinstance(network, networks.LSTM):  # gates i, f, g, o
        if "chrono" in rest:
            bias = bias.at[units : 2 * units].set(open_for).at[:units].set(-open_for)
        elif "forget" in rest:
            bias = bias.at[units : 2 * units].set(1.0)
    elif "chrono" in rest:  # gates r, z, n; z keeps
        bias = bias.at[units : 2 * units].set(open_for)
    return eqx.tree_at(lambda one: one.recurrent_bias, network, bias)


def rotations(units: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of two units that turn by any angle and shrink by .1 to 2 % per step, and where these weights are."""
    blocks = np.kron(np.eye(units // 2), np.ones((2, 2)))
    weights = np.zeros((units, units))
    for place in range(0, units, 2):
        angle, size = random.uniform(0, np.pi), random.uniform(0.98, 0.999)
        turned = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        weights[place : place + 2, place : place + 2] = size * np.array(turned)
    return weights, blocks.astype(bool)


def learned(job: tuple[Any, ...]) -> dict[str, Any]:
    """The course of one training: of a case, at a rate, with a seed."""
    case, rate, seed = Case(*job[0]), job[1], job[2]
    trained = training.fit(
        built(case, seed), case.task, key=jax.random.key(20_000 + seed), num_steps=STEPS, batch_size=BATCH,
        trial_steps=case.task.shortest + case.delay, learning_rate=rate, optimizer=case.optimizer,
        evaluate_every=EVERY, keep_best=False,
    )  # fmt: skip
    course = np.asarray(trained.history.held_out_accuracy, float)
    reached = course >= 0.9
    return {
        "case": list(case),
        "rate": rate,
        "seed": seed,
        "mean": round(float(course.mean()), 4),
        "last": round(float(course[-1]), 4),
        "to 90 %": int(EVERY * (1 + np.argmax(reached))) if reached.any() else None,
    }


def of(records: list[dict[str, Any]], case: Case, rate: float, seeds: range) -> list[dict[str, Any]]:
    """The trainings of a case at a rate, in the order of their seeds."""
    chosen = [one for one in records if Case(*one["case"]) == case and one["rate"] == rate and one["seed"] in seeds]
    return sorted(chosen, key=lambda one: one["seed"])


def best_rates(records: list[dict[str, Any]]) -> dict[Case, float]:
    """The learning rate of every case whose mean accuracy over the first seeds is highest."""

    def score(case: Case, rate: float) -> float:
        return float(np.mean([one["mean"] for one in of(records, case, rate, range(TUNED_BY))]))

    return {case: max(RATES, key=lambda rate, case=case: score(case, rate)) for case in CASES}


def fixed_rates() -> dict[Case, float]:
    """Of the cases of the test: the rates that networks_that_remember.py found, over its own seeds."""
    lines = (HERE / "networks_that_remember.jsonl").read_text().splitlines()
    found, known = {}, [json.loads(line) for line in lines]
    for name in TEST:
        for start in ("orthogonal 1", "orthogonal g*"):
            chosen = [one["accuracy"] for one in known if (one["setting"], one["start"]) == (name, start)]
            rate = max(RATES, key=lambda rate: np.mean([one[f"{rate:g}"] for one in chosen]))
            setting = SETTINGS[name]
            found[Case(start, setting.delay or 0, setting.noise_std)] = rate
    return found


def reached(chosen: list[dict[str, Any]]) -> str:
    """How many learned, and how fast."""
    there = [one["to 90 %"] for one in chosen if one["to 90 %"]]
    return f"{len(there)} of {len(chosen)}" + (f" in {np.median(there):.0f}" if there else "")


def table(header: str, rows: list[list[Any]]) -> list[str]:
    """Lines of a table."""
    columns = header.split(" | ")
    body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return ["| " + header + " |", "|" + "---|" * len(columns), *body, ""]


def results(records: list[dict[str, Any]], rates: dict[Case, float], test: dict[Case, float]) -> str:
    """All results as two tables."""
    rows: list[list[Any]] = []
    for case, rate in rates.items():
        chosen = of(records, case, rate, range(SEEDS))
        scores = [one["mean"] for one in chosen]
        told = f"{np.mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})"
        name, last = case.start.replace("g*", f"g* = {case.gain:.3f}"), np.mean([one["last"] for one in chosen])
        rows.append([*case[1:], name, f"{rate:g}", told, f"{last:.3f}", reached(chosen)])
    tests: list[list[Any]] = []
    cases = list(test)
    for plain, rule in zip(cases[::2], cases[1::2], strict=True):
        courses = [of(records, case, test[case], range(SEEDS, SEEDS + FRESH)) for case in (plain, rule)]
        before, after = (np.array([one["mean"] for one in course]) for course in courses)
        compared: Any = wilcoxon(after, before, alternative="greater")
        chance = compared.pvalue
        told = [
            f"{np.mean(score):.3f}, {reached(course)}" for score, course in zip((before, after), courses, strict=True)
        ]
        tests.append(
            [
                rule.delay,
                rule.noise_std,
                f"{rule.gain:.3f}",
                *told,
                f"{(after > before).sum()} of {FRESH}",
                f"{chance:.4f}",
            ]
        )
    lines = [
        "# Longer form of the study of initial networks",
        "",
        "Copy task of 4 symbols: mean accuracy over 250 steps, and how many of ten seeds reach 90 % in how many",
        "steps, at the best of three learning rates.",
        "",
        *table(
            "delay | noise | units | length | optimizer | network | rate | mean (least to most) | last | 90 %", rows
        ),
        "Eight fresh seeds, everything fixed beforehand; mean over training, and how many reach 90 %:",
        "",
        *table("delay | noise | gain g* | with g = 1 | with g* | g* is better | Wilcoxon p", tests),
    ]
    return "\n".join(lines)


def main() -> None:
    """Tune, train, test, and write the tables."""
    path = HERE / "networks_that_remember_long.jsonl"
    test = fixed_rates()
    fresh = [(list(case), rate, SEEDS + seed) for case, rate in test.items() for seed in range(FRESH)]
    gathered(fresh, learned, path)
    tuning = [(list(case), rate, seed) for case in CASES for rate in RATES for seed in range(TUNED_BY)]
    rates = best_rates(gathered(tuning, learned, path))
    rest = [(list(case), rate, seed) for case, rate in rates.items() for seed in range(TUNED_BY, SEEDS)]
    records = gathered(rest, learned, path)
    text = results(records, rates, test)
    (HERE / "networks_that_remember_long.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

# sphinx_gallery_thumbnail_path = "images/networks_that_remember_training.png"
