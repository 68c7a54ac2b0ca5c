"""Regimes of a network over gain and noise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import check_finite
from fisherjax._errors import check_choice, require
from fisherjax._types import Result, as_float
from fisherjax.connectivity import GainMatrix
from fisherjax.numerics import (
    LobattoRule,
    Nonlinearity,
    as_nonlinearity,
    full_precision,
    lobatto_rule,
    progress_bar,
    spectral_radius,
)

from ._autocorrelation import as_structure, regime_index
from ._profile import Structure
from ._stationary import solve_stationary
from ._steady import NUM_NODES, steady_state


class PhaseDiagram(Result):
    """Stationary states of a network over noise (rows) and gain (columns).

    Parameters
    ----------
    gains
        g (n,), or factors on the gains of a structure.
    noise_std
        σ = √s₂ (m,), standard deviation of an unconnected unit.
    variance
        Δ(0) (m, n, P).
    lyapunov_exponent, local_growth, memory, relaxation_time
        As in `Autocorrelation`, (m, n); NaN where there is no stationary state.
    regime
        Place in `REGIMES` (m, n); −1 where there is no stationary state.
    """

    gains: Float[Array, " n"]
    noise_std: Float[Array, " m"]
    variance: Float[Array, "m n P"]
    lyapunov_exponent: Float[Array, "m n"]
    local_growth: Float[Array, "m n"]
    memory: Float[Array, "m n"]
    relaxation_time: Float[Array, "m n"]
    regime: Int[Array, "m n"]


@full_precision
def phase_diagram(
    gains: object,
    noise_std: object,
    *,
    nonlinearity: object = "tanh",
    gain_matrix: GainMatrix | None = None,
    time: str = "continuous",
    progress: bool = False,
) -> PhaseDiagram:
    """Solve the stationary theory on a grid of gains and noise levels, a row of gains at a time.

    Parameters
    ----------
    gains
        g (n,), at least 0.
    noise_std
        σ (m,), at least 0; the noise intensity is s₂ = σ².
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure whose gains are multiplied by `gains`; one population of gain 1 by default.
    time
        ``"continuous"``: `autocorrelation`. ``"discrete"``: x(t+1) = J φ(x(t)) + σ ξ(t), as in `stationary_state` and
        `lyapunov_exponent`; there local expansion and chaos are the same, and times count steps.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    ValueError
        If a grid is not one-dimensional, not finite or negative.
    """
    phi = as_nonlinearity(nonlinearity)
    check_choice("time", time, ("continuous", "discrete"))
    columns, rows = _grid("gains", gains), _grid("noise_std", noise_std)
    base = GainMatrix(jnp.ones((1, 1), columns.dtype)) if gain_matrix is None else gain_matrix
    structure, rule = as_structure(base, 0.0), lobatto_rule(NUM_NODES)
    states = []
    with progress_bar("phase diagram", len(rows), enabled=progress) as advance:
        for noise in rows**2:
            if time == "continuous":
                row = _row(phi, rule, structure.total_gain, columns, noise)
            else:
                row = _discrete_row(phi, structure.total_gain, columns, noise)
            states.append(jax.block_until_ready(row))
            advance()
    state: _Point = jax.tree.map(lambda *parts: jnp.stack(parts), *states)
    return PhaseDiagram(
        gains=columns,
        noise_std=rows,
        variance=state.variance,
        lyapunov_exponent=state.lyapunov_exponent,
        local_growth=state.local_growth,
        memory=state.memory,
        relaxation_time=jnp.where(state.converged, state.relaxation_time, jnp.nan),
        regime=jnp.where(state.converged, state.regime, -1),
    )


class _Point(NamedTuple):
    """What the diagram keeps of one stationary state."""

    variance: Array
    lyapunov_exponent: Array
    local_growth: Array
    memory: Array
    relaxation_time: Array
    regime: Array
    converged: Array


@jax.jit(static_argnums=0)
def _row(phi: Nonlinearity, rule: LobattoRule, total_gain: Array, gains: Array, noise: Array) -> _Point:
    def one(gain: Array) -> _Point:
        structure = Structure(total_gain * gain**2, jnp.full(len(total_gain), noise, total_gain.dtype))
        tolerance = jnp.sqrt(jnp.finfo(gains.dtype).eps).astype(gains.dtype)
        state = steady_state(phi, rule, structure, tolerance)
        return _Point(
            state.variance,
            state.lyapunov_exponent,
            state.local_growth,
            state.memory,
            state.relaxation_time,
            regime_index(state, noise),
            state.converged,
        )

    return jax.vmap(one)(gains)


@jax.jit(static_argnums=0)
def _discrete_row(phi: Nonlinearity, total_gain: Array, gains: Array, noise: Array) -> _Point:
    def one(gain: Array) -> _Point:
        scaled = total_gain * gain**2
        state = solve_stationary(scaled, noise, phi)
        exponent = jnp.log(spectral_radius(scaled * phi.slope_second_moment(state.variance))) / 2
        pair = phi.two_point(state.variance, state.noise_variance)
        memory = spectral_radius(scaled * pair.slope_overlap)
        active = jnp.max(state.variance) > 1e3 * jnp.finfo(noise.dtype).eps
        ordered = jnp.where(noise > 0, 2, jnp.where(active, 1, 0))
        known = (exponent, exponent, memory, -1 / jnp.log(memory))
        kept = [jnp.where(state.converged, value, jnp.nan) for value in (state.variance, *known)]
        return _Point(*kept, regime=jnp.where(exponent > 0, 4, ordered), converged=state.converged)

    return jax.vmap(one)(gains)


def _grid(name: str, values: object) -> Float[Array, " n"]:
    grid = as_float(values)
    require(grid.ndim == 1 and grid.size > 0, f"{name} must have shape (n,), got {grid.shape}")
    check_finite(name, grid)
    lowest = float(np.asarray(grid).min())
    require(lowest >= 0, f"{name} must be at least 0, got {lowest:g}")
    return grid
