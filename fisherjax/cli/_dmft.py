"""Dynamic mean-field theory in continuous time, beside simulation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from fisherjax import connectivity, dmft, dynamics, networks, simulate
from fisherjax._errors import require
from fisherjax.dynamics._flow import MeasuredExponent
from fisherjax.plot._transition import save_dmft
from fisherjax.report import Table
from fisherjax.report._html import Picture
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation

from ._arguments import Dmft
from ._outcome import Outcome, section, thinned
from ._session import Session
from ._structure import check_networks, load_gain_matrix

_SHOWN = 40.0  # time constants of the trajectories that are drawn
_MEASURED = 5  # gains at which the exponent is measured
_FEWEST = 30  # gains along which the exponent is drawn; as many as a row of the diagram are the same program
_DRAWS = 3  # networks for each of them
# where the variance that a network gives itself, g² E[φ(x)²], is the variance of x
_MOST_GAIN = {"identity": 1.0, "relu": np.sqrt(2), "threshold-linear": np.sqrt(2)}
_MEANING = {
    "silent": "The network is silent: without noise and below the transition all activity dies out.",
    "fixed": "The network rests at a fixed point at which units differ.",
    "driven": "The network is driven by noise and stable.",
    "expanding": "The network is driven by noise; its Jacobian expands at every moment, and yet it is not chaotic.",
    "chaotic": "The network is chaotic.",
}
_CAPTION = (
    "Above: units of one network below the transition and of this network. Middle: autocorrelation; exponents. Below: "
    "memory over gain and noise, with the line beyond which there is chaos (solid) and beyond which the Jacobian "
    "expands at every moment (dashed); eigenvalues of the weights of this network. The gain is √ρ(G)."
)


class _Structure(NamedTuple):
    """What the command names: gains, √ρ(G), φ and noise, and how many times the gains chaos begins, if it does."""

    matrix: connectivity.GainMatrix
    radius: float
    physics: dict[str, Any]
    critical: float

    def scaled(self, factor: float) -> connectivity.GainMatrix:
        """The same structure at other gains."""
        return connectivity.GainMatrix(self.matrix.gains * factor, self.matrix.fractions)


def run_dmft(command: Dmft, session: Session) -> Outcome:
    """Theory in float64, simulation in float32."""
    structure = _structure(command)
    correlation_key, exponent_key, picture_key = jax.random.split(jax.random.key(command.seed), 3)
    # before there is a folder: some networks have no stationary state
    theory = dmft.autocorrelation(structure.matrix, **structure.physics, lags=np.linspace(0, command.max_lag, 201))
    measured = _simulated(command, session, structure, theory, correlation_key)
    factor = structure.critical if np.isfinite(structure.critical) else 1.0
    factors = np.linspace(0.2, 1.6 * max(1.0, factor), max(command.grid, _FEWEST))
    along, diagram = _diagrams(command, session, structure, factors)
    with session.stage("measuring exponents"):
        exponents = _measured_exponents(command, structure, factors, exponent_key)
        below, _ = _trajectory(command, structure, 0.7 * factor, picture_key)
        here, weights = _trajectory(command, structure, 1.0, picture_key)
    gains, table = structure.radius * factors, _table(theory, measured)
    exponent = along.lyapunov_exponent[0]
    picture = Picture(
        "dmft.png", _CAPTION, save_dmft, theory=theory, measured=measured, trajectories=[below, here],
        exponents=(gains, exponent, along.local_growth[0], exponents), diagram=diagram,
        mark=(structure.radius, command.noise_std), weights=weights, matrix=structure.matrix,
    )  # fmt: skip
    results = _results(structure, theory, table.rows)
    results["measured_exponents"] = {str(gain): [m.value, m.standard_error] for gain, m in exponents.items()}
    text = _text(command, results)
    arrays = {"lags": theory.lags, "theory": theory.values, "measured_lags": measured.lags}
    return Outcome(
        title="Dynamic mean-field theory",
        sections=[section("Transition to chaos", text, picture, _shown(table))],
        results=results,
        arrays={**arrays, "measured": measured.values, "gains": gains, "lyapunov_exponent": exponent},
        table=table,
        sentences=text,
    )


def _simulated(
    command: Dmft, session: Session, structure: _Structure, theory: dmft.Autocorrelation, key: jax.Array
) -> MeasuredAutocorrelation:
    with session.stage("simulating the autocorrelation"):
        session.save("theory", theory)
        measured = simulate.measure_autocorrelation(
            structure.matrix,
            **structure.physics,
            num_units=command.units,
            num_draws=command.draws,
            key=key,
            max_lag=command.max_lag,
            duration=command.duration,
            progress=session.progress,
        )
        return session.save("simulated", measured)


def _diagrams(
    command: Dmft, session: Session, structure: _Structure, factors: np.ndarray
) -> tuple[dmft.PhaseDiagram, dmft.PhaseDiagram]:
    """States along the gains at the noise of the command, and over both, with √ρ(G) for the gain."""
    fixed: dict[str, Any] = {"nonlinearity": command.nonlinearity, "gain_matrix": structure.matrix}
    with session.stage("mapping the regimes"):
        along = dmft.phase_diagram(factors, [command.noise_std], **fixed)
        gains = np.linspace(0.05, factors[-1], command.grid)
        noise_stds = np.linspace(0, max(1.0, 1.5 * command.noise_std), command.grid)
        diagram = dmft.phase_diagram(gains, noise_stds, **fixed, progress=session.progress)
        session.save("phase_diagram", diagram)
    return along, dataclasses.replace(diagram, gains=structure.radius * diagram.gains)


def _structure(command: Dmft) -> _Structure:
    """The structure, if it has a stationary state at its gains."""
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
    return _Structure(matrix, radius, physics, float(dmft.critical_gain(**physics, gain_matrix=matrix)))


def _measured_exponents(
    command: Dmft, structure: _Structure, factors: np.ndarray, key: jax.Array
) -> dict[float, MeasuredExponent]:
    """Measured exponents over the same range of gains."""
    places = np.linspace(factors[0], factors[-1], _MEASURED)
    return {
        structure.radius * place: dynamics.measure_lyapunov_exponent(
            structure.scaled(place),
            **structure.physics,
            num_units=command.units,
            num_draws=min(command.draws, _DRAWS),
            key=gain_key,
            duration=40.0,
            settle=20.0,
        )
        for place, gain_key in zip(places, jax.random.split(key, _MEASURED), strict=True)
    }


def _trajectory(
    command: Dmft, structure: _Structure, factor: float, key: jax.Array
) -> tuple[tuple[str, np.ndarray, Any], Any]:
    """One trajectory of one network, its gains scaled by `factor`, and its weights."""
    weight_key, state_key, noise_key = jax.random.split(key, 3)
    (network,) = simulate.draw_networks(
        structure.scaled(factor),
        command.units,
        **structure.physics,
        num_draws=1,
        key=weight_key,
        kind=networks.FlowNetwork,
    )
    times = np.arange(0, _SHOWN, 0.1)
    start = jax.random.normal(state_key, (command.units,))
    states = simulate.continuous_trajectories(network, times=times, initial_state=start, key=noise_key)
    title = f"gain {factor * structure.radius:.3g}, noise σ = {command.noise_std:g}"
    return (title, times, states[:, 0]), network.weights


def _table(theory: dmft.Autocorrelation, measured: MeasuredAutocorrelation) -> Table:
    """One row per lag and population; theory between the lags that it was computed at."""
    lags, columns = np.asarray(theory.lags), np.asarray(theory.values).T
    predicted = np.stack([np.interp(measured.lags, lags, column) for column in columns], axis=1)
    rows = [
        [float(lag), population, *map(float, cells)]
        for lag, *row in zip(measured.lags, predicted, measured.values, measured.standard_error, strict=True)
        for population, cells in enumerate(zip(*row, strict=True))
    ]
    return Table(("lag", "population", "theory", "simulation", "standard error"), rows)


def _shown(table: Table) -> Table:
    """Some rows, and which population one is of only where there are several."""
    short = thinned(table, 40)
    if len({row[1] for row in table.rows}) > 1:
        return short
    return Table([table.header[0], *table.header[2:]], [[row[0], *row[2:]] for row in short.rows])


def _results(structure: _Structure, theory: dmft.Autocorrelation, rows: Any) -> dict[str, Any]:
    """Numbers of the theory, and how far the simulation is from it."""
    local = float(dmft.local_stability_gain(**structure.physics, gain_matrix=structure.matrix))
    variance = np.atleast_1d(np.asarray(theory.variance))
    away = [abs(here - there) / variance[p] for _, p, here, there, _ in rows if variance[p] > 0]
    return {
        "regime": theory.regime,
        "variance": theory.variance,
        "lyapunov_exponent": float(theory.lyapunov_exponent),
        "local_growth": float(theory.local_growth),
        "memory": float(theory.memory),
        "relaxation_time": float(theory.relaxation_time),
        "largest_difference_over_variance": float(np.max(away)) if away else None,
        "spectral_radius": structure.radius,
        "critical_factor": structure.critical if np.isfinite(structure.critical) else None,
        "local_stability_factor": local if np.isfinite(local) else None,
    }


def _text(command: Dmft, results: dict[str, Any]) -> list[str]:
    variance = ", ".join(f"{value:.6g}" for value in np.atleast_1d(np.asarray(results["variance"])))
    exponent, memory = results["lyapunov_exponent"], results["memory"]
    decay = 1 / max(2 * (1 - memory**0.5), 1e-12)
    weak = "" if command.noise_std > 0 else " under weak noise"
    begins = "This nonlinearity never becomes chaotic: its activity grows without bound first."
    if results["critical_factor"] is not None:
        begins = (
            f"Chaos begins at {results['critical_factor']:.6g} times these gains, local expansion at "
            f"{results['local_stability_factor']:.6g} times."
        )
    compared = ""
    if results["regime"] not in {"silent", "fixed"}:
        compared = (
            f"{command.draws} networks of {command.units} units differ from the theory by at most "
            f"{100 * results['largest_difference_over_variance']:.1f} % of the variance."
        )
    return [
        (
            f"{_MEANING[results['regime']]} Variance Δ(0) = {variance}; largest exponent λ = {exponent:.6g} per time "
            "constant."
        ),
        begins,
        (
            f"Memory ρ(M) = {memory:.4g}: information about a pulse decays as exp(−t/{decay:.3g}){weak}; correlations "
            f"relax in {results['relaxation_time']:.3g} time constants."
        ),
        compared,
    ]
