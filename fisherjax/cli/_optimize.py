"""The main job: optimize a structure, predict, simulate, follow images, report."""

import math
from typing import Any, NamedTuple

import jax

from fisherjax import connectivity, datasets, fisher, geometry, meanfield, optimize, simulate
from fisherjax.plot._pages import save_curves, save_history, save_network
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture

from ._arguments import Optimize
from ._geometry import distance_arrays, geometry_section
from ._outcome import Outcome, section
from ._process import stop_if_terminated
from ._session import Session
from ._structure import check_networks, curve_settings, curve_table, dynamics_settings

_FAMILIES = {
    "toeplitz": connectivity.ToeplitzFamily,
    "symmetric-toeplitz": connectivity.SymmetricToeplitzFamily,
    "generalized-toeplitz": connectivity.GeneralizedToeplitzFamily,
    "circulant": connectivity.CirculantFamily,
    "chain": connectivity.FeedforwardChainFamily,
    "free": connectivity.FreeFamily,
    "homogeneous": connectivity.HomogeneousFamily,
}
_OBJECTIVES = {
    "log-fisher": optimize.LogFisher,
    "integrated": optimize.IntegratedMemory,
    "retention": optimize.Retention,
}
_CLOSED_UNITS = 500  # of the networks whose noise correlations are followed: cost grows with their cube

Facts = list[tuple[str, str, object]]


class _Curves(NamedTuple):
    """Fisher information of the optimum and of the homogeneous critical network, in every way it is computed."""

    theory: fisher.FisherCurve
    bare: fisher.FisherCurve
    reference: fisher.FisherCurve
    measured: fisher.FisherCurve
    linear: fisher.FisherCurve
    linear_reference: fisher.FisherCurve

    @property
    def advantage(self) -> float:
        """Information at T relative to that of the homogeneous critical network."""
        return float(self.theory.total[-1] / self.reference.total[-1])

    @property
    def linear_words(self) -> str:
        """The same in the linear form and its standard error over networks, which does not hold the closure's own."""
        ratio = float(self.linear.total[-1] / self.linear_reference.total[-1])
        if not math.isfinite(ratio):
            return "not known (the closure ends before T)"
        curves = (self.linear, self.linear_reference)
        errors = [float(c.standard_error[-1] / c.total[-1]) for c in curves if c.standard_error is not None]
        return f"{ratio:.2f} ± {ratio * math.hypot(*errors):.2f}"


def run_optimize(command: Optimize, session: Session) -> Outcome:
    """Optimize, predict, simulate, follow images."""
    search_key, simulation_key, weight_key, image_key = jax.random.split(jax.random.key(command.seed), 4)
    check_networks(connectivity.homogeneous(1.0, command.populations), command.units, command.draws)
    optimum = _search(command, session, search_key)
    curves = _curves(command, session, optimum.gain_matrix, simulation_key)
    with session.stage("following natural images"):
        distances = _follow_images(command, optimum.gain_matrix, image_key)
    weights = connectivity.sample_weights(optimum.gain_matrix, command.units, key=weight_key)
    facts = _facts(command, optimum, curves)
    return Outcome(
        title="Optimized structured network",
        sections=[
            _what_was_found(command, optimum, curves, facts, weights),
            _information(command, curves),
            section("How the search went", [], Picture("history.png", _HISTORY, save_history, optimum.history)),
            geometry_section(distances, f"{command.images} patches of photographs"),
        ],
        results=_results(optimum, curves, facts),
        arrays={**_arrays(optimum, curves), **distance_arrays(distances)},
        table=curve_table(curves.theory, curves.bare, curves.measured),
        sentences=[
            (
                f"F({command.steps}) = {float(curves.theory.total[-1]):.4g}, {curves.advantage:.2f} × the homogeneous "
                f"network's; noise correlations included, by the closure: {curves.linear_words} ×"
            )
        ],
        interrupted=optimum.interrupted,
    )


