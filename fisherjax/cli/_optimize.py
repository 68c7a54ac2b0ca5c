"""The main job: optimize a structure, predict, simulate, follow images, report."""

import dataclasses
from typing import Any

import jax

from fisherjax import connectivity, datasets, fisher, geometry, optimize
from fisherjax._runtime import remove_checkpoint
from fisherjax.plot._pages import save_curves, save_history, save_network, save_optima
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture

from ._arguments import SMOOTH, Optimize
from ._geometry import distance_arrays, geometry_section
from ._optima import Candidate, comparison, panels, what_they_prefer
from ._outcome import Outcome, section
from ._process import stop_if_terminated
from ._session import Session
from ._structure import check_networks, curve_settings, curve_table, dynamics_settings, predicted

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
_MAXIMIZED = {
    "log-fisher": "log information per unit, ln F(T)",
    "integrated": "log information per unit, ln Σ F(t)",
    "retention": "log share that is left, ln F(T)/F(1)",
}
_LINEAR_UNITS = {False: 200, True: 100}  # of the networks in which noise correlations are measured, and if quick
_LINEAR_TRIALS = 3  # for each of their units
_HISTORY = "Left: the objective of the best point so far. Right: what that point is like."


def run_optimize(command: Optimize, session: Session) -> Outcome:
    """Optimize, predict, simulate, follow images."""
    search_key, simulation_key, weight_key, image_key = jax.random.split(jax.random.key(command.seed), 4)
    check_networks(connectivity.homogeneous(1.0, command.populations), command.units, command.draws)
    optimum, *other = _searches(command, session, search_key)
    structures = {"optimum": optimum.gain_matrix}
    if other:
        structures = {
            f"{command.form} optimum": optimum.gain_matrix,
            f"{_other(command)} optimum": other[0].gain_matrix,
        }
    structures["homogeneous network"] = connectivity.homogeneous(1.0, command.populations)
    candidates = _candidates(command, session, structures, simulation_key)
    with session.stage("following natural images"):
        distances = _follow_images(command, optimum.gain_matrix, image_key)
    weights = connectivity.sample_weights(optimum.gain_matrix, command.units, key=weight_key)
    facts = comparison(candidates, command.noise_std, command.nonlinearity)
    best = candidates[0]
    return Outcome(
        title="Optimized structured network",
        sections=[
            _what_was_found(command, optimum, candidates, facts, weights),
            _information(command, candidates),
            section("How the search went", _search_text(command), _history(command, optimum)),
            geometry_section(distances, f"{command.images} patches of photographs"),
        ],
        results=_results(command, optimum, candidates, facts),
        arrays={**_arrays(optimum, candidates), **distance_arrays(distances)},
        table=curve_table(best.theory, best.measured["independent"]),
        sentences=[_printed(command, candidates)],
        interrupted=optimum.interrupted or any(one.interrupted for one in other),
    )


def _other(command: Optimize) -> str:
    return "independent" if command.form == "linear" else "linear"


def _searches(command: Optimize, session: Session, key: jax.Array) -> list[optimize.Optimum]:
    """The optimum asked for, and that of the other form where theory knows both."""
    path = session.checkpoint("checkpoint.npz")
    with session.stage(f"optimizing the gains, {command.form} form"):
        found = [session.save("optimum", _search(command, command.form, session, path, key))]
    if command.nonlinearity in SMOOTH and not found[0].interrupted:
        beside = session.folder / f"checkpoint-{_other(command)}.npz"
        if not command.resume:
            remove_checkpoint(beside)
        with session.stage(f"optimizing the gains, {_other(command)} form"):
            other = _search(command, _other(command), session, beside, key)
            found.append(session.save(f"optimum_{_other(command)}", other))
    return found


def _search(command: Optimize, form: str, session: Session, checkpoint: Any, key: jax.Array) -> optimize.Optimum:
    low, high = command.bounds
    family = _FAMILIES[command.structure](num_populations=command.populations, low=low, high=high)
    settings = {"noise_std": command.noise_std, "nonlinearity": command.nonlinearity, "form": form}
    objective = _OBJECTIVES[command.objective](command.steps, stimulus=command.stimulus, **settings)
    constraints: list[optimize.Constraint] = []
    if command.budget:
        budget = optimize.Budget(command.budget)
        budget.check_feasible(family)
        constraints.append(budget)
    if command.max_radius:
        constraints.append(optimize.WeightRadius(command.max_radius))
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
        checkpoint=checkpoint,
        progress=session.progress,
    )
    stop_if_terminated()
    return optimum


def _candidates(
    command: Optimize, session: Session, structures: dict[str, connectivity.GainMatrix], key: jax.Array
) -> list[Candidate]:
    """Theory in both forms, and simulation: in the linear form of smaller networks, which need fewer trials."""
    settings = curve_settings(command)
    with session.stage("predicting Fisher information"):
        theories = [predicted(gains, settings) for gains in structures.values()]
    few = _few_units(command)
    sizes = {"independent": (command.units, command.trials), "linear": (few, _LINEAR_TRIALS * few)}
    candidates = []
    with session.stage("simulating networks"):
        for (name, gains), theory in zip(structures.items(), theories, strict=True):
            measured: dict[str, fisher.FisherCurve] = {}
            for form in theory.forms:
                units, trials = sizes[form]
                curve = fisher.ensemble_curve(
                    gains,
                    **{**settings, "num_units": units},
                    num_trials=trials,
                    num_draws=command.draws,
                    form=form,
                    key=key,
                    progress=session.progress,
                )
                measured[form] = _per_units(curve, command.units / units)
            candidates.append(Candidate(name, gains, theory, measured))
    return candidates


