"""Pictures of the transition to chaos: trajectories, autocorrelation, exponent, phase diagram."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from fisherjax._arrays import host_real
from fisherjax._errors import check_integer
from fisherjax._theory import REGIMES
from fisherjax.connectivity import GainMatrix
from fisherjax.dmft import Autocorrelation, PhaseDiagram
from fisherjax.dynamics._flow import MeasuredExponent
from fisherjax.simulate._autocorrelation import MeasuredAutocorrelation

from ._checks import checked, drawable
from ._figures import weight_spectrum
from ._style import COLORS, PAGE_WIDTH, axes_or_new, legend_below, page, population_color

_MOST_POINTS = 21


def unit_trajectories(times: Any, states: Any, ax: Axes | None = None, *, num_units: int = 6) -> Axes:
    """States x_i(t) of the first units of one trajectory (T, N)."""
    places = host_real("times", times, "times")
    states = host_real("states", states, f"{len(places)} units", finite=False)
    num_units = check_integer("num_units", num_units, minimum=1)
    ax = axes_or_new(ax)
    for index in range(min(num_units, states.shape[1])):
        ax.plot(places, drawable(ax, states[:, index]), color=population_color(index), linewidth=1)
    ax.set(xlabel="time (time constants)", ylabel="state of a unit")
    return ax


@checked
def autocorrelation(
    theory: Autocorrelation | None, measured: MeasuredAutocorrelation | None = None, ax: Axes | None = None
) -> Axes:
    """Δ(τ): theory as a line, simulation as points with one standard error over networks, hollow if it is one."""
    ax = axes_or_new(ax)
    if theory is not None:
        columns = np.asarray(theory.values).reshape(len(theory.lags), -1).T
        for index, column in enumerate(columns):
            name = "theory" if len(columns) == 1 else f"theory, population {index}"
            ax.plot(np.asarray(theory.lags), drawable(ax, column), color=population_color(index), label=name)
    if measured is not None:
        every = max(1, len(measured.lags) // _MOST_POINTS)
        columns = measured.values.reshape(len(measured.lags), -1).T[:, ::every]
        errors = measured.standard_error.reshape(len(measured.lags), -1).T[:, ::every]
        for index, (column, error) in enumerate(zip(columns, errors, strict=True)):
            count = len(measured.by_draw)
            name = f"simulation, {count} network{'s' * (count > 1)}" if index == 0 else None
            look: Any = {"markersize": 3.5, "color": population_color(index), "label": name}
            if np.any(error > 0):
                ax.errorbar(measured.lags[::every], column, error, fmt="o", capsize=2, **look)
            else:  # of one network the error is not known
                ax.plot(measured.lags[::every], column, "o", markerfacecolor="none", **look)
    ax.set(ylim=(min(0.0, ax.get_ylim()[0]), None), xlabel="lag τ (time constants)", ylabel="autocorrelation Δ(τ)")
    legend_below(ax)
    return ax


@checked
def lyapunov_exponents(
    gains: Any,
    exponents: Any,
    local_growth: Any = None,
    measured: dict[float, MeasuredExponent] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """λ against the gain: theory as a line, simulation as points; the growth of the Jacobian at one moment dashed."""
    places = host_real("gains", gains, "gains")
    axes = f"{len(places)}"
    values = host_real("exponents", exponents, axes, finite=False)
    if local_growth is not None:
        local_growth = host_real("local_growth", local_growth, axes, finite=False)
    ax = axes_or_new(ax)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.plot(places, drawable(ax, values), color=COLORS[0], label="largest exponent λ, theory")
    if local_growth is not None:
        ax.plot(places, drawable(ax, local_growth), "--", color="0.5", label="edge of the Jacobian's spectrum")
    if measured:
        ax.errorbar(
            list(measured), [m.value for m in measured.values()], [m.standard_error for m in measured.values()],
            fmt="o", markersize=4, capsize=2, color=COLORS[0], label="λ, simulation",
        )  # fmt: skip
    ax.set(xlabel="gain", ylabel="growth rate (1/time constant)")
    legend_below(ax)
    return ax


@checked
def phase_diagram(diagram: PhaseDiagram, ax: Axes | None = None, *, mark: tuple[float, float] | None = None) -> Axes:
    """Memory ρ(M) as a color over gain and noise, with the lines of chaos and of local expansion; `mark` a point."""
    ax = axes_or_new(ax)
    gains, noise = np.asarray(diagram.gains), np.asarray(diagram.noise_stds)
    image = ax.pcolormesh(gains, noise, np.asarray(diagram.memory), cmap="cividis", vmin=0, vmax=1, shading="nearest")
    ax.figure.colorbar(image, ax=ax, label="memory ρ(M)")
    exponent, local = np.asarray(diagram.lyapunov_exponent), np.asarray(diagram.local_growth)
    boundaries: list[tuple[np.ndarray, str, str]] = [(exponent, "-", "chaos to the right")]
    if not np.allclose(exponent, local, equal_nan=True):  # in discrete time they are one
        boundaries.append((local, "--", "expands locally to the right"))
    # a dark rim: the same line is seen on dark and bright colors, and on the white of the legend
    rim = [Stroke(linewidth=3.2, foreground="black"), Normal()]
    for field, kind, name in boundaries:
        if np.nanmin(field) < 0 < np.nanmax(field):
            look: Any = {"linewidth": 1.6, "linestyle": kind, "path_effects": rim}
            ax.contour(gains, noise, field, levels=[0.0], colors="white", linestyles=kind, linewidths=1.6).set(
                path_effects=rim
            )
            ax.plot([], [], color="white", label=name, **look)
    if mark is not None:
        ax.plot(
            *mark, "*", color=COLORS[1], markersize=13, markeredgecolor="white", clip_on=False, label="this network"
        )
    present = sorted({int(k) for k in np.unique(np.asarray(diagram.regime)) if k >= 0})
    title = f"regimes: {', '.join(REGIMES[k] for k in present)}"
    ax.set(title=title, xlabel="gain", ylabel="noise σ")
    legend_below(ax)
    return ax


@checked
def save_dmft(
    path: Path,
    *,
    theory: Autocorrelation,
    measured: MeasuredAutocorrelation,
    trajectories: list[tuple[str, Any, Any]],
    exponents: tuple[Any, Any, Any, dict[float, MeasuredExponent]],
    diagram: PhaseDiagram,
    mark: tuple[float, float],
    weights: Any,
    matrix: GainMatrix,
) -> Path:
    """Two trajectories (title, times, states), autocorrelation, exponents, phase diagram, eigenvalues of J."""
    with page(path, (PAGE_WIDTH, 10.8)) as figure:
        axes = figure.subplots(3, 2)
        for ax, (title, times, states) in zip(axes[0], trajectories, strict=False):
            unit_trajectories(times, states, ax)
            ax.set_title(title)
        autocorrelation(theory, measured, axes[1, 0])
        lyapunov_exponents(*exponents[:3], measured=exponents[3], ax=axes[1, 1])
        phase_diagram(diagram, axes[2, 0], mark=mark)
        weight_spectrum(weights, matrix, axes[2, 1], continuous=True)
    return path