def _search(command: Optimize, session: Session, key: jax.Array) -> optimize.Optimum:
    low, high = command.bounds
    family = _FAMILIES[command.structure](num_populations=command.populations, low=low, high=high)
    settings = {"noise_std": command.noise_std, "nonlinearity": command.nonlinearity}
    objective = _OBJECTIVES[command.objective](command.steps, stimulus=command.stimulus, **settings)
    constraints: list[optimize.Constraint] = []
    if command.budget:
        budget = optimize.Budget(command.budget)
        budget.check_feasible(family)
        constraints.append(budget)
    if command.max_radius:
        constraints.append(optimize.WeightRadius(command.max_radius))
    path = session.checkpoint("checkpoint.npz")
    with session.stage("optimizing the gains"):
        optimum = optimize.maximize(
            family,
            objective,
            key=key,
            constraints=tuple(constraints),
            algorithm=command.algorithm,
            population_size=command.population_size,
            num_generations=command.generations,
            num_restarts=command.restarts,
            refine_steps=command.refine_steps,
            checkpoint=path,
            progress=session.progress,
        )
        stop_if_terminated()
        return session.save("optimum", optimum)


def _curves(command: Optimize, session: Session, gains: connectivity.GainMatrix, key: jax.Array) -> _Curves:
    homogeneous, settings = connectivity.homogeneous(1.0, command.populations), curve_settings(command)
    with session.stage("predicting Fisher information"):
        theory, bare = fisher.meanfield_curve(gains, **settings), fisher.operator_curve(gains, **settings)
        reference = fisher.meanfield_curve(homogeneous, **settings)
    with session.stage("simulating networks"):
        sizes: dict[str, Any] = {"num_trials": command.trials, "num_draws": command.draws}
        measured = fisher.ensemble_curve(gains, **settings, **sizes, key=key, progress=session.progress)
    with session.stage("noise correlations"):
        linear, linear_reference = (
            _linear_form(matrix, command, jax.random.fold_in(key, 1)) for matrix in (gains, homogeneous)
        )
    return _Curves(theory, bare, reference, measured, linear, linear_reference)


def _linear_form(matrix: connectivity.GainMatrix, command: Optimize, key: jax.Array) -> fisher.FisherCurve:
    """Information with noise correlations, by the closure of networks drawn from the structure."""
    draws = simulate.draw_networks(
        matrix,
        min(command.units, _CLOSED_UNITS),
        num_draws=max(2, command.draws),
        noise_std=command.noise_std,
        key=key,
        nonlinearity=command.nonlinearity,
        dtype=float,
    )
    return fisher.closure_curve(draws, stimulus=command.stimulus, num_steps=command.steps)


def _follow_images(command: Optimize, gains: connectivity.GainMatrix, key: jax.Array) -> geometry.GeometryComparison:
    """Send natural image patches through networks drawn from the structure."""
    image_key, projection_key, simulation_key = jax.random.split(key, 3)
    images = datasets.natural_patches(command.images, key=image_key, size=16)
    patterns = geometry.initial_patterns(images, gains, command.units, key=projection_key)
    sizes: dict[str, Any] = {"num_trials": 20, "num_draws": min(command.draws, 3)}
    return geometry.compare_geometry(gains, patterns, **dynamics_settings(command), **sizes, key=simulation_key)