def _few_units(command: Optimize) -> int:
    """Of the networks in which noise correlations are measured."""
    return max(command.populations, min(command.units, _LINEAR_UNITS[command.quick]))


def _per_units(curve: fisher.FisherCurve, factor: float) -> fisher.FisherCurve:
    """The curve of a network so many times as large, if information grows in proportion."""
    return dataclasses.replace(jax.tree.map(lambda part: factor * part, curve), times=curve.times)


def _follow_images(command: Optimize, gains: connectivity.GainMatrix, key: jax.Array) -> geometry.GeometryComparison:
    """Send natural image patches through networks drawn from the structure."""
    image_key, projection_key, simulation_key = jax.random.split(key, 3)
    images = datasets.natural_patches(command.images, key=image_key, size=16)
    patterns = geometry.initial_patterns(images, gains, command.units, key=projection_key)
    sizes: dict[str, Any] = {"num_trials": 20, "num_draws": min(command.draws, 3)}
    return geometry.compare_geometry(gains, patterns, **dynamics_settings(command), **sizes, key=simulation_key)


def _printed(command: Optimize, candidates: list[Candidate]) -> str:
    best, reference = candidates[0], candidates[-1]
    ratios = [
        f"{best.information(form) / reference.information(form):.2f} × ({form} form)" for form in best.theory.forms
    ]
    value = best.information(best.theory.forms[0])
    return f"F({command.steps}) = {value:.4g}, of the homogeneous network's {' and '.join(ratios)}"


def _results(
    command: Optimize, optimum: optimize.Optimum, candidates: list[Candidate], facts: Table
) -> dict[str, object]:
    best, *others = candidates
    measured = best.measured["independent"]
    return {
        "gains": optimum.gain_matrix.gains,
        "fractions": optimum.gain_matrix.fractions,
        "form": command.form,
        "value": optimum.value,
        "feasible": optimum.feasible,
        "interrupted": optimum.interrupted,
        "num_evaluations": optimum.num_evaluations,
        **best.theory.totals(),
        "simulated": measured.total,
        "standard_error": measured.standard_error,
        "facts": [{"quantity": row[0], "note": row[1], "value": row[2]} for row in facts.rows],
        "compared": {
            one.name: {"gains": one.gains.gains, **{row[0]: row[3 + place] for row in facts.rows}}
            for place, one in enumerate(others)
        },
    }


def _arrays(optimum: optimize.Optimum, candidates: list[Candidate]) -> dict[str, object]:
    best = candidates[0]
    arrays = {
        "gains": optimum.gain_matrix.gains,
        **best.theory.by_population(),
        "simulated": best.measured["independent"].by_population,
        "simulated_error": best.measured["independent"].by_population_error,
        "history": optimum.history.value,
    }
    for one in candidates:
        name = one.name.replace(" ", "_")
        for form in one.theory.forms:
            arrays |= {
                f"{name}_{form}": one.theory.of_form(form).total,
                f"{name}_{form}_simulated": one.measured[form].total,
                f"{name}_{form}_error": one.measured[form].standard_error,
            }
    return arrays


def _search_text(command: Optimize) -> list[str]:
    if command.form == "independent":
        return []
    return [
        (
            "Candidates of the first stage were ranked by a cheaper form, that of a signal too small to change a thing "
            "on its way, which counts the same noise correlations; the second stage climbs the linear form itself."
        )
    ]


def _history(command: Optimize, optimum: optimize.Optimum) -> Picture:
    return Picture("history.png", _HISTORY, save_history, optimum.history, objective=_MAXIMIZED[command.objective])


def _what_was_found(
    command: Optimize, optimum: optimize.Optimum, candidates: list[Candidate], facts: Table, weights: jax.Array
) -> Section:
    best, reference = candidates[0], candidates[-1]
    budget = f" on a mean synaptic budget of {command.budget:g}" if command.budget else ""
    ratio = best.information(command.form) / reference.information(command.form)
    counted = "with noise correlations counted" if command.form == "linear" else "units counted as independent"
    text = [
        (
            f"Of the {command.structure} networks of {command.populations} populations{budget}, this one does best by "
            f"the objective {command.objective} in the {command.form} form, {counted}. After {command.steps} steps it "
            f"keeps {ratio:.2f} times the Fisher information of the homogeneous critical network g = 1."
        ),
        *what_they_prefer(candidates, facts),
        "The search was interrupted; this is the best point it had reached." if optimum.interrupted else "",
    ]
    caption = "Optimized gains, and the eigenvalues of one network drawn from them."
    picture = Picture("network.png", caption, save_network, optimum.gain_matrix, weights)
    return section("What was found", text, facts, picture)


def _information(command: Optimize, candidates: list[Candidate]) -> Section:
    best = candidates[0]
    few = _few_units(command)
    text = [
        (
            "Information is in 1/θ². Theory is exact for large networks: in the independent form, which adds up what "
            "single units tell, and in the linear form, which counts their noise correlations and is what a read-out "
            "can get."
        ),
        (
            f"Simulation: {command.draws} networks of {command.units} units, {command.trials} trials each, exact "
            "derivatives in the stimulus, bias removed; errors are over networks."
        ),
        (
            f"In the linear form networks of {few} units with {_LINEAR_TRIALS * few} trials each, scaled to "
            f"{command.units} units; the form is approached as 1/N, within some percent."
        )
        if len(best.theory.forms) > 1
        else "",
    ]
    optima = Picture("optima.png", "Total information of each structure.", save_optima, panels(candidates))
    caption = "The optimum, by population and in total."
    measured = best.measured["independent"]
    picture = Picture("fisher.png", caption, save_curves, *best.theory, measured)
    return section("Fisher information over time", text, optima, picture, curve_table(best.theory, measured))
