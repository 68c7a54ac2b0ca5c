"""The commands: parse → call → write. No science here."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from fisherjax import connectivity, datasets, fisher, geometry, meanfield, optimize, plot
from fisherjax.report import Figure, Section, Table, html_report

from ._arguments import Curve, Geometry, Network, Optimize, Simulate
from ._load import load_constraints, load_family, load_gain_matrix, load_objective
from ._session import Session

_CURVE_HEADER = ("time", "theory", "bare operator", "simulation", "standard error", "simulation / theory")


def run_optimize(command: Optimize, session: Session) -> None:
    """The main job: optimise, predict, simulate, follow images, report."""
    search_key, simulation_key, weight_key, image_key = jax.random.split(jax.random.key(command.seed), 4)
    family, objective, constraints = load_family(command), load_objective(command), load_constraints(command)
    with session.stage("optimising the gains"):
        optimum = optimize.maximize(
            family,
            objective,
            key=search_key,
            constraints=constraints,
            algorithm=command.algorithm,
            population_size=command.population_size,
            num_generations=command.generations,
            num_restarts=command.restarts,
            refine_steps=command.refine_steps,
            progress=session.progress,
        )
        optimum.save(session.folder / "optimum.npz")
    gains = optimum.gain_matrix
    settings = _settings(command)
    with session.stage("predicting Fisher information"):
        theory = fisher.meanfield_curve(gains, **settings)
        bare = fisher.operator_curve(gains, **settings)
        reference_matrix = connectivity.homogeneous(1.0, command.populations)
        reference = fisher.meanfield_curve(reference_matrix, **settings)
        operator = meanfield.diffusion_operator(gains, noise_std=command.noise_std, nonlinearity=command.nonlinearity)
        alignment = operator.alignment()
    with session.stage("simulating networks"):
        measured = fisher.ensemble_curve(
            gains,
            **_settings(command),
            num_trials=command.trials,
            num_draws=command.draws,
            key=simulation_key,
            progress=session.progress,
        )
    with session.stage("following natural images"):
        distances = _follow_images(gains, command, size=16, trials=20, draws=min(command.draws, 3), key=image_key)
    with session.stage("drawing"):
        weights = connectivity.sample_weights(gains, command.units, key=weight_key)
        network_figure = plot.save_network(session.folder / "network.png", gains, weights)
        curve_figure = plot.save_curves(session.folder / "fisher.png", theory, bare, measured, reference)
        history_figure = plot.save_history(session.folder / "history.png", optimum.history)
        geometry_figure = plot.save_geometry(session.folder / "geometry.png", distances)
    advantage = float(theory.total[-1] / reference.total[-1])
    rows = _curve_rows(theory, bare, measured)
    horizon = operator.memory_horizon(0.1)
    facts = [
        ("objective", command.objective, float(optimum.value)),
        ("Fisher information at T, optimum", f"T = {command.steps}", float(theory.total[-1])),
        ("Fisher information at T, homogeneous g = 1", f"T = {command.steps}", float(reference.total[-1])),
        ("advantage over the homogeneous network", "ratio", advantage),
        ("retention F(T)/F(1)", "", float(theory.retention[-1])),
        ("mean synaptic budget", "", float(gains.mean_synaptic_budget)),
        ("spectral radius of the weights", "√ρ(G)", float(alignment.weight_spectral_radius)),
        ("spectral radius of the diffusion operator", "ρ(A)", float(alignment.spectral_radius)),
        ("alignment of the input", "cos(l, u)", float(alignment.input_overlap)),
        ("largest transient gain", "max ‖Aᵗ‖", float(alignment.transient_gain)),
        ("memory horizon, 10 % of F(1)", "steps", "beyond 10000" if horizon is None else horizon),
    ]
    session.write_table(_CURVE_HEADER, rows)
    session.write_results(
        {
            "gains": gains.gains,
            "fractions": gains.fractions,
            "value": optimum.value,
            "feasible": optimum.feasible,
            "interrupted": optimum.interrupted,
            "num_evaluations": optimum.num_evaluations,
            "facts": [{"quantity": name, "note": note, "value": value} for name, note, value in facts],
        }
    )
    session.write_arrays(
        gains=gains.gains,
        theory=theory.by_population,
        bare=bare.by_population,
        simulated=measured.by_population,
        simulated_error=measured.by_population_error,
        reference=reference.by_population,
        history=optimum.history.value,
        **_named(distances),
    )
    session.write_manifest()
    interrupted = ["The search was interrupted; this is the best point it had reached."] * optimum.interrupted
    sections = [
        Section(
            "What was found",
            [
                _finding(command, advantage),
                *interrupted,
            ],
            [
                Table(("quantity", "", "value"), facts),
                Figure(network_figure, "Optimised gains, and the eigenvalues of one network drawn from them."),
            ],
        ),
        Section(
            "Fisher information over time",
            [
                (
                    "Theory is exact for large networks and counts units as independent. The bare diffusion operator "
                    "is its small-stimulus limit."
                ),
                (
                    f"Simulation: {command.draws} networks of {command.units} units, {command.trials} trials each, "
                    "exact derivatives in the stimulus, bias removed; errors are over networks."
                ),
            ],
            [
                Figure(curve_figure, "Fisher information of every population and in total."),
                Table(_CURVE_HEADER, rows),
            ],
        ),
        Section(
            "How the search went",
            [],
            [Figure(history_figure, "Best point so far at every step of the search.")],
        ),
        _geometry_section(geometry_figure, _geometry_table(distances), command.images),
    ]
    _report(session, "Optimised structured network", sections)
    print(f"F({command.steps}) = {float(theory.total[-1]):.4g}, {advantage:.2f} × the homogeneous network's")
    _finish(session)


def _finding(command: Optimize, advantage: float) -> str:
    budget = f" on a mean synaptic budget of {command.budget:g}" if command.budget else ""
    return (
        f"Of the {command.structure} networks of {command.populations} populations{budget}, this one does best by the "
        f"objective {command.objective}. After {command.steps} steps it keeps {advantage:.2f} times the Fisher "
        "information of the homogeneous critical network g = 1."
    )


def run_curve(command: Curve, session: Session) -> None:
    """Theory only."""
    _curve_command(command, session, None)


def run_simulate(command: Simulate, session: Session) -> None:
    """Theory and simulation."""
    gains = load_gain_matrix(command)
    with session.stage("simulating networks"):
        measured = fisher.ensemble_curve(
            gains,
            **_settings(command),
            num_trials=command.trials,
            num_draws=command.draws,
            key=jax.random.key(command.seed),
            form=command.form,
            progress=session.progress,
        )
        measured.save(session.folder / "simulated.npz")
    _curve_command(command, session, measured)


def run_geometry(command: Geometry, session: Session) -> None:
    """Distances between images through time."""
    gains = load_gain_matrix(command)
    with session.stage("following natural images"):
        key = jax.random.key(command.seed)
        distances = _follow_images(
            gains, command, size=command.size, trials=command.trials, draws=command.draws, key=key
        )
    with session.stage("drawing"):
        figure = plot.save_geometry(session.folder / "geometry.png", distances)
    table = _geometry_table(distances)
    session.write_table(table.header, table.rows)
    session.write_results({"gains": gains.gains, "fractions": gains.fractions})
    session.write_arrays(**_named(distances))
    session.write_manifest()
    _report(session, "Geometry of natural images", [_geometry_section(figure, table, command.images)])
    _finish(session)


def _settings(command: Optimize | Network) -> dict[str, Any]:
    """Arguments that the predicted and the simulated curve share."""
    return {
        "stimulus": command.stimulus,
        "noise_std": command.noise_std,
        "num_steps": command.steps,
        "num_units": command.units,
        "nonlinearity": command.nonlinearity,
    }


def _follow_images(
    gains: connectivity.GainMatrix, command: Optimize | Geometry, *, size: int, trials: int, draws: int, key: jax.Array
) -> geometry.GeometryComparison:
    image_key, projection_key, simulation_key = jax.random.split(key, 3)
    images = datasets.natural_patches(command.images, key=image_key, size=size)
    return geometry.compare_geometry(
        gains,
        geometry.initial_patterns(images, gains, command.units, key=projection_key),
        noise_std=command.noise_std,
        num_steps=command.steps,
        num_trials=trials,
        num_draws=draws,
        key=simulation_key,
        nonlinearity=command.nonlinearity,
    )


def _curve_command(command: Network, session: Session, measured: fisher.FisherCurve | None) -> None:
    gains = load_gain_matrix(command)
    settings = _settings(command)
    with session.stage("predicting Fisher information"):
        theory = fisher.meanfield_curve(gains, **settings)
        bare = fisher.operator_curve(gains, **settings)
        theory.save(session.folder / "theory.npz")
    with session.stage("drawing"):
        figure = plot.save_curves(session.folder / "fisher.png", theory, bare, measured)
    rows = _curve_rows(theory, bare, measured)
    session.write_table(_CURVE_HEADER, rows)
    session.write_results({"gains": gains.gains, "fractions": gains.fractions, "theory": theory.total})
    session.write_arrays(theory=theory.by_population, bare=bare.by_population)
    session.write_manifest()
    form = "" if measured is None else f" The simulation is in the {measured.form} form."
    text = f"Theory is exact for large networks and counts units as independent.{form}"
    items = [
        Figure(figure, "Fisher information of every population and in total."),
        Table(_CURVE_HEADER, rows),
    ]
    _report(session, "Fisher information over time", [Section("Fisher information", [text], items)])
    for row in [_CURVE_HEADER, *rows]:
        print("  ".join(f"{cell:>14.5g}" if isinstance(cell, float) else f"{cell:>14}" for cell in row))
    _finish(session)


def _curve_rows(
    theory: fisher.FisherCurve, bare: fisher.FisherCurve, measured: fisher.FisherCurve | None
) -> list[list[object]]:
    rows: list[list[object]] = []
    for index in range(len(theory.times)):
        row: list[object] = [int(theory.times[index]), float(theory.total[index]), float(bare.total[index])]
        if measured is None or measured.standard_error is None:
            row += ["", "", ""]
        else:
            value, error = float(measured.total[index]), float(measured.standard_error[index])
            row += [value, error, value / float(theory.total[index])]
        rows.append(row)
    return rows


def _geometry_table(distances: geometry.GeometryComparison) -> Table:
    simulated = geometry.distance_correlation(distances.original, distances.simulated)
    predicted = geometry.distance_correlation(distances.original, distances.predicted)
    stress = [geometry.shepard(distances.original, step).stress for step in distances.simulated]
    header = (
        "time",
        "Pearson, theory",
        "Pearson, simulation",
        "Spearman, simulation",
        "stress-1, simulation",
    )
    columns = (predicted.pearson, simulated.pearson, simulated.spearman, np.asarray(stress))
    rows = [[index + 1, *(float(column[index]) for column in columns)] for index in range(len(stress))]
    return Table(header, rows)


def _geometry_section(figure: Path, table: Table, images: int) -> Section:
    return Section(
        "Geometry of natural images",
        [
            f"{images} patches of photographs, projected on population 0, start the network.",
            (
                "Shepard diagrams compare the distance of every pair before with the distance between the states they "
                "lead to (blue: trial averages in simulation, green: predicted pair by pair)."
            ),
        ],
        [Figure(figure, "Shepard diagrams and correlation of distances over time."), table],
    )


def _named(distances: geometry.GeometryComparison) -> dict[str, np.ndarray]:
    named = {"original": distances.original, "simulated": distances.simulated, "predicted": distances.predicted}
    return {f"distances_{name}": np.asarray(value) for name, value in named.items()}


def _report(session: Session, title: str, sections: list[Section]) -> None:
    subtitle = f"fisherjax {session.name}, seed {session.command.seed}"
    footer = f"{session.device} · " + " · ".join(
        f"{stage}: {seconds:.1f} s" for stage, seconds in session.timings.items()
    )
    session.write("report.html", html_report(title, subtitle, sections, footer))


def _finish(session: Session) -> None:
    print(f"wrote {session.folder / 'report.html'}")
