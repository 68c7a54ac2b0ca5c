"""The main job: optimize a structure, predict, simulate, follow images, report."""

import math
from pathlib import Path
from typing import NamedTuple

import jax

from fisherjax import connectivity, fisher, geometry, meanfield, optimize, simulate
from fisherjax.plot._geometry import save_geometry
from fisherjax.plot._pages import save_curves, save_history, save_network
from fisherjax.report import Figure, Section, Table

from ._arguments import Optimize
from ._load import load_constraints, load_family, load_objective
from ._session import Session
from ._shared import (
    CURVE_HEADER,
    check_networks,
    curve_rows,
    curve_settings,
    follow_images,
    geometry_section,
    geometry_table,
    named_arrays,
    say_where,
    write_report,
)
from ._terminate import stop_if_terminated

_CLOSED_UNITS = 500  # of the networks whose noise correlations are followed: cost grows with their cube


class _Found(NamedTuple):
    """Everything the job computes."""

    optimum: optimize.Optimum
    theory: fisher.FisherCurve
    bare: fisher.FisherCurve
    reference: fisher.FisherCurve
    operator: meanfield.DiffusionOperator
    measured: fisher.FisherCurve
    linear: fisher.FisherCurve
    linear_reference: fisher.FisherCurve
    distances: geometry.GeometryComparison

    @property
    def advantage(self) -> float:
        """Information at T relative to that of the homogeneous critical network."""
        return float(self.theory.total[-1] / self.reference.total[-1])

    @property
    def linear_advantage(self) -> tuple[float, float]:
        """The same in the linear form, noise correlations included, and its standard error over networks."""
        ratio = float(self.linear.total[-1] / self.linear_reference.total[-1])
        curves = (self.linear, self.linear_reference)
        errors = [float(c.standard_error[-1] / c.total[-1]) for c in curves if c.standard_error is not None]
        return ratio, ratio * math.hypot(*errors)

    @property
    def linear_words(self) -> str:
        """That ratio in words: of the closure, whose own error is not in the standard error."""
        ratio, error = self.linear_advantage
        return f"{ratio:.2f} ± {error:.2f}" if math.isfinite(ratio) else "not known (the closure ends before T)"


def run_optimize(command: Optimize, session: Session) -> None:
    """Optimize, predict, simulate, follow images, write."""
    search_key, simulation_key, weight_key, image_key = jax.random.split(jax.random.key(command.seed), 4)
    correlation_key = jax.random.fold_in(simulation_key, 1)
    check_networks(connectivity.homogeneous(1.0, command.populations), command.units, command.draws)
    optimum = _search(command, session, search_key)
    found = _examine(command, session, optimum, simulation_key, correlation_key, image_key)
    with session.stage("drawing"):
        weights = connectivity.sample_weights(optimum.gain_matrix, command.units, key=weight_key)
        figures = _draw(session.folder, found, weights)
    facts = _facts(command, found)
    _write(session, found, facts)
    write_report(session, "Optimized structured network", _sections(command, found, facts, figures))
    print(
        f"F({command.steps}) = {float(found.theory.total[-1]):.4g}, {found.advantage:.2f} × the homogeneous network's; "
        f"noise correlations included, by the closure: {found.linear_words} ×"
    )
    if optimum.interrupted:
        session.say_how_to_go_on()
    say_where(session)


def _search(command: Optimize, session: Session, key: jax.Array) -> optimize.Optimum:
    family, objective, constraints = load_family(command), load_objective(command), load_constraints(command)
    for constraint in constraints:
        if isinstance(constraint, optimize.Budget):
            constraint.check_feasible(family)
    path = session.checkpoint("checkpoint.npz")
    with session.stage("optimizing the gains"):
        optimum = optimize.maximize(
            family,
            objective,
            key=key,
            constraints=constraints,
            algorithm=command.algorithm,
            population_size=command.population_size,
            num_generations=command.generations,
            num_restarts=command.restarts,
            refine_steps=command.refine_steps,
            checkpoint=path,
            progress=session.progress,
        )
        stop_if_terminated()
        optimum.save(session.folder / "optimum.npz")
    return optimum


def _examine(
    command: Optimize,
    session: Session,
    optimum: optimize.Optimum,
    simulation_key: jax.Array,
    correlation_key: jax.Array,
    image_key: jax.Array,
) -> _Found:
    gains, settings = optimum.gain_matrix, curve_settings(command)
    with session.stage("predicting Fisher information"):
        theory = fisher.meanfield_curve(gains, **settings)
        bare = fisher.operator_curve(gains, **settings)
        reference = fisher.meanfield_curve(connectivity.homogeneous(1.0, command.populations), **settings)
        operator = meanfield.diffusion_operator(gains, noise_std=command.noise_std, nonlinearity=command.nonlinearity)
    with session.stage("simulating networks"):
        measured = fisher.ensemble_curve(
            gains,
            **settings,
            num_trials=command.trials,
            num_draws=command.draws,
            key=simulation_key,
            progress=session.progress,
        )
    with session.stage("noise correlations"):
        linear, linear_reference = (
            _linear_form(matrix, command, correlation_key)
            for matrix in (gains, connectivity.homogeneous(1.0, command.populations))
        )
    with session.stage("following natural images"):
        distances = follow_images(gains, command, size=16, trials=20, draws=min(command.draws, 3), key=image_key)
    return _Found(optimum, theory, bare, reference, operator, measured, linear, linear_reference, distances)


