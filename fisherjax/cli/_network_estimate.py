"""Fisher information of the responses of one given network, at its last step."""

import functools
from typing import Any

import jax

from fisherjax import fisher, networks, simulate
from fisherjax.plot._pages import save_estimates
from fisherjax.report import Figure, Section, Table

from ._arguments import Estimate
from ._load_network import described, load_question
from ._network_curves import check_trials, one_parameter
from ._session import Session
from ._shared import ESTIMATE_HEADER, estimate_rows, write_report


def estimate_network(command: Estimate, session: Session) -> None:
    """Sample responses and their derivatives in the stimulus, estimate, write."""
    question = load_question(command)
    check_trials(command.trials, question.size)
    settings = dict(question.settings)
    stimulus = settings.pop("stimulus")
    with session.stage("estimating"):
        found = fisher.estimate(
            # the network is an argument of what is compiled, not a constant of it
            jax.tree_util.Partial(functools.partial(_respond, settings), question.network),
            stimulus,
            key=jax.random.key(command.seed),
            num_trials=command.trials,
            method="pathwise",
        )
        found.save(session.folder / "estimate.npz")
    shown = {name: one_parameter(found, index) for index, name in enumerate(question.parameters)} or {"pathwise": found}
    with session.stage("drawing"):
        figure = save_estimates(session.folder / "estimates.png", shown)
    rows = estimate_rows(shown)
    session.write_table(ESTIMATE_HEADER, rows)
    facts = {"network": repr(question.network), "noise_std": question.network.noise_std, "trials": command.trials}
    facts |= {"read": question.size, "value": found.value, "standard_error": found.standard_error}
    session.write_results(facts)
    session.write_arrays(value=found.value, standard_error=found.standard_error, interval=found.interval)
    session.write_manifest()
    text = [
        f"{described(question)}",
        (
            f"{command.trials} responses of {question.size} numbers after {command.steps} steps, with their exact "
            "derivatives at the same noise; bias removed."
        ),
        f"The interval holds {found.interval_of}.",
    ]
    section = Section("Linear Fisher information", text, [Table(ESTIMATE_HEADER, rows), Figure(figure, "Estimates.")])
    write_report(session, "Fisher information of a network's responses", [section])
    for row in rows:
        print(f"{row[0]:<34} {row[1]:10.4g} ± {row[2]:.3g}")


def _respond(settings: dict[str, Any], network: networks.Network, stimulus: Any, key: Any) -> jax.Array:
    """What is read at the last step of one trial."""
    return simulate.trajectories(network, stimulus=stimulus, num_trials=1, key=key, **settings)[-1, 0]
