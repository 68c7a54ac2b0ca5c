"""Fisher information from samples: of a user's responses, or of a given network."""

import dataclasses
import functools
import re
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fisherjax import datasets, fisher, networks, simulate
from fisherjax.plot._pages import save_estimates
from fisherjax.report import Table
from fisherjax.report._html import Picture

from ._arguments import Estimate
from ._files import reading
from ._messages import in_options
from ._network import check_trials, load_question
from ._outcome import Outcome, estimate_table, section
from ._recording import run_recording
from ._session import Session
from ._values import UsageError

_FEWEST_UNITS = 16  # for a look at how information grows with units

Estimates = dict[str, fisher.FisherEstimate]


class _Responses(NamedTuple):
    """Responses to two conditions (trials, units), their separation, and how the files were read."""

    minus: Any
    plus: Any
    separation: float
    notes: tuple[str, ...]

    @property
    def few_units(self) -> bool:
        """Whether a covariance can be inverted with a tenth of the trials left out."""
        return self.minus.shape[-1] < 0.9 * (len(self.minus) + len(self.plus)) - 5


def run_estimate(command: Estimate, session: Session) -> Outcome:
    """Estimate from files or of a network."""
    if command.network is not None:
        numbers: Any = tuple(map(float, command.stimulus))
        return _of_network(dataclasses.replace(command, stimulus=numbers), session)
    # the default of --stimulus is a size of one, for networks
    recorded = command.stimulus != Estimate().stimulus
    return run_recording(command, session) if recorded else _of_responses(command, session)


def _told(table: Table) -> list[str]:
    return [f"{name!s:<34} {value:10.4g} ± {error:.3g}" for name, value, error, *_ in table.rows]


def _of_network(command: Estimate, session: Session) -> Outcome:
    """Sample responses at the last step and their derivatives in the stimulus."""
    question = load_question(command)
    check_trials(command.trials, question.size)
    settings = dict(question.settings)
    stimulus = settings.pop("stimulus")
    with session.stage("estimating"):
        estimate = fisher.estimate(
            # the network is an argument of what is compiled, not a constant of it
            jax.tree_util.Partial(functools.partial(_respond, settings), question.network),
            stimulus,
            key=jax.random.key(command.seed),
            num_trials=command.trials,
            method="pathwise",
        )
        session.save("estimate", estimate)
    shown = question.by_parameter(estimate) or {"pathwise": estimate}
    table = estimate_table(shown)
    results = {"network": repr(question.network), "noise_std": question.network.noise_std, "trials": command.trials}
    results |= {"read": question.size, "value": estimate.value, "standard_error": estimate.standard_error}
    text = [
        f"{question}",
        (
            f"{command.trials} responses of {question.size} numbers after {command.steps} steps, with their exact "
            "derivatives at the same noise; bias removed."
        ),
        f"The interval holds {estimate.interval_of}.",
    ]
    picture = Picture("estimates.png", "The estimate, or that about each input.", save_estimates, shown)
    return Outcome(
        title="Fisher information of a network's responses",
        sections=[section("Linear Fisher information", text, table, picture)],
        results=results,
        arrays={name: getattr(estimate, name) for name in ("value", "standard_error", "interval")},
        table=table,
        sentences=_told(table),
    )


def _respond(settings: dict[str, Any], network: networks.Network, stimulus: Any, key: Any) -> jax.Array:
    """What is read at the last step of one trial."""
    return simulate.trajectories(network, stimulus=stimulus, num_trials=1, key=key, **settings)[-1, 0]


def _of_responses(command: Estimate, session: Session) -> Outcome:
    data = _load_responses(command)
    print("\n".join(data.notes))
    key, subset_key = jax.random.split(jax.random.key(command.seed))
    with session.stage("estimating"):
        with warnings.catch_warnings():
            # said once for all estimators, in the words of the command
            warnings.simplefilter("ignore", fisher.AssumptionWarning)
            estimates = _estimates(command, data, key)
        findings = _findings(command, estimates)
        print("".join(f"note: {sentence}\n" for sentence in findings), end="")
        scaling = None
        if data.minus.shape[-1] >= _FEWEST_UNITS and data.few_units:
            scaling = fisher.information_scaling(*data[:3], key=subset_key)
            session.save("scaling", scaling)
        session.save("estimate", next(iter(estimates.values())))
    table = estimate_table(estimates)
    text = [
        (
            f"{len(data.minus)} and {len(data.plus)} trials of {data.minus.shape[-1]} units, stimuli "
            f"Δθ = {data.separation:g} apart; bias removed."
        ),
        "The difference between direct and shuffled is what noise correlations do. Decoders are lower bounds.",
        f"Read: {'; '.join(data.notes)}." if data.notes else "",
        f"What the data say about the assumptions: {'; '.join(findings)}." if findings else "",
        f"Intervals hold: {'; '.join(f'{name}: {e.interval_of}' for name, e in estimates.items())}.",
    ]
    growth = (
        "" if scaling is None else " Right: the mean over random subsets of units, and the limit that it approaches."
    )
    caption = f"Every method's estimate of the same information.{growth}"
    picture = Picture("estimates.png", caption, save_estimates, estimates, scaling)
    return Outcome(
        title="Fisher information of your responses",
        sections=[section("Linear Fisher information", text, table, picture)],
        results=_results(data, estimates, scaling) | {"diagnosis": findings},
        arrays={f"interval_{index}": estimate.interval for index, estimate in enumerate(estimates.values())},
        table=table,
        sentences=_told(table),
    )


