"""Regimes of a network in discrete time over gain and noise."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._linalg import spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._theory import PhaseDiagram, Point, diagram
from fisherjax._types import ArrayLike
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._stationary import solve_stationary


@full_precision
def phase_diagram(
    gains: ArrayLike,
    noise_stds: ArrayLike,
    *,
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
    progress: bool = False,
) -> PhaseDiagram:
    """Stationary states of x(t+1) = J φ(x(t)) + σ ξ(t) on a grid of gains and noise levels, a row of gains at a time.

    As `stationary_state` and `lyapunov_exponent` have them; local expansion and chaos are the same here.

    Parameters
    ----------
    gains
        g (n,), at least 0.
    noise_stds
        σ (m,), at least 0.
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
    return diagram(functools.partial(_row, phi), gains, noise_stds, gain_matrix, progress=progress)


@jax.jit(static_argnums=0)
def _row(phi: Nonlinearity, total_gain: Array, gains: Array, noise_std: Array) -> Point:
    intensity = noise_std**2

    def one(gain: Array) -> Point:
        scaled = total_gain * gain**2
        state = solve_stationary(scaled, intensity, phi)
        # the gain apart: its square may leave the float range
        slopes = total_gain * phi.slope_second_moment(state.variance)
        exponent = jnp.log(gain) + jnp.log(spectral_radius(slopes)) / 2
        pair = phi.two_point(state.variance, state.noise_variance)
        memory = spectral_radius(scaled * pair.slope_overlap)
        active = jnp.max(state.variance) > 1e3 * jnp.finfo(intensity.dtype).eps
        ordered = jnp.where(intensity > 0, 2, jnp.where(active, 1, 0))
        known = (exponent, exponent, memory, -1 / jnp.log(memory))
        kept = [jnp.where(state.converged, value, jnp.nan) for value in (state.variance, *known)]
        return Point(*kept, regime=jnp.where(exponent > 0, 4, ordered), converged=state.converged)

    return jax.vmap(one)(gains)
