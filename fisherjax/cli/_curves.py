"""Fisher information through time, predicted and simulated: of a structure, or of one given network."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import fisher, networks
from fisherjax.fisher._closure import CLOSED
from fisherjax.plot._pages import save_curves, save_network_curves
from fisherjax.report import Table
from fisherjax.report._html import Picture

from ._arguments import Curve, Entered, Simulate
from ._network import Question, check_trials, load_question
from ._outcome import Outcome, printed, section
from ._session import Session
from ._stream import run_stream
from ._structure import check_networks, curve_settings, curve_table, load_gain_matrix, predicted

_FILES = {"small noise": "theory", "closure": "closure", "simulation": "simulated"}
_FORMS = {
    "linear": "with noise correlations (linear form)",
    "independent": "of single units added up (independent form)",
}

Curves = dict[str, fisher.FisherCurve]


def run_curve(command: Curve, session: Session) -> Outcome:
    """Theory only."""
    if command.protocol == "stream":
        return run_stream(command, session)
    if command.network is None:
        return _of_structure(command, session, None)
    question = load_question(command)
    return _of_network(session, question, _predictions(session, question, "linear"))


def run_simulate(command: Simulate, session: Session) -> Outcome:
    """Theory and simulation."""
    if command.network is not None:
        return _simulate_network(command, session)
    gains = load_gain_matrix(command)
    check_networks(gains, command.units, command.draws)
    with session.stage("simulating networks"):
        measured = fisher.ensemble_curve(
            gains,
            **curve_settings(command),
            num_trials=command.trials,
            num_draws=command.draws,
            key=jax.random.key(command.seed),
            form=command.form,
            progress=session.progress,
        )
        session.save("simulated", measured)
    return _of_structure(command, session, measured)


def _of_structure(command: Entered, session: Session, measured: fisher.FisherCurve | None) -> Outcome:
    gains, settings = load_gain_matrix(command), curve_settings(command)
    with session.stage("predicting Fisher information"):
        theory = predicted(gains, settings)
        session.save("theory", theory.independent)
        if theory.linear is not None:
            session.save("linear", theory.linear)
    table = curve_table(theory, measured)
    results = {"gains": gains.gains, "fractions": gains.fractions, **theory.totals()}
    if measured is not None:
        results |= {"simulated": measured.total, "standard_error": measured.standard_error, "form": measured.form}
    text = [
        "Information is in 1/θ². Theory is exact for large networks.",
        "The independent form adds up what single units tell.",
        "The linear form counts their noise correlations, and is what a read-out can get; it is approached as 1/N."
        if theory.linear is not None
        else "The linear form, with noise correlations, is known for nonlinearities without a kink.",
        "" if measured is None else f"The simulation is in the {measured.form} form.",
        _told_read_out(command),
    ]
    several = " by population, and" if len(gains.gains) > 1 else ""
    caption = f"Fisher information{several} in total."
    picture = Picture("fisher.png", caption, save_curves, *theory, measured)
    return Outcome(
        title="Fisher information over time",
        sections=[section("Fisher information", text, picture, table)],
        results=results,
        arrays=theory.by_population(),
        table=table,
        sentences=printed(table),
    )


def _told_read_out(command: Entered) -> str:
    shares, noise = command.observed, command.observation_noise_std
    of_units = f"of the units of each population a share of {', '.join(f'{share:g}' for share in shares)}"
    with_noise = f"with noise of standard deviation {noise:g}" if noise else ""
    parts = [part for part in (of_units if shares else "", with_noise) if part]
    return f"Read is {' '.join(parts)}." if parts else ""


def _simulate_network(command: Simulate, session: Session) -> Outcome:
    question = load_question(command)
    check_trials(command.trials, question.size, linear=command.form == "linear")
    with session.stage("simulating the network"):
        measured = fisher.simulated_curve(
            networks.in_precision(question.network, jnp.float32),
            **question.settings,
            num_trials=command.trials,
            key=jax.random.key(command.seed),
            form=command.form,
            progress=session.progress,
        )
    return _of_network(session, question, {**_predictions(session, question, command.form), "simulation": measured})


def _predictions(session: Session, question: Question, form: str) -> Curves:
    with session.stage("predicting Fisher information"):
        curves = {"small noise": fisher.linearized_curve(question.network, **question.settings, form=form)}
        if isinstance(question.network, CLOSED):
            curves["closure"] = fisher.closure_curve(question.network, **question.settings, form=form)
    return curves


def _of_network(session: Session, question: Question, curves: Curves) -> Outcome:
    for name, curve in curves.items():
        session.save(_FILES[name], curve)
    parts = {name: question.by_parameter(curve) for name, curve in curves.items()}
    panels = {about: {name: part[about] for name, part in parts.items()} for about in question.parameters}
    panels = panels or {"": curves}
    table, theory = _table(panels), curves["small noise"]
    results: dict[str, Any] = {"network": repr(question.network), "noise_std": question.network.noise_std}
    results |= {"form": theory.form, **{_FILES[name]: curve.total for name, curve in curves.items()}}
    if "simulation" in curves:
        results["standard_error"] = curves["simulation"].standard_error
    caption = "Lines: theory; points: simulation with one standard error, where there is one."
    picture = Picture("fisher.png", caption, save_network_curves, panels)
    return Outcome(
        title="Fisher information of a network over time",
        sections=[section("Fisher information", _sentences(question, curves), picture, table)],
        results=results,
        arrays={"times": theory.times, **{_FILES[name]: curve.by_population for name, curve in curves.items()}},
        table=table,
        sentences=printed(table),
    )


def _sentences(question: Question, curves: Curves) -> list[str]:
    return [
        f"{question}",
        f"Information is {_FORMS[curves['small noise'].form]}, in 1/θ².",
        "Small noise: fluctuations linearized around the noiseless trajectory, in the limit of weak noise.",
        "Closure: its moments closed as a Gaussian's; it ends where it leaves out more than a tenth."
        if "closure" in curves
        else "",
        "Information about each input is that while the others are known; arrays.npz holds the matrices."
        if question.parameters
        else "",
    ]


def _table(panels: dict[str, Curves]) -> Table:
    """One row per time and parameter; a value that there is not is empty."""
    first = next(iter(panels.values()))
    about = ("about",) if len(panels) > 1 else ()
    beside = ("standard error", "simulation / small noise") if "simulation" in first else ()
    rows: list[list[object]] = []
    for parameter, curves in panels.items():
        columns = [np.asarray(curve.total, float) for curve in curves.values()]
        if "simulation" in curves:
            columns.append(np.asarray(curves["simulation"].standard_error, float))
            columns.append(np.asarray(curves["simulation"].total, float) / columns[0])
        for time, values in zip(first["small noise"].times.tolist(), zip(*columns, strict=True), strict=True):
            cells = [float(value) if np.isfinite(value) else "" for value in values]
            rows.append([int(time) if time == round(time) else round(time, 9), *(parameter for _ in about), *cells])
    return Table(("time", *about, *first, *beside), rows)
