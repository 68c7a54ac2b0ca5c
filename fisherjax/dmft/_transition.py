"""Where a network in continuous time becomes chaotic or starts to expand, and its regimes over gain and noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fisherjax import _theory
from fisherjax._linalg import spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._autocorrelation import regime_index
from ._profile import LobattoRule, lobatto_rule
from ._steady import NUM_NODES, steady_state

_WIDEST = 5.0  # range of log gain that is searched


@full_precision
def critical_gain(
    *,
    noise_std: Scalar | Float[Array | np.ndarray, " P"],
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
) -> Float[Array, ""]:
    """Gain at which ẋ = −x + J φ(x) + √2 σ ξ(t) becomes chaotic: λ(g_c) = 0, λ the exponent of `autocorrelation`.

    The gains of `gain_matrix` are scaled by one factor, which is returned. For discrete time see
    `meanfield.critical_gain`.

    Parameters
    ----------
    noise_std
        σ ≥ 0, standard deviation that an unconnected unit would have; one number, or one per population.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure to scale; one population of gain 1 by default, so that the factor is the gain.

    Returns
    -------
    Scalar, differentiable in the noise and in the structure. NaN where there is no such gain: for a nonlinearity
    whose activity grows without bound first, or that never becomes chaotic within 150 + 150 σ times the gain below
    which no network can, or where the noise is too weak to be resolved (σ below 10⁻⁵); a RuntimeWarning says so.

    Raises
    ------
    ValueError
        If `noise_std` is negative.
    """
    return _vanishing_growth(noise_std, nonlinearity, gain_matrix, local=False)


@full_precision
def local_stability_gain(
    *,
    noise_std: Scalar | Float[Array | np.ndarray, " P"],
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
) -> Float[Array, ""]:
    """Gain at which the Jacobian at one moment starts to expand: ρ(G ∘ E[φ′²]) = 1 in the stationary state.

    In continuous time noise moves chaos to higher gains than this, `critical_gain`: between the two the network
    expands at every moment, in directions that change too fast to add up. In discrete time the two coincide.
    Parameters and return value are those of `critical_gain`.
    """
    return _vanishing_growth(noise_std, nonlinearity, gain_matrix, local=True)


def _vanishing_growth(
    noise_std: ArrayLike, nonlinearity: NonlinearityLike, gain_matrix: GainMatrix | None, *, local: bool
) -> Float[Array, ""]:
    phi = as_nonlinearity(nonlinearity)
    structure = _theory.as_structure(_theory.structure_or_one(gain_matrix), noise_std)
    return _theory.warn_if_missing(_critical(structure, lobatto_rule(NUM_NODES), phi, local=local))


@jax.jit(static_argnums=2)
def _critical(
    structure: _theory.Structure, rule: LobattoRule, phi: Nonlinearity, *, local: bool | Bool[Array, ""]
) -> Float[Array, ""]:
    """Of either growth: a program for both."""

    def growth(log_factor: Array, structure: _theory.Structure) -> Array:
        scaled = _theory.Structure(structure.total_gain * jnp.exp(2 * log_factor), structure.noise_std)
        tolerance = jnp.sqrt(jnp.finfo(log_factor.dtype).eps).astype(log_factor.dtype)
        state = steady_state(phi, rule, scaled, tolerance)
        resting = _theory.variance_from_above(scaled.total_gain, jnp.zeros_like(scaled.intensity), phi)
        at_rest = spectral_radius(scaled.total_gain * phi.slope_second_moment(resting)) - 1
        driven = jnp.where(local, state.local_growth, state.lyapunov_exponent)
        # activity without bound counts as unstable
        return jnp.where(jnp.all(scaled.intensity == 0), at_rest, jnp.where(state.converged, driven, 1.0))

    lower = _theory.ordered_below(phi, jnp.sqrt(spectral_radius(structure.total_gain)))
    critical = _theory.crossing(growth, structure, lower, lower + _WIDEST + jnp.log1p(jnp.max(structure.noise_std)))
    return _theory.unless_silent(phi, structure.total_gain, structure.intensity, critical)


@full_precision
def phase_diagram(
    gains: ArrayLike,
    noise_stds: ArrayLike,
    *,
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
    progress: bool = False,
) -> _theory.PhaseDiagram:
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
    total_gain = _theory.structure_or_one(gain_matrix, _theory.grid_of("gains", gains).dtype).variance_gain
    rows = functools.partial(_rows, phi, lobatto_rule(NUM_NODES), total_gain)
    return _theory.diagram(rows, gains, noise_stds, total_gain.dtype, progress=progress)


@jax.jit(static_argnums=0)
def _rows(phi: Nonlinearity, rule: LobattoRule, total_gain: Array, gains: Array, noise_stds: Array) -> _theory.Point:
    def point(noise_std: Array, gain: Array) -> _theory.Point:
        structure = _theory.Structure(total_gain * gain**2, jnp.full(len(total_gain), noise_std, total_gain.dtype))
        tolerance = jnp.sqrt(jnp.finfo(gains.dtype).eps).astype(gains.dtype)
        state = steady_state(phi, rule, structure, tolerance)
        growth = (state.lyapunov_exponent, state.local_growth, state.memory, state.relaxation_time)
        return _theory.Point(state.variance, *growth, regime_index(state, noise_std), state.converged)

    return jax.vmap(jax.vmap(point, in_axes=(None, 0)), in_axes=(0, None))(noise_stds, gains)
