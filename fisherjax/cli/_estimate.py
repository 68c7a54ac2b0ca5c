"""Fisher information from samples: of a user's responses, of a network, or of one trained to read orientations."""

import warnings
from typing import Any, cast

import jax
import jax.numpy as jnp

from fisherjax import fisher
from fisherjax.plot._pages import save_estimates
from fisherjax.report import Figure, Section, Table

from ._arguments import Estimate
from ._messages import in_options
from ._network_estimate import estimate_network
from ._orientation import run_orientation_study
from ._responses import load_responses
from ._session import Session
from ._shared import ESTIMATE_HEADER, estimate_rows, say_where, write_report

_FEWEST_UNITS = 16  # for a look at how information grows with units


def run_estimate(command: Estimate, session: Session) -> None:
    """Estimate from files or of a network if there are any, else run the orientation study."""
    if command.network is not None:
        estimate_network(command, session)
    else:
        (_from_files if command.responses else run_orientation_study)(command, session)
    say_where(session)


def _from_files(command: Estimate, session: Session) -> None:
    minus, plus, known, notes = load_responses(command)
    separation = float(cast("float", known))  # `load_responses` asks for it
    print("\n".join(notes))
    key, subset_key = jax.random.split(jax.random.key(command.seed))
    with session.stage("estimating"):
        units, trials = minus.shape[-1], len(minus) + len(plus)
        with warnings.catch_warnings():
            # said once for all estimators, in the words of the command
            warnings.simplefilter("ignore", fisher.AssumptionWarning)
            found = _estimates(command, minus, plus, separation, key)
        findings = _findings(command, found)
        print("".join(f"note: {sentence}\n" for sentence in findings), end="")
        scaling = None
        if units >= _FEWEST_UNITS and units < 0.9 * trials - 5:
            scaling = fisher.information_scaling(minus, plus, separation, key=subset_key)
    with session.stage("drawing"):
        figure = save_estimates(session.folder / "estimates.png", found, scaling)
    rows = estimate_rows(found)
    session.write_table(ESTIMATE_HEADER, rows)
    facts: dict[str, Any] = {"units": units, "trials": [len(minus), len(plus)], "separation": separation}
    if scaling is not None:
        scaling.save(session.folder / "scaling.npz")
        facts |= {"information_per_unit": scaling.information_per_unit, "limiting_noise": scaling.limiting_noise}
        facts |= {"limiting_noise_error": scaling.limiting_noise_error, "information_limit": scaling.limit}
        facts |= {"information_limit_error": scaling.limit_error}
    best = next(iter(found.values()))
    best.save(session.folder / "estimate.npz")
    facts["diagnosis"] = findings
    facts["sensitivity_index"] = fisher.sensitivity_index(jnp.maximum(best.value, 0), separation)
    session.write_results(facts | {"estimates": {name: one.value for name, one in found.items()}})
    session.write_arrays(**{f"interval_{index}": one.interval for index, one in enumerate(found.values())})
    session.write_manifest()
    text = [
        f"{len(minus)} and {len(plus)} trials of {units} units, stimuli Δθ = {separation:g} apart; bias removed.",
        "The difference between direct and shuffled is what noise correlations do. Decoders are lower bounds.",
        f"Read: {'; '.join(notes)}." if notes else "",
        f"What the data say about the assumptions: {'; '.join(findings)}." if findings else "",
        f"Intervals hold: {'; '.join(f'{name}: {one.interval_of}' for name, one in found.items())}.",
    ]
    section = Section("Linear Fisher information", text, [Table(ESTIMATE_HEADER, rows), Figure(figure, "Estimates.")])
    write_report(session, "Fisher information of your responses", [section])
    for row in rows:
        print(f"{row[0]:<34} {row[1]:10.4g} ± {row[2]:.3g}")


def _estimates(
    command: Estimate, minus: Any, plus: Any, separation: Any, key: jax.Array
) -> dict[str, fisher.FisherEstimate]:
    """Every estimator that the data allow; the first is the one that is saved."""
    units, trials, robust = minus.shape[-1], len(minus) + len(plus), command.robust
    found: dict[str, fisher.FisherEstimate] = {}
    if units < trials - 3:
        found["direct"] = fisher.direct(minus, plus, separation, robust=robust, blocks=command.blocks)
        if min(len(minus), len(plus)) >= 20 and units < 0.9 * trials - 5:
            found["direct, jackknife"] = fisher.jackknife(minus, plus, separation, robust=robust)
    else:
        found["direct, shrinkage 0.5 (biased)"] = fisher.direct(minus, plus, separation, shrinkage=0.5)
    found["shuffled (correlations removed)"] = fisher.shuffled(minus, plus, separation, robust=robust)
    if units < trials // 2 - 4:
        found["held-out decoder"] = fisher.decoder(minus, plus, separation, key=key, robust=robust)
    found["early-stopped decoder"] = fisher.decoder(
        minus, plus, separation, key=key, method="early-stopped", robust=robust
    )
    return found


def _findings(command: Estimate, found: dict[str, fisher.FisherEstimate]) -> list[str]:
    """What the diagnoses say, each sentence once, with the options of the command."""
    sentences = dict.fromkeys(part for one in found.values() if one.diagnosis for part in one.diagnosis.findings)
    ways_out = {"use fisher.jackknife": "see the jackknife's line", "use fisher.direct with": "use"}
    told = []
    for sentence in sentences:
        for call, way_out in ways_out.items():
            sentence = sentence.replace(call, way_out)  # noqa: PLW2901
        told.append(in_options(sentence, command))
    return told