def _results(data: _Responses, estimates: Estimates, scaling: Any) -> dict[str, Any]:
    results: dict[str, Any] = {"units": data.minus.shape[-1], "trials": [len(data.minus), len(data.plus)]}
    if scaling is not None:
        results |= {"information_per_unit": scaling.information_per_unit, "limiting_noise": scaling.limiting_noise}
        results |= {"limiting_noise_error": scaling.limiting_noise_error, "information_limit": scaling.limit}
        results["information_limit_error"] = scaling.limit_error
    best = jnp.maximum(next(iter(estimates.values())).value, 0)
    results |= {"separation": data.separation, "sensitivity_index": fisher.sensitivity_index(best, data.separation)}
    return results | {"estimates": {name: estimate.value for name, estimate in estimates.items()}}


def _load_responses(command: Estimate) -> _Responses:
    """Responses to two conditions, and their separation."""
    with reading("--responses", *command.responses, translated=lambda message: _as_options(message, command)):
        loaded = datasets.read_responses(
            *command.responses,
            conditions=command.conditions or None,
            separation=command.separation or None,
            period=command.period,
            header=command.header,
            separator=command.separator,
            decimal=command.decimal,
        )
    if loaded.separation is None:
        known = next((f" ({note})" for note in loaded.notes if note.startswith("the conditions differ")), "")
        raise UsageError(f"--separation must be given: the total stimulus difference between the conditions{known}")
    notes = tuple(_as_options(note, command) for note in loaded.notes)
    return _Responses(loaded.minus, loaded.plus, float(loaded.separation), notes)  # pyright: ignore[reportArgumentType]


def _as_options(message: str, command: Estimate) -> str:
    """A message of the library with its arguments written as options, a pair of conditions too."""
    pair = re.sub(r"\bconditions=\(([^()]*)\)", lambda match: f"--conditions {match[1].replace(', ', ' ')}", message)
    return in_options(pair, command)


def _estimates(command: Estimate, data: _Responses, key: jax.Array) -> Estimates:
    """Every estimator that the data allow; the first is the one that is saved."""
    minus, plus, separation, _ = data
    units, trials, robust = minus.shape[-1], len(minus) + len(plus), command.robust
    estimates: Estimates = {}
    if units < trials - 3:
        estimates["direct"] = fisher.direct(minus, plus, separation, robust=robust, blocks=command.blocks)
        if min(len(minus), len(plus)) >= 20 and data.few_units:
            estimates["direct, jackknife"] = fisher.jackknife(minus, plus, separation, robust=robust)
    else:
        estimates["direct, shrinkage 0.5 (biased)"] = fisher.direct(minus, plus, separation, shrinkage=0.5)
    estimates["shuffled (correlations removed)"] = fisher.shuffled(minus, plus, separation, robust=robust)
    decoder = functools.partial(fisher.decoder, minus, plus, separation, key=key, robust=robust)
    if units < trials // 2 - 4:
        estimates["held-out decoder"] = decoder()
    return estimates | {"early-stopped decoder": decoder(method="early-stopped")}


def _findings(command: Estimate, estimates: Estimates) -> list[str]:
    """What the diagnoses say, each sentence once, with the options of the command."""
    told = dict.fromkeys(part for e in estimates.values() if e.diagnosis for part in e.diagnosis.findings)
    ways_out = (("use fisher.jackknife", "see the jackknife's line"), ("use fisher.direct with", "use"))
    return [
        in_options(functools.reduce(lambda text, way: text.replace(*way), ways_out, sentence), command)
        for sentence in told
    ]
