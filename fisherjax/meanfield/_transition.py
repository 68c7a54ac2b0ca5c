"""Where a network becomes chaotic, and where it starts to expand: gains at which a growth rate vanishes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from fisherjax._errors import check_scalar, require
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix
from fisherjax.numerics import LobattoRule, Nonlinearity, as_nonlinearity, full_precision, lobatto_rule, spectral_radius

from ._autocorrelation import as_structure
from ._profile import Structure
from ._stationary import growth_rate, variance_from_above
from ._steady import NUM_NODES, steady_state

_WIDEST = 5.0  # range of log gain that is searched
_WIDEST_DISCRETE = 9.2
_FARTHEST = 20.0  # states among which the largest slope of φ is looked for


@full_precision
def critical_gain(
    *,
    noise_std: Scalar | None = None,
    noise: Scalar | Float[Array, " P"] | None = None,
    nonlinearity: object = "tanh",
    gain_matrix: GainMatrix | None = None,
) -> Float[Array, ""]:
    """Gain at which the network becomes chaotic: λ(g_c) = 0, λ its largest Lyapunov exponent.

    Give `noise_std` for the network in discrete time, λ = ½ ln ρ(G ∘ E[φ′²]), or `noise` for the one in
    continuous time, λ from `autocorrelation`. The gains of `gain_matrix` are scaled by one factor, which is
    returned.

    Parameters
    ----------
    noise_std
        σ ≥ 0 of the discrete-time network x(t+1) = J φ(x(t)) + σ ξ(t).
    noise
        s₂ ≥ 0 of the continuous-time network ẋ = −x + J φ(x) + √(2 s₂) ξ(t); one number, or one per population.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.
    gain_matrix
        Structure to scale; one population of gain 1 by default, so that the factor is the gain.

    Returns
    -------
    Scalar, differentiable in the noise and in the structure. NaN where there is no such gain: for a nonlinearity
    whose activity grows without bound first, or that never becomes chaotic within 150 + 150 √s₂ (discrete time:
    10⁴ + 10⁴ σ) times the gain below which no network can.

    Raises
    ------
    ValueError
        If the noise is negative, or not exactly one of `noise_std` and `noise` is given.
    """
    given = (noise_std is None) + (noise is None)
    require(given == 1, "give either noise_std (discrete time) or noise (continuous time)")
    phi = as_nonlinearity(nonlinearity)
    shape = GainMatrix(jnp.ones((1, 1))) if gain_matrix is None else gain_matrix
    if noise_std is not None:
        check_scalar("noise_std", noise_std, minimum=0.0)
        return _discrete(shape, jnp.asarray(noise_std).astype(shape.gains.dtype), phi)
    structure = as_structure(shape, noise)
    return _continuous(structure, lobatto_rule(NUM_NODES), phi, local=False)


@full_precision
def local_stability_gain(
    *, noise: Scalar | Float[Array, " P"], nonlinearity: object = "tanh", gain_matrix: GainMatrix | None = None
) -> Float[Array, ""]:
    """Gain at which the Jacobian at one moment starts to expand: ρ(G ∘ E[φ′²]) = 1 in the stationary state.

    In continuous time noise moves chaos to higher gains than this, `critical_gain(noise=…)`: between the
    two the network expands at every moment, in directions that change too fast to add up. In discrete time the two
    coincide. Parameters and return value are those of `critical_gain`.
    """
    shape = GainMatrix(jnp.ones((1, 1))) if gain_matrix is None else gain_matrix
    return _continuous(as_structure(shape, noise), lobatto_rule(NUM_NODES), as_nonlinearity(nonlinearity), local=True)


@jax.jit(static_argnums=2, static_argnames="local")
def _continuous(structure: Structure, rule: LobattoRule, phi: Nonlinearity, *, local: bool) -> Float[Array, ""]:
    def growth(log_factor: Array, structure: Structure) -> Array:
        scaled = Structure(structure.total_gain * jnp.exp(2 * log_factor), structure.noise)
        tolerance = jnp.sqrt(jnp.finfo(log_factor.dtype).eps).astype(log_factor.dtype)
        state = steady_state(phi, rule, scaled, tolerance)
        resting = variance_from_above(scaled.total_gain, jnp.zeros_like(scaled.noise), phi)
        at_rest = spectral_radius(scaled.total_gain * phi.slope_second_moment(resting)) - 1
        driven = state.local_growth if local else state.lyapunov_exponent
        # activity without bound counts as unstable
        return jnp.where(jnp.all(scaled.noise == 0), at_rest, jnp.where(state.converged, driven, 1.0))

    lower = _ordered_below(phi, structure.total_gain)
    found = _crossing(growth, structure, lower, lower + _WIDEST + jnp.log1p(jnp.sqrt(jnp.max(structure.noise))))
    return _unless_silent(phi, structure.total_gain, structure.noise, found)


@jax.jit(static_argnums=2)
def _discrete(shape: GainMatrix, sigma: Array, phi: Nonlinearity) -> Float[Array, ""]:
    def growth(log_factor: Array, parameters: tuple[GainMatrix, Array]) -> Array:
        structure, sigma = parameters
        scaled = GainMatrix(structure.gains * jnp.exp(log_factor), structure.fractions)
        return growth_rate(scaled, variance_from_above(scaled.variance_gain, sigma**2, phi), phi)

    lower = _ordered_below(phi, shape.variance_gain)
    found = _crossing(growth, (shape, sigma), lower, lower + _WIDEST_DISCRETE + jnp.log1p(sigma))
    return _unless_silent(phi, shape.variance_gain, sigma, found)


def _unless_silent(phi: Nonlinearity, total_gain: Array, noise: Array, found: Array) -> Float[Array, ""]:
    """`found`, but without noise and with φ(0) = 0 the gain at which silence, a state at all gains, loses stability."""
    zero = jnp.zeros((), total_gain.dtype)
    silent = 1 / (jnp.sqrt(spectral_radius(total_gain)) * jnp.abs(phi.mean_slope(zero)))
    return jnp.where(jnp.all(noise == 0) & (phi(zero) == 0), silent, found)


def _ordered_below(phi: Nonlinearity, total_gain: Array) -> Float[Array, ""]:
    """Logarithm of a factor below which no state is chaotic: √ρ(G) max |φ′| < 1 there, whatever the variance."""
    slopes = jax.vmap(jax.grad(phi))(jnp.linspace(-_FARTHEST, _FARTHEST, 1601, dtype=total_gain.dtype))
    steepest = jnp.max(jnp.abs(slopes))
    return jax.lax.stop_gradient(-jnp.log(spectral_radius(total_gain)) / 2 - jnp.log(steepest) - 0.1)


def _crossing(function: Callable, parameters: object, lower: Array, upper: Array) -> Float[Array, ""]:
    """Exp of where a function of log gain changes sign; NaN if it does not."""
    eps = float(jnp.finfo(lower.dtype).eps)
    lower, upper = jax.lax.stop_gradient((lower, upper))
    middle = (lower + upper) / 2
    frozen = jax.lax.stop_gradient(parameters)
    changes = (function(lower, frozen) < 0) & (function(upper, frozen) > 0)

    def bracketed(log_factor: Array, given: Any) -> Array:
        # the root finder must have a root to find
        parameters, changes, middle = given
        return jnp.where(changes, function(log_factor, parameters), log_factor - middle)

    solution = optx.root_find(
        bracketed,
        optx.Bisection(rtol=10 * eps, atol=10 * eps),
        middle,
        (parameters, changes, middle),
        options={"lower": lower, "upper": upper},
        throw=False,
        max_steps=64,
    )
    # rounding keeps the function from vanishing to the last digit; a jump across zero is no crossing
    left = jnp.abs(function(jax.lax.stop_gradient(solution.value), frozen))
    return jnp.where(changes & (left < eps**0.5), jnp.exp(solution.value), jnp.nan)
