"""The commands that look at one structure, or at one given network: parse → call → write. No science here."""

import jax

from fisherjax import fisher
from fisherjax.plot._pages import save_curves
from fisherjax.report import Figure, Section, Table

from ._arguments import Curve, Simulate, Structured
from ._convnet import run_convnet_train
from ._convnet_analyze import run_convnet_analyze
from ._convnet_run import run_convnet_run
from ._dmft import run_dmft
from ._estimate import run_estimate
from ._fixed_points import run_fixed_points
from ._geometry import run_geometry
from ._load import load_gain_matrix
from ._network_curves import predict_network, simulate_network
from ._optimize import run_optimize
from ._session import Session
from ._shared import CURVE_HEADER, check_networks, curve_rows, curve_settings, say_where, write_report
from ._train import run_train

__all__ = [
    "run_convnet_analyze",
    "run_convnet_run",
    "run_convnet_train",
    "run_curve",
    "run_dmft",
    "run_estimate",
    "run_fixed_points",
    "run_geometry",
    "run_optimize",
    "run_simulate",
    "run_train",
]


def run_curve(command: Curve, session: Session) -> None:
    """Theory only."""
    if command.network is not None:
        predict_network(command, session)
        return
    _curve_command(command, session, None)


def run_simulate(command: Simulate, session: Session) -> None:
    """Theory and simulation."""
    if command.network is not None:
        simulate_network(command, session)
        return
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
        measured.save(session.folder / "simulated.npz")
    _curve_command(command, session, measured)


def _curve_command(command: Structured, session: Session, measured: fisher.FisherCurve | None) -> None:
    gains = load_gain_matrix(command)
    settings = curve_settings(command)
    with session.stage("predicting Fisher information"):
        theory = fisher.meanfield_curve(gains, **settings)
        bare = fisher.operator_curve(gains, **settings)
        theory.save(session.folder / "theory.npz")
    with session.stage("drawing"):
        figure = save_curves(session.folder / "fisher.png", theory, bare, measured)
    rows = curve_rows(theory, bare, measured)
    session.write_table(CURVE_HEADER, rows)
    results = {"gains": gains.gains, "fractions": gains.fractions, "theory": theory.total}
    if measured is not None:
        results |= {"simulated": measured.total, "standard_error": measured.standard_error}
    session.write_results(results)
    session.write_arrays(theory=theory.by_population, bare=bare.by_population)
    session.write_manifest()
    form = "" if measured is None else f" The simulation is in the {measured.form} form."
    text = f"Theory is exact for large networks and counts units as independent.{form}"
    items = [
        Figure(figure, "Fisher information of every population and in total."),
        Table(CURVE_HEADER, rows),
    ]
    write_report(session, "Fisher information over time", [Section("Fisher information", [text], items)])
    for row in [CURVE_HEADER, *rows]:
        print("  ".join(f"{cell:>14.5g}" if isinstance(cell, float) else f"{cell:>14}" for cell in row))
    say_where(session)