def _facts(command: Optimize, optimum: optimize.Optimum, curves: _Curves) -> Facts:
    gains, end = optimum.gain_matrix, f"T = {command.steps}"
    operator = meanfield.diffusion_operator(gains, noise_std=command.noise_std, nonlinearity=command.nonlinearity)
    alignment, horizon = operator.alignment(), operator.memory_horizon(0.1)
    closed = f"linear form, closure, {min(command.units, _CLOSED_UNITS)} units"
    return [
        ("objective", command.objective, float(optimum.value)),
        ("Fisher information at T, optimum", end, float(curves.theory.total[-1])),
        ("Fisher information at T, homogeneous g = 1", end, float(curves.reference.total[-1])),
        ("advantage over the homogeneous network", "ratio", curves.advantage),
        ("advantage with noise correlations", closed, curves.linear_words),
        ("retention F(T)/F(1)", "", float(curves.theory.retention[-1])),
        ("mean synaptic budget", "", float(gains.mean_synaptic_budget)),
        ("spectral radius of the weights", "√ρ(G)", float(alignment.weight_spectral_radius)),
        ("spectral radius of the diffusion operator", "ρ(A)", float(alignment.spectral_radius)),
        ("alignment of the input", "cos(l, u)", float(alignment.input_overlap)),
        ("largest transient gain", "max ‖Aᵗ‖", float(alignment.transient_gain)),
        ("memory horizon, 10 % of F(1)", "steps", "beyond 10000" if horizon is None else horizon),
    ]


def _results(optimum: optimize.Optimum, curves: _Curves, facts: Facts) -> dict[str, object]:
    return {
        "gains": optimum.gain_matrix.gains,
        "fractions": optimum.gain_matrix.fractions,
        "value": optimum.value,
        "feasible": optimum.feasible,
        "interrupted": optimum.interrupted,
        "num_evaluations": optimum.num_evaluations,
        "theory": curves.theory.total,
        "simulated": curves.measured.total,
        "standard_error": curves.measured.standard_error,
        "facts": [{"quantity": name, "note": note, "value": value} for name, note, value in facts],
    }


def _arrays(optimum: optimize.Optimum, curves: _Curves) -> dict[str, object]:
    return {
        "gains": optimum.gain_matrix.gains,
        "theory": curves.theory.by_population,
        "bare": curves.bare.by_population,
        "simulated": curves.measured.by_population,
        "simulated_error": curves.measured.by_population_error,
        "reference": curves.reference.by_population,
        "linear": curves.linear.total,
        "linear_error": curves.linear.standard_error,
        "linear_reference": curves.linear_reference.total,
        "history": optimum.history.value,
    }


_HISTORY = "Best point so far at every step of the search."


def _what_was_found(
    command: Optimize, optimum: optimize.Optimum, curves: _Curves, facts: Facts, weights: jax.Array
) -> Section:
    budget = f" on a mean synaptic budget of {command.budget:g}" if command.budget else ""
    text = [
        (
            f"Of the {command.structure} networks of {command.populations} populations{budget}, this one does best by "
            f"the objective {command.objective}. After {command.steps} steps it keeps {curves.advantage:.2f} times the "
            "Fisher information of the homogeneous critical network g = 1."
        ),
        (
            f"With noise correlations counted (linear form) it keeps {curves.linear_words} times as much as the "
            "homogeneous network by the closure, which is some 8 % too high on networks that amplify strongly; "
            "the ± is over networks and does not hold that."
        ),
        "The search was interrupted; this is the best point it had reached." if optimum.interrupted else "",
    ]
    caption = "Optimized gains, and the eigenvalues of one network drawn from them."
    picture = Picture("network.png", caption, save_network, optimum.gain_matrix, weights)
    return section("What was found", text, Table(("quantity", "", "value"), facts), picture)


def _information(command: Optimize, curves: _Curves) -> Section:
    text = [
        (
            "Theory is exact for large networks and counts units as independent. The bare diffusion operator is its "
            "small-stimulus limit."
        ),
        (
            f"Simulation: {command.draws} networks of {command.units} units, {command.trials} trials each, exact "
            "derivatives in the stimulus, bias removed; errors are over networks."
        ),
    ]
    shown = (curves.theory, curves.bare, curves.measured, curves.reference)
    linear = (curves.linear, curves.linear_reference)
    caption = "Fisher information of every population and in total."
    picture = Picture("fisher.png", caption, save_curves, *shown, linear=linear)
    return section("Fisher information over time", text, picture, curve_table(*shown[:3]))
