"""Results that discrete and continuous time share: regimes, diagrams of them, correlations between two times."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fisherjax._arrays import as_real
from fisherjax._errors import check_flag, is_traced, require, warn
from fisherjax._runtime import progress_bar
from fisherjax._types import ArrayLike, Record
from fisherjax.connectivity import GainMatrix

from ._structure import structure_or_one

REGIMES = ("silent", "fixed", "driven", "expanding", "chaotic")
"""Regimes of a network: no activity; a heterogeneous fixed point; driven by noise and stable; driven, with a
Jacobian that expands at every moment and yet no chaos; chaotic."""


class PhaseDiagram(Record):
    """Stationary states of a network over noise (rows) and gain (columns).

    Parameters
    ----------
    gains
        g (n,), or factors on the gains of a structure.
    noise_stds
        σ (m,), standard deviation of an unconnected unit.
    variance
        Δ(0) (m, n, P).
    lyapunov_exponent, local_growth, memory, relaxation_time
        As in `dmft.Autocorrelation`, (m, n); in discrete time per step, and growth and exponent agree. NaN where
        there is no stationary state.
    regime
        Place in `REGIMES` (m, n); −1 where there is no stationary state.
    """

    gains: Float[Array, " n"]
    noise_stds: Float[Array, " m"]
    variance: Float[Array, "m n P"]
    lyapunov_exponent: Float[Array, "m n"]
    local_growth: Float[Array, "m n"]
    memory: Float[Array, "m n"]
    relaxation_time: Float[Array, "m n"]
    regime: Int[Array, "m n"]


class TwoTimeCorrelation(Record):
    """Covariance Δ(t, s) = ⟨x(t) x(s)⟩ over units, without and with noise, from an initial condition.

    Parameters
    ----------
    times
        t (T,), from 0, in steps or in units of the time constant.
    values
        Δ(t, s) (T, T), or (T, T, P) for a `GainMatrix`.
    """

    times: Float[Array, " T"]
    values: Float[Array, "T T *P"]

    @property
    def variance(self) -> Float[Array, "T *P"]:
        """Δ(t, t)."""
        return jnp.moveaxis(jnp.diagonal(self.values, axis1=0, axis2=1), -1, 0)


class Point(NamedTuple):
    """What a diagram keeps of one stationary state."""

    variance: Array
    lyapunov_exponent: Array
    local_growth: Array
    memory: Array
    relaxation_time: Array
    regime: Array
    converged: Array


def diagram(
    row_of: Callable[[Array, Array, Array], Point],
    gains: ArrayLike,
    noise_stds: ArrayLike,
    gain_matrix: GainMatrix | None,
    *,
    progress: bool,
) -> PhaseDiagram:
    """A phase diagram, row after row: `row_of` (G, gains, σ) solves one."""
    check_flag("progress", progress)
    columns, rows = grid_of("gains", gains), grid_of("noise_stds", noise_stds)
    total_gain = structure_or_one(gain_matrix, columns.dtype).variance_gain
    columns = columns.astype(total_gain.dtype)
    points = []
    with progress_bar("phase diagram", len(rows), enabled=progress) as advance:
        for noise_std in rows.astype(total_gain.dtype):
            points.append(jax.block_until_ready(row_of(total_gain, columns, noise_std)))
            advance()
    return _diagram_of(points, columns, rows)


def _diagram_of(rows: list[Point], gains: Array, noise_stds: Array) -> PhaseDiagram:
    """The diagram of its rows."""
    state = Point(*(jnp.stack(parts) for parts in zip(*rows, strict=True)))
    missing = np.argwhere(~np.asarray(state.converged))
    if len(missing):
        row, column = missing[0]
        warn(
            f"no stationary state was found at {len(missing)} of {state.converged.size} points, the first at gain "
            f"{float(gains[column]):g} and noise_std {float(noise_stds[row]):g}: the activity grows without bound, or "
            "numbers left the range of the float type; these points are NaN, their regime is -1"
        )
    return PhaseDiagram(
        gains=gains,
        noise_stds=noise_stds,
        variance=state.variance,
        lyapunov_exponent=state.lyapunov_exponent,
        local_growth=state.local_growth,
        memory=state.memory,
        relaxation_time=jnp.where(state.converged, state.relaxation_time, jnp.nan),
        regime=jnp.where(state.converged, state.regime, -1),
    )


def grid_of(name: str, values: Any) -> Float[Array, " n"]:
    """An axis of a diagram: at least one number, none negative.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    require(not is_traced(values), f"{name} must be known numbers, not traced")
    grid = as_real(name, values, "n", minimum=0.0)
    require(grid.size > 0, f"{name} must hold at least one number")
    return grid


def symmetric(rows: Float[Array, "T T P"]) -> Float[Array, "T T P"]:
    """The rows up to the diagonal, mirrored."""
    lower = jnp.tril(jnp.ones(rows.shape[:2], bool))[..., None]
    return jnp.where(lower, rows, jnp.swapaxes(rows, 0, 1))
