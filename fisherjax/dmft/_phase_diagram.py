"""Regimes of a network in continuous time over gain and noise."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._runtime import full_precision
from fisherjax._theory import PhaseDiagram, Point, Structure, diagram
from fisherjax._types import ArrayLike
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._autocorrelation import regime_index
from ._legendre import LobattoRule, lobatto_rule
from ._steady import NUM_NODES, steady_state


@full_precision
def phase_diagram(
    gains: ArrayLike,
    noise_stds: ArrayLike,
    *,
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
    progress: bool = False,
) -> PhaseDiagram:
    """Solve the stationary theory of `autocorrelation` on a grid of gains and noise levels, a row of gains at a time.

    Parameters
    ----------
    gains
        g (n,), at least 0.
    noise_stds
        σ (m,), at least 0, as in `autocorrelation`.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure whose gains are multiplied by `gains`; one population of gain 1 by default.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    TypeError, ValueError
        If a grid is not one-dimensional, not finite or negative.
    """
    phi = as_nonlinearity(nonlinearity)
    row = functools.partial(_row, phi, lobatto_rule(NUM_NODES))
    return diagram(row, gains, noise_stds, gain_matrix, progress=progress)


@jax.jit(static_argnums=0)
def _row(phi: Nonlinearity, rule: LobattoRule, total_gain: Array, gains: Array, noise_std: Array) -> Point:
    def one(gain: Array) -> Point:
        structure = Structure(total_gain * gain**2, jnp.full(len(total_gain), noise_std, total_gain.dtype))
        tolerance = jnp.sqrt(jnp.finfo(gains.dtype).eps).astype(gains.dtype)
        state = steady_state(phi, rule, structure, tolerance)
        return Point(
            state.variance,
            state.lyapunov_exponent,
            state.local_growth,
            state.memory,
            state.relaxation_time,
            regime_index(state, noise_std),
            state.converged,
        )

    return jax.vmap(one)(gains)
