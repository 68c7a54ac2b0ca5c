"""Dynamic mean-field theory in continuous time, beside simulation."""

from typing import Any

import jax
import numpy as np

from fisherjax import connectivity, dmft, dynamics, networks, simulate
from fisherjax._errors import require
from fisherjax.dynamics._flow import MeasuredExponent
from fisherjax.plot._transition import save_dmft
from fisherjax.report import Figure, Section, Table
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation

from ._arguments import Dmft
from ._load import load_gain_matrix
from ._session import Session
from ._shared import check_networks, say_where, write_report

HEADER = ("lag", "population", "theory", "simulation", "standard error")
_SHOWN = 40.0  # time constants of the trajectories that are drawn
_MEASURED = 5  # gains at which the exponent is measured
_DRAWS = 3  # networks for each of them
# where the variance that a network gives itself, g² E[φ(x)²], is the variance of x
_MOST_GAIN = {"identity": 1.0, "relu": np.sqrt(2), "threshold-linear": np.sqrt(2)}


def run_dmft(command: Dmft, session: Session) -> None:
    """Theory in float64, simulation in float32."""
    matrix = load_gain_matrix(command)
    check_networks(matrix, command.units)
    radius = float(connectivity.spectral_radius(matrix))
    require(radius > 0, "the gains must not all be zero")
    most = _MOST_GAIN.get(command.nonlinearity, np.inf)
    require(
        radius < most,
        f"--nonlinearity {command.nonlinearity}: activity grows without bound unless the gain √ρ(G) is below "
        f"{most:.4g}, here it is {radius:.4g}",
    )
    physics: dict[str, Any] = {"noise_std": command.noise_std, "nonlinearity": command.nonlinearity}
    size: dict[str, Any] = {"num_units": command.units, "num_draws": command.draws}
    correlation_key, exponent_key, picture_key = jax.random.split(jax.random.key(command.seed), 3)
    # before there is a folder: some networks have no stationary state
    theory = dmft.autocorrelation(matrix, **physics, lags=np.linspace(0, command.max_lag, 201))
    with session.stage("solving the theory"):
        factor = float(
            dmft.critical_gain(noise_std=command.noise_std, nonlinearity=command.nonlinearity, gain_matrix=matrix)
        )
        local = float(
            dmft.local_stability_gain(
                noise_std=command.noise_std, nonlinearity=command.nonlinearity, gain_matrix=matrix
            )
        )
        theory.save(session.folder / "theory.npz")
    with session.stage("simulating the autocorrelation"):
        measured = simulate.measure_autocorrelation(
            matrix,
            **physics,
            **size,
            key=correlation_key,
            max_lag=command.max_lag,
            duration=command.duration,
            progress=session.progress,
        )
        measured.save(session.folder / "simulated.npz")
    top = 1.6 * max(1.0, factor if np.isfinite(factor) else 1.0)
    factors = np.linspace(0.2, top, 41)
    with session.stage("measuring exponents"):
        along = dmft.phase_diagram(factors, [command.noise_std], nonlinearity=command.nonlinearity, gain_matrix=matrix)
        exponents = _exponents(command, matrix, factors, exponent_key)
    with session.stage("mapping the regimes"):
        diagram = dmft.phase_diagram(
            np.linspace(0.05, top, command.grid),
            np.linspace(0, max(1.0, 1.5 * command.noise_std), command.grid),
            nonlinearity=command.nonlinearity,
            gain_matrix=matrix,
            progress=session.progress,
        )
        diagram.save(session.folder / "phase_diagram.npz")
    with session.stage("drawing"):
        below, _ = _trajectories(command, matrix, 0.7 * (factor if np.isfinite(factor) else 1.0), picture_key)
        here, weights = _trajectories(command, matrix, 1.0, picture_key)
        figure = save_dmft(
            session.folder / "dmft.png",
            theory=theory,
            measured=measured,
            trajectories=[below, here],
            exponents=(radius * factors, along.lyapunov_exponent[0], along.local_growth[0], exponents),
            diagram=_in_gains(diagram, radius),
            mark=(radius, command.noise_std),
            weights=weights,
            matrix=matrix,
        )
    facts = {
        **_facts(theory, measured),
        "spectral_radius": radius,
        "critical_factor": factor if np.isfinite(factor) else None,
        "local_stability_factor": local if np.isfinite(local) else None,
        "measured_exponents": {str(g): [m.value, m.standard_error] for g, m in exponents.items()},
    }
    rows = _rows(theory, measured)
    session.write_table(HEADER, rows)
    session.write_results(facts)
    session.write_arrays(
        lags=theory.lags, theory=theory.values, measured_lags=measured.lags, measured=measured.values,
        gains=radius * factors, lyapunov_exponent=along.lyapunov_exponent[0],
    )  # fmt: skip
    session.write_manifest()
    text = _text(command, theory, facts)
    caption = (
        "Above: units of one network below the transition and of this network; autocorrelation. Below: exponents; "
        "memory over gain and noise, with the line beyond which there is chaos (solid) and beyond which the Jacobian "
        "expands at every moment (dashed); eigenvalues of the weights of this network. The gain is √ρ(G)."
    )
    items = [Figure(figure, caption), Table(HEADER, rows[:: max(1, len(rows) // 40)])]
    write_report(session, "Dynamic mean-field theory", [Section("Transition to chaos", text, items)])
    for line in text:
        print(line)
    say_where(session)


def _facts(theory: dmft.Autocorrelation, measured: MeasuredAutocorrelation) -> dict[str, Any]:
    """Numbers of the theory, and how far the simulation is from it."""
    spread = np.abs(measured.values - _at(theory, measured.lags)).max(axis=0)
    variance = np.asarray(theory.variance)
    active = variance > 0
    worst = float(np.max(spread[active] / variance[active])) if np.any(active) else None
    return {
        "regime": theory.regime,
        "variance": theory.variance,
        "lyapunov_exponent": float(theory.lyapunov_exponent),
        "local_growth": float(theory.local_growth),
        "memory": float(theory.memory),
        "relaxation_time": float(theory.relaxation_time),
        "largest_difference_over_variance": worst,
    }


def _exponents(
    command: Dmft, matrix: connectivity.GainMatrix, factors: np.ndarray, key: jax.Array
) -> dict[float, MeasuredExponent]:
    """Measured exponents over the same range of gains."""
    radius = float(connectivity.spectral_radius(matrix))
    found = {}
    for place, gain_key in zip(
        np.linspace(factors[0], factors[-1], _MEASURED), jax.random.split(key, _MEASURED), strict=True
    ):
        found[radius * place] = dynamics.measure_lyapunov_exponent(
            connectivity.GainMatrix(matrix.gains * place, matrix.fractions),
            num_units=command.units,
            num_draws=min(command.draws, _DRAWS),
            key=gain_key,
            duration=40.0,
            settle=20.0,
            noise_std=command.noise_std,
            nonlinearity=command.nonlinearity,
        )
    return found


def _trajectories(
    command: Dmft, matrix: connectivity.GainMatrix, factor: float, key: jax.Array
) -> tuple[tuple[str, np.ndarray, Any], Any]:
    """One trajectory of one network, its gains scaled by `factor`, and its weights."""
    weight_key, state_key, noise_key = jax.random.split(key, 3)
    scaled = connectivity.GainMatrix(matrix.gains * factor, matrix.fractions)
    (network,) = simulate.draw_networks(
        scaled,
        command.units,
        num_draws=1,
        noise_std=command.noise_std,
        nonlinearity=command.nonlinearity,
        key=weight_key,
        kind=networks.FlowNetwork,
    )
    times = np.arange(0, _SHOWN, 0.1)
    states = simulate.continuous_trajectories(
        network, times=times, initial_state=jax.random.normal(state_key, (command.units,)), key=noise_key
    )
    gain = factor * float(connectivity.spectral_radius(matrix))
    return (f"gain {gain:.3g}, noise σ = {command.noise_std:g}", times, states[:, 0]), network.weights


def _in_gains(diagram: dmft.PhaseDiagram, radius: float) -> dmft.PhaseDiagram:
    """The same diagram with √ρ(G) for its columns instead of factors."""
    parts = {name: getattr(diagram, name) for name in diagram.__dataclass_fields__}
    return dmft.PhaseDiagram(**{**parts, "gains": radius * diagram.gains})


def _at(theory: dmft.Autocorrelation, lags: np.ndarray) -> np.ndarray:
    columns = np.asarray(theory.values).T
    return np.stack([np.interp(lags, np.asarray(theory.lags), column) for column in columns], axis=1)


def _rows(theory: dmft.Autocorrelation, measured: MeasuredAutocorrelation) -> list[list[object]]:
    predicted = _at(theory, measured.lags)
    return [
        [
            float(lag),
            population,
            float(predicted[index, population]),
            float(measured.values[index, population]),
            float(measured.standard_error[index, population]),
        ]
        for index, lag in enumerate(measured.lags)
        for population in range(predicted.shape[1])
    ]


def _text(command: Dmft, theory: dmft.Autocorrelation, facts: dict[str, Any]) -> list[str]:
    meaning = {
        "silent": "The network is silent: without noise and below the transition all activity dies out.",
        "fixed": "The network rests at a fixed point at which units differ.",
        "driven": "The network is driven by noise and stable.",
        "expanding": "The network is driven by noise; its Jacobian expands at every moment, and yet it is not chaotic.",
        "chaotic": "The network is chaotic.",
    }[theory.regime]
    variance = ", ".join(f"{value:.6g}" for value in np.atleast_1d(np.asarray(theory.variance)))
    exponent, memory = facts["lyapunov_exponent"], facts["memory"]
    decay = 1 / max(2 * (1 - memory**0.5), 1e-12)
    weak = "" if command.noise_std > 0 else " under weak noise"
    lines = [
        f"{meaning} Variance Δ(0) = {variance}; largest exponent λ = {exponent:.6g} per time constant.",
        (
            "This nonlinearity never becomes chaotic: its activity grows without bound first."
            if facts["critical_factor"] is None
            else f"Chaos begins at {facts['critical_factor']:.6g} times these gains, local expansion at "
            f"{facts['local_stability_factor']:.6g} times."
        ),
        (
            f"Memory ρ(M) = {memory:.4g}: information about a pulse decays as exp(−t/{decay:.3g}){weak}; "
            f"correlations relax in {facts['relaxation_time']:.3g} time constants."
        ),
    ]
    if theory.regime not in {"silent", "fixed"}:
        lines.append(
            f"{command.draws} networks of {command.units} units differ from the theory by at most "
            f"{100 * facts['largest_difference_over_variance']:.1f} % of the variance."
        )
    return lines