def _linear_form(matrix: connectivity.GainMatrix, command: Optimize, key: jax.Array) -> fisher.FisherCurve:
    """Information with noise correlations, by the closure of networks drawn from the structure."""
    units, count = _closed_units(command), max(2, command.draws)
    draws = simulate.draw_networks(
        matrix,
        units,
        num_draws=count,
        noise_std=command.noise_std,
        key=key,
        nonlinearity=command.nonlinearity,
        dtype=float,
    )
    return fisher.closure_curve(draws, stimulus=command.stimulus, num_steps=command.steps)


def _closed_units(command: Optimize) -> int:
    return min(command.units, _CLOSED_UNITS)


def _draw(folder: Path, found: _Found, weights: jax.Array) -> dict[str, Path]:
    return {
        "network": save_network(folder / "network.png", found.optimum.gain_matrix, weights),
        "curve": save_curves(
            folder / "fisher.png",
            found.theory,
            found.bare,
            found.measured,
            found.reference,
            linear=(found.linear, found.linear_reference),
        ),
        "history": save_history(folder / "history.png", found.optimum.history),
        "geometry": save_geometry(folder / "geometry.png", found.distances),
    }


def _facts(command: Optimize, found: _Found) -> list[tuple[str, str, object]]:
    theory, alignment = found.theory, found.operator.alignment()
    horizon = found.operator.memory_horizon(0.1)
    return [
        ("objective", command.objective, float(found.optimum.value)),
        ("Fisher information at T, optimum", f"T = {command.steps}", float(theory.total[-1])),
        ("Fisher information at T, homogeneous g = 1", f"T = {command.steps}", float(found.reference.total[-1])),
        ("advantage over the homogeneous network", "ratio", found.advantage),
        (
            "advantage with noise correlations",
            f"linear form, closure, {_closed_units(command)} units",
            found.linear_words,
        ),
        ("retention F(T)/F(1)", "", float(theory.retention[-1])),
        ("mean synaptic budget", "", float(found.optimum.gain_matrix.mean_synaptic_budget)),
        ("spectral radius of the weights", "√ρ(G)", float(alignment.weight_spectral_radius)),
        ("spectral radius of the diffusion operator", "ρ(A)", float(alignment.spectral_radius)),
        ("alignment of the input", "cos(l, u)", float(alignment.input_overlap)),
        ("largest transient gain", "max ‖Aᵗ‖", float(alignment.transient_gain)),
        ("memory horizon, 10 % of F(1)", "steps", "beyond 10000" if horizon is None else horizon),
    ]


def _write(session: Session, found: _Found, facts: list[tuple[str, str, object]]) -> None:
    optimum, gains = found.optimum, found.optimum.gain_matrix
    session.write_table(CURVE_HEADER, curve_rows(found.theory, found.bare, found.measured))
    session.write_results(
        {
            "gains": gains.gains,
            "fractions": gains.fractions,
            "value": optimum.value,
            "feasible": optimum.feasible,
            "interrupted": optimum.interrupted,
            "num_evaluations": optimum.num_evaluations,
            "theory": found.theory.total,
            "simulated": found.measured.total,
            "standard_error": found.measured.standard_error,
            "facts": [{"quantity": name, "note": note, "value": value} for name, note, value in facts],
        }
    )
    session.write_arrays(
        gains=gains.gains,
        theory=found.theory.by_population,
        bare=found.bare.by_population,
        simulated=found.measured.by_population,
        simulated_error=found.measured.by_population_error,
        reference=found.reference.by_population,
        linear=found.linear.total,
        linear_error=found.linear.standard_error,
        linear_reference=found.linear_reference.total,
        history=optimum.history.value,
        **named_arrays(found.distances),
    )
    session.write_manifest()


def _sections(
    command: Optimize, found: _Found, facts: list[tuple[str, str, object]], figures: dict[str, Path]
) -> list[Section]:
    interrupted = ["The search was interrupted; this is the best point it had reached."] * found.optimum.interrupted
    return [
        Section(
            "What was found",
            [
                _finding(command, found.advantage),
                (
                    f"With noise correlations counted (linear form) it keeps {found.linear_words} times as much as the "
                    "homogeneous network by the closure, which is some 8 % too high on networks that amplify strongly; "
                    "the ± is over networks and does not hold that."
                ),
                *interrupted,
            ],
            [
                Table(("quantity", "", "value"), facts),
                Figure(figures["network"], "Optimized gains, and the eigenvalues of one network drawn from them."),
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
                Figure(figures["curve"], "Fisher information of every population and in total."),
                Table(CURVE_HEADER, curve_rows(found.theory, found.bare, found.measured)),
            ],
        ),
        Section(
            "How the search went",
            [],
            [Figure(figures["history"], "Best point so far at every step of the search.")],
        ),
        geometry_section(
            figures["geometry"],
            geometry_table(found.distances.measured, found.distances.theory),
            f"{command.images} patches of photographs",
        ),
    ]


def _finding(command: Optimize, advantage: float) -> str:
    budget = f" on a mean synaptic budget of {command.budget:g}" if command.budget else ""
    return (
        f"Of the {command.structure} networks of {command.populations} populations{budget}, this one does best by the "
        f"objective {command.objective}. After {command.steps} steps it keeps {advantage:.2f} times the Fisher "
        "information of the homogeneous critical network g = 1."
    )
