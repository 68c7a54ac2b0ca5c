"""Where a structure becomes chaotic, where its means lose their stability, and its regimes on a grid."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax import _theory
from fisherjax._errors import check_not_negative, require
from fisherjax._linalg import spectral_radius
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar
from fisherjax.connectivity._gain_matrix import GainMatrix, check_gain_matrix
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._resting import Resting, as_resting, slope_overlap, slope_second_moment, solve_stationary
from ._stationary import growth_rate

_WIDEST = 9.2  # range of log gain that is searched
_MEANS, _PLACES = (-3.0, 4.0), 64  # where means are looked for: logarithms, from one that leaves silence stable


@full_precision
def critical_gain(
    *,
    noise_std: Scalar,
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
) -> Float[Array, ""]:
    """Gain at which x(t+1) = J φ(x(t)) + b + σ ξ(t) becomes chaotic: ½ ln ρ(G ∘ ⟨φ′²⟩) = 0.

    The gains of `gain_matrix` are scaled by one factor, which is returned; its means are left as they are. For the
    means see `critical_mean`, for continuous time `dmft.critical_gain`.

    Parameters
    ----------
    noise_std
        σ ≥ 0.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure to scale; one population of gain 1 by default, so that the factor is the gain.
    bias, bias_std
        b and β, a number or (P,), as in `propagate`.

    Returns
    -------
    Scalar, differentiable in the noise, the bias and the structure. NaN where there is no such gain: for a nonlinearity
    whose activity grows without bound first, or that never becomes chaotic within 10⁴ + 10⁴ σ times the gain below
    which no network can; a RuntimeWarning says so.

    Raises
    ------
    ValueError
        If `noise_std` is negative.

    Examples
    --------
    >>> from fisherjax import meanfield
    >>> print(f"{meanfield.critical_gain(noise_std=0.0):.3f}")
    1.000
    """
    phi = as_nonlinearity(nonlinearity)
    shape = _theory.structure_or_one(gain_matrix, means=True)
    check_not_negative(noise_std=noise_std)
    return _theory.warn_if_missing(_critical(shape, as_resting(shape, noise_std, bias, bias_std), phi))


@jax.jit(static_argnums=2)
def _critical(shape: GainMatrix, resting: Resting, phi: Nonlinearity) -> Float[Array, ""]:
    def growth(log_factor: Array, parameters: tuple[GainMatrix, Resting]) -> Array:
        structure, resting = parameters
        factor = jnp.exp(log_factor)
        scaled = resting._replace(total_gain=resting.total_gain * factor**2)
        state = solve_stationary(scaled, phi)
        return growth_rate(structure, slope_second_moment(scaled, phi, state)) + log_factor

    lower = _theory.ordered_below(phi, jnp.sqrt(spectral_radius(shape.variance_gain)))
    sigma = jnp.sqrt(jnp.max(resting.noise))
    critical = _theory.crossing(growth, (shape, resting), lower, lower + _WIDEST + jnp.log1p(sigma))
    if resting.has_means or resting.frozen is not None:
        return critical
    return _theory.unless_silent(phi, shape.variance_gain, resting.noise, critical)


@full_precision
def critical_mean(
    gain_matrix: GainMatrix,
    *,
    noise_std: Scalar,
    nonlinearity: NonlinearityLike = "tanh",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
) -> Float[Array, ""]:
    """Factor on the means of a structure at which its stationary state loses its stability: `growth` = 1.

    Beyond it the activity of whole populations leaves that state, for another or into an oscillation. The state is
    that of `stationary_state`, on its branch from means of zero.

    Parameters
    ----------
    gain_matrix
        Structure with means, of which they alone are scaled.
    noise_std, nonlinearity, bias, bias_std
        As in `critical_gain`.

    Returns
    -------
    Scalar, differentiable: the smallest such factor. NaN where there is none, from a twentieth to fifty times that
    below which means alone cannot destabilize a state, or where the state jumps; a RuntimeWarning says so.

    Raises
    ------
    ValueError
        If the structure has no means, or `noise_std` is negative.
    """
    phi = as_nonlinearity(nonlinearity)
    check_gain_matrix(gain_matrix, means=True)
    require(not gain_matrix.centered, "gain_matrix has no means to scale: make it with GainMatrix(…, means=M)")
    check_not_negative(noise_std=noise_std)
    return _theory.warn_if_missing(_critical_mean(as_resting(gain_matrix, noise_std, bias, bias_std), phi))


@jax.jit(static_argnums=1)
def _critical_mean(resting: Resting, phi: Nonlinearity) -> Float[Array, ""]:
    means = jnp.zeros_like(resting.total_gain) if resting.mean_gain is None else resting.mean_gain

    def growth(log_factor: Array, resting: Resting) -> Array:
        scaled = resting._replace(mean_gain=jnp.exp(log_factor) * means)
        return jnp.log(solve_stationary(scaled, phi).growth)

    # larger means may saturate the units into a stable state again: the first crossing is looked for
    places = _theory.ordered_below(phi, spectral_radius(jnp.abs(means))) + jnp.linspace(*_MEANS, _PLACES)
    places = jax.lax.stop_gradient(places.astype(means.dtype))
    found = jax.lax.map(lambda place: growth(place, jax.lax.stop_gradient(resting)), places)
    first = jnp.argmax((found[:-1] < 0) & (found[1:] >= 0))
    return _theory.crossing(growth, resting, places[first], places[first + 1])


@full_precision
def phase_diagram(
    gains: ArrayLike,
    noise_stds: ArrayLike,
    *,
    nonlinearity: NonlinearityLike = "tanh",
    gain_matrix: GainMatrix | None = None,
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    progress: bool = False,
) -> _theory.PhaseDiagram:
    """Stationary states of x(t+1) = J φ(x(t)) + b + σ ξ(t) on a grid of gains and noise levels, row after row.

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
        Structure whose gains, not its means, are multiplied by `gains`; one population of gain 1 by default.
    bias, bias_std
        b and β, a number or (P,), as in `propagate`.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    TypeError, ValueError
        If a grid is not one-dimensional, not finite or negative.
    """
    phi = as_nonlinearity(nonlinearity)
    columns = _theory.grid_of("gains", gains)
    shape = _theory.structure_or_one(gain_matrix, columns.dtype, means=True)
    resting = as_resting(shape, 0.0, bias, bias_std)
    return _theory.diagram(
        functools.partial(_rows, phi, resting), columns, noise_stds, shape.gains.dtype, progress=progress
    )


@jax.jit(static_argnums=0)
def _rows(phi: Nonlinearity, resting: Resting, gains: Array, noise_stds: Array) -> _theory.Point:
    def point(noise_std: Array, gain: Array) -> _theory.Point:
        noise = jnp.broadcast_to(noise_std**2, resting.noise.shape)
        scaled = resting._replace(total_gain=resting.total_gain * gain**2, noise=noise)
        state = solve_stationary(scaled, phi)
        # the gain apart: its square may leave the float range
        slopes = resting.total_gain * slope_second_moment(scaled, phi, state)
        exponent = jnp.log(gain) + jnp.log(spectral_radius(slopes)) / 2
        memory = spectral_radius(scaled.total_gain * slope_overlap(scaled, phi, state))
        active = jnp.max(state.variance) > 1e3 * jnp.finfo(noise.dtype).eps
        ordered = jnp.where(noise_std > 0, 2, jnp.where(active, 1, 0))
        regime = jnp.where(exponent > 0, 4, ordered)
        if resting.has_means:
            regime = jnp.where(state.stable, regime, 5)
        known = (exponent, exponent, memory, -1 / jnp.log(memory))
        kept = [jnp.where(state.converged, value, jnp.nan) for value in (state.variance, *known)]
        return _theory.Point(*kept, regime=regime, converged=state.converged)

    return jax.vmap(jax.vmap(point, in_axes=(None, 0)), in_axes=(0, None))(noise_stds, gains)
