"""Fisher information through time of one given network: predicted, and measured in simulation."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import fisher, networks
from fisherjax.plot._pages import save_network_curves
from fisherjax.report import Figure, Section, Table

from ._arguments import Curve, Simulate
from ._checks import enough_trials
from ._limits import UsageError
from ._load_network import Question, described, load_question
from ._session import Session
from ._shared import say_where, write_report

_CLOSED = (networks.RateNetwork, networks.RNN, networks.FlowNetwork)  # what closure_curve takes
_FILES = {"small noise": "theory", "closure": "closure", "simulation": "simulated"}

Curves = dict[str, fisher.FisherCurve]


def predict_network(command: Curve, session: Session) -> None:
    """Theory only."""
    question = load_question(command)
    _write(session, question, _predictions(session, question, "linear"))


def simulate_network(command: Simulate, session: Session) -> None:
    """Theory and simulation."""
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
    _write(session, question, {**_predictions(session, question, command.form), "simulation": measured})


def check_trials(trials: int, size: int, *, linear: bool = True) -> None:
    """Refuse too few trials for the numbers that are read.

    Raises
    ------
    UsageError
        That names the option.
    """
    if linear and not enough_trials(trials, size):
        raise UsageError(
            f"--trials must be more than the {size} numbers that are read by a ninth for their correlations, "
            f"got {trials}"
        )


def one_parameter(found: Any, index: int) -> Any:
    """Information about one parameter of the stimulus while the others are known, out of that about all."""
    names = [field.name for field in dataclasses.fields(found) if np.ndim(getattr(found, field.name)) >= 2]
    # of the fields with a stimulus axis, matrices are last
    return dataclasses.replace(found, **{name: getattr(found, name)[..., index, index] for name in names})


def _predictions(session: Session, question: Question, form: str) -> Curves:
    with session.stage("predicting Fisher information"):
        found = {"small noise": fisher.linearized_curve(question.network, **question.settings, form=form)}
        if isinstance(question.network, _CLOSED):
            found["closure"] = fisher.closure_curve(question.network, **question.settings, form=form)
    return found


def _write(session: Session, question: Question, curves: Curves) -> None:
    for name, curve in curves.items():
        curve.save(session.folder / f"{_FILES[name]}.npz")
    asked = question.parameters
    panels = {
        parameter: {name: one_parameter(curve, index) for name, curve in curves.items()}
        for index, parameter in enumerate(asked)
    } or {"": curves}
    with session.stage("drawing"):
        figure = save_network_curves(session.folder / "fisher.png", panels)
    header, rows = _table(panels)
    session.write_table(header, rows)
    theory = curves["small noise"]
    facts: dict[str, Any] = {"network": repr(question.network), "noise_std": question.network.noise_std}
    facts |= {"form": theory.form, **{_FILES[name]: curve.total for name, curve in curves.items()}}
    if "simulation" in curves:
        facts["standard_error"] = curves["simulation"].standard_error
    session.write_results(facts)
    session.write_arrays(times=theory.times, **{_FILES[name]: curve.by_population for name, curve in curves.items()})
    session.write_manifest()
    sections = [
        Section("Fisher information", _sentences(question, curves), [Figure(figure, _CAPTION), Table(header, rows)])
    ]
    write_report(session, "Fisher information of a network over time", sections)
    for row in [header, *rows]:
        print("  ".join(f"{cell:>14.5g}" if isinstance(cell, float) else f"{cell:>14}" for cell in row))
    say_where(session)


_CAPTION = "Lines: theory; points: simulation with one standard error, where there is one."
_FORMS = {
    "linear": "with noise correlations (linear form)",
    "independent": "of single units added up (independent form)",
}


def _sentences(question: Question, curves: Curves) -> list[str]:
    told = [described(question), f"Information is {_FORMS[curves['small noise'].form]}."]
    told.append("Small noise: fluctuations linearized around the noiseless trajectory, in the limit of weak noise.")
    if "closure" in curves:
        told.append("Closure: its moments closed as a Gaussian's; it ends where it leaves out more than a tenth.")
    if question.parameters:
        told.append("Information about each input is that while the others are known; arrays.npz holds the matrices.")
    return told


def _table(panels: dict[str, Curves]) -> tuple[tuple[str, ...], list[list[object]]]:
    """One row per time and parameter; a value that there is not is empty."""
    first = next(iter(panels.values()))
    about = ("about",) if len(panels) > 1 else ()
    header = (
        "time",
        *about,
        *first,
        *(("standard error", "simulation / small noise") if "simulation" in first else ()),
    )
    rows: list[list[object]] = []
    for parameter, curves in panels.items():
        columns = [np.asarray(curve.total, float) for curve in curves.values()]
        if "simulation" in curves:
            columns.append(np.asarray(curves["simulation"].standard_error, float))
            columns.append(np.asarray(curves["simulation"].total, float) / columns[0])
        for time, values in zip(first["small noise"].times.tolist(), zip(*columns, strict=True), strict=True):
            cells = [float(value) if np.isfinite(value) else "" for value in values]
            rows.append([int(time) if time == round(time) else round(time, 9), *(parameter for _ in about), *cells])
    return header, rows
